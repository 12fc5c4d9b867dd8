//! Reads what the index says is there, and checks that it is.
//!
//! `None` is what was not written, or is no more what was written. An error is the disk's, and condemns nothing.

use std::io;

use bytes::Bytes;
use nsqd_broker::storage::{Position, Progress, StoredBatch, TopicImage};

use super::index::{Place, Topic};
use crate::store::segments::Segments;
use crate::store::segments::record::{BATCH_PREFIX_BYTES_MAX, BatchPayload, Header, Kind};
use crate::store::{TopicNumber, image};

/// The batch at a place.
pub(super) fn batch(
    segments: &mut Segments,
    topic: TopicNumber,
    first: Position,
    place: Place,
) -> io::Result<Option<StoredBatch>> {
    let Some((header, payload)) = payload(segments, topic, Kind::Append, place)? else {
        return Ok(None);
    };
    let Some(parsed) = BatchPayload::parse(&payload).filter(|parsed| parsed.first == first) else {
        return Ok(None);
    };
    let records = payload.slice_ref(parsed.records);
    Ok(Some(StoredBatch { first, count: header.count, aside: header.aside, records }))
}

/// What is kept of a topic besides its batches.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Worked together from what could be read.
    pub(super) image: Option<TopicImage>,
    /// Where something could not be read.
    pub(super) damaged: Vec<Place>,
}

pub(super) fn state(segments: &mut Segments, number: TopicNumber, topic: &Topic) -> io::Result<State> {
    let mut state = State::default();
    let Some(place) = topic.image else {
        return Ok(state);
    };
    state.image = payload(segments, number, Kind::Save, place)?.and_then(|(_, bytes)| image::decode(&bytes));
    let mut steps: Vec<Progress> = Vec::new();
    if state.image.is_none() {
        state.damaged.push(place);
    }
    for place in &topic.progress {
        let bytes = payload(segments, number, Kind::Advance, *place)?;
        match bytes.and_then(|(_, bytes)| image::decode_progress(&bytes)) {
            Some(step) => steps.push(step),
            None => state.damaged.push(*place),
        }
    }
    if let Some(image) = &mut state.image {
        image.advance(steps);
    }
    Ok(state)
}

fn payload(
    segments: &mut Segments,
    topic: TopicNumber,
    kind: Kind,
    place: Place,
) -> io::Result<Option<(Header, Bytes)>> {
    let before = if kind == Kind::Append { BATCH_PREFIX_BYTES_MAX } else { 0 };
    let read = segments.read(place.location(), before + place.bytes as usize)?;
    Ok(read.filter(|(header, _)| (header.kind, header.topic) == (kind, topic)))
}
