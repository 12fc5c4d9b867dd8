//! The history as a file, for a restart: a head, then each series with its rings, compressed, and a checksum over that.
//! Making and reading the bytes is pure; what is not whole is not read.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::ring::{MEASURES, Point, Ring};
use super::series::{RINGS, Series};
use super::value::Value;
use super::{History, SERIES_BYTES_MAX, SERIES_MAX, Subject};

/// How a file begins.
const HEAD: &[u8; 8] = b"NSQADM01";

/// The longest name that is read.
const NAME_BYTES_MAX: usize = 512;

/// The largest content that is read.
const CONTENT_BYTES_MAX: u64 = (SERIES_MAX * (SERIES_BYTES_MAX + 4 * NAME_BYTES_MAX)) as u64;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not one of these, or damaged.
    #[error("it is damaged, or none of nsqadmin")]
    Damaged,
}

/// Where the history is kept in a directory.
#[must_use]
pub fn path_in(directory: &Path) -> PathBuf {
    directory.join("nsqadmin.history")
}

/// Reads what was saved; `None` where nothing was.
///
/// # Errors
/// It cannot be read, or is damaged.
pub fn load(path: &Path) -> Result<Option<History>, FileError> {
    match fs::read(path) {
        Ok(bytes) => decode(&bytes).map(Some).ok_or(FileError::Damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Saves what [`content`] gave, in place of what was saved before: whole or not at all.
///
/// # Errors
/// It cannot be written.
pub fn save(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let temporary = path.with_extension("history.new");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(&encode(content)?)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    Ok(())
}

/// All series as bytes, not yet compressed: a copy, so that the history can go on.
#[must_use]
pub fn content(history: &History) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (subject, series) in history.iter() {
        let (kind, names): (u8, [&str; 2]) = match subject {
            Subject::Cluster => (0, ["", ""]),
            Subject::Node(node) => (1, [node, ""]),
            Subject::Topic(topic) => (2, [topic, ""]),
            Subject::Channel(topic, channel) => (3, [topic, channel]),
        };
        // No name that NSQ allows is longer; a node's address that is cannot be dialled.
        if names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
            continue;
        }
        bytes.push(kind);
        for name in names {
            put_number(&mut bytes, name.len() as u64);
            bytes.extend_from_slice(name.as_bytes());
        }
        for ring in series.rings() {
            put_number(&mut bytes, ring.newest().cast_unsigned());
            put_number(&mut bytes, ring.len() as u64);
            bytes.extend(ring.points().flatten().flat_map(|value| value.to_bytes()));
        }
    }
    bytes
}

fn encode(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut file = HEAD.to_vec();
    file.extend(crc32fast::hash(content).to_le_bytes());
    let mut encoder = DeflateEncoder::new(file, Compression::fast());
    encoder.write_all(content)?;
    encoder.finish()
}

fn decode(file: &[u8]) -> Option<History> {
    let rest = file.strip_prefix(HEAD)?;
    let (checksum, compressed) = rest.split_first_chunk::<4>()?;
    let mut content = Vec::new();
    DeflateDecoder::new(compressed).take(CONTENT_BYTES_MAX).read_to_end(&mut content).ok()?;
    if crc32fast::hash(&content) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let mut history = History::default();
    let mut rest = &content[..];
    while let Some((kind, after)) = rest.split_first() {
        rest = after;
        let (first, second) = (take_name(&mut rest)?, take_name(&mut rest)?);
        let subject = match kind {
            0 => Subject::Cluster,
            1 => Subject::Node(first),
            2 => Subject::Topic(first),
            3 => Subject::Channel(first, second),
            _ => return None,
        };
        let mut rings = RINGS.map(|(_, points_max)| Ring::new(points_max));
        for ring in &mut rings {
            take_ring(&mut rest, ring)?;
        }
        history.restore(subject, Series::of(rings));
    }
    Some(history)
}

fn take_ring(rest: &mut &[u8], ring: &mut Ring) -> Option<()> {
    let newest = take_number(rest)?.cast_signed();
    let count = usize::try_from(take_number(rest)?).ok()?;
    let (points, after) = rest.split_at_checked(count.checked_mul(2 * MEASURES)?)?;
    *rest = after;
    for (point, ago) in points.chunks_exact(2 * MEASURES).zip((0..count as i64).rev()) {
        let mut values: Point = [Value::NONE; MEASURES];
        for (value, bytes) in values.iter_mut().zip(point.as_chunks::<2>().0) {
            *value = Value::from_bytes(*bytes);
        }
        ring.push(newest.checked_sub(ago)?, values, 0);
    }
    Some(())
}

fn take_name(rest: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(take_number(rest)?).ok().filter(|length| *length <= NAME_BYTES_MAX)?;
    let (name, after) = rest.split_at_checked(length)?;
    *rest = after;
    String::from_utf8(name.to_vec()).ok()
}

fn put_number(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend(number.to_le_bytes());
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn history() -> History {
        let mut history = History::default();
        let subjects = [
            Subject::Cluster,
            Subject::Node("n:1".to_owned()),
            Subject::Topic("t".to_owned()),
            Subject::Channel("t".to_owned(), "c#ephemeral".to_owned()),
        ];
        for second in 1_000_000..1_000_200 {
            let depth = Some((second % 7) as f64);
            let numbers = [depth, None, Some(1.5), Some(3e9), None, Some(0.0)];
            history.push(second, subjects.iter().map(|subject| (subject.clone(), numbers)));
        }
        history
    }

    #[test]
    fn what_is_saved_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = path_in(directory.path());
        assert!(load(&path).unwrap().is_none());
        let history = history();
        save(&path, &content(&history)).unwrap();
        let mut again = load(&path).unwrap().unwrap();
        assert_eq!(again.iter().len(), 4);
        for (subject, series) in history.iter() {
            assert_eq!(again.series(subject).unwrap().rings(), series.rings());
        }
        again.push(1_000_205, [(Subject::Cluster, [Some(1.0); MEASURES])]);
        assert_eq!(again.series(&Subject::Cluster).unwrap().ring(1).unwrap().len(), 206);
    }

    #[test]
    fn what_is_damaged_is_not_read() {
        let file = encode(&content(&history())).unwrap();
        assert!(decode(&file).is_some());
        for length in [0, 5, 8, 11, 12, file.len() / 2, file.len() - 1] {
            assert!(decode(&file[..length]).is_none(), "{length}");
        }
        for place in (0..file.len()).step_by(7) {
            let mut damaged = file.clone();
            damaged[place] ^= 1;
            // What is not noticed changed nothing.
            let same = |history: &History| content(history) == content(&self::history());
            assert!(decode(&damaged).is_none_or(|history| same(&history)), "{place}");
        }
    }

    proptest! {
        #[test]
        fn no_content_panics(content: Vec<u8>) {
            let _ = decode(&encode(&content).unwrap());
        }
    }
}
