//! Messages that were published, and which of them must come: long ones, so that a few fill something.

use std::collections::BTreeSet;
use std::time::Instant;

use nsq_tests::Daemon;
use nsq_tests::http::{Connection, Request, Response};
use nsq_tests::report::report;
use nsq_tests::stats::eventually;

/// How many messages are published until one is refused: no test's disk holds so many.
const PUBLISHED_MAX: usize = 1_500;

/// Messages of 100 kB by number, and which of them were acknowledged.
#[derive(Default)]
pub(crate) struct Published {
    pub(crate) acknowledged: BTreeSet<usize>,
    pub(crate) next: usize,
}

impl Published {
    /// Publishes one message; gives the error where it is refused.
    pub(crate) fn publish(&mut self, daemon: &Daemon, topic: &str) -> Result<(), String> {
        let number = self.next;
        self.next += 1;
        try_publish(daemon, topic, &body(number))?;
        self.acknowledged.insert(number);
        Ok(())
    }

    /// The same over a connection to the HTTP port that is there; gives the answer where it is refused.
    pub(crate) fn publish_over(&mut self, connection: &mut Connection, topic: &str) -> Result<(), Response> {
        let number = self.next;
        self.next += 1;
        let request = Request::new("POST", &format!("/pub?topic={topic}")).body(body(number));
        connection.send(&request.bytes());
        let response = connection.read_response(false);
        if response.status != 200 {
            return Err(response);
        }
        self.acknowledged.insert(number);
        Ok(())
    }

    /// Publishes until it is refused, which must come; gives the error.
    pub(crate) fn publish_until_refused(&mut self, daemon: &Daemon, topic: &str) -> String {
        let refused = (0..PUBLISHED_MAX).find_map(|_| self.publish(daemon, topic).err());
        refused.expect("more was acknowledged than the disk can hold")
    }

    /// The same over a connection to the HTTP port.
    pub(crate) fn publish_over_until_refused(
        &mut self,
        connection: &mut Connection,
        topic: &str,
    ) -> Response {
        let refused = (0..PUBLISHED_MAX).find_map(|_| self.publish_over(connection, topic).err());
        refused.expect("nothing is refused")
    }

    /// A message has come.
    pub(crate) fn note_received(&mut self, received: &[u8]) {
        self.acknowledged.remove(&number(received));
    }

    /// Gets and finishes so many messages that were published here; gives how many of them were acknowledged.
    pub(crate) fn consume(&mut self, daemon: &Daemon, topic: &str, count: usize) -> usize {
        let mut consumer = daemon.subscribe(topic, "c");
        consumer.ready(1);
        let mut acknowledged = 0;
        for left in (0..count).rev() {
            let message = consumer.expect_message();
            acknowledged += usize::from(self.acknowledged.remove(&number(&message.body)));
            if left == 0 {
                consumer.ready(0);
            }
            consumer.finish(&message);
        }
        consumer.send("FIN 0000000000000000\n");
        consumer.expect_error("E_FIN_FAILED FIN 0000000000000000 failed ID not in flight");
        acknowledged
    }

    /// Gets everything that is left, among it all that was acknowledged.
    pub(crate) fn expect_all(&mut self, daemon: &Daemon, topic: &str) {
        let mut consumer = daemon.subscribe(topic, "c");
        consumer.ready(10);
        while !self.acknowledged.is_empty() {
            let Some(frame) = consumer.poll_frame(nsq_tests::PATIENCE) else {
                panic!("lost: {:?}", self.acknowledged);
            };
            let message = frame.message();
            let number = number(&message.body);
            assert!(number < self.next, "{number} was never published");
            self.acknowledged.remove(&number);
            consumer.finish(&message);
        }
    }
}

pub(crate) fn body(number: usize) -> Vec<u8> {
    format!("{number:08} ").repeat(100_000 / 9).into_bytes()
}

pub(crate) fn number(received: &[u8]) -> usize {
    let digits = std::str::from_utf8(&received[..8]).expect("numbers are text");
    let number = digits.parse().expect("the body begins with its number");
    assert!(received == body(number), "the body of {number} is not what was published");
    number
}

pub(crate) fn try_publish(daemon: &Daemon, topic: &str, body: &[u8]) -> Result<(), String> {
    let mut client = daemon.connect();
    client.send(nsq_tests::raw::with_body(&format!("PUB {topic}"), body));
    let answer = client.next_frame();
    match answer.kind {
        0 => Ok(()),
        _ => Err(String::from_utf8(answer.data).expect("errors are text")),
    }
}

pub(crate) fn make(daemon: &Daemon, topic: &str) {
    daemon.act(&format!("/topic/create?topic={topic}"));
    daemon.act(&format!("/channel/create?topic={topic}&channel=c"));
}

/// How often the log says so.
pub(crate) fn told(daemon: &Daemon, what: &str) -> usize {
    daemon.process().log_lines().iter().filter(|line| line.contains(what)).count()
}

pub(crate) fn expect_refused(daemon: &Daemon, published: &mut Published, topic: &str) {
    let error = published.publish(daemon, topic).expect_err("there is no room");
    assert!(error.starts_with("E_PUB_FAILED PUB failed "), "{error}");
    let response = daemon.post(&format!("/pub?topic={topic}"), body(published.next));
    published.next += 1;
    assert_eq!(response.status, 503, "{response:?}");
}

/// What needs no disk goes on: a topic in memory, and so many messages that were acknowledged come.
pub(crate) fn expect_the_rest_to_go_on(daemon: &Daemon, published: &mut Published, count: usize) {
    let topic = "in_memory#ephemeral";
    let mut consumer = daemon.subscribe(topic, "c");
    consumer.ready(1);
    // Without a memory queue an ephemeral topic gives what it gets to who is ready at that moment, and keeps nothing.
    let ready = || daemon.client_stats(topic, "c", &consumer.address().to_string())["ready_count"].clone();
    eventually("a ready consumer", ready, |count| *count == 1);
    daemon.publish(topic, "x");
    let message = consumer.expect_body("x");
    consumer.finish(&message);
    if count > 0 {
        assert_eq!(published.consume(daemon, "t", count), count);
    }
}

pub(crate) fn expect_healed(daemon: &Daemon, published: &mut Published, topic: &str) {
    let began = Instant::now();
    eventually_published(daemon, published, topic);
    eventually("a healthy daemon", || daemon.get("/ping"), |ping| (ping.status, ping.text()) == (200, "OK"));
    report(format_args!("a disk with room again takes messages after {:?}", began.elapsed()));
    daemon.post(&format!("/pub?topic={topic}"), body(published.next)).expect_ok();
    published.acknowledged.insert(published.next);
    published.next += 1;
}

fn eventually_published(daemon: &Daemon, published: &mut Published, topic: &str) {
    let deadline = Instant::now() + nsq_tests::PATIENCE;
    while let Err(error) = published.publish(daemon, topic) {
        assert!(Instant::now() < deadline, "there is room, and still: {error}");
    }
}
