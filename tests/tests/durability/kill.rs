//! SIGKILL at a random moment under load: nothing that was acknowledged and not finished is lost.
//!
//! A trial publishes in every way into several topics with several channels, consumes, requeues and defers, and kills
//! the daemon once or more often on the same data. A trial in which too little was acknowledged shows nothing, and is
//! repeated with a longer run.

use std::time::{Duration, Instant};

use nsq_tests::daemon::Stopped;
use nsq_tests::ledger::{Figures, Ledger};
use nsq_tests::load::{Load, Numbers, Plan, drain};
use nsq_tests::random::{Random, fresh_seed};
use nsq_tests::report::{report, setting};
use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, Level, differences};

/// A trial with fewer messages acknowledged does not count.
const ACKNOWLEDGED_MIN: usize = 1_000;

/// How often a trial is repeated that acknowledged too little.
const REPEATS_MAX: u32 = 8;

#[test]
fn a_kill_loses_nothing_without_a_memory_queue() {
    try_level(Level::Os);
}

#[test]
fn a_kill_loses_nothing_when_every_publish_is_synced() {
    try_level(Level::Disk);
}

fn try_level(level: Level) {
    let trials = setting("DURABILITY_TRIALS", 5);
    let first_seed = setting("DURABILITY_SEED", fresh_seed());
    report(format_args!("kill -9, level {}: {trials} trials, seeds from {first_seed}", level.name()));
    let mut sum = Figures::default();
    for seed in first_seed..first_seed + trials {
        sum += try_seed(level, seed);
    }
    report(format_args!("kill -9, level {}: {sum}", level.name()));
    if !differences::survives_kill_without_memory_queue() {
        assert!(sum.lost > 0, "the original loses some, so a trial that finds none cannot fail: {sum}");
    }
}

fn try_seed(level: Level, seed: u64) -> Figures {
    for repeat in 0..REPEATS_MAX {
        let factor = 1 << repeat;
        if let Some(figures) = run(level, seed, factor) {
            return figures;
        }
        report(format_args!("seed {seed}: too little was acknowledged, once more and longer"));
    }
    panic!("seed {seed}: never were {ACKNOWLEDGED_MIN} messages acknowledged before the kill");
}

/// One trial; `None` where too little was acknowledged.
fn run(level: Level, seed: u64, factor: u32) -> Option<Figures> {
    let mut random = Random::new(seed);
    let plan = Plan::new(&[("orders", &[1]), ("events", &[2, 1]), ("audit", &[1, 1, 0])]);
    let mut ledger = Ledger::new(plan.channel_topics());
    let numbers = Numbers::default();
    let mut daemon = Daemon::with(level.flags());
    plan.make(&daemon);
    let kills = 1 + random.index(3);
    for _ in 0..kills {
        let load = Load::start(&daemon, &plan, &numbers, &mut random);
        eventually("a publish being answered", || load.acknowledged(), |count| *count > 0);
        wait(Duration::from_millis(random.within(100..1_500)) * factor);
        let killed_at = Instant::now();
        let stopped = daemon.kill();
        load.end(killed_at, &mut ledger);
        daemon = start_again(stopped);
        if random.percent(25) {
            // Killed again while it has hardly begun.
            wait(Duration::from_millis(random.within(0..100)));
            daemon = start_again(daemon.kill());
        }
    }
    if ledger.acknowledged() < ACKNOWLEDGED_MIN {
        return None;
    }
    let (figures, evidence) = ledger.settle(&drain(&daemon, &plan));
    println!("seed {seed}: {figures}");
    if differences::survives_kill_without_memory_queue() {
        let told = || {
            let lost = &evidence.lost[..evidence.lost.len().min(20)];
            let log = daemon.process().log_lines().join("\n");
            format!(
                "seed {seed}: {figures}\nlost (channel, number): {lost:?}\nwrong: {:?}\n{log}",
                evidence.wrong
            )
        };
        assert_eq!((figures.lost, figures.wrong, figures.doubled), (0, 0, 0), "{}", told());
        // How many were finished long before and come again is reported and not judged: it is a matter of time.
    }
    Some(figures)
}

/// Starts it again. A kill tears the journal at its end at most: what is behind the tear was not written either.
fn start_again(stopped: Stopped) -> Daemon {
    let daemon = stopped.start_again();
    let log = daemon.process().log_lines();
    assert!(!log.iter().any(|line| line.contains("a gap in")), "a kill left a gap:\n{}", log.join("\n"));
    daemon
}

/// Lets the load run: there is nothing to be waited for, the moment is to be any.
fn wait(duration: Duration) {
    let until = Instant::now() + duration;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
