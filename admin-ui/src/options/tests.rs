//! The options as a user meets them: typed on a command line, written in a file, shown, refused.

use std::{collections::BTreeSet, io::Write, path::Path};

use nsq::daemon::options::Value;
use tempfile::NamedTempFile;

use super::*;

/// Every flag of NSQ's nsqadmin 1.3.0 that has a key, with its default and another value.
fn nsq_options() -> Vec<(&'static str, &'static str, Value, &'static str, Value)> {
    let text = |text: &str| Value::Text(text.to_owned());
    let list = |items: &[&str]| Value::List(items.iter().map(|item| (*item).to_owned()).collect());
    let seconds = |seconds: i64| Value::Duration(seconds * 1_000_000_000);
    let (yes, no) = (Value::Bool(true), Value::Bool(false));
    vec![
        ("log-level", "log_level", Value::Int(2), "FATAL", Value::Int(5)),
        ("log-prefix", "log_prefix", text("[nsqadmin] "), "x ", text("x ")),
        ("http-address", "http_address", text("0.0.0.0:4171"), ":1", text(":1")),
        ("base-path", "base_path", text("/"), "x//y/../z/", text("/x/z")),
        ("dev-static-dir", "dev_static_dir", text(""), "d", text("d")),
        ("lookupd-http-address", "nsqlookupd_http_addresses", list(&[]), "h:1", list(&["h:1"])),
        ("nsqd-http-address", "nsqd_http_addresses", list(&[]), "h:1", list(&["h:1"])),
        ("graphite-url", "graphite_url", text(""), "http://g", text("http://g")),
        ("proxy-graphite", "proxy_graphite", no.clone(), "true", yes.clone()),
        ("statsd-prefix", "statsd_prefix", text("nsq.%s"), "x", text("x")),
        ("statsd-counter-format", "statsd_counter_format", text("stats.counters.%s.count"), "x", text("x")),
        ("statsd-gauge-format", "statsd_gauge_format", text("stats.gauges.%s"), "x", text("x")),
        ("statsd-interval", "statsd_interval", seconds(60), "10s", seconds(10)),
        ("notification-http-endpoint", "notification_http_endpoint", text(""), "http://n", text("http://n")),
        ("http-client-connect-timeout", "http_client_connect_timeout", seconds(2), "1s", seconds(1)),
        ("http-client-request-timeout", "http_client_request_timeout", seconds(5), "1s", seconds(1)),
        ("http-client-tls-insecure-skip-verify", "http_client_tls_insecure_skip_verify", no, "true", yes),
        ("http-client-tls-root-ca-file", "http_client_tls_root_ca_file", text(""), "f", text("f")),
        ("http-client-tls-cert", "http_client_tls_cert", text(""), "f", text("f")),
        ("http-client-tls-key", "http_client_tls_key", text(""), "f", text("f")),
        ("allow-config-from-cidr", "allow_config_from_cidr", text("127.0.0.1/8"), "", text("")),
        ("acl-http-header", "acl_http_header", text("X-Forwarded-User"), "x", text("x")),
        ("admin-user", "admin_users", list(&[]), "u", list(&["u"])),
    ]
}

/// The flags without a key, and what NSQ does not have.
const OTHERS: [&str; 9] = [
    "hash-password",
    "version",
    "config",
    "verbose",
    "log-format",
    "sample-interval",
    "data-path",
    "auth-file",
    "allowed-origin",
];

fn read(arguments: &[&str]) -> Result<Options, Stop> {
    Options::read(arguments.iter().map(OsString::from))
}

fn read_file(toml: &str, arguments: &[&str]) -> Result<Options, Stop> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(toml.as_bytes()).unwrap();
    let config = format!("--config={}", file.path().display());
    read(&[&[config.as_str()], arguments].concat())
}

/// What else must be said for a flag to be taken.
fn companions(flag: &str) -> &'static [&'static str] {
    match flag {
        "lookupd-http-address" | "nsqd-http-address" => &[],
        "http-client-tls-cert" => &["--lookupd-http-address=l:1", "--http-client-tls-key=k"],
        "http-client-tls-key" => &["--lookupd-http-address=l:1", "--http-client-tls-cert=c"],
        "proxy-graphite" => &["--lookupd-http-address=l:1", "--graphite-url=http://g"],
        _ => &["--lookupd-http-address=l:1"],
    }
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
        let given = format!("--{flag}={typed}");
        let flags = [&[given.as_str()], companions(flag)].concat();
        assert_eq!(read(&flags).unwrap().value(flag), Some(value.clone()), "{flag}");
        let by_key = read_file(&format!("{key} = \"{typed}\"\nunknown = 1\n"), companions(flag)).unwrap();
        assert_eq!(by_key.value(flag), Some(value), "{key}");
    }
}

#[test]
fn numbers_in_the_file_are_milliseconds() {
    let toml = "statsd_interval = 1500\nnsqlookupd_http_addresses = [\"a:1\", \"b:2\"]\n";
    let options = read_file(toml, &[]).unwrap();
    assert_eq!(options.statsd_interval, Duration::from_millis(1500));
    assert_eq!(options.nsqlookupd_http_addresses, ["a:1", "b:2"]);
}

#[test]
fn what_makes_no_sense_is_refused_at_start() {
    let lookupd = "--lookupd-http-address=l:1";
    for (flags, why) in [
        (&[][..], "--nsqd-http-address or --lookupd-http-address required"),
        (&[lookupd, "--nsqd-http-address=n:1"], "use --nsqd-http-address or --lookupd-http-address not both"),
        (
            &[lookupd, "--http-client-tls-cert=c"],
            "--http-client-tls-key must be specified with --http-client-tls-cert",
        ),
        (
            &[lookupd, "--http-client-tls-key=k"],
            "--http-client-tls-cert must be specified with --http-client-tls-key",
        ),
        (
            &[lookupd, "--allow-config-from-cidr=abc"],
            "failed to parse --allow-config-from-cidr (abc) - invalid CIDR address: abc",
        ),
        (
            &[lookupd, "--proxy-graphite", "--graphite-url=g"],
            "failed to parse --graphite-url (g) - the URL has no scheme",
        ),
        (&[lookupd, "--sample-interval=-1s"], "--sample-interval must be >= 0"),
    ] {
        assert_eq!(read(flags), Err(Stop::Fatal(format!("failed to instantiate nsqadmin - {why}"))));
    }
}

#[test]
fn the_level_can_be_read_again_from_the_file() {
    assert_eq!(Options::default().reread_log_level(), Ok(None));
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"log_level = \"debug\"").unwrap();
    let config = format!("--config={}", file.path().display());
    let options = read(&[&config, "--nsqd-http-address=n:1"]).unwrap();
    assert_eq!(options.reread_log_level(), Ok(Some(Level::Debug)));
}

/// Set `UPDATE_DOCS=1` to write the reference anew.
#[test]
fn the_reference_in_the_documents_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/options-nsqadmin.md");
    let text = format!("{REFERENCE_HEAD}\n{}", PROGRAM.reference());
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let present = std::fs::read_to_string(&path).unwrap();
    assert!(present == text, "docs/options-nsqadmin.md is stale: run the tests with UPDATE_DOCS=1");
}

const REFERENCE_HEAD: &str = "\
# Options of nsqadmin

Made from the program's own declarations; the text of `--help` is the same. How flags and the configuration file are
written is said in [options.md](options.md): it is the same for all programs.
";
