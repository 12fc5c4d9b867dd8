//! `nsq salvage`: gets out everything but what is damaged, and what it writes can be published again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nsq_tests::daemon::new_directory;
use nsq_tests::{Daemon, Level, each};
use serde_json::{Value, json};

use super::verify::{contents, damage, database, publish};
use super::{nsq, nsq_with_input};

/// Salvages with further arguments; gives the exit code and what was written to standard error.
fn salvage(directory: &Path, to: &Path, further: &[&str]) -> (Option<i32>, Vec<String>) {
    let before = contents(directory);
    let path = |path: &Path| path.to_str().expect("the harness gives plain names").to_owned();
    let (directory_name, to) = (path(directory), path(to));
    let mut arguments = vec!["salvage", &directory_name, "--to", &to];
    arguments.extend(further);
    let ended = nsq(&arguments);
    assert!(contents(directory) == before, "something was changed in {directory_name}");
    (ended.status.code(), ended.log)
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// The bodies in a file of bodies.
fn bodies(file: &Path) -> BTreeSet<String> {
    fs::read_to_string(file).expect("it was written").lines().map(str::to_owned).collect()
}

fn all(topic: &str, count: usize) -> BTreeSet<String> {
    (0..count).map(|number| format!("{topic}-{number:06}.")).collect()
}

#[test]
fn all_but_the_damaged_messages_come_out_of_a_damaged_journal() {
    each(Level::DURABLE, |level| {
        let daemon = Daemon::with(level.flags());
        daemon.act("/topic/create?topic=orders");
        daemon.act("/channel/create?topic=orders&channel=c");
        publish(&daemon, "orders", 5_000);
        let stopped = daemon.stop();
        let home = stopped.directory.path();
        damage(home, "orders-002500.");
        fs::write(home.join("journal/index"), "no index at all").expect("it is ours");
        let target = new_directory();
        let (code, said) = salvage(home, target.path(), &["--raw"]);
        assert_eq!(code, Some(1), "{said:?}");
        assert!(said.iter().any(|line| line.starts_with("nsq: could not read journal/index")), "{said:?}");
        assert!(said.iter().any(|line| line.starts_with("nsq: could not read journal/0")), "{said:?}");
        let found = bodies(&target.path().join("orders.raw"));
        let missing: Vec<_> = all("orders", 5_000).difference(&found).cloned().collect();
        assert!(missing.len() < 1_000 && missing.contains(&"orders-002500.".to_owned()), "{missing:?}");
        assert!(found.is_subset(&all("orders", 5_000)));
        let written = lines(&target.path().join("orders.ndjson"));
        assert_eq!(written.len(), found.len());
        assert_eq!(written[0]["channels"], json!([{"channel": "c", "attempts": 0}]));
        // What a start does with the same directory.
        let daemon = stopped.start_again();
        publish(&daemon, "other", 1);
        let rest = daemon.channel_stats("orders", "c")["depth"].as_u64().expect("it is a count");
        assert!(rest <= 5_000 && rest >= found.len() as u64, "{rest}");
    });
}

#[test]
fn who_needs_a_message_and_when_is_written_beside_it() {
    each(Level::ALL, |level| {
        let daemon = Daemon::with(level.flags());
        daemon.act("/topic/create?topic=orders");
        daemon.act("/channel/create?topic=orders&channel=a");
        daemon.act("/channel/create?topic=orders&channel=b");
        let mut consumer = daemon.subscribe("orders", "a");
        consumer.publish_all("orders", &["finished", "requeued", "ready"]);
        consumer.publish_deferred("orders", 3_600_000, b"deferred");
        consumer.ready(2);
        let (first, second) = (consumer.expect_message(), consumer.expect_message());
        let (finished, requeued) = if first.body == b"finished" { (first, second) } else { (second, first) };
        // Else others are given in their place.
        consumer.ready(0);
        consumer.finish(&finished);
        consumer.requeue(&requeued, 0);
        let mut other = daemon.subscribe("orders", "b");
        other.ready(3);
        let taken: Vec<_> = (0..3).map(|_| other.expect_message()).collect();
        let ready = taken.iter().find(|message| message.body == b"ready").expect("it was published");
        other.finish(ready);
        daemon.wait_for_channel("orders", "b", "in_flight_count", 2);
        daemon.wait_for_channel("orders", "a", "in_flight_count", 0);
        let stopped = daemon.stop();
        let target = new_directory();
        let to = target.path().join("made");
        let (code, said) = salvage(stopped.directory.path(), &to, &[]);
        assert_eq!((code, said), (Some(0), Vec::new()));
        let written = lines(&to.join("orders.ndjson"));
        let of = |body: &str| {
            let line =
                written.iter().find(|line| line["body"] == body).unwrap_or_else(|| panic!("{written:?}"));
            assert_eq!(line["id"].as_str().map(str::len), Some(16));
            assert!(line["timestamp_ns"].as_i64() > Some(1_600_000_000_000_000_000));
            line["channels"].clone()
        };
        // The bodies in base64.
        assert_eq!(of("ZmluaXNoZWQ="), json!([{"channel": "b", "attempts": 1}]));
        assert_eq!(of("cmVhZHk="), json!([{"channel": "a", "attempts": 0}]));
        let requeued = of("cmVxdWV1ZWQ=");
        assert_eq!((&requeued[0]["attempts"], &requeued[1]["attempts"]), (&json!(1), &json!(1)));
        let deferred = of("ZGVmZXJyZWQ=");
        assert!(deferred[0]["due_ns"].as_i64() > written[0]["timestamp_ns"].as_i64(), "{deferred}");
        assert_eq!(written.len(), 4);
        assert!(!to.join("orders.raw").exists());
    });
}

#[test]
fn what_was_set_aside_comes_out_beside_the_rest() {
    let daemon = Daemon::with(Level::Memory.flags());
    publish(&daemon, "orders", 300);
    let stopped = daemon.stop();
    let spill = stopped.directory.path().join("spill");
    let epoch = fs::read_dir(&spill).expect("it is there").flatten().map(|entry| entry.path());
    let epoch = epoch.into_iter().find(|path| path.is_dir()).expect("there is a database");
    fs::rename(&epoch, spill.join("epoch-0.1700000000.bad")).expect("it is ours");
    let target = new_directory();
    let (code, said) = salvage(stopped.directory.path(), target.path(), &["--raw"]);
    assert_eq!((code, said), (Some(0), Vec::new()));
    assert_eq!(bodies(&target.path().join("orders.set-aside.raw")), all("orders", 300));
    let line = &lines(&target.path().join("orders.set-aside.ndjson"))[0];
    assert_eq!((&line["file"], &line["is_checked"]), (&json!("spill/epoch-0.1700000000.bad"), &json!(true)));
    assert!(!target.path().join("orders.ndjson").exists());
}

/// Salvages what is left of a topic `orders`, and says of which of its 1,000 messages nothing came out, with those that came out
/// without a checksum.
fn left_of(home: &Path) -> (Vec<String>, Vec<Value>) {
    let target = new_directory();
    let (_, said) = salvage(home, target.path(), &["--raw"]);
    let mut found = bodies(&target.path().join("orders.raw"));
    found.extend(bodies(&target.path().join("orders.set-aside.raw")));
    let missing = all("orders", 1_000).difference(&found).cloned().collect();
    let aside = lines(&target.path().join("orders.set-aside.ndjson"));
    assert!(aside.iter().all(|line| line["topic"] == "orders" && line["is_checked"] == false), "{said:?}");
    (missing, aside)
}

#[test]
fn a_damaged_byte_of_the_journal_costs_one_message() {
    let daemon = Daemon::with(Level::Disk.flags());
    publish(&daemon, "orders", 1_000);
    let stopped = daemon.kill();
    let home = stopped.directory.path();
    damage(home, "orders-000500.");
    let (missing, aside) = left_of(home);
    assert_eq!((missing, aside.len()), (vec!["orders-000500.".to_owned()], 100));
    assert!(aside[0]["file"].as_str().is_some_and(|file| file.ends_with(".log")), "{}", aside[0]);
    // The start sets aside what is damaged.
    let stopped = stopped.start_again().stop();
    let (missing, aside) = left_of(stopped.directory.path());
    assert_eq!((missing, aside.len()), (vec!["orders-000500.".to_owned()], 100));
    assert!(aside[0]["file"].as_str().is_some_and(|file| file.ends_with(".bad")), "{}", aside[0]);
}

#[test]
fn a_damaged_byte_of_what_an_index_names_costs_one_message() {
    each(Level::ALL, |&level| {
        let daemon = Daemon::with(level.flags());
        daemon.act("/topic/create?topic=orders");
        daemon.act("/channel/create?topic=orders&channel=c");
        publish(&daemon, "orders", 1_000);
        let stopped = daemon.stop();
        damage(stopped.directory.path(), "orders-000500.");
        let (missing, aside) = left_of(stopped.directory.path());
        assert_eq!(missing, ["orders-000500."]);
        // It is set aside when it is its turn.
        let daemon = stopped.start_again();
        let mut consumer = daemon.subscribe("orders", "c");
        consumer.ready(2_500);
        let taken: Vec<_> = (0..1_000 - aside.len()).map(|_| consumer.expect_message()).collect();
        assert!(taken.iter().all(|message| !aside.iter().any(|line| line["id"] == message.id)));
        drop(consumer);
        let stopped = daemon.stop();
        let (missing, again) = left_of(stopped.directory.path());
        assert_eq!((missing.len(), again.len()), (1, aside.len()), "{missing:?}");
        assert!(again[0]["file"].as_str().is_some_and(|file| file.ends_with(".bad")), "{}", again[0]);
    });
}

#[test]
fn everything_comes_out_where_the_database_does_not_open() {
    let daemon = Daemon::with(Level::Memory.flags());
    publish(&daemon, "orders", 600);
    let stopped = daemon.stop();
    fs::write(database(stopped.directory.path()), "nonsense").expect("it is ours");
    let target = new_directory();
    let (code, said) = salvage(stopped.directory.path(), target.path(), &["--raw"]);
    assert_eq!(code, Some(1), "{said:?}");
    assert_eq!(bodies(&target.path().join("orders.set-aside.raw")), all("orders", 600));
    // The next start sets it aside, and nothing is lost by that.
    let stopped = stopped.start_again().stop();
    let later = new_directory();
    let (code, said) = salvage(stopped.directory.path(), later.path(), &["--raw"]);
    assert_eq!((code, said), (Some(0), Vec::new()));
    assert_eq!(bodies(&later.path().join("orders.set-aside.raw")), all("orders", 600));
}

#[test]
fn a_damaged_batch_is_read_where_the_database_does_not_open_either() {
    let daemon = Daemon::with(Level::Memory.flags());
    publish(&daemon, "orders", 600);
    let stopped = daemon.stop();
    let home = stopped.directory.path();
    damage(home, "orders-000300.");
    fs::write(database(home), "nonsense").expect("it is ours");
    let target = new_directory();
    let (code, said) = salvage(home, target.path(), &["--raw"]);
    assert_eq!(code, Some(1), "{said:?}");
    let found = bodies(&target.path().join("orders.set-aside.raw"));
    let missing: Vec<_> = all("orders", 600).difference(&found).cloned().collect();
    assert_eq!(missing, ["orders-000300."]);
    let written = lines(&target.path().join("orders.set-aside.ndjson"));
    let unchecked = written.iter().filter(|line| line["is_checked"] == false).count();
    assert!((1..600).contains(&unchecked) && written.len() == 600, "{unchecked} of {}", written.len());
}

#[test]
fn bodies_alone_can_be_published_again() {
    let daemon = Daemon::with(Level::Os.flags());
    daemon.connect().publish_all("orders", &["one", "two\nlines", "three"]);
    let stopped = daemon.stop();
    let target = new_directory();
    let (code, said) = salvage(stopped.directory.path(), &target.path().join("lines"), &["--raw"]);
    assert_eq!(code, Some(1));
    assert!(said[0].starts_with("nsq: 1 bodies hold the delimiter"), "{said:?}");
    let to = target.path().join("zeros");
    let (code, said) = salvage(stopped.directory.path(), &to, &["--raw", "--delimiter", "\\0"]);
    assert_eq!((code, said), (Some(0), Vec::new()));
    let raw = fs::read(to.join("orders.raw")).expect("it was written");
    assert_eq!(raw, b"one\0two\nlines\0three\0");
    let fresh = Daemon::start();
    let address = format!("--nsqd-tcp-address={}", fresh.tcp);
    let run = nsq_with_input(&["pub", "orders", "--delimiter", "\\0", &address], &raw);
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    assert_eq!(fresh.topic_stats("orders")["depth"], 3);
}

#[test]
fn nothing_is_overwritten_and_nothing_is_written_into_the_data() {
    let daemon = Daemon::with(Level::Os.flags());
    publish(&daemon, "orders", 1);
    let stopped = daemon.stop();
    let target = new_directory();
    fs::write(target.path().join("orders.ndjson"), "mine").expect("it is ours");
    let (code, said) = salvage(stopped.directory.path(), target.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(said[0].ends_with("is not empty; choose another directory with --to"), "{said:?}");
    assert_eq!(fs::read(target.path().join("orders.ndjson")).expect("it is there"), b"mine");
    let (code, _) = salvage(stopped.directory.path(), &stopped.directory.path().join("out"), &[]);
    assert_eq!(code, Some(2));
}
