//! nsqd asked over HTTP.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use nsq::client::{Action, HttpClient, HttpError};
use nsq::wire::name::ChannelName;
use nsq_tests::{PATIENCE, shared};
use tokio::net::{TcpSocket, TcpStream};

use super::topic;

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_channels_are_made_filled_paused_and_removed() {
    let daemon = shared();
    let nsqd = HttpClient::new(daemon.http.to_string());
    let topic = topic("client_http#ephemeral");
    let channel = ChannelName::parse("c#ephemeral").unwrap();
    nsqd.ping().await.unwrap();
    assert_eq!(nsqd.info().await.unwrap().tcp_port, i32::from(daemon.tcp.port()));

    nsqd.topic(Action::Create, &topic).await.unwrap();
    nsqd.channel(Action::Create, &topic, &channel).await.unwrap();
    nsqd.publish(&topic, "now").await.unwrap();
    nsqd.publish_deferred(&topic, Duration::from_secs(60), "later").await.unwrap();
    nsqd.publish_many(&topic, ["with\nlines", "and without"]).await.unwrap();
    nsqd.topic(Action::Pause, &topic).await.unwrap();
    nsqd.channel(Action::Pause, &topic, &channel).await.unwrap();
    let stats = nsqd.topic_stats(&topic, true).await.unwrap().topics.unwrap();
    let found = &stats[0].channels[0];
    assert!(stats[0].paused && found.paused);
    assert_eq!((found.depth, found.deferred_count, stats[0].message_count), (3, 1, 4));

    nsqd.channel(Action::Empty, &topic, &channel).await.unwrap();
    nsqd.channel(Action::Unpause, &topic, &channel).await.unwrap();
    nsqd.topic(Action::Unpause, &topic).await.unwrap();
    nsqd.topic(Action::Empty, &topic).await.unwrap();
    let stats = nsqd.counts().await.unwrap().topics.unwrap();
    let found = stats.iter().find(|found| found.topic_name == topic.as_str()).unwrap();
    assert!(!found.paused && !found.channels[0].paused);
    assert_eq!((found.channels[0].depth, found.channels[0].deferred_count), (0, 0));

    nsqd.channel(Action::Delete, &topic, &channel).await.unwrap();
    let error = nsqd.topic(Action::Delete, &topic).await.unwrap_err();
    assert!(error.is_not_found(), "an ephemeral topic goes with its last channel: {error}");
    assert!(error.to_string().ends_with("answered 404: TOPIC_NOT_FOUND"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_or_does_not_answer_is_an_error() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let silent = HttpClient::new(&address).with_timeout(Duration::from_millis(50));
    assert!(matches!(silent.ping().await.unwrap_err(), HttpError::Timeout { .. }));
    drop(listener);
    assert!(matches!(HttpClient::new(&address).ping().await.unwrap_err(), HttpError::Connect { .. }));
}

#[tokio::test]
async fn connecting_and_the_answer_have_limits_of_their_own() {
    let short = Duration::from_millis(50);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    // One connection finds room, and nobody accepts it: no further one is made.
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let silent = HttpClient::new(address.to_string()).with_timeouts(PATIENCE, short);
    let error = silent.ping().await.unwrap_err();
    assert!(matches!(&error, HttpError::Timeout { timeout, .. } if *timeout == short), "{error:?}");

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _only_one = TcpStream::connect(address).await.unwrap();
    let full = HttpClient::new(address.to_string()).with_timeouts(short, PATIENCE);
    let error = full.ping().await.unwrap_err();
    assert!(matches!(&error, HttpError::ConnectTimeout { timeout, .. } if *timeout == short), "{error:?}");
}
