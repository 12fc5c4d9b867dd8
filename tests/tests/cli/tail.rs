//! `nsq tail`: what is printed is finished, and what is not printed is not.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::Child;

use nsq_tests::process::Signal;
use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, Lookupd, each, shared};

use super::{nsq, signal, start};

/// Starts it on a channel of this name, and waits until it consumes there.
fn tail(daemon: &Daemon, topic: &str, more: &[&str]) -> Child {
    let address = format!("--nsqd-tcp-address={}", daemon.tcp);
    let mut arguments = vec!["tail", topic, "--channel=c", &address];
    arguments.extend_from_slice(more);
    let child = start(&arguments);
    daemon.wait_for_channel(topic, "c", "client_count", 1);
    child
}

/// Waits for its end, which must be a success; gives what it printed.
fn printed(child: Child) -> Vec<u8> {
    let output = child.wait_with_output().expect("our own child can be waited for");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn bodies_are_printed_as_they_are() {
    let daemon = shared();
    let child = tail(&daemon, "cli_tail_print", &["--count=3"]);
    for body in [&b"plain"[..], b"two\nlines", b"\xff\x00"] {
        daemon.publish("cli_tail_print", body);
    }
    assert_eq!(printed(child), b"plain\ntwo\nlines\n\xff\x00\n");
}

#[test]
fn the_last_message_is_finished_and_no_more_are_taken() {
    let daemon = shared();
    daemon.act("/topic/create?topic=cli_tail_last");
    daemon.act("/channel/create?topic=cli_tail_last&channel=c");
    for body in ["1", "2", "3", "4"] {
        daemon.publish("cli_tail_last", body);
    }
    let address = format!("--nsqd-tcp-address={}", daemon.tcp);
    let child = start(&["tail", "cli_tail_last", "--channel=c", "-n", "2", &address]);
    assert_eq!(printed(child), b"1\n2\n");
    // Its connection has ended, and everything that it said before is done.
    daemon.wait_for_channel("cli_tail_last", "c", "client_count", 0);
    daemon.wait_for_channel("cli_tail_last", "c", "in_flight_count", 0);
    let stats = daemon.channel_stats("cli_tail_last", "c");
    assert_eq!((&stats["depth"], &stats["timeout_count"]), (&2.into(), &0.into()), "{stats}");
}

#[test]
fn several_topics_are_told_apart_and_counted_together() {
    let daemon = shared();
    let child = tail(&daemon, "cli_tail_a", &["cli_tail_b", "--print-topic", "-n", "2"]);
    daemon.wait_for_channel("cli_tail_b", "c", "client_count", 1);
    daemon.publish("cli_tail_a", "x");
    daemon.publish("cli_tail_b", "y");
    let output = String::from_utf8(printed(child)).unwrap();
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["cli_tail_a | x", "cli_tail_b | y"]);
}

#[test]
fn a_channel_of_its_own_goes_away_with_it() {
    let daemon = shared();
    let address = format!("--nsqd-tcp-address={}", daemon.tcp);
    let child = start(&["tail", "cli_tail_own", &address]);
    let names = || {
        let topic = daemon.topic_stats("cli_tail_own");
        let channels = topic["channels"].as_array().cloned().unwrap_or_default();
        channels
            .iter()
            .map(|channel| channel["channel_name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let name = eventually("a channel", names, |names| names.len() == 1).remove(0);
    let digits = name.strip_prefix("tail").and_then(|rest| rest.strip_suffix("#ephemeral"));
    assert!(digits.is_some_and(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_digit())), "{name}");
    signal(&child, Signal::INT);
    assert_eq!(printed(child), b"");
    eventually("no channel", names, Vec::is_empty);
}

#[test]
fn a_signal_ends_it_in_order() {
    each([("cli_tail_int", Signal::INT), ("cli_tail_term", Signal::TERM)], |(topic, stop)| {
        let daemon = shared();
        let mut child = tail(&daemon, topic, &[]);
        daemon.publish(topic, "x");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        signal(&child, *stop);
        printed(child);
        daemon.wait_for_channel(topic, "c", "client_count", 0);
        let stats = daemon.channel_stats(topic, "c");
        assert_eq!((&stats["depth"], &stats["in_flight_count"]), (&0.into(), &0.into()), "{stats}");
    });
}

#[test]
fn a_closed_pipe_ends_it_quietly_and_takes_nothing_more() {
    let daemon = shared();
    let mut child = tail(&daemon, "cli_tail_pipe", &[]);
    daemon.publish("cli_tail_pipe", "read");
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "read\n");
    daemon.wait_for_channel("cli_tail_pipe", "c", "in_flight_count", 0);
    drop(stdout);
    // No message is needed for it to notice.
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    daemon.publish("cli_tail_pipe", "not read");
    daemon.wait_for_channel("cli_tail_pipe", "c", "depth", 1);
}

#[test]
fn a_message_that_cannot_be_written_is_not_finished() {
    let daemon = shared();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let address = format!("--nsqd-tcp-address={}", daemon.tcp);
    let child = std::process::Command::new(nsq_tests::process::program("nsq"))
        .args(["tail", "cli_tail_full", "--channel=c", &address])
        .stdout(full)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    daemon.wait_for_channel("cli_tail_full", "c", "client_count", 1);
    daemon.publish("cli_tail_full", "x");
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("nsq: cannot write: no space left on device"), "{stderr}");
    daemon.wait_for_channel("cli_tail_full", "c", "client_count", 0);
    let stats = daemon.channel_stats("cli_tail_full", "c");
    // The original may have sent it once more, and then waits for its timeout.
    let left = ["depth", "in_flight_count"].map(|key| stats[key].as_u64());
    assert!(matches!(left, [Some(1), Some(0)] | [Some(0), Some(1)]), "{stats}");
}

#[test]
fn nsqd_are_found_through_nsqlookupd() {
    let lookupd = Lookupd::start();
    let flag = format!("--lookupd-tcp-address={}", lookupd.tcp);
    let daemon = Daemon::with(&[&flag, "--broadcast-address=127.0.0.1"]);
    daemon.publish("t", "found");
    eventually("a topic", || lookupd.topics(), |topics| topics.contains("t"));
    let child = start(&["tail", "t", "-n1", &format!("--lookupd-http-address={}", lookupd.http)]);
    assert_eq!(printed(child), b"found\n");
}

#[test]
fn an_nsqd_that_is_not_there_is_explained() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = nsq(&["tail", "t", &format!("--nsqd-tcp-address={nobody}")]);
    assert_eq!(ended.status.code(), Some(1));
    let expected = format!(
        "nsq: cannot connect to {nobody}: connection refused; is nsqd running there? `nsq up` starts one"
    );
    assert_eq!(ended.log, [expected]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    each(
        [
            ("no topic", &["tail"][..], "<TOPIC>"),
            (
                "both kinds",
                &["tail", "t", "--nsqd-tcp-address=a:1", "--lookupd-http-address=a:2"],
                "cannot be used with",
            ),
            ("a channel", &["tail", "t", "--channel=a b"], "a channel's name must be"),
            ("nothing in flight", &["tail", "t", "--max-in-flight=0"], "--max-in-flight"),
        ],
        |(_, arguments, said)| {
            let ended = nsq(arguments);
            assert_eq!(ended.status.code(), Some(2), "{:?}", ended.log);
            assert!(ended.log.join("\n").contains(said), "{:?}", ended.log);
        },
    );
}
