//! Flags, the config file, and why a daemon does not start: nsqlookupd.md §2.

use std::net::TcpListener;

use nsq_tests::daemon::new_directory;
use nsq_tests::process::{Ended, Process};
use nsq_tests::{Lookupd, differences, each};

/// Runs the program to its end; it must not become a daemon.
fn run(arguments: &[&str]) -> Ended {
    Process::start_program("nsqlookupd", arguments).wait()
}

#[test]
fn the_version_is_printed() {
    each(["--version", "-version", "--version=true"], |flag| {
        let ended = run(&[flag]);
        assert_eq!((ended.status.code(), ended.log.len()), (Some(0), 0));
        let output = ended.output.as_str();
        assert!(output.starts_with("nsqlookupd v1.3.0 (built w/") && output.ends_with(")\n"), "{output}");
    });
}

#[test]
fn help_tells_the_flags_and_succeeds() {
    each(["-h", "--help"], |flag| {
        let ended = run(&[flag]);
        assert_eq!(ended.status.code(), Some(0));
        let text = ended.log.join("\n") + &ended.output;
        for name in ["-inactive-producer-timeout", "-tombstone-lifetime", "-broadcast-address"] {
            assert!(text.contains(name), "{name} is not in {text}");
        }
    });
}

#[test]
fn the_help_tells_the_defaults() {
    let ended = run(&["--help"]);
    let text = ended.log.join("\n") + &ended.output;
    each(["0.0.0.0:4160", "0.0.0.0:4161", "[nsqlookupd] ", "5m0s", "45s"], |default| {
        assert!(text.contains(default), "{text}");
    });
}

#[test]
fn what_can_be_said_in_several_ways_is_understood() {
    each(
        [
            "--log-level=debug",
            "--log-level=Info",
            "--log-level=WARN",
            "--log-level=eRRor",
            "--inactive-producer-timeout=1h30m",
            "-tombstone-lifetime=300ms",
            "--verbose",
            "-verbose=false",
        ],
        |flag| {
            // Without its first lines there is nothing to wait for: the port that is taken ends it.
            let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
            let address = taken.local_addr().expect("it is bound");
            let ended = run(&[flag, &format!("--tcp-address={address}"), "--http-address=127.0.0.1:0"]);
            assert_eq!(ended.status.code(), Some(1), "{:?}", ended.log);
        },
    );
}

#[test]
fn what_cannot_be_parsed_ends_with_2() {
    each(
        [
            ("--bogus", "bogus"),
            ("--tombstone-lifetime=x", "tombstone-lifetime"),
            ("--tombstone-lifetime=90", "tombstone-lifetime"),
            ("--inactive-producer-timeout", "inactive-producer-timeout"),
            ("--log-level=warning", "log-level"),
        ],
        |(flag, named)| {
            let ended = run(&[flag]);
            assert_eq!(ended.status.code(), Some(2));
            assert!(ended.log.join("\n").contains(named), "{:?} does not name {named}", ended.log);
        },
    );
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let directory = new_directory();
    let path = directory.path().join("nsqlookupd.toml");
    let text =
        "broadcast_address = \"file\"\nlog_prefix = \"[file] \"\ntombstone_lifetime = 150\nunknown = 1\n";
    std::fs::write(&path, text).expect("the directory is ours");
    let config = format!("--config={}", path.display());
    let lookupd = Lookupd::with(&[&config]);
    let answer =
        lookupd.connect().identify(r#"{"broadcast_address":"a","tcp_port":1,"http_port":2,"version":"v"}"#);
    assert_eq!(answer["broadcast_address"], "file");
    assert!(lookupd.process().log_lines()[0].starts_with("[file] "));
    let mut client = lookupd.producer("a");
    client.command("REGISTER t");
    lookupd.act("/topic/tombstone?topic=t&node=a:11");
    nsq_tests::stats::eventually("the node again", || lookupd.found("t"), |found| !found.is_empty());

    let lookupd = Lookupd::with(&["-broadcast-address", "flag", &config, "-log-prefix=[flag] "]);
    let answer =
        lookupd.connect().identify(r#"{"broadcast_address":"a","tcp_port":1,"http_port":2,"version":"v"}"#);
    assert_eq!(answer["broadcast_address"], "flag");
    assert!(lookupd.process().log_lines()[0].starts_with("[flag] "));
}

#[test]
fn the_file_gives_durations_as_text_or_in_milliseconds_and_no_commands() {
    let directory = new_directory();
    each(
        [
            ("text", "tombstone_lifetime = \"150ms\""),
            ("milliseconds", "tombstone_lifetime = 150"),
            ("no keys", "tombstone_lifetime = 150\nversion = true\nverbose = \"x\"\nconfig = 3"),
        ],
        |(name, text)| {
            let path = directory.path().join(format!("{name}.toml"));
            std::fs::write(&path, text).expect("the directory is ours");
            let lookupd = Lookupd::with(&[format!("--config={}", path.display())]);
            let mut client = lookupd.producer("a");
            client.command("REGISTER t");
            lookupd.act("/topic/tombstone?topic=t&node=a:11");
            nsq_tests::stats::eventually("the node again", || lookupd.found("t"), |found| !found.is_empty());
        },
    );
}

#[test]
fn a_file_that_cannot_be_used_is_fatal() {
    let directory = new_directory();
    let path = directory.path().join("nsqlookupd.toml");
    each(
        [
            ("no toml", format!("failed to load config file {} - ", path.display())),
            ("log_level = \"bogus\"", "failed parsing log_level bogus".to_owned()),
        ],
        |(text, expected)| {
            std::fs::write(&path, text).expect("the directory is ours");
            let ended = run(&[&format!("--config={}", path.display())]);
            fatal(&ended, expected);
        },
    );
    let ended = run(&["--config=/nonexistent/x.toml"]);
    fatal(
        &ended,
        "failed to load config file /nonexistent/x.toml - open /nonexistent/x.toml: no such file or directory",
    );
}

#[test]
fn a_value_of_the_file_that_cannot_fit_ends_with_1() {
    let directory = new_directory();
    let path = directory.path().join("nsqlookupd.toml");
    std::fs::write(&path, "tombstone_lifetime = \"90\"\n").expect("the directory is ours");
    let ended = run(&[
        &format!("--config={}", path.display()),
        "--tcp-address=127.0.0.1:0",
        "--http-address=127.0.0.1:0",
    ]);
    assert_eq!(ended.status.code(), Some(1));
    let said = if differences::lookupd_is_original() {
        "ERROR: Resolve failed to coerce value"
    } else {
        "FATAL: failed to coerce value"
    };
    assert!(ended.log.join("\n").contains(said), "{:?}", ended.log);
}

#[test]
fn an_address_in_use_is_fatal() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound");
    let free = "127.0.0.1:0".to_owned();
    let taken = address.to_string();
    each([("tcp", &taken, &free), ("http", &free, &taken), ("both", &taken, &taken)], |(_, tcp, http)| {
        let ended = run(&[&format!("--tcp-address={tcp}"), &format!("--http-address={http}")]);
        // The original's format string has no place for the cause; what it prints then is Go's complaint.
        let start = if differences::lookupd_is_original() {
            "failed to instantiate nsqlookupd"
        } else {
            "failed to instantiate nsqlookupd - "
        };
        fatal(&ended, start);
        let last = ended.log.last().expect("it said something");
        let cause = format!("listen ({address}) failed - listen tcp {address}: bind: address already in use");
        assert!(last.contains(&cause), "{last}");
        let advice = "; if another nsqlookupd runs, stop it, or choose another address with --";
        assert!(last.contains(advice) || differences::lookupd_is_original(), "{last}");
    });
}

/// The last line must be FATAL and begin so, whatever prefix was asked for.
fn fatal(ended: &Ended, start: &str) {
    assert_eq!(ended.status.code(), Some(1), "{:?}", ended.log);
    let line = ended.log.last().expect("it said something");
    let (head, text) = line.split_once(" FATAL: ").unwrap_or_else(|| panic!("{:?} is not FATAL", ended.log));
    assert!(head.starts_with("[nsqlookupd] ") && text.starts_with(start), "{line}");
}
