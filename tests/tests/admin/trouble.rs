//! The overview, its past and its changes: what v1.3.0 does not have.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use flate2::read::GzDecoder;
use nsq_tests::admin::Watched;
use nsq_tests::http::Request;
use nsq_tests::process::Signal;
use nsq_tests::stats::eventually;
use nsq_tests::{Admin, PATIENCE, differences};
use serde_json::Value;

/// Looks at the overview until it has a row that is as wanted; gives the row.
fn row(admin: &Admin, what: &str, topic: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let find = || {
        let overview = admin.get("/api/overview?spark=5").json();
        let rows = overview["channels"].as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["topic"] == topic).unwrap_or_default()
    };
    eventually(what, find, wanted)
}

fn code(row: &Value) -> &str {
    row["trouble"][0]["code"].as_str().unwrap_or_default()
}

#[test]
fn trouble_comes_and_goes() {
    if !differences::admin_has_extensions() {
        return;
    }
    let watched = Watched::start(2, &[]);
    watched.make(0, "t", &["c"]);
    watched.make(1, "t", &["c"]);
    watched.make(0, "bare", &[]);
    let admin = watched.admin(&["--sample-interval=100ms"]);
    watched.nodes[0].publish("t", "x");
    watched.nodes[1].publish("t", "x");
    let found = row(&admin, "a channel without consumers", "t", |row| {
        code(row) == "no_consumers" && row["depth"] == 2
    });
    assert_eq!(found["trouble"][0]["reason"], "2 messages wait and no consumer is connected");
    assert_eq!((&found["nodes"], &found["clients"], &found["channel"]), (&2.into(), &0.into(), &"c".into()));

    let mut idle = watched.nodes[0].subscribe("t", "c");
    let found = row(&admin, "a consumer of one node only", "t", |row| row["clients"] == 1);
    let reason = format!("1 message waits on {}, where no consumer is connected", watched.name(1));
    assert_eq!((code(&found), &found["trouble"][0]["reason"]), ("no_consumers", &reason.into()));
    let mut other = watched.nodes[1].subscribe("t", "c");
    row(&admin, "consumers that ask for nothing", "t", |row| code(row) == "ready_zero");
    idle.ready(1);
    idle.expect_body("x");
    other.ready(5);
    other.expect_body("x");
    let found = row(&admin, "no trouble", "t", |row| code(row).is_empty() && row["in_flight"] == 2);
    assert_eq!((&found["ready"], &found["depth"]), (&6.into(), &0.into()));

    admin.act("POST", "/api/topics/t/c", r#"{"action":"pause"}"#);
    row(&admin, "a paused channel", "t", |row| code(row) == "paused");
    watched.nodes[0].publish("bare", "x");
    let found = row(&admin, "a topic without channels", "bare", |row| code(row) == "no_channels");
    assert_eq!((&found["channel"], &found["depth"]), (&Value::Null, &1.into()));
    let overview = admin.get("/api/overview?filter=BAR&limit=1").json();
    assert_eq!(overview["channels"].as_array().map(Vec::len), Some(1));
    // What is only paused was wanted so.
    assert_eq!(overview["totals"]["in_trouble"], 1);
    watched.nodes[0].act("/topic/pause?topic=t");
    watched.nodes[0].publish("t", "held");
    let found = row(&admin, "what waits in a paused topic", "t", |row| row["channel"].is_null());
    let reason = "1 message waits in the topic, which is paused on 1 of 2 nodes";
    assert_eq!((&found["depth"], &found["trouble"][0]["reason"]), (&1.into(), &reason.into()));
    watched.nodes[0].act("/topic/unpause?topic=t");
    row(&admin, "the end of it", "t", |row| !row["channel"].is_null() && row["depth"] == 1);
    let of_topic = admin.get("/api/overview?topic=t").json();
    assert_eq!(of_topic["channels"].as_array().map(Vec::len), Some(1));
    admin.get("/api/overview?limit=x").expect_error(400, "INVALID_ARG_LIMIT");
}

#[test]
fn a_consumer_that_finishes_nothing_is_told_by_what_times_out() {
    if !differences::admin_has_extensions() {
        return;
    }
    let watched = Watched::start(1, &["--msg-timeout=1s"]);
    watched.make(0, "t", &["c"]);
    let admin = watched.admin(&["--sample-interval=100ms"]);
    row(&admin, "the channel, before anything timed out", "t", |row| row["timeouts_per_min"] == 0);
    watched.nodes[0].publish("t", "x");
    watched.nodes[0].publish("t", "y");
    let mut stuck = watched.nodes[0].subscribe("t", "c");
    stuck.ready(1);
    // Each is counted once, however often one looks.
    let found = row(&admin, "what timed out", "t", |row| {
        row["timed_out"].as_u64() >= Some(2) && row["timeouts_per_min"].as_f64() == row["timed_out"].as_f64()
    });
    let count = &found["timed_out"];
    let reason = format!("{count} messages timed out in the last minute");
    assert_eq!((code(&found), &found["trouble"][0]["reason"]), ("timeouts", &reason.into()));
}

#[test]
fn the_past_is_kept_over_a_restart() {
    if !differences::admin_has_extensions() {
        return;
    }
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let data = format!("--data-path={}", directory.path().join("made").display());
    let watched = Watched::start(1, &[]);
    watched.make(0, "t", &["c"]);
    watched.nodes[0].publish("t", "x");
    let admin = watched.admin(&[&data]);
    let of_channel = "/api/history?kind=channel&topic=t&channel=c";
    let depth_one = |admin: &Admin| {
        let depths = admin.get(of_channel).json()["depth"].as_array().cloned().unwrap_or_default();
        depths.iter().filter(|depth| depth.as_f64() == Some(1.0)).count()
    };
    eventually("two points", || depth_one(&admin), |count| *count >= 2);
    let body = admin.get(of_channel).json();
    assert_eq!((&body["kind"], &body["step"], &body["channel"]), (&"channel".into(), &1.into(), &"c".into()));
    let node = watched.name(0);
    for target in [
        "/api/history",
        "/api/history?kind=topic&topic=t&range=1h",
        &format!("/api/history?kind=node&node={node}"),
    ] {
        assert_eq!(admin.get(target).status, 200, "{target}");
    }
    admin.get("/api/history?kind=channel&topic=t&channel=x").expect_error(404, "CHANNEL_NOT_FOUND");
    admin.get("/api/history?kind=topic&topic=x").expect_error(404, "TOPIC_NOT_FOUND");
    admin.get("/api/history?kind=node&node=x").expect_error(404, "NODE_NOT_FOUND");
    admin.get("/api/history?kind=x").expect_error(400, "INVALID_ARG_KIND");
    admin.get("/api/history?range=x").expect_error(400, "INVALID_ARG_RANGE");
    let length = body["depth"].as_array().map_or(0, Vec::len) as i64;
    let last = body["start"].as_i64().expect("it is a number") + length - 1;
    let later = eventually(
        "another point",
        || admin.get(&format!("{of_channel}&since={last}")).json(),
        |later| later["depth"].as_array().is_some_and(|depths| !depths.is_empty()),
    );
    assert_eq!(later["start"], last + 1);
    // Whoever knows of a time to come knows it from a clock that was set back since.
    let all = admin.get(&format!("{of_channel}&since=99999999999")).json();
    assert!(all["depth"].as_array().is_some_and(|depths| depths.len() as i64 >= length));
    let before = depth_one(&admin);
    assert_eq!(admin.end(Signal::TERM).status.code(), Some(0));
    let again = watched.admin(&[&data]);
    assert!(depth_one(&again) >= before);

    assert_eq!(again.end(Signal::TERM).status.code(), Some(0));
    let file = directory.path().join("made/nsqadmin.history");
    std::fs::write(&file, "nonsense").expect("it can be written");
    let anew = watched.admin(&[&data]);
    assert!(directory.path().join("made/nsqadmin.history.bad").exists());
    assert_eq!(anew.get("/ping").status, 200);
}

/// The next event of a stream: its name and its data.
fn event(stream: &mut impl BufRead) -> (String, Value) {
    let (mut name, mut data) = (String::new(), Value::Null);
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).expect("events come in time") > 0, "the stream ended");
        let line = line.trim_end();
        if let Some(text) = line.strip_prefix("event: ") {
            name = text.to_owned();
        } else if let Some(text) = line.strip_prefix("data: ") {
            data = serde_json::from_str(text).expect("it is JSON");
        } else if line.is_empty() && !name.is_empty() {
            return (name, data);
        }
    }
}

#[test]
fn changes_arrive_as_they_happen() {
    if !differences::admin_has_extensions() {
        return;
    }
    let watched = Watched::start(1, &[]);
    watched.make(0, "t", &["c"]);
    let admin = watched.admin(&["--sample-interval=100ms"]);
    let stream = TcpStream::connect(admin.http).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
    (&stream).write_all(b"GET /api/live HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    let mut events = BufReader::new(stream);
    let (name, overview) = event(&mut events);
    assert_eq!(name, "overview");
    assert_eq!((&overview["channels"][0]["topic"], &overview["message"]), (&"t".into(), &"".into()));
    watched.nodes[0].publish("t", "x");
    let update = loop {
        let (name, update) = event(&mut events);
        assert_eq!(name, "update");
        if update["channels"].as_array().is_some_and(|rows| rows.iter().any(|row| row["depth"] == 1)) {
            break update;
        }
    };
    assert_eq!(code(&update["channels"][0]), "no_consumers");
    watched.nodes[0].act("/channel/delete?topic=t&channel=c");
    loop {
        let (_, update) = event(&mut events);
        if update["gone"].as_array().is_some_and(|gone| !gone.is_empty()) {
            assert_eq!(update["gone"][0], serde_json::json!(["t", "c"]));
            break;
        }
    }
    // A viewer holds up no stop.
    assert_eq!(admin.end(Signal::TERM).status.code(), Some(0));
}

#[test]
fn a_stream_is_compressed_and_each_event_arrives_at_once() {
    if !differences::admin_has_extensions() {
        return;
    }
    let watched = Watched::start(1, &[]);
    let topics: Vec<String> = (0..200).map(|number| format!("topic-{number}")).collect();
    topics.iter().for_each(|topic| watched.nodes[0].act(&format!("/topic/create?topic={topic}")));
    let admin = watched.admin(&["--sample-interval=100ms"]);
    let stream = TcpStream::connect(admin.http).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
    // Of HTTP/1.0 a body has no lengths of parts in it.
    (&stream).write_all(b"GET /api/live HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n").expect("it reads");
    let mut answer = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(answer.read_line(&mut head).expect("it answers") > 0, "{head}");
    }
    assert!(head.to_lowercase().contains("content-encoding: gzip"), "{head}");
    let mut events = BufReader::new(GzDecoder::new(answer));
    let (name, overview) = event(&mut events);
    assert_eq!((name.as_str(), &overview["totals"]["topics"]), ("overview", &200.into()));
    watched.nodes[0].publish("topic-7", "x");
    loop {
        let (name, update) = event(&mut events);
        assert_eq!(name, "update");
        if update["channels"][0]["depth"] == 1 {
            break;
        }
    }
}

#[test]
fn all_viewers_are_shown_one_sampling() {
    if !differences::admin_has_extensions() {
        return;
    }
    let watched = Watched::start(1, &[]);
    let admin = watched.admin(&["--sample-interval=100ms", "--log-level=debug"]);
    for _ in 0..50 {
        assert_eq!(admin.get("/api/overview").status, 200);
    }
    let gzipped = Request::new("GET", "/api/overview").header("Accept-Encoding: gzip").send(admin.http);
    assert_eq!(gzipped.header("Content-Encoding"), Some("gzip"));
    let mut text = String::new();
    GzDecoder::new(&gzipped.body[..]).read_to_string(&mut text).expect("it is whole");
    let overview: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(overview["totals"]["nodes"], 1);
    let asked = |line: &&String| line.contains("querying nsqd") && line.contains("INFO");
    assert_eq!(admin.process().log_lines().iter().filter(asked).count(), 0);
    // Without sampling there is nothing to show.
    let without = watched.admin(&["--sample-interval=0s"]);
    for path in ["/api/overview", "/api/history", "/api/live"] {
        without.get(path).expect_error(404, "SAMPLING_OFF");
    }
}
