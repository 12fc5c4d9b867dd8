//! What nsqd tells a lookup service (spec nsqd-operation.md, §10), said to a service that the test plays.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use nsq_tests::{Daemon, PATIENCE, differences};
use serde_json::Value;

/// A lookup service: it accepts, and answers what it is told to answer.
struct Service {
    listener: TcpListener,
}

/// A daemon that has connected.
struct Visitor {
    stream: TcpStream,
    identity: Value,
}

impl Service {
    fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a port is free") }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    fn flag(&self) -> String {
        format!("--lookupd-tcp-address={}", self.address())
    }

    /// Waits for a daemon, and answers its IDENTIFY.
    fn welcome(&self) -> Visitor {
        let (stream, _) = self.listener.accept().expect("a daemon connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let mut visitor = Visitor { stream, identity: Value::Null };
        assert_eq!(visitor.bytes(4), b"  V1");
        assert_eq!(visitor.line(), "IDENTIFY");
        let size = u32::from_be_bytes(visitor.bytes(4).try_into().expect("four bytes"));
        visitor.identity =
            serde_json::from_slice(&visitor.bytes(size as usize)).expect("the identity is JSON");
        visitor.answer(br#"{"tcp_port":1,"http_port":2,"version":"1.3.0","broadcast_address":""}"#);
        visitor
    }
}

impl Visitor {
    /// The next command, which is answered.
    fn command(&mut self) -> String {
        let line = self.line();
        self.answer(b"OK");
        line
    }

    /// The next command must be this. The original may say once more what it has said before.
    fn expect(&mut self, command: &str) {
        let mut next = self.command();
        while next != command && !differences::registers_once() {
            next = self.command();
        }
        assert_eq!(next, command);
    }

    /// The next commands, up to the last of these; they come in no order.
    fn commands_until(&mut self, expected: &[&str]) -> BTreeSet<String> {
        let mut told = BTreeSet::new();
        while !expected.iter().all(|command| told.contains(*command)) {
            told.insert(self.command());
        }
        told
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        loop {
            match self.bytes(1)[0] {
                b'\n' => return String::from_utf8(line).expect("commands are text"),
                byte => line.push(byte),
            }
        }
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("the daemon says something");
        bytes
    }

    fn answer(&mut self, data: &[u8]) {
        let size = (data.len() as u32).to_be_bytes();
        self.stream.write_all(&[&size, data].concat()).expect("the daemon listens");
    }

    fn expect_end(&mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            // What the original says once more stays unanswered.
            Ok(_) => assert!(rest.is_empty() || !differences::registers_once(), "{}", rest.escape_ascii()),
            // It had not read our last answer.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn a_daemon_says_who_it_is() {
    let service = Service::start();
    let daemon = Daemon::with(&[
        &service.flag(),
        "--broadcast-address=bh",
        "--topology-region=rr",
        "--topology-zone=zz",
    ]);
    let identity = service.welcome().identity;
    assert_eq!(identity["broadcast_address"], "bh");
    assert_eq!(identity["tcp_port"], daemon.tcp.port());
    assert_eq!(identity["http_port"], daemon.http.port());
    assert_eq!(identity["version"], "1.3.0");
    assert_eq!((&identity["topology_region"], &identity["topology_zone"]), (&"rr".into(), &"zz".into()));
}

#[test]
fn who_broadcasts_a_name_that_leads_nowhere_is_warned() {
    if differences::is_original() {
        return;
    }
    let service = Service::start();
    let daemon = Daemon::with(&[&service.flag(), "--broadcast-address=nowhere.invalid"]);
    let warning = daemon.process().wait_for_log("a warning", |line| line.contains("leads nowhere"));
    assert!(warning.contains("nowhere.invalid") && warning.contains("--broadcast-address"), "{warning}");
    let service = Service::start();
    let daemon = Daemon::with(&[&service.flag(), "--broadcast-address=localhost"]);
    service.welcome();
    let log = daemon.stop().ended.log;
    assert!(!log.iter().any(|line| line.contains("leads nowhere")), "{log:?}");
}

#[test]
fn what_comes_and_goes_is_told() {
    let service = Service::start();
    let daemon = Daemon::with(&[&service.flag()]);
    let mut visitor = service.welcome();
    daemon.act("/topic/create?topic=t");
    visitor.expect("REGISTER t");
    daemon.act("/channel/create?topic=t&channel=c");
    visitor.expect("REGISTER t c");
    let consumer = daemon.subscribe("e#ephemeral", "x#ephemeral");
    let mut told = BTreeSet::new();
    while !told.contains("REGISTER e#ephemeral x#ephemeral") {
        told.insert(visitor.command());
    }
    drop(consumer);
    while !told.contains("UNREGISTER e#ephemeral") {
        told.insert(visitor.command());
    }
    daemon.act("/channel/delete?topic=t&channel=c");
    while !told.contains("UNREGISTER t c") {
        told.insert(visitor.command());
    }
    daemon.act("/topic/delete?topic=t");
    while !told.contains("UNREGISTER t") {
        told.insert(visitor.command());
    }
}

#[test]
fn a_service_that_comes_back_is_told_everything() {
    let service = Service::start();
    let daemon = Daemon::with(&[&service.flag()]);
    let mut visitor = service.welcome();
    daemon.act("/topic/create?topic=lone");
    visitor.expect("REGISTER lone");
    daemon.act("/topic/create?topic=t");
    visitor.expect("REGISTER t");
    for channel in ["a", "b"] {
        daemon.act(&format!("/channel/create?topic=t&channel={channel}"));
        visitor.expect(&format!("REGISTER t {channel}"));
    }
    drop(visitor);
    nsq_tests::cluster::nudge(&daemon);
    let mut visitor = service.welcome();
    let told = visitor.commands_until(&["REGISTER lone", "REGISTER t a", "REGISTER t b"]);
    assert!(!told.contains("REGISTER t"), "a channel brings its topic with it");
}

#[test]
fn a_service_that_is_silent_delays_neither_publishers_nor_other_services() {
    let (silent, service) = (Service::start(), Service::start());
    let daemon = Daemon::with(&[&silent.flag(), &service.flag()]);
    let mut visitor = service.welcome();
    let mut client = daemon.connect();
    for number in 0..100 {
        client.publish("t", number.to_string().as_bytes());
    }
    visitor.expect("REGISTER t");
}

#[test]
fn services_can_be_changed_while_the_daemon_runs() {
    let (first, second) = (Service::start(), Service::start());
    let daemon = Daemon::with(&[&first.flag()]);
    let mut visitor = first.welcome();
    daemon.act("/topic/create?topic=t");
    visitor.expect("REGISTER t");
    let list = format!("[\"{}\"]", second.address());
    daemon.put("/config/nsqlookupd_tcp_addresses", &list);
    visitor.expect_end();
    let mut visitor = second.welcome();
    visitor.expect("REGISTER t");
}

#[test]
fn a_stop_takes_back_what_was_told() {
    let service = Service::start();
    let daemon = Daemon::with(&[&service.flag()]);
    let mut visitor = service.welcome();
    daemon.act("/topic/create?topic=t");
    visitor.expect("REGISTER t");
    let stopping = std::thread::spawn(move || daemon.stop());
    if differences::unregisters_on_a_stop() {
        visitor.expect("UNREGISTER t");
    }
    visitor.expect_end();
    stopping.join().expect("the daemon stops");
}
