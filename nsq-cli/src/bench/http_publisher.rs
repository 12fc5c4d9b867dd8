//! Publishes over HTTP: `POST /pub`, one after the other on each of several connections that are kept.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nsq::daemon::os_error::os_error_text;
use nsq::wire::name::TopicName;

use super::histogram::Histogram;
use super::threads::{self, Joined as _};
use crate::failure::{Failure, printable};

/// The longest answer that is waited for, in bytes.
const ANSWER_BYTES_MAX: usize = 4096;

/// Publishes as fast as it goes, and gives how long that took and how long each request did.
pub(super) fn publish(
    address: SocketAddr,
    topic: &TopicName,
    connections: usize,
    messages_each: u64,
    size: usize,
    patience: Duration,
) -> Result<(Duration, Histogram), Failure> {
    let head = format!(
        "POST /pub?topic={} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {size}\r\n\r\n",
        topic.as_str()
    );
    let request = [head.as_bytes(), &vec![b'm'; size]].concat();
    let began = Instant::now();
    let outcomes = thread::scope(|scope| {
        let run = || {
            let mut socket = TcpStream::connect(address).map_err(|error| failed(&error))?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(patience))?;
            let mut latencies = Histogram::new();
            for _ in 0..messages_each {
                let sent = Instant::now();
                socket.write_all(&request).map_err(|error| failed(&error))?;
                expect_ok(&mut socket)?;
                latencies.record(sent.elapsed());
            }
            Ok(latencies)
        };
        let running: Vec<_> = (0..connections).map(|_| scope.spawn(run)).collect();
        running.into_iter().map(|running| running.joined()).collect::<Vec<_>>()
    });
    let elapsed = began.elapsed();
    let mut latencies = Histogram::new();
    for each in threads::all(outcomes)? {
        latencies.merge(&each);
    }
    Ok((elapsed, latencies))
}

/// Reads an answer to its end, which must be a 200 with `OK`.
fn expect_ok(socket: &mut TcpStream) -> Result<(), Failure> {
    let mut answer = [0; ANSWER_BYTES_MAX];
    let mut length = 0;
    loop {
        let count = socket.read(&mut answer[length..]).map_err(|error| failed(&error))?;
        length += count;
        let so_far = &answer[..length];
        if so_far.starts_with(b"HTTP/1.1 200 ") && so_far.ends_with(b"\r\n\r\nOK") {
            return Ok(());
        }
        // One that is complete is no longer than this, and anything else is none that is wanted.
        let is_wrong = length >= 13 && !so_far.starts_with(b"HTTP/1.1 200 ");
        if count == 0 || is_wrong {
            let said = printable(&String::from_utf8_lossy(so_far));
            return Err(Failure::Failed(format!("nsqd answered {said} to POST /pub")));
        }
    }
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot publish over HTTP: {}", os_error_text(error)))
}
