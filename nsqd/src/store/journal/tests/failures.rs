//! Operations of the disk that fail: nothing is acknowledged that is not there, and everything goes on afterwards.

use std::collections::BTreeMap;

use super::*;
use crate::store::simulated_disk::SimulatedDisk;
use crate::store::suite::{ONE, TWO, batch, image};

/// Asks for everything again until it is done, as topics and the worker do.
struct Owner {
    disk: SimulatedDisk,
    journal: Option<Journal>,
    /// What was acknowledged.
    kept: BTreeMap<(TopicNumber, Position), StoredBatch>,
    failures: u32,
}

impl Owner {
    fn perform(&mut self, mut operation: impl FnMut(&mut Journal) -> Result<(), LogError>) {
        for _ in 0..100 {
            let journal = match &mut self.journal {
                Some(journal) => Ok(journal),
                none => Journal::open_on(self.disk.files(), SMALL).map(|opened| none.insert(opened)),
            };
            match journal.and_then(&mut operation) {
                Ok(()) => return,
                Err(LogError::Io(_)) => self.failures += 1,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("it goes on failing");
    }

    fn group(&mut self, mut requests: impl FnMut(&mut Journal) -> Result<(), LogError>) {
        self.perform(|journal| {
            let outcome = requests(journal);
            journal.sync().and(outcome)
        });
    }

    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) {
        self.group(|journal| journal.append(topic, batch));
        self.kept.insert((topic, batch.first), batch.clone());
    }

    fn check(&mut self) {
        let kept = self.kept.clone();
        self.perform(|journal| {
            let found = journal.load()?.into_iter().flat_map(|topic| {
                topic.batches.into_iter().map(move |summary| (topic.number, summary.first))
            });
            let found: Vec<_> = found.collect();
            assert!(found.iter().eq(kept.keys()), "{found:?}");
            for ((topic, first), batch) in &kept {
                assert_eq!(&journal.read(*topic, *first)?, batch);
            }
            Ok(())
        });
    }
}

/// Everything that a journal does, with one operation of the disk failing, or several in a row.
fn live(fails: std::ops::Range<u64>, kind: io::ErrorKind) -> (u64, u32) {
    let disk = SimulatedDisk::new(fails.start);
    disk.fail(fails, kind);
    let mut owner = Owner { disk: disk.clone(), journal: None, kept: BTreeMap::new(), failures: 0 };
    let os = TopicImage { durability: Some(Durability::Os), ..image("two") };
    owner.group(|journal| journal.load().and_then(|_| journal.save(ONE, &image("one"))));
    owner.group(|journal| journal.save(TWO, &os));
    for first in 0..12 {
        owner.append(TWO, &batch(first, 1, 6_000));
        owner.append(ONE, &batch(first, 1, 4_000));
        owner.append(TWO, &batch(first + 100, 1, 200));
        if first % 4 != 0 {
            owner.group(|journal| {
                journal.drop_batch(TWO, first).and_then(|()| journal.drop_batch(ONE, first))
            });
            owner.kept.remove(&(TWO, first));
            owner.kept.remove(&(ONE, first));
        }
        owner.perform(Journal::handle_due);
    }
    owner.perform(Journal::checkpoint);
    owner.check();
    // The owner is killed, then the power is lost.
    owner.journal.take().into_iter().for_each(kill);
    owner.check();
    owner.append(ONE, &batch(1000, 1, 100));
    owner.journal.take().into_iter().for_each(kill);
    let (operations, failures) = (disk.operations(), owner.failures);
    disk.lose_power();
    owner.check();
    assert_eq!(owner.journal.unwrap().damage(), Damage::default());
    (operations, failures)
}

#[test]
fn whichever_operation_fails_nothing_acknowledged_is_lost() {
    let (operations, _) = live(0..0, io::ErrorKind::Other);
    let mut failed = 0;
    for operation in 0..operations {
        for (many, kind) in
            [(1, io::ErrorKind::Other), (3, io::ErrorKind::Other), (2, io::ErrorKind::StorageFull)]
        {
            let (_, failures) = live(operation..operation + many, kind);
            failed += u64::from(failures > 0);
        }
    }
    // Some fail unnoticed: the cutting of a segment to its length, the reserve that is asked for again.
    assert!(failed > operations * 2, "{failed} of {operations}");
}

#[test]
fn a_disk_that_it_has_filled_itself_drains_and_takes_writes_again() {
    let disk = SimulatedDisk::new(1);
    disk.set_capacity(1_000_000);
    let settings = JournalSettings { reserve_bytes: 100_000, ..SMALL };
    let mut journal = Journal::open_on(disk.files(), settings).unwrap();
    journal.save(ONE, &image("one")).unwrap();
    journal.sync().unwrap();
    for round in 0..5 {
        let mut kept = Vec::new();
        let full = loop {
            let batch = batch(round * 1000 + kept.len() as u64, 1, 10_000);
            match journal.append(ONE, &batch).and(journal.sync()) {
                Ok(()) => kept.push(batch),
                Err(error) => break error,
            }
        };
        assert!(matches!(&full, LogError::Io(error) if error.kind() == io::ErrorKind::StorageFull), "{full}");
        assert!(kept.len() > 60, "{} in round {round}", kept.len());
        for batch in kept {
            assert_eq!(journal.read(ONE, batch.first).unwrap(), batch);
            journal.drop_batch(ONE, batch.first).unwrap();
            journal.sync().unwrap();
            while journal.has_work() {
                journal.handle_due().unwrap();
            }
        }
    }
}

#[test]
fn after_a_failed_sync_the_segment_is_not_written_again() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open_on(disk.files(), SMALL).unwrap();
    journal.save(ONE, &image("one")).unwrap();
    journal.append(ONE, &batch(1, 1, 100)).unwrap();
    journal.sync().unwrap();
    journal.append(ONE, &batch(2, 1, 100)).unwrap();
    // The write, then the sync; the reserve is held already.
    disk.fail(1..2, io::ErrorKind::Other);
    assert!(journal.sync().is_err());
    assert!(matches!(journal.read(ONE, 2), Err(LogError::Damaged { .. })));
    let length = disk.lengths()["0000000000000001.log"];
    journal.append(ONE, &batch(3, 1, 100)).unwrap();
    journal.sync().unwrap();
    assert_eq!(disk.lengths()["0000000000000001.log"], length);
    assert!(disk.lengths().contains_key("0000000000000002.log"));
    kill(journal);
    let mut journal = Journal::open_on(disk.files(), SMALL).unwrap();
    let firsts: Vec<_> = journal.load().unwrap()[0].batches.iter().map(|batch| batch.first).collect();
    assert_eq!(firsts, [1, 3]);
}

#[test]
fn an_error_while_reading_condemns_nothing() {
    let disk = SimulatedDisk::new(1);
    let mut journal = Journal::open_on(disk.files(), SMALL).unwrap();
    journal.save(ONE, &image("one")).unwrap();
    journal.append(ONE, &batch(1, 1, 100)).unwrap();
    journal.sync().unwrap();
    disk.fail(0..1, io::ErrorKind::Other);
    assert!(matches!(journal.read(ONE, 1), Err(LogError::Io(_))));
    assert_eq!(journal.read(ONE, 1).unwrap(), batch(1, 1, 100));
    assert_eq!(journal.damage(), Damage::default());
}
