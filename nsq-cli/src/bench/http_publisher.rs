//! Publishes over HTTP: a request at a time on each of several connections that are kept.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::histogram::Histogram;
use super::http_connection::HttpConnection;
use super::target::Place;
use super::threads::{self, Joined as _};
use crate::failure::Failure;

/// What to publish.
pub(super) struct Plan {
    pub address: SocketAddr,
    /// The same each time.
    pub request: Vec<u8>,
    /// How many messages are in it.
    pub messages: u64,
    pub connections: usize,
    /// How many requests each connection makes, at most.
    pub requests: u64,
    /// When to end though there is more.
    pub time_max: Duration,
}

/// Publishes as fast as it goes. Gives how many messages were confirmed, how long that took and how long each request did.
pub(super) fn publish(plan: &Plan, place: &Place) -> Result<(u64, Duration, Histogram), Failure> {
    let Plan { address, connections, .. } = *plan;
    let opened = (0..connections).map(|_| HttpConnection::open(address, place.patience));
    let opened = opened.collect::<Result<Vec<_>, _>>()?;
    let began = Instant::now();
    let deadline = began + plan.time_max;
    let outcomes = thread::scope(|scope| {
        let running = opened.into_iter().map(|mut connection| {
            scope.spawn(move || {
                let (mut confirmed, mut latencies) = (0, Histogram::new());
                for _ in 0..plan.requests {
                    let sent = Instant::now();
                    connection.ask(&plan.request)?;
                    let now = Instant::now();
                    latencies.record(now - sent);
                    confirmed += plan.messages;
                    place.moved.add(plan.messages);
                    place.interrupt.check()?;
                    if now >= deadline {
                        break;
                    }
                }
                Ok((confirmed, latencies))
            })
        });
        let running: Vec<_> = running.collect();
        running.into_iter().map(|running| running.joined()).collect::<Vec<_>>()
    });
    let elapsed = began.elapsed();
    let (mut confirmed, mut latencies) = (0, Histogram::new());
    for (each, times) in threads::all(outcomes)? {
        confirmed += each;
        latencies.merge(&times);
    }
    Ok((confirmed, elapsed, latencies))
}
