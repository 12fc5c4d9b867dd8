//! An open loop: messages go out at their times, whether or not those before were answered, and are timed from when they
//! were meant to go. So a daemon that halts for a while is late for all messages of that while, and not for one.

use std::thread;
use std::time::{Duration, Instant};

use nsq::wire::name::TopicName;

use super::burst::{Burst, Publish};
use super::connection::Connection;
use super::histogram::Histogram;
use super::layer::Layer;
use super::target::Place;
use super::threads::{self, Joined as _};
use super::workload::Load;
use crate::failure::Failure;

/// When each message is meant to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    start: Instant,
    /// From one message to the next.
    interval: Duration,
}

/// Between making a pace and its first message.
const HEAD_START: Duration = Duration::from_millis(50);

/// How many messages that are late go at once.
const CATCH_UP_MAX: usize = 256;

/// How many answers may wait to be looked at.
const UNANSWERED_MAX: usize = 1024;

impl Pace {
    /// So many messages a second, soon.
    pub(super) fn new(per_second: u32) -> Self {
        Self { start: Instant::now() + HEAD_START, interval: Duration::from_secs(1) / per_second.max(1) }
    }

    /// When the message of that number is meant to go.
    pub(super) fn due(&self, number: u64) -> Instant {
        self.start
            + Duration::from_nanos(u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX) * number)
    }

    /// How late the message of that number is at `now`.
    pub(super) fn late(&self, number: u64, now: Instant) -> Duration {
        now.saturating_duration_since(self.due(number))
    }

    /// Publishes the messages 0 to `messages` on one connection, and gives how late they were sent: that is the
    /// generator's own part.
    pub(super) fn publish(
        &self,
        place: &Place,
        topic: &TopicName,
        messages: u64,
        size: usize,
    ) -> Result<Histogram, Failure> {
        let mut connection = Connection::open(place, Layer::Plain)?;
        let mut burst = Burst::new(topic, Publish::One, CATCH_UP_MAX, size, 0);
        let mut sent_late = Histogram::new();
        sleep_exactly();
        let (mut number, mut unanswered) = (0, 0);
        while number < messages {
            sleep_until(self.due(number));
            let now = Instant::now();
            let is_due = |ahead: &usize| self.due(number + *ahead as u64) <= now;
            let left = usize::try_from(messages - number).unwrap_or(usize::MAX);
            let count = (1..CATCH_UP_MAX.min(left)).take_while(is_due).count() + 1;
            burst.number(number);
            connection.send(burst.first(count))?;
            (0..count as u64).for_each(|ahead| sent_late.record(self.late(number + ahead, now)));
            number += count as u64;
            unanswered += count;
            while unanswered > UNANSWERED_MAX {
                unanswered -= connection.oks()?.min(unanswered);
            }
        }
        while unanswered > 0 {
            unanswered -= connection.oks()?.min(unanswered);
        }
        Ok(sent_late)
    }

    /// Publishes the messages of a load on its connections in turn, each of which waits for its OK, until
    /// `time_max` has passed. Gives how many were confirmed, and how long after they were meant to go.
    pub(super) fn confirm(
        place: &Place,
        topic: &TopicName,
        load: &Load,
        size: usize,
        time_max: Duration,
    ) -> Result<(u64, Histogram), Failure> {
        let Load { rate, connections, messages, .. } = *load;
        let opened = (0..connections).map(|_| Connection::open(place, Layer::Plain));
        let opened = opened.collect::<Result<Vec<_>, _>>()?;
        let pace = Self::new(rate);
        let outcomes = thread::scope(|scope| {
            let running = (0..).zip(opened).map(|(first, mut connection)| {
                scope.spawn(move || {
                    let mut burst = Burst::new(topic, Publish::One, 1, size, first);
                    let (mut confirmed, mut latencies) = (0, Histogram::new());
                    sleep_exactly();
                    for number in (first..messages).step_by(connections) {
                        sleep_until(pace.due(number));
                        burst.number(number);
                        connection.send(burst.bytes())?;
                        while connection.oks()? == 0 {}
                        let now = Instant::now();
                        confirmed += 1;
                        place.moved.add(1);
                        latencies.record(pace.late(number, now));
                        if now > pace.start + time_max {
                            break;
                        }
                    }
                    Ok((confirmed, latencies))
                })
            });
            let running: Vec<_> = running.collect();
            running.into_iter().map(|running| running.joined()).collect::<Vec<_>>()
        });
        let (mut confirmed, mut latencies) = (0, Histogram::new());
        for (each, times) in threads::all(outcomes)? {
            confirmed += each;
            latencies.merge(&times);
        }
        Ok((confirmed, latencies))
    }
}

/// Has the system end this thread's sleeps in time: it may be late by 50 us otherwise.
fn sleep_exactly() {
    // Where it cannot, it is late.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

fn sleep_until(due: Instant) {
    let left = due.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        #[expect(clippy::disallowed_methods, reason = "the time is what is waited for")]
        thread::sleep(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_one_after_the_other() {
        let pace = Pace::new(1000);
        assert_eq!(pace.due(5000) - pace.due(0), Duration::from_secs(5));
        assert_eq!(pace.late(0, pace.due(3)), Duration::from_millis(3));
        assert_eq!(pace.late(3, pace.due(0)), Duration::ZERO);
    }
}
