//! What a message costs in the broker, without sockets and disk.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nsq::wire::message::MessageId;
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::{ConsumerKey, ConsumerSettings, Locality, Now, Publication, Topic, TopicSettings};

const BODY: [u8; 200] = [b'x'; 200];
const BATCH: u64 = 100;

fn topic() -> Topic {
    Topic::new(TopicSettings {
        name: TopicName::parse("bench").expect("a valid name"),
        node_id: 1,
        durability: nsqd_broker::storage::Durability::Memory,
        chosen_durability: None,
        memory_messages_max: 10_000_000,
        channel_consumers_max: 0,
        requeue_on_disconnect: true,
        latency_window: None,
        save_interval: Duration::from_secs(2),
    })
}

fn now(step: u64) -> Now {
    Now { monotonic_ns: step * 100_000, unix_ns: 1_800_000_000_000_000_000 + step as i64 * 100_000 }
}

fn publish(topic: &mut Topic, step: u64) {
    let mut publication = Publication::new(10_000_000);
    for left in (0..BATCH).rev() {
        publication.push(&BODY, left as usize * BODY.len());
    }
    topic.publish(now(step), publication).expect("memory has room");
}

fn subscribe(topic: &mut Topic, channel: &str, ready: u64) -> ConsumerKey {
    let channel = topic.create_channel(now(0), ChannelName::parse(channel).expect("a valid name"));
    let settings = ConsumerSettings {
        msg_timeout: Duration::from_secs(60),
        locality: Locality::Elsewhere,
        sample_rate: 0,
    };
    let consumer = topic.subscribe(channel, settings).expect("there is no limit");
    topic.set_ready(consumer, ready);
    consumer
}

/// Delivers up to a batch, and remembers the ids.
fn deliver(topic: &mut Topic, consumer: ConsumerKey, step: u64, out: &mut Vec<u8>, ids: &mut Vec<MessageId>) {
    out.clear();
    let mut starts = Vec::with_capacity(BATCH as usize);
    topic.deliver(now(step), consumer, BATCH as usize * 234, |delivery| {
        starts.push(out.len());
        delivery.write_to(out);
    });
    ids.extend(starts.iter().map(|at| MessageId(out[at + 18..at + 34].try_into().expect("an id"))));
    while topic.poll_wake().is_some() {}
    while topic.poll_store().is_some() {}
}

fn life_of_a_message(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("broker");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("publish, deliver, finish; 100 k in flight", |bencher| {
        let mut topic = topic();
        let consumer = subscribe(&mut topic, "channel", 200_000);
        let (mut step, mut out) = (0, Vec::new());
        let mut in_flight = Vec::new();
        for _ in 0..1000 {
            step += 1;
            publish(&mut topic, step);
            deliver(&mut topic, consumer, step, &mut out, &mut in_flight);
        }
        assert_eq!(in_flight.len(), 100_000);
        let mut in_flight = std::collections::VecDeque::from(in_flight);
        let mut ids = Vec::new();
        bencher.iter(|| {
            step += 1;
            publish(&mut topic, step);
            ids.clear();
            deliver(&mut topic, consumer, step, &mut out, &mut ids);
            in_flight.extend(&ids);
            for id in in_flight.drain(..BATCH as usize) {
                topic.finish(now(step), consumer, id).expect("it is in flight");
            }
        });
        assert_eq!(in_flight.len(), 100_000);
    });
    for channels in [1, 50] {
        group.bench_function(format!("publish to {channels} channels"), |bencher| {
            let mut topic = topic();
            let names: Vec<_> =
                (0..channels).map(|n| ChannelName::parse(format!("c{n}")).expect("a valid name")).collect();
            for name in &names {
                topic.create_channel(now(0), *name);
            }
            let mut step = 0;
            // The backlog is dropped now and then, outside of the measurement.
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    step += 1;
                    let begun = std::time::Instant::now();
                    publish(black_box(&mut topic), step);
                    spent += begun.elapsed();
                    if step % 1000 == 0 {
                        for name in &names {
                            topic.empty_channel(now(step), name);
                        }
                        while topic.poll_store().is_some() {}
                    }
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, life_of_a_message);
criterion_main!(benches);
