//! The messages in a batch, one after the other.

use nsq::wire::frame::{Frame, FrameType};
use nsq::wire::message::MessageRef;

/// Reads messages as long as there are whole ones.
#[derive(Debug, Clone)]
pub(super) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    pub(super) fn of(records: &'a [u8]) -> Self {
        Self { rest: records }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = MessageRef<'a>;

    fn next(&mut self) -> Option<MessageRef<'a>> {
        let (frame, end) = Frame::parse(self.rest, self.rest.len()).ok()??;
        let message = MessageRef::parse(frame.data).filter(|_| frame.frame_type == FrameType::Message)?;
        self.rest = &self.rest[end..];
        Some(message)
    }
}

/// Whether the records are so many messages, and nothing else.
pub(super) fn are_messages(records: &[u8], count: u32) -> bool {
    let mut frames = Frames::of(records);
    let found = frames.by_ref().count();
    found == count as usize && frames.rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nsq::wire::message::{MessageId, write_message_frame};

    #[test]
    fn messages_are_read_up_to_what_is_none() {
        let mut records = Vec::new();
        write_message_frame(&mut records, 5, 1, &MessageId::from_u64(1), b"one");
        write_message_frame(&mut records, 6, 1, &MessageId::from_u64(2), b"");
        assert!(are_messages(&records, 2) && !are_messages(&records, 1));
        let whole = records.len();
        write_message_frame(&mut records, 7, 1, &MessageId::from_u64(3), b"three");
        for end in whole..records.len() {
            let bodies: Vec<_> = Frames::of(&records[..end]).map(|message| message.body).collect();
            assert_eq!(bodies, [&b"one"[..], b""]);
        }
    }
}
