//! When nsqlookupd is asked next.
//!
//! Pure. The first time at once, then at an interval that chance shortens, so that many consumers do not ask at the
//! same moment; sooner while no nsqd is known, for then a message may be waiting that nobody fetches.

use std::time::{Duration, Instant};

use crate::client::backoff::{Backoff, LONGEST};

/// How soon nsqlookupd is asked again when it named nobody.
const FIRST_REPEAT: Duration = Duration::from_secs(1);

/// No nsqlookupd is asked more often than this, whatever the options say.
const SHORTEST: Duration = Duration::from_millis(10);

/// How much of the interval chance may take away.
const JITTER: f64 = 0.3;

#[derive(Debug)]
pub(super) struct Polls {
    interval: Duration,
    /// How often in a row nobody was known after asking.
    fruitless: u32,
    next: Instant,
}

impl Polls {
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval: interval.clamp(SHORTEST, LONGEST), fruitless: 0, next: now }
    }

    /// The answers are there. `random` is in 0 to 1.
    pub(super) fn handle_answered(&mut self, knows_nsqd: bool, now: Instant, random: f64) {
        self.fruitless = if knows_nsqd { 0 } else { self.fruitless.saturating_add(1) };
        let pause = if knows_nsqd {
            self.interval.mul_f64(1.0 - JITTER * random.clamp(0.0, 1.0))
        } else {
            Backoff { first: FIRST_REPEAT, max: self.interval }.jittered(self.fruitless, random)
        };
        self.next = now + pause;
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nsqlookupd_is_asked_at_intervals_and_more_often_while_nobody_is_known() {
        let mut now = Instant::now();
        let mut polls = Polls::new(Duration::from_secs(60), now);
        assert_eq!(polls.poll_timeout(), now, "the first time at once");
        for (knows_nsqd, random, milliseconds) in [
            (false, 1.0, 1000),
            (false, 0.0, 1000),
            (false, 1.0, 4000),
            (true, 0.0, 60_000),
            (true, 1.0, 42_000),
            (false, 1.0, 1000),
        ] {
            polls.handle_answered(knows_nsqd, now, random);
            assert_eq!(polls.poll_timeout(), now + Duration::from_millis(milliseconds));
            now = polls.poll_timeout();
        }
    }

    #[test]
    fn a_fruitless_row_does_not_go_beyond_the_interval() {
        let now = Instant::now();
        let mut polls = Polls::new(Duration::from_secs(5), now);
        for _ in 0..40 {
            polls.handle_answered(false, now, 1.0);
        }
        assert_eq!(polls.poll_timeout(), now + Duration::from_secs(5));
    }

    #[test]
    fn an_interval_is_neither_none_nor_endless() {
        let now = Instant::now();
        for (interval, pause) in [(Duration::ZERO, SHORTEST), (Duration::MAX, LONGEST)] {
            let mut polls = Polls::new(interval, now);
            polls.handle_answered(true, now, 0.0);
            assert_eq!(polls.poll_timeout(), now + pause);
        }
    }
}
