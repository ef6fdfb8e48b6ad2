//! Idempotency keys. No two requests share one.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// 128 random bits for the publisher and its clones, and a count.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: u128,
    count: AtomicU64,
}

/// From the operating system: machines that were copied while they ran must not share keys.
fn random_bits() -> u128 {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u128::from_ne_bytes(bytes),
        // Without a source of randomness, as good as it gets.
        Err(_) => fastrand::u128(..),
    }
}

impl Keys {
    pub(super) fn new() -> Self {
        Self { prefix: random_bits(), count: AtomicU64::new(0) }
    }

    pub(super) fn next_key(&self) -> HeaderValue {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // Hexadecimal digits and a dash always make a header value.
        HeaderValue::from_str(&format!("{:032x}-{}", self.prefix, count))
            .unwrap_or_else(|_| HeaderValue::from(count))
    }
}
