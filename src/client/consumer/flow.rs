//! How many messages may be in flight, and where: what [`throttle`](super::throttle) allows, spread by
//! [`ready`](super::ready).
//!
//! Pure. The links say what happens; after each call [`poll_changed`](Flow::poll_changed) names the links whose ready
//! count has changed.

use std::time::Instant;

use super::mailbox::Verdict;
use super::ready::{Distribution, Key};
use super::throttle::Throttle;
use crate::client::backoff::Backoff;

#[derive(Debug)]
pub(super) struct Flow {
    max_in_flight: u32,
    throttle: Throttle,
    distribution: Distribution,
}

impl Flow {
    pub(super) fn new(max_in_flight: u32, backoff: Backoff) -> Self {
        let (throttle, distribution) = (Throttle::new(backoff), Distribution::new(max_in_flight));
        Self { max_in_flight, throttle, distribution }
    }

    /// A link begins; nsqd allows it a ready count of at most `ready_max`.
    pub(super) fn join(&mut self, key: Key, ready_max: u32, now: Instant) {
        self.distribution.join(key, ready_max, now);
    }

    /// A link ends.
    pub(super) fn leave(&mut self, key: Key, now: Instant) {
        self.distribution.leave(key, now);
    }

    /// A link got a message.
    pub(super) fn handle_delivered(&mut self, key: Key) {
        self.distribution.handle_delivered(key);
    }

    /// A link's message was settled.
    pub(super) fn handle_settled(&mut self, key: Key, verdict: Verdict, now: Instant) {
        match verdict {
            Verdict::Success => self.throttle.handle_success(now),
            Verdict::Failure => self.throttle.handle_failure(now),
            Verdict::None => {}
        }
        // First the limit: it must not give what is free now to somebody who loses it at once.
        self.distribution.set_limit(self.throttle.limit(self.max_in_flight), now);
        self.distribution.handle_settled(key, now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.throttle.poll_timeout(), self.distribution.poll_timeout()].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.throttle.handle_timeout(now);
        self.distribution.set_limit(self.throttle.limit(self.max_in_flight), now);
        self.distribution.handle_timeout(now);
    }

    pub(super) fn poll_changed(&mut self) -> Option<Key> {
        self.distribution.poll_changed()
    }

    /// The ready count of a link.
    pub(super) fn ready(&self, key: Key) -> u32 {
        self.distribution.ready(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::consumer::ready::READ_TIME;

    #[test]
    fn after_a_failure_one_link_tests_with_one_message() {
        let backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) };
        let start = Instant::now();
        let mut flow = Flow::new(10, backoff);
        flow.join(0, 2500, start);
        flow.join(1, 2500, start);
        flow.handle_timeout(start + READ_TIME);
        assert_eq!((flow.ready(0), flow.ready(1)), (5, 5));
        flow.handle_delivered(0);
        flow.handle_settled(0, Verdict::Failure, start);
        assert_eq!((flow.ready(0), flow.ready(1)), (0, 0));
        let later = start + Duration::from_secs(1);
        flow.handle_timeout(start + 2 * READ_TIME);
        assert_eq!(flow.poll_timeout(), Some(later));
        flow.handle_timeout(later);
        assert_eq!((flow.ready(0), flow.ready(1)), (1, 0));
        flow.handle_delivered(0);
        flow.handle_settled(0, Verdict::Success, later);
        assert_eq!((flow.ready(0), flow.ready(1)), (5, 5));
    }
}
