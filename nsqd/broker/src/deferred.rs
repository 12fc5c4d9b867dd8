//! The messages of a channel that wait for their time.

use std::collections::BTreeMap;

use crate::log::Held;

/// Deferred messages by the moment they are due; those due at the same moment in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    /// By monotonic due time and a serial number that keeps equal times apart.
    by_due: BTreeMap<(u64, u64), Held>,
    serial: u64,
}

impl Deferred {
    pub(crate) fn len(&self) -> usize {
        self.by_due.len()
    }

    /// Keeps `held` until the monotonic moment `due_ns`.
    pub(crate) fn insert(&mut self, due_ns: u64, held: Held) {
        self.serial += 1;
        self.by_due.insert((due_ns, self.serial), held);
    }

    /// The monotonic moment at which the next message is due.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.by_due.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes out a message that is due at `now_ns`.
    pub(crate) fn pop_due(&mut self, now_ns: u64) -> Option<Held> {
        let entry = self.by_due.first_entry()?;
        if entry.key().0 > now_ns { None } else { Some(entry.remove()) }
    }

    /// All of them, with the monotonic moment each is due.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Held)> {
        self.by_due.iter().map(|((due, _), held)| (*due, held))
    }

    /// Takes all of them out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Held> + use<> {
        std::mem::take(&mut self.by_due).into_values()
    }
}
