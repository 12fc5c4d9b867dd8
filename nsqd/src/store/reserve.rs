//! Room on the disk that is given up when the disk is full.
//!
//! sled writes to forget, and so would never forget anything on a disk that it has filled itself. Batches
//! are only taken while the reserve is held; when a write fails the reserve is released, and what is
//! finished can be forgotten in the room it leaves.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The size of the reserve in bytes: eight segments of sled's.
const RESERVE_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    held: bool,
}

impl Reserve {
    pub(super) fn open(home: &Path) -> Self {
        let path = home.join("reserve");
        let held = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == RESERVE_BYTES as u64);
        Self { path, held }
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Takes the room; an error where there is not enough.
    pub(super) fn hold(&mut self) -> io::Result<()> {
        if !self.held {
            if let Err(error) = fs::write(&self.path, vec![1; RESERVE_BYTES]) {
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
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %self.path.display(), %error, "could not give up the reserve of the store");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_held_over_a_restart_until_it_is_released() {
        let home = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::open(home.path());
        assert!(!reserve.is_held());
        reserve.hold().unwrap();
        reserve = Reserve::open(home.path());
        assert!(reserve.is_held());
        reserve.release();
        assert!(!reserve.is_held() && !Reserve::open(home.path()).is_held());
    }

    #[test]
    fn where_there_is_no_room_nothing_is_held() {
        let home = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::open(&home.path().join("missing"));
        assert!(reserve.hold().is_err());
        assert!(!reserve.is_held());
    }
}
