//! Pushes statsd lines at an interval, spread so that they do not all arrive at once.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, interval_at, sleep, timeout};
use tracing::{error, info, warn};

use super::statsd::{Form, Round, datagrams, lines};

/// Where the lines go and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// `host:port`; the name is looked up anew for each round.
    pub address: String,
    /// The time between two rounds; more than a second.
    pub interval: Duration,
    /// The most a datagram holds, in bytes.
    pub packet_bytes: usize,
    /// What the lines look like.
    pub form: Form,
}

impl Push {
    /// Pushes what `look` finds, first after one interval, until `stop` completes. The datagrams of a round
    /// that has begun are then sent without a pause.
    pub async fn run(&self, mut look: impl FnMut() -> Round, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        let mut before = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = &mut stop => break,
            }
            let socket = match timeout(CONNECT_TIMEOUT, self.connect()).await {
                Ok(Ok(socket)) => socket,
                Ok(Err(cause)) => {
                    error!("failed to create UDP socket to statsd({}) - {cause}", self.address);
                    continue;
                }
                Err(_) => {
                    error!("failed to create UDP socket to statsd({}) - timed out", self.address);
                    continue;
                }
            };
            info!("STATSD: pushing stats to {}", self.address);
            let round = look();
            let datagrams = datagrams(&lines(&self.form, &round, before.as_ref()), self.packet_bytes);
            before = Some(round);
            if self.send(&socket, &datagrams, stop.as_mut()).await.is_break() {
                break;
            }
        }
        info!("STATSD: closing");
    }

    async fn connect(&self) -> io::Result<UdpSocket> {
        let address = lookup_host(&self.address).await?.next().ok_or(io::ErrorKind::NotFound)?;
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        Ok(socket)
    }

    /// Spreads the datagrams over the interval less one second. Breaks when it is time to stop.
    async fn send(
        &self,
        socket: &UdpSocket,
        datagrams: &[Vec<u8>],
        mut stop: impl Future<Output = ()> + Unpin,
    ) -> std::ops::ControlFlow<()> {
        let spread = self.interval.saturating_sub(UNUSED_END);
        let pause = spread / u32::try_from(datagrams.len().max(1)).unwrap_or(u32::MAX);
        let mut refused = None;
        let mut stopping = false;
        for datagram in datagrams {
            if let Err(cause) = socket.send(datagram).await {
                refused = Some(cause);
            }
            if stopping {
                continue;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = &mut stop => stopping = true,
            }
        }
        if let Some(cause) = refused {
            warn!("statsd({}) did not take every datagram - {cause}", self.address);
        }
        if stopping { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    }
}

/// How long looking up the address and making a socket may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The end of an interval that is left free, so that a round is over before the next begins.
const UNUSED_END: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::sample;
    use tokio::sync::oneshot;

    fn round(message_count: u64) -> Round {
        let mut snapshot = sample::snapshot();
        let topics = snapshot.topics.as_mut().unwrap();
        topics.retain(|topic| topic.name.as_str() == "other");
        topics[0].message_count = message_count;
        Round { snapshot, memory: None }
    }

    async fn received(socket: &UdpSocket) -> String {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).await.unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn rounds_are_pushed_until_the_stop() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let push = Push {
            address: server.local_addr().unwrap().to_string(),
            interval: Duration::from_millis(1010),
            packet_bytes: 80,
            form: Form { prefix: String::new(), exclude_ephemeral: false },
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let pushing = tokio::spawn(async move {
            let mut count = 0;
            let look = || {
                count += 10;
                round(count)
            };
            push.run(look, async { drop(stopped.await) }).await;
        });
        for round in 0..2 {
            let first = received(&server).await;
            assert!(first.starts_with("topic.other.message_count:10|c\n"), "round {round}: {first}");
            assert!(received(&server).await.ends_with("topic.other.backend_depth:0|g\n"));
        }
        drop(stop);
        pushing.await.unwrap();
    }
}
