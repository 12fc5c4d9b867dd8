//! The history as a file, for a restart: a head with a checksum of the content, then that, compressed: each series with its
//! rings. What is not whole is not read.
//!
//! Both ways go series by series, for the whole is as large as the history itself.

use std::fs;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::ring::{MEASURES, Point, Ring};
use super::series::{RINGS, Series};
use super::value::Value;
use super::{History, SERIES_BYTES_MAX, SERIES_MAX, Subject};

/// How a file begins.
const HEAD: &[u8; 8] = b"NSQADM01";

/// How many series are copied at a time.
const SERIES_AT_ONCE: usize = 100;

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
    match fs::File::open(path) {
        Ok(file) => decode(BufReader::new(file)).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Saves what [`content`] gives, which `part` is to call, in place of what was saved before: whole or not at all.
///
/// # Errors
/// It cannot be written.
pub fn save(
    path: &Path,
    part: impl FnMut(Option<&Subject>, &mut Vec<u8>) -> Option<Subject>,
) -> Result<(), FileError> {
    let temporary = path.with_extension("history.new");
    let file = encode(BufWriter::new(fs::File::create(&temporary)?), part)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&temporary, path)?;
    Ok(())
}

/// Adds the next series after that one as bytes, not yet compressed: a copy, so that the history can go on. Gives the last
/// of them; `None` after the last of all.
#[must_use]
pub fn content(history: &History, after: Option<&Subject>, bytes: &mut Vec<u8>) -> Option<Subject> {
    let mut last = None;
    for (subject, series) in history.after(after).take(SERIES_AT_ONCE) {
        last = Some(subject);
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
            put_number(bytes, name.len() as u64);
            bytes.extend_from_slice(name.as_bytes());
        }
        for ring in series.rings() {
            put_number(bytes, ring.newest().cast_unsigned());
            put_number(bytes, ring.len() as u64);
            bytes.extend(ring.points().flatten().flat_map(|value| value.to_bytes()));
        }
    }
    last.cloned()
}

fn encode<W: Write + Seek>(
    mut file: W,
    mut part: impl FnMut(Option<&Subject>, &mut Vec<u8>) -> Option<Subject>,
) -> io::Result<W> {
    file.write_all(HEAD)?;
    // Its place; what it is is known at the end.
    file.write_all(&[0; CHECKSUM_BYTES])?;
    let mut encoder = DeflateEncoder::new(file, Compression::fast());
    let (mut checksum, mut bytes, mut last) = (Hasher::new(), Vec::new(), None);
    loop {
        bytes.clear();
        last = part(last.as_ref(), &mut bytes);
        checksum.update(&bytes);
        encoder.write_all(&bytes)?;
        if last.is_none() {
            break;
        }
    }
    let mut file = encoder.finish()?;
    file.seek(SeekFrom::Start(HEAD.len() as u64))?;
    file.write_all(&checksum.finalize().to_le_bytes())?;
    Ok(file)
}

fn decode(mut file: impl Read) -> Result<History, FileError> {
    if take::<{ HEAD.len() }>(&mut file)? != *HEAD {
        return Err(FileError::Damaged);
    }
    let checksum = u32::from_le_bytes(take(&mut file)?);
    let compressed = DeflateDecoder::new(file).take(CONTENT_BYTES_MAX);
    let mut content = Content { bytes: BufReader::new(compressed), checksum: Hasher::new() };
    let mut history = History::default();
    while let Some(kind) = take_kind(&mut content)? {
        let (first, second) = (take_name(&mut content)?, take_name(&mut content)?);
        let subject = match kind {
            0 => Subject::Cluster,
            1 => Subject::Node(first),
            2 => Subject::Topic(first),
            3 => Subject::Channel(first, second),
            _ => return Err(FileError::Damaged),
        };
        let mut rings = RINGS.map(|(_, points_max)| Ring::new(points_max));
        for ring in &mut rings {
            take_ring(&mut content, ring)?;
        }
        history.restore(subject, Series::of(rings));
    }
    match content.checksum.finalize() == checksum {
        true => Ok(history),
        false => Err(FileError::Damaged),
    }
}

/// What is read, and its checksum so far.
struct Content<R> {
    bytes: R,
    checksum: Hasher,
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(into)?;
        self.checksum.update(&into[..count]);
        Ok(count)
    }
}

/// What the next series is about; `None` after the last.
fn take_kind(content: &mut impl Read) -> Result<Option<u8>, FileError> {
    let mut kind = Vec::new();
    content.take(1).read_to_end(&mut kind).map_err(damaged)?;
    Ok(kind.pop())
}

fn take_ring(content: &mut impl Read, ring: &mut Ring) -> Result<(), FileError> {
    let newest = take_number(content)?.cast_signed();
    let count = usize::try_from(take_number(content)?).ok().filter(|count| ring.has_room(*count));
    let mut bytes = vec![0; count.ok_or(FileError::Damaged)? * 2 * MEASURES];
    content.read_exact(&mut bytes).map_err(damaged)?;
    let points = bytes.as_chunks::<{ 2 * MEASURES }>().0;
    for (point, ago) in points.iter().zip((0..points.len() as i64).rev()) {
        let mut values: Point = [Value::NONE; MEASURES];
        for (value, bytes) in values.iter_mut().zip(point.as_chunks::<2>().0) {
            *value = Value::from_bytes(*bytes);
        }
        ring.push(newest.checked_sub(ago).ok_or(FileError::Damaged)?, values, 0);
    }
    Ok(())
}

fn take_name(content: &mut impl Read) -> Result<String, FileError> {
    let length = usize::try_from(take_number(content)?).ok().filter(|length| *length <= NAME_BYTES_MAX);
    let mut name = vec![0; length.ok_or(FileError::Damaged)?];
    content.read_exact(&mut name).map_err(damaged)?;
    String::from_utf8(name).map_err(|_| FileError::Damaged)
}

fn put_number(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend(number.to_le_bytes());
}

fn take_number(content: &mut impl Read) -> Result<u64, FileError> {
    Ok(u64::from_le_bytes(take(content)?))
}

fn take<const N: usize>(content: &mut impl Read) -> Result<[u8; N], FileError> {
    let mut bytes = [0; N];
    content.read_exact(&mut bytes).map_err(damaged)?;
    Ok(bytes)
}

/// That it ends too soon, or cannot be decompressed, is not the disk's fault.
fn damaged(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            FileError::Damaged
        }
        _ => FileError::Io(error),
    }
}

const CHECKSUM_BYTES: usize = 4;

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
        save(&path, |after, bytes| content(&history, after, bytes)).unwrap();
        let mut again = load(&path).unwrap().unwrap();
        assert_eq!(again.after(None).count(), 4);
        for (subject, series) in history.after(None) {
            assert_eq!(again.series(subject).unwrap().rings(), series.rings());
        }
        again.push(1_000_205, [(Subject::Cluster, [Some(1.0); MEASURES])]);
        assert_eq!(again.series(&Subject::Cluster).unwrap().ring(1).unwrap().len(), 206);
    }

    /// A file with this content.
    fn file_of(content: &[u8]) -> Vec<u8> {
        let part = |after: Option<&Subject>, bytes: &mut Vec<u8>| {
            // All of it is the first part.
            after.is_none().then(|| {
                bytes.extend(content);
                Subject::Cluster
            })
        };
        encode(io::Cursor::new(Vec::new()), part).unwrap().into_inner()
    }

    fn whole(history: &History) -> Vec<u8> {
        let (mut bytes, mut last) = (Vec::new(), None);
        loop {
            last = content(history, last.as_ref(), &mut bytes);
            if last.is_none() {
                return bytes;
            }
        }
    }

    #[test]
    fn many_series_are_saved_a_few_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = path_in(directory.path());
        let mut history = History::default();
        let topics = (0..2 * SERIES_AT_ONCE).map(|number| Subject::Topic(number.to_string()));
        history.push(1_000, topics.map(|topic| (topic, [Some(1.0); MEASURES])));
        let mut parts = 0;
        let part = |after: Option<&Subject>, bytes: &mut Vec<u8>| {
            parts += 1;
            content(&history, after, bytes)
        };
        save(&path, part).unwrap();
        assert_eq!(parts, 3);
        assert_eq!(whole(&load(&path).unwrap().unwrap()), whole(&history));
    }

    #[test]
    fn what_is_damaged_is_not_read() {
        let file = file_of(&whole(&history()));
        assert!(decode(&*file).is_ok());
        for length in [0, 5, 8, 11, 12, file.len() / 2, file.len() - 1] {
            assert!(matches!(decode(&file[..length]), Err(FileError::Damaged)), "{length}");
        }
        for place in (0..file.len()).step_by(7) {
            let mut damaged = file.clone();
            damaged[place] ^= 1;
            // What is not noticed changed nothing.
            let same = |history: &History| whole(history) == whole(&self::history());
            assert!(decode(&*damaged).map_or(true, |history| same(&history)), "{place}");
        }
    }

    proptest! {
        #[test]
        fn no_content_panics(content: Vec<u8>) {
            let _ = decode(&*file_of(&content));
        }
    }
}
