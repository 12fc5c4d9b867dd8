//! A client of NSQ: [`Producer`] and [`Consumer`], [`LookupClient`] and [`HttpClient`].
//!
//! Built on tokio: each producer and consumer is a handle to tasks of its own, which keep the connections, answer
//! heartbeats and connect again when they must. What is decided rather than done (whom to connect to, after which
//! pause, how ready counts are spread) is in pure parts beside them. The protocol itself is [`wire`](crate::wire)'s,
//! the JSON of HTTP answers [`api`](crate::api)'s; nothing here knows how a daemon works inside.
//!
//! NSQ delivers at least once, and so do these: nothing is lost without the caller being told, but a message may come
//! twice, when a connection is lost at the wrong moment or a message takes longer than its timeout.
//!
//! The tasks run on the runtime that a producer or consumer was started in, and need it: work that computes for long or
//! blocks belongs into `tokio::task::spawn_blocking`, or heartbeats are not answered and nsqd hangs up. Every method that
//! waits may be given up half-way, in `tokio::select!` or with a timeout. A publish that is given up may still be
//! carried out; [`Consumer::recv`] and [`Producer::enqueue`] then have done nothing.
//!
//! TLS and compression are not spoken here. What happens is logged through `tracing`.

mod backoff;
mod connection;
mod consumer;
pub(crate) mod converse;
mod dial;
mod error;
mod http;
mod lookup;
mod producer;

use std::time::Duration;

pub use self::backoff::Backoff;
pub use self::connection::{ConnectionOptions, Secret, USER_AGENT};
pub use self::consumer::{AttemptsLimit, Closer, Consumer, ConsumerOptions, Message};
pub use self::dial::dial;
pub use self::error::{ConnectionError, ServerError};
pub use self::http::{Action, HttpClient, HttpError};
pub use self::lookup::{LookupClient, Node, Whereabouts};
pub use self::producer::{Confirmation, Producer, ProducerOptions, PublishError};

/// The shortest heartbeat interval and message timeout that any nsqd allows.
const NSQD_TIMES_MIN: Duration = Duration::from_secs(1);

/// Options that make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// There is neither an nsqd to connect to nor an nsqlookupd to ask.
    #[error("no address of an nsqd or nsqlookupd is given")]
    NoAddress,
    /// `max_in_flight` is 0: nothing could ever be sent or received.
    #[error("max_in_flight is 0")]
    NothingInFlight,
    /// Every nsqd refuses a client that wants heartbeats more often than each second.
    #[error("heartbeat_interval is {0:?}, and nsqd allows no less than 1 s")]
    HeartbeatInterval(Duration),
    /// Every nsqd refuses a consumer whose messages have less than a second.
    #[error("msg_timeout is {0:?}, and nsqd allows no less than 1 s")]
    MsgTimeout(Duration),
    /// Every nsqd refuses a consumer that wants more than 99 percent: all are 0.
    #[error("sample_rate is {0}, and nsqd allows 0 to 99")]
    SampleRate(u8),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_may_be_used_from_any_task() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Producer>();
        check::<Confirmation>();
        check::<Consumer>();
        check::<Closer>();
        check::<Message>();
        check::<HttpClient>();
        check::<LookupClient>();
        check::<PublishError>();
        check::<ConnectionError>();
        check::<HttpError>();
    }
}
