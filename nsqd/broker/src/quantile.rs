//! How long messages take from publish to finish: quantiles within 1 %, in bounded memory.

use std::time::Duration;

/// Buckets for each power of two; the middle of a bucket is within 0.4 % of every value in it.
const BUCKETS_PER_DOUBLING: u64 = 128;
const BITS_PER_DOUBLING: u32 = BUCKETS_PER_DOUBLING.trailing_zeros();

/// Counts of durations, in nanoseconds, by size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// By bucket; as long as the largest value needed, at most about 7,500.
    counts: Vec<u64>,
    count: u64,
    min: u64,
    max: u64,
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value_ns: u64) {
        let bucket = bucket_of(value_ns);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.min = if self.count == 0 { value_ns } else { self.min.min(value_ns) };
        self.max = self.max.max(value_ns);
        self.count += 1;
    }

    /// Adds what another counted.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.count += other.count;
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value in nanoseconds that a share of `quantile` (0 to 1) of the values does not exceed; 0 without values.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((quantile * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle_of(bucket).clamp(self.min, self.max);
            }
        }
        0
    }
}

fn bucket_of(value: u64) -> usize {
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(BITS_PER_DOUBLING + 1);
    (u64::from(shift) * BUCKETS_PER_DOUBLING + (value >> shift)) as usize
}

fn middle_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / BUCKETS_PER_DOUBLING).saturating_sub(1);
    let low = (bucket - shift * BUCKETS_PER_DOUBLING) << shift;
    low + ((1 << shift) - 1) / 2
}

/// The values of the last half to whole window: two halves, of which the older is dropped as a whole.
#[derive(Debug, Clone)]
pub(crate) struct LatencyWindow {
    half_ns: u64,
    /// When the current half is over, on the monotonic clock.
    ends_ns: u64,
    current: Histogram,
    previous: Histogram,
}

impl LatencyWindow {
    pub(crate) fn new(window: Duration, now_ns: u64) -> Self {
        let half_ns = (window.as_nanos() as u64 / 2).max(1);
        Self {
            half_ns,
            ends_ns: now_ns.saturating_add(half_ns),
            current: Histogram::default(),
            previous: Histogram::default(),
        }
    }

    pub(crate) fn record(&mut self, now_ns: u64, value_ns: u64) {
        while now_ns >= self.ends_ns {
            self.previous = std::mem::take(&mut self.current);
            let passed = (now_ns - self.ends_ns) / self.half_ns;
            if passed > 0 {
                self.previous = Histogram::default();
            }
            self.ends_ns = self.ends_ns.saturating_add((passed + 1).saturating_mul(self.half_ns));
        }
        self.current.record(value_ns);
    }

    /// What was recorded within the window.
    pub(crate) fn histogram(&self, now_ns: u64) -> Histogram {
        let halves_over = if now_ns < self.ends_ns { 0 } else { 1 + (now_ns - self.ends_ns) / self.half_ns };
        match halves_over {
            0 => {
                let mut both = self.previous.clone();
                both.merge(&self.current);
                both
            }
            1 => self.current.clone(),
            _ => Histogram::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_one_per_cent() {
        let mut histogram = Histogram::default();
        let values: Vec<u64> = (1..=10_000_u64).map(|n| n * n * 37).collect();
        for value in &values {
            histogram.record(*value);
        }
        for quantile in [0.01, 0.5, 0.95, 0.99, 1.0] {
            let exact = values[((quantile * 10_000.0) as usize).max(1) - 1] as f64;
            let found = histogram.quantile(quantile) as f64;
            assert!((found - exact).abs() <= exact * 0.01, "{quantile}: {found} for {exact}");
        }
    }

    #[test]
    fn a_single_value_is_exact() {
        for value in [0, 1, 255, 256, 901_171, u64::MAX] {
            let mut histogram = Histogram::default();
            histogram.record(value);
            assert_eq!(histogram.quantile(0.99), value);
        }
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }

    #[test]
    fn a_bucket_holds_its_middle() {
        for value in (0..100_000).chain([u64::MAX, u64::MAX / 3, 1 << 40]) {
            let bucket = bucket_of(value);
            assert_eq!(bucket_of(middle_of(bucket)), bucket, "{value}");
        }
    }

    #[test]
    fn the_window_forgets_what_is_older() {
        let mut window = LatencyWindow::new(Duration::from_nanos(100), 0);
        window.record(10, 1);
        window.record(60, 2);
        assert_eq!(window.histogram(60).count(), 2);
        assert_eq!(window.histogram(120).count(), 1);
        window.record(120, 3);
        assert_eq!(window.histogram(120).count(), 2);
        assert_eq!(window.histogram(500).count(), 0);
        window.record(500, 4);
        assert_eq!(window.histogram(500).count(), 1);
    }
}
