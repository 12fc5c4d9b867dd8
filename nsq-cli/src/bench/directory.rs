//! A directory for one daemon's data, which goes away with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nsq::daemon::os_error::os_error_text;

use crate::failure::Failure;

/// A directory that nobody else has.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
}

/// Counts the directories of this process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Directory {
    /// Makes one within `parent`.
    pub(super) fn new(parent: &Path) -> Result<Self, Failure> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("nsq-bench-{}-{number}", std::process::id()));
        fs::create_dir(&path).map_err(|error| {
            let why = os_error_text(&error);
            format!("cannot make {}: {why} (--data-dir says where data is kept)", path.display())
        })?;
        Ok(Self { path })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How much the files in it take up, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        // A file may go away while it is looked at.
        bytes(&self.path).unwrap_or(0)
    }
}

fn bytes(directory: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        // What was reserved and never written takes up nothing; blocks are of 512 bytes whatever the file system.
        sum += if metadata.is_dir() { bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(sum)
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It is of no use to anybody, and only takes up room.
        let _ = fs::remove_dir_all(&self.path);
    }
}
