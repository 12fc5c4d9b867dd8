//! What tokio-nsq can do with nsqd and nsqlookupd. It counts no attempts and does not back off: that is left to programs.
//! `make clients-rust` leaves out what the daemon is said not to have yet.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nsq_tests_rust::{AuthorizationServer, Daemon, certificate, in_time, wait_until};
use rustls::ClientConfig;
use rustls::internal::pemfile;
use serde_json::Value;
use tokio_nsq::{
    NSQChannel, NSQConfigShared, NSQConfigSharedCompression, NSQConfigSharedTLS, NSQConsumer,
    NSQConsumerConfig, NSQConsumerConfigSources, NSQConsumerLookupConfig, NSQDeflateLevel, NSQEvent,
    NSQProducer, NSQProducerConfig, NSQRequeueDelay, NSQTopic,
};

const TOPIC: &str = "orders";

/// How long something must not happen.
const REFUSED_AFTER: Duration = Duration::from_millis(500);

fn topic() -> Arc<NSQTopic> {
    NSQTopic::new(TOPIC).unwrap()
}

/// The library's own, but for waits that a test would notice.
fn shared() -> NSQConfigShared {
    NSQConfigShared::new()
        .set_flush_interval(Duration::from_millis(10))
        .set_backoff_max_wait(Duration::from_millis(500))
}

/// A producer that is not connected yet.
fn new_producer(nsqd: &Daemon, shared: NSQConfigShared) -> NSQProducer {
    NSQProducerConfig::new(&nsqd.tcp).set_shared(shared).build()
}

async fn producer(nsqd: &Daemon, shared: NSQConfigShared) -> NSQProducer {
    let mut producer = new_producer(nsqd, shared);
    wait_for(&mut producer, |event| matches!(event, NSQEvent::Healthy())).await;
    producer
}

async fn wait_for(producer: &mut NSQProducer, is: impl Fn(&NSQEvent) -> bool) {
    while !is(&in_time(producer.consume()).await.unwrap()) {}
}

/// Whether the connection ends, or is not ready after a while.
async fn is_refused(nsqd: &Daemon, shared: NSQConfigShared) -> bool {
    let event = tokio::time::timeout(REFUSED_AFTER, new_producer(nsqd, shared).consume()).await;
    !matches!(event, Ok(Some(NSQEvent::Healthy())))
}

async fn publish_all(producer: &mut NSQProducer, bodies: &[Vec<u8>]) {
    for body in bodies {
        producer.publish(&topic(), body.clone()).await.unwrap();
        wait_for(producer, |event| matches!(event, NSQEvent::Ok())).await;
    }
}

async fn publish_batch(producer: &mut NSQProducer, bodies: &[Vec<u8>]) {
    producer.publish_multiple(&topic(), bodies.to_vec()).await.unwrap();
    wait_for(producer, |event| matches!(event, NSQEvent::Ok())).await;
}

fn consumer(sources: NSQConsumerConfigSources, shared: NSQConfigShared, max_in_flight: u32) -> NSQConsumer {
    NSQConsumerConfig::new(topic(), NSQChannel::new("billing").unwrap())
        .set_sources(sources)
        .set_shared(shared)
        .set_max_in_flight(max_in_flight)
        .set_rebalance_interval(Duration::from_millis(100))
        .build()
}

fn consumer_of(nsqd: &Daemon, shared: NSQConfigShared, max_in_flight: u32) -> NSQConsumer {
    consumer(NSQConsumerConfigSources::Daemons(vec![nsqd.tcp.clone()]), shared, max_in_flight)
}

fn bodies(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("order {number}").into_bytes()).collect()
}

/// Finishes as many messages as there are bodies: these, in any order.
async fn expect_all(consumer: &mut NSQConsumer, expected: &[Vec<u8>]) {
    let mut received = Vec::new();
    for _ in expected {
        let message = in_time(consumer.consume_filtered()).await.unwrap();
        received.push(message.body.clone());
        message.finish().await;
    }
    received.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    assert!(
        received == expected,
        "{} other messages came than the {} expected",
        received.len(),
        expected.len()
    );
}

#[tokio::test]
async fn messages_published_one_by_one_arrive_once_and_are_finished() {
    let nsqd = Daemon::nsqd(&[]);
    let mut expected = bodies(100);
    expected.extend([b"\0\n\xff".to_vec(), vec![b'x'; 1_000_000]]);
    let mut consumer = consumer_of(&nsqd, shared(), 10);
    publish_all(&mut producer(&nsqd, shared()).await, &expected).await;
    expect_all(&mut consumer, &expected).await;
    let channel = nsqd.emptied(TOPIC).await;
    assert_eq!(channel["message_count"], expected.len());
    assert_eq!(channel["requeue_count"], 0);
    assert_eq!(channel["clients"][0]["finish_count"], expected.len());
}

#[tokio::test]
async fn a_batch_arrives_whole() {
    let nsqd = Daemon::nsqd(&[]);
    publish_batch(&mut producer(&nsqd, shared()).await, &bodies(500)).await;
    expect_all(&mut consumer_of(&nsqd, shared(), 100), &bodies(500)).await;
}

#[tokio::test]
async fn a_deferred_message_arrives_when_its_time_has_come() {
    let nsqd = Daemon::nsqd(&[]);
    let mut consumer = consumer_of(&nsqd, shared(), 1);
    let mut producer = producer(&nsqd, shared()).await;
    let published = Instant::now();
    producer.publish_deferred(&topic(), b"later".to_vec(), 400).await.unwrap();
    producer.publish(&topic(), b"at once".to_vec()).await.unwrap();
    for expected in ["at once", "later"] {
        let message = in_time(consumer.consume_filtered()).await.unwrap();
        assert_eq!(message.body, expected.as_bytes());
        message.finish().await;
    }
    assert!(published.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn as_many_messages_are_in_flight_as_the_consumer_allows() {
    let nsqd = Daemon::nsqd(&[]);
    publish_batch(&mut producer(&nsqd, shared()).await, &bodies(12)).await;
    let mut consumer = consumer_of(&nsqd, shared(), 5);
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(in_time(consumer.consume_filtered()).await.unwrap());
    }
    nsqd.channel_is(TOPIC, &[("in_flight_count", 5), ("depth", 7)]).await;
    for message in held {
        message.finish().await;
    }
    nsqd.channel_is(TOPIC, &[("in_flight_count", 5), ("depth", 2)]).await;
}

#[tokio::test]
async fn a_requeued_message_comes_back_after_its_delay() {
    let nsqd = Daemon::nsqd(&[]);
    publish_batch(&mut producer(&nsqd, shared()).await, &bodies(1)).await;
    let mut consumer = consumer_of(&nsqd, shared(), 1);
    let first = in_time(consumer.consume_filtered()).await.unwrap();
    assert_eq!(first.attempt, 1);
    let requeued = Instant::now();
    first.requeue(NSQRequeueDelay::CustomDelay(Duration::from_millis(400))).await;
    let second = in_time(consumer.consume_filtered()).await.unwrap();
    assert_eq!(second.attempt, 2);
    assert!(requeued.elapsed() >= Duration::from_millis(400));
    second.requeue(NSQRequeueDelay::NoDelay).await;
    let third = in_time(consumer.consume_filtered()).await.unwrap();
    assert_eq!(third.attempt, 3);
    third.finish().await;
    assert_eq!(nsqd.emptied(TOPIC).await["requeue_count"], 2);
}

#[tokio::test]
async fn a_long_job_is_kept_by_touching_it_and_lost_without() {
    // The library does not negotiate a timeout.
    let nsqd = Daemon::nsqd(&["--msg-timeout=1s".to_owned()]);
    publish_batch(&mut producer(&nsqd, shared()).await, &[b"touched".to_vec(), b"forgotten".to_vec()]).await;
    let mut consumer = consumer_of(&nsqd, shared(), 2);
    let began = Instant::now();
    let (mut touched, mut forgotten) = (None, Vec::new());
    // As long as it takes the other one to run into the timeout, and at least twice the timeout.
    while forgotten.len() < 2 || began.elapsed() < Duration::from_millis(2200) {
        if let Some(touched) = &touched {
            tokio_nsq::NSQMessage::touch(touched).await;
        }
        let next = tokio::time::timeout(Duration::from_millis(200), consumer.consume_filtered()).await;
        match next.ok().flatten() {
            Some(message) if message.body == b"touched" => assert!(touched.replace(message).is_none()),
            Some(message) if forgotten.is_empty() => forgotten.push(message),
            Some(message) => {
                assert_eq!(message.attempt, 2);
                message.finish().await;
                forgotten.pop();
                break;
            }
            None => {}
        }
    }
    while began.elapsed() < Duration::from_millis(2200) {
        touched.as_ref().unwrap().touch().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    touched.unwrap().finish().await;
    let channel = nsqd.emptied(TOPIC).await;
    assert_eq!((&channel["message_count"], &channel["timeout_count"]), (&Value::from(2), &Value::from(1)));
}

#[tokio::test]
async fn every_nsqd_of_the_topic_is_found_through_nsqlookupd() {
    let lookup = Daemon::nsqlookupd();
    let registers = [format!("--lookupd-tcp-address={}", lookup.tcp)];
    let nsqds = [Daemon::nsqd(&registers), Daemon::nsqd(&registers)];
    for (nsqd, body) in nsqds.iter().zip(bodies(2)) {
        publish_batch(&mut producer(nsqd, shared()).await, &[body]).await;
    }
    wait_until(|| (lookup.producers(TOPIC) == 2).then_some(()), || "both nsqd register".to_owned()).await;
    let sources = NSQConsumerLookupConfig::new()
        .set_addresses(HashSet::from([format!("http://{}", lookup.http)]))
        .set_poll_interval(Duration::from_millis(100));
    let mut consumer = consumer(NSQConsumerConfigSources::Lookup(sources), shared(), 10);
    expect_all(&mut consumer, &bodies(2)).await;

    let late = Daemon::nsqd(&registers);
    publish_batch(&mut producer(&late, shared()).await, &[b"late".to_vec()]).await;
    expect_all(&mut consumer, &[b"late".to_vec()]).await;
}

#[tokio::test]
async fn both_sides_come_back_after_a_restart_of_nsqd() {
    let mut nsqd = Daemon::nsqd(&[]);
    let mut producer = producer(&nsqd, shared()).await;
    publish_batch(&mut producer, &[b"in flight".to_vec(), b"waiting".to_vec()]).await;
    let mut consumer = consumer_of(&nsqd, shared(), 1);
    let held = in_time(consumer.consume_filtered()).await.unwrap();
    nsqd.restart();
    wait_for(&mut producer, |event| matches!(event, NSQEvent::Healthy())).await;
    publish_all(&mut producer, &[b"new".to_vec()]).await;
    // What was in flight comes again, for the daemon was not told of its end.
    drop(held);
    expect_all(&mut consumer, &[b"in flight".to_vec(), b"waiting".to_vec(), b"new".to_vec()]).await;
    nsqd.emptied(TOPIC).await;
}

/// Sends large and small messages both ways; returns what the daemon says of the consumer.
async fn throughput(nsqd: &Daemon, shared: NSQConfigShared) -> Value {
    let noise = (0_u32..75_000).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes());
    let large = [noise.collect(), b"compressible ".repeat(50_000)];
    throughput_of([&bodies(200)[..], &large].concat(), nsqd, shared).await
}

async fn throughput_of(mut expected: Vec<Vec<u8>>, nsqd: &Daemon, shared: NSQConfigShared) -> Value {
    let mut producer = producer(nsqd, shared.clone()).await;
    publish_batch(&mut producer, &expected).await;
    publish_all(&mut producer, &[b"last".to_vec()]).await;
    expected.push(b"last".to_vec());
    let mut consumer = consumer_of(nsqd, shared, 50);
    expect_all(&mut consumer, &expected).await;
    nsqd.emptied(TOPIC).await["clients"][0].take()
}

fn tls_flags(further: &[&str]) -> Vec<String> {
    let mut flags = vec![
        "--https-address=127.0.0.1:0".to_owned(),
        format!("--tls-cert={}", certificate("server.pem").display()),
        format!("--tls-key={}", certificate("server.key").display()),
    ];
    flags.extend(further.iter().map(|flag| (*flag).to_owned()));
    flags
}

/// Trusts the authority of the tests; shows a certificate where it is to.
fn trusting(shows_certificate: bool) -> NSQConfigShared {
    let open = |name: &str| BufReader::new(File::open(certificate(name)).unwrap());
    let mut config = ClientConfig::new();
    config.root_store.add_pem_file(&mut open("ca.pem")).unwrap();
    if shows_certificate {
        let certificates = pemfile::certs(&mut open("client.pem")).unwrap();
        let key = pemfile::pkcs8_private_keys(&mut open("client.key")).unwrap().remove(0);
        config.set_single_client_cert(certificates, key).unwrap();
    }
    // It knows names, not addresses.
    shared().set_tls(NSQConfigSharedTLS::new("localhost").set_client_config(Arc::new(config)))
}

#[tokio::test]
async fn messages_cross_tls_with_a_server_that_is_verified() {
    let nsqd = Daemon::nsqd(&tls_flags(&["--tls-required=tcp-https"]));
    let client = throughput(&nsqd, trusting(false)).await;
    assert_eq!(client["tls"], true);
    let unknowing = NSQConfigSharedTLS::new("localhost").set_client_config(Arc::new(ClientConfig::new()));
    assert!(
        is_refused(&nsqd, shared().set_tls(unknowing)).await,
        "the client did not look at the certificate"
    );
}

#[tokio::test]
async fn a_client_shows_its_certificate_where_one_is_asked_for() {
    let authority = format!("--tls-root-ca-file={}", certificate("ca.pem").display());
    let asks = ["--tls-client-auth-policy=require-verify", "--tls-required=tcp-https"];
    let nsqd = Daemon::nsqd(&tls_flags(&[&[authority.as_str()], &asks[..]].concat()));
    throughput(&nsqd, trusting(true)).await;
    assert!(is_refused(&nsqd, trusting(false)).await, "a client without a certificate was let in");
}

#[tokio::test]
async fn messages_cross_snappy() {
    let client =
        throughput(&Daemon::nsqd(&[]), shared().set_compression(NSQConfigSharedCompression::Snappy)).await;
    assert_eq!(client["snappy"], true);
}

#[tokio::test]
async fn messages_cross_deflate() {
    let client = throughput_of(bodies(200), &Daemon::nsqd(&[]), shared().set_compression(deflate())).await;
    assert_eq!(client["deflate"], true);
}

/// Only for small messages: the library leaves the end of large ones unsent until the next heartbeat.
fn deflate() -> NSQConfigSharedCompression {
    NSQConfigSharedCompression::Deflate(NSQDeflateLevel::new(6).unwrap())
}

#[tokio::test]
async fn messages_cross_compression_inside_tls() {
    for (name, compression) in [("snappy", NSQConfigSharedCompression::Snappy), ("deflate", deflate())] {
        let client = throughput_of(
            bodies(200),
            &Daemon::nsqd(&tls_flags(&[])),
            trusting(false).set_compression(compression),
        )
        .await;
        assert_eq!((&client["tls"], &client[name]), (&Value::Bool(true), &Value::Bool(true)));
    }
}

#[tokio::test]
async fn a_secret_opens_the_topic_that_it_is_for() {
    let server = AuthorizationServer::start("127.0.0.1:0", "sesame", TOPIC);
    let nsqd = Daemon::nsqd(&[format!("--auth-http-address={}", server.address)]);
    let client = throughput(&nsqd, shared().set_credentials(b"sesame".to_vec())).await;
    assert_eq!((&client["authed"], &client["auth_identity"]), (&Value::Bool(true), &Value::from("tester")));
    assert!(
        is_refused(&nsqd, shared().set_credentials(b"wrong".to_vec())).await,
        "a wrong secret was accepted"
    );
}
