//! Channels of a topic that is new on a node, found at the lookup services (spec nsqd-operation.md, §10); topics that
//! are there before the first message (docs/discovery.md).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use nsq_tests::daemon::new_directory;
use nsq_tests::process::{Process, Signal};
use nsq_tests::raw::be;
use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, Lookupd, PATIENCE, cluster, differences};

/// An nsqd that has registered with these.
fn registered(lookupds: &[&Lookupd], flags: &[&str]) -> Daemon {
    let daemon = cluster::nsqd(lookupds, flags);
    let address = daemon.tcp.ip().to_string();
    for lookupd in lookupds {
        eventually("a registration", || lookupd.nodes(), |nodes| nodes.contains(&address));
    }
    daemon
}

#[test]
fn a_new_topic_has_the_channels_that_are_known_elsewhere() {
    let lookupd = cluster::lookupd(&[]);
    for channel in ["a", "b", "passing%23ephemeral"] {
        lookupd.act(&format!("/channel/create?topic=t&channel={channel}"));
    }
    let daemon = registered(&[&lookupd], &[]);
    daemon.publish("t", "early");
    daemon.wait_for_channel("t", "a", "depth", 1);
    daemon.wait_for_channel("t", "b", "depth", 1);
    assert!(daemon.channel_stats("t", "passing#ephemeral").is_null());
    // Created by name, or by a consumer: the same.
    lookupd.act("/channel/create?topic=created&channel=a");
    daemon.act("/topic/create?topic=created");
    daemon.wait_for_channel("created", "a", "depth", 0);
    lookupd.act("/channel/create?topic=subscribed&channel=a");
    let _consumer = daemon.subscribe("subscribed", "b");
    daemon.wait_for_channel("subscribed", "a", "depth", 0);
}

#[test]
fn channels_of_all_lookup_services_are_found() {
    let (first, second) = (cluster::lookupd(&[]), cluster::lookupd(&[]));
    first.act("/channel/create?topic=t&channel=a");
    second.act("/channel/create?topic=t&channel=b");
    let daemon = registered(&[&first, &second], &[]);
    daemon.publish("t", "early");
    daemon.wait_for_channel("t", "a", "depth", 1);
    daemon.wait_for_channel("t", "b", "depth", 1);
}

#[test]
fn nobody_waits_for_channels_and_no_channel_misses_a_message() {
    if differences::new_topics_wait_for_lookups() {
        return;
    }
    let lookupd = cluster::lookupd(&[]);
    lookupd.act("/channel/create?topic=t&channel=elsewhere");
    let daemon = registered(&[&lookupd], &[]);
    lookupd.process().signal(Signal::STOP);
    daemon.publish("t", "early");
    let mut consumer = daemon.subscribe("t", "here");
    consumer.ready(1);
    consumer.expect_silence();
    assert_eq!(daemon.topic_stats("t")["depth"], 1);
    lookupd.process().signal(Signal::CONT);
    consumer.expect_body("early");
    daemon.wait_for_channel("t", "elsewhere", "depth", 1);
}

#[test]
fn a_topic_goes_on_when_no_lookup_service_answers() {
    let lookupd = cluster::lookupd(&[]);
    let daemon = registered(&[&lookupd], &["--http-client-request-timeout=300ms"]);
    lookupd.process().signal(Signal::STOP);
    daemon.publish("t", "early");
    let mut consumer = daemon.subscribe("t", "here");
    consumer.ready(1);
    consumer.expect_body("early");
    lookupd.process().signal(Signal::CONT);
}

#[test]
fn a_lookup_service_that_never_came_is_not_waited_for() {
    let daemon = Daemon::with(&["--lookupd-tcp-address=127.0.0.1:1"]);
    daemon.publish("t", "early");
    let mut consumer = daemon.subscribe("t", "here");
    consumer.ready(1);
    consumer.expect_body("early");
    let said = "no available nsqlookupd to query for channels to pre-create for topic t";
    daemon.process().wait_for_log(said, |line| line.contains(said));
}

#[test]
fn topics_of_other_nodes_are_made_where_that_is_wanted() {
    if differences::is_original() {
        return;
    }
    let lookupd = cluster::lookupd(&[]);
    let here = registered(&[&lookupd], &["--sync-topics"]);
    let there = registered(&[&lookupd], &[]);
    let consumer = there.subscribe("passing#ephemeral", "c");
    there.act("/topic/create?topic=t");
    there.act("/channel/create?topic=t&channel=a");
    let passing = there.subscribe("t", "passing#ephemeral");
    here.wait_for_channel("t", "a", "depth", 0);
    assert!(here.channel_stats("t", "passing#ephemeral").is_null());
    assert!(here.topic_stats("passing#ephemeral").is_null());
    eventually("both nodes", || lookupd.found("t"), |found| found.len() == 2);
    drop((consumer, passing));
}

#[test]
fn topics_that_nobody_has_any_more_are_not_made() {
    if differences::is_original() {
        return;
    }
    let lookupd = cluster::lookupd(&[]);
    lookupd.act("/channel/create?topic=abandoned&channel=c");
    let there = registered(&[&lookupd], &[]);
    there.act("/topic/create?topic=kept");
    let here = registered(&[&lookupd], &["--sync-topics"]);
    eventually("the other topic", || here.topic_stats("kept"), |stats| !stats.is_null());
    assert!(here.topic_stats("abandoned").is_null());
}

#[test]
fn a_topology_file_is_there_before_the_first_client() {
    if differences::is_original() {
        return;
    }
    let directory = new_directory();
    let file = directory.path().join("topology.toml");
    let text =
        "[topics.t]\nchannels = [\"a\", { name = \"b\", paused = true }]\n[topics.still]\npaused = true\n";
    fs::write(&file, text).expect("the directory is writable");
    let flag = format!("--topology-file={}", file.display());
    let daemon = Daemon::with(&[&flag]);
    daemon.publish("t", "first");
    daemon.wait_for_channel("t", "a", "depth", 1);
    assert_eq!(daemon.channel_stats("t", "b")["paused"], true);
    assert_eq!(daemon.topic_stats("still")["paused"], true);
    daemon.act("/channel/unpause?topic=t&channel=b");
    daemon.act("/channel/create?topic=t&channel=more");
    // What it says is so at each start; what it does not speak of stays.
    let daemon = daemon.restart();
    assert_eq!(daemon.channel_stats("t", "b")["paused"], true);
    assert_eq!(daemon.channel_stats("t", "b")["depth"], 1);
    assert_eq!(daemon.channel_stats("t", "more")["depth"], 0);
}

#[test]
fn a_topology_file_that_makes_no_sense_ends_the_start() {
    if differences::is_original() {
        return;
    }
    let directory = new_directory();
    let file = directory.path().join("topology.toml");
    fs::write(&file, "[topics.t]\nchanels = []\n").expect("the directory is writable");
    let ended = Process::start(&[
        format!("--topology-file={}", file.display()),
        format!("--data-path={}", directory.path().display()),
    ])
    .wait();
    assert_eq!(ended.status.code(), Some(1));
    let said = "FATAL: failed to load topology file - ";
    let line = ended.log.iter().find(|line| line.contains(said)).expect("it says why");
    assert!(line.ends_with("line 2: unknown field `chanels`, expected `paused` or `channels`"), "{line}");
}

#[test]
fn declared_topics_find_their_other_channels_too() {
    if differences::is_original() {
        return;
    }
    let lookupd = cluster::lookupd(&[]);
    lookupd.act("/channel/create?topic=t&channel=elsewhere");
    let directory = new_directory();
    let file = directory.path().join("topology.toml");
    fs::write(&file, "[topics.t]\nchannels = [\"declared\"]\n").expect("the directory is writable");
    let daemon = cluster::nsqd(&[&lookupd], &[&format!("--topology-file={}", file.display())]);
    daemon.publish("t", "first");
    daemon.wait_for_channel("t", "declared", "depth", 1);
    daemon.wait_for_channel("t", "elsewhere", "depth", 1);
}

#[test]
fn a_stop_in_between_makes_no_channel_miss_anything() {
    if differences::new_topics_wait_for_lookups() {
        return;
    }
    let lookupd = cluster::lookupd(&[]);
    lookupd.act("/channel/create?topic=t&channel=elsewhere");
    let daemon = registered(&[&lookupd], &[]);
    lookupd.process().signal(Signal::STOP);
    daemon.publish("t", "early");
    daemon.act("/channel/create?topic=t&channel=here");
    assert_eq!(daemon.topic_stats("t")["depth"], 1);
    let stopped = daemon.stop();
    lookupd.process().signal(Signal::CONT);
    let daemon = stopped.start_again();
    daemon.wait_for_channel("t", "here", "depth", 1);
    daemon.wait_for_channel("t", "elsewhere", "depth", 1);
}

/// A lookup service that takes its time for each answer, and knows nothing. It says when it is told the first thing.
#[expect(clippy::disallowed_methods, reason = "its slowness is what is tested")]
fn slow_service() -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (say_told, told) = mpsc::channel();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a daemon connects");
        let say = |data: &[u8]| (&stream).write_all(&[&be(data.len()), data].concat());
        let mut commands = BufReader::new(&stream).split(b'\n');
        // IDENTIFY, whose body has no end of its own and stands before the next command.
        let introduced = commands.next().is_some_and(|line| line.is_ok());
        assert!(introduced && say(br#"{"broadcast_address":""}"#).is_ok(), "the daemon introduces itself");
        while commands.next().is_some_and(|line| line.is_ok()) {
            // The test may be over.
            let _ = say_told.send(());
            std::thread::sleep(Duration::from_millis(300));
            if say(b"OK").is_err() {
                return;
            }
        }
    });
    (address, told)
}

#[test]
fn a_slow_lookup_service_does_not_keep_the_daemon_from_stopping() {
    if differences::is_original() {
        return;
    }
    let daemon = Daemon::start();
    for number in 0..100 {
        daemon.publish(&format!("t{number}"), "kept");
    }
    let (address, told) = slow_service();
    let daemon = daemon.stop().start_with(&[&format!("--lookupd-tcp-address={address}")]);
    // From now on it waits for the answers to all of them.
    told.recv_timeout(PATIENCE).expect("the service is told of topics");
    // With an answer for each it would take a minute.
    let daemon = daemon.restart();
    assert_eq!(daemon.topic_stats("t99")["depth"], 1);
}
