//! `nsq bench`: that it measures, and that what was not moved as it should be is no result.

use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use nsq_tests::certificates::Authority;
use nsq_tests::daemon::new_directory;
use nsq_tests::process::{Signal, program};
use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, PATIENCE};
use serde_json::Value;

use super::terminal::Terminal;
use super::{nsq, signal, start};

/// The figures of a workload, by name.
fn figures<'a>(report: &'a Value, workload: &str) -> Vec<(&'a str, f64)> {
    let workloads = report["workloads"].as_array().expect("there are workloads");
    let found = workloads.iter().find(|found| found["workload"] == workload).expect("it was measured");
    let figures = found["figures"].as_array().expect("there are figures");
    let named = |figure: &'a Value| Some((figure["name"].as_str()?, figure["medians"][0].as_f64()?));
    figures.iter().map(|figure| named(figure).expect("a figure has a name and a median")).collect()
}

#[test]
fn what_is_measured_is_told_as_json() {
    let authority = Authority::new();
    let (certificate, key) = (authority.path("server.pem"), authority.path("server.key"));
    let nsqd = program("nsqd");
    let workloads =
        ["mpub", "mpub-tls", "mpub-snappy", "mpub-deflate", "pub-each", "drain", "fanout", "requeue"];
    let mut arguments = vec!["bench"];
    arguments.extend(workloads);
    arguments.extend(["--messages", "2000", "--rounds", "1", "--json", "--nsqd"]);
    arguments.extend([&nsqd, &certificate, &key].map(|path| path.to_str().expect("paths here are text")));
    arguments.insert(arguments.len() - 2, "--tls-cert");
    arguments.insert(arguments.len() - 1, "--tls-key");
    let ended = nsq(&arguments);
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.log);
    assert!(ended.log.is_empty(), "only a person is told how far it is: {:?}", ended.log);
    let report: Value = serde_json::from_str(&ended.output).expect("it is JSON");
    assert_eq!(report["sides"], serde_json::json!(["nsqd"]));
    for workload in workloads {
        let rate = figures(&report, workload)
            .into_iter()
            .find(|(name, _)| ["published", "delivered"].contains(name))
            .expect("something was moved");
        assert!(rate.1 > 0.0, "{workload}: {rate:?}");
    }
}

#[test]
fn a_daemon_is_stopped_and_started_with_its_backlog() {
    let nsqd = program("nsqd");
    let nsqd = nsqd.to_str().expect("paths here are text");
    let ended = nsq(&[
        "bench",
        "restart",
        "spill",
        "--messages",
        "5000",
        "--rounds",
        "1",
        "--nsqd",
        nsqd,
        "--peer",
        nsqd,
    ]);
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.log);
    let head = ended.output.lines().next().expect("there is a table");
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), ["workload", "figure", "nsqd", "peer", "ratio"]);
    assert!(ended.output.contains("stop") && ended.output.contains("on disk"), "{}", ended.output);
}

#[test]
fn a_running_daemon_is_left_as_it_was() {
    let daemon = Daemon::start();
    let (tcp, http) = (daemon.tcp.to_string(), daemon.http.to_string());
    let ended = nsq(&[
        "bench",
        "pubsub",
        "--messages",
        "1000",
        "--rounds",
        "1",
        "--nsqd-tcp-address",
        &tcp,
        "--nsqd-http-address",
        &http,
    ]);
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.log);
    let topics = daemon.get("/stats?format=json").json()["topics"].clone();
    assert_eq!(topics, serde_json::json!([]));
}

#[test]
fn connections_topics_and_requests_are_measured() {
    let nsqd = program("nsqd");
    let nsqd = nsqd.to_str().expect("paths here are text");
    let workloads =
        ["churn", "topics", "idle-consumers", "http-pub", "http-mpub", "mpub-channels", "latency"];
    let mut arguments = vec!["bench"];
    arguments.extend(workloads);
    arguments.extend(["--messages", "400", "--topics", "60", "--consumers", "5", "--idle-time", "100ms"]);
    arguments.extend(["--rate", "20000", "--rounds", "1", "--json", "--nsqd", nsqd]);
    let ended = nsq(&arguments);
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.log);
    let report: Value = serde_json::from_str(&ended.output).expect("it is JSON");
    for (workload, expected) in [
        ("churn", "connected"),
        ("topics", "made"),
        ("topics", "idle CPU"),
        ("idle-consumers", "memory/consumer"),
        ("http-pub", "answer p99.9"),
        ("http-mpub", "published"),
        ("mpub-channels", "published, all channels"),
        ("latency", "latency p99.9"),
    ] {
        let figures = figures(&report, workload);
        assert!(figures.iter().any(|(name, _)| *name == expected), "{workload}: {figures:?}");
    }
}

#[test]
fn limits_are_measured_once_and_start_nothing() {
    let nsqd = program("nsqd");
    let nsqd = nsqd.to_str().expect("paths here are text");
    let limits = [
        "limit",
        "limit-kept",
        "limit-each",
        "limit-http-pub",
        "limit-http-mpub",
        "limit-latency",
        "limit-tasks",
    ];
    let arguments = ["--rate", "20000", "--messages", "2000", "--rounds", "2", "--json"];
    let arguments = [&["bench"][..], &limits, &arguments].concat();
    // With this no nsqd would start.
    let sides = ["--nsqd", nsqd, "--peer", nsqd, "--nsqd-opt", "no-such-flag"];
    let ended = nsq(&[&arguments[..], &sides].concat());
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.log);
    let report: Value = serde_json::from_str(&ended.output).expect("it is JSON");
    let names = |workload| figures(&report, workload).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names("limit"), ["copied", "CPU/message"]);
    assert_eq!(names("limit-kept"), ["copied", "CPU/message"]);
    let of_each = ["published", "answer p50", "answer p99", "answer p99.9", "answer max", "CPU/message"];
    for workload in ["limit-each", "limit-http-pub", "limit-http-mpub"] {
        assert_eq!(names(workload), of_each, "{workload}");
    }
    let of_latency = ["latency p50", "latency p99", "latency p99.9", "latency max"];
    let sent_late = ["of it, sent late p50", "of it, sent late p99", "CPU/message"];
    for workload in ["limit-latency", "limit-tasks"] {
        assert_eq!(names(workload), [&of_latency[..], &sent_late].concat(), "{workload}");
    }
    for workload in report["workloads"].as_array().expect("there are workloads") {
        for figure in workload["figures"].as_array().expect("there are figures") {
            let rounds = figure["rounds"].as_array().expect("there are rounds");
            let counts: Vec<_> = rounds.iter().map(|side| side.as_array().map(Vec::len)).collect();
            assert_eq!((counts, &figure["ratio"]), (vec![Some(2), Some(0)], &Value::Null));
        }
    }
}

#[test]
fn a_person_is_told_how_far_it_is() {
    let nsqd = program("nsqd");
    let nsqd = nsqd.to_str().expect("paths here are text");
    let arguments = ["bench", "latency", "drain", "--messages", "200000", "--rounds", "7", "--nsqd", nsqd];
    let terminal = Terminal::start_for_errors(&arguments, 80, 24);
    let line = "1/2 latency, round 1/7, nsqd";
    terminal.wait_for("what is measured", |shown| shown == line);
    let told = |shown: &str| shown.starts_with(&format!("{line}: ")) && shown.ends_with("/s");
    terminal.wait_for("how much and how fast", told);
    signal(&terminal.child, Signal::INT);
    let screen = terminal.wait_for("the end", |shown| shown == "nsq: stopped");
    assert!(!screen.iter().any(|shown| shown.contains("latency")), "{screen:?}");
}

#[test]
fn a_comparison_is_drawn() {
    let (directory, nsqd) = (new_directory(), program("nsqd"));
    let nsqd = nsqd.to_str().expect("paths here are text");
    let chart = directory.path().join("chart.svg");
    let chart_name = chart.to_str().expect("paths here are text");
    let ended = nsq(&[
        "bench",
        "mpub",
        "drain",
        "--messages",
        "1000",
        "--rounds",
        "1",
        "--nsqd",
        nsqd,
        "--peer",
        nsqd,
        "--plot",
        chart_name,
    ]);
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.log);
    let drawn = std::fs::read_to_string(&chart).expect("it was drawn");
    assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"), "{drawn}");
    for text in ["mpub", "drain", "published", "delivered", "CPU/message"] {
        assert!(drawn.contains(&format!(">{text}</text>")), "{text}: {drawn}");
    }
    let without_peer = nsq(&["bench", "mpub", "--nsqd", nsqd, "--plot", chart_name]);
    assert_eq!(without_peer.status.code(), Some(2));
}

#[test]
fn what_cannot_be_measured_is_told_before_anything_is() {
    let nsqd = program("nsqd");
    let nsqd = nsqd.to_str().expect("paths here are text");
    let told = |arguments: &[&str], code: i32, expected: &str| {
        let ended = nsq(&[&["bench", "mpub"], arguments].concat());
        assert_eq!((ended.status.code(), ended.output.as_str()), (Some(code), ""));
        assert!(ended.log.concat().contains(expected), "{:?}", ended.log);
    };
    told(&["mpub-tls", "--nsqd", nsqd], 2, "--tls-cert");
    told(&["spill", "--nsqd-tcp-address", "127.0.0.1:1"], 2, "spill wants an nsqd that is started for it");
    told(&["--nsqd", "no/such/program"], 1, "cannot start no/such/program: no such file or directory");
    told(&["--nsqd", nsqd, "--data-dir", "no/such/directory"], 1, "--data-dir");
}

#[test]
fn what_was_complete_before_a_failure_is_told() {
    let nsqd = program("nsqd");
    let nsqd = nsqd.to_str().expect("paths here are text");
    // A consumer that asks for more than it may is closed.
    let arguments = ["bench", "mpub", "drain", "--messages", "1000", "--rounds", "1", "--nsqd", nsqd];
    let ended = nsq(&[&arguments[..], &["--nsqd-opt", "max-rdy-count=10"]].concat());
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.output.contains("mpub") && !ended.output.contains("drain"), "{}", ended.output);
    assert!(ended.log.concat().starts_with("nsq: drain on nsqd: "), "{:?}", ended.log);
}

/// Plays an nsqd that confirms everything, and delivers these numbers to each consumer.
fn play(delivered: &'static [u64]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            // A client that has gone is none that is played to any more.
            std::thread::spawn(move || drop(converse(socket, delivered)));
        }
    });
    address
}

fn converse(mut socket: TcpStream, delivered: &[u64]) -> io::Result<()> {
    let mut input = BufReader::new(socket.try_clone()?);
    input.read_exact(&mut [0; 4])?;
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.split_whitespace().next() {
            Some("IDENTIFY" | "MPUB") => {
                let mut size = [0; 4];
                input.read_exact(&mut size)?;
                input.read_exact(&mut vec![0; u32::from_be_bytes(size) as usize])?;
                frame(&mut socket, 0, b"OK")?;
            }
            Some("SUB") => frame(&mut socket, 0, b"OK")?,
            Some("RDY") => {
                for number in delivered {
                    let body = [&number.to_le_bytes()[..], b" and more"].concat();
                    frame(&mut socket, 2, &[&[0; 8][..], &[0, 1], &[b'0'; 16], &body].concat())?;
                }
            }
            _ => {}
        }
    }
}

fn frame(socket: &mut TcpStream, kind: u32, data: &[u8]) -> io::Result<()> {
    let size = data.len() as u32 + 4;
    socket.write_all(&[&size.to_be_bytes()[..], &kind.to_be_bytes(), data].concat())
}

/// How a run on such an nsqd ends, which is to be a failure.
fn failure(delivered: &'static [u64]) -> String {
    let address = play(delivered).to_string();
    let ended = nsq(&[
        "bench",
        "pubsub",
        "--messages",
        "4",
        "--batch",
        "2",
        "--rounds",
        "1",
        "--patience",
        "300ms",
        "--nsqd-tcp-address",
        &address,
    ]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.output);
    assert_eq!(ended.output, "");
    let prefix = format!("nsq: pubsub on {address}: ");
    ended.log.concat().strip_prefix(&prefix).expect("it says where").to_owned()
}

#[test]
fn a_daemon_that_loses_messages_has_no_figures() {
    assert_eq!(failure(&[]), "4 of 4 messages never came, the first is 0");
}

#[test]
fn a_daemon_that_doubles_messages_has_no_figures() {
    assert_eq!(failure(&[3]), "message 3 came twice");
    assert_eq!(failure(&[4]), "message 4 came, which was never published");
}

#[test]
fn a_stop_leaves_neither_a_daemon_nor_its_data() {
    let (directory, nsqd) = (new_directory(), program("nsqd"));
    let arguments = ["bench", "durable-each", "--rounds", "1000", "--data-dir"].map(OsStr::new);
    let child = start(
        &[&arguments[..], &[directory.path().as_os_str(), "--nsqd".as_ref(), nsqd.as_os_str()]].concat(),
    );
    let has_data = || std::fs::read_dir(directory.path()).expect("it is readable").next().is_some();
    let deadline = Instant::now() + PATIENCE;
    while !has_data() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    signal(&child, Signal::TERM);
    let output = child.wait_with_output().expect("our own child can be waited for");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "nsq: stopped\n");
    assert!(!has_data());
}

#[test]
fn a_stop_leaves_no_topic_in_a_daemon_that_runs() {
    let daemon = Daemon::start();
    let addresses = [daemon.tcp, daemon.http].map(|address| address.to_string());
    let [tcp, http] = &addresses;
    let topics = || daemon.get("/stats?format=json").json()["topics"].as_array().map_or(0, Vec::len);
    // The former ends by itself only after some 10 seconds, the latter when its consumer is told.
    for workload in ["latency", "idle-consumers"] {
        let arguments = ["bench", workload, "--consumers", "1", "--nsqd-tcp-address", tcp];
        let arguments = [&arguments[..], &["--nsqd-http-address", http]].concat();
        let child = start(&arguments.iter().map(OsStr::new).collect::<Vec<_>>());
        eventually("a topic", topics, |count| *count == 1);
        signal(&child, Signal::INT);
        let output = child.wait_with_output().expect("our own child can be waited for");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "nsq: stopped\n");
        assert_eq!(topics(), 0, "{workload}");
    }
}

#[test]
fn a_daemon_that_does_not_start_is_given_its_own_words() {
    let nsqd = program("nsqd");
    let nsqd = nsqd.to_str().expect("paths here are text");
    let ended = nsq(&["bench", "mpub", "--nsqd", nsqd, "--nsqd-opt", "no-such-flag"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.log.concat().contains("no-such-flag"), "{:?}", ended.log);
}
