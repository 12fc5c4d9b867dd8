//! What a client can ask for, and what the answer depends on besides the bytes.

use std::time::Duration;

use super::message::MessageId;
pub use super::messages::Messages;
use super::name::{ChannelName, TopicName};

/// One command, complete and in order (spec nsqd-tcp.md, §3). Bodies are borrowed from the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// `IDENTIFY`: JSON that [`identify::Request`](super::identify::Request) understands.
    Identify(&'a [u8]),
    /// `AUTH`: the secret. Whether `AUTH` is due and enabled is for the executor to say.
    Auth(&'a [u8]),
    /// `SUB <topic> <channel>`
    Sub {
        /// The topic to be consumed.
        topic: TopicName,
        /// The channel of the topic.
        channel: ChannelName,
    },
    /// `RDY <count>`: how many messages may be in flight; always 0 to [`Limits::rdy_count_max`].
    Rdy(i64),
    /// `RDY` after `CLS`: nobody looks at its parameters, nothing happens.
    RdyIgnored,
    /// `FIN <id>`
    Fin(MessageId),
    /// `REQ <id> <delay>`
    Req {
        /// The message to be requeued.
        id: MessageId,
        /// Zero: at once. Always at most [`Limits::req_timeout_max`], to which a longer one is shortened.
        delay: Duration,
    },
    /// `TOUCH <id>`
    Touch(MessageId),
    /// `CLS`
    Cls,
    /// `NOP`
    Nop,
    /// `PUB <topic>`
    Pub {
        /// Where the message goes.
        topic: TopicName,
        /// The message; never empty.
        body: &'a [u8],
    },
    /// `MPUB <topic>`
    Mpub {
        /// Where the messages go.
        topic: TopicName,
        /// The messages; at least one.
        messages: Messages<'a>,
    },
    /// `DPUB <topic> <delay>`
    Dpub {
        /// Where the message goes.
        topic: TopicName,
        /// How long the message is held back; always at most [`Limits::req_timeout_max`].
        delay: Duration,
        /// The message; never empty.
        body: &'a [u8],
    },
}

/// How far a connection has come (spec nsqd-tcp.md, §2).
///
/// ```text
///   Init --SUB--> Subscribed --CLS--> Closing
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connected; it may identify itself, authorise, publish, subscribe.
    Init,
    /// It consumes a channel.
    Subscribed,
    /// It said `CLS`: it gets no new messages but may answer for those it has.
    Closing,
}

impl Phase {
    /// The phase as `/stats` numbers it. 1 and 2 belong to peers of nsqlookupd.
    pub const fn number(self) -> i32 {
        match self {
            Self::Init => 0,
            Self::Subscribed => 3,
            Self::Closing => 4,
        }
    }
}

/// What a connection is when a command arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// How far the connection has come.
    pub phase: Phase,
    /// Whether heartbeats are sent; without them it may not subscribe.
    pub heartbeats: bool,
    /// Whether the server insists on TLS and the connection has none: then only `IDENTIFY` is allowed.
    pub tls_missing: bool,
}

/// What the server's options allow a command to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest message, in bytes (`--max-msg-size`).
    pub msg_size_max: usize,
    /// The largest body of `IDENTIFY`, `AUTH` and `MPUB`, in bytes (`--max-body-size`).
    pub body_size_max: usize,
    /// The largest ready count (`--max-rdy-count`).
    pub rdy_count_max: i64,
    /// The longest delay of `REQ` and `DPUB` (`--max-req-timeout`).
    pub req_timeout_max: Duration,
}
