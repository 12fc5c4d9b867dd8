//! A disk that is full: what needs it is refused, all else goes on, and when there is room again so does the rest.
//!
//! It is a real file system with too little room. Where none can be mounted the tests say so and pass; in CI they fail.

use std::collections::BTreeSet;
use std::time::Instant;

use nsq_tests::report::report;
use nsq_tests::small_disk::SmallDisk;
use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, Level, differences, each};

const DISK_MIB: u32 = 64;

/// What the daemons of a durable level and those of memory are run with here.
const FLAGS: [(&str, &[&str]); 3] = [
    ("memory", &["--mem-queue-size=10"]),
    ("os", &["--mem-queue-size=0"]),
    ("disk", &["--mem-queue-size=0", "--sync-every=1"]),
];

/// Messages of 100 kB by number, and which of them were acknowledged.
#[derive(Default)]
struct Published {
    acknowledged: BTreeSet<usize>,
    next: usize,
}

impl Published {
    /// Publishes one message; gives the error where it is refused.
    fn publish(&mut self, daemon: &Daemon, topic: &str) -> Result<(), String> {
        let number = self.next;
        self.next += 1;
        try_publish(daemon, topic, &body(number))?;
        self.acknowledged.insert(number);
        Ok(())
    }

    /// Publishes until it is refused, which must come when the disk is full; gives the error.
    fn publish_until_refused(&mut self, daemon: &Daemon, topic: &str) -> String {
        let count_max = 2 * (DISK_MIB as usize) * 1_048_576 / body(0).len();
        let refused = (0..count_max).find_map(|_| self.publish(daemon, topic).err());
        refused.expect("more was acknowledged than the disk can hold")
    }

    /// Gets and finishes so many messages that were published here; gives how many of them were acknowledged.
    fn consume(&mut self, daemon: &Daemon, topic: &str, count: usize) -> usize {
        let mut consumer = daemon.subscribe(topic, "c");
        consumer.ready(1);
        let mut acknowledged = 0;
        for left in (0..count).rev() {
            let message = consumer.expect_message();
            acknowledged += usize::from(self.acknowledged.remove(&number(&message.body)));
            if left == 0 {
                consumer.ready(0);
            }
            consumer.finish(&message);
        }
        consumer.send("FIN 0000000000000000\n");
        consumer.expect_error("E_FIN_FAILED FIN 0000000000000000 failed ID not in flight");
        acknowledged
    }

    /// Gets everything that is left, among it all that was acknowledged.
    fn expect_all(&mut self, daemon: &Daemon, topic: &str) {
        let mut consumer = daemon.subscribe(topic, "c");
        consumer.ready(10);
        while !self.acknowledged.is_empty() {
            let Some(frame) = consumer.poll_frame(nsq_tests::PATIENCE) else {
                panic!("lost: {:?}", self.acknowledged);
            };
            let message = frame.message();
            let number = number(&message.body);
            assert!(number < self.next, "{number} was never published");
            self.acknowledged.remove(&number);
            consumer.finish(&message);
        }
    }
}

fn body(number: usize) -> Vec<u8> {
    format!("{number:08} ").repeat(100_000 / 9).into_bytes()
}

fn number(received: &[u8]) -> usize {
    let digits = std::str::from_utf8(&received[..8]).expect("numbers are text");
    let number = digits.parse().expect("the body begins with its number");
    assert!(received == body(number), "the body of {number} is not what was published");
    number
}

fn try_publish(daemon: &Daemon, topic: &str, body: &[u8]) -> Result<(), String> {
    let mut client = daemon.connect();
    client.send(nsq_tests::raw::with_body(&format!("PUB {topic}"), body));
    let answer = client.next_frame();
    match answer.kind {
        0 => Ok(()),
        _ => Err(String::from_utf8(answer.data).expect("errors are text")),
    }
}

fn make(daemon: &Daemon, topic: &str) {
    daemon.act(&format!("/topic/create?topic={topic}"));
    daemon.act(&format!("/channel/create?topic={topic}&channel=c"));
}

/// The daemon says that it is not well, and that the reason is the disk.
fn expect_not_well(daemon: &Daemon) {
    let ping = eventually("an unhealthy daemon", || daemon.get("/ping"), |ping| ping.status == 500);
    // Which of the two is said changes with each attempt.
    let says_why = |health: &str| {
        health.starts_with("NOK - ")
            && (health.contains("disk is nearly full") || health.contains("No space"))
    };
    assert!(says_why(ping.text()), "{}", ping.text());
    let stats = daemon.stats();
    assert!(stats["health"].as_str().is_some_and(says_why), "{}", stats["health"]);
    let text = daemon.get("/stats");
    let health = text.text().lines().find_map(|line| line.strip_prefix("Health: "));
    assert!(health.is_some_and(says_why), "{}", text.text());
}

/// How often the log says so.
fn told(daemon: &Daemon, what: &str) -> usize {
    daemon.process().log_lines().iter().filter(|line| line.contains(what)).count()
}

fn expect_refused(daemon: &Daemon, published: &mut Published, topic: &str) {
    let error = published.publish(daemon, topic).expect_err("there is no room");
    assert!(error.starts_with("E_PUB_FAILED PUB failed "), "{error}");
    let response = daemon.post(&format!("/pub?topic={topic}"), body(published.next));
    published.next += 1;
    assert_eq!(response.status, 503, "{response:?}");
}

/// What needs no disk goes on: a topic in memory, and what is on the disk already comes.
fn expect_the_rest_to_go_on(daemon: &Daemon, published: &mut Published) {
    let topic = "in_memory#ephemeral";
    let mut consumer = daemon.subscribe(topic, "c");
    consumer.ready(1);
    // Without a memory queue an ephemeral topic gives what it gets to who is ready at that moment, and keeps nothing.
    let ready = || daemon.client_stats(topic, "c", &consumer.address().to_string())["ready_count"].clone();
    eventually("a ready consumer", ready, |count| *count == 1);
    daemon.publish(topic, "x");
    let message = consumer.expect_body("x");
    consumer.finish(&message);
    assert_eq!(published.consume(daemon, "t", 3), 3);
}

fn expect_healed(daemon: &Daemon, published: &mut Published, topic: &str) {
    let began = Instant::now();
    eventually_published(daemon, published, topic);
    eventually("a healthy daemon", || daemon.get("/ping"), |ping| (ping.status, ping.text()) == (200, "OK"));
    report(format_args!("a disk with room again takes messages after {:?}", began.elapsed()));
    daemon.post(&format!("/pub?topic={topic}"), body(published.next)).expect_ok();
    published.acknowledged.insert(published.next);
    published.next += 1;
}

fn eventually_published(daemon: &Daemon, published: &mut Published, topic: &str) {
    let deadline = Instant::now() + nsq_tests::PATIENCE;
    while let Err(error) = published.publish(daemon, topic) {
        assert!(Instant::now() < deadline, "there is room, and still: {error}");
    }
}

/// The original has no say in it: it goes on saying OK.
fn is_for_this_daemon() -> bool {
    !differences::is_original()
}

#[test]
fn a_disk_that_something_else_fills_refuses_publishes_until_there_is_room() {
    if !is_for_this_daemon() {
        return;
    }
    each(FLAGS, |(_, flags)| {
        let Some((disk, directory)) = SmallDisk::new(DISK_MIB) else { return };
        let daemon = disk.start(directory, flags);
        make(&daemon, "t");
        let mut published = Published::default();
        for _ in 0..50 {
            published.publish(&daemon, "t").expect("there is room");
        }
        disk.fill();
        // Before anything was refused.
        expect_not_well(&daemon);
        let error = published.publish_until_refused(&daemon, "t");
        assert!(error.starts_with("E_PUB_FAILED PUB failed "), "{error}");
        expect_not_well(&daemon);
        // States are small, and may find room: that says nothing of messages.
        make(&daemon, "another");
        expect_refused(&daemon, &mut published, "t");
        expect_the_rest_to_go_on(&daemon, &mut published);
        expect_not_well(&daemon);
        assert_eq!(told(&daemon, "the disk takes writes again"), 0);
        disk.relieve();
        expect_healed(&daemon, &mut published, "t");
        assert_eq!(told(&daemon, "the disk takes writes again"), 1);
        // What was acknowledged before, while and after it was full.
        if flags.contains(&"--mem-queue-size=0") {
            let daemon = daemon.kill().start_again();
            published.expect_all(&daemon, "t");
        } else {
            let daemon = daemon.restart();
            published.expect_all(&daemon, "t");
        }
    });
}

#[test]
fn a_disk_that_messages_fill_takes_others_when_they_are_finished_or_deleted() {
    if !is_for_this_daemon() {
        return;
    }
    each([("finished", Level::Os), ("deleted", Level::Os), ("emptied", Level::Os)], |(what, level)| {
        let Some((disk, directory)) = SmallDisk::new(DISK_MIB) else { return };
        let daemon = disk.start(directory, level.flags());
        make(&daemon, "kept");
        make(&daemon, "t");
        let mut kept = Published::default();
        for _ in 0..5 {
            kept.publish(&daemon, "kept").expect("there is room");
        }
        let mut published = Published::default();
        published.publish_until_refused(&daemon, "t");
        report(format_args!("{DISK_MIB} MiB hold {} messages of 100 kB", published.acknowledged.len()));
        expect_not_well(&daemon);
        match *what {
            "finished" => {
                let count = published.acknowledged.len() * 9 / 10;
                published.consume(&daemon, "t", count);
            }
            "deleted" => {
                daemon.act("/topic/delete?topic=t");
                published.acknowledged.clear();
                make(&daemon, "t");
            }
            _ => {
                daemon.act("/channel/empty?topic=t&channel=c");
                published.acknowledged.clear();
            }
        }
        expect_healed(&daemon, &mut published, "t");
        let daemon = daemon.kill().start_again();
        published.expect_all(&daemon, "t");
        kept.expect_all(&daemon, "kept");
    });
}

#[test]
fn a_daemon_killed_on_a_full_disk_starts_there_and_gives_what_it_has() {
    if !is_for_this_daemon() {
        return;
    }
    each(Level::DURABLE, |level| {
        let Some((disk, directory)) = SmallDisk::new(DISK_MIB) else { return };
        let daemon = disk.start(directory, level.flags());
        make(&daemon, "t");
        let mut published = Published::default();
        for _ in 0..50 {
            published.publish(&daemon, "t").expect("there is room");
        }
        disk.fill();
        published.publish_until_refused(&daemon, "t");
        let daemon = daemon.kill().start_again();
        published.consume(&daemon, "t", 10);
        disk.relieve();
        expect_healed(&daemon, &mut published, "t");
        published.expect_all(&daemon, "t");
    });
}
