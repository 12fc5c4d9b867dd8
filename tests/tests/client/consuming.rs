//! Messages from producers to consumers: how they arrive, are shared and are bounded.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use nsq::client::{ConnectionOptions, Consumer, ConsumerOptions, Message, OptionsError};
use nsq::wire::name::ChannelName;
use nsq_tests::{Daemon, SILENCE, shared};
use tokio::sync::mpsc;

use super::{CHANNEL, channel, consumer, consumer_options, expect_silence, producer, recv, text, topic};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_arrive_once_and_in_order() {
    let daemon = shared();
    let topic = topic("client_ten_thousand");
    let producer = producer(&[daemon.tcp]);
    let options = ConsumerOptions { max_in_flight: 500, ..consumer_options(&[daemon.tcp]) };
    let mut consumer = consumer(topic, options);
    let publish = async {
        let mut confirmations = Vec::new();
        for number in 0..10_000 {
            confirmations.push(producer.enqueue(&topic, number.to_string()).await.unwrap());
        }
        for confirmation in confirmations {
            confirmation.await.unwrap();
        }
    };
    let consume = async {
        for number in 0..10_000 {
            let message = recv(&mut consumer).await;
            assert_eq!(text(&message), number.to_string());
            assert_eq!(message.attempts(), 1);
            assert_eq!(message.nsqd(), daemon.tcp.to_string());
            message.finish();
        }
    };
    tokio::join!(publish, consume);
    assert_eq!(consumer.close().await, 0);
    producer.close().await;
    let stats = daemon.channel_stats(topic.as_str(), CHANNEL);
    for key in ["depth", "in_flight_count", "requeue_count", "timeout_count", "client_count"] {
        assert_eq!(stats[key], 0, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_all_kinds_arrive() {
    let daemon = shared();
    let topic = topic("client_kinds");
    let producer = producer(&[daemon.tcp]);
    let mut consumer = consumer(topic, consumer_options(&[daemon.tcp]));
    consumer.wait_for_connections(1).await;
    let published = Instant::now();
    producer.publish_deferred(&topic, Duration::from_millis(300), "later").await.unwrap();
    producer.publish(&topic, "one").await.unwrap();
    producer.publish_many(&topic, ["two", "three"]).await.unwrap();
    for expected in ["one", "two", "three", "later"] {
        let message = recv(&mut consumer).await;
        assert_eq!(text(&message), expected);
        message.finish();
    }
    assert!(published.elapsed() >= Duration::from_millis(300), "the delay has passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_of_a_channel_share_and_channels_get_copies() {
    let daemon = shared();
    let topic = topic("client_several");
    let (report, mut reported) = mpsc::channel(100);
    let mut consumers = Vec::new();
    for (index, channel) in ["one", "one", "two"].into_iter().enumerate() {
        let options = ConsumerOptions { max_in_flight: 5, ..consumer_options(&[daemon.tcp]) };
        let mut consumer = Consumer::start(topic, ChannelName::parse(channel).unwrap(), options).unwrap();
        consumer.wait_for_connections(1).await;
        let (report, closer) = (report.clone(), consumer.closer());
        let task = tokio::spawn(async move {
            while let Some(message) = consumer.recv().await {
                report.send((index, text(&message))).await.unwrap();
                message.finish();
            }
            consumer.close().await
        });
        consumers.push((task, closer));
    }
    let producer = producer(&[daemon.tcp]);
    producer.publish_many(&topic, (0..1000).map(|number| number.to_string())).await.unwrap();
    let mut got: HashMap<usize, BTreeSet<String>> = HashMap::new();
    for _ in 0..2000 {
        let (index, body) = reported.recv().await.unwrap();
        assert!(got.entry(index).or_default().insert(body), "no message comes twice");
    }
    for (task, closer) in consumers {
        closer.close();
        assert_eq!(task.await.unwrap(), 0);
    }
    assert!(!got[&0].is_empty() && !got[&1].is_empty(), "both took part");
    assert!(got[&0].is_disjoint(&got[&1]));
    assert_eq!((got[&0].len() + got[&1].len(), got[&2].len()), (1000, 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_in_flight_than_wanted_and_no_nsqd_starves() {
    let daemons: Vec<Daemon> = (0..3).map(|_| Daemon::start()).collect();
    let nsqd: Vec<_> = daemons.iter().map(|daemon| daemon.tcp).collect();
    let topic = topic("client_crowded");
    for daemon in &daemons {
        for number in 0..5 {
            daemon.publish(topic.as_str(), number.to_string());
        }
    }
    let options = ConsumerOptions { max_in_flight: 2, ..consumer_options(&nsqd) };
    let mut consumer = consumer(topic, options);
    let held = [recv(&mut consumer).await, recv(&mut consumer).await];
    expect_silence(&mut consumer, SILENCE).await;
    let mut got: BTreeSet<_> =
        held.iter().map(|message| (message.nsqd().to_owned(), text(message))).collect();
    held.into_iter().for_each(Message::finish);
    while got.len() < 15 {
        let message = recv(&mut consumer).await;
        assert!(got.insert((message.nsqd().to_owned(), text(&message))), "no message comes twice");
        message.finish();
    }
    assert_eq!(consumer.close().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nsqd_is_told_who_consumes() {
    let daemon = shared();
    let topic = topic("client_introduction");
    let connection = ConnectionOptions {
        client_id: "me".to_owned(),
        hostname: "here".to_owned(),
        topology_zone: "z".to_owned(),
        ..ConnectionOptions::default()
    };
    let options = ConsumerOptions { connection, sample_rate: 50, ..consumer_options(&[daemon.tcp]) };
    let mut consumer = consumer(topic, options);
    consumer.wait_for_connections(1).await;
    daemon.wait_for_channel(topic.as_str(), CHANNEL, "client_count", 1);
    let client = daemon.channel_stats(topic.as_str(), CHANNEL)["clients"][0].clone();
    let version = env!("CARGO_PKG_VERSION");
    for (key, value) in [
        ("client_id", "me"),
        ("hostname", "here"),
        ("topology_zone", "z"),
        ("user_agent", &format!("nsq-rust/{version}")),
    ] {
        assert_eq!(client[key], value, "{key}");
    }
    assert_eq!(client["sample_rate"], 50);
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let start = |options| Consumer::start(topic("client_options"), channel(), options).map(|_| ());
    assert_eq!(start(ConsumerOptions::default()), Err(OptionsError::NoAddress));
    let sound = ConsumerOptions { nsqd: vec!["127.0.0.1:1".to_owned()], ..ConsumerOptions::default() };
    let stuck = ConsumerOptions { max_in_flight: 0, ..sound.clone() };
    assert_eq!(start(stuck), Err(OptionsError::NothingInFlight));
    // What every nsqd refuses would only be seen in the log, again and again.
    let short = Duration::from_millis(999);
    let hurried = ConsumerOptions { msg_timeout: Some(short), ..sound.clone() };
    assert_eq!(start(hurried), Err(OptionsError::MsgTimeout(short)));
    let greedy = ConsumerOptions { sample_rate: 100, ..sound.clone() };
    assert_eq!(start(greedy), Err(OptionsError::SampleRate(100)));
    let connection = ConnectionOptions { heartbeat_interval: short, ..ConnectionOptions::default() };
    assert_eq!(start(ConsumerOptions { connection, ..sound }), Err(OptionsError::HeartbeatInterval(short)));
}
