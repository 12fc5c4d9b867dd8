//! The least that can stand in the place of an nsqd: one thread, which says `OK` to each command that wants it and to each
//! request over HTTP, and passes messages on to whoever has subscribed.
//!
//! No nsqd can do with less, so that what it takes is the limit. It keeps nothing, knows no topic, and counts neither what
//! is ready nor what is in flight.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use super::conversation::{Conversation, Said};
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
    /// Of those who have subscribed, who has said something last: one is enough.
    subscriber: Option<usize>,
    input: Vec<u8>,
    said: Said,
}

struct Client {
    socket: TcpStream,
    conversation: Conversation,
}

impl Answerer {
    /// Answers so many clients.
    pub(super) fn start(clients_max: usize) -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), END)?;
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let address = listener.local_addr()?;
        let answering = Answering {
            poll,
            listener,
            clients_max,
            clients: Vec::new(),
            subscriber: None,
            input: vec![0; READ_BYTES],
            said: Said::default(),
        };
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
            self.clients.push(Some(Client::new(socket)));
        }
        Ok(())
    }

    /// Fails where somebody says what only an nsqd understands, or hears of messages too late.
    fn answer(&mut self, number: usize) -> Result<(), Failure> {
        let Some(mut client) = self.clients.get_mut(number).and_then(Option::take) else { return Ok(()) };
        loop {
            let length = match client.socket.read(&mut self.input) {
                Ok(length) if length > 0 => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Why it has gone is for itself to say.
                Ok(_) | Err(_) => return Ok(()),
            };
            client.conversation.take(&self.input[..length], self.subscriber.is_some(), &mut self.said)?;
            if client.conversation.is_subscribed() {
                self.subscriber = Some(number);
            }
            self.pass_on()?;
            // Whoever waits for each answer has room for it.
            if !self.said.answers.is_empty() && client.write(&mut self.said.answers).is_err() {
                return Ok(());
            }
            // Then nothing is left, and what comes from now on is told anew. An end that has come already is not, but
            // whoever has said that says nothing more.
            if length < self.input.len() {
                break;
            }
        }
        self.clients[number] = Some(client);
        Ok(())
    }

    /// Writes the messages to whoever has subscribed, if that is still there.
    fn pass_on(&mut self) -> Result<(), Failure> {
        let subscriber = self.subscriber.and_then(|number| self.clients[number].as_mut());
        let Some(subscriber) = subscriber.filter(|_| !self.said.messages.is_empty()) else { return Ok(()) };
        match subscriber.write(&mut self.said.messages) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(Failure::Failed("the consumer does not take what is passed on to it".to_owned()))
            }
            // Why it has gone is for itself to say.
            Err(_) => {
                self.subscriber = None;
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Client {
    fn new(socket: TcpStream) -> Self {
        Self { socket, conversation: Conversation::default() }
    }

    fn write(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let outcome = self.socket.write_all(bytes);
        bytes.clear();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream as StdStream;
    use std::time::Duration;

    use nsq::wire::frame;
    use nsq::wire::message::write_message_frame;

    use super::*;
    use crate::bench::conversation::ID;
    use crate::bench::http_connection::{self, HttpConnection};

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
    fn every_request_is_answered_once() {
        let answerer = Answerer::start(1).unwrap();
        let address = answerer.address();
        let request = http_connection::post(address, "/pub?topic=t", b"body");
        let mut connection = HttpConnection::open(address, Duration::from_secs(30)).unwrap();
        // Whoever asks wants the answer to end where it says, and nothing after it.
        (0..3).for_each(|_| connection.ask(&request).unwrap());
        answerer.end().unwrap();
    }

    #[test]
    fn messages_are_passed_on_to_whoever_has_subscribed() {
        let answerer = Answerer::start(2).unwrap();
        let connect = || StdStream::connect(answerer.address()).unwrap();
        let (mut consumer, mut publisher) = (connect(), connect());
        let said = |socket: &mut StdStream, said: &[u8], expected: &[u8]| {
            socket.write_all(said).unwrap();
            let mut heard = vec![0; expected.len()];
            socket.read_exact(&mut heard).unwrap();
            assert_eq!(heard, expected);
        };
        let mut ok = Vec::new();
        frame::encode_response(&mut ok, frame::OK);
        said(&mut consumer, b"  V2SUB t c\nRDY 5\n", &ok);
        said(&mut publisher, b"  V2PUB t\n\0\0\0\x03abc", &ok);
        let mut message = Vec::new();
        write_message_frame(&mut message, 0, 1, &ID, b"abc");
        said(&mut consumer, b"FIN 0000000000000000\n", &message);
        answerer.end().unwrap();
    }

    #[test]
    fn what_it_does_not_understand_ends_it() {
        for (said, expected) in
            [("CLS\n", "E_INVALID cannot CLS in current state"), ("TOUCH 0000000000000000\n", "E_INVALID")]
        {
            let answerer = Answerer::start(1).unwrap();
            let mut socket = StdStream::connect(answerer.address()).unwrap();
            socket.write_all(format!("  V2{said}").as_bytes()).unwrap();
            assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0);
            let Failure::Failed(why) = answerer.end().unwrap_err() else { panic!("it is a failure") };
            assert!(why.contains(expected), "{why}");
        }
    }
}
