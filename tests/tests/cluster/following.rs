//! Consumers that know nsqlookupd only: they follow their topic, and nothing that was acknowledged is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use nsq::client::{Backoff, Consumer, ConsumerOptions, Producer, ProducerOptions};
use nsq::wire::name::{ChannelName, TopicName};
use nsq_tests::{Daemon, Lookupd, PATIENCE, cluster};
use tokio::time::timeout;

const QUICK: Backoff = Backoff { first: Duration::from_millis(10), max: Duration::from_millis(100) };

fn topic() -> TopicName {
    TopicName::parse("t").expect("it is valid")
}

/// A consumer that asks these services, often.
fn consumer(channel: &str, services: &[&Lookupd]) -> Consumer {
    let options = ConsumerOptions {
        lookupd: services.iter().map(|service| service.http.to_string()).collect(),
        lookup_interval: Duration::from_millis(100),
        lookup_timeout: Duration::from_secs(1),
        reconnect: QUICK,
        ..ConsumerOptions::default()
    };
    Consumer::start(topic(), ChannelName::parse(channel).expect("it is valid"), options)
        .expect("there is a service")
}

/// A producer that tries again until its nsqd is there.
fn producer(daemon: &Daemon) -> Producer {
    let options = ProducerOptions { retries: 1000, reconnect: QUICK, ..ProducerOptions::default() };
    Producer::start([daemon.tcp.to_string()], options).expect("there is an address")
}

/// Receives until nothing of `wanted` is missing; gives the nsqd that the messages came from.
async fn receive(
    consumer: &mut Consumer,
    missing: &mut BTreeSet<String>,
    wanted: &BTreeSet<String>,
) -> BTreeSet<String> {
    let mut from = BTreeSet::new();
    while !missing.is_disjoint(wanted) {
        let received = timeout(PATIENCE, consumer.recv()).await;
        let Ok(received) = received else {
            panic!("{} never came, {:?} is one", missing.len(), missing.first())
        };
        let message = received.expect("the consumer is not closing");
        missing.remove(std::str::from_utf8(message.body()).expect("tests publish text"));
        from.insert(message.nsqd().to_owned());
        message.finish();
    }
    from
}

fn numbers(range: std::ops::Range<usize>) -> BTreeSet<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_follows_its_topic_from_one_nsqd_to_another() {
    let service = cluster::lookupd(&[]);
    let (first, second) = (cluster::nsqd(&[&service], &[]), cluster::nsqd(&[&service], &[]));
    let mut consumer = consumer("c", &[&service]);
    for number in 0..300 {
        first.publish("t", number.to_string());
    }
    let mut missing = numbers(0..601);
    let from = receive(&mut consumer, &mut missing, &numbers(0..50)).await;
    assert_eq!(from, [first.tcp.to_string()].into());
    let stopped = first.stop();
    for number in 300..600 {
        second.publish("t", number.to_string());
    }
    let from = receive(&mut consumer, &mut missing, &numbers(300..600)).await;
    assert!(from.contains(&second.tcp.to_string()));
    // The first is back with what it had left.
    let first = stopped.start_in_place();
    first.publish("t", "600");
    let from = receive(&mut consumer, &mut missing, &numbers(0..601)).await;
    assert!(from.contains(&first.tcp.to_string()));
    consumer.close().await;
    for daemon in [&first, &second] {
        let channel = daemon.channel_stats("t", "c");
        assert_eq!((&channel["depth"], &channel["in_flight_count"]), (&0.into(), &0.into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_while_one_of_each_kind_restarts() {
    const EACH: usize = 2_000;
    let (one, other) = (cluster::lookupd(&[]), cluster::lookupd(&[]));
    let mut daemons: Vec<Daemon> = (0..3).map(|_| cluster::nsqd(&[&one, &other], &[])).collect();
    let mut consumers = Vec::new();
    for channel in ["a", "b"] {
        for daemon in &daemons {
            daemon.act("/topic/create?topic=t");
            daemon.act(&format!("/channel/create?topic=t&channel={channel}"));
        }
        let mut consumer = consumer(channel, &[&one, &other]);
        consumers.push(tokio::spawn(async move {
            let all = numbers(0..3 * EACH);
            receive(&mut consumer, &mut all.clone(), &all).await
        }));
    }
    let mut publishing = Vec::new();
    for (index, daemon) in daemons.iter().enumerate() {
        let producer = producer(daemon);
        publishing.push(tokio::spawn(async move {
            for number in index * EACH..(index + 1) * EACH {
                producer.publish(&topic(), number.to_string()).await.expect("it is tried again");
            }
            producer.close().await;
        }));
    }
    let stopped = daemons.remove(0).stop();
    let place = one.place();
    one.stop();
    let restarted = stopped.start_in_place();
    let one = place.start();
    for published in publishing {
        published.await.expect("all is published");
    }
    let addresses: BTreeSet<String> =
        daemons.iter().chain([&restarted]).map(|daemon| daemon.tcp.to_string()).collect();
    for consumer in consumers {
        assert_eq!(consumer.await.expect("all is received"), addresses);
    }
    drop(one);
}
