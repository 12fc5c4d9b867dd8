//! The configuration file: flat TOML, of which keys nobody knows are ignored.

use std::{fs::File, io::Read, path::Path};

use toml::{Table, Value as Toml};

use super::{
    entry::Entry,
    value::{Kind, Value},
};
use crate::daemon::os_error::os_error_text;

/// Reads the file as a table.
///
/// The error says what was tried on which file and what came of it, in one line.
pub(super) fn read(path: &Path) -> Result<Table, String> {
    let shown = path.display();
    let mut text = String::new();
    File::open(path)
        .map_err(|error| format!("open {shown}: {}", os_error_text(&error)))?
        .read_to_string(&mut text)
        .map_err(|error| format!("read {shown}: {}", os_error_text(&error)))?;
    text.parse::<Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("toml: line {line}: {}", error.message().replace('\n', ", "))
    })
}

/// The value the file has for that option, if it has one. A table by that name is none: sections are ignored.
pub(super) fn value_of(entry: &Entry, table: &Table) -> Result<Option<Value>, String> {
    let Some(key) = entry.file_key() else { return Ok(None) };
    let value = match table.get(&key) {
        None | Some(Toml::Table(_)) => return Ok(None),
        Some(value) => value,
    };
    entry.kind.coerce(value).map(Some).map_err(|cause| {
        let shown = match value {
            Toml::String(text) => text.clone(),
            other => other.to_string(),
        };
        match entry.kind {
            Kind::Words(_) => format!("failed parsing {key} {shown}"),
            _ => format!("failed to coerce value {shown} for {key} - {cause}"),
        }
    })
}
