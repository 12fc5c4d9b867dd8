//! Consumers that find nsqd through nsqlookupd's answers, given here by a small responder.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nsq::client::{ConsumerOptions, LookupClient};
use nsq_tests::{Daemon, Lookupd as RealLookupd, PATIENCE};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{CHANNEL, channel, consumer, consumer_options, recv, text, topic};

#[tokio::test(flavor = "multi_thread")]
async fn nsqd_are_found_as_they_are_named() {
    let (first, second) = (Daemon::start(), Daemon::start());
    let topic = topic("client_found");
    first.publish(topic.as_str(), "of the first");
    second.publish(topic.as_str(), "of the second");
    let (knowing, ignorant) = (Lookupd::start(), Lookupd::start());
    let options = ConsumerOptions {
        lookupd: vec![knowing.address.to_string(), format!("http://{}", ignorant.address)],
        lookup_interval: Duration::from_millis(100),
        ..consumer_options(&[])
    };
    // A topic that nobody knows yet is asked for again.
    let mut consumer = consumer(topic, options);
    knowing.name(&[first.tcp]);
    let message = recv(&mut consumer).await;
    assert_eq!((text(&message).as_str(), message.nsqd()), ("of the first", first.tcp.to_string().as_str()));
    message.finish();
    knowing.name(&[first.tcp, second.tcp]);
    let message = recv(&mut consumer).await;
    assert_eq!(text(&message), "of the second");
    message.finish();
    // Who is named no more is left only when its connection ends.
    knowing.name(&[]);
    first.publish(topic.as_str(), "still connected");
    recv(&mut consumer).await.finish();
    assert_eq!(consumer.close().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nsqlookupd_says_is_read() {
    let lookupd = Lookupd::start();
    let client = LookupClient::new(lookupd.address.to_string());
    let topic = topic("t#ephemeral");
    assert!(client.lookup(&topic).await.unwrap_err().is_not_found());
    lookupd.name(&[SocketAddr::from(([127, 0, 0, 1], 4150))]);
    let found = client.lookup(&topic).await.unwrap();
    assert_eq!(found.channels, ["c"]);
    assert_eq!(found.producers[0].tcp_address().as_deref(), Some("127.0.0.1:4150"));
    assert_eq!(client.topics().await.unwrap(), ["t#ephemeral"]);
    assert_eq!(client.channels(&topic).await.unwrap(), ["c"]);
    let nodes = client.nodes().await.unwrap();
    assert_eq!(
        (&nodes[0].topics[..], &nodes[0].tombstones[..]),
        (&["t#ephemeral".to_owned()][..], &[false][..])
    );
    let targets: BTreeSet<String> = lookupd.state.lock().unwrap().targets.iter().cloned().collect();
    let asked = ["/channels?topic=t%23ephemeral", "/lookup?topic=t%23ephemeral", "/nodes", "/topics"];
    assert_eq!(targets, asked.map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn nsqlookupd_is_told_of_topics_channels_and_nodes_to_pass_over() {
    let lookupd = RealLookupd::start();
    let nsqd = Daemon::with(&[&format!("--lookupd-tcp-address={}", lookupd.tcp)]);
    let client = LookupClient::new(lookupd.http.to_string());
    client.ping().await.unwrap();
    assert_eq!(client.info().await.unwrap().version, "1.3.0");
    let (known, registered) = (topic("client_known#ephemeral"), topic("client_registered"));
    client.create_channel(&known, &channel()).await.unwrap();
    client.create_topic(&topic("client_empty")).await.unwrap();
    assert_eq!(client.channels(&known).await.unwrap(), [CHANNEL]);
    let mut topics = client.topics().await.unwrap();
    topics.sort();
    assert_eq!(topics, ["client_empty", "client_known#ephemeral"]);
    client.delete_channel(&known, &channel()).await.unwrap();
    assert!(client.delete_channel(&known, &channel()).await.unwrap_err().is_not_found());
    client.delete_topic(&known).await.unwrap();
    assert!(client.lookup(&known).await.unwrap_err().is_not_found());

    nsqd.publish(registered.as_str(), "here");
    let registration = async {
        loop {
            if let Ok(found) = client.lookup(&registered).await
                && let [node] = &found.producers[..]
            {
                return node.http_address().unwrap();
            }
        }
    };
    let node = timeout(PATIENCE, registration).await.expect("nsqd registers in time");
    client.tombstone(&registered, &node).await.unwrap();
    assert_eq!(client.lookup(&registered).await.unwrap().producers, []);
    let nodes = client.nodes().await.unwrap();
    assert_eq!(
        (&nodes[0].topics[..], &nodes[0].tombstones[..]),
        (&["client_registered".to_owned()][..], &[true][..])
    );
}

/// Answers like an nsqlookupd that knows one topic: the one it is asked for.
struct Lookupd {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    nsqd: Vec<SocketAddr>,
    targets: Vec<String>,
}

impl Lookupd {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are ports");
        let address = listener.local_addr().expect("it listens");
        let state = Arc::new(Mutex::new(State::default()));
        let answering = Arc::clone(&state);
        std::thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                // A client that went away does not read its answer.
                let _ = answer(connection, &answering);
            }
        });
        Self { address, state }
    }

    /// Names these from now on.
    fn name(&self, nsqd: &[SocketAddr]) {
        self.state.lock().expect("nobody panicked").nsqd = nsqd.to_vec();
    }
}

fn answer(connection: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    assert!(head.contains("\r\naccept: application/vnd.nsq; version=1.0\r\n"), "{head}");
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut state = state.lock().expect("nobody panicked");
    state.targets.push(target.clone());
    let (status, body) = body(&target, &state.nsqd);
    drop(state);
    let (body, length) = (body.to_string(), body.to_string().len());
    write!(reader.get_mut(), "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn body(target: &str, nsqd: &[SocketAddr]) -> (&'static str, Value) {
    let node = |address: &SocketAddr| {
        json!({
            "remote_address": "127.0.0.1:1", "hostname": "h", "broadcast_address": address.ip().to_string(),
            "tcp_port": address.port(), "http_port": 1, "version": "1.3.0", "topology_zone": "",
            "topology_region": "", "tombstones": [false], "topics": ["t#ephemeral"],
        })
    };
    let producers: Vec<Value> = nsqd.iter().map(node).collect();
    match target.split('?').next().unwrap_or_default() {
        "/lookup" if nsqd.is_empty() => ("404 Not Found", json!({"message": "TOPIC_NOT_FOUND"})),
        "/lookup" => ("200 OK", json!({"channels": ["c"], "producers": producers})),
        "/topics" => ("200 OK", json!({"topics": ["t#ephemeral"]})),
        "/channels" => ("200 OK", json!({"channels": ["c"]})),
        _ => ("200 OK", json!({"producers": producers})),
    }
}
