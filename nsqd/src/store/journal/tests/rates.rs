//! Prints rates, for the decision record: `cargo test --release -p nsqd --lib rates -- --ignored --nocapture`. It judges
//! nothing. The directory is that of temporary files; `TMPDIR` names another.

use std::path::Path;

use super::*;
use crate::store::suite::{ONE, image};

const BODY_BYTES: usize = 200 + 34;

fn open(home: &Path, level: Durability) -> Journal {
    let settings = JournalSettings { default_durability: level, ..JournalSettings::default() };
    let mut journal = Journal::open(home, settings).unwrap();
    journal.load().unwrap();
    journal.save(ONE, &image("rates")).unwrap();
    journal.sync().unwrap();
    journal
}

fn messages(first: Position, count: u32) -> StoredBatch {
    StoredBatch { first, count, aside: false, records: vec![7; BODY_BYTES * count as usize].into() }
}

fn quantile(sorted: &[Duration], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
}

fn size(home: &Path) -> u64 {
    fs::read_dir(home).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// Appends groups, and says how long each took.
fn groups(journal: &mut Journal, groups: u64, count: u32) -> Vec<Duration> {
    let mut took = Vec::new();
    for group in 0..groups {
        let batch = messages(group * u64::from(count), count);
        let began = Instant::now();
        journal.append(ONE, &batch).unwrap();
        journal.sync().unwrap();
        took.push(began.elapsed());
        if journal.due().is_some_and(|due| due <= Instant::now()) {
            journal.handle_due().unwrap();
        }
    }
    took
}

#[test]
#[ignore = "prints, and judges nothing"]
fn rates_of_groups() {
    for level in [Durability::Disk, Durability::Os] {
        for (count, number) in [(1, 3_000), (50, 3_000), (1_000, 2_000)] {
            let home = tempfile::tempdir().unwrap();
            let mut journal = open(home.path(), level);
            let began = Instant::now();
            let mut took = groups(&mut journal, number, count);
            let rate = (number * u64::from(count)) as f64 / began.elapsed().as_secs_f64();
            took.sort();
            println!(
                "{level:?}, groups of {count}: {rate:.0} messages/s, p50 {:.3} p99 {:.3} max {:.1} ms",
                quantile(&took, 0.5),
                quantile(&took, 0.99),
                quantile(&took, 1.0)
            );
        }
    }
}

#[test]
#[ignore = "prints, and judges nothing; writes 4 GB"]
fn rates_of_a_backlog() {
    for gigabytes in [1, 4] {
        let home = tempfile::tempdir().unwrap();
        let mut journal = open(home.path(), Durability::Os);
        // 16 KiB each.
        let batches = (gigabytes << 30) / (70 * BODY_BYTES as u64);
        let began = Instant::now();
        let mut took = groups(&mut journal, batches, 70);
        took.sort();
        println!(
            "{gigabytes} GiB in {:.1} s, longest {:.1} ms; {} MB on disk",
            began.elapsed().as_secs_f64(),
            quantile(&took, 1.0),
            size(home.path()) / 1_000_000
        );
        kill(journal);
        for file in ["index", ""] {
            // First with the index, then without.
            let settings = JournalSettings::default();
            let began = Instant::now();
            kill(Journal::open(home.path(), settings).unwrap());
            let took = began.elapsed().as_secs_f64();
            println!("opened in {took:.3} s, with{} an index", if file.is_empty() { "out" } else { "" });
            let _ = fs::remove_file(home.path().join(file));
        }
        let began = Instant::now();
        let settings = JournalSettings::default();
        let mut journal = Journal::open(home.path(), settings).unwrap();
        let opened = began.elapsed();
        let topics = journal.load().unwrap();
        assert_eq!(topics[0].batches.len() as u64, batches);
        println!("opened in {:.3} s, loaded in {:.3} s", opened.as_secs_f64(), began.elapsed().as_secs_f64());

        let (mut steps, mut syncs, began) = (Vec::new(), Vec::new(), Instant::now());
        for (index, batch) in topics[0].batches.iter().enumerate() {
            journal.read(ONE, batch.first).unwrap();
            // One in 200 stays for now.
            if index % 200 != 0 {
                journal.drop_batch(ONE, batch.first).unwrap();
            }
            if index % 16 == 0 {
                let began = Instant::now();
                journal.sync().unwrap();
                syncs.push(began.elapsed());
                let began = Instant::now();
                if journal.due().is_some_and(|due| due <= Instant::now()) {
                    journal.handle_due().unwrap();
                    steps.push(began.elapsed());
                }
            }
        }
        journal.sync().unwrap();
        while journal.has_work() {
            let began = Instant::now();
            journal.handle_due().unwrap();
            steps.push(began.elapsed());
        }
        println!(
            "read and dropped in {:.1} s; {} MB on disk",
            began.elapsed().as_secs_f64(),
            size(home.path()) / 1_000_000
        );
        for batch in topics[0].batches.iter().step_by(200) {
            journal.drop_batch(ONE, batch.first).unwrap();
        }
        journal.sync().unwrap();
        while journal.has_work() {
            let began = Instant::now();
            journal.handle_due().unwrap();
            steps.push(began.elapsed());
        }
        steps.sort();
        syncs.sort();
        println!(
            "{} steps: p50 {:.2} p99 {:.2} max {:.1} ms; syncs max {:.1} ms; drained: {} MB on disk",
            steps.len(),
            quantile(&steps, 0.5),
            quantile(&steps, 0.99),
            quantile(&steps, 1.0),
            quantile(&syncs, 1.0),
            size(home.path()) / 1_000_000
        );
    }
}
