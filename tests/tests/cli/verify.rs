//! `nsq verify`: says exactly what is there and what is damaged, and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nsq_tests::daemon::{Stopped, new_directory};
use nsq_tests::raw::{batch, with_body};
use nsq_tests::{Daemon, Level, each};
use serde_json::{Value, json};

use super::nsq;

/// Longer than any test: what is due then is deferred.
const HOUR_MS: u64 = 3_600_000;

/// All files below a directory, with what is in them and when they were changed.
pub(super) fn contents(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("it is a directory").flatten() {
            let (path, metadata) = (entry.path(), entry.metadata().expect("it is there"));
            if metadata.is_dir() {
                directories.push(path);
            } else {
                let changed = metadata.modified().expect("the system knows it");
                found.insert(path.clone(), (fs::read(path).expect("it is ours"), changed));
            }
        }
    }
    found
}

/// Changes a byte within `text` wherever that stands in the files below a directory. Says in which files and where.
pub(super) fn damage(directory: &Path, text: &str) -> Vec<(PathBuf, usize)> {
    let mut places = Vec::new();
    for (path, (mut bytes, _)) in contents(directory) {
        let found: Vec<usize> =
            (0..bytes.len()).filter(|&at| bytes[at..].starts_with(text.as_bytes())).collect();
        for at in &found {
            bytes[*at] ^= 1;
        }
        if !found.is_empty() {
            fs::write(&path, bytes).expect("it is ours");
            places.extend(found.into_iter().map(|at| (path.clone(), at)));
        }
    }
    assert!(!places.is_empty(), "{text} is nowhere in {}", directory.display());
    places
}

/// Verifies; gives the exit code and what was said as JSON.
fn verify(directory: &Path) -> (Option<i32>, Value) {
    let before = contents(directory);
    let path = directory.to_str().expect("the harness gives plain names");
    let ended = nsq(&["verify", path, "--json"]);
    assert!(contents(directory) == before, "something was changed in {path}");
    let json = serde_json::from_str(&ended.output);
    (ended.status.code(), json.unwrap_or_else(|error| panic!("{error}: {} {:?}", ended.output, ended.log)))
}

/// Publishes `count` messages in batches of 100, each told from all others.
pub(super) fn publish(daemon: &Daemon, topic: &str, count: usize) {
    let mut client = daemon.connect();
    let bodies: Vec<String> = (0..count).map(|number| format!("{topic}-{number:06}.")).collect();
    for bodies in bodies.chunks(100) {
        client.send(with_body(&format!("MPUB {topic}"), batch(bodies)));
        client.expect_response("OK");
    }
}

fn channels(daemon: &Daemon, topic: &str, names: &[&str]) {
    daemon.act(&format!("/topic/create?topic={topic}"));
    for channel in names {
        daemon.act(&format!("/channel/create?topic={topic}&channel={channel}"));
    }
}

/// Leaves messages in every state: eleven are published, of which the channel `a` has finished three, has two in flight
/// and two deferred; `b` has one deferred.
fn fill(daemon: &Daemon) {
    channels(daemon, "orders", &["a", "b"]);
    channels(daemon, "waiting", &[]);
    publish(daemon, "orders", 10);
    publish(daemon, "waiting", 2);
    let mut consumer = daemon.subscribe("orders", "a");
    consumer.publish_deferred("orders", HOUR_MS, b"later");
    consumer.ready(6);
    let messages: Vec<_> = (0..6).map(|_| consumer.expect_message()).collect();
    consumer.ready(0);
    messages[..3].iter().for_each(|message| consumer.finish(message));
    consumer.requeue(&messages[3], HOUR_MS);
    daemon.wait_for_channel("orders", "a", "in_flight_count", 2);
    daemon.wait_for_channel("orders", "a", "deferred_count", 2);
}

/// What is said of the topics that [`fill`] leaves, with so many messages more.
fn expected(level: Level, more: u64, kept_in: &str) -> Value {
    let channel = |name, ready, deferred| json!({"channel": name, "paused": false, "ready": ready, "deferred": deferred});
    let topic = |name, messages, waiting, channels: Value| {
        json!({
            "topic": name, "durability": level.name(), "kept_in": [kept_in], "paused": false, "messages": messages,
            "lost": 0, "waiting": waiting, "channels": channels,
        })
    };
    json!([
        topic("orders", 11 + more, 0, json!([channel("a", 6 + more, 2), channel("b", 10 + more, 1)])),
        topic("waiting", 2, 2, json!([])),
    ])
}

/// What was said of the topics, without what depends on how messages are laid out. Where no level was chosen for a topic,
/// none can be told: then it is that of the flags.
fn topics(said: &Value, level: Level) -> Value {
    let mut topics = said["topics"].clone();
    for topic in topics.as_array_mut().expect("they are a list") {
        assert!(topic["bytes"].as_u64().expect("it is a number") > 0, "{topic}");
        topic.as_object_mut().expect("it is an object").remove("bytes");
        if topic["durability"].is_null() {
            topic["durability"] = level.name().into();
        }
    }
    topics
}

/// Whether a start delivers what was said.
fn assert_delivered(stopped: Stopped, said: &Value) {
    let daemon = stopped.start_again();
    for topic in said["topics"].as_array().expect("they are a list") {
        let name = topic["topic"].as_str().expect("it is a name");
        assert_eq!(daemon.topic_stats(name)["depth"], topic["waiting"], "{name}");
        for channel in topic["channels"].as_array().expect("they are a list") {
            let stats = daemon.channel_stats(name, channel["channel"].as_str().expect("it is a name"));
            assert_eq!(
                (&stats["depth"], &stats["deferred_count"]),
                (&channel["ready"], &channel["deferred"]),
                "{name}"
            );
        }
    }
}

#[test]
fn after_a_stop_it_says_exactly_what_the_next_start_delivers() {
    each(Level::ALL, |&level| {
        let daemon = Daemon::with(level.flags());
        fill(&daemon);
        let stopped = daemon.stop();
        let (code, said) = verify(stopped.directory.path());
        let kept_in = if level == Level::Memory { "spill" } else { "journal" };
        assert_eq!(
            (code, &said["is_whole"], &said["damaged"]),
            (Some(0), &json!(true), &json!([])),
            "{said}"
        );
        assert_eq!(topics(&said, level), expected(level, 0, kept_in));
        assert!(said["bytes"][kept_in].as_u64() > Some(0), "{said}");
        assert_delivered(stopped, &said);
    });
}

#[test]
fn after_a_kill_it_says_exactly_what_the_next_start_delivers() {
    each(Level::DURABLE, |&level| {
        let daemon = Daemon::with(level.flags());
        fill(&daemon);
        // What was finished is kept by a stop at the latest.
        let daemon = daemon.restart();
        let mut consumer = daemon.subscribe("orders", "a");
        consumer.ready(4);
        (0..4).for_each(|_| drop(consumer.expect_message()));
        consumer.publish_all("orders", &["new", "newer", "newest"]);
        let stopped = daemon.kill();
        let (code, said) = verify(stopped.directory.path());
        assert_eq!((code, &said["damaged"]), (Some(0), &json!([])), "{said}");
        assert_eq!(topics(&said, level), expected(level, 3, "journal"));
        assert_delivered(stopped, &said);
    });
}

#[test]
fn the_text_says_the_same() {
    let daemon = Daemon::with(Level::Os.flags());
    fill(&daemon);
    daemon.act("/topic/create?topic=chosen&durability=disk");
    publish(&daemon, "chosen", 1);
    daemon.act("/topic/pause?topic=chosen");
    let stopped = daemon.stop();
    let ended = nsq(&["verify", stopped.directory.path().to_str().expect("it is plain")]);
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.log);
    let lines: Vec<&str> = ended.output.lines().collect();
    assert!(lines[0].starts_with("topic chosen (disk, paused): 1 message kept, "), "{lines:?}");
    assert!(
        lines[2].starts_with("topic orders (os or disk, as the flags say): 11 messages kept, "),
        "{lines:?}"
    );
    assert_eq!(lines[3..5], ["  channel a: 6 ready, 2 deferred", "  channel b: 10 ready, 1 deferred"]);
    assert_eq!(lines.last(), Some(&"3 topics, 14 whole messages: nothing is damaged"));
    assert!(ended.log.is_empty(), "{:?}", ended.log);
}

#[test]
fn a_damaged_message_is_named_and_not_counted_as_ready() {
    each(Level::ALL, |&level| {
        let daemon = Daemon::with(level.flags());
        channels(&daemon, "orders", &["c"]);
        publish(&daemon, "orders", 5_000);
        let stopped = daemon.stop();
        let home = stopped.directory.path();
        let places = damage(home, "orders-002500.");
        let (code, said) = verify(home);
        assert_eq!((code, &said["is_whole"]), (Some(1), &json!(false)), "{places:?}: {said}");
        let (file, at) = &places[0];
        let found = &said["damaged"][0];
        let name = found["file"].as_str().expect("it is a name");
        assert_eq!(home.join(name), *file);
        let lost = 5_000 - said["topics"][0]["messages"].as_u64().expect("it is a number");
        assert!((1..=500).contains(&lost), "{said}");
        assert_eq!(found["what"], format!("a batch of {lost} messages"));
        assert_eq!((&said["topics"][0]["lost"], &said["lost"]), (&json!(lost), &json!(lost)), "{said}");
        let [from, to] = [0, 1].map(|index| found["bytes"][index].as_u64().expect("it is a place"));
        assert!((from..to).contains(&(*at as u64)), "{at}: {said}");
        assert_eq!(said["topics"][0]["channels"][0]["ready"], 5_000 - lost);
        let text = nsq(&["verify", home.to_str().expect("it is plain")]);
        assert_eq!(text.status.code(), Some(1));
        let expected = format!("damaged:\n  {name}, bytes {from} to {to}: a batch of {lost} messages\n");
        assert!(text.output.contains(&expected), "{}", text.output);
        // A start does not read the spill: there the damage is found when it is the batch's turn.
        if level != Level::Memory {
            assert_delivered(stopped, &said);
        }
    });
}

#[test]
fn what_a_damaged_journal_lists_is_summed_up() {
    // After a kill it is found on the way through the journal, and not where an index has it.
    let daemon = Daemon::with(Level::Disk.flags());
    publish(&daemon, "orders", 1_000);
    publish(&daemon, "other", 1_000);
    let stopped = daemon.kill();
    let home = stopped.directory.path();
    for text in ["orders-000250.", "orders-000750.", "other-000550."] {
        damage(home, text);
    }
    let (code, said) = verify(home);
    assert_eq!((code, &said["lost"]), (Some(1), &json!(300)), "{said}");
    let lost: Vec<&Value> = (0..2).map(|topic| &said["topics"][topic]["lost"]).collect();
    assert_eq!(lost, [&json!(200), &json!(100)], "{said}");
    let text = nsq(&["verify", home.to_str().expect("it is plain")]);
    for expected in [", 200 messages lost\n", ", 100 messages lost\n", "3 places damaged, 300 messages known"]
    {
        assert!(text.output.contains(expected), "{}", text.output);
    }
}

/// The file of the spill's database.
pub(super) fn database(home: &Path) -> PathBuf {
    let spilled =
        fs::read_dir(home.join("spill")).expect("it is there").flatten().map(|entry| entry.path().join("db"));
    spilled.into_iter().find(|path| path.is_file()).expect("there is a database")
}

#[test]
fn damage_that_sled_takes_for_its_end_is_named() {
    let daemon = Daemon::with(Level::Memory.flags());
    publish(&daemon, "orders", 5_000);
    let stopped = daemon.stop();
    let home = stopped.directory.path();
    assert_eq!(verify(home).0, Some(0));
    let path = database(home);
    let mut bytes = fs::read(&path).expect("it is there");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&path, &bytes).expect("it is ours");
    let (code, said) = verify(home);
    assert_eq!(code, Some(1), "{said}");
    let [from, to] = [0, 1].map(|index| said["damaged"][0]["bytes"][index].as_u64().expect("it is a place"));
    assert!((from..to).contains(&(at as u64)), "{at}: {said}");
}

#[test]
fn a_database_that_does_not_open_is_named() {
    let daemon = Daemon::with(Level::Memory.flags());
    publish(&daemon, "orders", 600);
    let stopped = daemon.stop();
    let home = stopped.directory.path();
    let (code, said) = verify(home);
    assert_eq!((code, &said["topics"][0]["messages"]), (Some(0), &json!(600)), "{said}");
    fs::write(database(home), "nonsense").expect("it is ours");
    let (code, said) = verify(home);
    assert_eq!(code, Some(1), "{said}");
    let file = said["damaged"][0]["file"].as_str().expect("it is a name");
    assert!(file.starts_with("spill/epoch-"), "{said}");
}

#[test]
fn a_damaged_list_of_topics_is_named() {
    let daemon = Daemon::with(Level::Os.flags());
    publish(&daemon, "orders", 10);
    let stopped = daemon.stop();
    fs::write(stopped.directory.path().join("nsqd.dat"), "{\"topics\":[").expect("it is ours");
    let (code, said) = verify(stopped.directory.path());
    assert_eq!((code, &said["damaged"][0]["file"]), (Some(1), &json!("nsqd.dat")), "{said}");
    assert_eq!(said["topics"][0]["waiting"], 10);
}

#[test]
fn what_was_set_aside_before_is_named_and_is_no_damage() {
    let daemon = Daemon::with(Level::Os.flags());
    publish(&daemon, "orders", 10);
    let stopped = daemon.stop();
    fs::write(stopped.directory.path().join("journal/index.bad"), "nonsense").expect("it is ours");
    let (code, said) = verify(stopped.directory.path());
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said["set_aside"], json!([{"file": "journal/index.bad", "bytes": 8}]));
}

#[test]
fn queue_files_of_v1_3_0_are_counted_as_they_would_be_imported() {
    let record = |number: u64, body: &[u8]| {
        let mut record = ((26 + body.len()) as u32).to_be_bytes().to_vec();
        record.extend_from_slice(&(1_700_000_000_000_000_000 + number).to_be_bytes());
        record.extend_from_slice(&1_u16.to_be_bytes());
        record.extend_from_slice(format!("{number:016x}").as_bytes());
        record.extend_from_slice(body);
        record
    };
    let directory = new_directory();
    let queue = [record(1, b"one"), record(2, b"two"), record(3, b"three")].concat();
    let put = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).expect("it is ours");
    put("orders:c.diskqueue.000000.dat", &queue);
    let (code, said) = verify(directory.path());
    assert_eq!(code, Some(0), "{said}");
    let topic = &said["topics"][0];
    assert_eq!((&topic["topic"], &topic["kept_in"]), (&json!("orders"), &json!(["queue_files"])));
    assert_eq!((&topic["messages"], &topic["channels"][0]["ready"]), (&json!(3), &json!(3)));
    assert_eq!(said["queue_files"], json!([{"file": "orders:c.diskqueue.000000.dat", "messages": 3}]));
    put("orders:c.diskqueue.000000.dat", &queue[..queue.len() - 1]);
    let (code, said) = verify(directory.path());
    assert_eq!((code, &said["topics"][0]["messages"]), (Some(1), &json!(2)), "{said}");
    assert_eq!(said["damaged"][0]["file"], "orders:c.diskqueue.000000.dat");
}

#[test]
fn a_directory_in_use_is_left_alone_and_that_is_said() {
    let daemon = Daemon::with(Level::Os.flags());
    let path = daemon.directory().to_str().expect("it is plain");
    for arguments in [vec!["verify", path], vec!["salvage", path, "--to", "/nowhere/at/all"]] {
        let ended = nsq(&arguments);
        assert_eq!(ended.status.code(), Some(1));
        assert_eq!(ended.log, [format!("nsq: {path} is in use by nsqd; stop it first")]);
    }
}

#[test]
fn a_directory_that_is_not_there_is_a_failure_and_none_is_a_usage_error() {
    let ended = nsq(&["verify", "/no/such/directory"]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.log, ["nsq: cannot open /no/such/directory: no such file or directory"]);
    assert_eq!(nsq(&["verify"]).status.code(), Some(2));
}

#[test]
fn a_directory_of_something_else_is_not_said_to_be_whole() {
    let directory = new_directory();
    let path = directory.path().to_str().expect("the harness gives plain names");
    let ended = nsq(&["verify", path]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.log.iter().any(|line| line.contains("is that its --data-path?")), "{ended:?}");
}
