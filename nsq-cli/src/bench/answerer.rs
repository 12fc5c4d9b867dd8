//! The least that can answer publishers: one thread, which reads what has come and says `OK` to each complete command.
//!
//! No nsqd can do with less, so that what it takes is the limit. It keeps nothing and knows no topic; [`commands`] finds
//! where commands end.

mod commands;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use nsq::wire::frame;

use self::commands::Commands;
use super::usage::Usage;
use crate::failure::Failure;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// How many sockets that have something are told at once.
const EVENTS_MAX: usize = 64;

/// What has something is a client, by its number, or one of these.
const LISTENER: Token = Token(usize::MAX);
const END: Token = Token(usize::MAX - 1);

/// The thread that answers. It ends when this goes out of scope.
pub(super) struct Answerer {
    address: SocketAddr,
    usage: Option<Usage>,
    waker: Waker,
    /// `None` once it was told to end.
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

/// What the thread has.
struct Answering {
    poll: Poll,
    listener: TcpListener,
    /// How many may come, those that have gone again included.
    clients_max: usize,
    /// In the order in which they came; `None` where one has gone.
    clients: Vec<Option<Client>>,
    input: Vec<u8>,
    /// What is written at once: less than was read.
    answers: Vec<u8>,
}

struct Client {
    socket: TcpStream,
    commands: Commands,
}

impl Answerer {
    /// Answers so many clients.
    pub(super) fn start(clients_max: usize) -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), END)?;
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let address = listener.local_addr()?;
        let (clients, input, answers) = (Vec::new(), vec![0; READ_BYTES], Vec::new());
        let answering = Answering { poll, listener, clients_max, clients, input, answers };
        let (say_usage, usage) = mpsc::channel();
        let thread = thread::spawn(move || {
            // Below somebody waits for it.
            let _ = say_usage.send(Usage::of_this_thread());
            answering.run()
        });
        let usage = usage.recv().ok().flatten();
        Ok(Self { address, usage, waker, thread: Some(thread) })
    }

    /// Where it answers.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where is counted what the thread uses.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Ends it; fails where it has failed before.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), Failure> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.waker.wake()?;
        thread.join().unwrap_or_else(|_| Err(Failure::Failed("the thread that answers panicked".to_owned())))
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        // Whoever wants to know why it has failed ends it.
        let _ = self.stop();
    }
}

impl Answering {
    fn run(mut self) -> Result<(), Failure> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    END => return Ok(()),
                    LISTENER => self.accept()?,
                    Token(number) => self.answer(number)?,
                }
            }
        }
    }

    fn accept(&mut self) -> Result<(), Failure> {
        while self.clients.len() < self.clients_max {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            socket.set_nodelay(true)?;
            self.poll.registry().register(&mut socket, Token(self.clients.len()), Interest::READABLE)?;
            self.clients.push(Some(Client { socket, commands: Commands::default() }));
        }
        Ok(())
    }

    /// Fails where somebody says what no publisher says.
    fn answer(&mut self, number: usize) -> Result<(), Failure> {
        let Some(place) = self.clients.get_mut(number) else { return Ok(()) };
        let Some(client) = place else { return Ok(()) };
        loop {
            let length = match client.socket.read(&mut self.input) {
                Ok(length) if length > 0 => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Why it has gone is for itself to say.
                Ok(_) | Err(_) => break,
            };
            let complete = client.commands.count(&self.input[..length])?;
            if complete > 0 && client.say_ok(complete, &mut self.answers).is_err() {
                break;
            }
            // Then nothing is left, and what comes from now on is told anew. An end that has come already is not, but
            // whoever has said that says nothing more.
            if length < self.input.len() {
                return Ok(());
            }
        }
        *place = None;
        Ok(())
    }
}

impl Client {
    /// Fails, too, where the client takes no more: whoever waits for each answer has room for it.
    fn say_ok(&mut self, times: usize, answers: &mut Vec<u8>) -> io::Result<()> {
        answers.clear();
        for _ in 0..times {
            frame::encode_response(answers, frame::OK);
        }
        self.socket.write_all(answers)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream as StdStream;

    use super::*;

    #[test]
    fn every_command_is_answered_once_until_the_end() {
        let answerer = Answerer::start(1).unwrap();
        let mut socket = StdStream::connect(answerer.address()).unwrap();
        let mut expected = Vec::new();
        for (said, answers) in [
            (&b"  V2IDENTIFY\n\0\0\0\x02{}"[..], 1),
            (b"PUB t\n\0\0\0\x03abcPUB t\n\0\0\0\x01xPUB", 2),
            (b" t\n\0\0\0\x01y", 1),
        ] {
            socket.write_all(said).unwrap();
            expected.clear();
            (0..answers).for_each(|_| frame::encode_response(&mut expected, frame::OK));
            let mut answered = vec![0; expected.len()];
            socket.read_exact(&mut answered).unwrap();
            assert_eq!(answered, expected);
        }
        assert!(answerer.usage().unwrap().processor_time().is_some());
        answerer.end().unwrap();
        assert_eq!(socket.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_no_publisher_says_ends_it() {
        let answerer = Answerer::start(1).unwrap();
        let mut socket = StdStream::connect(answerer.address()).unwrap();
        socket.write_all(b"  V2SUB t c\n").unwrap();
        assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0);
        let Failure::Failed(why) = answerer.end().unwrap_err() else { panic!("it is a failure") };
        assert_eq!(why, "SUB t c is no command of a publisher");
    }
}
