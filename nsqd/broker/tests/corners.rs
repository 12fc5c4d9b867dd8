//! What went wrong once, or could: one scenario each, on a topic without a disk or with one played by hand.

#![expect(clippy::unwrap_used, reason = "a test's support panics where a test would")]

use std::collections::BTreeMap;
use std::time::Duration;

use nsq::wire::message::{MESSAGE_FRAME_HEADER_BYTES, MessageId, MessageRef};
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::{BatchSummary, Durability, Event, Position, Request, StoredBatch, TopicImage};
use nsqd_broker::{
    ConsumerKey, ConsumerSettings, Delivery, Locality, Now, Publication, PublishError, Topic, TopicSettings,
};

const NOW: Now = Now { monotonic_ns: 1_000_000_000, unix_ns: 1_800_000_000_000_000_000 };

fn settings(name: &str, memory_messages_max: u64) -> TopicSettings {
    TopicSettings {
        name: TopicName::parse(name).unwrap(),
        node_id: 7,
        durability: if memory_messages_max == 0 { Durability::Os } else { Durability::Memory },
        chosen_durability: None,
        memory_messages_max,
        channel_consumers_max: 0,
        requeue_on_disconnect: true,
        latency_window: None,
        save_interval: Duration::from_secs(2),
    }
}

/// Publishes `count` messages at once; the body of each is `body`.
fn publish(topic: &mut Topic, count: usize, body: &[u8], delay: Duration) -> Result<(), PublishError> {
    let mut publication = Publication::new(100);
    for _ in 0..count {
        match delay.is_zero() {
            true => publication.push(body, 0),
            false => publication.push_deferred(body, 0, delay),
        }
    }
    topic.publish(NOW, publication)
}

fn subscribe(topic: &mut Topic, channel: &str, ready: u64) -> ConsumerKey {
    subscribe_from(topic, Locality::Elsewhere, channel, ready)
}

fn subscribe_from(topic: &mut Topic, locality: Locality, channel: &str, ready: u64) -> ConsumerKey {
    let channel = topic.create_channel(NOW, ChannelName::parse(channel).unwrap());
    let settings = ConsumerSettings { msg_timeout: Duration::from_secs(60), locality, sample_rate: 0 };
    let consumer = topic.subscribe(channel, settings).unwrap();
    topic.set_ready(consumer, ready);
    consumer
}

/// Asks until there is nothing more, and returns the bodies.
fn take(topic: &mut Topic, consumer: ConsumerKey) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while topic.deliver(NOW, consumer, usize::MAX, |delivery| {
        let mut frame = Vec::new();
        delivery.write_to(&mut frame);
        bodies.push(frame.split_off(MESSAGE_FRAME_HEADER_BYTES));
    }) {}
    bodies
}

fn id_of(delivery: &Delivery<'_>) -> MessageId {
    let mut frame = Vec::new();
    delivery.write_to(&mut frame);
    MessageRef::parse(&frame[8..]).unwrap().id
}

fn woken(topic: &mut Topic) -> Vec<ConsumerKey> {
    std::iter::from_fn(|| topic.poll_wake()).collect()
}

#[test]
fn who_was_woken_and_wants_nothing_any_more_lets_the_next_have_it() {
    let mut topic = Topic::new(settings("topic", 100));
    let (first, second) = (subscribe(&mut topic, "c", 1), subscribe(&mut topic, "c", 1));
    assert!(take(&mut topic, first).is_empty() && take(&mut topic, second).is_empty());
    publish(&mut topic, 1, b"m", Duration::ZERO).unwrap();
    assert_eq!(woken(&mut topic), [first]);
    topic.set_ready(first, 0);
    assert!(take(&mut topic, first).is_empty());
    assert_eq!(woken(&mut topic), [second]);
    assert_eq!(take(&mut topic, second), [b"m"]);
}

#[test]
fn who_was_woken_and_has_no_room_lets_the_next_have_it() {
    let mut topic = Topic::new(settings("topic", 100));
    let (first, second) = (subscribe(&mut topic, "c", 1), subscribe(&mut topic, "c", 1));
    assert!(take(&mut topic, first).is_empty() && take(&mut topic, second).is_empty());
    publish(&mut topic, 1, b"m", Duration::ZERO).unwrap();
    assert_eq!(woken(&mut topic), [first]);
    assert!(!topic.deliver(NOW, first, 0, |_| panic!("there is no room")));
    assert_eq!(woken(&mut topic), [second]);
    assert_eq!(take(&mut topic, second), [b"m"]);
}

#[test]
fn who_was_given_all_there_is_waits_at_once() {
    let mut topic = Topic::new(settings("topic", 100));
    let consumer = subscribe(&mut topic, "c", 10);
    publish(&mut topic, 3, b"m", Duration::ZERO).unwrap();
    let mut given = 0;
    assert!(!topic.deliver(NOW, consumer, usize::MAX, |_| given += 1));
    assert_eq!(given, 3);
    publish(&mut topic, 1, b"m", Duration::ZERO).unwrap();
    assert_eq!(woken(&mut topic), [consumer]);
}

#[test]
fn who_may_have_no_more_is_not_in_the_line() {
    let mut topic = Topic::new(settings("topic", 100));
    let (busy, idle) = (subscribe(&mut topic, "c", 1), subscribe(&mut topic, "c", 1));
    publish(&mut topic, 1, b"m", Duration::ZERO).unwrap();
    let mut held = None;
    topic.deliver(NOW, busy, usize::MAX, |delivery| held = Some(id_of(&delivery)));
    assert!(take(&mut topic, idle).is_empty());
    topic.finish(NOW, busy, held.unwrap()).unwrap();
    assert!(take(&mut topic, busy).is_empty());
    publish(&mut topic, 1, b"m", Duration::ZERO).unwrap();
    assert_eq!(woken(&mut topic), [idle], "it has waited longer");
}

#[test]
fn who_wants_few_of_many_asks_until_it_has_seen_them_all() {
    const MANY: usize = 10_000;
    let mut topic = Topic::new(settings("topic", MANY as u64));
    let channel = topic.create_channel(NOW, ChannelName::parse("c").unwrap());
    let settings = ConsumerSettings {
        msg_timeout: Duration::from_secs(60),
        locality: Locality::Elsewhere,
        sample_rate: 1,
    };
    let consumer = topic.subscribe(channel, settings).unwrap();
    topic.set_ready(consumer, 2_500);
    publish(&mut topic, MANY, b"m", Duration::ZERO).unwrap();
    assert!(topic.deliver(NOW, consumer, usize::MAX, |_| {}), "a round looks at a part of them");
    let sampled = take(&mut topic, consumer).len();
    assert!(sampled < MANY / 20, "{sampled}");
    assert_eq!(topic.stats(NOW).channels[0].depth, 0);
}

/// A disk that refuses everything.
fn refuse_all(topic: &mut Topic) {
    while let Some(request) = topic.poll_store() {
        if let Request::Append(batch) = request {
            topic.handle_store(NOW, Event::AppendFailed { first: batch.first });
        }
    }
}

#[test]
fn a_failing_disk_refuses_batches_before_memory_grows() {
    for delay in [Duration::ZERO, Duration::from_secs(60)] {
        let mut topic = Topic::new(settings("topic", 100));
        let mut accepted = 0;
        while accepted < 1_000 && publish(&mut topic, 30, b"m", delay).is_ok() {
            refuse_all(&mut topic);
            accepted += 30;
        }
        assert!((90..200).contains(&accepted), "{accepted} with a delay of {delay:?}");
    }
}

/// When a disk that refused is asked again.
const RETRIED: Now =
    Now { monotonic_ns: NOW.monotonic_ns + 1_000_000_000, unix_ns: NOW.unix_ns + 1_000_000_000 };

/// A topic whose memory is full, and whose disk has refused what should make room.
fn topic_on_failing_disk(delay: Duration) -> Topic {
    let mut topic = Topic::new(settings("topic", 100));
    topic.create_channel(NOW, ChannelName::parse("c").unwrap());
    while publish(&mut topic, 30, b"m", delay).is_ok() {
        refuse_all(&mut topic);
    }
    topic
}

#[test]
fn a_failing_disk_is_failing_while_it_is_asked_again() {
    for delay in [Duration::ZERO, Duration::from_secs(60)] {
        let mut topic = topic_on_failing_disk(delay);
        for _ in 0..3 {
            topic.handle_timeout(RETRIED);
            // The answer is not there yet.
            assert_eq!(publish(&mut topic, 30, b"m", delay), Err(PublishError::StoreFailing), "{delay:?}");
            refuse_all(&mut topic);
        }
        topic.handle_timeout(RETRIED);
        let mut disk = Disk::default();
        disk.carry_out(&mut topic);
        assert!(!disk.batches.is_empty());
        assert_eq!(publish(&mut topic, 30, b"m", delay), Ok(()), "{delay:?}");
    }
}

#[test]
fn a_disk_that_has_nothing_left_to_be_asked_for_is_not_failing_any_more() {
    for is_asked_again in [false, true] {
        let mut topic = topic_on_failing_disk(Duration::ZERO);
        if is_asked_again {
            topic.handle_timeout(RETRIED);
        }
        topic.empty_channel(NOW, &ChannelName::parse("c").unwrap());
        // There would be no write that could tell that it takes writes again.
        assert_eq!(publish(&mut topic, 200, b"m", Duration::ZERO), Ok(()));
        refuse_all(&mut topic);
        assert_eq!(publish(&mut topic, 30, b"m", Duration::ZERO), Err(PublishError::StoreFailing));
    }
}

#[test]
fn what_a_paused_ephemeral_topic_cannot_hold_is_dropped_and_not_let_through() {
    for delay in [Duration::ZERO, Duration::from_secs(60)] {
        let mut topic = Topic::new(settings("topic#ephemeral", 5));
        let consumer = subscribe(&mut topic, "c", 100);
        topic.pause(NOW, true);
        publish(&mut topic, 3, b"early", delay).unwrap();
        publish(&mut topic, 9, b"late", delay).unwrap();
        assert!(take(&mut topic, consumer).is_empty(), "the topic is paused");
        let stats = topic.stats(NOW);
        assert_eq!((stats.depth, stats.messages), (5, 12));
        topic.empty(NOW);
        publish(&mut topic, 2, b"last", delay).unwrap();
        topic.pause(NOW, false);
        let later = Now { monotonic_ns: NOW.monotonic_ns + 61_000_000_000, ..NOW };
        topic.handle_timeout(later);
        assert_eq!(take(&mut topic, consumer), [b"last", b"last"]);
    }
}

#[test]
fn consumers_that_wait_share_a_burst() {
    let mut topic = Topic::new(settings("topic", 1000));
    let consumers: Vec<ConsumerKey> = (0..3).map(|_| subscribe(&mut topic, "c", 100)).collect();
    for consumer in &consumers {
        assert!(take(&mut topic, *consumer).is_empty());
    }
    publish(&mut topic, 90, b"m", Duration::ZERO).unwrap();
    let shares: Vec<usize> =
        woken(&mut topic).into_iter().map(|consumer| take(&mut topic, consumer).len()).collect();
    assert_eq!(shares, [30, 30, 30]);
}

#[test]
fn who_has_its_share_is_woken_for_what_the_others_leave() {
    let mut topic = Topic::new(settings("topic", 1000));
    let (rich, poor) = (subscribe(&mut topic, "c", 100), subscribe(&mut topic, "c", 5));
    assert!(take(&mut topic, rich).is_empty() && take(&mut topic, poor).is_empty());
    publish(&mut topic, 60, b"m", Duration::ZERO).unwrap();
    assert_eq!(woken(&mut topic), [rich, poor]);
    assert_eq!((take(&mut topic, rich).len(), take(&mut topic, poor).len()), (30, 5));
    assert_eq!(woken(&mut topic), [rich]);
    assert_eq!(take(&mut topic, rich).len(), 25);
}

/// A disk that takes everything: what is on it when the daemon is killed.
#[derive(Default)]
struct Disk {
    image: Option<TopicImage>,
    batches: BTreeMap<Position, StoredBatch>,
}

impl Disk {
    fn carry_out(&mut self, topic: &mut Topic) {
        while let Some(request) = topic.poll_store() {
            self.carry_out_one(topic, request);
        }
    }

    fn carry_out_one(&mut self, topic: &mut Topic, request: Request) {
        match request {
            Request::Append(batch) => {
                let first = batch.first;
                self.batches.insert(first, batch);
                topic.handle_store(NOW, Event::Appended { first });
            }
            Request::Read { first } => {
                topic.handle_store(NOW, Event::Read(self.batches[&first].clone()));
            }
            Request::Drop { first } => drop(self.batches.remove(&first)),
            Request::Save(image) => self.image = Some(image),
            Request::Advance(progress) => {
                self.image.as_mut().expect("a topic is saved when it is made").advance([progress]);
            }
            Request::Delete => self.batches.clear(),
        }
    }

    fn restored(&self, settings: TopicSettings) -> Topic {
        let summary = |batch: &StoredBatch| BatchSummary {
            first: batch.first,
            count: batch.count,
            aside: batch.aside,
            bytes: batch.records.len() as u64,
        };
        let batches: Vec<_> = self.batches.values().map(summary).collect();
        Topic::restore(settings, NOW, self.image.as_ref().unwrap(), &batches)
    }
}

#[test]
fn deferred_messages_that_no_saved_state_knows_are_not_lost_in_a_crash() {
    // Without memory, and without a promise either: the disk has the messages, and no state that names them.
    let settings = || TopicSettings { durability: Durability::Memory, ..settings("topic", 0) };
    for paused in [false, true] {
        let (mut topic, mut disk) = (Topic::new(settings()), Disk::default());
        if paused {
            subscribe(&mut topic, "c", 0);
            topic.pause(NOW, true);
        }
        topic.request_save(NOW);
        publish(&mut topic, 3, b"m", Duration::from_secs(60)).unwrap();
        disk.carry_out(&mut topic);

        let mut topic = disk.restored(settings());
        assert_eq!(topic.stats(NOW).depth, 3, "they wait in a topic that holds, paused: {paused}");
        topic.pause(NOW, false);
        let consumer = subscribe(&mut topic, "c", 10);
        topic.handle_timeout(NOW);
        assert!(take(&mut topic, consumer).is_empty(), "the disk is asked first");
        disk.carry_out(&mut topic);
        assert_eq!(take(&mut topic, consumer).len(), 3);
    }
}

#[test]
fn durable_messages_keep_their_delay_whenever_the_daemon_is_killed() {
    let (mut topic, mut disk) = (Topic::new(settings("topic", 0)), Disk::default());
    topic.request_save(NOW);
    publish(&mut topic, 3, b"m", Duration::from_secs(60)).unwrap();
    disk.carry_out(&mut topic);
    let mut topic = disk.restored(settings("topic", 0));
    assert_eq!(topic.stats(NOW).depth, 3, "their delay has not begun");
    subscribe(&mut topic, "c", 10);
    disk.carry_out(&mut topic);
    publish(&mut topic, 2, b"m", Duration::from_secs(30)).unwrap();
    disk.carry_out(&mut topic);
    let topic = disk.restored(settings("topic", 0));
    assert_eq!(topic.stats(NOW).channels[0].deferred, 5);
}

#[test]
fn messages_of_one_publication_are_due_after_a_delay_each() {
    let mut topic = Topic::new(settings("topic", 100));
    let consumer = subscribe(&mut topic, "c", 10);
    let mut publication = Publication::new(100);
    for (body, delay_s) in [(b"c", 3), (b"a", 1), (b"b", 2)] {
        publication.push_deferred(body, 0, Duration::from_secs(delay_s));
    }
    topic.publish(NOW, publication).unwrap();
    let mut came = Vec::new();
    for second in 0..4 {
        topic.handle_timeout(Now { monotonic_ns: NOW.monotonic_ns + second * 1_000_000_000, ..NOW });
        came.push(take(&mut topic, consumer).concat());
    }
    assert_eq!(came, [&b""[..], b"a", b"b", b"c"]);
}

#[test]
fn a_delay_is_on_the_disk_before_the_messages_that_have_it() {
    let (mut topic, mut disk) = (Topic::new(settings("topic", 0)), Disk::default());
    subscribe(&mut topic, "c", 0);
    disk.carry_out(&mut topic);
    publish(&mut topic, 2, b"m", Duration::from_secs(60)).unwrap();
    // Killed after each of the steps: what is there has its delay.
    while let Some(request) = topic.poll_store() {
        disk.carry_out_one(&mut topic, request);
        let restored = disk.restored(settings("topic", 0));
        let channel = &restored.stats(NOW).channels[0];
        let there: u64 = disk.batches.values().map(|batch| u64::from(batch.count)).sum();
        assert_eq!((channel.deferred, channel.depth), (there, 0));
    }
    assert_eq!(disk.batches.len(), 1);
}

#[test]
fn small_publishes_are_gathered_while_the_disk_is_busy() {
    let mut topic = Topic::new(settings("topic", 0));
    let appended = |topic: &mut Topic| -> Vec<(Position, u32)> {
        let requests = std::iter::from_fn(|| topic.poll_store());
        requests
            .filter_map(|request| match request {
                Request::Append(batch) => Some((batch.first, batch.count)),
                _ => None,
            })
            .collect()
    };
    for _ in 0..100 {
        publish(&mut topic, 1, b"m", Duration::ZERO).unwrap();
    }
    assert_eq!(appended(&mut topic), [(0, 1)], "the others wait for the first");
    assert!(!topic.is_stored(2));
    topic.handle_store(NOW, Event::Appended { first: 0 });
    assert_eq!(appended(&mut topic), [(1, 99)]);
    topic.handle_store(NOW, Event::Appended { first: 1 });
    assert!(topic.is_stored(100));
    assert_eq!(appended(&mut topic), []);
}

#[test]
fn a_batch_of_deferred_messages_may_be_longer_than_the_saved_state_knows() {
    let (mut topic, mut disk) = (Topic::new(settings("topic", 100)), Disk::default());
    subscribe(&mut topic, "c", 0);
    publish(&mut topic, 1, b"m", Duration::from_secs(60)).unwrap();
    topic.request_save(NOW);
    publish(&mut topic, 2, b"m", Duration::from_secs(60)).unwrap();
    let saved = std::iter::from_fn(|| topic.poll_store()).last();
    topic.request_save_all(NOW);
    disk.carry_out(&mut topic);
    // The daemon was killed before the last state was saved.
    let Some(Request::Save(image)) = saved else { panic!("{saved:?}") };
    disk.image = Some(image);

    let topic = disk.restored(settings("topic", 100));
    let channel = &topic.stats(NOW).channels[0];
    assert_eq!((channel.deferred, channel.depth), (1, 2));
}

#[test]
fn what_the_disk_refused_is_asked_again_before_the_daemon_stops() {
    let (mut topic, mut disk) = (Topic::new(settings("topic", 100)), Disk::default());
    publish(&mut topic, 60, b"m", Duration::ZERO).unwrap();
    publish(&mut topic, 60, b"m", Duration::ZERO).unwrap();
    refuse_all(&mut topic);
    assert!(topic.is_store_failing());
    topic.request_save_all(NOW);
    disk.carry_out(&mut topic);
    assert_eq!(disk.restored(settings("topic", 100)).stats(NOW).depth, 120);
}

#[test]
fn a_channel_that_is_found_elsewhere_misses_nothing_that_came_before_it() {
    let mut topic = Topic::new(settings("topic", 100));
    topic.expect_channels(NOW);
    publish(&mut topic, 2, b"early", Duration::ZERO).unwrap();
    let subscribed = subscribe(&mut topic, "here", 10);
    assert!(take(&mut topic, subscribed).is_empty(), "the others would miss it");
    topic.channels_known(NOW, ["here", "there"].map(|name| ChannelName::parse(name).unwrap()));
    assert_eq!(woken(&mut topic), [subscribed]);
    assert_eq!(take(&mut topic, subscribed).len(), 2);
    let late = subscribe(&mut topic, "there", 10);
    assert_eq!(take(&mut topic, late).len(), 2);
}

#[test]
fn several_channels_that_are_made_at_once_share_what_waited() {
    let mut topic = Topic::new(settings("topic", 100));
    publish(&mut topic, 2, b"early", Duration::ZERO).unwrap();
    topic.channels_known(NOW, ["a", "b"].map(|name| ChannelName::parse(name).unwrap()));
    for channel in ["a", "b"] {
        let consumer = subscribe(&mut topic, channel, 10);
        assert_eq!(take(&mut topic, consumer).len(), 2, "{channel}");
    }
}

/// A consumer elsewhere, one in the region and one in the zone, which came in this order and wait.
fn near_and_far(topic: &mut Topic, ready: u64) -> [ConsumerKey; 3] {
    let from = [Locality::Elsewhere, Locality::Region, Locality::Zone];
    let consumers = from.map(|locality| subscribe_from(topic, locality, "c", ready));
    for consumer in consumers {
        assert!(take(topic, consumer).is_empty());
    }
    consumers
}

#[test]
fn of_those_who_wait_the_nearest_is_woken() {
    let mut topic = Topic::new(settings("topic", 100));
    let [far, region, zone] = near_and_far(&mut topic, 1);
    for nearest in [zone, region, far] {
        publish(&mut topic, 1, b"m", Duration::ZERO).unwrap();
        assert_eq!(woken(&mut topic), [nearest]);
        assert_eq!(take(&mut topic, nearest), [b"m"]);
    }
    assert_eq!(topic.stats(NOW).channels[0].memory_deliveries, [1, 1, 1]);
}

#[test]
fn many_messages_wake_many_and_not_only_the_nearest() {
    let mut topic = Topic::new(settings("topic", 100));
    let [far, region, zone] = near_and_far(&mut topic, 100);
    publish(&mut topic, 90, b"m", Duration::ZERO).unwrap();
    assert_eq!(woken(&mut topic), [zone, region, far]);
    for consumer in [zone, region, far] {
        assert_eq!(take(&mut topic, consumer).len(), 30);
    }
}

#[test]
fn who_asks_unasked_leaves_a_message_to_the_nearer_who_was_woken_for_it() {
    let mut topic = Topic::new(settings("topic", 100));
    let [far, _, zone] = near_and_far(&mut topic, 1);
    publish(&mut topic, 1, b"m", Duration::ZERO).unwrap();
    assert_eq!(woken(&mut topic), [zone]);
    assert!(take(&mut topic, far).is_empty());
    assert_eq!(take(&mut topic, zone), [b"m"]);
}

#[test]
fn a_message_waits_for_nobody_near_who_cannot_take_it() {
    let leave: [fn(&mut Topic, ConsumerKey); 3] = [
        |topic, zone| {
            topic.unsubscribe(NOW, zone);
        },
        |topic, zone| {
            topic.set_ready(zone, 0);
            assert!(take(topic, zone).is_empty());
        },
        |topic, zone| assert!(!topic.deliver(NOW, zone, 0, |_| panic!("there is no room"))),
    ];
    for leave in leave {
        let mut topic = Topic::new(settings("topic", 100));
        let [far, region, zone] = near_and_far(&mut topic, 1);
        topic.unsubscribe(NOW, region);
        publish(&mut topic, 1, b"m", Duration::ZERO).unwrap();
        assert_eq!(woken(&mut topic), [zone]);
        assert!(take(&mut topic, far).is_empty());
        leave(&mut topic, zone);
        assert_eq!(woken(&mut topic), [far]);
        assert_eq!(take(&mut topic, far), [b"m"]);
    }
}
