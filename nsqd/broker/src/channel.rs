//! A channel: a cursor over the topic's log, and the few messages that are out of order.
//!
//! ```text
//!              deliver                    finish
//!   unread  ------------>  in flight  ------------>  (gone)
//!   (cursor)                |  |  ^
//!             timeout, REQ 0 |  | REQ, DPUB       deliver
//!                           v  v  +-----------------------+
//!                    requeued  deferred                   |
//!                       |  ^---- due ----+                |
//!                       +---------------------------------+
//! ```

mod oldest;

use std::collections::VecDeque;
use std::time::Duration;

use slab::Slab;

use nsq::wire::message::MessageId;
use nsq::wire::name::ChannelName;

use crate::batch::{Record, set_attempts};
use crate::consumer::{Attention, Consumer, ConsumerSettings, ConsumerStats, Locality};
use crate::deferred::Deferred;
pub use crate::in_flight::AckError;
use crate::in_flight::{InFlight, NewEntry};
use crate::log::{Cursor, Found, Held, Log};
use crate::notes::Notes;
use crate::quantile::LatencyWindow;
use crate::requeued::Requeued;
use crate::storage::{ChannelImage, ChannelProgress, Unfinished};
use crate::time::Now;

/// How many messages one call to `deliver` looks at, so that a topic's lock is never held for long.
const DELIVER_SCAN_MAX: u64 = 4096;

/// How many messages one call moves from their deadlines to the queue.
const EXPIRE_MAX: usize = 4096;

/// How many requeued messages ahead the disk is asked for.
const REQUEUED_READ_AHEAD: usize = 16;

/// A message that a consumer is given.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    frame: &'a [u8],
    /// How often it has been delivered on this channel, this time included.
    pub attempts: u16,
}

impl Delivery<'_> {
    /// Appends the whole message frame, ready to be sent.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.frame);
        if self.attempts != 1 {
            set_attempts(&mut out[start..], self.attempts);
        }
    }

    /// How long the message frame is, in bytes.
    pub fn frame_bytes(&self) -> usize {
        self.frame.len()
    }
}

/// A channel's figures (spec nsqd-operation.md, §7). Counters are since start.
#[derive(Debug, Clone)]
pub struct ChannelStats {
    /// The channel's name.
    pub name: ChannelName,
    /// Messages that wait to be delivered.
    pub depth: u64,
    /// How many of them are on the disk.
    pub backend_depth: u64,
    /// Messages delivered and not answered, those of consumers that have gone included.
    pub in_flight: u64,
    /// Messages that wait for their time.
    pub deferred: u64,
    /// How long ago the oldest message was published that waits or is in flight, in milliseconds: 0 exactly when there
    /// is none, `None` when that is not known.
    pub oldest_age_ms: Option<u64>,
    /// Messages received from the topic.
    pub messages: u64,
    /// Deliveries of messages that were in memory, by the locality of who got them, the nearest first.
    pub memory_deliveries: [u64; Locality::COUNT],
    /// Messages given back by consumers.
    pub requeued: u64,
    /// Messages whose consumer kept them too long, or went away.
    pub timed_out: u64,
    /// Whether the channel is paused.
    pub paused: bool,
    /// The consumers, in the order of their keys.
    pub consumers: Vec<(crate::ConsumerKey, ConsumerStats)>,
    /// Publish-to-finish times, if they are measured.
    pub latency: Option<crate::quantile::Histogram>,
}

#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) name: ChannelName,
    ephemeral: bool,
    pub(crate) paused: bool,
    pub(crate) cursor: Cursor,
    requeued: Requeued,
    in_flight: InFlight,
    deferred: Deferred,
    pub(crate) consumers: Slab<Consumer>,
    /// Consumers that wait for messages, a line for each locality, the nearest first; in a line those that have waited
    /// longest. Some may have lost interest.
    lines: [VecDeque<u32>; Locality::COUNT],
    /// Consumers that were woken and have not asked yet, by locality.
    woken: [u64; Locality::COUNT],
    /// Whether the next message is to be a requeued one, if there is one.
    requeued_turn: bool,
    /// The ordinal from which on messages count as received here.
    start_ordinal: u64,
    deferred_received: u64,
    memory_deliveries: [u64; Locality::COUNT],
    requeue_count: u64,
    timeout_count: u64,
    latency: Option<LatencyWindow>,
    /// Kept where progress is saved apart from the state.
    notes: Option<Notes>,
}

/// One call to `deliver`, while it goes on.
struct Round<'a> {
    now: Now,
    /// The ordinal up to which the channel may see messages.
    released: u64,
    consumer: u32,
    /// How many messages may still be given.
    left: u64,
    bytes_left: usize,
    scanned: u64,
    sink: &'a mut dyn FnMut(Delivery<'_>),
}

/// Where a message that is handed over was found.
#[derive(Debug, Clone, Copy)]
struct Origin {
    /// It was read back from the disk.
    from_disk: bool,
    /// It is the next one at the cursor, so that it is behind all that were there before.
    at_cursor: bool,
}

/// A way to take messages for a round. Returns whether there was one that could be taken.
type Take = fn(&mut Channel, &mut Log, &mut Round<'_>) -> bool;

impl Channel {
    pub(crate) fn new(
        name: ChannelName,
        cursor: Cursor,
        start_ordinal: u64,
        latency: Option<LatencyWindow>,
        notes_progress: bool,
    ) -> Self {
        Self {
            name,
            ephemeral: name.is_ephemeral(),
            paused: false,
            cursor,
            requeued: Requeued::default(),
            in_flight: InFlight::default(),
            deferred: Deferred::default(),
            consumers: Slab::new(),
            lines: Default::default(),
            woken: [0; Locality::COUNT],
            requeued_turn: true,
            start_ordinal,
            deferred_received: 0,
            memory_deliveries: [0; Locality::COUNT],
            requeue_count: 0,
            timeout_count: 0,
            latency,
            notes: notes_progress.then(Notes::default),
        }
    }

    // ---- getters -------------------------------------------------------------------------------------

    /// Messages that wait to be delivered, those up to `released` that the cursor has before it included.
    pub(crate) fn depth(&self, log: &Log, released: u64) -> u64 {
        released - log.ordinal(self.cursor) + self.requeued.len() as u64
    }

    pub(crate) fn is_ephemeral(&self) -> bool {
        self.ephemeral
    }

    /// Whether any consumer may be waiting.
    pub(crate) fn has_line(&self) -> bool {
        self.lines.iter().any(|line| !line.is_empty())
    }

    pub(crate) fn in_flight_len(&self) -> u64 {
        self.in_flight.len() as u64
    }

    /// Messages that were passed and are not finished.
    pub(crate) fn unfinished_len(&self) -> u64 {
        (self.in_flight.len() + self.requeued.len() + self.deferred.len()) as u64
    }

    pub(crate) fn is_at_end(&self, log: &Log) -> bool {
        log.ordinal(self.cursor) == log.end_ordinal()
    }

    /// The monotonic moment at which something here is due.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        [self.in_flight.next_ns(), self.deferred.next_ns()].into_iter().flatten().min()
    }

    pub(crate) fn stats(&self, log: &Log, released: u64, key: u32, now: Now) -> ChannelStats {
        let unread = log.ordinal(self.cursor);
        ChannelStats {
            name: self.name,
            depth: self.depth(log, released),
            backend_depth: log.spilled_ordinal().min(released).saturating_sub(unread),
            in_flight: self.in_flight_len(),
            deferred: self.deferred.len() as u64,
            oldest_age_ms: self.oldest_age_ms(log, released, now),
            messages: released - self.start_ordinal.min(released) + self.deferred_received,
            memory_deliveries: self.memory_deliveries,
            requeued: self.requeue_count,
            timed_out: self.timeout_count,
            paused: self.paused,
            consumers: (self.consumers.iter())
                .map(|(number, consumer)| {
                    let key =
                        crate::ConsumerKey { channel: key, consumer: number as u32, serial: consumer.serial };
                    (key, consumer.stats)
                })
                .collect(),
            latency: self.latency.as_ref().map(|window| window.histogram(now.monotonic_ns)),
        }
    }

    // ---- consumers -----------------------------------------------------------------------------------

    pub(crate) fn add_consumer(&mut self, serial: u64, settings: ConsumerSettings) -> u32 {
        self.consumers.insert(Consumer::new(serial, settings)) as u32
    }

    /// A consumer goes; its messages are ready for others at once, or wait for their time-out.
    pub(crate) fn remove_consumer(&mut self, consumer: u32, requeue: bool) {
        let mut gone = self.consumers.remove(consumer as usize);
        if gone.in_line {
            self.lines[gone.locality()].retain(|number| *number != consumer);
        }
        if gone.attention == Attention::Woken {
            self.woken[gone.locality()] -= 1;
        }
        while let Some(key) = gone.owned.first() {
            if requeue {
                let entry = self.in_flight.remove(key, Some(&mut gone.owned));
                self.timeout_count += 1;
                self.ready_again(entry.held);
            } else {
                self.in_flight.disown(key, &mut gone.owned);
            }
        }
    }

    pub(crate) fn set_ready(&mut self, consumer: u32, count: u64) {
        self.consumers[consumer as usize].stats.ready_count = count;
    }

    /// Lets consumers that wait know that `ready` messages are there, the nearest first.
    pub(crate) fn wake(&mut self, ready: u64, mut wake: impl FnMut(u32, u64)) {
        if self.paused {
            return;
        }
        let mut woken: u64 = self.woken.iter().sum();
        while woken < ready {
            let Some(number) = self.lines.iter_mut().find_map(VecDeque::pop_front) else { break };
            let consumer = &mut self.consumers[number as usize];
            consumer.in_line = false;
            if consumer.attention == Attention::Waiting {
                consumer.attention = Attention::Away;
                if consumer.credit() > 0 {
                    consumer.attention = Attention::Woken;
                    self.woken[consumer.locality()] += 1;
                    woken += 1;
                    wake(number, consumer.serial);
                }
            }
        }
    }

    /// How much credit there is among those that wait for messages.
    pub(crate) fn waiting_credit(&self) -> u64 {
        let waiting = self.consumers.iter().filter(|(_, consumer)| consumer.attention != Attention::Away);
        waiting.map(|(_, consumer)| consumer.credit()).sum()
    }

    /// A consumer has credit again without having done anything itself: it may not know to ask.
    fn wait_again(&mut self, number: u32) {
        let consumer = &self.consumers[number as usize];
        if consumer.attention == Attention::Away && consumer.credit() > 0 {
            self.wait(number);
        }
    }

    fn wait(&mut self, number: u32) {
        let consumer = &mut self.consumers[number as usize];
        consumer.attention = Attention::Waiting;
        if !consumer.in_line {
            consumer.in_line = true;
            self.lines[consumer.locality()].push_back(number);
        }
    }

    // ---- delivering ----------------------------------------------------------------------------------

    /// The consumer asks, woken or not. Returns how many messages more it may have.
    pub(crate) fn attend(&mut self, consumer: u32) -> u64 {
        let asking = &mut self.consumers[consumer as usize];
        if asking.attention == Attention::Woken {
            self.woken[asking.locality()] -= 1;
        }
        asking.attention = Attention::Away;
        asking.credit()
    }

    /// Gives `consumer` what it may have: its share of what is ready, at most about `bytes_max` bytes.
    /// Returns whether to ask again at once; if not, the consumer is woken when there is something.
    pub(crate) fn deliver(
        &mut self,
        log: &mut Log,
        released: u64,
        now: Now,
        consumer: u32,
        bytes_max: usize,
        sink: &mut dyn FnMut(Delivery<'_>),
    ) -> bool {
        let (credit, locality) = {
            let consumer = &self.consumers[consumer as usize];
            (consumer.credit(), consumer.locality())
        };
        let ready = if self.paused { 0 } else { self.depth(log, released) };
        // Others that were woken for these messages are about to ask: they get their share, and one that is nearer
        // its message.
        let (nearer, others) = self.woken.split_at(locality);
        let (nearer, others): (u64, u64) = (nearer.iter().sum(), others.iter().sum());
        let share = ready.saturating_sub(nearer).div_ceil(others + 1);
        let left = credit.min(share);
        let mut round = Round { now, released, consumer, left, bytes_left: bytes_max, scanned: 0, sink };
        while round.left > 0 && round.bytes_left > 0 && round.scanned < DELIVER_SCAN_MAX {
            let (first, second): (Take, Take) = match self.requeued_turn {
                true => (Self::take_requeued, Self::take_unread),
                false => (Self::take_unread, Self::take_requeued),
            };
            if !first(self, log, &mut round) && !second(self, log, &mut round) {
                break;
            }
            self.requeued_turn = !self.requeued_turn;
        }
        // There may be more where the round was too short for what there is; else nothing is left that could be taken.
        let is_cut =
            round.bytes_left == 0 || round.scanned >= DELIVER_SCAN_MAX || round.left == 0 && credit < share;
        // Those that were woken have their share to come: this one waits for what they leave.
        let again = is_cut && nearer + others == 0;
        // One that may have no more will ask by itself when it may.
        if !again && self.consumers[consumer as usize].credit() > 0 {
            self.wait(consumer);
        }
        again
    }

    /// Takes the longest requeued message. Returns whether there was one that could be taken.
    fn take_requeued(&mut self, log: &mut Log, round: &mut Round<'_>) -> bool {
        let Some(held) = self.requeued.front() else { return false };
        match log.find(held.batch) {
            Found::Here { records, from_disk } => {
                self.requeued.pop_front();
                round.scanned += 1;
                let origin = Origin { from_disk, at_cursor: false };
                if !self.hand_over(records.record(held.index), held, origin, round) {
                    log.release(held.batch);
                }
            }
            Found::Lost => {
                self.requeued.pop_front();
                self.note_finished(held);
                round.scanned += 1;
                log.release(held.batch);
            }
            Found::Awaited => {
                log.find_all(self.requeued.iter().take(REQUEUED_READ_AHEAD).map(|held| held.batch));
                return false;
            }
        }
        true
    }

    /// Takes messages at the cursor: one if requeued ones wait for their turn, else as many as there are in the
    /// batch. Returns whether there was one that could be taken.
    fn take_unread(&mut self, log: &mut Log, round: &mut Round<'_>) -> bool {
        let mut cursor = self.cursor;
        let unread = log.unread(&mut cursor);
        self.cursor = cursor;
        let Some((first, in_batch)) = unread else { return false };
        let here = (round.released - log.ordinal(cursor)).min(in_batch.into()) as u32;
        if here == 0 {
            return false;
        }
        let start = log.index(cursor);
        let (taken, held) = match log.find(first) {
            Found::Lost => {
                for index in start..start + here {
                    self.note_finished(Held { batch: first, index, attempts: 0 });
                }
                (here, 0)
            }
            Found::Awaited => {
                log.read_ahead(cursor);
                return false;
            }
            Found::Here { records, from_disk } => {
                let most = if self.requeued.is_empty() { here } else { 1 };
                let origin = Origin { from_disk, at_cursor: true };
                let (mut taken, mut held) = (0, 0);
                while taken < most
                    && round.left > 0
                    && round.bytes_left > 0
                    && round.scanned + u64::from(taken) < DELIVER_SCAN_MAX
                {
                    let message = Held { batch: first, index: start + taken, attempts: 0 };
                    let record = records.record(message.index);
                    held += u32::from(self.hand_over(record, message, origin, round));
                    taken += 1;
                }
                if from_disk {
                    log.read_ahead(cursor);
                }
                (taken, held)
            }
        };
        log.hold(first, held);
        log.advance(&mut self.cursor, taken);
        round.scanned += u64::from(taken.max(1));
        true
    }

    /// Gives one message to the round's consumer. Returns whether the consumer took it: one that samples does not
    /// want every message.
    fn hand_over(&mut self, record: Record<'_>, held: Held, origin: Origin, round: &mut Round<'_>) -> bool {
        let consumer = &mut self.consumers[round.consumer as usize];
        self.memory_deliveries[consumer.locality()] += u64::from(!origin.from_disk);
        if !consumer.wants_next() {
            self.note_finished(held);
            return false;
        }
        let held = Held { attempts: held.attempts.wrapping_add(1), ..held };
        let entry = NewEntry {
            id: record.id(),
            held,
            owner: round.consumer,
            delivered_ns: round.now.monotonic_ns,
            timestamp_ns: record.timestamp_ns(),
            deadline_ns: round.now.after(consumer.settings.msg_timeout),
            in_order: origin.at_cursor,
        };
        self.in_flight.insert(entry, &mut consumer.owned);
        consumer.stats.in_flight += 1;
        consumer.stats.messages += 1;
        // That a message was given to somebody for the first time is no news: it is unfinished either way.
        if held.attempts > 1 {
            self.note_changed(held, None);
        }
        round.left -= 1;
        round.bytes_left = round.bytes_left.saturating_sub(record.frame.len());
        (round.sink)(Delivery { frame: record.frame, attempts: held.attempts });
        true
    }

    // ---- answers -------------------------------------------------------------------------------------

    /// The consumer is done with a message. Returns its batch, which is still held.
    pub(crate) fn finish(&mut self, consumer: u32, id: MessageId, now: Now) -> Result<Held, AckError> {
        let entry = self.take_answered(consumer, id)?;
        self.consumers[consumer as usize].stats.finished += 1;
        if let Some(latency) = &mut self.latency {
            let age_ns = now.unix_ns.saturating_sub(entry.timestamp_ns).max(0) as u64;
            latency.record(now.monotonic_ns, age_ns);
        }
        self.note_finished(entry.held);
        Ok(entry.held)
    }

    /// The consumer gives a message back, for now or for later.
    pub(crate) fn requeue(
        &mut self,
        consumer: u32,
        id: MessageId,
        delay: Duration,
        now: Now,
    ) -> Result<(), AckError> {
        let entry = self.take_answered(consumer, id)?;
        self.consumers[consumer as usize].stats.requeued += 1;
        self.requeue_count += 1;
        if delay.is_zero() {
            self.ready_again(entry.held);
        } else {
            self.put_off(now.after(delay), entry.held, now);
        }
        Ok(())
    }

    /// The consumer needs `timeout` more for a message, but never longer than `timeout_max` since its delivery.
    pub(crate) fn touch(
        &mut self,
        consumer: u32,
        id: MessageId,
        timeout: Duration,
        timeout_max: Duration,
        now: Now,
    ) -> Result<(), AckError> {
        let key = self.in_flight.find(id, consumer)?;
        let latest = Now { monotonic_ns: self.in_flight.delivered_ns(key), ..now }.after(timeout_max);
        self.in_flight.set_deadline(key, now.after(timeout).min(latest));
        Ok(())
    }

    fn take_answered(&mut self, consumer: u32, id: MessageId) -> Result<crate::in_flight::Entry, AckError> {
        let key = self.in_flight.find(id, consumer)?;
        let owner = &mut self.consumers[consumer as usize];
        owner.stats.in_flight -= 1;
        Ok(self.in_flight.remove(key, Some(&mut owner.owned)))
    }

    // ---- time and topic ------------------------------------------------------------------------------

    /// A deferred message arrives from the topic.
    pub(crate) fn defer(&mut self, due_ns: u64, held: Held, now: Now) {
        self.deferred_received += 1;
        self.put_off(due_ns, held, now);
    }

    fn put_off(&mut self, due_ns: u64, held: Held, now: Now) {
        self.note_changed(held, Some(now.unix_ns_of(due_ns)));
        self.deferred.insert(due_ns, held);
    }

    fn ready_again(&mut self, held: Held) {
        self.note_changed(held, None);
        self.requeued.push_back(held);
    }

    /// Moves what is due to the requeued messages. Returns whether there was anything.
    pub(crate) fn expire(&mut self, now: Now) -> bool {
        let before = self.requeued.len();
        let most = before + EXPIRE_MAX;
        while let Some(key) =
            self.in_flight.timed_out(now.monotonic_ns).filter(|_| self.requeued.len() < most)
        {
            let entry = match self.in_flight.owner(key) {
                Some(number) => {
                    let owner = &mut self.consumers[number as usize];
                    owner.stats.in_flight -= 1;
                    let entry = self.in_flight.remove(key, Some(&mut owner.owned));
                    self.wait_again(number);
                    entry
                }
                None => self.in_flight.remove(key, None),
            };
            self.timeout_count += 1;
            self.ready_again(entry.held);
        }
        while self.requeued.len() < most {
            let Some(held) = self.deferred.pop_due(now.monotonic_ns) else { break };
            self.requeued.push_back(held);
        }
        self.requeued.len() > before
    }

    /// Leaves the batch whose end the cursor stands at, now that nothing will be added to it.
    pub(crate) fn pass_read_batch(&mut self, log: &mut Log) {
        log.unread(&mut self.cursor);
    }

    /// Drops everything that waits or is in flight; the reader stands behind it from now on.
    pub(crate) fn empty(&mut self, log: &mut Log, released: Option<Cursor>) {
        let held =
            self.in_flight.clear().into_iter().chain(self.requeued.drain()).chain(self.deferred.drain());
        for held in held {
            log.release(held.batch);
        }
        let numbers: Vec<u32> = self.consumers.iter().map(|(number, _)| number as u32).collect();
        for number in numbers {
            let consumer = &mut self.consumers[number as usize];
            consumer.stats.in_flight = 0;
            consumer.owned = Default::default();
            self.wait_again(number);
        }
        match released {
            None => log.skip_to_end(&mut self.cursor),
            Some(released) => {
                log.stop_reading(self.cursor);
                self.cursor = log.read_from(released);
            }
        }
    }

    /// Forgets what is more than an ephemeral channel may keep: the oldest messages.
    pub(crate) fn trim(&mut self, log: &mut Log, released: u64, messages_max: u64) {
        let keep = messages_max.max(self.waiting_credit());
        log.skip_to_ordinal(&mut self.cursor, released.saturating_sub(keep));
        while self.depth(log, released) > keep {
            let Some(oldest) = self.requeued.pop_front() else { break };
            log.release(oldest.batch);
        }
    }

    // ---- saving and restoring ------------------------------------------------------------------------

    pub(crate) fn image(&self, log: &Log, now: Now) -> ChannelImage {
        let ready = |held: &Held| Unfinished {
            position: held.position(),
            attempts: held.attempts,
            due_unix_ns: None,
        };
        let mut unfinished: Vec<Unfinished> = self.requeued.iter().map(ready).collect();
        unfinished.extend(self.in_flight.iter().map(|entry| ready(&entry.held)));
        unfinished.extend(
            self.deferred
                .iter()
                .map(|(due, held)| Unfinished { due_unix_ns: Some(now.unix_ns_of(due)), ..ready(held) }),
        );
        unfinished.sort_by_key(|message| message.position);
        ChannelImage {
            name: self.name,
            paused: self.paused,
            cursor: log.position(self.cursor),
            finished_below: log.position(self.cursor),
            finished: Vec::new(),
            unfinished,
        }
    }

    /// What became of the channel's messages since this was asked last, or the whole was saved.
    pub(crate) fn take_progress(&mut self, log: &Log) -> Option<ChannelProgress> {
        let cursor = log.position(self.cursor);
        self.notes.as_mut().filter(|notes| !notes.is_empty()).map(|notes| notes.take(self.name, cursor))
    }

    /// The whole was saved.
    pub(crate) fn forget_progress(&mut self) {
        if let Some(notes) = &mut self.notes {
            *notes = Notes::default();
        }
    }

    fn note_finished(&mut self, held: Held) {
        if let Some(notes) = &mut self.notes {
            notes.finished(held);
        }
    }

    fn note_changed(&mut self, held: Held, due_unix_ns: Option<i64>) {
        if let Some(notes) = &mut self.notes {
            notes.changed(held, due_unix_ns);
        }
    }

    /// Takes up a message that was not finished before a restart; the log holds it already.
    pub(crate) fn restore(&mut self, held: Held, due_unix_ns: Option<i64>, now: Now) {
        match due_unix_ns {
            None => self.requeued.push_back(held),
            Some(due) => self.deferred.insert(now.monotonic_ns_of(due), held),
        }
    }
}
