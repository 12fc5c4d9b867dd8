//! What a run measured: named figures, each with its unit.

use std::time::Duration;

use super::histogram::Histogram;
use super::target::Target;
use super::usage::ProcessorTime;

/// What a figure is of, and so how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// So many a second.
    PerSecond,
    /// A time, in seconds.
    Seconds,
    Bytes,
    /// A part of a whole.
    Share,
}

impl Unit {
    /// As it stands in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "1/s",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::Share => "1",
        }
    }

    /// A value with three digits and a unit that suits it.
    pub(super) fn text(self, value: f64) -> String {
        const LARGE: [(f64, &str); 3] = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
        const PARTS: [(f64, &str); 1] = [(0.01, " %")];
        const SMALL: [(f64, &str); 4] = [(1.0, " s"), (1e-3, " ms"), (1e-6, " us"), (1e-9, " ns")];
        let (scales, suffix): (&[(f64, &str)], &str) = match self {
            Self::PerSecond => (&LARGE, "/s"),
            Self::Bytes => (&LARGE, "B"),
            Self::Seconds => (&SMALL, ""),
            Self::Share => (&PARTS, ""),
        };
        let smallest = match self {
            Self::PerSecond | Self::Bytes => (1.0, ""),
            Self::Seconds => SMALL[3],
            Self::Share => PARTS[0],
        };
        // A value that is rounded up to the next scale is written in that.
        let fits = |scale: &&(f64, &str)| value >= scale.0 * 0.9995;
        let (scale, name) = scales.iter().find(fits).copied().unwrap_or(smallest);
        let scaled = value / scale;
        let digits = if scaled >= 99.95 || scaled == 0.0 {
            0
        } else if scaled >= 9.995 {
            1
        } else {
            2
        };
        let space = if self == Self::Bytes { " " } else { "" };
        format!("{scaled:.digits$}{space}{name}{suffix}")
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
    began: Option<ProcessorTime>,
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
        if let Some(used) = self.used(target) {
            figures.time(name, used.div_f64(messages.max(1) as f64));
        }
    }

    /// The processor time since the start, as a part of one core's over so long.
    pub(super) fn share(&self, name: &'static str, time: Duration, target: &Target, figures: &mut Figures) {
        if let Some(used) = self.used(target) {
            let value = used.as_secs_f64() / time.as_secs_f64().max(f64::MIN_POSITIVE);
            figures.all.push(Figure { name, unit: Unit::Share, value });
        }
    }

    fn used(&self, target: &Target) -> Option<Duration> {
        Some(target.processor_time()?.since(self.began?))
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

    #[test]
    fn values_are_written_with_three_digits() {
        for (value, unit, expected) in [
            (0.0, Unit::PerSecond, "0/s"),
            (12.34, Unit::PerSecond, "12.3/s"),
            (999.0, Unit::PerSecond, "999/s"),
            (999_900.0, Unit::PerSecond, "1.00M/s"),
            (1_234_567.0, Unit::PerSecond, "1.23M/s"),
            (123_456_789.0, Unit::Bytes, "123 MB"),
            (0.000_000_35, Unit::Seconds, "350 ns"),
            (0.001_234, Unit::Seconds, "1.23 ms"),
            (75.0, Unit::Seconds, "75.0 s"),
            (0.0, Unit::Seconds, "0 ns"),
            (0.001_234, Unit::Share, "0.12 %"),
            (1.5, Unit::Share, "150 %"),
        ] {
            assert_eq!(unit.text(value), expected);
        }
    }
}
