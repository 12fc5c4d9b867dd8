//! The data directory belongs to one daemon at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use nsq::daemon::os_error::os_error_text;

/// The directory, locked until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    _directory: File,
}

/// The directory is not ours. The texts are v1.3.0's.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be opened.
    #[error("failed to lock data-path: open {path}: {}", os_error_text(.error))]
    Open {
        /// The directory.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// Somebody else has locked it, or it cannot be locked.
    #[error(
        "failed to lock data-path: cannot flock directory {path} - {cause} (possibly in use by another instance of nsqd)"
    )]
    Locked {
        /// The directory.
        path: String,
        /// Why.
        cause: String,
    },
}

impl LockError {
    /// The text, and behind it what the operator can do.
    #[must_use]
    pub fn with_advice(&self) -> String {
        let first = match self {
            Self::Open { error, .. } if error.kind() == io::ErrorKind::NotFound => "make it",
            Self::Open { .. } => "let the user that nsqd runs as read and write it",
            Self::Locked { .. } => "if another nsqd runs, stop it",
        };
        format!("{self}; {first}, or choose another directory with --data-path=DIR")
    }
}

impl DataDirLock {
    /// Locks the directory itself, as v1.3.0 does, so that neither starts on the other's data.
    ///
    /// # Errors
    /// It is not there, or in use.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let name = || path.display().to_string();
        let directory = File::open(path).map_err(|error| LockError::Open { path: name(), error })?;
        let locked = directory.try_lock();
        locked.map_err(|error| LockError::Locked {
            path: name(),
            cause: match error {
                TryLockError::WouldBlock => "resource temporarily unavailable".to_owned(),
                TryLockError::Error(error) => os_error_text(&error),
            },
        })?;
        Ok(Self { _directory: directory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once() {
        let directory = tempfile::tempdir().unwrap();
        let first = DataDirLock::acquire(directory.path()).unwrap();
        let refused = DataDirLock::acquire(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("resource temporarily unavailable (possibly in use"), "{refused}");
        drop(first);
        DataDirLock::acquire(directory.path()).unwrap();
    }

    #[test]
    fn a_missing_directory_is_named() {
        let refused = DataDirLock::acquire(Path::new("/no/such/dir")).unwrap_err().to_string();
        assert_eq!(refused, "failed to lock data-path: open /no/such/dir: no such file or directory");
    }

    #[test]
    fn what_to_do_is_said_behind_it() {
        let missing = DataDirLock::acquire(Path::new("/no/such/dir")).unwrap_err().with_advice();
        assert!(
            missing.ends_with("; make it, or choose another directory with --data-path=DIR"),
            "{missing}"
        );
        let directory = tempfile::tempdir().unwrap();
        let _first = DataDirLock::acquire(directory.path()).unwrap();
        let locked = DataDirLock::acquire(directory.path()).unwrap_err().with_advice();
        assert!(locked.contains("nsqd); if another nsqd runs, stop it, or choose"), "{locked}");
    }
}
