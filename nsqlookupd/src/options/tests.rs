//! The options as a user meets them: typed on a command line, written in a file, shown, refused.

use std::{collections::BTreeSet, io::Write, path::Path};

use nsq::daemon::options::Value;
use tempfile::NamedTempFile;

use super::*;

/// Every flag of NSQ's nsqlookupd 1.3.0 that has a key, with its default and another value.
fn nsq_options() -> Vec<(&'static str, &'static str, Value, &'static str, Value)> {
    let text = |text: &str| Value::Text(text.to_owned());
    let seconds = |seconds: i64| Value::Duration(seconds * 1_000_000_000);
    vec![
        ("log-level", "log_level", Value::Int(2), "FATAL", Value::Int(5)),
        ("log-prefix", "log_prefix", text("[nsqlookupd] "), "x ", text("x ")),
        ("tcp-address", "tcp_address", text("0.0.0.0:4160"), ":1", text(":1")),
        ("http-address", "http_address", text("0.0.0.0:4161"), ":1", text(":1")),
        ("broadcast-address", "broadcast_address", text(&host_name()), "b", text("b")),
        ("inactive-producer-timeout", "inactive_producer_timeout", seconds(300), "1h30m", seconds(5400)),
        ("tombstone-lifetime", "tombstone_lifetime", seconds(45), "0s", seconds(0)),
    ]
}

/// The flags without a key, and what NSQ does not have.
const OTHERS: [&str; 4] = ["version", "config", "verbose", "log-format"];

fn read(arguments: &[&str]) -> Result<Options, Stop> {
    Options::read(arguments.iter().map(OsString::from))
}

fn read_file(toml: &str, arguments: &[&str]) -> Result<Options, Stop> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(toml.as_bytes()).unwrap();
    let config = format!("--config={}", file.path().display());
    read(&[&[config.as_str()], arguments].concat())
}

#[test]
fn every_option_of_nsq_has_its_key_and_its_default() {
    let options = Options::default();
    for (flag, key, default, ..) in nsq_options() {
        assert_eq!(PROGRAM.entry(flag).unwrap().file_key().as_deref(), Some(key), "{flag}");
        assert_eq!(options.value(flag), Some(default), "{flag}");
    }
    let flags: BTreeSet<&str> = PROGRAM.entries().map(|entry| entry.flag).collect();
    assert_eq!(flags, nsq_options().iter().map(|row| row.0).chain(OTHERS).collect());
}

#[test]
fn every_option_can_be_given_by_its_flag_and_by_its_key() {
    for (flag, key, _, typed, value) in nsq_options() {
        assert_eq!(read(&[&format!("--{flag}={typed}")]).unwrap().value(flag), Some(value.clone()), "{flag}");
        let by_key = read_file(&format!("{key} = \"{typed}\"\nunknown = 1\n"), &[]).unwrap();
        assert_eq!(by_key.value(flag), Some(value), "{key}");
    }
}

#[test]
fn a_flag_beats_the_file_and_numbers_there_are_milliseconds() {
    let toml = "tombstone_lifetime = 1500\ninactive_producer_timeout = 90\n";
    let options = read_file(toml, &["--inactive-producer-timeout", "1s"]).unwrap();
    assert_eq!(options.tombstone_lifetime, Duration::from_millis(1500));
    assert_eq!(options.inactive_producer_timeout, Duration::from_secs(1));
    assert_eq!(options.registry_settings().tombstone_lifetime, Duration::from_millis(1500));
}

#[test]
fn negative_times_are_refused() {
    for flag in ["inactive-producer-timeout", "tombstone-lifetime"] {
        let refused = Err(Stop::Fatal(format!("failed to instantiate nsqlookupd - --{flag} must be >= 0")));
        assert_eq!(read(&[&format!("--{flag}=-1s")]), refused);
    }
}

#[test]
fn the_level_can_be_read_again_from_the_file() {
    assert_eq!(Options::default().reread_log_level(), Ok(None));
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"log_level = \"debug\"").unwrap();
    let config = format!("--config={}", file.path().display());
    assert_eq!(read(&[&config]).unwrap().reread_log_level(), Ok(Some(Level::Debug)));
}

/// Set `UPDATE_DOCS=1` to write the reference anew.
#[test]
fn the_reference_in_the_documents_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/options-nsqlookupd.md");
    let text = format!("{REFERENCE_HEAD}\n{}", PROGRAM.reference());
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let present = std::fs::read_to_string(&path).unwrap();
    assert!(present == text, "docs/options-nsqlookupd.md is stale: run the tests with UPDATE_DOCS=1");
}

const REFERENCE_HEAD: &str = "\
# Options of nsqlookupd

Made from the program's own declarations; the text of `--help` is the same. How flags and the configuration file are
written is said in [options.md](options.md): it is the same for all programs.
";
