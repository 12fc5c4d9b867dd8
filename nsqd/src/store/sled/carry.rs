//! What is carried from one database to the next.

use std::collections::BTreeMap;
use std::path::Path;

use super::bodies::{self, Bodies};
use super::database::{Database, Fault};
use crate::store::Damage;

/// What was carried over, and what could not be.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// How many entries of batches were.
    pub(super) entries: u64,
    /// What was left behind.
    pub(super) damage: Damage,
}

/// Copies everything of the topics that have a name, and puts it on the disk. Where an entry is damaged and the records of
/// its batch are there it is made anew. What stays behind is set aside in `home`, because nothing knows of it from then on.
pub(super) fn carry_over(
    from: &Database,
    to: &Database,
    bodies: &mut Bodies,
    home: &Path,
) -> Result<Carried, Fault> {
    let mut carried = Carried::default();
    let mut left = Vec::new();
    let entries = from.entries(None)?;
    let found = bodies.find(&bodies::damaged(&entries))?;
    let mut topics: BTreeMap<_, Vec<_>> =
        from.topics()?.into_iter().map(|topic| (topic, Vec::new())).collect();
    for (topic, first, entry) in entries {
        let entry = entry.or_else(|| found.get(&(topic, first)).copied());
        topics.entry(topic).or_default().push((first, entry));
    }
    for (topic, batches) in topics {
        let (entry, saved) = from.topic(topic)?;
        if saved.is_none() {
            carried.damage.images += 1;
        }
        let known: Vec<_> =
            batches.iter().filter_map(|(first, entry)| Some(entry.as_ref()?.summary(*first))).collect();
        let state = saved.or_else(|| entry.map(|entry| entry.recall(&known)));
        if let Some(state) = &state {
            to.save([(topic, state)])?;
        }
        for (first, entry) in batches {
            if let Some(entry) = entry.filter(|_| state.is_some()) {
                to.insert(topic, first, &entry)?;
                carried.entries += 1;
            } else {
                left.push((topic, first, entry));
            }
        }
    }
    to.flush_to_disk()?;
    carried.damage.batches = left.len() as u64;
    for (topic, first, entry) in left {
        bodies.set_aside(home, topic, first, entry.as_ref())?;
    }
    Ok(carried)
}
