//! A daemon that has no file descriptor left: what needs one of the disk is refused, all else goes on, and when some are
//! free again so does the rest.
//!
//! Nobody can connect meanwhile, so all that is asked of it goes over connections that were there before.

use std::cell::RefCell;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use nsq_tests::daemon::new_directory;
use nsq_tests::http::{Connection, Request, Response};
use nsq_tests::raw::Client;
use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, differences, each};

use crate::published::{Published, body};

/// How many descriptors the daemon may have.
const DESCRIPTORS: usize = 64;

/// What each part of the store keeps free while it takes messages.
const RESERVE_BYTES: u64 = 8 * 1024 * 1024;

/// A daemon, and the connections to it that were made in time.
struct Starved {
    daemon: Daemon,
    http: RefCell<Connection>,
    publisher: Client,
    consumer: Client,
    other_consumer: Client,
    idle: Vec<TcpStream>,
}

impl Starved {
    /// Makes the topic `t` after the last descriptor is gone, or before, with some messages.
    fn new(flags: &[&str], is_made_before: bool, published: &mut Published) -> Self {
        let script = format!("ulimit -n {DESCRIPTORS} && exec \"$@\"");
        let starter = ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let daemon = Daemon::start_within(starter, new_directory(), flags);
        let connect = || {
            let mut client = daemon.connect();
            client.identify("");
            client
        };
        let (publisher, consumer, other_consumer) = (connect(), connect(), connect());
        let http = RefCell::new(Connection::open(daemon.http));
        let mut starved = Self { daemon, http, publisher, consumer, other_consumer, idle: Vec::new() };
        starved.expect_well();
        if is_made_before {
            starved.make();
            for _ in 0..30 {
                published.publish_over(starved.http.get_mut(), "t").expect("there are descriptors");
            }
            starved.wait_for_the_store();
        }
        // Some wait to be accepted, and take what becomes free.
        let connect = |_| TcpStream::connect(starved.daemon.tcp).expect("the system takes it for the daemon");
        starved.idle = (0..2 * DESCRIPTORS).map(connect).collect();
        let is_told = |line: &str| line.contains("cannot accept connections for now");
        starved.daemon.process().wait_for_log("that there are no descriptors", is_told);
        if !is_made_before {
            starved.make();
        }
        starved
    }

    fn make(&self) {
        self.ask(&Request::new("POST", "/topic/create?topic=t")).expect_empty();
        self.ask(&Request::new("POST", "/channel/create?topic=t&channel=c")).expect_empty();
    }

    /// Waits until the store has what it needs to take messages, which a topic at the level memory does not wait for: the spill
    /// a file for them, the journal its reserve.
    fn wait_for_the_store(&self) {
        let (home, length) =
            (self.daemon.directory(), |file: &Path| fs::metadata(file).map_or(0, |file| file.len()));
        let bodies = || fs::read_dir(home.join("spill/bodies")).into_iter().flatten().flatten();
        let is_there = || {
            length(&home.join("journal/reserve")) == RESERVE_BYTES
                || bodies().any(|file| length(&file.path()) > 0)
        };
        eventually("a store", is_there, |is_there| *is_there);
    }

    fn ask(&self, request: &Request) -> Response {
        let mut http = self.http.borrow_mut();
        http.send(&request.bytes());
        http.read_response(false)
    }

    fn get(&self, target: &str) -> Response {
        self.ask(&Request::new("GET", target))
    }

    fn expect_well(&self) {
        let is_well = |ping: &Response| (ping.status, ping.text()) == (200, "OK");
        eventually("a healthy daemon", || self.get("/ping"), is_well);
    }

    fn expect_not_well(&self) {
        let says_why = |health: &str| health.starts_with("NOK - ") && health.contains("Too many open files");
        let ping = self.get("/ping");
        assert!(ping.status == 500 && says_why(ping.text()), "{ping:?}");
        let stats = self.get("/stats?format=json").json();
        assert!(stats["health"].as_str().is_some_and(says_why), "{}", stats["health"]);
    }

    /// Both ways to publish are refused.
    fn expect_refused(&mut self, published: &mut Published) {
        let response = published.publish_over(self.http.get_mut(), "t").expect_err("there is no descriptor");
        assert_eq!(response.status, 503, "{response:?}");
        self.publisher.send(nsq_tests::raw::with_body("PUB t", body(published.next)));
        published.next += 1;
        let frame = self.publisher.next_frame();
        let error = String::from_utf8_lossy(&frame.data).into_owned();
        assert!(error.starts_with("E_PUB_FAILED PUB failed "), "{error}");
    }

    /// What needs no descriptor goes on: a topic in memory, and the delivery of what is there.
    fn expect_the_rest_to_go_on(&mut self, published: &mut Published) {
        self.other_consumer.subscribe("in_memory#ephemeral", "c");
        self.other_consumer.ready(1);
        let is_ready =
            |stats: &serde_json::Value| stats["topics"][0]["channels"][0]["clients"][0]["ready_count"] == 1;
        let target = "/stats?format=json&topic=in_memory%23ephemeral";
        eventually("a ready consumer", || self.get(target).json(), is_ready);
        self.ask(&Request::new("POST", "/pub?topic=in_memory%23ephemeral").body("x")).expect_ok();
        let message = self.other_consumer.expect_body("x");
        self.other_consumer.finish(&message);
        if !published.acknowledged.is_empty() {
            self.consumer.subscribe("t", "c");
            self.consumer.ready(1);
            let message = self.consumer.expect_message();
            published.note_received(&message.body);
            self.consumer.ready(0);
            self.consumer.finish(&message);
        }
    }

    fn let_go(&mut self) {
        self.idle.clear();
    }

    fn expect_healed(&mut self, published: &mut Published) {
        let deadline = Instant::now() + nsq_tests::PATIENCE;
        while let Err(response) = published.publish_over(self.http.get_mut(), "t") {
            assert!(Instant::now() < deadline, "there are descriptors, and still: {response:?}");
        }
        self.expect_well();
    }
}

#[test]
fn a_daemon_without_descriptors_refuses_what_needs_one_until_it_has_some() {
    if differences::is_original() {
        return;
    }
    let rows: [(&str, &[&str], bool); 5] = [
        ("memory, the topic came later", &["--mem-queue-size=10"], false),
        ("os, the topic came later", &["--mem-queue-size=0"], false),
        ("disk, the topic came later", &["--mem-queue-size=0", "--sync-every=1"], false),
        ("os", &["--mem-queue-size=0"], true),
        ("disk", &["--mem-queue-size=0", "--sync-every=1"], true),
    ];
    each(rows, |(_, flags, is_made_before)| {
        let mut published = Published::default();
        let mut starved = Starved::new(flags, *is_made_before, &mut published);
        published.publish_over_until_refused(starved.http.get_mut(), "t");
        starved.expect_not_well();
        starved.expect_refused(&mut published);
        starved.expect_the_rest_to_go_on(&mut published);
        starved.let_go();
        starved.expect_healed(&mut published);
        let Starved { daemon, .. } = starved;
        let is_durable = flags.contains(&"--mem-queue-size=0");
        let daemon = if is_durable { daemon.kill().start_again() } else { daemon.restart() };
        published.expect_all(&daemon, "t");
    });
}

#[test]
fn what_is_healthy_stays_so_when_descriptors_end_and_nothing_needs_one() {
    if differences::is_original() {
        return;
    }
    let mut published = Published::default();
    let mut starved = Starved::new(&["--mem-queue-size=10"], true, &mut published);
    // The spill is open: it needs no other descriptor.
    for _ in 0..30 {
        published.publish_over(starved.http.get_mut(), "t").expect("the spill is there");
    }
    starved.expect_well();
    starved.expect_the_rest_to_go_on(&mut published);
    starved.let_go();
    let daemon = starved.daemon.restart();
    published.expect_all(&daemon, "t");
}
