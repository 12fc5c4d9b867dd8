//! What a producer confirms, refuses, and does when it closes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use nsq::client::{OptionsError, Producer, ProducerOptions, PublishError};
use nsq_tests::{Daemon, shared};

use super::{addresses, producer, producer_options, topic};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_does_not_take_others_with_it() {
    let daemon = Daemon::with(&["--max-msg-size=10"]);
    let topic = topic("client_refused");
    let producer = producer(&[daemon.tcp]);
    let mut confirmations = Vec::new();
    for body in ["small", "much too large", "small", "again too large", "small"] {
        confirmations.push((body, producer.enqueue(&topic, body).await.unwrap()));
    }
    for (body, confirmation) in confirmations {
        match (body, confirmation.await) {
            ("small", Ok(())) => {}
            (_, Err(PublishError::Refused(error))) if body != "small" => {
                assert_eq!(error.code(), "E_BAD_MESSAGE")
            }
            (_, outcome) => panic!("{body}: {outcome:?}"),
        }
    }
    assert_eq!(daemon.topic_stats(topic.as_str())["depth"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_confirms_what_was_accepted_and_takes_nothing_more() {
    let daemon = shared();
    let topic = topic("client_producer_close");
    let producer = producer(&[daemon.tcp]);
    let mut confirmations = Vec::new();
    for number in 0..500 {
        confirmations.push(producer.enqueue(&topic, number.to_string()).await.unwrap());
    }
    producer.close().await;
    assert!(matches!(producer.publish(&topic, "late").await, Err(PublishError::Closed)));
    for confirmation in confirmations {
        confirmation.await.unwrap();
    }
    assert_eq!(daemon.topic_stats(topic.as_str())["depth"], 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_published_though_the_producer_is_dropped() {
    let daemon = shared();
    let topic = topic("client_producer_drop");
    let producer = producer(&[daemon.tcp]);
    let confirmation = producer.enqueue(&topic, "last").await.unwrap();
    drop(producer);
    confirmation.await.unwrap();
    assert_eq!(daemon.topic_stats(topic.as_str())["depth"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_not_published() {
    let producer = producer(&[shared().tcp]);
    let topic = topic("client_nothing");
    assert!(matches!(producer.publish(&topic, "").await, Err(PublishError::Empty)));
    assert!(matches!(producer.publish_many(&topic, ["a", ""]).await, Err(PublishError::Empty)));
    assert!(matches!(producer.publish_many(&topic, [""; 0]).await, Err(PublishError::Empty)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_nsqd_publishing_fails_with_the_cause() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let nobody: SocketAddr = free.local_addr().unwrap();
    drop(free);
    let producer = producer(&[nobody]);
    let error = producer.publish(&topic("client_nobody"), "lost").await.unwrap_err();
    let PublishError::Unreachable(cause) = error else { panic!("{error:?}") };
    assert_eq!(cause.to_string(), format!("cannot connect to {nobody}"));
    producer.close().await;
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let none = Producer::start([""; 0], producer_options());
    assert_eq!(none.unwrap_err(), OptionsError::NoAddress);
    let options = ProducerOptions { max_in_flight: 0, ..producer_options() };
    let stuck = Producer::start(addresses(&[SocketAddr::from(([127, 0, 0, 1], 1))]), options);
    assert_eq!(stuck.unwrap_err(), OptionsError::NothingInFlight);
}
