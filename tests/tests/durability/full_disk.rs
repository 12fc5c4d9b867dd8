//! A disk that is full: what needs it is refused, all else goes on, and when there is room again so does the rest.
//!
//! It is a real file system with too little room. Where none can be mounted the tests say so and pass; in CI they fail.

use nsq_tests::report::report;
use nsq_tests::small_disk::SmallDisk;
use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, Level, differences, each};

use crate::published::{Published, expect_healed, expect_refused, expect_the_rest_to_go_on, make, told};

const DISK_MIB: u32 = 64;

/// What the daemons of a durable level and those of memory are run with here.
const FLAGS: [(&str, &[&str]); 3] = [
    ("memory", &["--mem-queue-size=10"]),
    ("os", &["--mem-queue-size=0"]),
    ("disk", &["--mem-queue-size=0", "--sync-every=1"]),
];

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
        expect_the_rest_to_go_on(&daemon, &mut published, 3);
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
fn what_is_kept_free_is_given_to_messages_when_the_operator_says_so() {
    if !is_for_this_daemon() {
        return;
    }
    let Some((disk, directory)) = SmallDisk::new(DISK_MIB) else { return };
    let more = i64::from(DISK_MIB) * 1_048_576;
    let flag = format!("--min-free-disk={more}");
    let daemon = disk.start(directory, &["--mem-queue-size=0", &flag]);
    make(&daemon, "t");
    expect_not_well(&daemon);
    let mut published = Published::default();
    expect_refused(&daemon, &mut published, "t");
    let changed = daemon.put("/config/min_free_disk", "0");
    assert_eq!((changed.status, changed.text()), (200, "0"));
    expect_healed(&daemon, &mut published, "t");
    assert_eq!(daemon.put("/config/min_free_disk", more.to_string()).status, 200);
    expect_not_well(&daemon);
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
