//! When which entry is due.
//!
//! Entries that are due in the same millisecond share a chain, so setting and cancelling cost the same whatever
//! the number of entries, and nothing stays behind when an entry leaves.

use std::collections::BTreeMap;

use crate::chain::{Chain, Links};

const NS_PER_MS: u64 = 1_000_000;

/// The deadlines of numbered entries, on the monotonic clock. Never early: a deadline counts as reached when
/// the millisecond that contains it is over, so at most one millisecond late.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// By the first millisecond at which the entries are due. No chain is empty.
    chains: BTreeMap<u64, Chain>,
    links: Links,
}

/// The millisecond at which a deadline counts as reached; it tells [`Deadlines::cancel`] where the entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DueMs(u64);

impl Deadlines {
    /// Sets the deadline of `entry`, which has none.
    pub(crate) fn set(&mut self, entry: u32, at_ns: u64) -> DueMs {
        let due = at_ns.div_ceil(NS_PER_MS);
        self.chains.entry(due).or_default().push(&mut self.links, entry);
        DueMs(due)
    }

    /// Takes the deadline of `entry` away. `due` is what `set` returned.
    pub(crate) fn cancel(&mut self, entry: u32, due: DueMs) {
        let chain =
            self.chains.get_mut(&due.0).expect("an entry with a deadline is in that deadline's chain");
        chain.remove(&mut self.links, entry);
        if chain.is_empty() {
            self.chains.remove(&due.0);
        }
    }

    /// The monotonic moment at which the next entry is due.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.chains.first_key_value().map(|(due, _)| due.saturating_mul(NS_PER_MS))
    }

    /// An entry that is due at `now_ns`, the longest due first; it keeps its deadline until it is cancelled.
    pub(crate) fn due(&self, now_ns: u64) -> Option<u32> {
        let (due, chain) = self.chains.first_key_value()?;
        if due.saturating_mul(NS_PER_MS) > now_ns { None } else { chain.first() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_when_they_are_due_and_never_early() {
        let mut deadlines = Deadlines::default();
        let dues = [5_000_001, 2_000_000, 9_999_999, 2_000_000].map(|at| at);
        let keys: Vec<DueMs> = (0..4).map(|entry| deadlines.set(entry, dues[entry as usize])).collect();
        assert_eq!(deadlines.next_ns(), Some(2_000_000));
        assert_eq!(deadlines.due(1_999_999), None);
        let mut order = Vec::new();
        for now in [2_000_000, 5_000_001, 6_000_000, 10_000_000] {
            while let Some(entry) = deadlines.due(now) {
                assert!(now >= dues[entry as usize]);
                deadlines.cancel(entry, keys[entry as usize]);
                order.push(entry);
            }
        }
        assert_eq!(order, [1, 3, 0, 2]);
        assert_eq!(deadlines.next_ns(), None);
    }
}
