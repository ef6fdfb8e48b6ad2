//! Counts of latencies, 64 buckets to each doubling: quantiles to 1.6 %, in 32 KiB, whatever was recorded.

/// Buckets per doubling, as a power of two.
const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;

#[derive(Clone)]
pub(super) struct Histogram {
    buckets: Box<[u64]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; SUB * (65 - SUB_BITS as usize)].into(), total: 0 }
    }
}

impl Histogram {
    pub(super) fn record(&mut self, value: u64) {
        if let Some(bucket) = self.buckets.get_mut(index(value)) {
            *bucket += 1;
            self.total += 1;
        }
    }

    /// The value under which this share of all lies (`0.99`); 0 if there is none.
    pub(super) fn quantile(&self, share: f64) -> u64 {
        let rank = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                return highest(index);
            }
        }
        0
    }

    /// Adds all that `other` has recorded.
    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.total += other.total;
    }
}

fn index(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let exponent = 63 - value.leading_zeros();
    let within = (value >> (exponent - SUB_BITS)) as usize & (SUB - 1);
    (exponent - SUB_BITS + 1) as usize * SUB + within
}

/// The highest value that falls into a bucket.
fn highest(index: usize) -> u64 {
    if index < SUB {
        return index as u64;
    }
    let shift = (index / SUB - 1) as u32;
    let lowest = ((SUB + index % SUB) as u64) << shift;
    lowest + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_that_reaches_it_by_less_than_two_percent() {
        let values = (0..63).flat_map(|bit| [1 << bit, (1 << bit) + 1, (3_u64 << bit) / 2]).chain([u64::MAX]);
        for value in values {
            let reached = highest(index(value));
            assert!(reached >= value && reached - value <= value / 60, "{value} counts as {reached}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.99), 0);
        (1..=1000).for_each(|value| histogram.record(value));
        let p50 = histogram.quantile(0.5);
        let p99 = histogram.quantile(0.99);
        assert!((500..=508).contains(&p50) && (990..=1006).contains(&p99), "{p50} {p99}");
    }
}
