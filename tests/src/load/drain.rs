//! All that a daemon has left, of every channel, the deferred messages included.

use std::time::{Duration, Instant};

use super::{Plan, is_failed_answer};
use crate::ledger::{Channel, Consumed};
use crate::numbered::number;
use crate::raw::Polled;
use crate::{Daemon, PATIENCE, differences};

/// How long nothing comes before the daemon is asked whether there is more.
const PAUSE: Duration = Duration::from_millis(50);

/// Longer than any delay of the load, and than the original is late.
const LONGEST_DELAY: Duration = Duration::from_secs(9);

/// Takes and finishes everything, until the daemon says of each channel that it has nothing more.
///
/// # Panics
/// When nothing comes for long, though there should be more.
pub fn drain(daemon: &Daemon, plan: &Plan) -> Vec<Consumed> {
    std::thread::scope(|scope| {
        let all = plan.all().map(|channel| scope.spawn(move || drain_channel(daemon, plan, channel)));
        let all: Vec<_> = all.collect();
        all.into_iter().map(|channel| channel.join().expect("a channel is drained")).collect()
    })
}

fn drain_channel(daemon: &Daemon, plan: &Plan, channel: Channel) -> Consumed {
    let (topic, name) = plan.channel(channel);
    let mut client = daemon.subscribe(topic, name);
    client.ready(1_000);
    let mut consumed = Consumed { channel, ..Consumed::default() };
    let mut last_came_at = Instant::now();
    let mut answers = Vec::new();
    loop {
        match client.poll(PAUSE) {
            Polled::Frame(frame) if is_failed_answer(&frame) => {}
            Polled::Frame(frame) => {
                let message = frame.message();
                match number(topic, &message.body) {
                    Some(number) => consumed.arrived.push(number),
                    None => consumed.wrong.push(format!("{}: {}", message.id, message.body.escape_ascii())),
                }
                answers.extend(format!("FIN {}\n", message.id).bytes());
                if client.is_empty() {
                    client.send(std::mem::take(&mut answers));
                }
                last_came_at = Instant::now();
            }
            Polled::End => panic!("the daemon ended while it was drained"),
            Polled::Nothing => {
                let stats = daemon.channel_stats(topic, name);
                let left = ["depth", "in_flight_count", "deferred_count"].map(|key| stats[key].as_u64());
                if left == [Some(0); 3] {
                    return consumed;
                }
                let waited = last_came_at.elapsed();
                // What was in flight twice stays so there until its timeout.
                if !differences::takes_every_answer_after_a_kill() && waited > LONGEST_DELAY {
                    return consumed;
                }
                assert!(
                    waited < PATIENCE,
                    "{topic} {name}: nothing came for {waited:?}, but there is: {stats}"
                );
            }
        }
    }
}
