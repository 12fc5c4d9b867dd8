//! Publishes over HTTP: a request at a time on each of several connections that are kept.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::histogram::Histogram;
use super::http_connection::HttpConnection;
use super::moved::Moved;
use super::target::Place;
use super::turns::{Caller, take_turns};
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

/// One connection, and what came of it so far.
struct Publisher<'a> {
    plan: &'a Plan,
    moved: &'a Moved,
    connection: HttpConnection,
    /// How many requests are to be made yet.
    left: u64,
    sent: Instant,
    confirmed: u64,
    latencies: Histogram,
}

/// Publishes as fast as it goes. Gives how many messages were confirmed, how long that took and how long each request did.
pub(super) fn publish(plan: &Plan, place: &Place) -> Result<(u64, Duration, Histogram), Failure> {
    let open = |_| Publisher::open(plan, place);
    let mut publishers = (0..plan.connections).map(open).collect::<Result<Vec<_>, _>>()?;
    let began = Instant::now();
    take_turns(&mut publishers, place, Some(began + plan.time_max))?;
    let elapsed = began.elapsed();
    let (mut confirmed, mut latencies) = (0, Histogram::new());
    for publisher in publishers {
        confirmed += publisher.confirmed;
        latencies.merge(&publisher.latencies);
    }
    Ok((confirmed, elapsed, latencies))
}

impl<'a> Publisher<'a> {
    fn open(plan: &'a Plan, place: &'a Place) -> Result<Self, Failure> {
        Ok(Self {
            plan,
            moved: &place.moved,
            connection: HttpConnection::open(plan.address, place.patience)?,
            left: plan.requests,
            sent: Instant::now(),
            confirmed: 0,
            latencies: Histogram::new(),
        })
    }
}

impl Caller for Publisher<'_> {
    fn socket(&self) -> &TcpStream {
        self.connection.socket()
    }

    fn say(&mut self) -> Result<bool, Failure> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        self.sent = Instant::now();
        self.connection.send(&self.plan.request)?;
        Ok(true)
    }

    fn hear(&mut self) -> Result<bool, Failure> {
        self.connection.expect_ok()?;
        self.latencies.record(self.sent.elapsed());
        self.confirmed += self.plan.messages;
        self.moved.add(self.plan.messages);
        Ok(true)
    }
}
