//! Whole imports: directories as v1.3.0 leaves them, into a log in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nsq::api::metadata::ChannelMetadata;
use nsq::wire::message::MessageRef;
use nsqd_broker::storage::Position;
use proptest::prelude::*;
use tempfile::TempDir;

use super::diskqueue::tests::record;
use super::*;
use crate::store::faulty::FaultyLog;
use crate::store::memory::MemoryLog;

/// How long a message may be now.
const BODY_BYTES_MAX: usize = 1000;

/// A message in a queue: its number, which gives time stamp, id and body, and how often it was delivered.
type Message = (u64, u16);

fn body(number: u64) -> String {
    format!("message {number:0100}")
}

fn records(messages: &[Message]) -> Vec<u8> {
    let one =
        |&(number, attempts): &Message| record(number as i64, attempts, number, body(number).as_bytes());
    messages.iter().flat_map(one).collect()
}

fn number_messages(numbers: impl IntoIterator<Item = u64>) -> Vec<Message> {
    numbers.into_iter().map(|number| (number, 0)).collect()
}

/// A data directory.
struct World {
    directory: TempDir,
    metadata: Metadata,
    log: MemoryLog,
}

/// A channel, or the backlog of a topic, after an import: what is in order, and what is named apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    queue: Vec<Message>,
    apart: Vec<Message>,
}

impl Found {
    fn sorted(&self) -> Vec<Message> {
        let mut all = [&self.queue[..], &self.apart].concat();
        all.sort_unstable();
        all
    }
}

impl World {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), metadata: Metadata::default(), log: MemoryLog::default() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn declare(&mut self, topic: &str, paused: bool, channels: &[&str]) {
        let channel = |name: &&str| ChannelMetadata { name: (*name).to_owned(), paused: false };
        let channels = channels.iter().map(channel).collect();
        let topic =
            TopicMetadata { name: topic.to_owned(), paused, durability: None, channels: Some(channels) };
        self.metadata.topics.get_or_insert_default().push(topic);
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    /// A queue in files of three messages, unread and synced.
    fn write_queue(&self, queue: &str, messages: &[Message]) {
        let mut last = (0, 0);
        for (number, messages) in messages.chunks(3).enumerate() {
            let bytes = records(messages);
            last = (number, bytes.len());
            self.write(&format!("{queue}.diskqueue.{number:06}.dat"), bytes);
        }
        let positions = format!("{}\n0,0\n{},{}\n", messages.len(), last.0, last.1);
        self.write(&format!("{queue}.diskqueue.meta.dat"), positions);
    }

    fn import(&self) -> Result<Vec<SavedTopic>, ImportError> {
        self.import_with(self.log.clone())
    }

    fn import_with(&self, log: impl Log + 'static) -> Result<Vec<SavedTopic>, ImportError> {
        let mut logs =
            Places::<Box<dyn Log>> { spill: Box::new(log), journal: Box::new(MemoryLog::default()) };
        let saved = logs.load(Durability::Memory)?;
        take_over(self.path(), BODY_BYTES_MAX, &self.metadata, &mut logs, Durability::Memory, saved)
    }

    /// Imports, and looks: at the topic's channels, and under no name at its backlog.
    fn imported(&self, topic: &str) -> BTreeMap<String, Found> {
        let returned = self.import().unwrap();
        let loaded = self.log.clone().load().unwrap();
        assert_eq!(returned, loaded, "what the import says is what is in the log");
        let saved = loaded.iter().find(|saved| saved.image.name.as_str() == topic).unwrap();
        let (mut in_queue, mut all) = (BTreeMap::new(), BTreeMap::new());
        for summary in &saved.batches {
            let batch = self.log.clone().read(saved.number, summary.first).unwrap();
            for (position, number) in (batch.first..).zip(numbers_in(&batch.records)) {
                all.insert(position, number);
                if !batch.aside {
                    in_queue.insert(position, number);
                }
            }
        }
        let between = |from: Position, to: Position| -> Vec<Message> {
            number_messages(in_queue.range(from..to.max(from)).map(|(_, number)| *number))
        };
        let image = &saved.image;
        let mut found: BTreeMap<String, Found> = (image.channels.iter())
            .map(|channel| {
                let apart =
                    channel.unfinished.iter().map(|message| (all[&message.position], message.attempts));
                let queue = between(channel.cursor, image.released);
                (channel.name.to_string(), Found { queue, apart: apart.collect() })
            })
            .collect();
        let apart = image.waiting.iter().map(|waiting| (all[&waiting.position], 0)).collect();
        found.insert(String::new(), Found { queue: between(image.released, image.end), apart });
        found
    }

    /// The names of the files in the data directory, and in `imported`.
    fn files(&self) -> (Vec<String>, Vec<String>) {
        let names = |path: &Path| {
            let entries = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap());
            let files = entries.filter(|entry| entry.path().is_file());
            let mut names: Vec<String> =
                files.map(|entry| entry.file_name().into_string().unwrap()).collect();
            names.sort_unstable();
            names
        };
        (names(self.path()), names(&self.path().join("imported")))
    }
}

/// The numbers of the messages whose frames these are.
fn numbers_in(mut frames: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some((size, rest)) = frames.split_first_chunk() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*size) as usize);
        let message = MessageRef::parse(&frame[4..]).unwrap();
        let number = message.timestamp_ns as u64;
        assert_eq!((message.id.to_string(), message.attempts), (format!("{number:016x}"), 1));
        assert_eq!(message.body.escape_ascii().to_string(), body(number));
        numbers.push(number);
        frames = rest;
    }
    numbers
}

fn queue(numbers: impl IntoIterator<Item = u64>) -> Found {
    Found { queue: number_messages(numbers), apart: Vec::new() }
}

#[test]
fn nothing_is_done_where_there_is_nothing() {
    let world = World::new();
    world.write("nsqd.dat", "{}");
    assert_eq!(world.import().unwrap(), []);
    assert_eq!(world.files(), (vec!["nsqd.dat".to_owned()], Vec::new()));
}

#[test]
fn channels_that_end_alike_share_one_queue() {
    let mut world = World::new();
    world.declare("t", false, &["all", "half", "none"]);
    world.write_queue("t:all", &number_messages(1..=1000));
    world.write_queue("t:half", &number_messages(501..=1000));
    world.write_queue("t", &number_messages(1001..=1004));
    let found = world.imported("t");
    assert_eq!(found["all"], queue(1..=1004));
    assert_eq!(found["half"], queue(501..=1004));
    assert_eq!(found["none"], queue(1001..=1004));
    assert_eq!(found[""], queue([]));
    let (left, moved) = world.files();
    assert_eq!((left.len(), moved.len()), (0, 334 + 167 + 2 + 3));
    assert_eq!(world.log.clone().load().unwrap()[0].image.last_id, 1004);
}

#[test]
fn what_was_in_flight_at_the_stop_is_named_and_the_rest_is_not() {
    let mut world = World::new();
    world.declare("t", false, &["a", "b"]);
    let mut messages = number_messages(38..=100);
    messages.push((37, 2));
    world.write_queue("t:a", &messages);
    world.write_queue("t:b", &number_messages(1..=100));
    let found = world.imported("t");
    assert_eq!(found["a"], Found { queue: number_messages(38..=100), apart: vec![(37, 2)] });
    assert_eq!(found["b"], queue(1..=100));
}

#[test]
fn the_order_of_a_queue_is_kept_whatever_the_times_are() {
    let world = World::new();
    let order = (501..=900).chain(1..=500);
    world.write_queue("t:c", &number_messages(order.clone()));
    world.write_queue("t", &number_messages([7777, 6666]));
    assert_eq!(world.imported("t")["c"], queue(order.chain([7777, 6666])));
}

#[test]
fn a_topic_that_holds_keeps_its_backlog() {
    let mut world = World::new();
    world.declare("paused", true, &["c"]);
    for topic in ["paused", "bare"] {
        world.write_queue(topic, &number_messages(5..=8));
    }
    world.write_queue("paused:c", &number_messages(1..=4));
    let found = world.imported("paused");
    assert_eq!((&found["c"], &found[""]), (&queue(1..=4), &queue(5..=8)));
    assert_eq!(world.imported("bare")[""], queue(5..=8));
    let saved = world.log.clone().load().unwrap();
    assert_eq!(saved.iter().map(|saved| saved.image.paused).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn reading_begins_at_the_read_position_and_goes_on_behind_the_write_position() {
    let world = World::new();
    let first = records(&number_messages([1, 2, 3]));
    let position = records(&number_messages([1, 2])).len();
    world.write("t.diskqueue.000004.dat", records(&number_messages([100])));
    world.write("t.diskqueue.000005.dat", first);
    world.write("t.diskqueue.000006.dat", records(&number_messages([4, 5])));
    world.write("t.diskqueue.meta.dat", format!("1\n5,{position}\n6,0\n"));
    assert_eq!(world.imported("t")[""], queue([3, 4, 5]));
    assert_eq!(world.files().1.len(), 4, "files that had been read are moved too");
}

#[test]
fn without_positions_everything_is_imported() {
    let world = World::new();
    world.write("t.diskqueue.000000.dat", records(&number_messages([1, 2])));
    world.write("t.diskqueue.000001.dat", records(&number_messages([3])));
    assert_eq!(world.imported("t")[""], queue(1..=3));
    let world = World::new();
    world.write("t.diskqueue.000000.dat", records(&number_messages([1, 2])));
    world.write("t.diskqueue.meta.dat", "no positions");
    assert_eq!(world.imported("t")[""], queue(1..=2));
}

#[test]
fn a_torn_record_ends_its_file_and_not_the_queue() {
    let world = World::new();
    let torn = records(&number_messages([1, 2, 3]));
    world.write("t.diskqueue.000000.dat", &torn[..torn.len() - 1]);
    world.write("t.diskqueue.000001.dat", [records(&number_messages([4])), vec![0; 100]].concat());
    world.write("t.diskqueue.000002.dat", records(&number_messages([5])));
    assert_eq!(world.imported("t")[""], queue([1, 2, 4, 5]));
}

#[test]
fn what_is_there_twice_after_a_crash_is_imported_once() {
    let world = World::new();
    // The topic had handed these to its channels, which was not synced.
    world.write_queue("t", &number_messages(4..=6));
    world.write_queue("t:a", &number_messages(1..=6));
    // This one had been given back.
    world.write_queue("t:b", &[(1, 0), (2, 0), (1, 1), (5, 0)]);
    let found = world.imported("t");
    assert_eq!(found["a"].sorted(), number_messages(1..=6));
    assert_eq!(found["b"].sorted(), number_messages([1, 2, 4, 5, 6]));
}

#[test]
fn a_file_that_was_set_aside_is_imported_from_the_message_on_that_was_refused() {
    let world = World::new();
    let long = |number: u64| record(number as i64, 0, number, body(number).as_bytes());
    world.write("t.diskqueue.000000.dat.bad", records(&number_messages([1, 2])));
    world.write(
        "t.diskqueue.000001.dat.bad",
        [long(3), record(4, 0, 4, &[b'x'; BODY_BYTES_MAX + 1]), long(5)].concat(),
    );
    world.write("t.diskqueue.000002.dat", long(6));
    world.write("t.diskqueue.meta.dat", "1\n2,0\n2,0\n");
    world.import().unwrap();
    let saved = world.log.clone().load().unwrap();
    assert_eq!((saved[0].image.end, saved[0].image.last_id), (3, 6), "4, 5 and 6 are there");
    assert_eq!(world.files().1.len(), 4);
}

#[test]
fn names_that_v1_3_0_does_not_give_are_left_alone() {
    let world = World::new();
    let strange = ["a b.diskqueue.000000.dat", "t.diskqueue.x.dat", "t:c#ephemeral.diskqueue.000000.dat"];
    for name in strange {
        world.write(name, records(&number_messages([1])));
    }
    assert_eq!(world.import().unwrap(), []);
    assert_eq!(world.files(), (strange.map(str::to_owned).to_vec(), Vec::new()));
}

#[test]
fn a_queue_without_messages_leaves_no_topic_behind() {
    let world = World::new();
    world.write_queue("t:c", &[]);
    assert_eq!(world.import().unwrap(), []);
    assert_eq!(world.files().1, ["t:c.diskqueue.meta.dat"]);
}

#[test]
fn a_second_import_adds_to_what_is_there() {
    let mut world = World::new();
    world.declare("t", false, &["a", "b"]);
    world.write_queue("t:a", &number_messages(1..=3));
    world.import().unwrap();
    assert_eq!(world.imported("t")["a"], queue(1..=3), "the same files are not imported again");
    world.write_queue("t:a", &[(11, 0), (12, 4)]);
    world.write_queue("t:new", &number_messages([11, 13]));
    world.write_queue("t", &number_messages([20]));
    let found = world.imported("t");
    assert_eq!(found["a"], Found { queue: number_messages([1, 2, 3, 20]), apart: vec![(11, 0), (12, 4)] });
    assert_eq!(found["b"], queue([20]));
    assert_eq!(found["new"], Found { queue: number_messages([20]), apart: number_messages([11, 13]) });
    assert!(world.files().1.contains(&"t:a.diskqueue.000000.dat.1".to_owned()));
}

#[test]
fn a_backlog_that_is_there_is_for_the_channels_that_come() {
    let world = World::new();
    world.write_queue("t", &number_messages(1..=3));
    assert_eq!(world.imported("t")[""], queue(1..=3));
    world.write_queue("t:c", &number_messages([11]));
    let found = world.imported("t");
    assert_eq!(found["c"], Found { queue: number_messages(1..=3), apart: number_messages([11]) });
}

#[test]
fn what_is_left_of_a_channel_without_messages_makes_none() {
    let mut world = World::new();
    world.declare("t", false, &["c"]);
    world.write_queue("t", &number_messages(1..=3));
    world.write_queue("t:gone", &[]);
    let found = world.imported("t");
    assert_eq!(found["c"], queue(1..=3));
    assert!(!found.contains_key("gone"));
}

#[test]
fn files_that_a_crash_left_behind_an_import_are_only_moved() {
    let world = World::new();
    world.write_queue("t:c", &number_messages(1..=7));
    world.import().unwrap();
    for name in ["t:c.diskqueue.000001.dat", "t:c.diskqueue.meta.dat"] {
        fs::rename(world.path().join("imported").join(name), world.path().join(name)).unwrap();
    }
    let files = world.files().1.into_iter().chain(world.files().0).collect();
    Progress { topic: "t".into(), number: 0, start: 0, files }.write(world.path()).unwrap();
    assert_eq!(world.imported("t")["c"], queue(1..=7));
    let (left, moved) = world.files();
    assert_eq!((left.len(), moved.len()), (0, 4));
}

#[test]
fn an_import_that_is_interrupted_at_any_moment_begins_anew() {
    for call in 0.. {
        let mut world = World::new();
        world.declare("t", false, &["a", "b"]);
        world.write_queue("t:a", &number_messages(1..=2));
        world.import().unwrap();
        world.write_queue("t:a", &[(1000, 0), (1001, 3)]);
        world.write_queue("u:a", &number_messages(1..=300));
        world.write_queue("u:b", &number_messages(99..=300));
        world.write_queue("u", &number_messages([3000]));
        let log = FaultyLog::failing_at(world.log.clone(), call);
        let interrupted = world.import_with(log).is_err();
        let (t, u) = (world.imported("t"), world.imported("u"));
        assert_eq!(
            t["a"],
            Found { queue: number_messages([1, 2]), apart: vec![(1000, 0), (1001, 3)] },
            "call {call}"
        );
        assert_eq!(u["a"], queue((1..=300).chain([3000])), "call {call}");
        assert_eq!(u["b"], queue((99..=300).chain([3000])), "call {call}");
        assert_eq!(world.files().0, Vec::<String>::new());
        if !interrupted {
            assert!(call > 10, "{call} calls were enough");
            break;
        }
    }
}

#[test]
fn what_says_how_far_an_import_came_must_make_sense() {
    let world = World::new();
    world.write(progress::FILE_NAME, "{");
    let refused = world.import().unwrap_err().to_string();
    assert!(refused.contains("if it is removed, messages may be imported twice"), "{refused}");
}

fn any_queue() -> impl Strategy<Value = Vec<Message>> {
    // Mostly in order, as queues are; some messages were given back, some came from memory.
    let taken = prop::collection::vec(prop_oneof![6 => Just(None), 1 => (0..3_u16).prop_map(Some)], 60);
    (0..60_usize, taken, prop::collection::vec(0..60_usize, 0..6)).prop_map(|(from, taken, swaps)| {
        let mut messages: Vec<Message> = Vec::new();
        for (number, taken) in (0..).zip(taken).skip(from) {
            match taken {
                None => messages.push((number, 0)),
                Some(0) => {}
                Some(attempts) => messages.push((number, attempts - 1)),
            }
        }
        for swap in swaps {
            if swap < messages.len() {
                messages[swap..].rotate_left(1);
            }
        }
        messages
    })
}

proptest! {
    // Each of them writes and syncs files.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn each_channel_gets_each_of_its_messages_once(
        queues in prop::collection::vec(any_queue(), 1..4),
        backlog in 0..4_u64,
        paused in any::<bool>(),
        torn in 0..40_usize,
    ) {
        let mut world = World::new();
        world.declare("t", paused, &["c0", "empty"]);
        for (number, messages) in queues.iter().enumerate() {
            world.write_queue(&format!("t:c{number}"), messages);
        }
        world.write_queue("t", &number_messages(100..100 + backlog));
        world.write(&format!("t.diskqueue.{:06}.dat", 99), vec![0; torn]);
        let is_nothing = queues.iter().all(Vec::is_empty) && backlog == 0;
        if is_nothing {
            prop_assert_eq!(world.import().unwrap(), []);
            return Ok(());
        }
        let found = world.imported("t");
        let waiting = number_messages(100..100 + backlog);
        for (number, messages) in queues.iter().enumerate() {
            // Of a channel that nobody declared and that has nothing only a file is left: there is no channel.
            let is_there = number == 0 || !messages.is_empty();
            let mut expected = [&messages[..], if paused || !is_there { &[] } else { &waiting }].concat();
            expected.sort_unstable();
            let channel = found.get(&format!("c{number}"));
            prop_assert_eq!(channel.map_or(Vec::new(), Found::sorted), expected);
            // What is in order is in the order that it had.
            let rank = |message: &Message| messages.iter().chain(&waiting).position(|own| own == message);
            prop_assert!(channel.is_none_or(|found| found.queue.is_sorted_by_key(rank)));
        }
        prop_assert_eq!(&found[""].queue, if paused { &waiting } else { &[][..] });
        prop_assert_eq!(world.files().0, Vec::<String>::new());
    }

    #[test]
    fn any_bytes_in_any_file_do_no_harm(
        files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 5),
        messages in 0..5_u64,
    ) {
        let world = World::new();
        let names = ["t.diskqueue.000000.dat", "t:c.diskqueue.000000.dat", "t:c.diskqueue.000001.dat.bad",
            "t.diskqueue.meta.dat", "t:c.diskqueue.meta.dat"];
        for (name, bytes) in names.iter().zip(&files) {
            world.write(name, [&records(&number_messages(1..=messages)), &bytes[..]].concat());
        }
        world.import().unwrap();
        prop_assert_eq!(world.files().1.len(), names.len());
    }
}
