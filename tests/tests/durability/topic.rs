//! A topic with a durability of its own: `/topic/create?topic=t&durability=os`, whatever the daemon's flags say.

use nsq_tests::{Daemon, Level, differences, each};

fn durability(daemon: &Daemon, topic: &str) -> String {
    let stats = daemon.topic_stats(topic);
    stats["durability"].as_str().unwrap_or_else(|| panic!("{topic} has no durability in {stats}")).to_owned()
}

fn publish_some(daemon: &Daemon, topic: &str) {
    daemon.connect().publish_all(topic, &["a", "b", "c"]);
}

fn expect_some(daemon: &Daemon, topic: &str) {
    let mut consumer = daemon.subscribe(topic, "c");
    consumer.ready(10);
    for body in ["a", "b", "c"] {
        let message = consumer.expect_body(body);
        consumer.finish(&message);
    }
    consumer.expect_nothing_answered();
}

#[test]
fn a_topic_keeps_the_durability_that_it_was_created_with() {
    if differences::is_original() {
        return;
    }
    each(Level::ALL, |default| {
        let daemon = Daemon::with(default.flags());
        let topics = Level::ALL.map(|level| (format!("topic_{}", level.name()), level));
        for (topic, level) in &topics {
            daemon.act(&format!("/topic/create?topic={topic}&durability={}", level.name()));
        }
        daemon.act("/topic/create?topic=plain");
        daemon.publish("published", "x");
        let expect_all = |daemon: &Daemon| {
            for (topic, level) in &topics {
                assert_eq!(durability(daemon, topic), level.name());
            }
            for topic in ["plain", "published"] {
                assert_eq!(durability(daemon, topic), default.name(), "{topic} is as the daemon's flags say");
            }
        };
        expect_all(&daemon);
        let daemon = daemon.restart();
        expect_all(&daemon);
        let daemon = daemon.kill().start_again();
        expect_all(&daemon);
    });
}

#[test]
fn a_kill_keeps_the_messages_of_a_durable_topic_though_the_daemon_s_flags_are_the_default() {
    if differences::is_original() {
        return;
    }
    let daemon = Daemon::start();
    for level in Level::DURABLE {
        daemon.act(&format!("/topic/create?topic={0}&durability={0}", level.name()));
        daemon.act(&format!("/channel/create?topic={}&channel=c", level.name()));
        publish_some(&daemon, level.name());
    }
    let daemon = daemon.kill().start_again();
    for level in Level::DURABLE {
        daemon.wait_for_channel(level.name(), "c", "depth", 3);
        expect_some(&daemon, level.name());
    }
}

#[test]
fn a_topic_in_memory_is_stopped_in_order_on_a_durable_daemon() {
    if differences::is_original() {
        return;
    }
    each(Level::DURABLE, |level| {
        let daemon = Daemon::with(level.flags());
        daemon.act("/topic/create?topic=t&durability=memory");
        daemon.act("/channel/create?topic=t&channel=c");
        publish_some(&daemon, "t");
        expect_some(&daemon.restart(), "t");
    });
}

#[test]
fn a_durability_outlives_flags_that_say_otherwise() {
    if differences::is_original() {
        return;
    }
    let daemon = Daemon::start();
    daemon.act("/topic/create?topic=t&durability=disk");
    let daemon = daemon.stop().start_with(&["--mem-queue-size=0"]);
    assert_eq!(durability(&daemon, "t"), "disk");
}

#[test]
fn what_is_no_durability_is_refused_and_makes_no_topic() {
    if differences::is_original() {
        return;
    }
    let daemon = Daemon::start();
    each(["", "none", "OS", "os%20", "disk,os"], |value| {
        let response = daemon.post(&format!("/topic/create?topic=t&durability={value}"), "");
        response.expect_error(400, "INVALID_DURABILITY");
        assert_eq!(daemon.topic_stats("t"), serde_json::Value::Null);
    });
}
