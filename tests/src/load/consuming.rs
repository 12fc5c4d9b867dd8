//! A consumer: of each message its number says whether it is finished, put back or kept, until the connection ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::is_failed_answer;
use crate::ledger::{Channel, Consumed};
use crate::numbered::number;
use crate::random::{Random, mix};
use crate::raw::{Client, Message, Polled};

/// How many messages may be in flight.
const READY: u32 = 500;

/// How many of them are kept for long.
const KEPT_MAX: usize = 100;

/// What has the daemon answer once it has taken all that was sent before: a message that nobody has.
const BARRIER: &[u8] = b"TOUCH 0000000000000000\n";

struct Consumer<'t> {
    topic: &'t str,
    random: Random,
    consumed: Consumed,
    /// In flight, and to be finished when there are too many.
    slow: VecDeque<(String, u64)>,
    /// In flight, and to be put back when there are too many.
    kept: VecDeque<String>,
    answers: Vec<u8>,
    /// Whose FIN was sent since the last barrier, and before it.
    sent: Vec<u64>,
    before_barrier: Option<Vec<u64>>,
}

/// Consumes until the connection ends.
pub(super) fn consume(mut client: Client, channel: Channel, topic: &str, random: Random) -> Consumed {
    let mut consumer = Consumer {
        topic,
        random,
        consumed: Consumed { channel, ..Consumed::default() },
        slow: VecDeque::new(),
        kept: VecDeque::new(),
        answers: Vec::new(),
        sent: Vec::new(),
        before_barrier: None,
    };
    client.ready(READY);
    loop {
        match client.poll(LONG) {
            Polled::Frame(frame) if frame.kind == 2 => consumer.decide(frame.message()),
            Polled::Frame(frame) if frame.data.starts_with(b"E_TOUCH_FAILED") => consumer.note_taken(),
            Polled::Frame(frame) => assert!(is_failed_answer(&frame), "{frame:?} to a consumer"),
            Polled::End => return consumer.consumed,
            Polled::Nothing => panic!("nothing came for {LONG:?}"),
        }
        // What has come already is decided upon before anything is sent.
        if client.is_empty() {
            client.send(consumer.take_answers());
        }
    }
}

impl Consumer<'_> {
    fn decide(&mut self, message: Message) {
        let Some(number) = number(self.topic, &message.body) else {
            self.consumed.wrong.push(format!("{}: {}", message.id, message.body.escape_ascii()));
            return;
        };
        self.consumed.arrived.push(number);
        match mix(number ^ (self.consumed.channel as u64) << 56) % 100 {
            0..45 => self.finish(&message.id, number),
            45..50 => {
                self.slow.push_back((message.id, number));
                if self.slow.len() > KEPT_MAX {
                    let (id, number) = self.slow.pop_front().expect("there are some");
                    self.finish(&id, number);
                }
            }
            // Never finished.
            50..60 if message.attempts < 3 => self.requeue(&message.id, 0),
            60..90 if message.attempts < 3 => {
                let delay_ms = self.random.within(1..2_000);
                self.requeue(&message.id, delay_ms);
            }
            _ => {
                self.kept.push_back(message.id);
                if self.kept.len() > KEPT_MAX {
                    let id = self.kept.pop_front().expect("there are some");
                    let delay_ms = self.random.within(1_000..3_000);
                    self.requeue(&id, delay_ms);
                }
            }
        }
    }

    fn finish(&mut self, id: &str, number: u64) {
        self.answers.extend(format!("FIN {id}\n").bytes());
        self.consumed.finished.insert(number, None);
        self.sent.push(number);
    }

    fn requeue(&mut self, id: &str, delay_ms: u64) {
        self.answers.extend(format!("REQ {id} {delay_ms}\n").bytes());
    }

    fn take_answers(&mut self) -> Vec<u8> {
        if self.before_barrier.is_none() && !self.sent.is_empty() {
            self.before_barrier = Some(std::mem::take(&mut self.sent));
            self.answers.extend(BARRIER);
        }
        std::mem::take(&mut self.answers)
    }

    fn note_taken(&mut self) {
        let now = Instant::now();
        for number in self.before_barrier.take().expect("a barrier was sent") {
            self.consumed.finished.insert(number, Some(now));
        }
    }
}

/// Longer than any load lasts.
const LONG: Duration = Duration::from_secs(600);
