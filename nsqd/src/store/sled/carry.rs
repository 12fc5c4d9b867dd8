//! What is carried from one database to the next.

use super::bodies::Bodies;
use super::database::{Database, Fault};
use crate::store::{Damage, LogError};

/// What was carried over, and what could not be.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// How many entries of batches were.
    pub(super) entries: u64,
    /// What was left behind.
    pub(super) damage: Damage,
}

/// Copies everything of the topics that have a name, and puts it on the disk. What is damaged stays behind, but where the
/// records of a batch are its entry is made anew.
pub(super) fn carry_over(from: &Database, to: &Database, bodies: &mut Bodies) -> Result<Carried, Fault> {
    let mut carried = Carried::default();
    for topic in from.topics()? {
        let entries = from.entries(Some(topic))?;
        let (entry, saved) = from.topic(topic)?;
        if saved.is_none() {
            carried.damage.images += 1;
        }
        let batches: Vec<_> =
            entries.iter().filter_map(|(_, first, entry)| Some(entry.as_ref()?.summary(*first))).collect();
        let recalled = || entry.map(|entry| entry.recall(&batches));
        let Some(state) = saved.or_else(recalled) else {
            carried.damage.batches += entries.len() as u64;
            continue;
        };
        to.save(topic, &state)?;
        for (_, first, entry) in entries {
            let entry = match entry {
                None => bodies.find(topic, first)?,
                whole => whole,
            };
            if let Some(entry) = entry {
                to.insert(topic, first, &entry)?;
                carried.entries += 1;
            } else {
                carried.damage.batches += 1;
                let reason = LogError::Damaged { topic, first };
                tracing::warn!(%reason, "a batch of messages is lost");
            }
        }
    }
    to.flush_to_disk()?;
    Ok(carried)
}
