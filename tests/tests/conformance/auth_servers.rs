//! Authorization servers that do what no server should: nsqd-tcp.md §9, and what it leaves to each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use nsq_tests::authorization::{all_of, answer, authorization_server, authorize, response, server};
use nsq_tests::differences::{
    authorization_answers_are_bounded, parts_from_who_is_gone_while_authorizing,
    stops_without_waiting_for_authorization,
};
use nsq_tests::process::Signal;
use nsq_tests::raw::{batch, be, with_body};
use nsq_tests::{Daemon, PATIENCE, each};

const FAILED: &str = "E_AUTH_FAILED AUTH failed";

/// What a daemon's memory may grow by while it is answered too much, in bytes.
const GROWTH_MAX: u64 = 16 << 20;

fn asking(address: impl std::fmt::Display) -> Daemon {
    Daemon::with(&[&format!("--auth-http-address={address}")])
}

/// The most memory that the daemon has had at a time, in bytes.
fn peak_memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process().id()));
    let status = status.expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the system says");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// A server that answers well until it is told to hang.
fn hanging_when_told(time_to_live: u32) -> (Daemon, Arc<AtomicBool>, mpsc::Receiver<()>) {
    let hangs = Arc::new(AtomicBool::new(false));
    let (told, (sender, receiver)) = (Arc::clone(&hangs), mpsc::channel());
    let good = response("200 OK", "", &answer(&all_of(".*")).replace("3600", &time_to_live.to_string()));
    let (address, _) = server(move |_| {
        if told.load(Ordering::Relaxed) {
            let _ = sender.send(());
            return None;
        }
        Some(good.clone())
    });
    let flags = [&format!("--auth-http-address={address}"), "--http-client-request-timeout=3s"];
    (Daemon::with(&flags), hangs, receiver)
}

#[test]
fn whatever_a_server_says_the_client_is_told_that_it_failed() {
    let good = answer(&all_of(".*"));
    let rows = [
        ("nothing", Vec::new()),
        ("not HTTP", b"220 mail at your service\r\n\r\n".to_vec()),
        ("status 500", response("500 Internal Server Error", "", &good)),
        ("status 201", response("201 Created", "", &good)),
        ("half an answer", response("200 OK", "", &good)[..130].to_vec()),
        ("JSON, but a list", response("200 OK", "", "[]")),
        ("JSON, but other types", response("200 OK", "", &good.replace("3600", "\"3600\""))),
        ("binary", response("200 OK", "", "\0\u{1}\u{fffd}")),
        ("redirected to itself", response("302 Found", "Location: /auth\r\n", "")),
        ("redirected to nowhere", response("302 Found", "Location: http://127.0.0.1:1/\r\n", "")),
        ("10 MB", response("200 OK", "", &"x".repeat(10_000_000))),
        ("10 MB of opening brackets", response("200 OK", "", &"[".repeat(10_000_000))),
    ];
    each(rows, |(_, bytes)| {
        let bytes = bytes.clone();
        let (address, _asked) = server(move |_| Some(bytes.clone()));
        let daemon = asking(address);
        let before = peak_memory(&daemon);
        for _ in 0..3 {
            let mut client = daemon.connect();
            client.send(with_body("AUTH", "secret"));
            client.expect_fatal(FAILED);
        }
        let growth = peak_memory(&daemon) - before;
        assert!(growth < GROWTH_MAX || !authorization_answers_are_bounded(), "it took {growth} bytes");
        daemon.post("/pub?topic=t", "x").expect_ok();
    });
}

#[test]
fn an_answer_that_would_be_good_but_for_its_size_is_refused() {
    if !authorization_answers_are_bounded() {
        return;
    }
    let many = |count: usize| answer(&vec![all_of("some_topic"); count].join(","));
    let long_line = format!("X: {}\r\n", "x".repeat(10_000_000));
    let rows = [
        ("10 MB of spaces", "", answer(&all_of(".*")) + &" ".repeat(10_000_000), false),
        ("a head of 10 MB", long_line.as_str(), answer(&all_of(".*")), false),
        ("10,000 authorizations", "", many(10_000), false),
        ("a pattern that is a million states", "", answer(&all_of("(a{100}){100}{100}")), false),
        ("1000 authorizations", "", many(1_000), true),
    ];
    each(rows, |(_, headers, answer, is_taken)| {
        let response = response("200 OK", headers, answer);
        let (address, _asked) = server(move |_| Some(response.clone()));
        let daemon = asking(address);
        let before = peak_memory(&daemon);
        let mut client = daemon.connect();
        client.send(with_body("AUTH", "secret"));
        if *is_taken {
            client.expect_any_response();
            client.publish("some_topic", b"x");
        } else {
            client.expect_fatal(FAILED);
        }
        let growth = peak_memory(&daemon) - before;
        assert!(growth < GROWTH_MAX, "it took {growth} bytes");
    });
}

#[test]
fn a_server_that_hangs_keeps_nobody_waiting_but_who_asks() {
    let (daemon, hangs, asked) = hanging_when_told(3600);
    let mut authorized = authorize(&daemon);
    hangs.store(true, Ordering::Relaxed);
    let mut waiting: Vec<_> = (0..20).map(|_| daemon.connect()).collect();
    for client in &mut waiting {
        client.send(with_body("AUTH", "secret"));
    }
    asked.recv_timeout(PATIENCE).expect("the server was asked");
    for _ in 0..100 {
        authorized.publish("t", b"x");
    }
    let mut consumer = authorized;
    consumer.subscribe("t", "c");
    consumer.ready(1);
    consumer.expect_message();
    for client in &mut waiting {
        client.expect_fatal(FAILED);
    }
}

#[test]
fn who_waits_for_a_server_still_gets_messages_and_heartbeats() {
    let (daemon, hangs, asked) = hanging_when_told(1);
    let mut client = daemon.connect();
    client.identify("\"heartbeat_interval\":1000,\"output_buffer_size\":-1");
    client.send(with_body("AUTH", "secret"));
    client.expect_any_response();
    client.subscribe("t", "c");
    client.ready(1);
    hangs.store(true, Ordering::Relaxed);
    // Until the authorization has run out: then the publish waits.
    let publish = with_body("PUB other", "x");
    let deadline = Instant::now() + PATIENCE;
    while asked.try_recv().is_err() {
        assert!(Instant::now() < deadline, "never asked again");
        client.send(&publish);
        while client.poll_frame(Duration::from_millis(50)).is_some() {}
    }
    daemon.post("/pub?topic=t", "for a client that waits").expect_ok();
    let mut kinds = Vec::new();
    let failed = loop {
        let frame = client.next_frame();
        kinds.push(frame.kind);
        if frame.kind == 1 {
            break frame;
        }
    };
    assert!(kinds.contains(&0) && kinds.contains(&2), "heartbeats and a message: {kinds:?}");
    assert_eq!(failed.data, FAILED.as_bytes());
}

#[test]
fn who_hangs_up_while_a_server_hangs_is_not_waited_for() {
    let (daemon, hangs, asked) = hanging_when_told(1);
    hangs.store(true, Ordering::Relaxed);
    let mut client = daemon.connect();
    client.send(with_body("AUTH", "secret"));
    asked.recv_timeout(PATIENCE).expect("the server was asked");
    let (address, before) = (client.address().to_string(), Instant::now());
    drop(client);
    let is_its_end = |line: &str| line.contains(&address) && line.contains("exiting ioloop");
    daemon.process().wait_for_log("the end of the connection", is_its_end);
    let waited = before.elapsed() >= Duration::from_secs(2);
    assert!(!waited || !parts_from_who_is_gone_while_authorizing(), "it waited for the server");
}

#[test]
fn who_has_said_everything_still_gets_the_answers() {
    let (release, released) = mpsc::channel();
    let good = response("200 OK", "", &answer(&all_of(".*")));
    let (address, _asked) = server(move |_| {
        released.recv_timeout(PATIENCE).expect("the test goes on");
        Some(good.clone())
    });
    let daemon = asking(address);
    let mut client = daemon.connect();
    client.send([with_body("AUTH", "secret"), with_body("PUB t", "x")].concat());
    client.finish_sending();
    if parts_from_who_is_gone_while_authorizing() {
        // It looks whether anybody is there.
        client.expect_response("_heartbeat_");
        client.expect_response("_heartbeat_");
    }
    release.send(()).expect("the server waits");
    client.expect_response("{\"identity\":\"who\",\"identity_url\":\"http://who\",\"permission_count\":1}");
    client.expect_response("OK");
    client.expect_end();
    assert_eq!(daemon.topic_stats("t")["depth"], 1);
}

#[test]
fn what_is_said_while_a_server_is_waited_for_is_heard_afterwards() {
    let (release, released) = mpsc::channel();
    let good = response("200 OK", "", &answer(&all_of(".*")));
    let (address, _asked) = server(move |_| {
        released.recv_timeout(PATIENCE).expect("the test goes on");
        Some(good.clone())
    });
    let daemon = asking(address);
    let mut client = daemon.connect();
    client.send([with_body("AUTH", "secret"), b"PUB".to_vec()].concat());
    client.expect_silence();
    client.send(&with_body("PUB t", "x")[3..]);
    client.expect_silence();
    client.send(with_body("PUB t", "y"));
    release.send(()).expect("the server waits");
    client.expect_any_response();
    client.expect_response("OK");
    client.expect_response("OK");
}

#[test]
fn a_daemon_stops_while_a_server_hangs() {
    let (daemon, hangs, asked) = hanging_when_told(3600);
    hangs.store(true, Ordering::Relaxed);
    let mut client = daemon.connect();
    client.send(with_body("AUTH", "secret"));
    asked.recv_timeout(PATIENCE).expect("the server was asked");
    let before = Instant::now();
    let ended = daemon.end(Signal::TERM);
    let waited = before.elapsed() >= Duration::from_secs(2);
    assert!(!waited || !stops_without_waiting_for_authorization(), "it waited for the server");
    client.expect_end();
    drop(ended);
}

#[test]
fn the_right_to_publish_is_checked_before_the_body_of_a_batch() {
    let (address, _asked) = authorization_server("200 OK", &answer(&all_of("^allowed$")));
    let daemon = asking(address);
    let mut stranger = daemon.connect();
    stranger.send("MPUB t\n");
    stranger.expect_fatal("E_AUTH_FIRST AUTH required before MPUB");
    let refused = "E_UNAUTHORIZED AUTH failed for MPUB on \"t\" \"\"";
    for body in [Vec::new(), be(0).to_vec(), with_body("", batch(&["x"]))[1..].to_vec()] {
        let mut client = authorize(&daemon);
        client.send([b"MPUB t\n".to_vec(), body].concat());
        client.expect_fatal(refused);
    }
    assert!(daemon.topic_stats("t").is_null(), "the topic was made");
    let mut client = authorize(&daemon);
    client.send(b"MPUB allowed\n");
    client.expect_silence();
    client.send(&with_body("", batch(&["x"]))[1..]);
    client.expect_response("OK");
}

#[test]
fn what_came_before_a_refusal_counts() {
    let (address, _asked) = authorization_server("200 OK", &answer(&all_of("^allowed$")));
    let daemon = asking(address);
    let mut client = authorize(&daemon);
    let good = with_body("PUB allowed", "x");
    client.send([good.clone(), good, with_body("PUB t", "x")].concat());
    client.expect_response("OK");
    client.expect_response("OK");
    client.expect_fatal("E_UNAUTHORIZED AUTH failed for PUB on \"t\" \"\"");
    assert_eq!(daemon.topic_stats("allowed")["message_count"], 2);
}

#[test]
fn an_authorization_that_ran_out_and_is_not_given_again_refuses() {
    let good = response("200 OK", "", &answer(&all_of(".*")).replace("3600", "1"));
    let other = response("200 OK", "", &answer(&all_of("other")));
    let nothing = response("200 OK", "", &answer(""));
    let unauthorized = "E_UNAUTHORIZED AUTH failed for PUB on \"t\" \"\"";
    let rows = [
        ("an error", response("500 Internal Server Error", "", ""), FAILED),
        ("another topic", other, unauthorized),
        ("nothing", nothing, unauthorized),
    ];
    each(rows, |(_, second, error)| {
        let (first, second, is_first) = (good.clone(), second.clone(), AtomicBool::new(true));
        let (address, _asked) = server(move |_| {
            Some(if is_first.swap(false, Ordering::Relaxed) { first.clone() } else { second.clone() })
        });
        let daemon = asking(address);
        let mut client = authorize(&daemon);
        let publish = with_body("PUB t", "x");
        let deadline = Instant::now() + PATIENCE;
        let refused = loop {
            client.send(&publish);
            let frame = client.next_frame();
            if frame.kind == 1 {
                break frame;
            }
            assert!(Instant::now() < deadline, "never refused");
        };
        assert_eq!(String::from_utf8_lossy(&refused.data), *error);
        client.expect_end();
    });
}

#[test]
fn a_redirect_is_followed_with_the_question_it_names() {
    let (address, asked) = server(|asked| {
        Some(match asked.line.contains("/there") {
            true => response("200 OK", "", &answer(&all_of(".*"))),
            false => response("302 Found", "Location: /there?secret=other\r\n", ""),
        })
    });
    let daemon = asking(address);
    authorize(&daemon);
    let lines: Vec<_> = (0..2).map(|_| asked.recv_timeout(PATIENCE).expect("it was asked").line).collect();
    assert!(lines[0].starts_with("GET /auth?"), "{lines:?}");
    assert_eq!(lines[1], "GET /there?secret=other HTTP/1.1");
}
