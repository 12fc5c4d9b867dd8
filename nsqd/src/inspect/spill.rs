//! The spill, looked at in a copy: sled writes when it is opened, and what it cannot open is set aside there.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use nsqd_broker::storage::{BatchSummary, StoredBatch};

use super::temporary::{TemporaryDirectory, copy};
use crate::store::sled::wreck;
use crate::store::sled::{BODIES_DIRECTORY, SledLog};
use crate::store::{Log, LogError, SavedTopic, TopicNumber};

/// A copy of the spill's databases. They are closed before their directory goes away; the batches are read where they are.
pub(super) struct Spill {
    log: SledLog,
    /// Damaged batches that were found by reading them.
    lost: u64,
    directory: TemporaryDirectory,
}

impl Spill {
    /// Copies the databases in `home`, but for those that were set aside, and opens the one that is in use. `None` where
    /// there is none.
    pub(super) fn open(
        home: &Path,
        tick: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<Option<Self>, LogError> {
        let databases: Vec<String> =
            names(home)?.into_iter().filter(|name| name.starts_with("epoch-") && !is_bad(name)).collect();
        if databases.is_empty() {
            return Ok(None);
        }
        let directory = TemporaryDirectory::new()?;
        for name in databases {
            copy_database(&home.join(&name), &directory.path().join(&name), tick)?;
        }
        let log = SledLog::open_copy(directory.path(), home, home)?;
        Ok(Some(Self { log, lost: 0, directory }))
    }

    /// Copies a database that was set aside, and opens that.
    pub(super) fn open_set_aside(
        database: &Path,
        home: &Path,
        tick: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<Self, LogError> {
        let directory = TemporaryDirectory::new()?;
        let epoch = directory.path().join("epoch-0");
        copy_database(database, &epoch, tick)?;
        fs::write(epoch.join("complete"), "")?;
        let log = SledLog::open_copy(directory.path(), database, home)?;
        Ok(Self { log, lost: 0, directory })
    }

    pub(super) fn topics(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        self.log.load()
    }

    /// In which file of the spill a batch is, and where in it.
    pub(super) fn place(
        &mut self,
        topic: TopicNumber,
        summary: &BatchSummary,
    ) -> Result<Option<(String, Range<u64>)>, LogError> {
        let place = self.log.place(topic, summary.first)?;
        Ok(place.map(|(file, bytes)| (format!("{BODIES_DIRECTORY}/{file}"), bytes)))
    }

    /// A batch, checked; `None` where it is damaged.
    pub(super) fn read(
        &mut self,
        topic: TopicNumber,
        summary: &BatchSummary,
    ) -> Result<Option<StoredBatch>, LogError> {
        match self.log.read(topic, summary.first) {
            Ok(batch) => Ok(Some(batch)),
            Err(LogError::Damaged { .. }) => {
                self.lost += 1;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What was found damaged and is not a batch that [`read`](Self::read) was asked for: where, and what.
    pub(super) fn damage(&self) -> Vec<(String, String)> {
        let damage = self.log.damage();
        let mut found = Vec::new();
        for name in names(self.directory.path()).unwrap_or_default() {
            if let Some((epoch, _)) =
                name.split_once('.').filter(|(epoch, _)| epoch.starts_with("epoch-") && is_bad(&name))
            {
                found.push((epoch.to_owned(), "the database cannot be read as a whole".to_owned()));
            }
        }
        if damage.images > 0 {
            found.push((String::new(), format!("the states of {} topics", damage.images)));
        }
        let others = damage.batches.saturating_sub(self.lost);
        if others > 0 {
            found.push((String::new(), format!("{others} batches of messages whose topic is lost")));
        }
        found
    }
}

/// Copies a database, without the batches that were set aside with it.
fn copy_database(from: &Path, to: &Path, tick: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
    copy(from, to, &|name| name != BODIES_DIRECTORY, tick)
}

/// Where in the databases that were not set aside is what nobody wrote.
pub(super) fn holes(home: &Path) -> io::Result<Vec<(String, Range<u64>)>> {
    let mut holes = Vec::new();
    for name in names(home)?.into_iter().filter(|name| name.starts_with("epoch-") && !is_bad(name)) {
        match wreck::holes(&home.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => holes.extend(found?.into_iter().map(|hole| (format!("{name}/db"), hole))),
        }
    }
    Ok(holes)
}

/// Whether a file or directory of that name was set aside.
pub(super) fn is_bad(name: &str) -> bool {
    name.ends_with(".bad")
}

/// The names of what is in a directory, in order; none where it is not there.
pub(super) fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}
