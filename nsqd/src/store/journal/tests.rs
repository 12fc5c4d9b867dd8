//! The log in segment files where it differs from others.

use super::*;
use crate::store::suite::log_suite;

/// Segments so short that the suite fills many.
const SMALL: JournalSettings = JournalSettings {
    default_durability: Durability::Disk,
    sync_every: 2_500,
    sync_timeout: Duration::from_secs(2),
    segment_bytes: 64 * 1024,
    prepared_bytes: 4096,
    reserve_bytes: 1024,
};

/// Ends a journal without anything of what an owner's end does.
fn kill(mut journal: Journal) {
    journal.draft.clear();
    journal.writer = Writer::new(&journal.settings, recovery::Recovered::default());
}

log_suite!({
    let home = tempfile::tempdir().unwrap();
    move || Box::new(Journal::open(&home.path().join("journal"), SMALL).unwrap()) as Box<dyn Log>
});

mod damage;
mod failures;
mod rates;
mod room;
mod simulation;
