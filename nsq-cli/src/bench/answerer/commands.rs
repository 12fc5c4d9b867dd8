//! Where publishers' commands end in what they send, in whatever pieces it comes. Pure.
//!
//! Bodies are passed over; nothing is checked that is not needed to know where a command ends, but its word.

use nsq::wire::MAGIC_V2;

use crate::failure::{Failure, printable};

/// The longest line there is, `PUB` and a topic or `IDENTIFY` behind the magic, with room to spare; in bytes.
const LINE_BYTES_MAX: usize = 128;

/// The size of a body, in front of it.
const SIZE_BYTES: usize = 4;

/// The commands of one client.
#[derive(Debug, Default)]
pub(super) struct Commands {
    /// How much of a body is still to come, of a command that has begun.
    body_left: usize,
    /// The beginning of a line and size that have not come in whole; always less than both can be long.
    begun: Vec<u8>,
}

impl Commands {
    /// How many commands are complete with this input.
    pub(super) fn count(&mut self, mut input: &[u8]) -> Result<usize, Failure> {
        let mut complete = 0;
        while !input.is_empty() {
            if self.body_left == 0 {
                let Some((length, body_bytes)) = self.head(input)? else { break };
                (input, self.body_left) = (&input[length..], body_bytes);
            }
            let passed = self.body_left.min(input.len());
            (input, self.body_left) = (&input[passed..], self.body_left - passed);
            if self.body_left == 0 {
                complete += 1;
            }
        }
        Ok(complete)
    }

    /// How much of the input is the rest of a line and the size of a body, and that size. `None` where there is more to
    /// come of them.
    fn head(&mut self, input: &[u8]) -> Result<Option<(usize, usize)>, Failure> {
        // Most come in whole.
        if self.begun.is_empty() {
            let head = head(input)?;
            if head.is_none() {
                self.begun.extend_from_slice(input);
            }
            return Ok(head);
        }
        let before = self.begun.len();
        let room = LINE_BYTES_MAX + SIZE_BYTES - before;
        self.begun.extend_from_slice(&input[..input.len().min(room)]);
        let Some((length, body_bytes)) = head(&self.begun)? else { return Ok(None) };
        self.begun.clear();
        Ok(Some((length - before, body_bytes)))
    }
}

/// The length of the line and the size that the input begins with, and the size of the body.
fn head(input: &[u8]) -> Result<Option<(usize, usize)>, Failure> {
    let searched = &input[..input.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', searched) else {
        return if searched.len() < LINE_BYTES_MAX { Ok(None) } else { Err(unexpected(searched)) };
    };
    let line = &input[..end];
    let line = line.strip_prefix(MAGIC_V2).unwrap_or(line);
    if !line.starts_with(b"PUB ") && line != b"IDENTIFY" {
        return Err(unexpected(line));
    }
    let size = input[end + 1..].first_chunk::<SIZE_BYTES>();
    Ok(size.map(|size| (end + 1 + SIZE_BYTES, u32::from_be_bytes(*size) as usize)))
}

fn unexpected(line: &[u8]) -> Failure {
    Failure::Failed(format!("{} is no command of a publisher", printable(&String::from_utf8_lossy(line))))
}

#[cfg(test)]
mod tests {
    use nsq::wire::encode;
    use nsq::wire::name::TopicName;

    use super::*;

    /// What a publisher sends: as many commands as are given back.
    fn said() -> (Vec<u8>, usize) {
        let bodies = [&b"a\nPUB t\n"[..], &[0; 300], b"\n"];
        let topic = TopicName::parse("t".repeat(64)).unwrap();
        let mut said = MAGIC_V2.to_vec();
        encode::identify(&mut said, b"{}");
        bodies.iter().for_each(|body| encode::publish(&mut said, &topic, body));
        (said, 1 + bodies.len())
    }

    #[test]
    fn commands_are_complete_in_whatever_pieces_they_come() {
        let (said, expected) = said();
        for size in 1..=said.len() {
            let mut commands = Commands::default();
            let count: usize = said.chunks(size).map(|piece| commands.count(piece).unwrap()).sum();
            assert_eq!(count, expected, "in pieces of {size}");
        }
        for at in 0..said.len() {
            let mut commands = Commands::default();
            let before = commands.count(&said[..at]).unwrap();
            assert!(before < expected, "{at} bytes");
            assert_eq!(before + commands.count(&said[at..]).unwrap(), expected, "cut at {at}");
        }
    }

    #[test]
    fn nothing_grows_beyond_a_line() {
        let mut commands = Commands::default();
        let outcomes: Vec<_> = (0..=LINE_BYTES_MAX).map(|_| commands.count(b"P").is_ok()).collect();
        assert_eq!(outcomes.iter().position(|is_ok| !is_ok), Some(LINE_BYTES_MAX - 1));
        assert!(Commands::default().count(b"SUB t c\n").is_err());
    }
}
