//! What the holders of messages decided, on its way to the link the messages came on.
//!
//! Never waits: a message in somebody's hands has at most one outcome and one touch in here, so that the mailbox is
//! bounded by the messages themselves.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::wire::message::MessageId;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Finish,
    /// It comes again after a delay.
    Requeue(Duration, Verdict),
    /// Its time was up before anybody received it: nsqd has taken it back, and there is nothing to be said.
    Lapsed {
        /// When it came: it may have come again since.
        came: Instant,
    },
}

/// What an outcome says of how the work goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Success,
    Failure,
    /// Nothing.
    None,
}

impl Outcome {
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Finish => Verdict::Success,
            Self::Requeue(_, verdict) => *verdict,
            Self::Lapsed { .. } => Verdict::None,
        }
    }
}

/// What a link finds in its mailbox.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) settled: Vec<(MessageId, Outcome)>,
    pub(super) touched: HashSet<MessageId>,
}

#[derive(Debug)]
pub(super) struct Mailbox {
    /// The nsqd of the link.
    address: String,
    /// Locked for a line by whoever settles a message, and by the link that empties it.
    state: Mutex<State>,
    /// Something is here, or the link's ready count has changed.
    nudged: Notify,
}

#[derive(Debug, Default)]
struct State {
    mail: Mail,
    /// The link is no more: nobody empties the mailbox, and nothing is put into it.
    is_closed: bool,
}

impl Mailbox {
    pub(super) fn new(address: String) -> Self {
        Self { address, state: Mutex::default(), nudged: Notify::new() }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn settle(&self, id: MessageId, outcome: Outcome) {
        self.put(|mail| mail.settled.push((id, outcome)));
    }

    pub(super) fn touch(&self, id: MessageId) {
        self.put(|mail| {
            mail.touched.insert(id);
        });
    }

    /// Empties the mailbox.
    pub(super) fn take(&self) -> Mail {
        std::mem::take(&mut self.locked().mail)
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        *self.locked() = State { mail: Mail::default(), is_closed: true };
    }

    pub(super) fn is_closed(&self) -> bool {
        self.locked().is_closed
    }

    /// Lets the link look at its mail and at its ready count.
    pub(super) fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Waits for a nudge; one that came before counts.
    pub(super) async fn nudged(&self) {
        self.nudged.notified().await;
    }

    fn put(&self, put: impl FnOnce(&mut Mail)) {
        let mut state = self.locked();
        if !state.is_closed {
            put(&mut state.mail);
            drop(state);
            self.nudge();
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding a mailbox")
    }
}
