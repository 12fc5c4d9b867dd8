//! The directories of the databases that follow one another.
//!
//! sled's files never shrink, so a database that is mostly dead is left: what lives is carried over to a new
//! one, and the old directory is deleted. Each database is an *epoch* with its own directory:
//!
//! ```text
//! <home>/epoch-4/             the database in use
//! <home>/epoch-4/complete     written last, once everything is carried over
//! <home>/epoch-5/             without `complete`: a crash came first; epoch 4 is still the one in use
//! <home>/epoch-3.1790000000.bad/   a database that was not what sled wrote, set aside at that Unix time
//! ```
//!
//! The newest complete epoch is the one in use; if none is, the oldest is. This module knows directories
//! and not what is in them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The directory that holds the epochs.
#[derive(Debug)]
pub(super) struct Epochs {
    home: PathBuf,
}

impl Epochs {
    /// Creates the directory where it is missing; the one above it must be there.
    pub(super) fn open(home: &Path) -> io::Result<Self> {
        match fs::create_dir(home) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Self { home: home.to_owned() }),
        }
    }

    pub(super) fn path(&self, epoch: u64) -> PathBuf {
        self.home.join(format!("{PREFIX}{epoch}"))
    }

    /// The epoch in use, if there is one. What a crash left of others is deleted.
    pub(super) fn current(&self) -> io::Result<Option<u64>> {
        let mut epochs: Vec<u64> = self.names()?.iter().filter_map(|name| parse(name)).collect();
        epochs.sort_unstable();
        let complete = epochs.iter().rev().find(|&&epoch| self.is_complete(epoch));
        let current = complete.or(epochs.first()).copied();
        for &leftover in epochs.iter().filter(|&&epoch| Some(epoch) != current) {
            tracing::info!(epoch = leftover, "removing the rest of an epoch that is not in use");
            self.remove(leftover)?;
        }
        Ok(current)
    }

    /// A number no epoch had, as far as the directory remembers.
    pub(super) fn next(&self) -> io::Result<u64> {
        let highest = self.names()?.iter().filter_map(|name| parse(name.split('.').next()?)).max();
        Ok(highest.map_or(0, |epoch| epoch + 1))
    }

    /// Makes `epoch` the one in use from the next look on. All of it must be on the disk.
    pub(super) fn complete(&self, epoch: u64) -> io::Result<()> {
        if self.is_complete(epoch) {
            return Ok(());
        }
        File::create(self.marker(epoch))?.sync_all()?;
        File::open(self.path(epoch))?.sync_all()?;
        File::open(&self.home)?.sync_all()
    }

    pub(super) fn is_complete(&self, epoch: u64) -> bool {
        self.marker(epoch).exists()
    }

    pub(super) fn remove(&self, epoch: u64) -> io::Result<()> {
        match fs::remove_dir_all(self.path(epoch)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Renames the directory so that nobody opens it again and somebody can look into it.
    pub(super) fn set_aside(&self, epoch: u64) -> io::Result<PathBuf> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let aside = self.home.join(format!("{PREFIX}{epoch}.{}.bad", now.as_secs()));
        fs::rename(self.path(epoch), &aside)?;
        Ok(aside)
    }

    fn marker(&self, epoch: u64) -> PathBuf {
        self.path(epoch).join("complete")
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let names =
            fs::read_dir(&self.home)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }
}

const PREFIX: &str = "epoch-";

fn parse(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `names` are the epochs on the disk; those that end in `+` are complete.
    fn check(names: &[&str], current: Option<u64>, left: &[&str]) {
        let home = tempfile::tempdir().unwrap();
        let epochs = Epochs::open(home.path()).unwrap();
        for name in names {
            fs::create_dir(home.path().join(name.trim_end_matches('+'))).unwrap();
            if name.ends_with('+') {
                epochs.complete(parse(name.trim_end_matches('+')).unwrap()).unwrap();
            }
        }
        assert_eq!(epochs.current().unwrap(), current, "{names:?}");
        let mut found = epochs.names().unwrap();
        found.sort();
        assert_eq!(found, left, "{names:?}");
    }

    #[test]
    fn the_newest_complete_epoch_is_in_use_and_the_others_are_removed() {
        check(&[], None, &[]);
        check(&["epoch-3+"], Some(3), &["epoch-3"]);
        check(&["epoch-3+", "epoch-4"], Some(3), &["epoch-3"]);
        check(&["epoch-9+", "epoch-10+"], Some(10), &["epoch-10"]);
        check(&["epoch-3", "epoch-4+"], Some(4), &["epoch-4"]);
    }

    #[test]
    fn where_none_is_complete_the_oldest_is_in_use() {
        check(&["epoch-0"], Some(0), &["epoch-0"]);
        check(&["epoch-3", "epoch-4"], Some(3), &["epoch-3"]);
    }

    #[test]
    fn what_is_not_an_epoch_is_left_alone() {
        check(&["epoch-1.5.bad", "epoch-x", "other"], None, &["epoch-1.5.bad", "epoch-x", "other"]);
    }

    #[test]
    fn the_next_number_is_above_those_in_use_and_those_set_aside() {
        let home = tempfile::tempdir().unwrap();
        let epochs = Epochs::open(home.path()).unwrap();
        assert_eq!(epochs.next().unwrap(), 0);
        fs::create_dir(epochs.path(3)).unwrap();
        assert_eq!(epochs.next().unwrap(), 4);
        let aside = epochs.set_aside(3).unwrap();
        assert!(aside.exists() && !epochs.path(3).exists());
        assert_eq!(epochs.next().unwrap(), 4);
    }
}
