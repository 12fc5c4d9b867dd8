//! Which of its nsqd a producer connects to next, and after which pause.
//!
//! Pure: it counts what succeeded and failed. The producer stays with an nsqd for as long as it can, so that its
//! messages keep their order; when it fails the next one has its turn at once, and only when all of them failed in a
//! row there is a pause, longer after each round.
//!
//! ```text
//!              handle_failed: others are left
//!            ┌───────────────────────────────┐
//!            ▼                               │
//!          dial the current one ── fails ── the next one is current
//!            ▲                               │ handle_failed: all of them failed
//!            └────────── pause ◄─────────────┘
//! ```

use std::time::Duration;

use crate::client::backoff::Backoff;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Connect to the nsqd with this index.
    Dial(usize),
    /// Wait this long, then ask again.
    Pause(Duration),
}

#[derive(Debug)]
pub(super) struct Rotation {
    /// How many nsqd there are; never 0.
    addresses: usize,
    /// Always less than `addresses`.
    current: usize,
    /// How many failed since one was of use or all had failed; always less than `addresses`.
    failed: usize,
    /// How often all failed in a row.
    rounds: u32,
    /// What is to be waited before the next dial.
    pause: Option<Duration>,
    backoff: Backoff,
}

impl Rotation {
    pub(super) fn new(addresses: usize, backoff: Backoff) -> Self {
        assert!(addresses > 0, "a producer has an nsqd");
        Self { addresses, current: 0, failed: 0, rounds: 0, pause: None, backoff }
    }

    pub(super) fn poll_step(&mut self) -> Step {
        self.pause.take().map_or(Step::Dial(self.current), Step::Pause)
    }

    /// The current nsqd took a message: all is well.
    pub(super) fn handle_success(&mut self) {
        self.failed = 0;
        self.rounds = 0;
    }

    /// The current nsqd could not be reached, or is of no use. Says whether it was the last of a round. `random` is
    /// in 0 to 1.
    pub(super) fn handle_failed(&mut self, random: f64) -> bool {
        self.current = (self.current + 1) % self.addresses;
        self.failed += 1;
        if self.failed < self.addresses {
            return false;
        }
        self.failed = 0;
        self.rounds = self.rounds.saturating_add(1);
        self.pause = Some(self.backoff.jittered(self.rounds, random));
        true
    }

    /// The connection to the current nsqd was lost after it `stood` for a while.
    pub(super) fn handle_lost(&mut self, stood: Duration, random: f64) {
        if stood >= self.backoff.max {
            self.handle_success();
        }
        self.handle_failed(random);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(10) };

    /// A word for each thing that happens; the steps that follow are compared.
    fn check(addresses: usize, script: &[(&str, &[Step])]) {
        let mut rotation = Rotation::new(addresses, BACKOFF);
        for (index, (event, steps)) in script.iter().enumerate() {
            match *event {
                "start" => {}
                "success" => rotation.handle_success(),
                "failed" => assert!(!rotation.handle_failed(1.0), "line {index}: not all have failed"),
                "last failed" => assert!(rotation.handle_failed(1.0), "line {index}: all have failed"),
                "lost at once" => rotation.handle_lost(Duration::ZERO, 1.0),
                "lost after hours" => rotation.handle_lost(Duration::from_secs(7200), 1.0),
                other => panic!("{other} is no event"),
            }
            for step in *steps {
                assert_eq!(rotation.poll_step(), *step, "line {index}, {event}");
            }
        }
    }

    const fn pause(milliseconds: u64) -> Step {
        Step::Pause(Duration::from_millis(milliseconds))
    }

    #[test]
    fn the_next_nsqd_has_its_turn_at_once() {
        check(
            3,
            &[
                ("start", &[Step::Dial(0)]),
                ("failed", &[Step::Dial(1)]),
                ("failed", &[Step::Dial(2)]),
                ("last failed", &[pause(100), Step::Dial(0)]),
                ("failed", &[Step::Dial(1)]),
                ("success", &[Step::Dial(1)]),
                ("lost at once", &[Step::Dial(2)]),
            ],
        );
    }

    #[test]
    fn pauses_grow_until_an_nsqd_is_of_use() {
        check(
            1,
            &[
                ("last failed", &[pause(100), Step::Dial(0)]),
                ("last failed", &[pause(200), Step::Dial(0)]),
                ("lost at once", &[pause(400), Step::Dial(0)]),
                ("success", &[Step::Dial(0)]),
                ("lost at once", &[pause(100), Step::Dial(0)]),
                ("lost at once", &[pause(200), Step::Dial(0)]),
                ("lost after hours", &[pause(100), Step::Dial(0)]),
            ],
        );
    }

    proptest! {
        #[test]
        fn every_nsqd_is_tried_once_between_two_pauses(addresses in 1_usize..6, rounds in 1_usize..5) {
            let mut rotation = Rotation::new(addresses, BACKOFF);
            for _ in 0..rounds {
                for expected in 0..addresses {
                    prop_assert_eq!(rotation.poll_step(), Step::Dial(expected));
                    prop_assert_eq!(rotation.handle_failed(0.5), expected + 1 == addresses);
                }
                prop_assert!(matches!(rotation.poll_step(), Step::Pause(_)));
            }
        }
    }
}
