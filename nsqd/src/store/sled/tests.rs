//! The log on sled where it differs from others: damage, epochs, databases that do not open.

use std::{fs, io};

use nsq::wire::name::ChannelName;
use nsqd_broker::storage::ChannelImage;
use tempfile::TempDir;

use super::database::Fault;
use super::*;
use crate::store::segments;
use crate::store::suite::{ONE, TWO, batch, image, log_suite};

mod broken;

log_suite!({
    let home = tempfile::tempdir().unwrap();
    move || Box::new(open(&home)) as Box<dyn Log>
});

fn open(home: &TempDir) -> SledLog {
    SledLog::open(&home.path().join("spill")).unwrap()
}

/// The names in the log's directory that `matches` holds for.
fn files(home: &TempDir, matches: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = fs::read_dir(home.path().join("spill")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| matches(name)).collect();
    names.sort();
    names
}

fn is_bad(name: &str) -> bool {
    name.ends_with(".bad")
}

fn is_epoch(name: &str) -> bool {
    name.starts_with("epoch-")
}

/// A log with topic ONE, named `t`, and batches of 40,000 bytes at 0 to 3.
fn log_with_batches(home: &TempDir) -> SledLog {
    let mut log = open(home);
    log.load().unwrap();
    let channels = vec![ChannelImage {
        name: ChannelName::parse("c").unwrap(),
        paused: false,
        cursor: 2,
        finished_below: 2,
        finished: vec![],
        unfinished: vec![],
    }];
    log.save(ONE, &TopicImage { end: 4, released: 4, last_id: 77, channels, ..image("t") }).unwrap();
    for first in 0..4 {
        log.append(ONE, &batch(first, 1, 40_000)).unwrap();
    }
    log.sync().unwrap();
    log
}

/// Changes one byte in the middle of a value.
fn damage(tree: &sled::Tree, key: &[u8]) -> Result<(), Fault> {
    let mut value = tree.get(key)?.unwrap().to_vec();
    let middle = value.len() / 2;
    value[middle] ^= 1;
    tree.insert(key, value)?;
    Ok(())
}

/// Changes one byte in the middle of a batch's records.
fn damage_batch(home: &TempDir, log: &mut SledLog, first: Position) {
    let entry = log.keeper.read(|database| database.entry(ONE, first)).unwrap().unwrap().unwrap();
    let file = home.path().join("spill/bodies").join(segments::name(entry.location.segment));
    let mut bytes = fs::read(&file).unwrap();
    bytes[entry.location.offset as usize + 20_000] ^= 1;
    fs::write(&file, bytes).unwrap();
}

fn assert_lost(log: &mut SledLog, first: Position) {
    assert!(matches!(log.read(ONE, first), Err(LogError::Damaged { topic: ONE, first: f }) if f == first));
}

fn assert_whole(log: &mut SledLog, firsts: &[Position]) {
    for &first in firsts {
        assert_eq!(log.read(ONE, first).unwrap(), batch(first, 1, 40_000));
    }
}

#[test]
fn a_damaged_batch_is_set_aside_and_the_others_are_delivered() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    damage_batch(&home, &mut log, 1);
    drop(log);
    let mut log = open(&home);
    assert_eq!(log.load().unwrap()[0].batches.len(), 4);
    assert_lost(&mut log, 1);
    assert_whole(&mut log, &[0, 2, 3]);
    assert_eq!(log.damage(), Damage { batches: 1, ..Damage::default() });
    assert_eq!(files(&home, is_bad), ["batch-1-1.bad"]);
    // The position and the name are before the messages.
    assert_eq!(fs::metadata(home.path().join("spill/batch-1-1.bad")).unwrap().len(), 8 + 2 + 40_000);
    log.sync().unwrap();
    drop(log);
    assert_eq!(open(&home).load().unwrap()[0].batches.len(), 3);
}

#[test]
fn batches_whose_file_is_gone_are_lost_and_the_others_are_delivered() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    drop(log);
    log = open(&home);
    log.load().unwrap();
    log.append(ONE, &batch(4, 1, 40_000)).unwrap();
    log.sync().unwrap();
    drop(log);
    fs::remove_file(home.path().join("spill/bodies").join(segments::name(0))).unwrap();
    let mut log = open(&home);
    assert_eq!(log.load().unwrap()[0].batches.len(), 5);
    assert_lost(&mut log, 3);
    assert_whole(&mut log, &[4]);
    assert_eq!(log.damage().batches, 1);
}

#[test]
fn a_damaged_entry_is_made_anew_from_what_stands_beside_the_records() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    log.append(ONE, &batch(0, 1, 40_000)).unwrap();
    log.keeper.read(|database| damage(&database.batches, &record::batch_key(ONE, 0))).unwrap();
    drop(log);
    let mut log = open(&home);
    assert_eq!(log.load().unwrap()[0].batches.len(), 4);
    assert_whole(&mut log, &[0, 1, 2, 3]);
    assert_eq!((log.damage(), files(&home, is_bad).len()), (Damage::default(), 0));
}

#[test]
fn a_batch_whose_entry_and_records_are_damaged_is_set_aside_when_the_log_is_loaded() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    damage_batch(&home, &mut log, 0);
    log.keeper.read(|database| damage(&database.batches, &record::batch_key(ONE, 0))).unwrap();
    drop(log);
    let mut log = open(&home);
    let firsts: Vec<_> = log.load().unwrap()[0].batches.iter().map(|batch| batch.first).collect();
    assert_eq!(firsts, [1, 2, 3]);
    assert_whole(&mut log, &firsts);
    assert_eq!((log.damage().batches, files(&home, is_bad)), (1, vec!["batch-1-0.bad".to_owned()]));
}

#[test]
fn a_topic_whose_state_is_damaged_comes_back_with_its_batches() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    log.keeper.read(|database| damage(&database.topics, &record::chunk_key(ONE, 0))).unwrap();
    drop(log);
    let mut log = open(&home);
    let topics = log.load().unwrap();
    assert_eq!(topics[0].image, TopicImage { end: 4, released: 0, last_id: 77, ..image("t") });
    assert_eq!(topics[0].batches.len(), 4);
    assert_eq!(log.damage(), Damage { images: 1, ..Damage::default() });
}

#[test]
fn the_batches_of_a_topic_whose_name_is_lost_are_set_aside() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    log.save(TWO, &image("other")).unwrap();
    log.keeper.read(|database| damage(&database.topics, &record::chunk_key(ONE, 0))).unwrap();
    log.keeper.read(|database| damage(&database.topics, &record::topic_key(ONE))).unwrap();
    drop(log);
    let mut log = open(&home);
    let topics = log.load().unwrap();
    assert_eq!((topics.len(), topics[0].number), (1, TWO));
    assert_eq!(log.damage(), Damage { batches: 4, images: 1, ..Damage::default() });
    assert_eq!(files(&home, is_bad).len(), 4);
}

#[test]
fn after_a_failed_write_the_sync_tells_and_the_next_writes_work() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    log.append(ONE, &batch(4, 1, 40_000)).unwrap();
    let full = io::Error::other("full");
    log.keeper.write::<()>(|_| Err(Fault::Disk(full))).unwrap_err();
    assert_whole(&mut log, &[0, 1]);
    log.append(ONE, &batch(5, 1, 40_000)).unwrap();
    assert!(log.sync().is_err(), "the batch at 4 may be lost");
    log.append(ONE, &batch(4, 1, 40_000)).unwrap();
    log.append(ONE, &batch(5, 1, 40_000)).unwrap();
    log.sync().unwrap();
    assert_whole(&mut log, &[0, 1, 2, 3, 4, 5]);
}

/// Does what is due until nothing is.
fn give_back(log: &mut SledLog) {
    while log.due().is_some() {
        log.handle_due().unwrap();
    }
}

fn bytes_below(path: &Path) -> u64 {
    if path.is_file() {
        return fs::metadata(path).unwrap().len();
    }
    fs::read_dir(path).unwrap().map(|entry| bytes_below(&entry.unwrap().path())).sum()
}

#[test]
fn a_database_that_is_mostly_dead_is_left_and_what_lives_is_carried_over() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    log.keeper.epoch_bytes_min = 1 << 20;
    for first in 1000..10_000 {
        log.append(ONE, &batch(first, 1, 1)).unwrap();
    }
    log.sync().unwrap();
    for first in 1000..10_000 {
        log.drop_batch(ONE, first).unwrap();
    }
    log.sync().unwrap();
    assert_eq!(files(&home, is_epoch), ["epoch-1"]);
    let bytes = bytes_below(&log.keeper.epochs.path(1));
    assert!(bytes < 2_000_000, "{bytes} bytes are left");
    assert_whole(&mut log, &[0, 1, 2, 3]);
    drop(log);
    let mut log = open(&home);
    let topics = log.load().unwrap();
    assert_eq!((topics[0].image.last_id, topics[0].batches.len(), log.keeper.entries), (77, 4, 4));
    assert_whole(&mut log, &[0, 1, 2, 3]);
}

#[test]
fn the_room_of_what_is_finished_is_given_back_and_what_lives_stays() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    let bodies = home.path().join("spill/bodies");
    for first in 4..5000 {
        log.append(ONE, &batch(first, 1, 40_000)).unwrap();
    }
    log.sync().unwrap();
    assert!(bytes_below(&bodies) > 200_000_000);
    let lives = |first: Position| first.is_multiple_of(100);
    for first in (0..5000).filter(|first| !lives(*first)) {
        log.drop_batch(ONE, first).unwrap();
    }
    log.sync().unwrap();
    give_back(&mut log);
    let bytes = bytes_below(&bodies);
    assert!(bytes < 40_000_000, "{bytes} bytes for 2,000,000 that live");
    let alive: Vec<_> = (0..5000).filter(|first| lives(*first)).collect();
    assert_whole(&mut log, &alive);
    // Nothing was synced since, so this is what a crash would leave.
    let copy = tempfile::tempdir().unwrap();
    copy_directory(&home.path().join("spill"), &copy.path().join("spill"));
    let mut crashed = open(&copy);
    assert_eq!(crashed.load().unwrap()[0].batches.len(), 50);
    assert_whole(&mut crashed, &alive);
    for first in alive {
        log.drop_batch(ONE, first).unwrap();
    }
    log.sync().unwrap();
    give_back(&mut log);
    assert_eq!(bytes_below(&bodies), 0);
    assert_eq!(log.damage(), Damage::default());
    drop(log);
    assert_eq!(open(&home).load().unwrap()[0].batches, []);
}

#[test]
fn what_a_crash_left_in_the_files_of_batches_is_given_back() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    for first in 4..1000 {
        log.append(ONE, &batch(first, 1, 40_000)).unwrap();
    }
    log.sync().unwrap();
    for first in 0..900 {
        log.drop_batch(ONE, first).unwrap();
    }
    // The removals are known, and the files were not deleted before the end.
    log.sync().unwrap();
    drop(log);
    let mut log = open(&home);
    log.load().unwrap();
    log.drop_batch(ONE, 900).unwrap();
    log.sync().unwrap();
    give_back(&mut log);
    let bytes = bytes_below(&home.path().join("spill/bodies"));
    assert!(bytes < 10_000_000, "{bytes} bytes");
    assert_whole(&mut log, &(901..1000).collect::<Vec<_>>());
}

#[test]
fn a_crash_before_an_epoch_is_complete_leaves_the_old_one_in_use() {
    let home = tempfile::tempdir().unwrap();
    let log = log_with_batches(&home);
    let fresh = Database::create(&log.keeper.epochs.path(1)).unwrap();
    fresh.save([(ONE, &image("t"))]).unwrap();
    fresh.close();
    drop(log);
    let mut log = open(&home);
    assert_eq!(
        (log.load().unwrap()[0].batches.len(), files(&home, is_epoch)),
        (4, vec!["epoch-0".to_owned()])
    );
    assert_whole(&mut log, &[0, 1, 2, 3]);
}

#[test]
fn a_crash_before_the_old_epoch_is_removed_leaves_the_new_one_in_use() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    log.keeper.prepare(1).unwrap().0.close();
    drop(log);
    let mut log = open(&home);
    assert_eq!(
        (log.load().unwrap()[0].batches.len(), files(&home, is_epoch)),
        (4, vec!["epoch-1".to_owned()])
    );
    assert_whole(&mut log, &[0, 1, 2, 3]);
}

#[test]
fn a_database_that_cannot_be_read_is_left_with_what_can() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    damage_batch(&home, &mut log, 2);
    log.keeper.read(|database| damage(&database.batches, &record::batch_key(ONE, 2))).unwrap();
    log.keeper.read(|database| damage(&database.batches, &record::batch_key(ONE, 3))).unwrap();
    log.keeper.write::<()>(|_| Err(Fault::Corrupt("rotten".to_owned()))).unwrap_err();
    assert_eq!(log.damage(), Damage { batches: 1, ..Damage::default() });
    assert_lost(&mut log, 2);
    assert_whole(&mut log, &[0, 1, 3]);
    log.append(ONE, &batch(4, 1, 40_000)).unwrap();
    log.sync().unwrap();
    drop(log);
    let mut log = open(&home);
    assert_eq!((log.load().unwrap()[0].batches.len(), log.damage()), (4, Damage::default()));
    assert_eq!((files(&home, is_bad)[0].as_str(), files(&home, is_bad).len()), ("batch-1-2.bad", 2));
    assert_eq!(log.keeper.entries, 4);
    assert_whole(&mut log, &[0, 1, 3, 4]);
}

#[test]
fn batches_that_cannot_be_carried_over_are_set_aside_whole() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    log.save(TWO, &image("other")).unwrap();
    log.append(TWO, &batch(7, 1, 1000)).unwrap();
    log.keeper.read(|database| damage(&database.topics, &record::chunk_key(ONE, 0))).unwrap();
    log.keeper.read(|database| damage(&database.topics, &record::topic_key(ONE))).unwrap();
    log.keeper.read(|database| database.remove_topic(TWO)).unwrap();
    log.keeper.write::<()>(|_| Err(Fault::Corrupt("rotten".to_owned()))).unwrap_err();
    assert_eq!(log.damage(), Damage { batches: 5, images: 2, ..Damage::default() });
    for (name, bytes) in [("batch-1-0.bad", 40_000), ("batch-1-3.bad", 40_000), ("batch-2-7.bad", 1000)] {
        let aside = fs::read(home.path().join("spill").join(name)).unwrap();
        assert_eq!(aside.len(), bytes, "{name}");
    }
    assert_eq!(log.load().unwrap(), []);
}

#[test]
fn entries_that_are_damaged_while_the_log_is_open_are_made_anew() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, _saved) = started_log(&home);
    let damage_entry = |log: &mut SledLog, first| {
        log.keeper.read(|database| damage(&database.batches, &record::batch_key(ONE, first))).unwrap();
    };
    damage_entry(&mut log, 1);
    assert_whole(&mut log, &[0, 1, 2, 3]);
    // The others are counted when room is given back; this one is found then.
    damage_entry(&mut log, 2);
    log.drop_batch(ONE, 0).unwrap();
    log.sync().unwrap();
    give_back(&mut log);
    assert_whole(&mut log, &[1, 2, 3]);
    assert_eq!((log.damage(), log.keeper.entries), (Damage::default(), 3));
}

#[test]
fn the_disk_takes_messages_again_only_when_it_takes_their_files() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    log.probe().unwrap();
    log.append(ONE, &batch(4, 1, 40_000)).unwrap();
    log.sync().unwrap();
    drop(log);
    let mut log = open(&home);
    log.load().unwrap();
    assert_whole(&mut log, &[0, 1, 2, 3, 4]);
    let bodies = home.path().join("spill/bodies");
    fs::rename(&bodies, home.path().join("away")).unwrap();
    fs::write(&bodies, "").unwrap();
    assert!(log.probe().is_err());
    fs::remove_file(&bodies).unwrap();
    fs::rename(home.path().join("away"), &bodies).unwrap();
    log.probe().unwrap();
}

/// What a failed flush does: what was written since the last sync is not there when the database is opened again.
fn lose_since(log: &mut SledLog, saved: &TempDir) {
    log.keeper.write::<()>(|_| Err(Fault::Disk(io::Error::other("full")))).unwrap_err();
    put_back(log, saved);
}

/// The database is again as it was when the copy was made.
fn put_back(log: &mut SledLog, saved: &TempDir) {
    log.keeper.close();
    let path = log.keeper.epochs.path(log.keeper.epoch);
    fs::remove_dir_all(&path).unwrap();
    copy_directory(&saved.path().join("epoch"), &path);
}

/// A log as [`log_with_batches`] makes it, started anew, and a copy of its database.
fn started_log(home: &TempDir) -> (SledLog, TempDir) {
    drop(log_with_batches(home));
    let mut log = open(home);
    log.load().unwrap();
    log.sync().unwrap();
    let saved = tempfile::tempdir().unwrap();
    copy_directory(&log.keeper.epochs.path(0), &saved.path().join("epoch"));
    (log, saved)
}

#[test]
fn removals_that_were_lost_and_are_done_again_count_once() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, saved) = started_log(&home);
    log.drop_batch(ONE, 0).unwrap();
    log.drop_batch(ONE, 1).unwrap();
    lose_since(&mut log, &saved);
    assert!(log.sync().is_err());
    log.drop_batch(ONE, 0).unwrap();
    log.drop_batch(ONE, 1).unwrap();
    log.sync().unwrap();
    give_back(&mut log);
    assert_whole(&mut log, &[2, 3]);
}

#[test]
fn removals_before_a_sync_that_failed_count_once_when_they_are_done_again() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, saved) = started_log(&home);
    log.drop_batch(ONE, 0).unwrap();
    log.drop_batch(ONE, 1).unwrap();
    // Neither can the database be written nor is there room to open it again.
    let no_room = home.path().join("spill/room.tmp");
    fs::create_dir(&no_room).unwrap();
    log.keeper.write::<()>(|_| Err(Fault::Disk(io::Error::other("full")))).unwrap_err();
    assert!(log.sync().is_err());
    fs::remove_dir(&no_room).unwrap();
    put_back(&mut log, &saved);
    log.drop_batch(ONE, 0).unwrap();
    log.drop_batch(ONE, 1).unwrap();
    // Without it a new epoch is begun, and everything counted anew.
    log.keeper.reserve.hold().unwrap();
    log.sync().unwrap();
    give_back(&mut log);
    assert_whole(&mut log, &[2, 3]);
}

#[test]
fn a_file_that_cannot_be_read_keeps_a_damaged_entry_and_not_the_store_from_working() {
    let home = tempfile::tempdir().unwrap();
    drop(log_with_batches(&home));
    let mut log = open(&home);
    log.load().unwrap();
    log.append(ONE, &batch(4, 1, 40_000)).unwrap();
    log.append(ONE, &batch(5, 1, 40_000)).unwrap();
    log.sync().unwrap();
    let file = home.path().join("spill/bodies").join(segments::name(0));
    log.keeper.bodies.forget_open_files();
    fs::rename(&file, home.path().join("away")).unwrap();
    fs::create_dir(&file).unwrap();
    log.keeper.read(|database| damage(&database.batches, &record::batch_key(ONE, 1))).unwrap();
    log.drop_batch(ONE, 1).unwrap();
    log.append(ONE, &batch(1, 1, 40_000)).unwrap();
    log.keeper.read(|database| damage(&database.batches, &record::batch_key(ONE, 2))).unwrap();
    log.sync().unwrap();
    assert!(matches!(log.read(ONE, 2), Err(LogError::Io(_))), "it may be there");
    assert_whole(&mut log, &[1, 4, 5]);
    fs::remove_dir(&file).unwrap();
    fs::rename(home.path().join("away"), &file).unwrap();
    assert_whole(&mut log, &[0, 1, 2, 3, 4, 5]);
    assert_eq!(log.damage(), Damage::default());
}

#[test]
fn what_was_moved_and_lost_is_still_where_it_was() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, saved) = started_log(&home);
    log.move_what_lives(0, &mut Moved::default()).unwrap();
    lose_since(&mut log, &saved);
    assert!(log.sync().is_err());
    log.drop_batch(ONE, 0).unwrap();
    log.sync().unwrap();
    give_back(&mut log);
    assert_whole(&mut log, &[1, 2, 3]);
}

#[test]
fn a_file_that_cannot_be_read_does_not_keep_others_from_being_given_back() {
    let home = tempfile::tempdir().unwrap();
    for part in 0..3 {
        let mut log = open(&home);
        log.load().unwrap();
        log.save(ONE, &image("t")).unwrap();
        for first in part * 100..part * 100 + 100 {
            log.append(ONE, &batch(first, 1, 40_000)).unwrap();
        }
        log.sync().unwrap();
    }
    let bodies = home.path().join("spill/bodies");
    let mut log = open(&home);
    log.load().unwrap();
    log.keeper.bodies.forget_open_files();
    fs::remove_file(bodies.join(segments::name(0))).unwrap();
    fs::create_dir(bodies.join(segments::name(0))).unwrap();
    for first in (0..300).filter(|first: &Position| !first.is_multiple_of(100)) {
        log.drop_batch(ONE, first).unwrap();
    }
    log.sync().unwrap();
    give_back(&mut log);
    assert!(!bodies.join(segments::name(1)).exists() && !bodies.join(segments::name(2)).exists());
    assert_whole(&mut log, &[100, 200]);
}

#[test]
fn a_crash_while_a_database_is_set_aside_leaves_it_its_batches() {
    let home = tempfile::tempdir().unwrap();
    drop(log_with_batches(&home));
    let spill = home.path().join("spill");
    fs::rename(spill.join("bodies"), spill.join("epoch-0/bodies")).unwrap();
    let mut log = open(&home);
    assert_eq!(log.load().unwrap()[0].batches.len(), 4);
    assert_whole(&mut log, &[0, 1, 2, 3]);
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_directory(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
