//! What every [`Log`] must do. Each test gets a function that opens the log; it is called again to see what
//! is there after the owner is gone.

use bytes::Bytes;
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::{
    BatchSummary, ChannelImage, ChannelProgress, Durability, Position, Progress, StoredBatch, TopicImage,
    Unfinished, WaitingDelay,
};

use super::{Log, LogError, TopicNumber};

/// Makes one test of each function below, run on the log that the given expression opens.
macro_rules! log_suite {
    ($open:expr) => {
        log_suite!($open;
            a_new_log_is_empty
            a_batch_comes_back_as_it_was
            big_batches_come_back_as_they_were
            an_appended_batch_replaces_the_one_at_its_place
            a_dropped_batch_is_gone_and_the_others_stay
            dropping_what_is_not_there_is_no_error
            batches_are_listed_in_the_order_of_their_positions
            topics_are_kept_apart
            the_state_saved_last_is_found
            a_large_state_comes_back_as_it_was
            a_smaller_state_replaces_a_larger_one
            states_that_are_saved_together_all_come_back
            progress_comes_back_worked_into_the_state
            a_state_replaces_the_progress_before_it
            a_deleted_topic_is_gone_with_everything
            many_topics_come_back_sorted_by_number
        );
    };
    ($open:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::store::suite::$name(&mut $open);
            }
        )*
    };
}
pub(super) use log_suite;

type Open<'a> = &'a mut dyn FnMut() -> Box<dyn Log>;

pub(super) const ONE: TopicNumber = TopicNumber(1);
pub(super) const TWO: TopicNumber = TopicNumber(2);

/// A batch of `bytes` bytes that differ from place to place and from batch to batch.
pub(super) fn batch(first: Position, count: u32, bytes: usize) -> StoredBatch {
    let mut random = fastrand::Rng::with_seed(first.wrapping_mul(31) + bytes as u64);
    let mut records = vec![0; bytes];
    random.fill(&mut records);
    StoredBatch { first, count, aside: first % 2 == 1, records: Bytes::from(records) }
}

pub(super) fn image(name: &str) -> TopicImage {
    TopicImage {
        name: TopicName::parse(name).unwrap(),
        durability: None,
        paused: false,
        end: 0,
        released: 0,
        last_id: 0,
        waiting: Vec::new(),
        channels: Vec::new(),
    }
}

fn summary(batch: &StoredBatch) -> BatchSummary {
    BatchSummary {
        first: batch.first,
        count: batch.count,
        aside: batch.aside,
        bytes: batch.records.len() as u64,
    }
}

fn assert_gone(log: &mut dyn Log, topic: TopicNumber, first: Position) {
    match log.read(topic, first) {
        Err(LogError::Damaged { topic: t, first: f }) => assert_eq!((t, f), (topic, first)),
        other => panic!("{other:?}"),
    }
}

pub(super) fn a_new_log_is_empty(open: Open<'_>) {
    assert_eq!(open().load().unwrap(), []);
    assert_gone(&mut *open(), ONE, 0);
}

pub(super) fn a_batch_comes_back_as_it_was(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    log.save(ONE, &image("t")).unwrap();
    log.append(ONE, &batch(7, 3, 100)).unwrap();
    log.sync().unwrap();
    assert_eq!(log.read(ONE, 7).unwrap(), batch(7, 3, 100));
    drop(log);
    let mut log = open();
    assert_eq!(log.load().unwrap()[0].batches, [summary(&batch(7, 3, 100))]);
    assert_eq!(log.read(ONE, 7).unwrap(), batch(7, 3, 100));
}

pub(super) fn big_batches_come_back_as_they_were(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    log.save(ONE, &image("t")).unwrap();
    let sizes = [1, 8_191, 8_192, 8_193, 16_384, 40_000, 1 << 20, 10 << 20];
    for (first, bytes) in sizes.iter().enumerate() {
        log.append(ONE, &batch(first as u64, 1, *bytes)).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let mut log = open();
    log.load().unwrap();
    for (first, bytes) in sizes.iter().enumerate() {
        assert_eq!(log.read(ONE, first as u64).unwrap(), batch(first as u64, 1, *bytes), "{bytes} bytes");
    }
}

pub(super) fn an_appended_batch_replaces_the_one_at_its_place(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    log.save(ONE, &image("t")).unwrap();
    log.append(ONE, &batch(7, 3, 100_000)).unwrap();
    log.append(ONE, &batch(7, 2, 50)).unwrap();
    assert_eq!(log.read(ONE, 7).unwrap(), batch(7, 2, 50));
    log.sync().unwrap();
    drop(log);
    assert_eq!(open().load().unwrap()[0].batches, [summary(&batch(7, 2, 50))]);
}

pub(super) fn a_dropped_batch_is_gone_and_the_others_stay(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    log.save(ONE, &image("t")).unwrap();
    for first in 0..3 {
        log.append(ONE, &batch(first, 1, 40_000)).unwrap();
    }
    log.drop_batch(ONE, 1).unwrap();
    log.sync().unwrap();
    assert_gone(&mut *log, ONE, 1);
    drop(log);
    let mut log = open();
    let firsts: Vec<_> = log.load().unwrap()[0].batches.iter().map(|batch| batch.first).collect();
    assert_eq!(firsts, [0, 2]);
    assert_eq!(log.read(ONE, 2).unwrap(), batch(2, 1, 40_000));
}

pub(super) fn dropping_what_is_not_there_is_no_error(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    log.drop_batch(ONE, 9).unwrap();
    log.delete(TWO).unwrap();
    log.sync().unwrap();
}

pub(super) fn batches_are_listed_in_the_order_of_their_positions(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    log.save(ONE, &image("t")).unwrap();
    for first in [u64::MAX - 9, 255, 256, 0, 1 << 40, 65_536] {
        log.append(ONE, &batch(first, 1, 10)).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let firsts: Vec<_> = open().load().unwrap()[0].batches.iter().map(|batch| batch.first).collect();
    assert_eq!(firsts, [0, 255, 256, 65_536, 1 << 40, u64::MAX - 9]);
}

pub(super) fn topics_are_kept_apart(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    for (number, bytes) in [(ONE, 10), (TWO, 20)] {
        log.save(number, &image(&format!("t{bytes}"))).unwrap();
        log.append(number, &batch(5, 1, bytes)).unwrap();
    }
    log.drop_batch(ONE, 5).unwrap();
    log.sync().unwrap();
    assert_gone(&mut *log, ONE, 5);
    assert_eq!(log.read(TWO, 5).unwrap(), batch(5, 1, 20));
}

pub(super) fn the_state_saved_last_is_found(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    log.save(ONE, &image("t")).unwrap();
    let last = TopicImage {
        durability: Some(Durability::Os),
        paused: true,
        end: u64::MAX,
        released: 12,
        last_id: u64::MAX - 1,
        waiting: vec![
            WaitingDelay { position: 3, delay_ns: 4 },
            WaitingDelay { position: 9, delay_ns: u64::MAX },
        ],
        channels: vec![
            ChannelImage {
                name: ChannelName::parse("c").unwrap(),
                paused: true,
                cursor: 99,
                finished_below: 77,
                finished: vec![78..80, 90..91],
                unfinished: vec![
                    Unfinished { position: 1, attempts: 0, due_unix_ns: None },
                    Unfinished { position: 2, attempts: 0, due_unix_ns: None },
                    Unfinished { position: 3, attempts: 1, due_unix_ns: None },
                    Unfinished { position: 7, attempts: 1, due_unix_ns: None },
                    Unfinished { position: 8, attempts: u16::MAX, due_unix_ns: Some(i64::MAX) },
                    Unfinished { position: 9, attempts: u16::MAX, due_unix_ns: Some(i64::MIN) },
                    Unfinished { position: 10, attempts: u16::MAX, due_unix_ns: None },
                ],
            },
            ChannelImage {
                name: ChannelName::parse("d").unwrap(),
                paused: false,
                cursor: 0,
                finished_below: 0,
                finished: vec![],
                unfinished: vec![],
            },
        ],
        ..image("t")
    };
    log.save(ONE, &last).unwrap();
    log.sync().unwrap();
    drop(log);
    let topics = open().load().unwrap();
    assert_eq!((topics.len(), topics[0].number, &topics[0].image), (1, ONE, &last));
}

fn large_image() -> TopicImage {
    let mut random = fastrand::Rng::with_seed(1);
    let unfinished = (0..100_000).map(|index| Unfinished {
        position: index * 3,
        attempts: random.u16(1..4),
        due_unix_ns: random.bool().then(|| random.i64(0..i64::MAX)),
    });
    let channel = ChannelImage {
        name: ChannelName::parse("c").unwrap(),
        paused: false,
        cursor: 400_000,
        finished_below: 400_000,
        finished: vec![],
        unfinished: unfinished.collect(),
    };
    TopicImage { end: 400_000, released: 400_000, channels: vec![channel], ..image("large") }
}

pub(super) fn a_large_state_comes_back_as_it_was(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    log.save(ONE, &large_image()).unwrap();
    log.sync().unwrap();
    drop(log);
    assert!(open().load().unwrap()[0].image == large_image());
}

pub(super) fn a_smaller_state_replaces_a_larger_one(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    log.save(ONE, &large_image()).unwrap();
    log.save(ONE, &image("large")).unwrap();
    log.sync().unwrap();
    drop(log);
    assert_eq!(open().load().unwrap()[0].image, image("large"));
}

pub(super) fn states_that_are_saved_together_all_come_back(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    let small = |number| (TopicNumber(number), image(&format!("topic-{number}")));
    let mut states: Vec<_> = (0..2_000).map(small).collect();
    for smaller in [false, true] {
        states[1_000] = if smaller { small(1_000) } else { (TopicNumber(1_000), large_image()) };
        log.save_all(&states).unwrap();
        log.sync().unwrap();
        drop(log);
        log = open();
        let saved = log.load().unwrap().into_iter().map(|topic| (topic.number, topic.image));
        assert!(saved.eq(states.iter().cloned()), "smaller: {smaller}");
    }
}

fn channel(cursor: Position) -> ChannelImage {
    ChannelImage {
        name: ChannelName::parse("c").unwrap(),
        paused: false,
        cursor,
        finished_below: cursor,
        finished: vec![],
        unfinished: vec![],
    }
}

fn finished(end: Position, range: std::ops::Range<Position>) -> Progress {
    let channel = ChannelProgress {
        name: ChannelName::parse("c").unwrap(),
        cursor: end,
        finished: vec![range],
        changed: vec![],
    };
    Progress { end, released: end, last_id: end, waiting: vec![], channels: vec![channel] }
}

pub(super) fn progress_comes_back_worked_into_the_state(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    // Without a state there is nothing that it could be progress of.
    log.advance(TWO, &finished(1, 0..1)).unwrap();
    log.save(ONE, &TopicImage { channels: vec![channel(2)], ..image("t") }).unwrap();
    let steps = [finished(10, 2..5), finished(20, 5..6), finished(30, 9..12)];
    for step in &steps {
        log.advance(ONE, step).unwrap();
        log.sync().unwrap();
    }
    drop(log);
    let mut expected = TopicImage { channels: vec![channel(2)], ..image("t") };
    expected.advance(steps);
    assert_eq!(expected.channels[0].finished, [2..6, 9..12]);
    let topics = open().load().unwrap();
    assert_eq!((topics.len(), &topics[0].image), (1, &expected));
}

pub(super) fn a_state_replaces_the_progress_before_it(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    log.save(ONE, &TopicImage { channels: vec![channel(2)], ..image("t") }).unwrap();
    log.advance(ONE, &finished(10, 2..5)).unwrap();
    let last = TopicImage { end: 10, channels: vec![channel(5)], ..image("t") };
    log.save(ONE, &last).unwrap();
    log.sync().unwrap();
    drop(log);
    assert_eq!(open().load().unwrap()[0].image, last);
}

pub(super) fn a_deleted_topic_is_gone_with_everything(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    for number in [ONE, TWO] {
        log.save(number, &image("t")).unwrap();
        for first in 0..50 {
            log.append(number, &batch(first, 1, 20_000)).unwrap();
        }
    }
    log.delete(ONE).unwrap();
    log.sync().unwrap();
    assert_gone(&mut *log, ONE, 3);
    drop(log);
    let mut log = open();
    let topics = log.load().unwrap();
    assert_eq!(
        topics.iter().map(|topic| (topic.number, topic.batches.len())).collect::<Vec<_>>(),
        [(TWO, 50)]
    );
    assert_eq!(log.read(TWO, 3).unwrap(), batch(3, 1, 20_000));
}

pub(super) fn many_topics_come_back_sorted_by_number(open: Open<'_>) {
    let mut log = open();
    log.load().unwrap();
    for number in (0..1000).rev() {
        log.save(TopicNumber(number), &image(&format!("topic-{number}"))).unwrap();
        log.append(TopicNumber(number), &batch(u64::from(number), 1, 100)).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let topics = open().load().unwrap();
    assert_eq!(topics.len(), 1000);
    for (number, topic) in topics.iter().enumerate() {
        assert_eq!(topic.number, TopicNumber(number as u32));
        assert_eq!(topic.image.name.as_str(), format!("topic-{number}"));
        assert_eq!(topic.batches, [summary(&batch(number as u64, 1, 100))]);
    }
}
