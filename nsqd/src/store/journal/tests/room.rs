//! That room is given back, that a start need not read everything, and what is written when.

use super::*;
use crate::store::simulated_disk::SimulatedDisk;
use crate::store::suite::{ONE, TWO, batch, image};

fn keep_up(journal: &mut Journal) {
    while journal.has_work() {
        journal.handle_due().unwrap();
    }
}

fn bytes(disk: &SimulatedDisk) -> usize {
    disk.lengths().values().sum()
}

/// A journal with batches of 1,000 bytes.
fn filled(disk: &SimulatedDisk, batches: u64) -> Journal {
    let mut journal = Journal::open_on(disk.files(), SMALL).unwrap();
    for (topic, name) in [(ONE, "one"), (TWO, "two")] {
        journal.save(topic, &image(name)).unwrap();
    }
    for first in 0..batches {
        journal.append(ONE, &batch(first, 1, 1_000)).unwrap();
        if first % 10 == 0 {
            journal.sync().unwrap();
            keep_up(&mut journal);
        }
    }
    journal.sync().unwrap();
    journal
}

#[test]
fn what_is_finished_gives_its_room_back_and_the_survivors_are_carried_forward() {
    let disk = SimulatedDisk::new(1);
    let mut journal = filled(&disk, 2_000);
    assert!(bytes(&disk) > 2_000_000);
    for first in 0..2_000 {
        if first % 50 != 0 {
            journal.drop_batch(ONE, first).unwrap();
        }
        journal.sync().unwrap();
        keep_up(&mut journal);
    }
    // 40,000 bytes live.
    assert!(bytes(&disk) < 250_000, "{:?}", disk.lengths());
    kill(journal);
    let mut journal = Journal::open_on(disk.files(), SMALL).unwrap();
    let topics = journal.load().unwrap();
    assert_eq!((topics.len(), topics[0].batches.len()), (2, 40));
    for first in (0..2_000).step_by(50) {
        assert_eq!(journal.read(ONE, first).unwrap(), batch(first, 1, 1_000));
    }
    assert_eq!(journal.damage(), Damage::default());
}

#[test]
fn what_is_forgotten_stays_so_though_the_giving_back_of_room_is_cut_off() {
    let mut operations = u64::MAX;
    for operation in 0..=100 {
        let disk = SimulatedDisk::new(operation);
        let mut journal = filled(&disk, 0);
        let mut group = |appended: &[(Position, usize)], dropped: &[Position]| {
            for (first, bytes) in appended {
                journal.append(ONE, &batch(*first, 1, *bytes)).unwrap();
            }
            dropped.iter().for_each(|first| journal.drop_batch(ONE, *first).unwrap());
            journal.sync().unwrap();
        };
        // That 2 is forgotten stands in the second segment, in which nothing lives; 1 and 2 are in the first.
        group(&[(1, 100), (2, 100), (3, 40_000)], &[]);
        group(&[(4, 40_000)], &[]);
        group(&[], &[2]);
        group(&[(5, 40_000)], &[]);
        group(&[], &[3, 4]);
        let (begun, second) = (disk.operations(), "0000000000000002.log");
        assert!(disk.lengths().contains_key(second));
        disk.copy_before(operation);
        journal.checkpoint().unwrap();
        assert!(!disk.lengths().contains_key(second));
        operations = disk.operations() - begun;
        kill(journal);
        let killed = disk.take_copy(operation);
        let cut_off = killed.copy(operation);
        cut_off.lose_power();
        for disk in [killed, cut_off] {
            let topics = Journal::open_on(disk.files(), SMALL).unwrap().load().unwrap();
            let firsts: Vec<_> = topics[0].batches.iter().map(|batch| batch.first).collect();
            assert_eq!(firsts, [1, 5], "before operation {operation}");
        }
        if operation == operations {
            return;
        }
    }
    panic!("{operations} operations are too many");
}

#[test]
fn progress_without_end_takes_no_room_without_end() {
    let disk = SimulatedDisk::new(1);
    let mut journal = filled(&disk, 1);
    for step in 0..10_000 {
        journal.advance(ONE, &Progress { end: step, last_id: step, ..Progress::default() }).unwrap();
        journal.sync().unwrap();
        keep_up(&mut journal);
        assert!(journal.index.topics[&ONE].progress.len() < 100);
    }
    assert!(bytes(&disk) < 250_000, "{:?}", disk.lengths());
    drop(journal);
    let topics = Journal::open_on(disk.files(), SMALL).unwrap().load().unwrap();
    assert_eq!((topics[0].image.end, topics[0].image.last_id), (9_999, 9_999));
}

#[test]
fn many_starts_leave_few_segments() {
    let disk = SimulatedDisk::new(1);
    drop(filled(&disk, 1));
    for first in 1..100 {
        let mut journal = Journal::open_on(disk.files(), SMALL).unwrap();
        assert_eq!(journal.load().unwrap()[0].batches.len() as u64, first);
        journal.append(ONE, &batch(first, 1, 10)).unwrap();
        journal.sync().unwrap();
        keep_up(&mut journal);
    }
    assert!(disk.lengths().len() < 30, "{:?}", disk.lengths());
}

#[test]
fn a_start_without_writes_leaves_no_new_segment() {
    let disk = SimulatedDisk::new(1);
    drop(filled(&disk, 20));
    let before = disk.lengths();
    for _ in 0..3 {
        drop(Journal::open_on(disk.files(), SMALL).unwrap());
    }
    assert_eq!(disk.lengths(), before);
}

#[test]
fn numbers_of_segments_are_not_used_again() {
    let disk = SimulatedDisk::new(1);
    let mut journal = filled(&disk, 200);
    let last = journal.writer.current();
    journal.delete(ONE).unwrap();
    journal.delete(TWO).unwrap();
    journal.sync().unwrap();
    drop(journal);
    let mut journal = Journal::open_on(disk.files(), SMALL).unwrap();
    journal.checkpoint().unwrap();
    assert!(disk.lengths().keys().all(|name| !name.ends_with(".log")), "{:?}", disk.lengths());
    drop(journal);
    assert!(filled(&disk, 1).writer.current() > last);
}

#[test]
fn the_level_os_is_put_on_the_disk_after_so_many_messages_or_so_much_time() {
    let settings = JournalSettings { default_durability: Durability::Os, sync_every: 10, ..SMALL };
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open_on(disk.files(), settings).unwrap();
    journal.save(ONE, &image("one")).unwrap();
    for first in 0..9 {
        journal.append(ONE, &batch(first, 1, 10)).unwrap();
        journal.sync().unwrap();
    }
    let due = journal.due().unwrap();
    assert!(due > Instant::now() && due < Instant::now() + settings.sync_timeout);
    journal.append(ONE, &batch(9, 1, 10)).unwrap();
    journal.sync().unwrap();
    assert_eq!(journal.due(), None);

    journal.settings.sync_timeout = Duration::ZERO;
    journal.append(ONE, &batch(10, 1, 10)).unwrap();
    journal.sync().unwrap();
    assert!(journal.due().unwrap() <= Instant::now());
    journal.handle_due().unwrap();
    assert_eq!(journal.due(), None);
    kill(journal);
    disk.lose_power();
    let topics = Journal::open_on(disk.files(), settings).unwrap().load().unwrap();
    assert_eq!(topics[0].batches.len(), 11);
}

#[test]
fn what_waits_for_no_disk_is_forgotten_without_one() {
    let disk = SimulatedDisk::new(1);
    let mut journal = filled(&disk, 1);
    let before = disk.operations();
    journal.drop_batch(ONE, 0).unwrap();
    journal.sync().unwrap();
    assert_eq!(disk.operations(), before + 1);
}
