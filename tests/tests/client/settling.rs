//! What becomes of a message in a consumer's hands: finished, requeued, touched, dropped, given up.

use std::time::{Duration, Instant};

use nsq::client::{AttemptsLimit, Backoff, ConnectionOptions, ConsumerOptions};
use nsq_tests::shared;
use tokio::sync::mpsc;

use super::{CHANNEL, consumer, consumer_options, expect_silence, recv, text, topic};

#[tokio::test(flavor = "multi_thread")]
async fn a_requeued_message_comes_again_after_its_delay() {
    let daemon = shared();
    let topic = topic("client_requeue");
    let requeue = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) };
    let mut consumer = consumer(topic, ConsumerOptions { requeue, ..consumer_options(&[daemon.tcp]) });
    daemon.publish(topic.as_str(), "again");
    let began = Instant::now();
    recv(&mut consumer).await.requeue(Duration::from_millis(300));
    let message = recv(&mut consumer).await;
    assert_eq!(message.attempts(), 2);
    assert!(began.elapsed() >= Duration::from_millis(300));
    message.release();
    let message = recv(&mut consumer).await;
    assert_eq!(message.attempts(), 3);
    let failed = Instant::now();
    message.fail();
    let message = recv(&mut consumer).await;
    assert!(failed.elapsed() >= 4 * requeue.first, "the third failure doubles the delay twice");
    let dropped = Instant::now();
    drop(message);
    let message = recv(&mut consumer).await;
    assert_eq!(message.attempts(), 5);
    assert!(dropped.elapsed() >= 8 * requeue.first, "what is dropped has failed");
    message.finish();
    assert_eq!(consumer.close().await, 0);
    assert_eq!(daemon.channel_stats(topic.as_str(), CHANNEL)["requeue_count"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_delay_is_as_long_as_nsqd_allows() {
    let daemon = shared();
    let topic = topic("client_longest_delay");
    let mut consumer = consumer(topic, consumer_options(&[daemon.tcp]));
    daemon.publish(topic.as_str(), "much later");
    recv(&mut consumer).await.requeue(Duration::MAX);
    daemon.wait_for_channel(topic.as_str(), CHANNEL, "requeue_count", 1);
    assert_eq!(daemon.channel_stats(topic.as_str(), CHANNEL)["deferred_count"], 1);
    assert_eq!(consumer.close().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_slow_the_consumer_down_until_work_succeeds() {
    let daemon = shared();
    let topic = topic("client_backoff");
    for number in 0..20 {
        daemon.publish(topic.as_str(), number.to_string());
    }
    let backoff = Backoff { first: Duration::from_millis(300), max: Duration::from_secs(2) };
    let options = ConsumerOptions { backoff, max_in_flight: 1, ..consumer_options(&[daemon.tcp]) };
    let mut consumer = consumer(topic, options);
    let failed = Instant::now();
    recv(&mut consumer).await.requeue(Duration::from_secs(60));
    let message = recv(&mut consumer).await;
    assert!(failed.elapsed() >= Duration::from_millis(300), "the first failure pauses");
    let failed = Instant::now();
    message.requeue(Duration::from_secs(60));
    let message = recv(&mut consumer).await;
    assert!(failed.elapsed() >= Duration::from_millis(600), "the second pauses for longer");
    let succeeded = Instant::now();
    message.finish();
    let message = recv(&mut consumer).await;
    assert!(succeeded.elapsed() >= Duration::from_millis(300), "a success makes good for one failure");
    let open = Instant::now();
    message.finish();
    for _ in 0..16 {
        recv(&mut consumer).await.finish();
    }
    assert!(open.elapsed() < Duration::from_secs(3), "the rest comes without pauses");
    assert_eq!(consumer.close().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_failed_too_often_goes_to_the_given_function_and_is_never_finished_for_it() {
    let daemon = shared();
    let topic = topic("client_attempts");
    daemon.publish(topic.as_str(), "poison");
    let (give_up, mut given_up) = mpsc::channel(10);
    // Gives the message back the first time, and finishes it the second.
    let limit = AttemptsLimit::new(2, move |message| {
        give_up.try_send((text(&message), message.attempts())).unwrap();
        if message.attempts() == 3 { message.release() } else { message.finish() }
    });
    let options = ConsumerOptions { attempts: Some(limit), ..consumer_options(&[daemon.tcp]) };
    let mut consumer = consumer(topic, options);
    for attempts in [1, 2] {
        let message = recv(&mut consumer).await;
        assert_eq!(message.attempts(), attempts);
        message.release();
    }
    for attempts in [3, 4] {
        tokio::select! {
            received = recv(&mut consumer) => panic!("{received:?} was to be given up"),
            given_up = given_up.recv() => assert_eq!(given_up, Some(("poison".to_owned(), attempts))),
        }
    }
    assert_eq!(consumer.close().await, 0);
    let stats = daemon.channel_stats(topic.as_str(), CHANNEL);
    for (key, expected) in [("depth", 0), ("in_flight_count", 0), ("requeue_count", 3)] {
        assert_eq!(stats[key], expected, "{key}");
    }
}

/// Also longer than two heartbeats: without answers nsqd would have closed the connection.
#[tokio::test(flavor = "multi_thread")]
async fn long_work_keeps_its_message_by_itself() {
    let daemon = shared();
    let topic = topic("client_auto_touch");
    let mut consumer = consumer(topic, ConsumerOptions { auto_touch: true, ..hurried(&[daemon.tcp]) });
    daemon.publish(topic.as_str(), "long");
    let message = recv(&mut consumer).await;
    expect_silence(&mut consumer, Duration::from_millis(2500)).await;
    assert!(!message.is_lost());
    message.finish();
    assert_eq!(consumer.close().await, 0);
    let stats = daemon.channel_stats(topic.as_str(), CHANNEL);
    assert_eq!((&stats["timeout_count"], &stats["depth"]), (&0.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touched_message_has_more_time_and_an_untouched_one_comes_again() {
    let daemon = shared();
    let topic = topic("client_touch");
    let mut consumer = consumer(topic, hurried(&[daemon.tcp]));
    daemon.publish(topic.as_str(), "long");
    let message = recv(&mut consumer).await;
    for _ in 0..4 {
        expect_silence(&mut consumer, Duration::from_millis(500)).await;
        message.touch();
    }
    let touched = Instant::now();
    let again = recv(&mut consumer).await;
    assert_eq!((again.id(), again.attempts()), (message.id(), 2));
    assert!(touched.elapsed() >= Duration::from_millis(800), "the last touch still counted");
    // It is the same message, so either may finish it.
    message.finish();
    again.finish();
    assert_eq!(consumer.close().await, 0);
    let stats = daemon.channel_stats(topic.as_str(), CHANNEL);
    for (key, expected) in [("timeout_count", 1), ("depth", 0), ("in_flight_count", 0), ("requeue_count", 0)]
    {
        assert_eq!(stats[key], expected, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_unreceived_for_too_long_is_not_worked_on_twice() {
    let daemon = shared();
    let topic = topic("client_stale");
    let options = ConsumerOptions { max_in_flight: 2, ..hurried(&[daemon.tcp]) };
    let mut consumer = consumer(topic, options);
    daemon.publish(topic.as_str(), "one");
    daemon.publish(topic.as_str(), "two");
    // Both lie here until their time is up: nsqd has taken them back.
    daemon.wait_for_channel(topic.as_str(), CHANNEL, "timeout_count", 2);
    let mut got = Vec::new();
    while got.len() < 2 {
        let message = recv(&mut consumer).await;
        assert!(message.attempts() > 1, "the first delivery is stale");
        got.push(text(&message));
        message.finish();
    }
    got.sort();
    assert_eq!(got, ["one", "two"]);
    assert_eq!(consumer.close().await, 0);
    let stats = daemon.channel_stats(topic.as_str(), CHANNEL);
    for key in ["requeue_count", "depth", "in_flight_count"] {
        assert_eq!(stats[key], 0, "{key}");
    }
}

/// A consumer with the shortest message timeout and heartbeats that nsqd allows.
fn hurried(nsqd: &[std::net::SocketAddr]) -> ConsumerOptions {
    let second = Duration::from_secs(1);
    let connection = ConnectionOptions { heartbeat_interval: second, ..ConnectionOptions::default() };
    ConsumerOptions { msg_timeout: Some(second), connection, max_in_flight: 5, ..consumer_options(nsqd) }
}
