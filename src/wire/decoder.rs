//! Bytes to commands.
//!
//! The decoder owns no buffer: it is shown what has been read and not yet consumed, and answers with the
//! next complete command, with "more", or with why the connection ends. It finds an error at the first
//! byte that proves it. It knows nothing of topics, messages and clients.

use super::command::{Command, Limits, Situation};
use super::error::ProtocolError;
pub use super::head::LINE_BYTES_MAX;
use super::head::{Head, NoLine, take_line};
use super::messages::Walk;
use super::name::TopicName;
use super::sized::{Part, SIZE_BYTES, Stop, read_body, read_size};

/// Decodes the commands of one connection.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// Set exactly while the input begins with an `MPUB` whose line is in order and whose body is not complete.
    batch: Option<Batch>,
}

/// A command, and where in the input the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// What the client asks for.
    pub command: Command<'a>,
    /// How many bytes of the input the command was.
    pub consumed: usize,
}

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the client is told; `None`: nothing.
    pub error: Option<ProtocolError>,
    /// The topic of an `MPUB` whose body is bad. Its line was in order, so the client's right to publish
    /// is checked before anything is said of the body, and the topic then exists (rows 3 and 4 of the
    /// table of `MPUB`).
    pub creates: Option<TopicName>,
}

impl Decoder {
    /// A decoder for a new connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, batch: None }
    }

    /// The command at the start of `input`, or `None` where more bytes are needed.
    ///
    /// `input` always begins where the last decoded command ended: drop `consumed` bytes, or, after `None`,
    /// append what arrives. `situation` is that of the connection with all earlier commands carried out.
    ///
    /// # Errors
    /// The connection ends; no further call makes sense.
    pub fn decode<'a>(
        &mut self,
        input: &'a [u8],
        situation: Situation,
    ) -> Result<Option<Decoded<'a>>, Refusal> {
        match self.advance(input, situation) {
            Ok(decoded) => Ok(Some(decoded)),
            Err(NoCommand::Line(NoLine::Unfinished) | NoCommand::Body(Stop::Lacks(_))) => Ok(None),
            Err(NoCommand::Line(NoLine::TooLong)) => Err(self.refuse(None)),
            Err(NoCommand::Body(Stop::Refused(error))) => Err(self.refuse(Some(error))),
        }
    }

    /// The connection ends behind `input`, because nothing more comes or it comes too late: what the client
    /// is told. `None` where it is told nothing: between commands and within a line.
    pub fn interrupted(&mut self, input: &[u8], situation: Situation) -> Option<Refusal> {
        match self.advance(input, situation) {
            Err(NoCommand::Body(stop)) => Some(self.refuse(Some(stop.at_end()))),
            Ok(_) | Err(NoCommand::Line(_)) => None,
        }
    }

    /// The topic of an `MPUB` whose line is in order and whose body has not all arrived; the right to
    /// publish may be checked already.
    pub fn unfinished_mpub(&self) -> Option<TopicName> {
        self.batch.as_ref().map(|batch| batch.topic)
    }

    fn advance<'a>(&mut self, input: &'a [u8], situation: Situation) -> Result<Decoded<'a>, NoCommand> {
        if let Some(batch) = &mut self.batch {
            let decoded = batch.advance(input, &self.limits)?;
            self.batch = None;
            return Ok(decoded);
        }
        let (line, body_at) = take_line(input)?;
        let rest = &input[body_at..];
        let Limits { msg_size_max, body_size_max, .. } = self.limits;
        let (command, body) = match Head::parse(line, &situation, &self.limits)? {
            Head::Whole(command) => return Ok(Decoded { command, consumed: body_at }),
            Head::Identify => {
                let body = read_body(rest, Part::IdentifyBody, body_size_max)?;
                (Command::Identify(body), body)
            }
            Head::Auth => {
                let secret = read_body(rest, Part::AuthBody, body_size_max)?;
                (Command::Auth(secret), secret)
            }
            Head::Pub { topic } => {
                let body = read_body(rest, Part::PubMessage, msg_size_max)?;
                (Command::Pub { topic, body }, body)
            }
            Head::Dpub { topic, delay } => {
                let body = read_body(rest, Part::DpubMessage, msg_size_max)?;
                (Command::Dpub { topic, delay, body }, body)
            }
            Head::Mpub { topic } => {
                self.batch = Some(Batch { topic, size_at: body_at, walk: Walk::default() });
                return self.advance(input, situation);
            }
        };
        Ok(Decoded { command, consumed: body_at + SIZE_BYTES + body.len() })
    }

    fn refuse(&mut self, error: Option<ProtocolError>) -> Refusal {
        Refusal { error, creates: self.batch.take().map(|batch| batch.topic) }
    }
}

/// Why there is no command.
#[derive(Debug)]
enum NoCommand {
    Line(NoLine),
    Body(Stop),
}

impl From<NoLine> for NoCommand {
    fn from(reason: NoLine) -> Self {
        Self::Line(reason)
    }
}

impl From<Stop> for NoCommand {
    fn from(stop: Stop) -> Self {
        Self::Body(stop)
    }
}

impl From<ProtocolError> for NoCommand {
    fn from(error: ProtocolError) -> Self {
        Self::Body(Stop::Refused(error))
    }
}

/// An `MPUB` whose body is arriving.
#[derive(Debug)]
struct Batch {
    topic: TopicName,
    /// Where in the input the size of the body stands, behind the line.
    size_at: usize,
    walk: Walk,
}

impl Batch {
    fn advance<'a>(&mut self, input: &'a [u8], limits: &Limits) -> Result<Decoded<'a>, Stop> {
        let sized = input.get(self.size_at..).unwrap_or_default();
        // The size is checked and then forgotten: clients exist that get it wrong, and the messages say
        // themselves where they end.
        read_size(sized, Part::MpubBody, limits.body_size_max)?;
        let body = &sized[SIZE_BYTES..];
        self.walk.advance(body, limits)?;
        let messages = self.walk.messages(body);
        let consumed = self.size_at + SIZE_BYTES + self.walk.walked_bytes();
        Ok(Decoded { command: Command::Mpub { topic: self.topic, messages }, consumed })
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
