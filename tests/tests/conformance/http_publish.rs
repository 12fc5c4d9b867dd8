//! POST /pub and POST /mpub: nsqd-http.md §3 and §9.

use nsq_tests::http::Request;
use nsq_tests::raw::{batch, be};
use nsq_tests::{Daemon, differences, each, shared};

/// The bodies that a consumer of the topic gets, in order.
fn bodies(daemon: &Daemon, topic: &str, count: usize) -> Vec<String> {
    let mut client = daemon.subscribe(topic, "c");
    client.ready(1);
    let mut bodies = Vec::new();
    for _ in 0..count {
        let message = client.expect_message();
        client.finish(&message);
        bodies.push(String::from_utf8(message.body).expect("text was published"));
    }
    client.expect_nothing_answered();
    client.expect_silence();
    bodies
}

#[test]
fn a_message_is_the_raw_body() {
    let daemon = shared();
    daemon.post("/pub?topic=http_pub_raw", "line\r\nanother\n").expect_ok();
    assert_eq!(bodies(&daemon, "http_pub_raw", 1), ["line\r\nanother\n"]);
}

#[test]
fn a_chunked_body_is_one_message() {
    let daemon = shared();
    let request = Request::new("POST", "/pub?topic=http_pub_chunked").body("hello").chunked();
    request.send(daemon.http).expect_ok();
    assert_eq!(bodies(&daemon, "http_pub_chunked", 1), ["hello"]);
}

#[test]
fn a_wrong_pub_is_refused() {
    let daemon = shared();
    let rows: [(&str, &str, &str, u16, &str); 22] = [
        ("nothing", "/pub?topic=http_pub_wrong", "", 400, "MSG_EMPTY"),
        ("nothing, before the topic is looked at", "/pub", "", 400, "MSG_EMPTY"),
        ("nothing, before the query is parsed", "/pub?topic=%zz", "", 400, "MSG_EMPTY"),
        ("no query", "/pub", "x", 400, "MISSING_ARG_TOPIC"),
        ("another parameter", "/pub?channel=c", "x", 400, "MISSING_ARG_TOPIC"),
        ("an empty topic", "/pub?topic=", "x", 400, "INVALID_TOPIC"),
        ("a topic without value", "/pub?topic", "x", 400, "INVALID_TOPIC"),
        ("a bad topic", "/pub?topic=a$", "x", 400, "INVALID_TOPIC"),
        ("a space", "/pub?topic=a+b", "x", 400, "INVALID_TOPIC"),
        ("an escaped bad topic", "/pub?topic=a%00", "x", 400, "INVALID_TOPIC"),
        ("the suffix unescaped", "/pub?topic=a%23Ephemeral", "x", 400, "INVALID_TOPIC"),
        ("a bad escape", "/pub?topic=%zz", "x", 400, "INVALID_REQUEST"),
        ("a semicolon", "/pub?topic=a;b", "x", 400, "INVALID_REQUEST"),
        ("no number", "/pub?topic=http_pub_defer&defer=x", "x", 400, "INVALID_DEFER"),
        ("an empty delay", "/pub?topic=http_pub_defer&defer=", "x", 400, "INVALID_DEFER"),
        ("a negative delay", "/pub?topic=http_pub_defer&defer=-1", "x", 400, "INVALID_DEFER"),
        ("a fraction", "/pub?topic=http_pub_defer&defer=1.5", "x", 400, "INVALID_DEFER"),
        ("a unit", "/pub?topic=http_pub_defer&defer=1s", "x", 400, "INVALID_DEFER"),
        ("a space before", "/pub?topic=http_pub_defer&defer=%201", "x", 400, "INVALID_DEFER"),
        ("above the limit", "/pub?topic=http_pub_defer&defer=3600001", "x", 400, "INVALID_DEFER"),
        ("beyond 64 bits", "/pub?topic=http_pub_defer&defer=9223372036854775808", "x", 400, "INVALID_DEFER"),
        ("wrapped below zero", "/pub?topic=http_pub_defer&defer=9223372036855", "x", 400, "INVALID_DEFER"),
    ];
    each(rows, |(_, target, body, status, code)| daemon.post(target, body).expect_error(*status, code));
    assert!(daemon.topic_stats("http_pub_wrong").is_null());
    assert_eq!(daemon.topic_stats("http_pub_defer")["message_count"], 0, "a bad delay leaves the topic");
}

#[test]
fn delays_that_are_taken() {
    let daemon = shared();
    each(["0", "1", "3600000", "+5", "0005", "18446744073710", "-9223372036854775808"], |delay| {
        let delay = delay.replace('+', "%2B");
        daemon.post(&format!("/pub?topic=http_pub_delays&defer={delay}"), "x").expect_ok();
    });
}

#[test]
fn a_message_may_be_as_large_as_the_limit() {
    let daemon = Daemon::with(&["--max-msg-size=100"]);
    each([("told", false), ("in chunks", true)], |(_, chunked)| {
        let send = |size: usize| {
            let request = Request::new("POST", "/pub?topic=t").body(vec![b'x'; size]);
            if *chunked { request.chunked() } else { request }.send(daemon.http)
        };
        send(100).expect_ok();
        send(101).expect_error(413, "MSG_TOO_BIG");
    });
    daemon.post("/pub", vec![b'x'; 101]).expect_error(413, "MSG_TOO_BIG");
    assert_eq!(daemon.topic_stats("t")["message_count"], 2);
}

#[test]
fn the_topic_may_be_ephemeral() {
    let daemon = shared();
    daemon.post("/pub?topic=http_pub%23ephemeral", "x").expect_ok();
    assert_eq!(daemon.topic_stats("http_pub#ephemeral")["depth"], 1);
}

#[test]
fn lines_are_messages() {
    let daemon = shared();
    daemon.post("/mpub?topic=http_mpub_lines", "a\nb\r\n\n\nc c").expect_ok();
    assert_eq!(bodies(&daemon, "http_mpub_lines", 3), ["a", "b\r", "c c"]);
}

#[test]
fn which_values_of_binary_mean_text() {
    let daemon = shared();
    each(["", "&binary=false", "&binary=0"], |mode| {
        daemon.post(&format!("/mpub?topic=http_mpub_text{mode}"), "a\n").expect_ok();
    });
    let body = batch(&["a", "b"]);
    each(["true", "1", "", "TRUE", "False", "yes", "no"], |mode| {
        daemon.post(&format!("/mpub?topic=http_mpub_binary&binary={mode}"), &body).expect_ok();
    });
    assert_eq!(daemon.topic_stats("http_mpub_text")["message_count"], 3);
    assert_eq!(daemon.topic_stats("http_mpub_binary")["message_count"], 14);
}

#[test]
fn an_unknown_value_of_binary_is_warned_of() {
    let daemon = Daemon::start();
    daemon.post("/mpub?topic=t&binary=yes", batch(&["a"])).expect_ok();
    daemon.process().wait_for_log("a warning", |line| line.contains("WARNING: ") && line.contains("yes"));
}

#[test]
fn nothing_is_zero_messages() {
    let daemon = shared();
    daemon.post("/mpub?topic=http_mpub_nothing", "").expect_ok();
    daemon.post("/mpub?topic=http_mpub_nothing", "\n\n\n").expect_ok();
    let topic = daemon.topic_stats("http_mpub_nothing");
    assert_eq!((&topic["message_count"], &topic["depth"]), (&0.into(), &0.into()));
}

#[test]
fn a_wrong_mpub_is_refused() {
    let daemon = shared();
    each(
        [
            ("no query", "/mpub", 400, "MISSING_ARG_TOPIC"),
            ("an empty topic", "/mpub?topic=", 400, "INVALID_TOPIC"),
            ("a bad topic", "/mpub?topic=a$", 400, "INVALID_TOPIC"),
            ("a bad escape", "/mpub?topic=%zz", 400, "INVALID_REQUEST"),
        ],
        |(_, target, status, code)| daemon.post(target, "x").expect_error(*status, code),
    );
    let rows: [(&str, Vec<u8>, &str); 12] = [
        ("no count", vec![], "BAD_BODY"),
        ("half a count", vec![0, 0], "BAD_BODY"),
        ("count zero", be(0).to_vec(), "BAD_BODY"),
        ("count -1", vec![0xff; 4], "BAD_BODY"),
        ("count above what fits", be(1_048_576).to_vec(), "BAD_BODY"),
        ("no message", be(1).to_vec(), "BAD_MESSAGE"),
        ("half a size", [&be(1)[..], &[0, 0]].concat(), "BAD_MESSAGE"),
        ("size zero", [be(1), be(0)].concat(), "BAD_MESSAGE"),
        ("size -1", [be(1), [0xff; 4]].concat(), "BAD_MESSAGE"),
        ("size above the limit", [be(1), be(1_048_577)].concat(), "BAD_MESSAGE"),
        ("a short message", [&be(1)[..], &be(2), b"x"].concat(), "BAD_MESSAGE"),
        ("the second is missing", [&be(2)[..], &be(1), b"x"].concat(), "BAD_MESSAGE"),
    ];
    each(rows, |(_, body, code)| {
        daemon.post("/mpub?topic=http_mpub_wrong&binary=true", body).expect_error(413, code);
    });
    assert_eq!(daemon.topic_stats("http_mpub_wrong")["message_count"], 0);
}

#[test]
fn bytes_behind_the_last_binary_message_are_ignored() {
    let daemon = shared();
    let body = [batch(&["a"]), b"more".to_vec()].concat();
    daemon.post("/mpub?topic=http_mpub_more&binary=true", body).expect_ok();
    assert_eq!(bodies(&daemon, "http_mpub_more", 1), ["a"]);
}

#[test]
fn a_batch_may_be_as_large_as_the_limits() {
    let daemon = Daemon::with(&["--max-body-size=100", "--max-msg-size=20"]);
    let line = |size: usize| vec![b'x'; size];
    let lines = [line(20), b"\n".to_vec()].concat();
    let full = [lines.repeat(4), line(16)].concat();
    each([("told", false), ("in chunks", true)], |(_, chunked)| {
        let send = |body: Vec<u8>| {
            let request = Request::new("POST", "/mpub?topic=t").body(body);
            if *chunked { request.chunked() } else { request }.send(daemon.http)
        };
        assert_eq!(full.len(), 100);
        send(full.clone()).expect_ok();
        send([full.clone(), line(1)].concat()).expect_error(413, "BODY_TOO_BIG");
        send(line(21)).expect_error(413, "MSG_TOO_BIG");
        send([b"a\n".to_vec(), line(21), b"\nb".to_vec()].concat()).expect_error(413, "MSG_TOO_BIG");
    });
    assert_eq!(daemon.topic_stats("t")["message_count"], 10);
    daemon.post("/mpub", line(101)).expect_error(413, "BODY_TOO_BIG");
    daemon.post("/mpub?topic=t&binary=true", [be(1), be(21)].concat()).expect_error(413, "BAD_MESSAGE");
    daemon.post("/mpub?topic=t&binary=true", be(20)).expect_error(413, "BAD_BODY");
}

#[test]
fn a_chunked_binary_batch_is_limited_by_message_only() {
    let daemon = Daemon::with(&["--max-body-size=100", "--max-msg-size=20"]);
    let body = batch(&["01234567890123456789"; 10]);
    let request = Request::new("POST", "/mpub?topic=t&binary=true").body(&body);
    request.send(daemon.http).expect_error(413, "BODY_TOO_BIG");
    let chunked = request.chunked().send(daemon.http);
    if differences::chunked_batches_are_bounded() {
        chunked.expect_error(413, "BODY_TOO_BIG");
    } else {
        chunked.expect_ok();
        assert_eq!(daemon.topic_stats("t")["message_count"], 10);
    }
}

#[test]
fn a_batch_knows_no_delay() {
    let daemon = shared();
    daemon.post("/mpub?topic=http_mpub_delay&defer=3600000", "a").expect_ok();
    daemon.post("/mpub?topic=http_mpub_delay&defer=x", "b").expect_ok();
    assert_eq!(bodies(&daemon, "http_mpub_delay", 2), ["a", "b"]);
}
