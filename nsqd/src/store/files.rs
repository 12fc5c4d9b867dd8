//! The few things that a log asks of a directory and its files, so that a test can have a disk that fails.
//!
//! A [`File`] is read and written at places that the caller names; it has no place of its own. Nothing is safe
//! from a loss of power before it is synced: what a file holds by [`File::sync_data`], which files there are by
//! [`Files::sync_directory`].

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory that belongs to one log.
pub(super) trait Files: Send + Sync {
    /// The names of the files in it.
    fn list(&self) -> io::Result<Vec<String>>;

    /// A new and empty file; what had the name is gone.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Gives a file another name, and takes it from the file that had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    fn sync_directory(&self) -> io::Result<()>;
}

/// A file that is open for reading and writing.
pub(super) trait File: Send + Sync {
    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills `buffer` as far as the file goes, and says how far.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    fn sync_data(&self) -> io::Result<()>;

    fn set_len(&self, length: u64) -> io::Result<()>;

    fn length(&self) -> io::Result<u64>;
}

/// A directory on a real disk.
#[derive(Debug)]
pub(super) struct Directory {
    home: PathBuf,
}

impl Directory {
    pub(super) fn at(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }

    /// A file that is not to be changed.
    pub(super) fn open_to_read(&self, name: &str) -> io::Result<fs::File> {
        fs::File::open(self.home.join(name))
    }
}

impl Files for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.home)?.map(|entry| Ok(entry?.file_name().into_string()));
        // A name that is no text is none of ours.
        Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().filter_map(Result::ok).collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let path = self.home.join(name);
        Ok(Arc::new(fs::File::options().read(true).write(true).create(true).truncate(true).open(path)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(fs::File::options().read(true).write(true).open(self.home.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.home.join(from), self.home.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.home.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        fs::File::open(&self.home)?.sync_all()
    }
}

impl File for fs::File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        fs::File::set_len(self, length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Files that are only read. What would take something away is left undone; nothing is created or written.
#[derive(Debug)]
pub(super) struct Unchanged(pub(super) Directory);

pub(super) fn unchanged() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "the directory is only looked at")
}

impl Files for Unchanged {
    fn list(&self) -> io::Result<Vec<String>> {
        match self.0.list() {
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            names => names,
        }
    }

    fn create(&self, _: &str) -> io::Result<Arc<dyn File>> {
        Err(unchanged())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(UnchangedFile(self.0.open_to_read(name)?)))
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }
}

struct UnchangedFile(fs::File);

impl File for UnchangedFile {
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(unchanged())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        File::read_at(&self.0, buffer, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(unchanged())
    }

    /// What lies behind is read no more: nothing that is found refers to it.
    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        File::length(&self.0)
    }
}

/// Whether there is no such file.
pub(super) fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
