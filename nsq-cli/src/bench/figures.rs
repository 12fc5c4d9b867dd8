//! What a run measured: named figures, each with its unit.

use std::time::Duration;

use super::histogram::Histogram;
use super::target::Target;

/// What a figure is of, and so how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// So many a second.
    PerSecond,
    /// A time, in seconds.
    Seconds,
    Bytes,
}

impl Unit {
    /// As it stands in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "1/s",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    pub name: &'static str,
    pub unit: Unit,
    pub value: f64,
}

/// The figures of one run, in the order in which they are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub all: Vec<Figure>,
}

impl Figures {
    pub(super) fn rate(&mut self, name: &'static str, count: u64, elapsed: Duration) {
        let value = count as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        self.all.push(Figure { name, unit: Unit::PerSecond, value });
    }

    pub(super) fn time(&mut self, name: &'static str, value: Duration) {
        self.all.push(Figure { name, unit: Unit::Seconds, value: value.as_secs_f64() });
    }

    pub(super) fn bytes(&mut self, name: &'static str, value: u64) {
        self.all.push(Figure { name, unit: Unit::Bytes, value: value as f64 });
    }

    /// The quantiles of latencies, if there are any: the median, 99 %, 99.9 % and the longest, by these names.
    pub(super) fn quantiles(&mut self, names: [&'static str; 4], latencies: &Histogram) {
        for (name, part) in names.into_iter().zip([0.5, 0.99, 0.999, 1.0]) {
            if let Some(value) = latencies.quantile(part) {
                self.time(name, value);
            }
        }
    }
}

/// What nsqd uses while something is measured.
#[derive(Debug)]
pub(super) struct Meter {
    began: Option<Duration>,
}

impl Meter {
    pub(super) fn start(target: &Target) -> Self {
        Self { began: target.processor_time() }
    }

    /// The processor time since the start, for each of so many messages.
    pub(super) fn processor(
        &self,
        name: &'static str,
        messages: u64,
        target: &Target,
        figures: &mut Figures,
    ) {
        if let (Some(began), Some(now)) = (self.began, target.processor_time()) {
            figures.time(name, (now.saturating_sub(began)).div_f64(messages.max(1) as f64));
        }
    }
}

/// What nsqd has in memory now, and had at most.
pub(super) fn memory(target: &Target, figures: &mut Figures) {
    if let Some(memory) = target.memory() {
        figures.bytes("resident", memory.resident);
        figures.bytes("resident, at most", memory.peak);
    }
}

/// The middle one; of an even number the mean of the two in the middle. `None` of none.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
