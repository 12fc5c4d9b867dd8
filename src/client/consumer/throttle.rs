//! When work fails: take nothing for a while, then one message at a time, until it succeeds again.
//!
//! Pure: it is told of outcomes and of the time, and says how many messages may be in flight.
//!
//! ```text
//!           failure                    time is up
//!   Open ────────────► Paused ─────────────────────► Testing
//!    ▲                   ▲  failure: a longer pause      │
//!    │                   ├───────────────────────────────┤
//!    │                   └─ success, failures are left: ─┤
//!    │                      a shorter pause              │
//!    └───────────── success, no failure is left ─────────┘
//! ```
//!
//! Outcomes of messages that were in flight when the pause began say nothing new and are not counted.

use std::time::Instant;

use crate::client::backoff::Backoff;

#[derive(Debug)]
pub(super) struct Throttle {
    backoff: Backoff,
    /// Failures that no success has made good for.
    failures: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Paused { until: Instant },
    Testing,
}

impl Throttle {
    /// A backoff whose longest delay is zero never pauses.
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, failures: 0, state: State::Open }
    }

    /// How many messages may be in flight, of `limit` at best.
    pub(super) fn limit(&self, limit: u32) -> u32 {
        match self.state {
            State::Open => limit,
            State::Paused { .. } => 0,
            State::Testing => limit.min(1),
        }
    }

    pub(super) fn handle_success(&mut self, now: Instant) {
        if self.state == State::Testing {
            self.failures -= 1;
            self.state = if self.failures == 0 { State::Open } else { self.pause(now) };
        }
    }

    pub(super) fn handle_failure(&mut self, now: Instant) {
        if matches!(self.state, State::Paused { .. }) || self.backoff.max.is_zero() {
            return;
        }
        // A longer row of failures would not pause for longer, but need more successes.
        if self.failures == 0 || self.backoff.delay(self.failures) < self.backoff.max {
            self.failures += 1;
        }
        self.state = self.pause(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Paused { until } => Some(until),
            State::Open | State::Testing => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|until| until <= now) {
            self.state = State::Testing;
        }
    }

    fn pause(&self, now: Instant) -> State {
        State::Paused { until: now + self.backoff.delay(self.failures) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What happens, and what may be in flight of 10 then; `time 3` moves the clock by seconds.
    fn check(script: &[(&str, u32)]) {
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(4) };
        let mut throttle = Throttle::new(backoff);
        let mut now = Instant::now();
        for (line, (event, limit)) in script.iter().enumerate() {
            match event.split_once(' ') {
                Some(("time", seconds)) => {
                    now += Duration::from_secs(seconds.parse().unwrap());
                    throttle.handle_timeout(now);
                }
                _ if *event == "success" => throttle.handle_success(now),
                _ => throttle.handle_failure(now),
            }
            assert_eq!(throttle.limit(10), *limit, "line {line}: {event}");
        }
    }

    #[test]
    fn a_failure_pauses_and_a_success_after_it_opens_again() {
        check(&[("success", 10), ("failure", 0), ("time 0", 0), ("time 1", 1), ("success", 10)]);
    }

    #[test]
    fn each_further_failure_pauses_for_longer() {
        check(&[
            ("failure", 0),
            ("time 1", 1),
            ("failure", 0),
            ("time 1", 0),
            ("time 1", 1),
            ("success", 0),
            ("time 1", 1),
            ("success", 10),
        ]);
    }

    #[test]
    fn what_was_in_flight_before_the_pause_is_not_counted() {
        check(&[("failure", 0), ("failure", 0), ("success", 0), ("time 1", 1), ("success", 10)]);
    }

    #[test]
    fn the_row_of_failures_ends_with_the_longest_pause() {
        let mut script = vec![];
        for _ in 0..10 {
            script.extend([("failure", 0), ("time 4", 1)]);
        }
        script.extend([("success", 0), ("time 2", 1), ("success", 0), ("time 1", 1), ("success", 10)]);
        check(&script);
    }

    #[test]
    fn it_can_be_turned_off() {
        let mut throttle = Throttle::new(Backoff { first: Duration::from_secs(1), max: Duration::ZERO });
        throttle.handle_failure(Instant::now());
        assert_eq!(throttle.limit(10), 10);
    }
}
