//! The files that were imported, out of the way and kept: beneath `imported` in the data directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ImportError;
use super::progress::sync_directory;

/// The directory's name in the data directory.
pub(super) const DIRECTORY_NAME: &str = "imported";

/// Moves files there, and makes it last. Calls `moved` for each; one that is not there was moved before.
pub(super) fn move_all<'a>(
    directory: &Path,
    names: impl IntoIterator<Item = &'a String>,
    mut moved: impl FnMut(&str, &str),
) -> Result<(), ImportError> {
    let target = directory.join(DIRECTORY_NAME);
    let failed = |path: PathBuf| move |error| ImportError::Move(path, error);
    fs::create_dir_all(&target).map_err(failed(target.clone()))?;
    for name in names {
        let source = directory.join(name);
        let new_name = free_name(&target, name).map_err(failed(source.clone()))?;
        match fs::rename(&source, target.join(&new_name)) {
            Ok(()) => moved(name, &format!("{DIRECTORY_NAME}/{new_name}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ImportError::Move(source, error)),
        }
    }
    // The new names first: a file is rather there twice than nowhere.
    sync_directory(&target).and_then(|()| sync_directory(directory)).map_err(failed(target))
}

/// The name, or with a number behind it if an earlier import left a file of that name.
fn free_name(directory: &Path, name: &str) -> io::Result<String> {
    let numbered = (1_u32..).map(|number| format!("{name}.{number}"));
    for candidate in std::iter::once(name.to_owned()).chain(numbered) {
        if !directory.join(&candidate).try_exists()? {
            return Ok(candidate);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_moved_and_none_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let names = ["a".to_owned(), "gone".to_owned()];
        for content in ["first", "second", "third"] {
            fs::write(path("a"), content).unwrap();
            let mut moved = Vec::new();
            move_all(directory.path(), &names, |name, to| moved.push(format!("{name} {to}"))).unwrap();
            assert_eq!(moved.len(), 1, "{moved:?}");
            assert!(!path("a").exists());
        }
        let kept = ["imported/a", "imported/a.1", "imported/a.2"]
            .map(|name| fs::read_to_string(path(name)).unwrap());
        assert_eq!(kept, ["first", "second", "third"]);
    }
}
