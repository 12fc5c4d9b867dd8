//! Embeds the built page: lists what is in `web/dist`, so that the library can hold it. Where it was not built there is
//! nothing to list, and nothing here needs Node.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let directory = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets it")).join("web/dist");
    // Cargo takes a directory that is missing for one that changes all the time; where it cannot be made, that is so.
    let _ = fs::create_dir_all(&directory);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=web/dist");
    let mut list = String::from("&[\n");
    for (name, path) in files(&directory) {
        writeln!(list, "    ({name:?}, include_bytes!({path:?})),")
            .expect("a text takes whatever is written");
    }
    list.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets it")).join("assets.rs");
    fs::write(&out, list).expect("the directory for what is built is writable");
}

/// The index, and what lies in `static` beside it: the only two places that routes lead to. By name.
fn files(directory: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for (prefix, place) in [("", directory.to_owned()), ("static/", directory.join("static"))] {
        for entry in fs::read_dir(place).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if let (true, Some(name)) = (path.is_file(), name.to_str()) {
                found.push((format!("{prefix}{name}"), path));
            }
        }
    }
    found.sort();
    found
}
