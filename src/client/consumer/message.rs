//! A message that was received, and what its holder says of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::mailbox::{Mailbox, Outcome, Verdict};
use crate::client::backoff::Backoff;
use crate::wire::message::MessageId;

/// A message in flight to this consumer. Whoever holds it settles it: [`finish`](Self::finish), [`fail`](Self::fail),
/// [`requeue`](Self::requeue) or [`release`](Self::release). One that is dropped unsettled has failed: so a panic
/// loses nothing.
///
/// None of these waits; the outcome is sent in the background. It is not confirmed: when the connection is lost or the
/// message's time is up before, the message comes again.
pub struct Message {
    pub(super) timestamp_ns: i64,
    pub(super) attempts: u16,
    pub(super) id: MessageId,
    pub(super) body: Bytes,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) came: Instant,
    /// For how long it is this consumer's, unless it is touched.
    pub(super) held_for: Duration,
    pub(super) requeue: Backoff,
    pub(super) is_settled: bool,
}

impl Message {
    /// What was published.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What nsqd calls it; the same in every channel of the topic.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// How often it was sent on this channel, this time included.
    #[must_use]
    pub fn attempts(&self) -> u16 {
        self.attempts
    }

    /// When it was published, in nanoseconds of Unix time.
    #[must_use]
    pub fn timestamp_ns(&self) -> i64 {
        self.timestamp_ns
    }

    /// The nsqd it came from, as it was given or named by nsqlookupd.
    #[must_use]
    pub fn nsqd(&self) -> &str {
        self.mailbox.address()
    }

    /// Whether the connection it came on was lost: then nsqd gives it to somebody else, and work on it is in vain.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.mailbox.is_closed()
    }

    /// It is done (`FIN`).
    pub fn finish(mut self) {
        self.settle(Outcome::Finish);
    }

    /// The work failed: it comes again after a delay that grows with its attempts
    /// ([`ConsumerOptions::requeue`](super::ConsumerOptions::requeue)), and the consumer slows down
    /// ([`ConsumerOptions::backoff`](super::ConsumerOptions::backoff)).
    pub fn fail(mut self) {
        self.settle_failed();
    }

    /// The work failed: it comes again after `delay` (whole milliseconds; nsqd shortens it to its `--max-req-timeout`),
    /// and the consumer slows down.
    pub fn requeue(mut self, delay: Duration) {
        self.settle(Outcome::Requeue(delay, Verdict::Failure));
    }

    /// Gives it back at once: nothing failed, somebody else may have it.
    pub fn release(mut self) {
        self.settle(Outcome::Requeue(Duration::ZERO, Verdict::None));
    }

    /// Asks for more time (`TOUCH`): its timeout begins anew.
    pub fn touch(&self) {
        self.mailbox.touch(self.id);
    }

    /// Whether it is still this consumer's, as far as that can be known.
    pub(super) fn is_held(&self, now: Instant) -> bool {
        now.duration_since(self.came) < self.held_for && !self.is_lost()
    }

    /// It is not this consumer's any more, and nobody has seen it.
    pub(super) fn lapse(mut self) {
        self.settle(Outcome::Lapsed { came: self.came });
    }

    fn settle_failed(&mut self) {
        let delay = self.requeue.delay(self.attempts.into());
        self.settle(Outcome::Requeue(delay, Verdict::Failure));
    }

    fn settle(&mut self, outcome: Outcome) {
        self.is_settled = true;
        self.mailbox.settle(self.id, outcome);
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if !self.is_settled {
            self.settle_failed();
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("attempts", &self.attempts)
            .field("body_bytes", &self.body.len())
            .field("nsqd", &self.nsqd())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settle: impl FnOnce(Message), outcome: Outcome) {
        let mailbox = Arc::new(Mailbox::new("nsqd:4150".to_owned()));
        let message = Message {
            timestamp_ns: 0,
            attempts: 3,
            id: MessageId::from_u64(7),
            body: Bytes::new(),
            mailbox: Arc::clone(&mailbox),
            came: Instant::now(),
            held_for: Duration::ZERO,
            requeue: Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) },
            is_settled: false,
        };
        settle(message);
        assert_eq!(mailbox.take().settled, [(MessageId::from_u64(7), outcome)], "settled once");
    }

    #[test]
    fn each_end_of_a_message_is_one_outcome() {
        let requeue = |seconds, verdict| Outcome::Requeue(Duration::from_secs(seconds), verdict);
        check(Message::finish, Outcome::Finish);
        check(Message::fail, requeue(4, Verdict::Failure));
        check(|message| message.requeue(Duration::from_secs(9)), requeue(9, Verdict::Failure));
        check(Message::release, requeue(0, Verdict::None));
    }

    #[test]
    fn a_dropped_message_has_failed() {
        check(drop, Outcome::Requeue(Duration::from_secs(4), Verdict::Failure));
    }
}
