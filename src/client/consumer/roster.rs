//! Which nsqd a consumer connects to, and when.
//!
//! Pure: addresses are text, the time is an argument. An address that was given is kept for ever; one that nsqlookupd
//! named is kept while it is named or its connection stands, and where an nsqlookupd is silent until it has failed for
//! long. A lost connection is made again after a pause that grows until an nsqd proves to be of use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::client::backoff::Backoff;

/// No more nsqd are kept, whatever nsqlookupd says.
pub(super) const NSQD_MAX: usize = 10_000;

/// After so many failures in a row an nsqd is forgotten that only an nsqlookupd that is silent may still know.
const DOUBTED_FAILURES_MAX: u32 = 20;

#[derive(Debug)]
pub(super) struct Roster {
    entries: BTreeMap<String, Entry>,
    backoff: Backoff,
}

#[derive(Debug)]
struct Entry {
    /// Whether the address was given, and is not merely named by nsqlookupd.
    is_given: bool,
    is_named: bool,
    /// Whether no nsqlookupd named it that answered last, while another was silent: set only while it is named.
    is_doubted: bool,
    /// How often connecting failed in a row.
    failures: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be connected to at this time.
    Due { at: Option<Instant> },
    /// Being connected to, or connected.
    Running,
}

impl Roster {
    pub(super) fn new(given: impl IntoIterator<Item = String>, backoff: Backoff) -> Self {
        let entry = |address| (address, Entry::new(true));
        Self { entries: given.into_iter().map(entry).collect(), backoff }
    }

    /// nsqlookupd named these. Unless `is_complete`, some did not answer, and nobody is taken for gone.
    pub(super) fn handle_named(&mut self, named: BTreeSet<String>, is_complete: bool) {
        for (address, entry) in &mut self.entries {
            let was_named = entry.is_named;
            entry.is_named = named.contains(address) || (was_named && !is_complete);
            // Where nobody named anybody, all may be silent, and nothing is known.
            entry.is_doubted = entry.is_named && !named.is_empty() && !named.contains(address);
        }
        self.forget_unwanted();
        for address in named {
            if self.entries.len() < NSQD_MAX || self.entries.contains_key(&address) {
                self.entries.entry(address).or_insert_with(|| Entry::new(false)).is_named = true;
            }
        }
    }

    /// A connection could not be made, or ended; `was_useful` where it was made and messages could be consumed.
    /// `random` is in 0 to 1.
    pub(super) fn handle_ended(&mut self, address: &str, was_useful: bool, now: Instant, random: f64) {
        let Some(entry) = self.entries.get_mut(address) else { return };
        entry.failures = if was_useful { 1 } else { entry.failures.saturating_add(1) };
        entry.state = State::Due { at: Some(now + self.backoff.jittered(entry.failures, random)) };
        if entry.is_doubted && entry.failures >= DOUBTED_FAILURES_MAX {
            (entry.is_named, entry.is_doubted) = (false, false);
        }
        self.forget_unwanted();
    }

    fn forget_unwanted(&mut self) {
        self.entries.retain(|_, entry| entry.is_wanted() || entry.state == State::Running);
    }

    /// An nsqd that is to be connected to now. It is taken to be connected until it is said to have ended.
    pub(super) fn poll_dial(&mut self, now: Instant) -> Option<String> {
        let is_due =
            |entry: &Entry| matches!(entry.state, State::Due { at } if at.is_none_or(|at| at <= now));
        let (address, entry) = self.entries.iter_mut().find(|(_, entry)| is_due(entry))?;
        entry.state = State::Running;
        Some(address.clone())
    }

    /// When [`poll_dial`](Self::poll_dial) is to be asked next, apart from when something happens.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let due = |entry: &Entry| match entry.state {
            State::Due { at } => at,
            State::Running => None,
        };
        self.entries.values().filter_map(due).min()
    }

    /// Whether no nsqd is known.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Entry {
    fn new(is_given: bool) -> Self {
        Self { is_given, is_named: false, is_doubted: false, failures: 0, state: State::Due { at: None } }
    }

    fn is_wanted(&self) -> bool {
        self.is_given || self.is_named
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(8) };

    fn roster(given: &[&str]) -> Roster {
        Roster::new(given.iter().map(|address| (*address).to_owned()), BACKOFF)
    }

    fn named(addresses: &[&str]) -> BTreeSet<String> {
        addresses.iter().map(|address| (*address).to_owned()).collect()
    }

    fn dialled(roster: &mut Roster, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| roster.poll_dial(now)).collect()
    }

    #[test]
    fn each_address_is_connected_to_once() {
        let now = Instant::now();
        let mut roster = roster(&["a", "b", "a"]);
        roster.handle_named(named(&["b", "c"]), true);
        assert_eq!(dialled(&mut roster, now), ["a", "b", "c"]);
        roster.handle_named(named(&["b", "c"]), true);
        assert_eq!(dialled(&mut roster, now), [""; 0]);
        assert_eq!(roster.poll_timeout(), None);
    }

    #[test]
    fn pauses_grow_until_the_nsqd_is_useful() {
        let mut now = Instant::now();
        let mut roster = roster(&["a"]);
        for (was_useful, seconds) in [(false, 1), (false, 2), (false, 4), (true, 1), (false, 2), (true, 1)] {
            assert_eq!(dialled(&mut roster, now), ["a"]);
            roster.handle_ended("a", was_useful, now, 1.0);
            assert_eq!(roster.poll_timeout(), Some(now + Duration::from_secs(seconds)));
            assert_eq!(dialled(&mut roster, now), [""; 0]);
            now += Duration::from_secs(seconds);
        }
    }

    #[test]
    fn who_is_not_named_any_more_is_forgotten_when_the_connection_ends() {
        let now = Instant::now();
        let mut roster = roster(&["given"]);
        roster.handle_named(named(&["named"]), true);
        assert_eq!(dialled(&mut roster, now), ["given", "named"]);
        roster.handle_named(named(&[]), true);
        for address in ["given", "named"] {
            roster.handle_ended(address, true, now, 1.0);
        }
        assert_eq!(dialled(&mut roster, now + BACKOFF.max), ["given"]);
    }

    #[test]
    fn silence_of_a_lookupd_makes_nobody_forgotten() {
        let now = Instant::now();
        let mut roster = roster(&[]);
        roster.handle_named(named(&["named"]), true);
        roster.handle_named(named(&["other"]), false);
        assert_eq!(dialled(&mut roster, now), ["named", "other"]);
        assert!(!roster.is_empty());
    }

    #[test]
    fn who_is_gone_is_forgotten_some_day_though_a_lookupd_is_silent() {
        let mut now = Instant::now();
        let mut roster = roster(&["given"]);
        roster.handle_named(named(&["back", "gone", "named"]), true);
        roster.handle_named(named(&["named"]), false);
        assert!(!roster.entries["named"].is_doubted && roster.entries["gone"].is_doubted);
        for failures in 1..=DOUBTED_FAILURES_MAX {
            let expected = if failures == 1 {
                &["back", "given", "gone", "named"][..]
            } else {
                &["given", "gone", "named"]
            };
            assert_eq!(dialled(&mut roster, now), expected, "{failures}");
            for address in ["given", "gone", "named"] {
                roster.handle_ended(address, false, now, 1.0);
            }
            now += BACKOFF.max;
        }
        assert_eq!(dialled(&mut roster, now), ["given", "named"]);
        roster.handle_ended("back", true, now, 1.0);
        assert_eq!(dialled(&mut roster, now + BACKOFF.max), ["back"]);
        roster.handle_named(named(&[]), false);
        assert!(roster.entries.values().all(|entry| !entry.is_doubted), "all may be silent");
    }

    #[test]
    fn what_is_named_has_a_limit() {
        let mut roster = roster(&["given"]);
        roster.handle_named((0..2 * NSQD_MAX).map(|number| number.to_string()).collect(), true);
        assert_eq!(roster.entries.len(), NSQD_MAX);
    }
}
