//! What a peer's bytes ask for, one command after the other (spec nsqlookupd.md, §5.1 to §5.4).
//!
//! Pure. Every refusal ends the connection, so after one there is nothing more to ask.

use bytes::{Buf, BytesMut};
use nsq::wire::error::{ErrorCode, ProtocolError};
use nsq::wire::lookup::{Command, Identity, InvalidIdentity, Registration};
use nsq::wire::name::{ChannelName, TopicName};

/// The longest line, its end included, in bytes. (v1.3.0 has no limit.)
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;

/// The longest body of an `IDENTIFY`, in bytes; those of nsqd have less than 1 KiB. (v1.3.0 reserves what is announced,
/// and crashes when that is negative.)
pub(super) const IDENTIFY_BYTES_MAX: usize = 64 * 1024;

/// One connection's protocol.
#[derive(Debug, Default)]
pub(super) struct Protocol {
    phase: Phase,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody knows who this is.
    #[default]
    Unknown,
    /// The line of `IDENTIFY` was read, its body is to come.
    Identifying,
    /// Who this is has been said.
    Identified,
}

/// What the peer is told before the connection ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What is sent.
    pub(super) error: ProtocolError,
    /// What is said of it in the log alone.
    pub(super) cause: Option<String>,
}

impl Protocol {
    /// Takes the next command out of `input`; `None` while it is not complete.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Command>, Refusal> {
        if self.phase != Phase::Identifying {
            let Some(line) = take_line(input)? else { return Ok(None) };
            let mut words = trim(&line).split(|byte| *byte == b' ');
            // A line without a word has one that is empty.
            let word = words.next().unwrap_or_default();
            match word {
                b"PING" => return Ok(Some(Command::Ping)),
                b"REGISTER" => return self.registration("REGISTER", words).map(Command::Register).map(Some),
                b"UNREGISTER" => {
                    return self.registration("UNREGISTER", words).map(Command::Unregister).map(Some);
                }
                b"IDENTIFY" if self.phase == Phase::Identified => {
                    return Err(refusal(ErrorCode::Invalid, "cannot IDENTIFY again"));
                }
                b"IDENTIFY" => self.phase = Phase::Identifying,
                _ => return Err(refusal(ErrorCode::Invalid, [b"invalid command ", word].concat())),
            }
        }
        let Some(body) = take_body(input)? else { return Ok(None) };
        let identity = Identity::parse(&body).map_err(|error| Refusal {
            error: bad_body(&error),
            cause: match error {
                InvalidIdentity::Undecodable(cause) => Some(cause.to_string()),
                InvalidIdentity::Incomplete => None,
            },
        })?;
        self.phase = Phase::Identified;
        Ok(Some(Command::Identify(identity)))
    }

    /// What is to be said where nothing comes behind `rest`, which no command could be taken from.
    pub(super) fn at_end(&self, rest: &[u8]) -> Option<Refusal> {
        if self.phase != Phase::Identifying {
            return None;
        }
        let (what, come) = match rest.len() {
            few @ 0..SIZE_BYTES => ("failed to read body size", few),
            more => ("failed to read body", more - SIZE_BYTES),
        };
        let cause = if come == 0 { "EOF" } else { "unexpected EOF" };
        Some(Refusal { error: bad_body(&what), cause: Some(cause.to_owned()) })
    }

    fn registration<'a>(
        &self,
        command: &str,
        mut words: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Registration, Refusal> {
        if self.phase != Phase::Identified {
            return Err(refusal(ErrorCode::Invalid, "client must IDENTIFY"));
        }
        let invalid = |noun: &str, name: &[u8]| {
            [command.as_bytes(), b" ", noun.as_bytes(), b" name '", name, b"' is not valid"].concat()
        };
        let insufficient = || refusal(ErrorCode::Invalid, format!("{command} insufficient number of params"));
        let topic = words.next().ok_or_else(insufficient)?;
        let channel = words.next().unwrap_or_default();
        let topic_name =
            TopicName::parse(topic).ok_or_else(|| refusal(ErrorCode::BadTopic, invalid("topic", topic)))?;
        let channel_name = match channel {
            b"" => None,
            _ => Some(
                ChannelName::parse(channel)
                    .ok_or_else(|| refusal(ErrorCode::BadChannel, invalid("channel", channel)))?,
            ),
        };
        Ok(Registration { topic: topic_name, channel: channel_name })
    }
}

/// The line at the start of `input`, with its end.
fn take_line(input: &mut BytesMut) -> Result<Option<BytesMut>, Refusal> {
    let searched = &input[..input.len().min(LINE_BYTES_MAX)];
    match memchr::memchr(b'\n', searched) {
        Some(end) => Ok(Some(input.split_to(end + 1))),
        None if searched.len() < LINE_BYTES_MAX => Ok(None),
        None => {
            Err(refusal(ErrorCode::Invalid, format!("command line too long, {LINE_BYTES_MAX} is the limit")))
        }
    }
}

/// The body at the start of `input`, behind its size.
fn take_body(input: &mut BytesMut) -> Result<Option<BytesMut>, Refusal> {
    let Some(size) = input.first_chunk().copied().map(i32::from_be_bytes) else { return Ok(None) };
    let length = match usize::try_from(size) {
        Err(_) => return Err(Refusal { error: bad_body(&format!("invalid body size {size}")), cause: None }),
        Ok(length) if length > IDENTIFY_BYTES_MAX => {
            let text = format!("body too big {length} > {IDENTIFY_BYTES_MAX}");
            return Err(Refusal { error: bad_body(&text), cause: None });
        }
        Ok(length) => length,
    };
    if input.len() < SIZE_BYTES + length {
        return Ok(None);
    }
    input.advance(SIZE_BYTES);
    Ok(Some(input.split_to(length)))
}

/// Without white space at both ends: what Unicode calls so, if the line is text at all.
fn trim(line: &[u8]) -> &[u8] {
    std::str::from_utf8(line).map_or_else(|_| line.trim_ascii(), |text| text.trim().as_bytes())
}

fn bad_body(what: &impl std::fmt::Display) -> ProtocolError {
    ProtocolError::new(ErrorCode::BadBody, format!("IDENTIFY {what}"))
}

fn refusal(code: ErrorCode, text: impl Into<Vec<u8>>) -> Refusal {
    Refusal { error: ProtocolError::new(code, text), cause: None }
}

const SIZE_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &str = r#"{"broadcast_address":"a","tcp_port":1,"http_port":2,"version":"v"}"#;

    fn identify(body: &[u8]) -> Vec<u8> {
        [b"IDENTIFY\n", &i32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
    }

    /// Reads everything, and then the end: each command's debug text, and what it is all told in the end.
    fn dialogue(wire: &[u8]) -> Vec<String> {
        let (mut protocol, mut input) = (Protocol::default(), BytesMut::from(wire));
        let mut said = Vec::new();
        let refusal = loop {
            match protocol.next(&mut input) {
                Ok(Some(Command::Identify(identity))) => said.push(identity.broadcast_address),
                Ok(Some(Command::Register(what))) => {
                    said.push(format!("+{:?} {:?}", what.topic, what.channel))
                }
                Ok(Some(Command::Unregister(what))) => {
                    said.push(format!("-{:?} {:?}", what.topic, what.channel))
                }
                Ok(Some(Command::Ping)) => said.push("ping".to_owned()),
                Ok(None) => break protocol.at_end(&input),
                Err(refusal) => break Some(refusal),
            }
        };
        said.extend(refusal.map(|refusal| refusal.error.to_string()));
        said
    }

    #[test]
    fn commands_are_read_as_v1_3_0_reads_them() {
        let line = |line: &str| [identify(BODY.as_bytes()), line.as_bytes().to_vec()].concat();
        for (wire, expected) in [
            (line("REGISTER t c\n"), r#"+"t" Some("c")"#),
            (line(" \tREGISTER t c further words\r\n"), r#"+"t" Some("c")"#),
            (line("REGISTER t  c\n"), r#"+"t" None"#),
            (line("REGISTER t\n"), r#"+"t" None"#),
            (line("UNREGISTER t#ephemeral c\n"), r#"-"t#ephemeral" Some("c")"#),
            (line("PING now\n"), "ping"),
            (line("REGISTER\n"), "E_INVALID REGISTER insufficient number of params"),
            (line("UNREGISTER \n"), "E_INVALID UNREGISTER insufficient number of params"),
            (line("REGISTER  t\n"), "E_BAD_TOPIC REGISTER topic name '' is not valid"),
            (line("REGISTER t$ c$\n"), "E_BAD_TOPIC REGISTER topic name 't$' is not valid"),
            (line("UNREGISTER t c$\n"), "E_BAD_CHANNEL UNREGISTER channel name 'c$' is not valid"),
            (line("REGISTER #ephemeral\n"), "E_BAD_TOPIC REGISTER topic name '#ephemeral' is not valid"),
            (line("IDENTIFY\n"), "E_INVALID cannot IDENTIFY again"),
            (line("ping\n"), "E_INVALID invalid command ping"),
            (line("\n"), "E_INVALID invalid command "),
        ] {
            assert_eq!(dialogue(&wire), ["a", expected], "{}", wire.escape_ascii());
        }
        for (wire, expected) in [
            (b"PING\n".to_vec(), vec!["ping"]),
            (b"PIN".to_vec(), vec![]),
            (b"REGISTER $\n".to_vec(), vec!["E_INVALID client must IDENTIFY"]),
            (b"IDENTIFY\n".to_vec(), vec!["E_BAD_BODY IDENTIFY failed to read body size"]),
            (b"IDENTIFY\n\0\0".to_vec(), vec!["E_BAD_BODY IDENTIFY failed to read body size"]),
            (b"IDENTIFY\n\0\0\0\x09{".to_vec(), vec!["E_BAD_BODY IDENTIFY failed to read body"]),
            (identify(b""), vec!["E_BAD_BODY IDENTIFY failed to decode JSON body"]),
            (identify(b"[]"), vec!["E_BAD_BODY IDENTIFY failed to decode JSON body"]),
            (identify(b"{}"), vec!["E_BAD_BODY IDENTIFY missing fields"]),
        ] {
            assert_eq!(dialogue(&wire), expected, "{}", wire.escape_ascii());
        }
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let (most, more) = (vec![b' '; LINE_BYTES_MAX - 1], vec![b' '; LINE_BYTES_MAX]);
        assert_eq!(dialogue(&[&most[..], b"\n"].concat()), ["E_INVALID invalid command "]);
        assert_eq!(dialogue(&more), ["E_INVALID command line too long, 16384 is the limit"]);
        for (size, expected) in [(-1, "invalid body size -1"), (65537, "body too big 65537 > 65536")] {
            let wire = [b"IDENTIFY\n", &i32::to_be_bytes(size)[..]].concat();
            assert_eq!(dialogue(&wire), [format!("E_BAD_BODY IDENTIFY {expected}")]);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_repeated_as_they_came() {
        let refusal = Protocol::default().next(&mut BytesMut::from(&b"\xff x\n"[..])).unwrap_err();
        assert_eq!(refusal.error.to_bytes(), b"E_INVALID invalid command \xff");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(wire: Vec<u8>, commands in prop::sample::subsequence(
            vec![&b"IDENTIFY\n"[..], b"\0\0\0\x02{}", b"PING\n", b"REGISTER t c\n", b"\n"], 0..5)) {
            dialogue(&[commands.concat(), wire].concat());
        }

        #[test]
        fn it_does_not_matter_how_bytes_arrive(cuts in prop::collection::vec(1..20_usize, 1..20)) {
            let wire = [&identify(BODY.as_bytes())[..], b"REGISTER t c\nPING\nUNREGISTER t\n"].concat();
            let (mut protocol, mut input, mut commands) = (Protocol::default(), BytesMut::new(), 0);
            let mut rest = &wire[..];
            for cut in cuts.into_iter().chain([wire.len()]) {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                input.extend_from_slice(part);
                rest = after;
                while protocol.next(&mut input).unwrap().is_some() {
                    commands += 1;
                }
            }
            prop_assert_eq!(commands, 4);
        }
    }
}
