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
    /// Adds what is known at a time, in Unix seconds.
    pub fn push(&mut self, now_s: i64, numbers: [Option<f64>; MEASURES]) {
        self.rings[0].push(now_s, numbers.map(Value::from));
        for (index, step) in self.unfinished.iter_mut().enumerate() {
            let number = now_s.div_euclid(RINGS[index + 1].0);
            if number != step.number {
                step.close(&mut self.rings[index + 1]);
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

    /// The mean of the newest numbers of a measure, one a second; `None` where none is known.
    #[must_use]
    pub fn mean(&self, measure: Measure, seconds: usize) -> Option<f64> {
        let known: Vec<f64> = self.rings[0].latest(measure, seconds).flatten().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }

    /// Whether the depth has grown all the time for five minutes: each minute's mean above that of the minute before, and
    /// the whole by more than chance.
    #[must_use]
    pub fn is_rising(&self) -> bool {
        let newest_first: Vec<f64> = self.rings[1].latest(Measure::Depth, RISE_STEPS).flatten().collect();
        if newest_first.len() < RISE_STEPS {
            return false;
        }
        let mean = |minute: &[f64]| minute.iter().sum::<f64>() / minute.len() as f64;
        let minutes: Vec<f64> = newest_first.chunks(STEPS_IN_MINUTE).map(mean).collect();
        let grows = minutes.windows(2).all(|pair| pair[0] > pair[1]);
        let (last, first) = (minutes[0], minutes[minutes.len() - 1]);
        grows && last - first >= RISE_MIN.max(first * RISE_SHARE_MIN)
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

    fn close(&self, ring: &mut Ring) {
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
            ring.push(self.number, point);
        }
    }
}

/// Of depths the greatest of a step is kept, of rates the mean.
fn is_greatest(index: usize) -> bool {
    index == Measure::Depth as usize || index == Measure::InFlight as usize
}

const STEPS_IN_MINUTE: usize = 6;
const RISE_STEPS: usize = 5 * STEPS_IN_MINUTE;
/// What is less may be chance.
const RISE_MIN: f64 = 10.0;
const RISE_SHARE_MIN: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(depth: f64, rate: f64) -> [Option<f64>; MEASURES] {
        [Some(depth), None, Some(rate), None, None, None]
    }

    fn pushed(seconds: std::ops::Range<i64>, depth: impl Fn(i64) -> f64) -> Series {
        let mut series = Series::default();
        for second in seconds {
            series.push(second, numbers(depth(second), second as f64));
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
        assert_eq!(series.mean(Measure::In, 3), Some(119.0));
        assert!(series.ring(7).is_none());
    }

    #[test]
    fn only_what_grows_for_five_minutes_is_rising() {
        assert!(pushed(0..320, |second| second as f64).is_rising());
        assert!(!pushed(0..250, |second| second as f64).is_rising());
        assert!(!pushed(0..320, |_| 1_000.0).is_rising());
        assert!(!pushed(0..320, |second| 320.0 - second as f64).is_rising());
        assert!(!pushed(0..320, |second| second as f64 / 100.0).is_rising());
        assert!(!pushed(0..320, |second| if second < 200 { 0.0 } else { second as f64 }).is_rising());
        let wave = |second: i64| if (second / 60) % 2 == 0 { 500.0 } else { 100.0 };
        assert!(!pushed(0..320, wave).is_rising());
    }
}
