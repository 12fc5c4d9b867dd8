//! One queue of v1.3.0, read from its files: message after message, in the order in which v1.3.0 would read them.
//!
//! It holds one file open and one message in memory, whatever the length of the queue.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::ImportError;
use super::diskqueue::{Head, Positions, Records};
use super::plan::{Part, QueuePlan, Reading};

/// How many messages at a queue's beginning are looked for again further back. As many as v1.3.0 handles between two
/// syncs (`--sync-every`, 2500) may be there twice after a crash: where they were read, for that was not yet written
/// down, and where they were put. This is more, for those who raised it.
const REPEATED_MAX: usize = 16 * 1024;

/// The longest file of positions, in bytes; what v1.3.0 writes is much shorter.
const POSITIONS_BYTES_MAX: u64 = 1024;

/// What became of one file's messages.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) name: String,
    /// Messages that are imported.
    pub(super) taken: u64,
    /// Where the first of them that was not delivered begins; `None` in a file that had been read through.
    pub(super) start: Option<u64>,
    /// Messages that are imported from elsewhere.
    pub(super) repeated: u64,
    /// Bytes at the end that are no whole message.
    pub(super) bytes_left: u64,
    /// Bytes that were written and are not there.
    pub(super) bytes_missing: u64,
}

/// A queue that is being read.
#[derive(Debug)]
pub(super) struct QueueReader {
    directory: PathBuf,
    /// How long a message may be for v1.3.0 not to refuse it, in bytes of its body.
    body_bytes_max: usize,
    parts: VecDeque<Part>,
    /// The file that is being read.
    open: Option<Records<File>>,
    report: Report,
    head: Option<Head>,
    /// The ids of the first messages.
    first_ids: HashSet<u64>,
    reports: Vec<Report>,
}

impl QueueReader {
    /// The queue, at its first message.
    pub(super) fn open(
        directory: &Path,
        plan: &QueuePlan,
        body_bytes_max: usize,
        elsewhere: &HashSet<u64>,
    ) -> Result<Self, ImportError> {
        let positions = match &plan.positions {
            Some(name) => {
                let text =
                    read_start(&directory.join(name)).map_err(|error| unreadable(directory, name, error))?;
                let positions = Positions::parse(&text);
                if positions.is_none() {
                    tracing::warn!(
                        file = name,
                        "{name}: makes no sense; all messages of the queue are imported"
                    );
                }
                positions
            }
            None => None,
        };
        let mut queue = Self {
            directory: directory.to_owned(),
            body_bytes_max,
            parts: plan.parts(positions).into(),
            open: None,
            report: Report::default(),
            head: None,
            first_ids: HashSet::new(),
            reports: Vec::new(),
        };
        queue.advance(elsewhere)?;
        Ok(queue)
    }

    /// The ids of the first messages: those that may be elsewhere too.
    pub(super) fn first_ids(mut self) -> Result<HashSet<u64>, ImportError> {
        let nowhere = HashSet::new();
        while self.head.is_some() && self.first_ids.len() < REPEATED_MAX {
            self.advance(&nowhere)?;
        }
        Ok(self.first_ids)
    }

    /// The message that is next; `None` at the end.
    pub(super) fn head(&self) -> Option<Head> {
        self.head
    }

    /// Reads the next message's body, once, in the place of what is in `body`.
    pub(super) fn read_body(&mut self, body: &mut Vec<u8>) -> Result<(), ImportError> {
        let Some(records) = &mut self.open else { return Ok(()) };
        records.read_body(body).map_err(|error| unreadable(&self.directory, &self.report.name, error))
    }

    /// Goes on to the next message that is not imported from `elsewhere`.
    pub(super) fn advance(&mut self, elsewhere: &HashSet<u64>) -> Result<(), ImportError> {
        loop {
            self.head = self.next_head()?;
            let Some(head) = self.head else { return Ok(()) };
            let known = self.first_ids.contains(&head.id);
            if known || elsewhere.contains(&head.id) {
                self.report.repeated += 1;
                continue;
            }
            if self.first_ids.len() < REPEATED_MAX {
                self.first_ids.insert(head.id);
            }
            self.report.taken += 1;
            return Ok(());
        }
    }

    fn next_head(&mut self) -> Result<Option<Head>, ImportError> {
        loop {
            if let Some(records) = &mut self.open {
                let head = records
                    .advance()
                    .map_err(|error| unreadable(&self.directory, &self.report.name, error))?;
                if head.is_some() {
                    return Ok(head);
                }
                self.report.bytes_left = records.bytes_left();
                self.reports.push(std::mem::take(&mut self.report));
                self.open = None;
            }
            let Some(part) = self.parts.pop_front() else { return Ok(None) };
            self.report = Report { name: part.name, ..Report::default() };
            let begun = self.begin(part.reading, part.bytes_min);
            self.open = begun.map_err(|error| unreadable(&self.directory, &self.report.name, error))?;
            if self.open.is_none() {
                self.reports.push(std::mem::take(&mut self.report));
            }
        }
    }

    /// Opens the file that `report` is about, before the first message that is to be delivered.
    fn begin(&mut self, reading: Reading, bytes_min: u64) -> io::Result<Option<Records<File>>> {
        let open = || File::open(self.directory.join(&self.report.name));
        let records = match reading {
            Reading::Done => return Ok(None),
            Reading::From(start) => Records::open(open()?, start)?,
            Reading::FromRefused => Records::open_at(open()?, |head| head.body_bytes > self.body_bytes_max)?,
        };
        self.report.start = Some(records.position());
        self.report.bytes_missing = bytes_min.saturating_sub(records.file_bytes());
        Ok(Some(records))
    }

    /// What became of the files, once all is read.
    pub(super) fn into_reports(self) -> Vec<Report> {
        self.reports
    }
}

fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(POSITIONS_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

fn unreadable(directory: &Path, name: &str, error: io::Error) -> ImportError {
    ImportError::Read(directory.join(name), error)
}
