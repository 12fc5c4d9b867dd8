//! What the naive model knows of a channel.

use std::collections::BTreeMap;

use nsq::wire::message::MessageId;

use super::Number;

#[derive(Debug, Default, Clone)]
pub(crate) struct ModelChannel {
    /// What is ready, and how often it was delivered. An upper bound where the channel may drop messages.
    pub(crate) ready: BTreeMap<Number, u16>,
    pub(crate) in_flight: BTreeMap<Number, InFlight>,
    pub(crate) deferred: BTreeMap<Number, Deferred>,
    pub(crate) paused: bool,
    /// Whether messages may go missing: it is ephemeral, or a consumer samples.
    pub(crate) may_drop: bool,
    /// First deliveries come in publish order: the newest message that was delivered for the first time.
    pub(crate) newest_first_delivery: Option<Number>,
    /// When each message was finished here.
    pub(crate) finished: BTreeMap<Number, Finished>,
}

#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    pub(crate) id: MessageId,
    /// Whose it is; the consumer may have gone.
    pub(crate) consumer: usize,
    pub(crate) attempts: u16,
    pub(crate) delivered_ns: u64,
    pub(crate) deadline_ns: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Finished {
    /// The number of the step.
    pub(crate) step: u64,
    pub(crate) at_ns: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Deferred {
    pub(crate) since_ns: u64,
    pub(crate) due_ns: u64,
    pub(crate) attempts: u16,
}

impl ModelChannel {
    pub(crate) fn new(may_drop: bool) -> Self {
        Self { may_drop, ..Self::default() }
    }

    pub(crate) fn defer(&mut self, number: Number, since_ns: u64, due_ns: u64, attempts: u16) {
        self.deferred.insert(number, Deferred { since_ns, due_ns, attempts });
    }

    pub(crate) fn in_flight_of(&self, consumer: usize) -> u64 {
        self.in_flight.values().filter(|message| message.consumer == consumer).count() as u64
    }

    /// What `consumer` has is ready for others.
    pub(crate) fn take_back_from(&mut self, consumer: usize) {
        self.take_back(|message| message.consumer == consumer);
    }

    /// What has been in flight for too long is ready again.
    pub(crate) fn time_out(&mut self, reached: impl Fn(u64) -> bool) {
        self.take_back(|message| reached(message.deadline_ns));
    }

    /// What is in flight is ready again.
    pub(crate) fn take_back_all(&mut self) {
        self.take_back(|_| true);
    }

    fn take_back(&mut self, is_over: impl Fn(&InFlight) -> bool) {
        let ready = &mut self.ready;
        self.in_flight.retain(|number, message| {
            let over = is_over(message);
            if over {
                ready.insert(*number, message.attempts);
            }
            !over
        });
    }

    /// What is due is ready.
    pub(crate) fn undefer(&mut self, now_ns: u64) {
        let ready = &mut self.ready;
        self.deferred.retain(|number, message| {
            let due = message.due_ns <= now_ns;
            if due {
                ready.insert(*number, message.attempts);
            }
            !due
        });
    }

    pub(crate) fn empty(&mut self, step: u64, at_ns: u64) {
        let emptied: Vec<Number> = self.unfinished().map(|(number, _)| number).collect();
        self.finished.extend(emptied.into_iter().map(|number| (number, Finished { step, at_ns })));
        self.ready.clear();
        self.in_flight.clear();
        self.deferred.clear();
    }

    /// Every message that is not finished here, and how often it was delivered.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (Number, u16)> {
        let ready = self.ready.iter().map(|(number, attempts)| (*number, *attempts));
        let in_flight = self.in_flight.iter().map(|(number, message)| (*number, message.attempts));
        let deferred = self.deferred.iter().map(|(number, message)| (*number, message.attempts));
        ready.chain(in_flight).chain(deferred)
    }
}
