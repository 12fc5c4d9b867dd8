//! A copy of a directory that goes away with its owner.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How much is copied at a time, in bytes.
const COPY_BYTES: usize = 1024 * 1024;

/// How deep directories may lie within one another.
const DEPTH_MAX: usize = 8;

/// Counts the directories of this process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A directory in the system's place for temporary files (`TMPDIR`), which only its owner may read.
#[derive(Debug)]
pub(super) struct TemporaryDirectory {
    path: PathBuf,
}

impl TemporaryDirectory {
    pub(super) fn new() -> io::Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("nsqd-inspect-{}-{number}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // Whoever cleans the place up does it then.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Copies what is in `from`, if its name `is_wanted`, to `to`, which is made. `tick` is called now and then; its error ends the
/// copying.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    is_wanted: &dyn Fn(&OsStr) -> bool,
    tick: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<()> {
    copy_within(from, to, is_wanted, tick, DEPTH_MAX)
}

fn copy_within(
    from: &Path,
    to: &Path,
    is_wanted: &dyn Fn(&OsStr) -> bool,
    tick: &mut dyn FnMut() -> io::Result<()>,
    depth: usize,
) -> io::Result<()> {
    let Some(depth) = depth.checked_sub(1) else { return Ok(()) };
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if !is_wanted(&entry.file_name()) {
            continue;
        }
        let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_within(&entry.path(), &to, is_wanted, tick, depth)?;
        } else if kind.is_file() {
            copy_file(&entry.path(), &to, tick)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, tick: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut to = File::create_new(to)?;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        tick()?;
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_whole_and_goes_away() {
        let from = tempfile::tempdir().unwrap();
        fs::create_dir(from.path().join("below")).unwrap();
        fs::write(from.path().join("below/file"), vec![7; COPY_BYTES + 1]).unwrap();
        let directory = TemporaryDirectory::new().unwrap();
        let (path, to) = (directory.path().to_owned(), directory.path().join("copy"));
        fs::write(from.path().join("below/other"), "").unwrap();
        copy(from.path(), &to, &|name| name != "other", &mut || Ok(())).unwrap();
        assert!(!to.join("below/other").exists());
        assert_eq!(fs::read(to.join("below/file")).unwrap(), vec![7; COPY_BYTES + 1]);
        drop(directory);
        assert!(!path.exists());
    }
}
