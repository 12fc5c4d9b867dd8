//! The messages of a channel that were delivered and not answered.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use slab::Slab;

use nsq::wire::message::MessageId;

use crate::chain::{Chain, Links};
use crate::deadlines::{Deadlines, DueMs};
use crate::log::Held;
use crate::storage::Position;

/// The owner of a message whose consumer has gone.
const NOBODY: u32 = u32::MAX;

/// Why an answer to a message was refused. The texts are v1.3.0's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckError {
    /// It was never delivered here, or answered, or timed out.
    NotInFlight,
    /// It was delivered to another consumer.
    NotOwner,
}

impl std::fmt::Display for AckError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotInFlight => "ID not in flight",
            Self::NotOwner => "client does not own message",
        })
    }
}

impl std::error::Error for AckError {}

/// A message that a consumer has.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: MessageId,
    pub(crate) held: Held,
    /// The consumer's number.
    pub(crate) owner: u32,
    /// When it was delivered, on the monotonic clock.
    pub(crate) delivered_ns: u64,
    /// When it was published, in nanoseconds of Unix time.
    pub(crate) timestamp_ns: i64,
    due: DueMs,
    in_order: bool,
}

/// What is known of a message that is being delivered.
pub(crate) struct NewEntry {
    pub(crate) id: MessageId,
    pub(crate) held: Held,
    pub(crate) owner: u32,
    pub(crate) delivered_ns: u64,
    pub(crate) timestamp_ns: i64,
    /// When it times out, on the monotonic clock.
    pub(crate) deadline_ns: u64,
    /// It is behind every message that was in order before it.
    pub(crate) in_order: bool,
}

/// A channel's messages in flight: by id, by deadline, and each consumer's.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    entries: Slab<Entry>,
    by_id: FxHashMap<MessageId, u32>,
    deadlines: Deadlines,
    owner_links: Links,
    /// Those that came in order of position: the first is the oldest.
    in_order: Chain,
    order_links: Links,
    /// The others, which were requeued or deferred.
    out_of_order: BTreeMap<Position, u32>,
}

impl InFlight {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn insert(&mut self, new: NewEntry, owned: &mut Chain) {
        let NewEntry { id, held, owner, delivered_ns, timestamp_ns, deadline_ns, in_order } = new;
        let vacant = self.entries.vacant_entry();
        let key = vacant.key() as u32;
        let due = self.deadlines.set(key, deadline_ns);
        vacant.insert(Entry { id, held, owner, delivered_ns, timestamp_ns, due, in_order });
        self.by_id.insert(id, key);
        owned.push(&mut self.owner_links, key);
        match in_order {
            true => self.in_order.push(&mut self.order_links, key),
            false => {
                self.out_of_order.insert(held.position(), key);
            }
        }
    }

    /// The number of the message `id`, which `owner` must have.
    pub(crate) fn find(&self, id: MessageId, owner: u32) -> Result<u32, AckError> {
        let key = *self.by_id.get(&id).ok_or(AckError::NotInFlight)?;
        if self.entries[key as usize].owner == owner { Ok(key) } else { Err(AckError::NotOwner) }
    }

    /// The owner of a message; `None` if it has gone.
    pub(crate) fn owner(&self, key: u32) -> Option<u32> {
        Some(self.entries[key as usize].owner).filter(|owner| *owner != NOBODY)
    }

    /// Takes a message out; `owned` is its owner's chain, `None` if the owner has gone.
    pub(crate) fn remove(&mut self, key: u32, owned: Option<&mut Chain>) -> Entry {
        let entry = self.entries.remove(key as usize);
        self.deadlines.cancel(key, entry.due);
        self.by_id.remove(&entry.id);
        if let Some(owned) = owned {
            owned.remove(&mut self.owner_links, key);
        }
        match entry.in_order {
            true => self.in_order.remove(&mut self.order_links, key),
            false => {
                self.out_of_order.remove(&entry.held.position());
            }
        }
        entry
    }

    /// The owner of a message has gone; the message waits for its deadline.
    pub(crate) fn disown(&mut self, key: u32, owned: &mut Chain) {
        owned.remove(&mut self.owner_links, key);
        self.entries[key as usize].owner = NOBODY;
    }

    pub(crate) fn delivered_ns(&self, key: u32) -> u64 {
        self.entries[key as usize].delivered_ns
    }

    pub(crate) fn set_deadline(&mut self, key: u32, deadline_ns: u64) {
        let entry = &mut self.entries[key as usize];
        self.deadlines.cancel(key, entry.due);
        entry.due = self.deadlines.set(key, deadline_ns);
    }

    /// The monotonic moment at which the next message times out.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.deadlines.next_ns()
    }

    /// A message that has timed out.
    pub(crate) fn timed_out(&self, now_ns: u64) -> Option<u32> {
        self.deadlines.due(now_ns)
    }

    /// The message that was published first.
    pub(crate) fn oldest(&self) -> Option<&Entry> {
        let in_order = self.in_order.first().map(|key| &self.entries[key as usize]);
        let other = self.out_of_order.first_key_value().map(|(_, key)| &self.entries[*key as usize]);
        [in_order, other].into_iter().flatten().min_by_key(|entry| entry.held.position())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// Takes everything out; the owners' chains are void.
    pub(crate) fn clear(&mut self) -> Vec<Held> {
        let cleared = std::mem::take(self);
        cleared.entries.into_iter().map(|(_, entry)| entry.held).collect()
    }
}
