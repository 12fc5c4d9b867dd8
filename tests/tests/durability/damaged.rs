//! Damaged files: the daemon starts, gives what is whole, never a body that nobody published, and says what it left out.
//!
//! What is damaged is chosen by chance among all files of the store that a kill left behind.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nsq_tests::load::{Plan, drain};
use nsq_tests::numbered::body;
use nsq_tests::random::{Random, fresh_seed};
use nsq_tests::raw::{batch, with_body};
use nsq_tests::report::{report, setting};
use nsq_tests::{Daemon, Level, differences};

const TOPICS: [&str; 2] = ["orders", "events"];
const BATCHES: u64 = 60;
const BATCH: u64 = 100;

/// How many wrong bits are few.
const FEW: u64 = 4;

/// Of the messages, how many must still come where a few bits are wrong: a damaged place costs only those around it.
const REST_PERCENT: usize = 90;

#[derive(Debug, Clone, Copy)]
enum Damage {
    /// The newest file ends too early: what a loss of power leaves.
    Cut,
    /// A few bits are wrong somewhere.
    Bits(u64),
    /// What should be data is nothing but zeros.
    Zeros,
    /// Something was appended to the newest file that nobody wrote.
    Garbage,
}

#[test]
fn a_newest_file_that_is_cut_is_read_up_to_there() {
    try_damage(Damage::Cut);
}

#[test]
fn a_few_wrong_bits_are_noticed() {
    try_damage(Damage::Bits(FEW));
}

#[test]
fn many_wrong_bits_are_noticed() {
    try_damage(Damage::Bits(1_000));
}

#[test]
fn zeros_in_the_place_of_data_are_noticed() {
    try_damage(Damage::Zeros);
}

#[test]
fn garbage_behind_the_data_is_no_data() {
    try_damage(Damage::Garbage);
}

fn try_damage(damage: Damage) {
    if differences::is_original() {
        return;
    }
    let trials = setting("DURABILITY_TRIALS", 3);
    let first_seed = setting("DURABILITY_SEED", fresh_seed());
    let (mut published, mut missing, mut nothing_left) = (0, 0, 0);
    for seed in first_seed..first_seed + trials {
        let outcome = run(damage, seed);
        published += outcome.published;
        missing += outcome.missing;
        nothing_left += u64::from(outcome.missing == outcome.published);
    }
    report(format_args!(
        "damage {damage:?}: {trials} trials, seeds from {first_seed}, {missing} of {published} messages left out, \
         all of them in {nothing_left} trials"
    ));
}

struct Outcome {
    published: usize,
    missing: usize,
}

fn run(damage: Damage, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let plan = Plan::new(&[(TOPICS[0], &[0]), (TOPICS[1], &[0, 0])]);
    // At the level `os`, what was not synced yet and is unreadable is what a loss of power leaves: no damage.
    let daemon = Daemon::with(Level::Disk.flags());
    plan.make(&daemon);
    let published = publish(&daemon);
    let stopped = daemon.kill();
    let files = files_of_the_store(stopped.directory.path());
    let done = do_damage(damage, &files, &mut random);
    println!("seed {seed}: {done}");
    let daemon = stopped.start_again();
    for (channel, (topic, name)) in plan.all().map(|channel| (channel, plan.channel(channel))) {
        // A topic whose name and channels were lost is made again.
        daemon.act(&format!("/topic/create?topic={topic}"));
        daemon.act(&format!("/channel/create?topic={topic}&channel={name}"));
        println!("channel {channel}: {}", daemon.channel_stats(topic, name));
    }
    let drained = drain(&daemon, &plan);
    let mut missing: Vec<u64> = Vec::new();
    let mut newest_arrived = 0;
    for consumed in &drained {
        assert!(consumed.wrong.is_empty(), "seed {seed}: {done}: wrong bodies {:?}", consumed.wrong);
        let arrived: HashSet<u64> = consumed.arrived.iter().copied().collect();
        let expected = &published[usize::from(consumed.channel > 0)];
        assert!(arrived.is_subset(expected), "seed {seed}: {done}: numbers that nobody published");
        assert_eq!(arrived.len(), consumed.arrived.len(), "seed {seed}: {done}: messages came twice");
        missing.extend(expected.difference(&arrived));
        newest_arrived = newest_arrived.max(arrived.into_iter().max().unwrap_or(0));
    }
    // Only the end is missing: that is what a file looks like whose writer was killed, or lost its power.
    let is_torn = missing.iter().all(|number| *number > newest_arrived);
    let missing = missing.len();
    let all = published[0].len() + 2 * published[1].len();
    let log = daemon.process().log_lines();
    let told =
        || format!("seed {seed}: {done}: {missing} of {all} messages are missing:\n{}", log.join("\n"));
    match damage {
        Damage::Cut => assert!(is_torn, "more is missing than what was cut, {}", told()),
        Damage::Garbage => assert_eq!(missing, 0, "all of the data is there, {}", told()),
        // Zeros up to the end look like room that nobody has written to.
        Damage::Zeros if is_torn => {}
        Damage::Bits(_) | Damage::Zeros if missing > 0 => {
            let words = ["damage", "set aside", "torn", "cut"];
            let is_told = |line: &String| words.iter().any(|word| line.contains(word));
            assert!(log.iter().any(is_told), "nothing was told, {}", told());
            let stats = daemon.get("/stats");
            let is_counted = stats.text().contains("Damaged on disk: ");
            // In what was written last it may as well be what a loss of power leaves.
            let is_gap = log.iter().any(|line| line.contains("a gap in what the journal"));
            assert!(is_torn || is_counted || is_gap, "{}\n{}", stats.text(), told());
        }
        Damage::Bits(_) | Damage::Zeros => {}
    }
    if matches!(damage, Damage::Bits(FEW)) {
        assert!(missing * 100 <= all * (100 - REST_PERCENT), "{}", told());
    }
    // Whatever was damaged, new messages are as safe as ever.
    daemon.publish(TOPICS[0], body(TOPICS[0], 1_000_000));
    let daemon = daemon.kill().start_again();
    let after = drain(&daemon, &plan);
    assert!(
        after[0].arrived.contains(&1_000_000),
        "seed {seed}: {done}: a message published afterwards is lost"
    );
    assert!(after.iter().all(|consumed| consumed.wrong.is_empty()), "seed {seed}: {done}: {after:?}");
    Outcome { published: all, missing }
}

/// Publishes to each topic in batches; gives the numbers.
fn publish(daemon: &Daemon) -> [HashSet<u64>; 2] {
    let mut publisher = daemon.connect();
    let mut published = [HashSet::new(), HashSet::new()];
    for first in 0..BATCHES {
        let index = (first % 2) as usize;
        let numbers = first * BATCH..(first + 1) * BATCH;
        let bodies: Vec<_> = numbers.clone().map(|number| body(TOPICS[index], number)).collect();
        publisher.send(with_body(&format!("MPUB {}", TOPICS[index]), batch(&bodies)));
        publisher.expect_response("OK");
        published[index].extend(numbers);
    }
    published
}

/// All files in the directories below the data path, the newest last.
fn files_of_the_store(data_path: &Path) -> Vec<PathBuf> {
    fn below(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("it is a directory").flatten() {
            match entry.path() {
                path if path.is_dir() => below(&path, found),
                path => found.push(path),
            }
        }
    }
    let mut found = Vec::new();
    below(data_path, &mut found);
    found.retain(|file| file.parent() != Some(data_path) && length(file) > 0);
    found.sort_by_key(|file| {
        fs::metadata(file).and_then(|metadata| metadata.modified()).expect("it is there")
    });
    assert!(!found.is_empty(), "the store has no files in {}", data_path.display());
    found
}

/// How many bytes there are up to the last that is not zero: room that was only set aside for later is no data.
fn length(file: &Path) -> u64 {
    let bytes = fs::read(file).expect("it is there");
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// Damages the files; says how.
fn do_damage(damage: Damage, files: &[PathBuf], random: &mut Random) -> String {
    let newest = files.last().expect("there are some");
    let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path).expect("it is ours");
    match damage {
        Damage::Cut => {
            let cut = random.within(1..length(newest).min(100_000) + 1);
            open(newest).set_len(length(newest) - cut).expect("it is ours");
            format!("the last {cut} bytes of {} are gone", newest.display())
        }
        Damage::Bits(count) => {
            let lengths: Vec<u64> = files.iter().map(|file| length(file)).collect();
            for _ in 0..count {
                let index = random.index(files.len());
                let at = random.within(0..lengths[index]);
                let (file, mut byte) = (open(&files[index]), [0]);
                file.read_exact_at(&mut byte, at).expect("it is within the file");
                byte[0] ^= 1 << random.within(0..8);
                file.write_all_at(&byte, at).expect("it is within the file");
            }
            format!("{count} bits are wrong in {} files", files.len())
        }
        Damage::Zeros => {
            let path = &files[random.index(files.len())];
            let at = random.within(0..length(path));
            let count = random.within(1..65_536).min(length(path) - at);
            open(path).write_all_at(&vec![0; count as usize], at).expect("it is within the file");
            format!("{count} bytes from {at} of {} are zeros", path.display())
        }
        Damage::Garbage => {
            let bytes: Vec<u8> = (0..random.within(1..10_000)).map(|_| random.number() as u8).collect();
            open(newest).write_all_at(&bytes, length(newest)).expect("it is ours");
            format!("{} bytes are appended to {}", bytes.len(), newest.display())
        }
    }
}
