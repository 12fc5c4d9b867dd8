//! `nsq stat`: all that is counted, summed; who is silent is named and ends nothing.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};

use nsq_tests::process::Signal;
use nsq_tests::stats::{eventually, mask_numbers};
use nsq_tests::{Daemon, Lookupd, each};

use super::terminal::Terminal;
use super::{Run, nsq, nsq_with_input, signal, start};

fn nsqd(address: SocketAddr) -> String {
    format!("--nsqd-http-address={address}")
}

fn lookupd(address: SocketAddr) -> String {
    format!("--lookupd-http-address={address}")
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    listener.local_addr().expect("it listens")
}

fn stat(arguments: &[&str]) -> Run {
    nsq_with_input(&[&["stat", "--interval=20ms"], arguments].concat(), b"")
}

/// The lines of a run that was a success, each in words.
fn words(run: &Run) -> Vec<Vec<String>> {
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    let text = String::from_utf8(run.stdout.clone()).expect("it prints text");
    text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// A daemon whose channel c of topic t holds so many messages.
fn daemon_with(count: usize, flags: &[&str]) -> Daemon {
    let daemon = Daemon::with(flags);
    daemon.act("/topic/create?topic=t");
    daemon.act("/channel/create?topic=t&channel=c");
    for _ in 0..count {
        daemon.publish("t", "x");
    }
    daemon
}

#[test]
fn looking_again_and_again_does_not_fill_the_log() {
    let daemon = daemon_with(1, &[]);
    words(&stat(&["--count=3", &nsqd(daemon.http)]));
    daemon.get("/ping");
    daemon.process().wait_for_log("the request after them", |line| line.contains("GET /ping"));
    assert!(!daemon.process().log_lines().iter().any(|line| line.contains("/stats")));
}

#[test]
fn all_channels_of_all_nsqd_are_listed_and_summed() {
    let (first, second) = (daemon_with(3, &[]), daemon_with(4, &["--mem-queue-size=0"]));
    second.act("/topic/create?topic=alone");
    let lines = words(&stat(&["--count=1", &nsqd(first.http), &nsqd(second.http)]));
    let header = "time topic channel depth mem disk inflt def req t-o msgs in/s out/s clients nodes";
    assert_eq!(lines[0].join(" "), header);
    assert_eq!(lines[1][1..].join(" "), "alone - 0 0 0 0 0 0 0 0 - - 0 1");
    let row = &lines[2];
    assert_eq!(row[1..4], ["t", "c", "7"]);
    assert_eq!((row[10].as_str(), row[14].as_str()), ("7", "2"));
    let lines = words(&stat(&["--count=1", "--topic=alone", &nsqd(first.http), &nsqd(second.http)]));
    assert_eq!((lines.len(), lines[1][1].as_str()), (2, "alone"));
}

#[test]
fn one_channel_has_the_columns_of_nsq_stat() {
    let daemon = daemon_with(5, &[]);
    let mut consumer = daemon.subscribe("t", "c");
    consumer.ready(1);
    consumer.expect_message();
    let run = stat(&["--count=2", "--topic=t", "--channel=c", &nsqd(daemon.http)]);
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    let row =
        "      0       0 |       4       4       0     1     0 |       0       0            5       1\n";
    let expected = [
        "------rate------+----------------depth----------------+--------------metadata---------------\n",
        "ingress  egress |   total     mem    disk inflt   def |     req     t-o         msgs clients\n",
        row,
        row,
    ];
    assert_eq!(String::from_utf8(run.stdout).unwrap(), expected.concat());
}

#[test]
fn the_header_comes_again() {
    let daemon = daemon_with(0, &[]);
    let one = ["--count=30", "--topic=t", "--channel=c", &nsqd(daemon.http), "--interval=1ms"];
    let run = nsq_with_input(&[&["stat"], &one[..]].concat(), b"");
    let text = String::from_utf8(run.stdout).unwrap();
    let at: Vec<usize> =
        text.lines().enumerate().filter(|(_, l)| l.starts_with("ingress")).map(|(at, _)| at).collect();
    // The first poll has no line; the header before the 26th poll stands behind 24 lines.
    assert_eq!(at, [1, 2 + 24 + 1], "{text}");
    assert_eq!(text.lines().count(), 30 + 4);
    let lines = words(&stat(&["--count=26", &nsqd(daemon.http)]));
    let at: Vec<usize> = lines.iter().enumerate().filter(|(_, l)| l[0] == "time").map(|(at, _)| at).collect();
    assert_eq!(at, [0, 26]);
}

#[test]
fn rates_are_measured() {
    let daemon = daemon_with(0, &[]);
    let mut child = start(&["stat", "--interval=50ms", "--topic=t", "--channel=c", &nsqd(daemon.http)]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ingress = |line: &String| line.split_whitespace().next().unwrap().parse::<u64>().unwrap_or(0);
    lines.find(|line| line.contains(" | ") && !line.starts_with("ingress")).unwrap();
    let mut client = daemon.connect();
    client.publish_all("t", &["x"; 100]);
    let line = lines.find(|line| ingress(line) > 0).unwrap();
    // 100 in the time from one poll to the next, which may be much longer than it was to be.
    assert!(ingress(&line) >= 10, "{line}");
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn nsqd_are_found_through_nsqlookupd() {
    let (first, second) = (Lookupd::start(), Lookupd::start());
    let flags = [format!("--lookupd-tcp-address={}", first.tcp), "--broadcast-address=127.0.0.1".to_owned()];
    let daemon = daemon_with(2, &[&flags[0], &flags[1]]);
    eventually("a node", || first.nodes(), |nodes| !nodes.is_empty());
    // The second does not know the topic, which is no error.
    let one = ["--count=1", "--topic=t", "--channel=c"];
    let run = stat(&[&one[..], &[&lookupd(first.http), &lookupd(second.http)]].concat());
    assert_eq!(words(&run).len(), 3);
    assert!(!run.stderr.contains("refused"), "{}", run.stderr);
    drop(daemon);
}

#[test]
fn who_is_silent_is_named_and_ends_nothing() {
    let (nobody, registry) = (nobody(), Lookupd::start());
    let flags =
        [format!("--lookupd-tcp-address={}", registry.tcp), "--broadcast-address=127.0.0.1".to_owned()];
    let daemon = daemon_with(2, &[&flags[0], &flags[1]]);
    eventually("a node", || registry.nodes(), |nodes| !nodes.is_empty());
    let silent = format!("{nobody}: connection refused");
    each(
        [
            ("nsqd", [nsqd(daemon.http), nsqd(nobody)]),
            ("nsqlookupd", [lookupd(registry.http), lookupd(nobody)]),
        ],
        |(who, sources)| {
            let said = format!("nsq: {who} {silent}");
            for one in [&["--topic=t", "--channel=c"][..], &[]] {
                let run = stat(&[one, &["--count=2", &sources[0], &sources[1]]].concat());
                assert!(words(&run).iter().any(|line| line.contains(&"2".to_owned())), "{:?}", words(&run));
                assert_eq!(run.stderr.matches(&said).count(), 1, "said once: {}", run.stderr);
            }
        },
    );
}

#[test]
fn when_nobody_answers_the_first_poll_is_a_failure() {
    let nobody = nobody();
    for source in [nsqd(nobody), lookupd(nobody)] {
        let run = stat(&[&source]);
        assert_eq!(run.status.code(), Some(1));
        let expected = format!("{nobody}: connection refused; is NSQ running there?");
        assert!(
            run.stderr.starts_with("nsq: nobody answers: ") && run.stderr.contains(&expected),
            "{}",
            run.stderr
        );
    }
    let daemon = daemon_with(0, &[]);
    let run = stat(&["--topic=t", "--channel=unknown", &nsqd(daemon.http)]);
    assert_eq!((run.status.code(), run.stdout.len()), (Some(1), 0));
    assert!(
        run.stderr.contains("no channel unknown of topic t on the nsqd that was asked"),
        "{}",
        run.stderr
    );
}

#[test]
fn one_that_goes_away_later_is_no_failure() {
    let (stays, goes) = (daemon_with(1, &[]), daemon_with(1, &[]));
    let gone = goes.http;
    let mut child = start(&["stat", "--interval=20ms", &nsqd(stays.http), &nsqd(gone)]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let nodes = |line: &String| line.split_whitespace().next_back().map(str::to_owned);
    lines.find(|line| nodes(line).as_deref() == Some("2")).unwrap();
    goes.stop();
    lines.find(|line| nodes(line).as_deref() == Some("1")).unwrap();
    // With all of them gone it goes on asking.
    stays.stop();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    stderr.find(|line| line.contains(&gone.to_string())).unwrap();
    stderr.find(|line| line.contains("nsq: nsqd")).unwrap();
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let daemon = daemon_with(1, &[]);
    let mut child = start(&["stat", "--interval=1h", &nsqd(daemon.http)]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_terminal_is_renewed_in_place() {
    let daemon = daemon_with(1, &[]);
    let terminal = Terminal::start(&["stat", "--interval=20ms", &nsqd(daemon.http)], 80, 24);
    terminal.wait_for("a row", |line| mask_numbers(line).starts_with("t     c           # "));
    daemon.publish("t", "x");
    let screen = terminal.wait_for("two messages", |line| line.starts_with("t     c           2 "));
    let rows = screen.iter().filter(|line| line.starts_with("t     c ")).count();
    assert_eq!(rows, 1, "{screen:?}");
    assert!(screen[0].contains("  every 20ms  1 nsqd  asking nsqd 127.0.0.1:"), "{screen:?}");
    // Nothing needs to be restored: no cursor was hidden, no other screen opened.
    assert!(!terminal.written().contains("\u{1b}[?"), "{:?}", terminal.written());
    signal(&terminal.child, Signal::INT);
}

#[test]
fn a_small_terminal_shows_the_deepest_and_counts_the_others() {
    let daemon = Daemon::start();
    for number in 0..30 {
        daemon.act(&format!("/topic/create?topic=t{number:02}"));
    }
    daemon.publish("t17", "x");
    let terminal = Terminal::start(&["stat", "--interval=20ms", &nsqd(daemon.http)], 80, 10);
    let screen = terminal.wait_for("a note", |line| line.contains("more, less deep"));
    assert!(screen[3].starts_with("t17 "), "{screen:?}");
    assert!(screen[8].starts_with("(25 more, less deep"), "{screen:?}");
}

#[test]
fn a_terminal_waits_for_somebody_to_answer() {
    let nobody = nobody();
    let terminal = Terminal::start(&["stat", "--interval=20ms", &nsqd(nobody)], 80, 24);
    let screen =
        terminal.wait_for("that it tries again", |line| line.contains("nobody answers; trying again"));
    let silent = format!("! nsqd {nobody}: connection refused");
    assert!(screen.contains(&silent), "{screen:?}");
}

#[test]
fn a_terminal_shows_the_past_of_one_channel() {
    let daemon = daemon_with(1, &[]);
    let arguments = ["stat", "--interval=20ms", "--count=5", "--topic=t", "--channel=c", &nsqd(daemon.http)];
    let mut terminal = Terminal::start(&arguments, 100, 24);
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
    let rows =
        |screen: &Vec<String>| screen.iter().filter(|line| line.starts_with("      0       0 | ")).count();
    eventually("five lines", || terminal.screen(), |screen| rows(screen) == 5);
}

#[test]
fn what_makes_no_sense_is_refused() {
    each(
        [
            (
                "both kinds",
                &["stat", "--nsqd-http-address=a:1", "--lookupd-http-address=a:2"][..],
                "cannot be used with",
            ),
            ("a scheme", &["stat", "--nsqd-http-address=http://a:1"], "without a scheme"),
            ("an interval", &["stat", "--interval=0s"], "must be more than 0"),
            ("a count", &["stat", "--count=0"], "--count"),
        ],
        |(_, arguments, said)| {
            let ended = nsq(arguments);
            assert_eq!(ended.status.code(), Some(2), "{:?}", ended.log);
            assert!(ended.log.join("\n").contains(said), "{:?}", ended.log);
        },
    );
}
