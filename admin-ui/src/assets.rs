//! The files of the page, as they were when this was built; and what is shown where it was not.

use std::path::{Component, Path};

use bytes::Bytes;

/// By name: `index.html`, and `static/…`. `build.rs` lists what is in `web/dist`.
static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// What is shown where the page was not built.
const PLACEHOLDER: &str = include_str!("assets/placeholder.html");

/// The file that all pages begin with.
#[must_use]
pub fn index() -> &'static str {
    embedded("index.html").and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or(PLACEHOLDER)
}

/// A file of the page; from that directory if one is given, and then from nowhere else.
#[must_use]
pub fn file(name: &str, directory: &Path) -> Option<Bytes> {
    if directory.as_os_str().is_empty() {
        return embedded(&format!("static/{name}")).map(Bytes::from_static);
    }
    let is_plain = Path::new(name).components().eq([Component::Normal(name.as_ref())]);
    is_plain.then(|| std::fs::read(directory.join(name)).ok().map(Bytes::from)).flatten()
}

/// What a file with that name holds, for `Content-Type`.
#[must_use]
pub fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn embedded(name: &str) -> Option<&'static [u8]> {
    EMBEDDED.iter().find(|(candidate, _)| *candidate == name).map(|(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gives_its_own_files_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("main.js"), "x").unwrap();
        assert_eq!(file("main.js", directory.path()).as_deref(), Some(&b"x"[..]));
        for name in ["other.js", "..", "../main.js", "/etc/hosts", "./main.js", "", "."] {
            assert_eq!(file(name, directory.path()), None, "{name}");
        }
        assert_eq!(file("no-such-file", Path::new("")), None);
    }
}
