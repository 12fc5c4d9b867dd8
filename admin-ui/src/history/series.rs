//! The past of one thing: near and fine, far and coarse.

use super::ring::{MEASURES, Measure, Point, Ring, UNKNOWN};
use super::value::Value;

/// The lengths of a step in seconds, and how many there are: 5 minutes, an hour, a day.
pub const RINGS: [(i64, usize); 3] = [(1, 300), (10, 360), (60, 1440)];

/// A series in all three resolutions.
#[derive(Debug, Clone)]
pub struct Series {
    rings: [Ring; 3],
    /// What the unfinished step of each coarse ring is made from.
    unfinished: [Step; 2],
}

#[derive(Debug, Clone, Copy)]
struct Step {
    number: i64,
    /// The greatest, or the sum.
    gathered: [f64; MEASURES],
    counts: [u32; MEASURES],
}

impl Default for Series {
    fn default() -> Self {
        Self {
            rings: RINGS.map(|(_, points_max)| Ring::new(points_max)),
            unfinished: [Step { number: 0, gathered: [0.0; MEASURES], counts: [0; MEASURES] }; 2],
        }
    }
}

impl Series {
    /// Adds what is known at a time, in Unix seconds; something is to be known every `interval_s`.
    pub fn push(&mut self, now_s: i64, numbers: [Option<f64>; MEASURES], interval_s: i64) {
        self.rings[0].push(now_s, numbers.map(Value::from), held(RINGS[0].0, interval_s));
        for (index, step) in self.unfinished.iter_mut().enumerate() {
            let number = now_s.div_euclid(RINGS[index + 1].0);
            if number != step.number {
                step.close(&mut self.rings[index + 1], held(RINGS[index + 1].0, interval_s));
                *step = Step { number, gathered: [0.0; MEASURES], counts: [0; MEASURES] };
            }
            step.add(numbers);
        }
    }

    /// The ring with steps of this length, if there is one.
    #[must_use]
    pub fn ring(&self, step_s: i64) -> Option<&Ring> {
        let index = RINGS.iter().position(|(length, _)| *length == step_s)?;
        Some(&self.rings[index])
    }

    /// All rings, the finest first.
    #[must_use]
    pub fn rings(&self) -> &[Ring; 3] {
        &self.rings
    }

    /// A series that goes on from these rings.
    #[must_use]
    pub fn of(rings: [Ring; 3]) -> Self {
        Self { rings, ..Self::default() }
    }

    /// When it was last added to, in Unix seconds.
    #[must_use]
    pub fn newest_s(&self) -> i64 {
        self.rings[0].newest()
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let rings: usize = self.rings.iter().map(Ring::bytes).sum();
        rings + size_of::<Self>() - 3 * size_of::<Ring>()
    }
}

impl Step {
    fn add(&mut self, numbers: [Option<f64>; MEASURES]) {
        for (index, number) in numbers.into_iter().enumerate() {
            let Some(number) = number else { continue };
            self.counts[index] += 1;
            match is_greatest(index) {
                true => self.gathered[index] = self.gathered[index].max(number),
                false => self.gathered[index] += number,
            }
        }
    }

    fn close(&self, ring: &mut Ring, held: i64) {
        let mut point: Point = UNKNOWN;
        for (index, count) in self.counts.into_iter().enumerate() {
            let gathered = self.gathered[index];
            point[index] = match count {
                0 => Value::NONE,
                _ if is_greatest(index) => Value::of(gathered),
                count => Value::of(gathered / f64::from(count)),
            };
        }
        if self.counts.iter().any(|count| *count > 0) {
            ring.push(self.number, point, held);
        }
    }
}

/// Over how many steps without a sample the last one holds: as many as an interval has. Longer steps have one each.
fn held(step_s: i64, interval_s: i64) -> i64 {
    if interval_s < step_s { 0 } else { interval_s.saturating_add(step_s - 1) / step_s }
}

/// Of depths the greatest of a step is kept, of rates the mean.
fn is_greatest(index: usize) -> bool {
    index == Measure::Depth as usize || index == Measure::InFlight as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(depth: f64, rate: f64) -> [Option<f64>; MEASURES] {
        [Some(depth), None, Some(rate), None, None, None]
    }

    fn pushed(seconds: std::ops::Range<i64>, depth: impl Fn(i64) -> f64) -> Series {
        let mut series = Series::default();
        for second in seconds {
            series.push(second, numbers(depth(second), second as f64), 1);
        }
        series
    }

    #[test]
    fn coarse_steps_keep_the_greatest_depth_and_the_mean_rate() {
        let series = pushed(0..121, |second| if second == 14 { 100.0 } else { 1.0 });
        let tens = series.ring(10).unwrap();
        let point = tens.points().nth(1).unwrap();
        assert_eq!((point[0].get(), point[2].get(), point[3].get()), (Some(100.0), Some(14.5), None));
        assert_eq!((tens.len(), tens.newest()), (12, 11));
        let minutes = series.ring(60).unwrap();
        assert_eq!((minutes.len(), minutes.newest()), (2, 1));
        assert_eq!(series.ring(1).unwrap().len(), 121);
        assert!(series.ring(7).is_none());
    }

    #[test]
    fn what_is_sampled_seldom_has_no_gaps() {
        for interval in [1, 5, 15, 70] {
            let mut series = Series::default();
            for second in (0..400).step_by(interval) {
                series.push(second, numbers(1.0, 1.0), interval as i64);
            }
            for ring in series.rings() {
                assert!(ring.points().all(|point| point[0].get() == Some(1.0)), "{interval}");
            }
        }
    }
}
