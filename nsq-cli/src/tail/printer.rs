//! Writes messages, and says of each what became of it.
//!
//! Works on a thread of its own: whoever reads the output may be slow.

use std::io::{self, Write};

use nsq::client::Message;
use nsq::wire::name::TopicName;
use tokio::sync::mpsc;

/// How printing ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All that was wanted, or all there was, is written.
    AllPrinted,
    /// Nobody reads the output any more.
    ReaderIsGone,
    /// The output cannot be written.
    Failed(io::Error),
}

/// Something to be printed, and how it is said that it was, or was not.
pub(super) trait Printable {
    fn body(&self) -> &[u8];
    /// It is written.
    fn handle_printed(self);
    /// It is not, and somebody else may have it.
    fn handle_left(self);
}

impl Printable for Message {
    fn body(&self) -> &[u8] {
        self.body()
    }

    fn handle_printed(self) {
        self.finish();
    }

    fn handle_left(self) {
        self.release();
    }
}

pub(super) struct Printer {
    /// How many more are wanted; `None` for any number.
    left: Option<u64>,
    shows_topic: bool,
}

impl Printer {
    /// Prints `count` messages; 0 for any number.
    pub(super) fn new(count: u64, shows_topic: bool) -> Self {
        Self { left: (count > 0).then_some(count), shows_topic }
    }

    /// Prints what comes until there was enough, nothing more comes or the output fails. All else is left.
    pub(super) fn print_all<M: Printable>(
        mut self,
        mut messages: mpsc::Receiver<(TopicName, M)>,
        out: &mut impl Write,
    ) -> Outcome {
        let outcome = loop {
            if self.left == Some(0) {
                break Outcome::AllPrinted;
            }
            let Some((topic, message)) = messages.blocking_recv() else { break Outcome::AllPrinted };
            match self.print(&topic, message.body(), out) {
                Ok(()) => message.handle_printed(),
                Err(error) => {
                    message.handle_left();
                    break match error.kind() {
                        io::ErrorKind::BrokenPipe => Outcome::ReaderIsGone,
                        _ => Outcome::Failed(error),
                    };
                }
            }
            self.left = self.left.map(|left| left - 1);
        };
        messages.close();
        while let Ok((_, message)) = messages.try_recv() {
            message.handle_left();
        }
        outcome
    }

    /// Writes one, all at once, and waits until the system has it.
    fn print(&self, topic: &TopicName, body: &[u8], out: &mut impl Write) -> io::Result<()> {
        let mut line = Vec::with_capacity(body.len() + TOPIC_BYTES_MAX);
        if self.shows_topic {
            line.extend_from_slice(topic.as_bytes());
            line.extend_from_slice(b" | ");
        }
        line.extend_from_slice(body);
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()
    }
}

/// A topic's name, what stands behind it, and the line feed.
const TOPIC_BYTES_MAX: usize = 64 + 3 + 1;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use super::*;

    struct Fake {
        body: &'static [u8],
        log: Arc<Mutex<Vec<String>>>,
    }

    impl Fake {
        fn say(self, what: &str) {
            self.log.lock().unwrap().push(format!("{what} {}", self.body.escape_ascii()));
        }
    }

    impl Printable for Fake {
        fn body(&self) -> &[u8] {
            self.body
        }

        fn handle_printed(self) {
            self.say("printed");
        }

        fn handle_left(self) {
            self.say("left");
        }
    }

    /// Takes so many bytes and then fails.
    struct Pipe {
        taken: Vec<u8>,
        room: usize,
        error: io::ErrorKind,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.room);
            if length == 0 {
                return Err(self.error.into());
            }
            self.room -= length;
            self.taken.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(printer: Printer, room: usize, error: io::ErrorKind, written: &[u8], said: &[&str]) -> Outcome {
        let (send, messages) = mpsc::channel(10);
        let log = Arc::new(Mutex::new(Vec::new()));
        for body in [&b"a"[..], b"b\nb\xff", b"c"] {
            let message = Fake { body, log: Arc::clone(&log) };
            assert!(send.try_send((TopicName::parse("t").unwrap(), message)).is_ok());
        }
        drop(send);
        let mut pipe = Pipe { taken: Vec::new(), room, error };
        let outcome = printer.print_all(messages, &mut pipe);
        assert_eq!(pipe.taken, written);
        assert_eq!(*log.lock().unwrap(), said);
        outcome
    }

    const ALL: usize = usize::MAX;
    const BROKEN: io::ErrorKind = io::ErrorKind::BrokenPipe;

    #[test]
    fn bodies_are_printed_as_they_are() {
        let said = ["printed a", "printed b\\nb\\xff", "printed c"];
        let outcome = check(Printer::new(0, false), ALL, BROKEN, b"a\nb\nb\xff\nc\n", &said);
        assert!(matches!(outcome, Outcome::AllPrinted));
        check(Printer::new(0, true), ALL, BROKEN, b"t | a\nt | b\nb\xff\nt | c\n", &said);
    }

    #[test]
    fn the_last_wanted_message_is_done_and_others_are_left() {
        let said = ["printed a", "printed b\\nb\\xff", "left c"];
        let outcome = check(Printer::new(2, false), ALL, BROKEN, b"a\nb\nb\xff\n", &said);
        assert!(matches!(outcome, Outcome::AllPrinted));
    }

    #[test]
    fn what_was_not_written_whole_is_left() {
        let said = ["printed a", "left b\\nb\\xff", "left c"];
        let outcome = check(Printer::new(0, false), 4, BROKEN, b"a\nb\n", &said);
        assert!(matches!(outcome, Outcome::ReaderIsGone));
        let outcome = check(Printer::new(0, false), 4, io::ErrorKind::StorageFull, b"a\nb\n", &said);
        assert!(matches!(outcome, Outcome::Failed(_)));
    }
}
