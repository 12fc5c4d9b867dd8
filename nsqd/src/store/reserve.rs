//! Room on the disk that is given up when the disk is full.
//!
//! A log writes to forget, and so would never forget anything on a disk that it has filled itself. Batches
//! are only taken while the reserve is held; when a write fails the reserve is released, and what is
//! finished can be forgotten in the room it leaves.

use std::io;
use std::sync::Arc;

use super::files::{Files, is_missing};

/// The usual size of a reserve in bytes: eight segments of sled's, or a checkpoint of the journal's for
/// half a million batches.
pub(super) const RESERVE_BYTES: usize = 8 * 1024 * 1024;

const NAME: &str = "reserve";

pub(super) struct Reserve {
    files: Arc<dyn Files>,
    bytes: usize,
    held: bool,
}

impl Reserve {
    pub(super) fn open(files: Arc<dyn Files>, bytes: usize) -> Self {
        let length = files.open(NAME).and_then(|file| file.length());
        let held = length.is_ok_and(|length| length == bytes as u64);
        Self { files, bytes, held }
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Takes the room; an error where there is not enough.
    pub(super) fn hold(&mut self) -> io::Result<()> {
        if !self.held {
            let taken = self.files.create(NAME).and_then(|file| file.write_at(&vec![1; self.bytes], 0));
            if let Err(error) = taken {
                self.release();
                return Err(error);
            }
            self.held = true;
        }
        Ok(())
    }

    /// Gives the room up.
    pub(super) fn release(&mut self) {
        self.held = false;
        match self.files.remove(NAME) {
            Err(error) if !is_missing(&error) => {
                tracing::warn!(%error, "could not give up the reserve of the store");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::files::Directory;

    fn reserve(home: &std::path::Path) -> Reserve {
        Reserve::open(Arc::new(Directory::at(home)), 100)
    }

    #[test]
    fn the_reserve_is_held_over_a_restart_until_it_is_released() {
        let home = tempfile::tempdir().unwrap();
        let mut held = reserve(home.path());
        assert!(!held.is_held());
        held.hold().unwrap();
        held = reserve(home.path());
        assert!(held.is_held());
        held.release();
        assert!(!held.is_held() && !reserve(home.path()).is_held());
    }

    #[test]
    fn where_there_is_no_room_nothing_is_held() {
        let home = tempfile::tempdir().unwrap();
        let mut held = reserve(&home.path().join("missing"));
        assert!(held.hold().is_err());
        assert!(!held.is_held());
    }
}
