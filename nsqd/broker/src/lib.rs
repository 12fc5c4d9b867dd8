//! What a topic and its channels are.
//!
//! A [`Topic`] is one append-only log and, for each channel, a cursor over it plus the few messages that are
//! out of order: in flight, requeued, deferred. It is a plain value: no socket, no disk, no clock, no thread.
//!
//! - *Commands* change it: [`Topic::publish`], [`Topic::subscribe`], [`Topic::deliver`], [`Topic::finish`], ...
//! - *Inputs* tell it what happened elsewhere: [`Topic::handle_timeout`], [`Topic::handle_store`].
//! - *Outputs* are what the caller must act on afterwards: [`Topic::poll_wake`] (consumers that should ask for
//!   messages), [`Topic::poll_timeout`] (when to call `handle_timeout`), [`Topic::poll_store`] (what the disk
//!   should do).
//!
//! Time is an argument, [`Now`]. The invariant that the tests hold after every step: each message released to a
//! channel is, for that channel, exactly one of ahead of the cursor, requeued, in flight, deferred or finished.

mod batch;
mod chain;
mod channel;
mod consumer;
mod deadlines;
mod deferred;
mod id;
mod in_flight;
mod log;
mod notes;
pub mod quantile;
mod remaining;
mod requeued;
mod restore;
pub mod storage;
mod time;
mod topic;

pub use batch::{BATCH_BYTES_MAX, Publication};
pub use channel::{AckError, ChannelStats, Delivery};
pub use consumer::{ConsumerSettings, ConsumerStats, Locality};
pub use remaining::{Remaining, RemainingCount, RemainingMessage};
pub use time::Now;
pub use topic::{
    ChannelKey, ConsumerKey, PublishError, SubscribeError, Topic, TopicSettings, TopicStats, Unsubscribed,
};
