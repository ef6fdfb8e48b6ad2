//! One timer each for many connections: a wheel of buckets, every operation O(1), nothing allocated per arm.
//!
//! Keys are small integers (a connection's index). A timer never fires early; it fires late by one bucket at
//! most. Timers beyond the wheel's horizon wait in its last bucket and are put back when it comes round. A long
//! jump of the clock costs one turn of the wheel at most.

use crate::limits::{WHEEL_BUCKET_MS, WHEEL_BUCKETS};
use crate::time::Tick;

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Node {
    at: Tick,
    previous: u32,
    next: u32,
    /// Bucket it hangs in; `NONE` when it is not armed.
    bucket: u32,
}

const IDLE: Node = Node { at: Tick::NEVER, previous: NONE, next: NONE, bucket: NONE };

/// Timers by key.
#[derive(Debug)]
pub struct Wheel {
    nodes: Vec<Node>,
    heads: Box<[u32]>,
    occupied: [u64; WHEEL_BUCKETS / 64],
    /// The bucket number (not wrapped) that is swept next.
    position: u64,
    armed: usize,
}

impl Default for Wheel {
    fn default() -> Self {
        Self::new(Tick::ZERO)
    }
}

impl Wheel {
    /// An empty wheel that stands at `now`.
    #[must_use]
    pub fn new(now: Tick) -> Wheel {
        Wheel {
            nodes: Vec::new(),
            heads: vec![NONE; WHEEL_BUCKETS].into_boxed_slice(),
            occupied: [0; WHEEL_BUCKETS / 64],
            position: now.0 / WHEEL_BUCKET_MS,
            armed: 0,
        }
    }

    /// Gives back the memory of keys from `end` on; none of them may be armed.
    pub fn limit_keys(&mut self, end: usize) {
        if self.nodes.capacity() > 2 * end.max(WHEEL_BUCKETS) {
            self.nodes.truncate(end);
            self.nodes.shrink_to(end + end / 4);
        }
    }

    /// The instant that the timer of `key` is armed to.
    #[must_use]
    pub fn armed_at(&self, key: u32) -> Option<Tick> {
        self.nodes.get(key as usize).filter(|node| node.bucket != NONE).map(|node| node.at)
    }

    /// Armed timers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.armed
    }

    /// Whether no timer is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// Arms (or moves) the timer of `key` to `at`.
    pub fn arm(&mut self, key: u32, at: Tick) {
        self.disarm(key);
        let index = key as usize;
        if index >= self.nodes.len() {
            self.nodes.resize(index + 1, IDLE);
        }
        // The bucket after the one `at` falls into: when it is swept, `at` has passed.
        let wanted = at.0 / WHEEL_BUCKET_MS + 1;
        let number = wanted.clamp(self.position, self.position + WHEEL_BUCKETS as u64 - 1);
        let bucket = wrap(number);
        let head = self.heads[bucket];
        self.nodes[index] = Node { at, previous: NONE, next: head, bucket: bucket_u32(bucket) };
        if head != NONE {
            self.nodes[head as usize].previous = key;
        }
        self.heads[bucket] = key;
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
        self.armed += 1;
    }

    /// Disarms the timer of `key`, if it is armed.
    pub fn disarm(&mut self, key: u32) {
        let Some(node) = self.nodes.get(key as usize).copied().filter(|node| node.bucket != NONE) else {
            return;
        };
        let bucket = node.bucket as usize;
        if node.previous == NONE {
            self.heads[bucket] = node.next;
        } else {
            self.nodes[node.previous as usize].next = node.next;
        }
        if node.next != NONE {
            self.nodes[node.next as usize].previous = node.previous;
        }
        if self.heads[bucket] == NONE {
            self.occupied[bucket / 64] &= !(1 << (bucket % 64));
        }
        self.nodes[key as usize] = IDLE;
        self.armed -= 1;
    }

    /// Takes every timer that is due at `now` off the wheel and gives its key to `fire`.
    pub fn advance(&mut self, now: Tick, mut fire: impl FnMut(u32)) {
        let target = now.0 / WHEEL_BUCKET_MS;
        if target < self.position {
            return;
        }
        let turns = (target - self.position + 1).min(WHEEL_BUCKETS as u64);
        let first = self.position;
        // Move on first: what is put back must land in buckets that are still to come.
        self.position = target + 1;
        for number in first..first + turns {
            let bucket = wrap(number);
            let mut key = std::mem::replace(&mut self.heads[bucket], NONE);
            self.occupied[bucket / 64] &= !(1 << (bucket % 64));
            while key != NONE {
                let node = std::mem::replace(&mut self.nodes[key as usize], IDLE);
                self.armed -= 1;
                if node.at <= now {
                    fire(key);
                } else {
                    self.arm(key, node.at);
                }
                key = node.next;
            }
        }
    }

    /// When [`Wheel::advance`] has something to do next; `None` when nothing is armed.
    #[must_use]
    pub fn next(&self) -> Option<Tick> {
        if self.armed == 0 {
            return None;
        }
        let start = wrap(self.position);
        let words = self.occupied.len();
        for step in 0..=words {
            let word = (start / 64 + step) % words;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            } else if step == words {
                bits &= !(u64::MAX << (start % 64));
            }
            if bits != 0 {
                let bucket = word * 64 + bits.trailing_zeros() as usize;
                let ahead = (bucket + WHEEL_BUCKETS - start) % WHEEL_BUCKETS;
                return Some(Tick((self.position + ahead as u64).saturating_mul(WHEEL_BUCKET_MS)));
            }
        }
        None
    }
}

fn wrap(number: u64) -> usize {
    usize::try_from(number % WHEEL_BUCKETS as u64).unwrap_or(0)
}

fn bucket_u32(bucket: usize) -> u32 {
    u32::try_from(bucket).unwrap_or(NONE)
}
