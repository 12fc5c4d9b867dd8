//! What the newest minutes of a row, a node or the cluster were like: its rates, and whether it grows. Pure, small, and kept for
//! everything that is shown, however much that is; the history, which is large, has a bound.
//!
//! Times are milliseconds of a clock that never goes back: what is wrong now does not hang on the date.

use crate::history::{MEASURES, Measure};

/// What was known of late.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recent {
    /// Since when anything is known.
    since_ms: u64,
    /// When it was last added to.
    newest_ms: u64,
    rate_in: Steps<RATE_STEPS>,
    rate_out: Steps<RATE_STEPS>,
    /// Not how fast, but how many; of channels only.
    timed_out: Steps<MINUTE_STEPS>,
    depth: Steps<RISE_STEPS>,
}

impl Recent {
    /// Nothing yet.
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            since_ms: now_ms,
            newest_ms: now_ms,
            rate_in: Steps::new(RATE_STEP_MS),
            rate_out: Steps::new(RATE_STEP_MS),
            timed_out: Steps::new(STEP_MS),
            depth: Steps::new(STEP_MS),
        }
    }

    /// Adds what is known at a time, and how many messages timed out since the last.
    pub(super) fn push(&mut self, now_ms: u64, numbers: &[Option<f64>; MEASURES], timed_out: Option<f64>) {
        let number = |measure: Measure| numbers[measure as usize];
        self.newest_ms = now_ms;
        self.rate_in.add(now_ms, number(Measure::In));
        self.rate_out.add(now_ms, number(Measure::Out));
        self.timed_out.add(now_ms, timed_out);
        self.depth.add(now_ms, number(Measure::Depth));
    }

    /// When it was last added to.
    pub(super) fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    /// Messages that came, a second, over the last ten; `None` where it is not known.
    pub(super) fn rate_in(&self) -> Option<f64> {
        self.rate_in.mean().map(tenths)
    }

    /// Messages that went, a second, over the last ten; `None` where it is not known.
    pub(super) fn rate_out(&self) -> Option<f64> {
        self.rate_out.mean().map(tenths)
    }

    /// Messages whose consumer took too long, in the last minute; `None` where it is not known.
    pub(super) fn timeouts_per_min(&self) -> Option<f64> {
        self.timed_out.sum().map(tenths)
    }

    /// Whether the depth has grown all the time for five minutes: each minute's mean above that of the minute before, and
    /// the whole by more than chance.
    pub(super) fn is_rising(&self) -> bool {
        if self.newest_ms.saturating_sub(self.since_ms) < RISE_MS {
            return false;
        }
        let newest_first: Vec<Step> = self.depth.newest_first().collect();
        let minutes: Option<Vec<f64>> = newest_first.chunks(MINUTE_STEPS).map(mean).collect();
        let Some(minutes) = minutes else { return false };
        let grows = minutes.windows(2).all(|pair| pair[0] > pair[1]);
        let (last, first) = (minutes[0], minutes[minutes.len() - 1]);
        grows && last - first >= RISE_MIN.max(first * RISE_SHARE_MIN)
    }
}

/// Numbers of the newest steps of one length.
#[derive(Debug, Clone, Copy)]
struct Steps<const N: usize> {
    step_ms: u64,
    /// The number of the newest step.
    newest: u64,
    /// Each at its number modulo how many there are.
    steps: [Step; N],
}

/// The numbers of a step: what they add up to, and how many they are.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    sum: f32,
    count: u32,
}

impl<const N: usize> Steps<N> {
    fn new(step_ms: u64) -> Self {
        Self { step_ms, newest: 0, steps: [Step::default(); N] }
    }

    fn add(&mut self, now_ms: u64, number: Option<f64>) {
        let step = now_ms / self.step_ms;
        for passed in 0..step.saturating_sub(self.newest).min(N as u64) {
            *self.at(step - passed) = Step::default();
        }
        self.newest = self.newest.max(step);
        if let Some(number) = number {
            let step = self.at(step);
            step.sum += number as f32;
            step.count += 1;
        }
    }

    fn at(&mut self, step: u64) -> &mut Step {
        // Below N, which is a usize.
        &mut self.steps[(step % N as u64) as usize]
    }

    fn newest_first(&self) -> impl Iterator<Item = Step> {
        // As above.
        let newest = (self.newest % N as u64) as usize;
        (0..N).map(move |ago| self.steps[(newest + N - ago) % N])
    }

    fn mean(&self) -> Option<f64> {
        mean(&self.steps)
    }

    fn sum(&self) -> Option<f64> {
        let is_known = self.steps.iter().any(|step| step.count > 0);
        is_known.then(|| self.steps.iter().map(|step| f64::from(step.sum)).sum())
    }
}

fn mean(steps: &[Step]) -> Option<f64> {
    let sum: f64 = steps.iter().map(|step| f64::from(step.sum)).sum();
    let count: u32 = steps.iter().map(|step| step.count).sum();
    (count > 0).then(|| sum / f64::from(count))
}

/// To a tenth: more is noise, and would make each row another one each second.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// Rates are means of so many steps of a second.
const RATE_STEPS: usize = 10;
const RATE_STEP_MS: u64 = 1_000;

/// What takes longer is told by steps of ten seconds.
const STEP_MS: u64 = 10_000;
const MINUTE_STEPS: usize = 6;
const RISE_STEPS: usize = 5 * MINUTE_STEPS;
/// The newest step has just begun.
const RISE_MS: u64 = (RISE_STEPS as u64 - 1) * STEP_MS;
/// What is less may be chance.
const RISE_MIN: f64 = 10.0;
const RISE_SHARE_MIN: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(seconds: impl Iterator<Item = u64>, depth: impl Fn(u64) -> f64) -> Recent {
        let mut recent = Recent::new(0);
        for second in seconds {
            let numbers = [Some(depth(second)), None, Some(second as f64), None, None, None];
            recent.push(second * 1_000, &numbers, (second > 0).then_some(0.5));
        }
        recent
    }

    #[test]
    fn rates_are_of_the_last_ten_seconds_however_often_one_asks() {
        let recent = pushed(0..100, |_| 0.0);
        assert_eq!((recent.rate_in(), recent.rate_out()), (Some(94.5), None));
        assert_eq!(recent.timeouts_per_min(), Some(30.0));
        // What is known for two seconds is not taken for a minute.
        assert_eq!(pushed(0..3, |_| 0.0).timeouts_per_min(), Some(1.0));
        assert_eq!(pushed((0..100).step_by(15), |_| 0.0).rate_in(), Some(90.0));
        assert_eq!(pushed((0..100).step_by(5), |_| 0.0).rate_in(), Some(92.5));
        let mut silent = recent;
        for second in 100..110 {
            silent.push(second * 1_000, &[None; MEASURES], None);
        }
        assert_eq!((silent.rate_in(), silent.timeouts_per_min()), (None, Some(25.0)));
        silent.push(1_000_000, &[None; MEASURES], None);
        assert_eq!(silent.timeouts_per_min(), None);
    }

    #[test]
    fn only_what_grows_for_five_minutes_is_rising() {
        let rises = |seconds: u64, depth: &dyn Fn(u64) -> f64| pushed(0..seconds, depth).is_rising();
        assert!(rises(320, &|second| second as f64));
        assert!(!rises(280, &|second| second as f64));
        assert!(!rises(320, &|_| 1_000.0));
        assert!(!rises(320, &|second| 320.0 - second as f64));
        assert!(!rises(320, &|second| second as f64 / 100.0));
        assert!(!rises(320, &|second| if second < 200 { 0.0 } else { second as f64 }));
        assert!(!rises(320, &|second| if (second / 60) % 2 == 0 { 500.0 } else { 100.0 }));
        assert!(pushed((0..400).step_by(15), |second| second as f64).is_rising());
    }
}
