//! How far an import came: a file beside the queues that are being imported, for the start after a crash.
//!
//! It is there from before the first message of a topic is written until the last of the topic's files is moved. What
//! it says is enough to tell what a crash left, because a topic's state is saved once, after all its messages: if the
//! state reaches beyond `start` the messages are all there, and only files are left to be moved; if not, what is behind
//! `start` is half of an import that begins anew.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ImportError;

/// The file's name in the data directory.
pub(super) const FILE_NAME: &str = "import-in-progress.json";

const TEMPORARY_NAME: &str = "import-in-progress.json.tmp";

/// The import of a topic that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The topic's name.
    pub(super) topic: String,
    /// The topic's number in the store.
    pub(super) number: u32,
    /// Where its first imported message stands.
    pub(super) start: u64,
    /// The files that are imported, and moved afterwards.
    pub(super) files: Vec<String>,
}

impl Progress {
    /// What the last import left; `None` if it came to its end.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, ImportError> {
        let path = directory.join(FILE_NAME);
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map(Some).map_err(|error| ImportError::Progress(path, error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ImportError::Read(path, error)),
        }
    }

    /// Writes it down: a crash cannot take it any more.
    pub(super) fn write(&self, directory: &Path) -> Result<(), ImportError> {
        let write = || {
            let temporary = directory.join(TEMPORARY_NAME);
            let mut file = File::create(&temporary)?;
            file.write_all(&serde_json::to_vec(self)?)?;
            file.sync_all()?;
            fs::rename(temporary, directory.join(FILE_NAME))?;
            sync_directory(directory)
        };
        write().map_err(|error| ImportError::Write(directory.join(FILE_NAME), error))
    }

    /// The import has come to its end, or begins anew.
    pub(super) fn remove(directory: &Path) -> Result<(), ImportError> {
        let path = directory.join(FILE_NAME);
        let remove = || fs::remove_file(&path).and_then(|()| sync_directory(directory));
        remove().map_err(|error| ImportError::Write(path.clone(), error))
    }
}

/// What was created, renamed or removed in the directory stays so after a crash.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
