//! What became of a channel's messages since that was saved.

use nsq::wire::name::ChannelName;

use crate::log::Held;
use crate::storage::{ChannelProgress, Position, Unfinished, keep_last, ranges};

/// A channel's progress, noted as it is made. It is put in order when it is saved: most of it is in order already.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    finished: Vec<Position>,
    changed: Vec<Unfinished>,
}

impl Notes {
    /// A message is finished: delivered and done with, or never to be delivered.
    pub(crate) fn finished(&mut self, held: Held) {
        self.finished.push(held.position());
    }

    /// A message has so many attempts behind it, and is due then; `None`: it is ready.
    pub(crate) fn changed(&mut self, held: Held, due_unix_ns: Option<i64>) {
        self.changed.push(Unfinished { position: held.position(), attempts: held.attempts, due_unix_ns });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.finished.is_empty() && self.changed.is_empty()
    }

    /// All of it, of the channel `name` whose cursor is at `cursor`.
    pub(crate) fn take(&mut self, name: ChannelName, cursor: Position) -> ChannelProgress {
        let Self { finished, mut changed } = std::mem::take(self);
        keep_last(&mut changed);
        ChannelProgress { name, cursor, finished: ranges(finished), changed }
    }
}
