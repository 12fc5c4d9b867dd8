//! Brings the index to where the log ends: reads the records behind the last checkpoint, and tells a tail that was
//! never written from damage.
//!
//! What is no record is *damage* where the segment was known to be on the disk there, and else the consequence of
//! a crash: of what was never acknowledged, or never promised to outlive one. A process that is killed leaves no whole
//! records behind such a place, a loss of power may: a *gap*, which can as well be damage to what was written last.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use nsq::wire::name::TopicName;

use super::index::{Change, Index};
use crate::store::image;
use crate::store::segments::Segments;
use crate::store::segments::record::{BatchPayload, Ended, Header, Kind, Location, parse_begin, parse_drops};
use crate::store::segments::scan::{Found, Scan};

/// What was found besides what is in the index.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// Where there are other bytes than were written.
    pub(super) damaged: Vec<(u32, Range<u64>)>,
    /// Where there are no records though some follow, and nobody knows whether there ever were any on the disk.
    pub(super) gaps: Vec<(u32, Range<u64>)>,
    /// Where records are that are perhaps not on the disk. To sync them now would prove nothing: it may have failed
    /// before, and the system have forgotten it.
    pub(super) owed: Vec<(u32, Range<u64>)>,
    /// How the segments that were read ended: so they will be read the next time, whatever comes back with the power.
    pub(super) ended: Vec<Ended>,
    /// The number of the next segment.
    pub(super) next: u32,
    /// How many bytes were read.
    pub(super) bytes: u64,
}

/// Works all records from `from` on into the index.
pub(super) fn recover(segments: &mut Segments, index: &mut Index, from: Location) -> io::Result<Recovered> {
    let numbers = segments.list()?;
    // A segment that a checkpoint speaks of has had its number, wherever its file is.
    let unused = from.segment + u32::from(from.offset > 0);
    let next = numbers.last().map_or(unused, |last| unused.max(last.saturating_add(1)));
    let mut recovered = Recovered { next: next.max(1), ..Recovered::default() };
    let behind: Vec<u32> = numbers.iter().copied().filter(|segment| *segment >= from.segment).collect();
    for segment in numbers.iter().copied().filter(|segment| *segment < from.segment) {
        // What the checkpoint says is dead was to be removed behind it. What died since may live again with the power.
        if index.segments.get(&segment).is_none_or(|usage| usage.live == 0) {
            segments.remove(segment)?;
            index.segments.remove(&segment);
        } else {
            let length = segments.file(segment)?.length()?;
            index.note_length(segment, length);
        }
    }
    let ended = ends(segments, &behind)?;
    for segment in behind {
        let start = if segment == from.segment { from.offset } else { 0 };
        let replay = replay(segments, index, segment, start, ended.get(&segment))?;
        recovered.bytes += replay.end - start;
        recovered.damaged.extend(replay.damaged.into_iter().map(|range| (segment, range)));
        recovered.gaps.extend(replay.gaps.into_iter().map(|range| (segment, range)));
        if replay.synced > replay.begins {
            // What was owed before it was written first, and is on the disk.
            recovered.owed.clear();
        }
        if replay.synced < replay.kept {
            recovered.owed.push((segment, replay.synced..replay.kept));
        }
        recovered.ended.push(Ended { segment, end: replay.end, synced: replay.synced });
        finish(segments, index, segment, replay.end)?;
    }
    Ok(recovered)
}

/// How segments ended, as far as later ones say so.
fn ends(segments: &mut Segments, numbers: &[u32]) -> io::Result<HashMap<u32, Ended>> {
    let mut ends = HashMap::new();
    for &segment in numbers {
        let mut scan = Scan::new(segments.file(segment)?, segment, 0..BEGIN_BYTES_MAX)?;
        if let Some((Kind::Begin, payload)) = scan.first()? {
            ends.extend(parse_begin(payload).map(|ended| (ended.segment, ended)));
        }
    }
    Ok(ends)
}

/// How long the first record of a segment can be, in bytes.
const BEGIN_BYTES_MAX: u64 = 64 * 1024;

struct Replay {
    /// Where its first draft stands.
    begins: u64,
    /// Where the last record ends that keeps something.
    kept: u64,
    /// Where the last record ends.
    end: u64,
    /// Up to where all of it is on the disk.
    synced: u64,
    damaged: Vec<Range<u64>>,
    gaps: Vec<Range<u64>>,
}

fn replay(
    segments: &mut Segments,
    index: &mut Index,
    segment: u32,
    start: u64,
    ended: Option<&Ended>,
) -> io::Result<Replay> {
    let file = segments.file(segment)?;
    let length = file.length()?;
    let mut scan = Scan::new(file, segment, start..ended.map_or(u64::MAX, |ended| ended.end))?;
    // A checkpoint speaks of what is on the disk.
    let mut synced = start.max(ended.map_or(0, |ended| ended.synced));
    let (mut begins, mut kept, mut end) = (start, start, start);
    let mut nothing = Vec::new();
    while let Some(found) = scan.next()? {
        match found {
            Found::Nothing(range) => nothing.push(range),
            Found::Record { location, header, payload } => {
                synced = synced.max(header.synced);
                end = location.offset + header.record_bytes();
                if location.offset == 0 {
                    begins = end;
                }
                if header.kind != Kind::Begin {
                    kept = end;
                }
                apply(index, location, &header, payload);
            }
        }
    }
    if length < synced {
        nothing.push(length.max(end)..synced);
    }
    let (damaged, mut gaps): (Vec<_>, Vec<_>) = nothing.into_iter().partition(|range| range.start < synced);
    gaps.retain(|range| range.start < end);
    // A damaged end is kept as it is.
    let end = damaged.last().map_or(end, |range| end.max(range.end.min(length)));
    Ok(Replay { begins, kept, end, synced, damaged, gaps })
}

/// Cuts a segment to where it ends.
fn finish(segments: &mut Segments, index: &mut Index, segment: u32, end: u64) -> io::Result<()> {
    let file = segments.file(segment)?;
    if end == 0 {
        index.segments.remove(&segment);
        return segments.remove(segment);
    }
    if file.length()? > end {
        file.set_len(end)?;
    }
    index.note_length(segment, end);
    Ok(())
}

fn apply(index: &mut Index, location: Location, header: &Header, payload: &[u8]) {
    changes(header, payload, |change| index.apply(change, location));
    let topic = header.topic;
    let name = match header.kind {
        Kind::Append if index.name(topic).is_none() => BatchPayload::parse(payload).map(|batch| batch.name),
        Kind::Save => image::name(payload),
        _ => None,
    };
    if let Some(name) = name.and_then(TopicName::parse) {
        index.note_name(topic, name);
    }
}

/// Calls `apply` with what a record does.
pub(super) fn changes(header: &Header, payload: &[u8], mut apply: impl FnMut(Change)) {
    let topic = header.topic;
    match header.kind {
        Kind::Begin => {}
        Kind::Append => {
            if let Some(batch) = BatchPayload::parse(payload) {
                let bytes = batch.records.len() as u32;
                apply(Change::Append {
                    topic,
                    first: batch.first,
                    count: header.count,
                    aside: header.aside,
                    bytes,
                });
            }
        }
        Kind::Drops => parse_drops(payload).for_each(|(topic, first)| apply(Change::Drop { topic, first })),
        Kind::Save => apply(Change::Save { topic, bytes: header.length }),
        Kind::Advance => apply(Change::Advance { topic, bytes: header.length }),
        Kind::Delete => apply(Change::Delete { topic }),
    }
}
