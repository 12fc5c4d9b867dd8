//! A topic's state as bytes: compact, because a channel can have a million unfinished messages.
//!
//! Numbers are in LEB128 (small ones take a byte). Positions and due times are stored as the difference to
//! the one before; neighbours that differ in nothing but their position are stored as one run. The
//! checksum over all of it is the caller's business.

use std::ops::Range;

use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::{
    BatchSummary, ChannelImage, ChannelProgress, Durability, Position, Progress, TopicImage, Unfinished,
    WaitingDelay,
};

const VERSION: u8 = 2;

/// Without durability and finished ranges: it is still read.
const VERSION_1: u8 = 1;

pub(super) fn encode(image: &TopicImage) -> Vec<u8> {
    let mut out = Writer(vec![VERSION]);
    out.name(image.name.as_bytes());
    out.durability(image.durability);
    out.flag(image.paused);
    out.number(image.end);
    out.number(image.released);
    out.number(image.last_id);
    out.waiting(&image.waiting);
    out.number(image.channels.len() as u64);
    for channel in &image.channels {
        out.channel(channel);
    }
    out.0
}

/// What changed in a topic, as bytes.
pub(super) fn encode_progress(progress: &Progress) -> Vec<u8> {
    let mut out = Writer(vec![VERSION]);
    out.number(progress.end);
    out.number(progress.released);
    out.number(progress.last_id);
    out.waiting(&progress.waiting);
    out.number(progress.channels.len() as u64);
    for channel in &progress.channels {
        out.name(channel.name.as_bytes());
        out.number(channel.cursor);
        out.ranges(&channel.finished);
        out.unfinished(&channel.changed);
    }
    out.0
}

/// `None` where the bytes are not what [`encode_progress`] makes.
pub(super) fn decode_progress(bytes: &[u8]) -> Option<Progress> {
    let mut rest = Reader(bytes);
    if rest.byte()? != VERSION {
        return None;
    }
    let mut progress = Progress {
        end: rest.number()?,
        released: rest.number()?,
        last_id: rest.number()?,
        waiting: rest.waiting()?,
        channels: Vec::new(),
    };
    for _ in 0..rest.number()? {
        progress.channels.push(ChannelProgress {
            name: ChannelName::parse(rest.name()?)?,
            cursor: rest.number()?,
            finished: rest.ranges()?,
            changed: rest.unfinished()?,
        });
    }
    rest.0.is_empty().then_some(progress)
}

/// `None` where the bytes are not what [`encode`] makes.
pub(super) fn decode(bytes: &[u8]) -> Option<TopicImage> {
    let mut rest = Reader(bytes);
    let version = rest.byte()?;
    if version != VERSION && version != VERSION_1 {
        return None;
    }
    let mut image = TopicImage {
        name: TopicName::parse(rest.name()?)?,
        durability: if version == VERSION_1 { None } else { rest.durability()? },
        paused: rest.flag()?,
        end: rest.number()?,
        released: rest.number()?,
        last_id: rest.number()?,
        waiting: rest.waiting()?,
        channels: Vec::new(),
    };
    for _ in 0..rest.number()? {
        image.channels.push(rest.channel(version)?);
    }
    rest.0.is_empty().then_some(image)
}

/// The topic's name in what [`encode`] makes, without a look at the rest.
pub(super) fn name(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = Reader(bytes);
    rest.byte()?;
    rest.name()
}

/// The state of a topic that is only known by its name and its batches: everything that is here is yet to be
/// delivered, and no channel is known. `end` and `last_id` are at least what they were.
pub(super) fn recall(name: TopicName, end: Position, last_id: u64, batches: &[BatchSummary]) -> TopicImage {
    let behind = batches.last().map_or(0, |batch| batch.first.saturating_add(u64::from(batch.count)));
    let end = end.max(behind);
    TopicImage {
        name,
        durability: None,
        paused: false,
        end,
        // Without channels nothing has been released: the next channel gets what is here.
        released: batches.first().map_or(end, |batch| batch.first),
        last_id,
        waiting: Vec::new(),
        channels: Vec::new(),
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    fn name(&mut self, name: &[u8]) {
        self.0.push(name.len() as u8);
        self.0.extend_from_slice(name);
    }

    fn durability(&mut self, durability: Option<Durability>) {
        self.0.push(match durability {
            None => 0,
            Some(Durability::Memory) => 1,
            Some(Durability::Os) => 2,
            Some(Durability::Disk) => 3,
        });
    }

    fn waiting(&mut self, waiting: &[WaitingDelay]) {
        self.number(waiting.len() as u64);
        let mut previous = 0;
        for waiting in waiting {
            self.number(waiting.position.wrapping_sub(previous));
            self.number(waiting.delay_ns);
            previous = waiting.position;
        }
    }

    fn channel(&mut self, channel: &ChannelImage) {
        self.name(channel.name.as_bytes());
        self.flag(channel.paused);
        self.number(channel.cursor);
        self.number(channel.finished_below);
        self.ranges(&channel.finished);
        self.unfinished(&channel.unfinished);
    }

    fn ranges(&mut self, ranges: &[Range<Position>]) {
        self.number(ranges.len() as u64);
        let mut end = 0u64;
        for range in ranges {
            self.number(range.start.wrapping_sub(end));
            self.number(range.end.wrapping_sub(range.start));
            end = range.end;
        }
    }

    fn unfinished(&mut self, unfinished: &[Unfinished]) {
        let runs = || unfinished.chunk_by(follows);
        self.number(runs().count() as u64);
        let (mut end, mut due) = (0u64, 0i64);
        for run in runs() {
            let first = &run[0];
            self.number(first.position.wrapping_sub(end));
            self.number((run.len() as u64) << 1 | u64::from(first.due_unix_ns.is_some()));
            self.number(u64::from(first.attempts));
            if let Some(first_due) = first.due_unix_ns {
                self.number(fold_sign(first_due.wrapping_sub(due)));
                due = first_due;
            }
            end = first.position.wrapping_add(run.len() as u64);
        }
    }
}

/// Whether `b` goes into the run that `a` ends.
fn follows(a: &Unfinished, b: &Unfinished) -> bool {
    a.position.checked_add(1) == Some(b.position)
        && (a.attempts, a.due_unix_ns) == (b.attempts, b.due_unix_ns)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?);
        let (name, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(name)
    }

    fn durability(&mut self) -> Option<Option<Durability>> {
        Some(match self.byte()? {
            0 => None,
            1 => Some(Durability::Memory),
            2 => Some(Durability::Os),
            3 => Some(Durability::Disk),
            _ => return None,
        })
    }

    fn waiting(&mut self) -> Option<Vec<WaitingDelay>> {
        let mut waiting = Vec::new();
        let mut previous = 0u64;
        for _ in 0..self.number()? {
            previous = previous.wrapping_add(self.number()?);
            waiting.push(WaitingDelay { position: previous, delay_ns: self.number()? });
        }
        Some(waiting)
    }

    fn channel(&mut self, version: u8) -> Option<ChannelImage> {
        let (name, paused) = (ChannelName::parse(self.name()?)?, self.flag()?);
        let cursor = self.number()?;
        let (finished_below, finished) = match version {
            VERSION_1 => (cursor, Vec::new()),
            _ => (self.number()?, self.ranges()?),
        };
        Some(ChannelImage { name, paused, cursor, finished_below, finished, unfinished: self.unfinished()? })
    }

    fn ranges(&mut self) -> Option<Vec<Range<Position>>> {
        let mut ranges = Vec::new();
        let mut end = 0u64;
        for _ in 0..self.number()? {
            let start = end.checked_add(self.number()?)?;
            end = start.checked_add(self.number()?)?;
            ranges.push(start..end);
        }
        Some(ranges)
    }

    fn unfinished(&mut self) -> Option<Vec<Unfinished>> {
        let mut unfinished = Vec::new();
        let (mut end, mut due) = (0u64, 0i64);
        for _ in 0..self.number()? {
            let first = end.wrapping_add(self.number()?);
            let length_and_due = self.number()?;
            let attempts = self.number()?.try_into().ok()?;
            let mut due_unix_ns = None;
            if length_and_due & 1 == 1 {
                due = due.wrapping_add(unfold_sign(self.number()?));
                due_unix_ns = Some(due);
            }
            end = first.checked_add((length_and_due >> 1).checked_sub(1)?)?.wrapping_add(1);
            let positions = first..=end.wrapping_sub(1);
            unfinished.extend(positions.map(|position| Unfinished { position, attempts, due_unix_ns }));
        }
        Some(unfinished)
    }
}

/// Small numbers of either sign become small numbers.
fn fold_sign(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn unfold_sign(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_unfinished() -> impl Strategy<Value = Unfinished> {
        let position = prop_oneof![0..20u64, Just(u64::MAX), any::<u64>()];
        (position, 0..3u16, proptest::option::of(any::<i64>()))
            .prop_map(|(position, attempts, due_unix_ns)| Unfinished { position, attempts, due_unix_ns })
    }

    fn any_ranges() -> impl Strategy<Value = Vec<Range<Position>>> {
        prop::collection::vec(any::<Position>(), 0..9).prop_map(nsqd_broker::storage::ranges)
    }

    fn any_durability() -> impl Strategy<Value = Option<Durability>> {
        proptest::option::of(proptest::sample::select(&[
            Durability::Memory,
            Durability::Os,
            Durability::Disk,
        ]))
    }

    fn any_progress() -> impl Strategy<Value = Progress> {
        let changed = prop::collection::vec(any_unfinished(), 0..40);
        let channel = ("[a-z]{1,64}", any::<u64>(), any_ranges(), changed).prop_map(
            |(name, cursor, finished, changed)| ChannelProgress {
                name: ChannelName::parse(name).unwrap(),
                cursor,
                finished,
                changed,
            },
        );
        let waiting =
            (any::<u64>(), any::<u64>()).prop_map(|(position, delay_ns)| WaitingDelay { position, delay_ns });
        let (waiting, channels) =
            (prop::collection::vec(waiting, 0..9), prop::collection::vec(channel, 0..4));
        (any::<(u64, u64, u64)>(), waiting, channels).prop_map(
            |((end, released, last_id), waiting, channels)| Progress {
                end,
                released,
                last_id,
                waiting,
                channels,
            },
        )
    }

    fn any_image() -> impl Strategy<Value = TopicImage> {
        let unfinished = prop::collection::vec(any_unfinished(), 0..40);
        let cursors = any::<(u64, u64)>();
        let channel = ("[a-z]{1,64}", any::<bool>(), cursors, any_ranges(), unfinished).prop_map(
            |(name, paused, (cursor, finished_below), finished, unfinished)| ChannelImage {
                name: ChannelName::parse(name).unwrap(),
                paused,
                cursor,
                finished_below,
                finished,
                unfinished,
            },
        );
        let waiting =
            (any::<u64>(), any::<u64>()).prop_map(|(position, delay_ns)| WaitingDelay { position, delay_ns });
        let (waiting, channels) =
            (prop::collection::vec(waiting, 0..9), prop::collection::vec(channel, 0..4));
        let flags = (any_durability(), any::<bool>());
        ("[A-Z]{1,64}", flags, any::<(u64, u64, u64)>(), waiting, channels).prop_map(
            |(name, (durability, paused), (end, released, last_id), waiting, channels)| TopicImage {
                name: TopicName::parse(name).unwrap(),
                durability,
                paused,
                end,
                released,
                last_id,
                waiting,
                channels,
            },
        )
    }

    proptest! {
        #[test]
        fn any_state_comes_back_as_it_was(image in any_image()) {
            prop_assert_eq!(decode(&encode(&image)), Some(image));
        }

        #[test]
        fn any_progress_comes_back_as_it_was(progress in any_progress(), keep in 0.0..1.0f64) {
            let bytes = encode_progress(&progress);
            prop_assert_eq!(decode_progress(&bytes[..(bytes.len() as f64 * keep) as usize]), None);
            prop_assert_eq!(decode_progress(&bytes), Some(progress));
        }

        #[test]
        fn a_state_cut_short_is_not_read(image in any_image(), keep in 0.0..1.0f64) {
            let bytes = encode(&image);
            prop_assert_eq!(decode(&bytes[..(bytes.len() as f64 * keep) as usize]), None);
        }
    }

    #[test]
    fn a_million_unfinished_messages_in_a_row_take_a_few_bytes() {
        let unfinished =
            (1..=1_000_000).map(|position| Unfinished { position, attempts: 1, due_unix_ns: None }).collect();
        let name = ChannelName::parse("c").unwrap();
        let channels = vec![ChannelImage {
            name,
            paused: false,
            cursor: 2_000_000,
            finished_below: 2_000_000,
            finished: vec![],
            unfinished,
        }];
        let name = TopicName::parse("t").unwrap();
        let image = TopicImage {
            name,
            durability: None,
            paused: false,
            end: 0,
            released: 0,
            last_id: 0,
            waiting: vec![],
            channels,
        };
        let bytes = encode(&image);
        assert!(bytes.len() < 32, "{} bytes", bytes.len());
        assert!(decode(&bytes) == Some(image));
    }
}
