//! The names of v1.3.0's queue files (spec nsqd-operation.md, §6).
//!
//! ```text
//! orders.diskqueue.000003.dat            messages of the topic, not handed to its channels yet
//! orders:billing.diskqueue.000003.dat    messages of the channel
//! ….diskqueue.000003.dat.bad             the same, set aside when it could not be read on
//! ….diskqueue.meta.dat                   what of them is to be read
//! ….diskqueue.meta.dat.<random>.tmp      left over from replacing the last
//! ```

use nsq::wire::name::{ChannelName, TopicName};

const MARK: &str = ".diskqueue.";

/// Whose messages a queue holds: a channel's, or with `None` those that no channel of the topic has been given.
pub(super) type Owner = Option<ChannelName>;

/// What a file's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueFile {
    pub(super) topic: TopicName,
    pub(super) owner: Owner,
    pub(super) kind: Kind,
}

/// What is in a file of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Messages. The files of a queue are read in the order of their numbers.
    Data(u64),
    /// Messages, in a file that v1.3.0 set aside.
    SetAside(u64),
    /// What of the queue is to be read.
    Positions,
    /// Nothing that counts.
    Leftover,
}

/// Whether a file looks as if it were one of a queue.
pub(super) fn is_queue_file(name: &str) -> bool {
    name.contains(MARK)
}

impl QueueFile {
    /// What the name says; `None` where v1.3.0 gives no such name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        // A topic's name may hold the mark too: the last one counts.
        let (queue, rest) = name.rsplit_once(MARK)?;
        let (topic, owner) = match queue.split_once(':') {
            Some((topic, channel)) => (TopicName::parse(topic)?, Some(ChannelName::parse(channel)?)),
            None => (TopicName::parse(queue)?, None),
        };
        if topic.is_ephemeral() || owner.is_some_and(|channel| channel.is_ephemeral()) {
            return None;
        }
        Some(Self { topic, owner, kind: Kind::parse(rest)? })
    }
}

impl Kind {
    fn parse(rest: &str) -> Option<Self> {
        match rest {
            "meta.dat" => return Some(Self::Positions),
            _ if rest.starts_with("meta.dat.") && rest.ends_with(".tmp") => return Some(Self::Leftover),
            _ => {}
        }
        let number = |digits: &str| {
            let number = digits.parse().ok()?;
            (format!("{number:06}") == digits).then_some(number)
        };
        match rest.strip_suffix(".dat.bad") {
            Some(digits) => number(digits).map(Self::SetAside),
            None => number(rest.strip_suffix(".dat")?).map(Self::Data),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(name: &str) -> Option<(String, Kind)> {
        let file = QueueFile::parse(name)?;
        let owner = file.owner.map_or(String::new(), |channel| format!(":{channel}"));
        Some((format!("{}{owner}", file.topic), file.kind))
    }

    #[test]
    fn a_name_says_whose_messages_are_in_the_file() {
        for (name, queue, kind) in [
            ("t.diskqueue.000000.dat", "t", Kind::Data(0)),
            ("t:c.diskqueue.000012.dat", "t:c", Kind::Data(12)),
            ("t:c.diskqueue.1000000.dat", "t:c", Kind::Data(1_000_000)),
            ("t.diskqueue.000007.dat.bad", "t", Kind::SetAside(7)),
            ("a.b:c-d_e.diskqueue.meta.dat", "a.b:c-d_e", Kind::Positions),
            ("t.diskqueue.meta.dat.4711.tmp", "t", Kind::Leftover),
            ("t.diskqueue.x:c.diskqueue.000000.dat", "t.diskqueue.x:c", Kind::Data(0)),
        ] {
            assert_eq!(parsed(name), Some((queue.to_owned(), kind)), "{name}");
        }
    }

    #[test]
    fn other_names_are_not_taken_for_queue_files() {
        for name in [
            "nsqd.dat",
            "nsqd.dat.1.tmp",
            ".diskqueue.000000.dat",
            "t.diskqueue.0.dat",
            "t.diskqueue.0000000.dat",
            "t.diskqueue.+00001.dat",
            "t.diskqueue.99999999999999999999.dat",
            "t.diskqueue.000000.dat.gz",
            "t.diskqueue.dat",
            "t:c:d.diskqueue.000000.dat",
            "t:.diskqueue.000000.dat",
            "t;c.diskqueue.000000.dat",
            "no topic.diskqueue.000000.dat",
            "t#ephemeral.diskqueue.000000.dat",
            "t:c#ephemeral.diskqueue.000000.dat",
        ] {
            assert_eq!(parsed(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_name_is_too_strange(name in "[.:;a-z0-9#]{0,9}(\\.diskqueue\\.)?\\PC{0,20}") {
            let _ = QueueFile::parse(&name);
        }
    }
}
