//! An nsqlookupd on free ports, and a client of its protocol V1.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::daemon::listening_address;
use crate::differences;
use crate::http::{Request, Response};
use crate::process::{Ended, Process, Signal};
use crate::raw::{Client, be, with_body};
use crate::stats::eventually_within;
use crate::{Daemon, PATIENCE};

/// A running nsqlookupd. It is killed when it goes out of scope, also when the test panics.
#[derive(Debug)]
pub struct Lookupd {
    process: Process,
    /// Where nsqd registers.
    pub tcp: SocketAddr,
    /// Where it listens for HTTP requests.
    pub http: SocketAddr,
    flags: Vec<String>,
}

/// Where and how an nsqlookupd runs or ran: one can be started there again.
#[derive(Debug, Clone)]
pub struct Place {
    tcp: SocketAddr,
    http: SocketAddr,
    flags: Vec<String>,
}

/// An nsqd's connection to nsqlookupd.
#[derive(Debug)]
pub struct Registrar(Client);

impl Lookupd {
    /// Starts one with the default options and waits until it listens.
    pub fn start() -> Self {
        Self::with::<&str>(&[])
    }

    /// Starts one with more flags. A flag given here wins over the harness's own of the same name.
    pub fn with<F: AsRef<str>>(flags: &[F]) -> Self {
        let flags: Vec<String> = flags.iter().map(|flag| flag.as_ref().to_owned()).collect();
        let mut arguments =
            vec!["--tcp-address=127.0.0.1:0".to_owned(), "--http-address=127.0.0.1:0".to_owned()];
        arguments.extend(flags.iter().cloned());
        let process = Process::start_program("nsqlookupd", &arguments);
        let tcp = listening_address(&process, "TCP");
        let http = listening_address(&process, "HTTP");
        differences::wait_until_signals_are_handled("nsqlookupd", process.id());
        Self { process, tcp, http, flags }
    }

    /// Ends it in order and waits for that.
    ///
    /// # Panics
    /// When it does not end in order.
    pub fn stop(self) -> Ended {
        let ended = self.end(differences::stop_signal("nsqlookupd"));
        assert!(
            ended.status.success(),
            "the stop was not orderly, {}:\n{}",
            ended.status,
            ended.log.join("\n")
        );
        ended
    }

    /// Sends a signal and waits for the end it brings.
    pub fn end(self, signal: Signal) -> Ended {
        self.process.signal(signal);
        self.process.wait()
    }

    /// Where and how it runs.
    pub fn place(&self) -> Place {
        Place { tcp: self.tcp, http: self.http, flags: self.flags.clone() }
    }

    /// The running program.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// A new connection that has sent nothing.
    pub fn connect_silently(&self) -> Registrar {
        Registrar(Client::connect(self.tcp))
    }

    /// A new connection that has sent the magic.
    pub fn connect(&self) -> Registrar {
        let mut registrar = self.connect_silently();
        registrar.send("  V1");
        registrar
    }

    /// A producer that has said who it is, with HTTP on port 11.
    pub fn producer(&self, broadcast_address: &str) -> Registrar {
        let mut registrar = self.connect();
        registrar.identify(&format!(
            "{{\"broadcast_address\":\"{broadcast_address}\",\"hostname\":\"hh\",\"tcp_port\":10,\"http_port\":11,\
             \"version\":\"1.2.3\"}}"
        ));
        registrar
    }

    /// Sends a GET.
    pub fn get(&self, target: &str) -> Response {
        Request::new("GET", target).send(self.http)
    }

    /// Sends a POST.
    pub fn post(&self, target: &str) -> Response {
        Request::new("POST", target).send(self.http)
    }

    /// Sends a POST that must be answered with an empty 200.
    pub fn act(&self, target: &str) {
        self.post(target).expect_empty();
    }

    /// The names of the topics.
    pub fn topics(&self) -> BTreeSet<String> {
        texts(&self.get("/topics").json()["topics"])
    }

    /// The channels of a topic.
    pub fn channels(&self, topic: &str) -> BTreeSet<String> {
        let topic = topic.replace('#', "%23");
        texts(&self.get(&format!("/channels?topic={topic}")).json()["channels"])
    }

    /// The broadcast addresses of those who are found for a topic.
    pub fn found(&self, topic: &str) -> BTreeSet<String> {
        let topic = topic.replace('#', "%23");
        let response = self.get(&format!("/lookup?topic={topic}"));
        assert_eq!(response.status, 200, "{response:?}");
        addresses(&response.json()["producers"])
    }

    /// The TCP addresses of those who are found for a topic, in order; nobody has a topic that is unknown.
    pub fn producers(&self, topic: &str) -> Vec<String> {
        let found = self.get(&format!("/lookup?topic={topic}")).json();
        let address = |one: &Value| {
            format!("{}:{}", one["broadcast_address"].as_str().unwrap_or_default(), one["tcp_port"])
        };
        let mut producers: Vec<String> =
            found["producers"].as_array().into_iter().flatten().map(address).collect();
        producers.sort();
        producers
    }

    /// Waits until these nsqd and no other are found for the topic, each once.
    pub fn wait_for_producers(&self, topic: &str, expected: &[&Daemon]) {
        self.wait_long_for_producers(PATIENCE, topic, expected);
    }

    /// Waits so long until these nsqd and no other are found for the topic, each once.
    pub fn wait_long_for_producers(&self, patience: Duration, topic: &str, expected: &[&Daemon]) {
        let mut expected: Vec<String> = expected.iter().map(|daemon| daemon.tcp.to_string()).collect();
        expected.sort();
        let what = format!("{expected:?} as producers of {topic}");
        eventually_within(patience, &what, || self.producers(topic), |found| *found == expected);
    }

    /// The broadcast addresses of all that are alive.
    pub fn nodes(&self) -> BTreeSet<String> {
        addresses(&self.get("/nodes").json()["producers"])
    }

    /// How many have which key in `/debug`.
    pub fn debug_count(&self, key: &str) -> usize {
        self.get("/debug").json()[key].as_array().map_or(0, Vec::len)
    }
}

impl Place {
    /// Starts one here.
    pub fn start(&self) -> Lookupd {
        let mut flags = self.flags.clone();
        flags.extend([format!("--tcp-address={}", self.tcp), format!("--http-address={}", self.http)]);
        Lookupd::with(&flags)
    }
}

impl Registrar {
    /// The client's own address.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.send(bytes);
    }

    /// Tells the daemon that nothing more will come.
    pub fn finish_sending(&mut self) {
        self.0.finish_sending();
    }

    /// Sends IDENTIFY with this body.
    pub fn send_identify(&mut self, body: &str) {
        self.send(with_body("IDENTIFY", body));
    }

    /// Sends IDENTIFY with this body, and gives the answer.
    pub fn identify(&mut self, body: &str) -> Value {
        self.send_identify(body);
        let text = self.response();
        serde_json::from_slice(&text).unwrap_or_else(|_| panic!("`{}` is not JSON", text.escape_ascii()))
    }

    /// Sends a line that must be answered with OK.
    pub fn command(&mut self, line: &str) {
        self.send(format!("{line}\n"));
        self.expect_response("OK");
    }

    /// The next response must be this.
    pub fn expect_response(&mut self, data: impl AsRef<[u8]>) {
        self.0.expect_bytes(&[&be(data.as_ref().len()), data.as_ref()].concat());
    }

    /// The next response must be this, and the connection must end after it.
    pub fn expect_fatal(&mut self, data: impl AsRef<[u8]>) {
        self.expect_response(data);
        self.expect_end();
    }

    /// The connection must end without another byte.
    pub fn expect_end(&mut self) {
        self.0.expect_end();
    }

    /// Nothing must come for a short while, and the connection must stay.
    pub fn expect_silence(&mut self) {
        self.0.expect_silence();
    }

    /// The next response.
    pub fn response(&mut self) -> Vec<u8> {
        let size = u32::from_be_bytes(self.0.next_bytes(4).try_into().expect("it is four bytes"));
        self.0.next_bytes(size as usize)
    }
}

fn texts(list: &Value) -> BTreeSet<String> {
    let items = list.as_array().expect("it is a list");
    items.iter().map(|item| item.as_str().expect("its items are text").to_owned()).collect()
}

fn addresses(producers: &Value) -> BTreeSet<String> {
    let producers = producers.as_array().expect("it is a list");
    let address = |producer: &Value| producer["broadcast_address"].as_str().expect("it is text").to_owned();
    producers.iter().map(address).collect()
}
