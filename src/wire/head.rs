//! A command's line: its word, its parameters, and what can be said of it before its body is there.
//!
//! The checks stand in the order of the tables of spec nsqd-tcp.md, §1.4 and §3: the first that fails is
//! the one the client is told.

use std::time::Duration;

use super::command::{Command, Limits, Phase, Situation};
use super::error::{ErrorCode, ProtocolError};
use super::message::MessageId;
use super::name::{ChannelName, TopicName};
use super::quote::quote;

/// The longest line, its end included, in bytes. One that is longer ends the connection without a word.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// What a line announces.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// The line is all there is.
    Whole(Command<'static>),
    /// The body is JSON.
    Identify,
    /// The body is a secret.
    Auth,
    /// The body is a message.
    Pub { topic: TopicName },
    /// The body is a message.
    Dpub { topic: TopicName, delay: Duration },
    /// The body holds messages.
    Mpub { topic: TopicName },
}

/// Why there is no line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoLine {
    /// Its end has not come yet.
    Unfinished,
    /// Its end should have come.
    TooLong,
}

/// The line at the start of `input`, without its end, and where what follows it begins.
pub(super) fn take_line(input: &[u8]) -> Result<(&[u8], usize), NoLine> {
    let searched = &input[..input.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', searched) else {
        return Err(if searched.len() < LINE_BYTES_MAX { NoLine::Unfinished } else { NoLine::TooLong });
    };
    let line = &input[..end];
    Ok((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}

impl Head {
    pub(super) fn parse(line: &[u8], situation: &Situation, limits: &Limits) -> Result<Self, ProtocolError> {
        let (word, params) = Params::split(line);
        if situation.tls_missing && word != b"IDENTIFY" {
            return Err(tls_required(word));
        }
        match word {
            b"IDENTIFY" => identify(situation),
            b"PUB" => publish(params),
            b"FIN" => finish(params, situation).map(Self::Whole),
            b"RDY" => ready(params, situation, limits).map(Self::Whole),
            b"MPUB" => multi_publish(params),
            b"DPUB" => deferred_publish(params, limits),
            b"REQ" => requeue(params, situation, limits).map(Self::Whole),
            b"TOUCH" => touch(params, situation).map(Self::Whole),
            b"NOP" => Ok(Self::Whole(Command::Nop)),
            b"SUB" => subscribe(params, situation).map(Self::Whole),
            b"CLS" => start_close(situation).map(Self::Whole),
            b"AUTH" => authorize(params, situation),
            _ => Err(unknown_command(word)),
        }
    }
}

fn identify(situation: &Situation) -> Result<Head, ProtocolError> {
    if situation.phase != Phase::Init {
        return Err(wrong_phase("IDENTIFY"));
    }
    Ok(Head::Identify)
}

fn authorize(mut params: Params<'_>, situation: &Situation) -> Result<Head, ProtocolError> {
    if situation.phase != Phase::Init {
        return Err(wrong_phase("AUTH"));
    }
    if params.next().is_some() {
        return Err(ProtocolError::fixed(ErrorCode::Invalid, "AUTH invalid number of parameters"));
    }
    Ok(Head::Auth)
}

fn subscribe(mut params: Params<'_>, situation: &Situation) -> Result<Command<'static>, ProtocolError> {
    if situation.phase != Phase::Init {
        return Err(wrong_phase("SUB"));
    }
    if !situation.heartbeats {
        return Err(ProtocolError::fixed(ErrorCode::Invalid, "cannot SUB with heartbeats disabled"));
    }
    let (Some(topic), Some(channel)) = (params.next(), params.next()) else {
        return Err(too_few("SUB", "parameters"));
    };
    Ok(Command::Sub {
        topic: TopicName::parse(topic).ok_or_else(|| bad_topic("SUB", topic))?,
        channel: ChannelName::parse(channel).ok_or_else(|| bad_channel(channel))?,
    })
}

fn ready(
    mut params: Params<'_>,
    situation: &Situation,
    limits: &Limits,
) -> Result<Command<'static>, ProtocolError> {
    match situation.phase {
        Phase::Init => return Err(wrong_phase("RDY")),
        Phase::Subscribed => {}
        Phase::Closing => return Ok(Command::RdyIgnored),
    }
    let count = match params.next() {
        Some(raw) => parse_number(raw).ok_or_else(|| unparsable("RDY", "count", raw))?,
        None => 1,
    };
    let (count, max) = (count as i64, limits.rdy_count_max);
    if !(0..=max).contains(&count) {
        return Err(invalid(format!("RDY count {count} out of range 0-{max}")));
    }
    Ok(Command::Rdy(count))
}

fn finish(mut params: Params<'_>, situation: &Situation) -> Result<Command<'static>, ProtocolError> {
    must_consume("FIN", situation)?;
    let id = params.next().ok_or_else(|| too_few("FIN", "params"))?;
    Ok(Command::Fin(message_id(id)?))
}

fn touch(mut params: Params<'_>, situation: &Situation) -> Result<Command<'static>, ProtocolError> {
    must_consume("TOUCH", situation)?;
    let id = params.next().ok_or_else(|| too_few("TOUCH", "params"))?;
    Ok(Command::Touch(message_id(id)?))
}

fn requeue(
    mut params: Params<'_>,
    situation: &Situation,
    limits: &Limits,
) -> Result<Command<'static>, ProtocolError> {
    must_consume("REQ", situation)?;
    let (Some(id), Some(delay)) = (params.next(), params.next()) else {
        return Err(too_few("REQ", "params"));
    };
    let id = message_id(id)?;
    let milliseconds = parse_number(delay).ok_or_else(|| unparsable("REQ", "timeout", delay))?;
    let delay = wrapped_duration(milliseconds).unwrap_or(Duration::ZERO).min(limits.req_timeout_max);
    Ok(Command::Req { id, delay })
}

fn start_close(situation: &Situation) -> Result<Command<'static>, ProtocolError> {
    if situation.phase != Phase::Subscribed {
        return Err(wrong_phase("CLS"));
    }
    Ok(Command::Cls)
}

fn publish(mut params: Params<'_>) -> Result<Head, ProtocolError> {
    let topic = params.next().ok_or_else(|| too_few("PUB", "parameters"))?;
    let topic = TopicName::parse(topic).ok_or_else(|| bad_topic("PUB", topic))?;
    Ok(Head::Pub { topic })
}

fn multi_publish(mut params: Params<'_>) -> Result<Head, ProtocolError> {
    let topic = params.next().ok_or_else(|| too_few("MPUB", "parameters"))?;
    // The code stands twice in what v1.3.0 sends.
    let topic = TopicName::parse(topic).ok_or_else(|| bad_topic("E_BAD_TOPIC MPUB", topic))?;
    Ok(Head::Mpub { topic })
}

fn deferred_publish(mut params: Params<'_>, limits: &Limits) -> Result<Head, ProtocolError> {
    let (Some(topic), Some(delay)) = (params.next(), params.next()) else {
        return Err(too_few("DPUB", "parameters"));
    };
    let topic = TopicName::parse(topic).ok_or_else(|| bad_topic("DPUB", topic))?;
    let milliseconds = parse_number(delay).ok_or_else(|| unparsable("DPUB", "timeout", delay))?;
    let max = limits.req_timeout_max;
    match wrapped_duration(milliseconds).filter(|delay| *delay <= max) {
        Some(delay) => Ok(Head::Dpub { topic, delay }),
        None => Err(invalid(format!("DPUB timeout {milliseconds} out of range 0-{}", max.as_millis()))),
    }
}

/// What follows a line's word: fields between single spaces, any of them possibly empty.
struct Params<'a> {
    /// What has not been taken yet; `None` behind the last field.
    rest: Option<&'a [u8]>,
}

impl<'a> Params<'a> {
    fn split(line: &'a [u8]) -> (&'a [u8], Self) {
        let mut fields = Self { rest: Some(line) };
        let word = fields.next().unwrap_or_default();
        (word, fields)
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        match memchr::memchr(b' ', rest) {
            Some(end) => {
                self.rest = Some(&rest[end + 1..]);
                Some(&rest[..end])
            }
            None => self.rest.take(),
        }
    }
}

/// Decimal digits only; none at all are zero, and too many wrap around (spec nsqd-tcp.md, §1.2).
fn parse_number(raw: &[u8]) -> Option<u64> {
    raw.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.wrapping_mul(10).wrapping_add(digit))
    })
}

/// Milliseconds as v1.3.0 makes nanoseconds of them: in 64 bits with a sign, wrapping around. `None`: negative.
fn wrapped_duration(milliseconds: u64) -> Option<Duration> {
    let nanoseconds = (milliseconds as i64).wrapping_mul(1_000_000);
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

fn message_id(raw: &[u8]) -> Result<MessageId, ProtocolError> {
    let bytes = raw.try_into().map_err(|_| ProtocolError::fixed(ErrorCode::Invalid, "invalid message ID"))?;
    Ok(MessageId(bytes))
}

fn must_consume(word: &str, situation: &Situation) -> Result<(), ProtocolError> {
    match situation.phase {
        Phase::Init => Err(wrong_phase(word)),
        Phase::Subscribed | Phase::Closing => Ok(()),
    }
}

fn tls_required(word: &[u8]) -> ProtocolError {
    invalid([b"cannot ", word, b" in current state (TLS required)"].concat())
}

fn unknown_command(word: &[u8]) -> ProtocolError {
    invalid([b"invalid command ", word].concat())
}

fn wrong_phase(word: &str) -> ProtocolError {
    invalid(format!("cannot {word} in current state"))
}

/// `params` is how v1.3.0 calls parameters in this command's error.
fn too_few(word: &str, params: &str) -> ProtocolError {
    invalid(format!("{word} insufficient number of {params}"))
}

fn unparsable(word: &str, what: &str, raw: &[u8]) -> ProtocolError {
    invalid([word.as_bytes(), b" could not parse ", what.as_bytes(), b" ", raw].concat())
}

fn bad_topic(word: &str, raw: &[u8]) -> ProtocolError {
    ProtocolError::new(ErrorCode::BadTopic, format!("{word} topic name {} is not valid", quote(raw)))
}

fn bad_channel(raw: &[u8]) -> ProtocolError {
    ProtocolError::new(ErrorCode::BadChannel, format!("SUB channel name {} is not valid", quote(raw)))
}

fn invalid(text: impl Into<Vec<u8>>) -> ProtocolError {
    ProtocolError::new(ErrorCode::Invalid, text)
}
