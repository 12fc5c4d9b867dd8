//! Daemons that stop, come back or fall silent, and consumers that close: nothing acknowledged is lost.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use nsq::client::{ConnectionOptions, ConsumerOptions, Producer, ProducerOptions, PublishError};
use nsq_tests::daemon::Stopped;
use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, PATIENCE, differences, shared};

use super::{CHANNEL, addresses, consumer, consumer_options, producer, producer_options, recv, text, topic};

/// A client's state in the statistics after its `CLS`.
const CLOSING: i32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn producer_and_consumer_come_back_with_the_daemon() {
    let daemon = Daemon::start();
    let address = daemon.tcp;
    let topic = topic("client_restart");
    let options = ProducerOptions { retries: 1000, ..producer_options() };
    let producer = Producer::start(addresses(&[address]), options).unwrap();
    let mut consumer = consumer(topic, consumer_options(&[address]));
    consumer.wait_for_connections(1).await;
    for number in 0..100 {
        producer.publish(&topic, number.to_string()).await.unwrap();
    }
    let held = recv(&mut consumer).await;

    let stopped = daemon.stop();
    let publishing = tokio::spawn(async move {
        for number in 100..200 {
            producer.publish(&topic, number.to_string()).await.unwrap();
        }
        producer.close().await;
    });
    let daemon = start_at(stopped, address);
    publishing.await.unwrap();

    assert!(held.is_lost(), "its connection is gone");
    held.finish();
    let mut missing: BTreeSet<String> = (0..200).map(|number| number.to_string()).collect();
    while !missing.is_empty() {
        let message = recv(&mut consumer).await;
        missing.remove(&text(&message));
        message.finish();
    }
    assert_eq!(consumer.close().await, 0);
    assert_eq!(daemon.channel_stats(topic.as_str(), CHANNEL)["depth"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_retries_the_caller_learns_that_the_daemon_is_gone() {
    let daemon = Daemon::start();
    let topic = topic("client_gone");
    let producer = producer(&[daemon.tcp]);
    producer.publish(&topic, "before").await.unwrap();
    let stopped = daemon.kill();
    let error = producer.publish(&topic, "after").await.unwrap_err();
    assert!(matches!(error, PublishError::Lost(_) | PublishError::Unreachable(_)), "{error:?}");
    drop(stopped);
    let error = producer.publish(&topic, "later").await.unwrap_err();
    assert!(matches!(error, PublishError::Unreachable(_)), "{error:?}");
    producer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_cannot_be_published_to_holds_up_no_other() {
    if differences::is_original() {
        // It has a durability for the daemon only.
        return;
    }
    let daemon = Daemon::with(&["--min-free-disk=4611686018427387904"]);
    let (durable, light) = (topic("client_durable"), topic("client_light"));
    daemon.act("/topic/create?topic=client_durable&durability=os");
    let producer = producer(&[daemon.tcp]);
    let mut confirmations = Vec::new();
    for number in 0..100 {
        for topic in [&durable, &light] {
            confirmations.push(producer.enqueue(topic, number.to_string()).await.unwrap());
        }
    }
    for (place, confirmation) in confirmations.into_iter().enumerate() {
        match confirmation.await {
            Err(PublishError::Refused(error)) if place % 2 == 0 => assert_eq!(error.code(), "E_PUB_FAILED"),
            outcome => assert!(outcome.is_ok() && place % 2 == 1, "{place}: {outcome:?}"),
        }
    }
    producer.close().await;
    assert_eq!(daemon.topic_stats("client_light")["depth"], 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_nsqd_takes_over_and_what_was_confirmed_is_somewhere() {
    let (first, second) = (Daemon::start(), Daemon::start());
    let topic = topic("client_failover");
    let options = ProducerOptions { retries: 10, ..producer_options() };
    let producer = Producer::start(addresses(&[first.tcp, second.tcp]), options).unwrap();
    producer.publish(&topic, "0").await.unwrap();
    assert_eq!(first.topic_stats(topic.as_str())["depth"], 1, "the first is preferred");
    let publishing = {
        let producer = producer.clone();
        tokio::spawn(async move {
            let mut confirmations = Vec::new();
            for number in 1..5000 {
                confirmations.push(producer.enqueue(&topic, number.to_string()).await.unwrap());
            }
            for confirmation in confirmations {
                confirmation.await.unwrap();
            }
        })
    };
    let stopped = first.stop();
    publishing.await.unwrap();
    producer.publish(&topic, "5000").await.unwrap();
    producer.close().await;

    let first = stopped.start_again();
    let mut consumer = consumer(topic, consumer_options(&[first.tcp, second.tcp]));
    let mut missing: BTreeSet<String> = (0..=5000).map(|number| number.to_string()).collect();
    let mut last_from = String::new();
    while !missing.is_empty() {
        let message = recv(&mut consumer).await;
        missing.remove(&text(&message));
        if text(&message) == "5000" {
            last_from = message.nsqd().to_owned();
        }
        message.finish();
    }
    assert_eq!(last_from, second.tcp.to_string());
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_for_work_and_gives_the_rest_back() {
    let daemon = shared();
    let topic = topic("client_close");
    for number in 0..20 {
        daemon.publish(topic.as_str(), number.to_string());
    }
    let options = ConsumerOptions { max_in_flight: 10, ..consumer_options(&[daemon.tcp]) };
    let mut closing = consumer(topic, options.clone());
    let in_work = vec![recv(&mut closing).await, recv(&mut closing).await];
    let mut done: BTreeSet<String> = in_work.iter().map(text).collect();
    daemon.wait_for_channel(topic.as_str(), CHANNEL, "in_flight_count", 10);

    let closer = closing.closer();
    closer.close();
    assert!(closing.recv().await.is_none(), "nothing more is received");
    let closed = tokio::spawn(closing.close());
    daemon.wait_for_channel(topic.as_str(), CHANNEL, "in_flight_count", 2);
    assert!(!closed.is_finished(), "two are still worked on");
    in_work.into_iter().for_each(nsq::client::Message::finish);
    assert_eq!(closed.await.unwrap(), 0);
    let stats = daemon.channel_stats(topic.as_str(), CHANNEL);
    assert_eq!((&stats["depth"], &stats["timeout_count"]), (&18.into(), &0.into()));

    let mut other = consumer(topic, options);
    while done.len() < 20 {
        let message = recv(&mut other).await;
        assert!(done.insert(text(&message)), "what was finished does not come again");
        message.finish();
    }
    assert_eq!(other.close().await, 0);
    assert_eq!(daemon.channel_stats(topic.as_str(), CHANNEL)["depth"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_does_not_wait_for_ever() {
    let daemon = shared();
    let topic = topic("client_grace");
    daemon.publish(topic.as_str(), "stuck");
    let options = ConsumerOptions { grace: Duration::from_millis(50), ..consumer_options(&[daemon.tcp]) };
    let mut consumer = consumer(topic, options);
    let message = recv(&mut consumer).await;
    assert_eq!(consumer.close().await, 1, "one message was not settled");
    assert!(message.is_lost());
    daemon.wait_for_channel(topic.as_str(), CHANNEL, "client_count", 0);
    let has_it = if differences::lost_connection_requeues_at_once() { "depth" } else { "in_flight_count" };
    assert_eq!(daemon.channel_stats(topic.as_str(), CHANNEL)[has_it], 1, "nsqd has it again");
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_may_wait_for_as_long_as_it_takes() {
    let daemon = shared();
    let topic = topic("client_endless_grace");
    daemon.publish(topic.as_str(), "in work");
    let options = ConsumerOptions { grace: Duration::MAX, ..consumer_options(&[daemon.tcp]) };
    let mut consumer = consumer(topic, options);
    let message = recv(&mut consumer).await;
    let closed = tokio::spawn(consumer.close());
    let state = || daemon.channel_stats(topic.as_str(), CHANNEL)["clients"][0]["state"].clone();
    eventually("nsqd is told to send no more", state, |state| *state == CLOSING);
    assert!(!message.is_lost() && !closed.is_finished());
    message.finish();
    assert_eq!(closed.await.unwrap(), 0);
    let stats = daemon.channel_stats(topic.as_str(), CHANNEL);
    for key in ["depth", "in_flight_count", "requeue_count", "timeout_count"] {
        assert_eq!(stats[key], 0, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_consumer_gives_everything_back() {
    let daemon = shared();
    let topic = topic("client_drop");
    for number in 0..10 {
        daemon.publish(topic.as_str(), number.to_string());
    }
    let mut consumer = consumer(topic, consumer_options(&[daemon.tcp]));
    recv(&mut consumer).await.finish();
    drop(consumer);
    daemon.wait_for_channel(topic.as_str(), CHANNEL, "client_count", 0);
    let stats = daemon.channel_stats(topic.as_str(), CHANNEL);
    assert_eq!((&stats["depth"], &stats["timeout_count"]), (&9.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nsqd_that_falls_silent_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, accepts) = mpsc::channel();
    std::thread::spawn(move || {
        let mut connections = Vec::new();
        while let Ok((mut connection, _)) = listener.accept() {
            let mut introduction = [0; 4096];
            let _ = connection.read(&mut introduction);
            // The answers to IDENTIFY and SUB; then not a word.
            let _ = connection.write_all(b"\0\0\0\x06\0\0\0\0{}\0\0\0\x06\0\0\0\0OK");
            connections.push(connection);
            if accepted.send(()).is_err() {
                return;
            }
        }
    });
    let second = Duration::from_secs(1);
    let connection = ConnectionOptions { heartbeat_interval: second, ..ConnectionOptions::default() };
    let options = ConsumerOptions { connection, ..consumer_options(&[address]) };
    let mut consumer = consumer(topic("client_silent"), options);
    consumer.wait_for_connections(1).await;
    accepts.recv_timeout(PATIENCE).expect("it is connected to");
    accepts.recv_timeout(PATIENCE).expect("it is connected to again");
}

/// The daemon again, where its clients look for it.
fn start_at(stopped: Stopped, address: SocketAddr) -> Daemon {
    stopped.start_with(&[&format!("--tcp-address={address}")])
}
