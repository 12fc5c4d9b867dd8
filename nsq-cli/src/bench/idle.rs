//! Connections that wait: many, on one thread, which does nothing but answer heartbeats.

use std::io;
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use nsq::daemon::os_error::os_error_text;
use nsq::wire::encode;
use nsq::wire::frame::{Frame, HEARTBEAT};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::connection::closed;
use super::moved::Moved;
use crate::failure::{Failure, printable};

/// The longest frame that comes to those who only wait, in bytes.
const FRAME_BYTES_MAX: usize = 256;

/// Connections that stay open for as long as this is kept.
pub(super) struct Idle {
    waiting: JoinSet<Failure>,
}

impl Idle {
    /// Takes over connections that have said all they have to say. Heartbeats count as what is moved. Within a runtime.
    pub(super) fn new(sockets: Vec<StdStream>, moved: &Arc<Moved>) -> Result<Self, Failure> {
        let mut waiting = JoinSet::new();
        for socket in sockets {
            socket.set_nonblocking(true)?;
            waiting.spawn(answer(TcpStream::from_std(socket)?, Arc::clone(moved)));
        }
        Ok(Self { waiting })
    }

    /// Waits so long. Anything else than heartbeats is a failure, and so is the end of any of the connections.
    pub(super) async fn pass(&mut self, time: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            Some(ended) = self.waiting.join_next() => {
                Err(ended.unwrap_or_else(|_| "a connection ended without an outcome".to_owned().into()))
            }
        }
    }
}

/// Answers heartbeats until something else happens, and gives that.
async fn answer(mut socket: TcpStream, moved: Arc<Moved>) -> Failure {
    let mut nop = Vec::new();
    encode::nop(&mut nop);
    let (mut input, mut length) = ([0; FRAME_BYTES_MAX], 0);
    loop {
        match socket.read(&mut input[length..]).await {
            Ok(0) => return closed(),
            Ok(count) => length += count,
            Err(error) => return failed(&error),
        }
        loop {
            match Frame::parse(&input[..length], FRAME_BYTES_MAX) {
                Ok(Some((frame, end))) if frame.data == HEARTBEAT => {
                    input.copy_within(end..length, 0);
                    length -= end;
                }
                Ok(None) => break,
                _ => {
                    let said = printable(&String::from_utf8_lossy(&input[..length]));
                    return Failure::Failed(format!("nsqd said {said} to one who only waits"));
                }
            }
            if let Err(error) = socket.write_all(&nop).await {
                return failed(&error);
            }
            moved.add(1);
        }
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::Failed(format!("a connection that waits has failed: {}", os_error_text(error)))
}
