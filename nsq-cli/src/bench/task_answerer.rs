//! The same as the [answerer](super::answerer), as a program of tasks does it: one for each client, on a runtime of one thread, which
//! is what nsqd has on two processors. A message goes from task to task, under a lock and with a wake.
//!
//! What it takes beyond the answerer is the runtime's; what an nsqd takes beyond it is the nsqd's.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use atomic_waker::AtomicWaker;
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::conversation::{Conversation, Said};
use super::usage::Usage;
use crate::failure::Failure;

/// How much is read at once, in bytes: as much as nsqd does of a client that says little.
const READ_BYTES: usize = 16 * 1024;

/// The runtime whose tasks answer. They end when this goes out of scope.
pub(super) struct TaskAnswerer {
    address: SocketAddr,
    usage: Option<Usage>,
    hub: Arc<Hub>,
    runtime: Runtime,
}

/// What the tasks have in common.
#[derive(Default)]
struct Hub {
    has_subscriber: AtomicBool,
    /// For whoever has subscribed, who is woken for them.
    messages: Mutex<Vec<u8>>,
    are_there: AtomicBool,
    subscriber: AtomicWaker,
    failure: Mutex<Option<Failure>>,
}

/// What a task waited for.
enum Event {
    /// So many bytes have come.
    Read(usize),
    /// There are messages.
    Messages,
}

impl TaskAnswerer {
    /// Answers whoever comes.
    pub(super) fn start() -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let hub = Arc::new(Hub::default());
        let of_tasks = Arc::clone(&hub);
        let (address, usage) = runtime.block_on(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            // This task is on the thread that is counted; the one that waits for it is not.
            let usage = tokio::spawn(async { Usage::of_this_thread() }).await.ok().flatten();
            tokio::spawn(accept(listener, of_tasks));
            Ok::<_, Failure>((address, usage))
        })?;
        Ok(Self { address, usage, hub, runtime })
    }

    /// Where it answers.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where is counted what its thread uses.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Ends it; fails where a task has failed before.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.runtime.shutdown_background();
        let failure = self.hub.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), Err)
    }
}

async fn accept(listener: TcpListener, hub: Arc<Hub>) {
    loop {
        let mut socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => return hub.fail(error.into()),
        };
        let hub = Arc::clone(&hub);
        tokio::spawn(async move {
            // Whoever sees the socket close finds out why.
            answer(&mut socket, &hub).await.unwrap_or_else(|failure| hub.fail(failure));
        });
    }
}

/// Fails where somebody says what only an nsqd understands. Why a client has gone is for itself to say.
async fn answer(socket: &mut TcpStream, hub: &Hub) -> Result<(), Failure> {
    socket.set_nodelay(true)?;
    let (mut conversation, mut said) = (Conversation::default(), Said::default());
    let mut input = vec![0; READ_BYTES];
    loop {
        let event = hub.next(socket, &mut input, conversation.is_subscribed()).await;
        let written = match event {
            Ok(Event::Read(0)) | Err(_) => return Ok(()),
            Ok(Event::Read(length)) => {
                let is_heard = hub.has_subscriber.load(Ordering::Acquire);
                conversation.take(&input[..length], is_heard, &mut said)?;
                if conversation.is_subscribed() {
                    hub.has_subscriber.store(true, Ordering::Release);
                }
                hub.pass_on(&mut said.messages);
                write(socket, &mut said.answers).await
            }
            Ok(Event::Messages) => {
                hub.take(&mut said.messages);
                write(socket, &mut said.messages).await
            }
        };
        if written.is_err() {
            return Ok(());
        }
    }
}

async fn write(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let outcome = if bytes.is_empty() { Ok(()) } else { socket.write_all(bytes).await };
    bytes.clear();
    outcome
}

impl Hub {
    /// Waits until something has come, or messages for a subscriber are there.
    async fn next(
        &self,
        socket: &mut TcpStream,
        input: &mut [u8],
        is_subscriber: bool,
    ) -> std::io::Result<Event> {
        poll_fn(|context| {
            if is_subscriber {
                self.subscriber.register(context.waker());
                if self.are_there.swap(false, Ordering::AcqRel) {
                    return Poll::Ready(Ok(Event::Messages));
                }
            }
            let mut buffer = ReadBuf::new(input);
            let read = Pin::new(&mut *socket).poll_read(context, &mut buffer);
            read.map_ok(|()| Event::Read(buffer.filled().len()))
        })
        .await
    }

    fn fail(&self, failure: Failure) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    fn pass_on(&self, messages: &mut Vec<u8>) {
        if messages.is_empty() {
            return;
        }
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).append(messages);
        self.are_there.store(true, Ordering::Release);
        self.subscriber.wake();
    }

    fn take(&self, messages: &mut Vec<u8>) {
        std::mem::swap(messages, &mut self.messages.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream as StdStream;

    use nsq::wire::frame;
    use nsq::wire::message::write_message_frame;

    use super::*;
    use crate::bench::conversation::ID;

    fn say(socket: &mut StdStream, said: &[u8], expected: &[u8]) {
        socket.write_all(said).unwrap();
        let mut heard = vec![0; expected.len()];
        socket.read_exact(&mut heard).unwrap();
        assert_eq!(heard, expected);
    }

    #[test]
    fn messages_are_passed_on_to_whoever_has_subscribed() {
        let answerer = TaskAnswerer::start().unwrap();
        let connect = || StdStream::connect(answerer.address()).unwrap();
        let (mut consumer, mut publisher) = (connect(), connect());
        let (mut ok, mut message) = (Vec::new(), Vec::new());
        frame::encode_response(&mut ok, frame::OK);
        write_message_frame(&mut message, 0, 1, &ID, b"abc");
        say(&mut publisher, b"  V2PUB t\n\0\0\0\x01x", &ok);
        say(&mut consumer, b"  V2SUB t c\nRDY 5\n", &ok);
        for _ in 0..3 {
            say(&mut publisher, b"PUB t\n\0\0\0\x03abc", &ok);
            say(&mut consumer, b"FIN 0000000000000000\n", &message);
        }
        assert!(answerer.usage().unwrap().processor_time().is_some());
        answerer.end().unwrap();
    }

    #[test]
    fn what_it_does_not_understand_is_told_at_the_end() {
        let answerer = TaskAnswerer::start().unwrap();
        let mut socket = StdStream::connect(answerer.address()).unwrap();
        socket.write_all(b"  V2CLS\n").unwrap();
        assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0);
        let Failure::Failed(why) = answerer.end().unwrap_err() else { panic!("it is a failure") };
        assert!(why.contains("E_INVALID cannot CLS in current state"), "{why}");
    }
}
