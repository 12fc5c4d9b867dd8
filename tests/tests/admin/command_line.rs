//! Flags, start errors, signals: nsqadmin.md §2.

use nsq_tests::process::{Process, Signal};
use nsq_tests::{Admin, differences, each};

const NODE: &str = "--nsqd-http-address=127.0.0.1:1";

#[test]
fn the_version_is_that_of_nsq() {
    let ended = Process::start_program("nsqadmin", &["--version"]).wait();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.output.starts_with("nsqadmin v1.3.0 (built w/"), "{}", ended.output);
}

#[test]
fn what_makes_no_sense_is_refused_at_start() {
    let lookupd = "--lookupd-http-address=127.0.0.1:1";
    let rows: [(&str, &[&str]); 9] = [
        ("--nsqd-http-address or --lookupd-http-address required", &[]),
        ("use --nsqd-http-address or --lookupd-http-address not both", &[NODE, lookupd]),
        (
            "--http-client-tls-key must be specified with --http-client-tls-cert",
            &[NODE, "--http-client-tls-cert=c"],
        ),
        (
            "--http-client-tls-cert must be specified with --http-client-tls-key",
            &[NODE, "--http-client-tls-key=k"],
        ),
        ("failed to LoadX509KeyPair c, k - ", &[NODE, "--http-client-tls-cert=c", "--http-client-tls-key=k"]),
        ("failed to read TLS root CA file f - ", &[NODE, "--http-client-tls-root-ca-file=f"]),
        (
            "failed to parse --allow-config-from-cidr (abc) - invalid CIDR address: abc",
            &[NODE, "--allow-config-from-cidr=abc"],
        ),
        (
            "failed to resolve --lookupd-http-address (nowhere.invalid:1) - ",
            &["--lookupd-http-address=nowhere.invalid:1"],
        ),
        ("listen (127.0.0.1:99999) failed - ", &[NODE, "--http-address=127.0.0.1:99999"]),
    ];
    each(rows, |(text, flags)| {
        let ended = Process::start_program("nsqadmin", flags).wait();
        assert_eq!(ended.status.code(), Some(1));
        let expected = format!("FATAL: failed to instantiate nsqadmin - {text}");
        assert!(ended.log.iter().any(|line| line.contains(&expected)), "{:?}", ended.log);
    });
}

#[test]
fn an_orderly_stop_succeeds() {
    each([("SIGINT", Signal::INT), ("SIGTERM", Signal::TERM)], |(name, signal)| {
        if *name == "SIGTERM" && differences::admin_is_original() {
            // It handles SIGINT first, and a signal that comes too soon kills it.
            return;
        }
        let ended = Admin::with(&[NODE]).end(*signal);
        assert_eq!(ended.status.code(), Some(0), "{:?}", ended.log);
    });
}
