//! Bits that are other than they were written, and ends that are missing: never a wrong body, never a refused start.

use crate::store::segments::record::HEADER_BYTES;
use std::collections::BTreeMap;
use std::ops::Range;

use super::*;
use crate::store::segments;
use crate::store::simulated_disk::SimulatedDisk;
use crate::store::suite::{ONE, TWO, batch, image};

type Batches = BTreeMap<(TopicNumber, Position), StoredBatch>;

/// A disk with a journal that was killed, and what is on it.
struct Written {
    disk: SimulatedDisk,
    /// What is alive, and where: file, and bytes in it.
    alive: BTreeMap<(TopicNumber, Position), (String, Range<usize>)>,
    /// All that was ever appended.
    appended: Batches,
}

fn open(disk: &SimulatedDisk) -> Journal {
    Journal::open_on(disk.files(), SMALL).unwrap()
}

/// Writes batches in groups, and forgets some of them; with a checkpoint in between if it is asked for.
fn written(with_checkpoint: bool) -> Written {
    let disk = SimulatedDisk::new(1);
    let mut journal = open(&disk);
    let mut appended = Batches::new();
    for (topic, name) in [(ONE, "one"), (TWO, "two")] {
        journal.save(topic, &image(name)).unwrap();
    }
    for group in 0..24 {
        for topic in [ONE, TWO] {
            let batch = batch(group, 2, 300 + 90 * group as usize);
            journal.append(topic, &batch).unwrap();
            appended.insert((topic, group), batch);
            journal.sync().unwrap();
        }
        if group % 3 == 0 {
            journal.drop_batch(ONE, group).unwrap();
        }
        if group == 16 && with_checkpoint {
            journal.sync().unwrap();
            journal.checkpoint().unwrap();
        }
    }
    for first in 60..64 {
        let batch = batch(first, 1, 200);
        journal.append(ONE, &batch).unwrap();
        appended.insert((ONE, first), batch);
        journal.sync().unwrap();
    }
    let mut alive = BTreeMap::new();
    for (number, topic) in &journal.index.topics {
        for (first, place) in &topic.batches {
            let start = place.location().offset as usize;
            // The record and what it is padded with.
            let end = start + HEADER_BYTES + 8 + 1 + 3 + place.bytes as usize;
            alive.insert((*number, *first), (segments::name(place.segment), start..end));
        }
    }
    kill(journal);
    Written { disk, alive, appended }
}

impl Written {
    /// A journal on what is left after `change`, with everything that is in it.
    fn opened_after(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> (Journal, Batches) {
        let disk = self.disk.copy(2);
        disk.change(file, change);
        let mut journal = open(&disk);
        let topics = journal.load().unwrap();
        let mut found = Batches::new();
        for topic in topics {
            for summary in topic.batches {
                match journal.read(topic.number, summary.first) {
                    Ok(batch) => drop(found.insert((topic.number, summary.first), batch)),
                    Err(LogError::Damaged { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        for (key, batch) in &found {
            assert_eq!(Some(batch), self.appended.get(key), "a wrong body");
        }
        (journal, found)
    }

    fn check_flipped(&self, file: &str, bit: usize) {
        let (_, found) = self.opened_after(file, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        for (key, (segment, range)) in &self.alive {
            let hit = segment == file && range.contains(&(bit / 8));
            assert!(hit || found.contains_key(key), "{key:?} is lost by bit {bit} of {file}");
        }
    }

    fn last_segment(&self) -> String {
        self.alive[&(ONE, 63)].0.clone()
    }
}

#[test]
fn a_log_that_is_cut_anywhere_in_its_last_records_keeps_what_is_before() {
    let written = written(true);
    let file = written.last_segment();
    let start = written.alive[&(ONE, 61)].1.start;
    let end = written.alive[&(ONE, 63)].1.end;
    for cut in start..=end {
        let (journal, found) = written.opened_after(&file, |bytes| bytes.truncate(cut));
        for (key, (segment, range)) in &written.alive {
            let is_cut = *segment == file && range.end > cut;
            assert_eq!(found.contains_key(key), !is_cut, "{key:?} with {cut} bytes");
        }
        assert!(journal.damage().images == 0 && journal.damage().databases == 0);
    }
}

#[test]
fn any_bit_of_the_end_may_be_another() {
    let written = written(true);
    let file = written.last_segment();
    let end = written.alive[&(ONE, 63)].1.end;
    for bit in (end - 4096 / 8) * 8..end * 8 {
        written.check_flipped(&file, bit);
    }
}

#[test]
fn any_bit_anywhere_may_be_another() {
    for with_checkpoint in [true, false] {
        let written = written(with_checkpoint);
        let lengths = written.disk.lengths();
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..500 {
            let bits: usize = lengths.values().sum::<usize>() * 8;
            let mut bit = random.usize(0..bits);
            for (file, length) in &lengths {
                if bit < length * 8 {
                    written.check_flipped(file, bit);
                    break;
                }
                bit -= length * 8;
            }
        }
    }
}

#[test]
fn a_batch_that_is_damaged_is_counted_copied_and_gone_and_the_others_are_read() {
    let written = written(true);
    for first in [9, 20] {
        let (file, range) = written.alive[&(TWO, first)].clone();
        let (mut journal, found) = written.opened_after(&file, |bytes| bytes[range.end - 9] ^= 1);
        assert_eq!(found.len(), written.alive.len() - 1);
        assert_eq!(journal.damage(), Damage { batches: 1, ..Damage::default() });
        assert!(matches!(journal.read(TWO, first), Err(LogError::Damaged { .. })));
        let copies = journal.files.list().unwrap().into_iter().filter(|name| name.ends_with(".bad"));
        assert_eq!(copies.collect::<Vec<_>>(), [format!("{}-{}.bad", &file[..16], range.start)]);
    }
}

#[test]
fn what_is_missing_in_the_last_write_is_copied_and_no_damage() {
    let disk = SimulatedDisk::new(1);
    let mut journal = open(&disk);
    journal.save(ONE, &image("one")).unwrap();
    journal.sync().unwrap();
    for first in [10, 20, 30] {
        journal.append(ONE, &batch(first, 10, 500)).unwrap();
    }
    journal.sync().unwrap();
    let place = journal.index.batch(ONE, 20).unwrap();
    kill(journal);
    let file = segments::name(place.segment);
    disk.change(&file, |bytes| bytes[place.location().offset as usize + 100] ^= 1);
    let mut journal = open(&disk);
    let topics = journal.load().unwrap();
    assert_eq!(topics[0].batches.iter().map(|batch| batch.first).collect::<Vec<_>>(), [10, 30]);
    assert_eq!(journal.damage(), Damage::default());
    let copy = format!("{}-{}.bad", &file[..16], place.location().offset);
    assert!(journal.files.list().unwrap().contains(&copy), "{copy}");
}

#[test]
fn a_damaged_index_is_set_aside_and_everything_is_read() {
    let written = written(true);
    let (journal, found) = written.opened_after("index", |bytes| bytes[9] ^= 1);
    assert_eq!(journal.damage(), Damage { indexes: 1, ..Damage::default() });
    assert!(written.alive.keys().all(|key| found.contains_key(key)));
    assert!(journal.files.list().unwrap().contains(&"index.bad".to_owned()));
}

#[test]
fn a_topic_whose_state_is_damaged_comes_back_with_its_name_and_its_batches() {
    let written = written(true);
    let (journal, found) = written.opened_after("0000000000000001.log", |bytes| bytes[32 + 32 + 8] ^= 1);
    assert_eq!(journal.damage(), Damage { images: 1, ..Damage::default() });
    assert_eq!(found.len(), written.alive.len());
    assert_eq!(journal.known[&ONE].name.as_str(), "one");
}

#[test]
fn a_segment_that_is_missing_takes_nothing_but_itself() {
    let written = written(true);
    let file = written.alive[&(TWO, 9)].0.clone();
    written.disk.files().remove(&file).unwrap();
    let (_, found) = written.opened_after("index", |_| {});
    let kept = written.alive.iter().filter(|(_, (segment, _))| *segment != file).map(|(key, _)| key);
    assert!(kept.eq(found.keys()));
}
