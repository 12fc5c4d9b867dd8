//! A publisher: it publishes in one manner, until the connection ends, and notes what was answered with OK.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use super::Numbers;
use crate::PATIENCE;
use crate::http::{Connection, Request};
use crate::ledger::Topic;
use crate::numbered::body;
use crate::random::Random;
use crate::raw::{Client, Frame, Polled, batch, with_body};

/// The ways to publish.
#[derive(Debug, Clone, Copy)]
pub(super) enum Manner {
    /// PUB, each after the answer to the one before.
    OneAtATime,
    /// PUB and MPUB, many before the first answer.
    Pipelined,
    /// DPUB, several before the first answer.
    Deferred,
    /// `/pub` on one connection.
    Http,
    /// `/mpub`, as lines and as binary.
    HttpBatches,
}

/// What a publisher has.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) topics: Vec<String>,
    pub(super) numbers: Numbers,
    pub(super) random: Random,
    /// Counted for all publishers together.
    pub(super) acknowledged: Arc<AtomicU64>,
}

/// How much a publisher sends at once.
#[derive(Clone, Copy)]
struct Pace {
    /// Commands before the first answer.
    window: usize,
    /// Messages in a command.
    batch_max: usize,
}

/// What is sent and not answered yet.
struct Sent {
    topic: Topic,
    numbers: Range<u64>,
}

impl Manner {
    /// All of them; the first two are what most publishers do.
    pub(super) const ALL: [Self; 7] = [
        Self::OneAtATime,
        Self::OneAtATime,
        Self::Pipelined,
        Self::Pipelined,
        Self::Deferred,
        Self::Http,
        Self::HttpBatches,
    ];
}

/// What a publisher on its thread comes to: the numbers that were acknowledged, and their topics.
pub(super) type Publishing = JoinHandle<Vec<(u64, Topic)>>;

impl Publisher {
    /// Connects, and publishes on a thread until the connection ends; gives what was acknowledged.
    pub(super) fn start(self, manner: Manner, tcp: SocketAddr, http: SocketAddr) -> Publishing {
        let over_tcp = |window, batch_max| (Client::connect(tcp), Pace { window, batch_max });
        match manner {
            Manner::OneAtATime => self.start_over_tcp(over_tcp(1, 1), Self::command),
            Manner::Pipelined => self.start_over_tcp(over_tcp(8, 50), Self::command),
            Manner::Deferred => self.start_over_tcp(over_tcp(4, 1), Self::deferred),
            Manner::Http => self.start_over_http(Connection::open(http), 1),
            Manner::HttpBatches => self.start_over_http(Connection::open(http), 50),
        }
    }

    fn start_over_tcp(
        mut self,
        (client, pace): (Client, Pace),
        command: fn(&mut Self, &Sent) -> Vec<u8>,
    ) -> Publishing {
        thread::spawn(move || self.publish_over_tcp(client, pace, command))
    }

    fn start_over_http(mut self, connection: Connection, batch_max: usize) -> Publishing {
        thread::spawn(move || self.publish_over_http(connection, batch_max))
    }

    fn publish_over_tcp(
        &mut self,
        mut client: Client,
        pace: Pace,
        command: fn(&mut Self, &Sent) -> Vec<u8>,
    ) -> Vec<(u64, Topic)> {
        client.send(b"  V2");
        let mut acknowledged = Vec::new();
        let mut unanswered = VecDeque::new();
        loop {
            while unanswered.len() < pace.window {
                let sent = self.next(pace.batch_max);
                client.send(command(self, &sent));
                unanswered.push_back(sent);
            }
            match client.poll(PATIENCE) {
                Polled::Frame(frame) => assert_eq!(frame, Frame { kind: 0, data: b"OK".to_vec() }),
                Polled::End => return acknowledged,
                Polled::Nothing => panic!("no answer came to a publish"),
            }
            self.note(unanswered.pop_front().expect("something was sent"), &mut acknowledged);
        }
    }

    fn publish_over_http(&mut self, mut connection: Connection, batch_max: usize) -> Vec<(u64, Topic)> {
        let mut acknowledged = Vec::new();
        loop {
            let sent = self.next(batch_max);
            connection.send(&self.request(&sent).bytes());
            let Some(response) = connection.poll_response() else { return acknowledged };
            response.expect_ok();
            self.note(sent, &mut acknowledged);
        }
    }

    /// One message, or half of the time several, where there may be several.
    fn next(&mut self, batch_max: usize) -> Sent {
        let count = if self.random.percent(50) { 1 + self.random.index(batch_max) } else { 1 };
        Sent { topic: self.random.index(self.topics.len()), numbers: self.numbers.take(count) }
    }

    fn note(&self, sent: Sent, acknowledged: &mut Vec<(u64, Topic)>) {
        self.acknowledged.fetch_add(sent.numbers.end - sent.numbers.start, Ordering::Relaxed);
        acknowledged.extend(sent.numbers.map(|number| (number, sent.topic)));
    }

    fn bodies(&self, sent: &Sent) -> Vec<Vec<u8>> {
        sent.numbers.clone().map(|number| body(&self.topics[sent.topic], number)).collect()
    }

    fn command(&mut self, sent: &Sent) -> Vec<u8> {
        let topic = &self.topics[sent.topic];
        match self.bodies(sent).as_slice() {
            [one] => with_body(&format!("PUB {topic}"), one),
            several => with_body(&format!("MPUB {topic}"), batch(several)),
        }
    }

    fn deferred(&mut self, sent: &Sent) -> Vec<u8> {
        let delay_ms = self.random.within(1..2_000);
        let topic = &self.topics[sent.topic];
        with_body(&format!("DPUB {topic} {delay_ms}"), body(topic, sent.numbers.start))
    }

    fn request(&mut self, sent: &Sent) -> Request {
        let topic = &self.topics[sent.topic];
        match self.bodies(sent).as_slice() {
            [one] => Request::new("POST", &format!("/pub?topic={topic}")).body(one),
            several if self.random.percent(50) => {
                Request::new("POST", &format!("/mpub?topic={topic}&binary=true")).body(batch(several))
            }
            several => Request::new("POST", &format!("/mpub?topic={topic}")).body(several.join(&b'\n')),
        }
    }
}
