//! One timer each for many connections: a wheel of slots, every operation O(1), nothing allocated per arm.
//!
//! Keys are small integers (a connection's index). A timer never fires early; it fires late by one slot at
//! most. Timers beyond the wheel's horizon wait in its last slot and are put back when it comes round. A long
//! jump of the clock costs one turn of the wheel at most.

use crate::limits::{WHEEL_SLOT_MS, WHEEL_SLOTS};
use crate::time::Tick;

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Node {
    at: Tick,
    previous: u32,
    next: u32,
    /// Slot it hangs in; `NONE` when it is not armed.
    slot: u32,
}

const IDLE: Node = Node { at: Tick::NEVER, previous: NONE, next: NONE, slot: NONE };

/// Timers by key.
#[derive(Debug)]
pub struct Wheel {
    nodes: Vec<Node>,
    heads: Box<[u32]>,
    occupied: [u64; WHEEL_SLOTS / 64],
    /// The slot number (not wrapped) that is swept next.
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
            heads: vec![NONE; WHEEL_SLOTS].into_boxed_slice(),
            occupied: [0; WHEEL_SLOTS / 64],
            position: now.0 / WHEEL_SLOT_MS,
            armed: 0,
        }
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
        // The slot after the one `at` falls into: when it is swept, `at` has passed.
        let wanted = at.0 / WHEEL_SLOT_MS + 1;
        let number = wanted.clamp(self.position, self.position + WHEEL_SLOTS as u64 - 1);
        let slot = wrap(number);
        let head = self.heads[slot];
        self.nodes[index] = Node { at, previous: NONE, next: head, slot: slot_u32(slot) };
        if head != NONE {
            self.nodes[head as usize].previous = key;
        }
        self.heads[slot] = key;
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.armed += 1;
    }

    /// Disarms the timer of `key`, if it is armed.
    pub fn disarm(&mut self, key: u32) {
        let Some(node) = self.nodes.get(key as usize).copied().filter(|node| node.slot != NONE) else {
            return;
        };
        let slot = node.slot as usize;
        if node.previous == NONE {
            self.heads[slot] = node.next;
        } else {
            self.nodes[node.previous as usize].next = node.next;
        }
        if node.next != NONE {
            self.nodes[node.next as usize].previous = node.previous;
        }
        if self.heads[slot] == NONE {
            self.occupied[slot / 64] &= !(1 << (slot % 64));
        }
        self.nodes[key as usize] = IDLE;
        self.armed -= 1;
    }

    /// Takes every timer that is due at `now` off the wheel and gives its key to `fire`.
    pub fn advance(&mut self, now: Tick, mut fire: impl FnMut(u32)) {
        let target = now.0 / WHEEL_SLOT_MS;
        if target < self.position {
            return;
        }
        let turns = (target - self.position + 1).min(WHEEL_SLOTS as u64);
        let first = self.position;
        // Move on first: what is put back must land in slots that are still to come.
        self.position = target + 1;
        for number in first..first + turns {
            let slot = wrap(number);
            let mut key = std::mem::replace(&mut self.heads[slot], NONE);
            self.occupied[slot / 64] &= !(1 << (slot % 64));
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
                let slot = word * 64 + bits.trailing_zeros() as usize;
                let ahead = (slot + WHEEL_SLOTS - start) % WHEEL_SLOTS;
                return Some(Tick((self.position + ahead as u64).saturating_mul(WHEEL_SLOT_MS)));
            }
        }
        None
    }
}

fn wrap(number: u64) -> usize {
    usize::try_from(number % WHEEL_SLOTS as u64).unwrap_or(0)
}

fn slot_u32(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(NONE)
}
