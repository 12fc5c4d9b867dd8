//! Publishers and consumers that go on, as fast as they are answered, until the daemon is killed.
//!
//! - `plan`: the topics and channels that a load uses.
//! - `publishing`: every way to publish; what was answered with OK is noted.
//! - `consuming`: FIN, REQ with and without delay, or nothing; what was sent, and what was surely taken, is noted.
//! - `drain`: afterwards, everything that is left.

mod consuming;
mod drain;
mod plan;
mod publishing;

pub use drain::drain;
pub use plan::Plan;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::ledger::{Consumed, Ledger};
use crate::random::Random;
use crate::raw::Frame;
use crate::{Daemon, differences};
use publishing::{Manner, Publisher, Publishing};

/// A load on one daemon.
#[derive(Debug)]
pub struct Load {
    publishers: Vec<Publishing>,
    consumers: Vec<JoinHandle<Consumed>>,
    acknowledged: Arc<AtomicU64>,
}

/// Whether an error frame is an answer that fails, where answers may.
fn is_failed_answer(frame: &Frame) -> bool {
    let codes: [&[u8]; 2] = [b"E_FIN_FAILED", b"E_REQ_FAILED"];
    !differences::takes_every_answer_after_a_kill() && codes.iter().any(|code| frame.data.starts_with(code))
}

/// Where the numbers of a trial's messages come from.
#[derive(Debug, Clone, Default)]
pub struct Numbers(Arc<AtomicU64>);

impl Numbers {
    /// So many numbers that nobody had before.
    fn take(&self, count: usize) -> std::ops::Range<u64> {
        let first = self.0.fetch_add(count as u64, Ordering::Relaxed);
        first..first + count as u64
    }
}

impl Load {
    /// Starts it on a daemon that has the topics and channels of the plan.
    pub fn start(daemon: &Daemon, plan: &Plan, numbers: &Numbers, random: &mut Random) -> Self {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let consumers = plan.consumers().map(|channel| {
            let (topic, name) = plan.channel(channel);
            let client = daemon.subscribe(topic, name);
            let (topic, random) = (topic.to_owned(), Random::new(random.number()));
            std::thread::spawn(move || consuming::consume(client, channel, &topic, random))
        });
        let consumers = consumers.collect();
        let publishers = Manner::ALL.iter().map(|manner| {
            let publisher = Publisher {
                topics: plan.topics(),
                numbers: numbers.clone(),
                random: Random::new(random.number()),
                acknowledged: Arc::clone(&acknowledged),
            };
            publisher.start(*manner, daemon.tcp, daemon.http)
        });
        Self { publishers: publishers.collect(), consumers, acknowledged }
    }

    /// How many messages were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits for those whose daemon was killed at this time, and notes what they did.
    ///
    /// # Panics
    /// When one of them got what it should not.
    pub fn end(self, killed_at: Instant, ledger: &mut Ledger) {
        for publisher in self.publishers {
            ledger.note_acknowledged(publisher.join().expect("a publisher gets what it should"));
        }
        let consumed = self.consumers.into_iter();
        let consumed = consumed.map(|consumer| consumer.join().expect("a consumer gets what it should"));
        ledger.note_killed(consumed.collect(), killed_at);
    }
}
