//! The client library against the built daemon: what its users may rely on, one file a subject.
//!
//! A test that stops a daemon has its own; the others share one and have topics of their own.

mod consuming;
mod failures;
mod finding;
mod http;
mod publishing;
mod settling;

use std::net::SocketAddr;
use std::time::Duration;

use nsq::client::{Backoff, Consumer, ConsumerOptions, Message, Producer, ProducerOptions};
use nsq::wire::name::{ChannelName, TopicName};
use nsq_tests::PATIENCE;
use tokio::time::timeout;

/// Short pauses: a test has no reason to wait for long ones.
const QUICK: Backoff = Backoff { first: Duration::from_millis(10), max: Duration::from_millis(100) };

/// The channel of tests that need one.
const CHANNEL: &str = "channel";

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).expect("tests give valid names")
}

fn channel() -> ChannelName {
    ChannelName::parse(CHANNEL).expect("tests give valid names")
}

fn addresses(nsqd: &[SocketAddr]) -> Vec<String> {
    nsqd.iter().map(ToString::to_string).collect()
}

fn producer_options() -> ProducerOptions {
    ProducerOptions { reconnect: QUICK, ..ProducerOptions::default() }
}

/// A producer that tries nothing again.
fn producer(nsqd: &[SocketAddr]) -> Producer {
    Producer::start(addresses(nsqd), producer_options()).expect("there is an address")
}

/// Options of a consumer of these nsqd that never slows down.
fn consumer_options(nsqd: &[SocketAddr]) -> ConsumerOptions {
    let never = Backoff { first: Duration::ZERO, max: Duration::ZERO };
    ConsumerOptions { nsqd: addresses(nsqd), reconnect: QUICK, backoff: never, ..ConsumerOptions::default() }
}

fn consumer(topic: TopicName, options: ConsumerOptions) -> Consumer {
    Consumer::start(topic, channel(), options).expect("there is an address")
}

/// The next message, which must come.
async fn recv(consumer: &mut Consumer) -> Message {
    let received = timeout(PATIENCE, consumer.recv()).await;
    received.expect("a message comes in time").expect("the consumer is not closing")
}

/// No message comes for so long.
async fn expect_silence(consumer: &mut Consumer, duration: Duration) {
    let received = timeout(duration, consumer.recv()).await;
    assert!(received.is_err(), "unexpectedly {received:?}");
}

fn text(message: &Message) -> String {
    String::from_utf8(message.body().to_vec()).expect("tests publish text")
}
