//! Flags, the config file and which of them wins: nsqd-operation.md §1. What each option is: `http_config`.

use std::path::PathBuf;

use nsq_tests::daemon::new_directory;
use nsq_tests::process::{Ended, Process};
use nsq_tests::{Daemon, differences, each};
use tempfile::TempDir;

/// Runs the program to its end; it must not become a daemon.
fn run(arguments: &[&str]) -> Ended {
    Process::start(arguments).wait()
}

fn config(text: &str) -> (TempDir, PathBuf) {
    let directory = new_directory();
    let path = directory.path().join("nsqd.toml");
    std::fs::write(&path, text).expect("the directory is ours");
    (directory, path)
}

#[test]
fn the_version_is_printed() {
    each(["--version", "-version", "--version=true"], |flag| {
        let ended = run(&[flag]);
        assert_eq!((ended.status.code(), ended.log.len()), (Some(0), 0));
        let output = ended.output.as_str();
        assert!(output.starts_with("nsqd v1.3.0 (built w/") && output.ends_with(")\n"), "{output}");
    });
}

#[test]
fn help_tells_the_flags_and_succeeds() {
    each(["-h", "--help", "-help"], |flag| {
        let ended = run(&[flag]);
        assert_eq!(ended.status.code(), Some(0));
        let text = ended.log.join("\n") + &ended.output;
        for name in ["-data-path", "-mem-queue-size", "-lookupd-tcp-address"] {
            assert!(text.contains(name), "{name} is not in {text}");
        }
    });
}

#[test]
fn what_cannot_be_parsed_ends_with_2() {
    each(
        [
            ("an unknown flag", ["--bogus", ""], "bogus"),
            ("no number", ["--mem-queue-size=x", ""], "mem-queue-size"),
            ("no duration", ["--msg-timeout=x", ""], "msg-timeout"),
            ("a duration without unit", ["--msg-timeout=90", ""], "msg-timeout"),
            ("no boolean", ["--deflate=x", ""], "deflate"),
            ("worker-id takes no number", ["--worker-id=5", ""], "worker-id"),
            ("no level", ["--log-level=warning", ""], "log-level"),
            ("no TLS version", ["--tls-min-version=tls9", ""], "tls-min-version"),
            ("an old TLS version", ["--tls-min-version=ssl3.0", ""], "tls-min-version"),
            ("neither true nor false", ["--tls-required=x", ""], "tls-required"),
            ("a flag without its value", ["--version", "--mem-queue-size"], "mem-queue-size"),
        ],
        |(_, arguments, named)| {
            let arguments: Vec<&str> =
                arguments.iter().copied().filter(|argument| !argument.is_empty()).collect();
            let ended = run(&arguments);
            assert_eq!(ended.status.code(), Some(2));
            assert!(ended.log.join("\n").contains(named), "{:?} does not name {named}", ended.log);
        },
    );
}

#[test]
fn one_dash_is_as_good_as_two() {
    let daemon = Daemon::with(&["-max-rdy-count=7", "--msg-timeout", "3s", "-max-msg-size", "9"]);
    assert_eq!(daemon.get("/config/max_rdy_count").text(), "7");
    assert_eq!(daemon.get("/config/msg_timeout").text(), "3000000000");
    assert_eq!(daemon.get("/config/max_msg_size").text(), "9");
}

#[test]
fn a_boolean_takes_its_value_behind_an_equals_sign() {
    let daemon = Daemon::with(&["--deflate=false", "--statsd-exclude-ephemeral", "--snappy=0"]);
    assert_eq!(daemon.get("/config/deflate").text(), "false");
    assert_eq!(daemon.get("/config/snappy").text(), "false");
    assert_eq!(daemon.get("/config/statsd_exclude_ephemeral").text(), "true");
}

#[test]
fn nothing_behind_the_first_other_argument_is_read() {
    let daemon = Daemon::with(&["--max-rdy-count=7", "other", "--max-rdy-count=8", "--bogus"]);
    assert_eq!(daemon.get("/config/max_rdy_count").text(), "7");
    // The value behind a boolean flag is such an argument.
    let daemon = Daemon::with(&["--deflate", "false", "--max-rdy-count=8"]);
    assert_eq!(daemon.get("/config/deflate").text(), "true");
    assert_eq!(daemon.get("/config/max_rdy_count").text(), "2500");
}

#[test]
fn the_last_of_repeated_flags_wins() {
    let daemon = Daemon::with(&["--max-rdy-count=7", "--max-rdy-count=8"]);
    assert_eq!(daemon.get("/config/max_rdy_count").text(), "8");
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let (_directory, path) = config(
        "max_rdy_count = 5\nmax_msg_size = 6\n# a comment\nunknown_key = 1\n\n[section]\nmax_body_size = 7\n",
    );
    let daemon = Daemon::with(&[&format!("--config={}", path.display()), "--max-rdy-count=2500"]);
    assert_eq!(daemon.get("/config/max_rdy_count").text(), "2500", "also when it gives the default");
    assert_eq!(daemon.get("/config/max_msg_size").text(), "6");
    assert_eq!(daemon.get("/config/max_body_size").text(), "5242880", "a section is ignored");
}

#[test]
fn values_of_the_file_are_made_to_fit() {
    let (_directory, path) = config(
        "id = \"9\"\nmem_queue_size = \"10\"\nmsg_timeout = 1500\nmax_msg_timeout = \"1h30m\"\nmax_req_timeout = \"90s\"\n\
         deflate = 1\nsnappy = \"false\"\nstatsd_mem_stats = 0\nstatsd_exclude_ephemeral = true\n\
         nsqlookupd_tcp_addresses = \"127.0.0.1:1,127.0.0.1:2\"\n\
         e2e_processing_latency_percentiles = [0.5, 1.0]\n\
         enable_experiment = [\"unknown\"]\nlog_level = \"Error\"\ntls_min_version = \"tls1.3\"\n\
         broadcast_address = \"bh\"\ntls_required = \"false\"\n",
    );
    // The log says nothing of its ports at this level, so it is raised by a flag.
    let daemon = Daemon::with(&[&format!("--config={}", path.display()), "--log-level=info"]);
    each(
        [
            ("id", "9"),
            ("mem_queue_size", "10"),
            ("msg_timeout", "1500000000"),
            ("max_msg_timeout", "5400000000000"),
            ("max_req_timeout", "90000000000"),
            ("deflate", if differences::numbers_in_the_file_are_truth_values() { "true" } else { "false" }),
            ("snappy", "false"),
            (
                "statsd_mem_stats",
                if differences::numbers_in_the_file_are_truth_values() { "false" } else { "true" },
            ),
            ("statsd_exclude_ephemeral", "true"),
            ("nsqlookupd_tcp_addresses", "[\"127.0.0.1:1\",\"127.0.0.1:2\"]"),
            ("e2e_processing_latency_percentiles", "[0.5,1]"),
            ("enable_experiment", "[\"unknown\"]"),
            ("tls_min_version", "772"),
            ("broadcast_address", "bh"),
            ("log_level", "2"),
        ],
        |(name, value)| assert_eq!(daemon.get(&format!("/config/{name}")).text(), *value),
    );
}

#[test]
fn percentiles_in_the_file_may_be_text() {
    let (_directory, path) = config("e2e_processing_latency_percentiles = \"0.5,0.99\"\n");
    let daemon = Daemon::with(&[&format!("--config={}", path.display())]);
    assert_eq!(daemon.get("/config/e2e_processing_latency_percentiles").text(), "[0.5,0.99]");
}

#[test]
fn a_value_of_the_file_that_cannot_fit_ends_with_1() {
    each(
        [
            ("mem_queue_size = \"x\"", "MemQueueSize"),
            ("msg_timeout = \"90\"", "MsgTimeout"),
            ("deflate = \"x\"", "DeflateEnabled"),
        ],
        |(text, field)| {
            let (directory, path) = config(text);
            let ended = run(&[
                &format!("--config={}", path.display()),
                &format!("--data-path={}", directory.path().display()),
                "--tcp-address=127.0.0.1:0",
                "--http-address=127.0.0.1:0",
            ]);
            assert_eq!(ended.status.code(), Some(1));
            let log = ended.log.join("\n");
            if differences::is_original() {
                assert!(log.contains("ERROR: Resolve failed to coerce value "), "{log}");
                assert!(log.contains(&format!(" for field {field} - ")), "{log}");
            } else {
                let key = text.split(' ').next().unwrap_or_default();
                assert!(log.contains("FATAL: failed to coerce value "), "{log}");
                assert!(log.contains(&format!(" for {key} - ")), "{log}");
            }
        },
    );
}
