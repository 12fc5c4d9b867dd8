//! One task that sleeps until the next deadline of any topic.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, Weak};
use std::time::Duration;

use nsq::daemon::clock::Clock;
use tokio::sync::Notify;

use super::topic::TopicHandle;
use crate::store::TopicNumber;

/// The topics that have a deadline, by deadline on the monotonic clock in nanoseconds.
#[derive(Default)]
pub(crate) struct Timers {
    /// Locked for one insertion, removal or look; topics lock it under their own lock, never the other way.
    deadlines: Mutex<BTreeMap<(u64, TopicNumber), Weak<TopicHandle>>>,
    /// The first deadline is earlier than it was.
    earlier: Notify,
}

impl Timers {
    /// Moves the topic's deadline from `before_ns` (`u64::MAX`: it had none) to `due_ns`.
    pub(crate) fn set(&self, before_ns: u64, due_ns: u64, number: TopicNumber, topic: &Weak<TopicHandle>) {
        let mut deadlines = self.lock();
        deadlines.remove(&(before_ns, number));
        deadlines.insert((due_ns, number), topic.clone());
        let is_first = deadlines.first_key_value().is_some_and(|(key, _)| *key == (due_ns, number));
        drop(deadlines);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// Takes the topic's deadline away.
    pub(crate) fn forget(&self, due_ns: u64, number: TopicNumber) {
        self.lock().remove(&(due_ns, number));
    }

    /// Calls topics at their deadlines, for ever.
    pub(crate) async fn run(&self, clock: &Clock) {
        loop {
            let now_ns = clock.monotonic_ns();
            while let Some(topic) = self.pop_due(now_ns) {
                let Some(topic) = topic.upgrade() else { continue };
                // A topic that panics is that topic's loss, not that of all the others with a deadline.
                if catch_unwind(AssertUnwindSafe(|| topic.handle_timer())).is_err() {
                    tracing::error!(topic = %topic.name, "TOPIC({}): panicked at its deadline", topic.name);
                }
            }
            let first_ns = self.lock().first_key_value().map(|((due_ns, _), _)| *due_ns);
            match first_ns {
                None => self.earlier.notified().await,
                Some(due_ns) => {
                    let sleep = Duration::from_nanos(due_ns.saturating_sub(clock.monotonic_ns()));
                    tokio::select! {
                        () = tokio::time::sleep(sleep) => {}
                        () = self.earlier.notified() => {}
                    }
                }
            }
        }
    }

    fn pop_due(&self, now_ns: u64) -> Option<Weak<TopicHandle>> {
        let mut deadlines = self.lock();
        let first = deadlines.first_entry()?;
        if first.key().0 > now_ns { None } else { Some(first.remove()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(u64, TopicNumber), Weak<TopicHandle>>> {
        self.deadlines.lock().expect("no code panics while it holds the timers' lock")
    }
}
