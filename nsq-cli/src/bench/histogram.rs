//! Latencies, counted in buckets that grow with them: any quantile to within 1.6 %, in 30 KB, without an allocation.

use std::time::Duration;

/// How many bits of a value are kept behind its first.
const BITS: u32 = 6;
const BUCKETS: usize = ((64 - BITS as usize) + 1) << BITS;

/// Counts of durations.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    /// By bucket, see [`bucket`].
    counts: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0 }
    }

    pub(super) fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanoseconds)] += 1;
        self.count += 1;
    }

    /// Adds what another one has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
        self.count += other.count;
    }

    /// What the given part of all durations, 0 to 1, does not exceed; `None` where there are none.
    pub(super) fn quantile(&self, part: f64) -> Option<Duration> {
        let wanted = ((self.count as f64 * part).ceil() as u64).clamp(1, self.count.max(1));
        let mut passed = 0;
        let found = self.counts.iter().position(|count| {
            passed += count;
            passed >= wanted
        })?;
        Some(Duration::from_nanos(highest(found)))
    }
}

/// Values up to 2^[`BITS`] have a bucket each; above, each power of two has 2^[`BITS`] of them.
fn bucket(value: u64) -> usize {
    let exponent = value.checked_ilog2().unwrap_or(0);
    match exponent.checked_sub(BITS) {
        None => value as usize,
        Some(shift) => ((shift as usize) << BITS) + (value >> shift) as usize,
    }
}

/// The highest value of a bucket.
fn highest(bucket: usize) -> u64 {
    let shift = (bucket >> BITS).saturating_sub(1);
    let value = (bucket - (shift << BITS)) as u64;
    (value << shift) + ((1_u64 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn micros(count: u64) -> Duration {
        Duration::from_micros(count)
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=1000).for_each(|count| histogram.record(micros(count)));
        for (part, expected) in [(0.0, 1), (0.5, 500), (0.99, 990), (1.0, 1000)] {
            let found = histogram.quantile(part).unwrap();
            assert!(
                found >= micros(expected) && found < micros(expected).mul_f64(1.016),
                "{part}: {found:?}"
            );
        }
    }

    #[test]
    fn two_merged_are_as_one() {
        let (mut one, mut other) = (Histogram::new(), Histogram::new());
        one.record(micros(1));
        other.record(micros(3));
        other.record(micros(3));
        one.merge(&other);
        assert_eq!(one.quantile(0.5), other.quantile(1.0));
    }

    proptest! {
        #[test]
        fn every_value_is_in_a_bucket_that_is_not_much_wider(value: u64) {
            let highest = highest(bucket(value));
            prop_assert!(bucket(value) < BUCKETS);
            prop_assert!(highest >= value && highest - value <= value >> BITS);
        }
    }
}
