//! `nsqd.dat`: which topics and channels there are and which are paused (spec nsqd-operation.md, §6.1).
//!
//! The file is v1.3.0's, so that one can go back. What it cannot say (positions, what is unfinished) is the store's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use nsq::api::json::to_go_json;
use nsq::api::metadata::{ChannelMetadata, Metadata, TopicMetadata};
use nsq::wire::name::{ChannelName, TopicName};
use nsqd_broker::storage::Durability;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::discovery::{DeclaredChannel, DeclaredTopic};
use super::pace::pause_after;
use super::topic::Locked;
use super::{AdminError, NO_PANIC, Node};

const FILE_NAME: &str = "nsqd.dat";
const TEMPORARY_NAME: &str = "nsqd.dat.new.tmp";

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// It cannot be read.
    #[error("failed to read metadata from {0} - {1}")]
    Read(PathBuf, #[source] io::Error),
    /// It is not what it should be.
    #[error("failed to parse metadata in {0} - {1}")]
    Parse(PathBuf, #[source] serde_json::Error),
    /// It cannot be written.
    #[error("failed to write metadata to {0} - {1}")]
    Write(PathBuf, #[source] io::Error),
}

impl MetadataError {
    /// What the operator can do about it.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Self::Read(path, _) => Some(format!("let the user that nsqd runs as read {}", path.display())),
            Self::Parse(path, _) => Some(format!(
                "repair the file, or move it away (mv {0} {0}.bad): then the topics and channels that the store knows are there",
                path.display()
            )),
            Self::Write(..) => None,
        }
    }

    /// Whether the file is as it was only because there was no room to write it.
    pub(super) fn is_disk_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Write(_, error) if full.contains(&error.kind()))
    }
}

/// What the file in `data_path` says; nothing if there is none.
///
/// # Errors
/// It cannot be read, or is not what it should be.
pub fn read(data_path: &Path) -> Result<Metadata, MetadataError> {
    let path = data_path.join(FILE_NAME);
    match fs::read(&path) {
        Ok(body) => parse(&body).map_err(|error| MetadataError::Parse(path, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Metadata::default()),
        Err(error) => Err(MetadataError::Read(path, error)),
    }
}

/// Only an object will do: what else could be read as one was not written by us, and must not be overwritten.
fn parse(body: &[u8]) -> serde_json::Result<Metadata> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body)?;
    serde_json::from_value(object.into())
}

/// Writes the file: whole, or not at all.
pub(super) struct Writer {
    path: PathBuf,
    temporary: PathBuf,
    /// Held for one write, so that two never mix.
    writing: Mutex<()>,
    requested: Notify,
}

impl Writer {
    pub(super) fn new(data_path: &Path) -> Self {
        Self {
            path: data_path.join(FILE_NAME),
            temporary: data_path.join(TEMPORARY_NAME),
            writing: Mutex::new(()),
            requested: Notify::new(),
        }
    }

    /// Has the file written soon; what is asked for meanwhile is the same write.
    pub(super) fn request(&self) {
        self.requested.notify_one();
    }

    /// Writes the file whenever that was requested, for ever, each time whole and so not at once where it has much to say:
    /// what a crash in between takes from it, the store still knows. What cannot be written now is written with the next.
    pub(super) async fn run(&self, body: impl Fn() -> Metadata) {
        loop {
            self.requested.notified().await;
            let begun = Instant::now();
            let written = tokio::task::block_in_place(|| self.write(&body));
            if let Err(error) = written {
                tracing::error!("{error}");
            }
            sleep(pause_after(begun.elapsed())).await;
        }
    }

    /// Writes the file now; it is on the disk when this returns. What is written last is the newest `body`.
    pub(super) fn write(&self, body: impl FnOnce() -> Metadata) -> Result<(), MetadataError> {
        let _writing = self.writing.lock().expect(NO_PANIC);
        let metadata = body();
        tracing::info!("NSQ: persisting topic/channel metadata to {}", self.path.display());
        self.replace(&to_go_json(&metadata)).map_err(|error| MetadataError::Write(self.path.clone(), error))
    }

    fn replace(&self, body: &[u8]) -> io::Result<()> {
        let mut file = open_private(&self.temporary)?;
        file.write_all(body)?;
        file.sync_all()?;
        fs::rename(&self.temporary, &self.path)
    }
}

/// A new file that only its owner may read: it names topics.
fn open_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

impl Node {
    /// What `nsqd.dat` should say now.
    pub(super) fn metadata_body(&self) -> Metadata {
        let handles: Vec<_> = self.read_topics().by_name.values().cloned().collect();
        let mut topics: Vec<TopicMetadata> = handles
            .iter()
            .filter(|handle| !handle.name.is_ephemeral())
            .filter_map(|handle| handle.with(|locked| topic_metadata(&locked)).ok())
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Metadata { topics: (!topics.is_empty()).then_some(topics), version: crate::VERSION.to_owned() }
    }

    pub(super) fn write_metadata(&self) -> Result<(), AdminError> {
        self.metadata.write(|| self.metadata_body()).map_err(|error| {
            tracing::error!("{error}");
            AdminError::Internal(error.to_string())
        })
    }

    /// Makes the topics and channels that the file names, where the store did not bring them already.
    pub(super) fn apply_metadata(&self, metadata: &Metadata) {
        for topic in metadata.topics.iter().flatten() {
            let Some(name) = TopicName::parse(&topic.name) else {
                tracing::warn!("skipping creation of invalid topic {}", topic.name);
                continue;
            };
            let channel = |channel: &ChannelMetadata| {
                let name = ChannelName::parse(&channel.name);
                if name.is_none() {
                    tracing::warn!("skipping creation of invalid channel {}", channel.name);
                }
                Some(DeclaredChannel { name: name?, paused: Some(channel.paused) })
            };
            let channels = topic.channels.iter().flatten().filter_map(channel).collect();
            let durability = topic.durability.as_deref().and_then(|level| {
                let known = Durability::parse(level);
                if known.is_none() {
                    tracing::warn!("topic {name} has an unknown durability, {level}: the flags count");
                }
                known
            });
            self.declare(&DeclaredTopic { name, durability, paused: Some(topic.paused), channels });
        }
    }
}

fn topic_metadata(locked: &Locked<'_>) -> TopicMetadata {
    let channels: Vec<ChannelMetadata> = (locked.topic.channels())
        .filter(|(name, _)| !name.is_ephemeral())
        .map(|(name, paused)| ChannelMetadata { name: name.to_string(), paused })
        .collect();
    TopicMetadata {
        name: locked.topic.name().to_string(),
        paused: locked.topic.is_paused(),
        durability: locked.topic.chosen_durability().map(|level| level.to_string()),
        channels: (!channels.is_empty()).then_some(channels),
    }
}

#[cfg(test)]
impl Node {
    /// Keeps the file from being written until `released`.
    pub(super) fn hold_up_metadata(
        self: &std::sync::Arc<Self>,
        released: std::sync::mpsc::Receiver<()>,
    ) -> std::thread::JoinHandle<()> {
        let (held_sender, held) = std::sync::mpsc::channel();
        let node = std::sync::Arc::clone(self);
        let holder = std::thread::spawn(move || {
            let _writing = node.metadata.writing.lock().unwrap();
            held_sender.send(()).unwrap();
            released.recv().unwrap();
        });
        held.recv().unwrap();
        holder
    }
}
