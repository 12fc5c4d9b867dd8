//! A file system that has become read-only: what has to be written there is refused, all else goes on, and when it can be
//! written again so does the rest.
//!
//! The daemon can go on writing to files that it has open already, as the system lets nobody change that from outside.
//! Where no file system can be mounted the test says so and passes; in CI it fails.

use nsq_tests::small_disk::SmallDisk;
use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, differences, each};

use crate::published::{Published, expect_healed, expect_refused, expect_the_rest_to_go_on, make, told};

const DISK_MIB: u32 = 128;

fn expect_not_well(daemon: &Daemon) {
    let says_why = |health: &str| health.starts_with("NOK - ") && health.contains("Read-only file system");
    let ping = eventually("an unhealthy daemon", || daemon.get("/ping"), |ping| ping.status == 500);
    assert!(says_why(ping.text()), "{}", ping.text());
    let stats = daemon.stats();
    assert!(stats["health"].as_str().is_some_and(says_why), "{}", stats["health"]);
}

#[test]
fn a_disk_that_became_read_only_refuses_publishes_until_it_can_be_written() {
    if differences::is_original() {
        return;
    }
    let rows: [(&str, &[&str], bool); 5] = [
        ("memory, nothing was on the disk", &["--mem-queue-size=10"], false),
        ("os, nothing was on the disk", &["--mem-queue-size=0"], false),
        ("disk, nothing was on the disk", &["--mem-queue-size=0", "--sync-every=1"], false),
        ("os", &["--mem-queue-size=0"], true),
        ("disk", &["--mem-queue-size=0", "--sync-every=1"], true),
    ];
    each(rows, |(_, flags, is_made_before)| {
        let Some((disk, directory)) = SmallDisk::new(DISK_MIB) else { return };
        let daemon = disk.start(directory, flags);
        let mut published = Published::default();
        if *is_made_before {
            make(&daemon, "t");
            for _ in 0..50 {
                published.publish(&daemon, "t").expect("it can be written");
            }
        }
        disk.make_read_only();
        if !is_made_before {
            make(&daemon, "t");
        }
        let error = published.publish_until_refused(&daemon, "t");
        assert!(error.starts_with("E_PUB_FAILED PUB failed "), "{error}");
        expect_not_well(&daemon);
        expect_refused(&daemon, &mut published, "t");
        let count = published.acknowledged.len().min(3);
        expect_the_rest_to_go_on(&daemon, &mut published, count);
        expect_not_well(&daemon);
        assert_eq!(told(&daemon, "the disk takes writes again"), 0);
        disk.make_writable();
        expect_healed(&daemon, &mut published, "t");
        let is_durable = flags.contains(&"--mem-queue-size=0");
        let daemon = if is_durable { daemon.kill().start_again() } else { daemon.restart() };
        published.expect_all(&daemon, "t");
    });
}

#[test]
fn a_daemon_that_nobody_asks_for_anything_heals_as_well() {
    if differences::is_original() {
        return;
    }
    let Some((disk, directory)) = SmallDisk::new(DISK_MIB) else { return };
    let daemon = disk.start(directory, &["--mem-queue-size=0"]);
    disk.make_read_only();
    make(&daemon, "t");
    expect_not_well(&daemon);
    disk.make_writable();
    eventually("a healthy daemon", || daemon.get("/ping"), |ping| (ping.status, ping.text()) == (200, "OK"));
    let daemon = daemon.kill().start_again();
    assert_eq!(daemon.channel_stats("t", "c")["channel_name"], "c", "{}", daemon.stats());
}
