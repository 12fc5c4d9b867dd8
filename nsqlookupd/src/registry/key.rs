//! What somebody can be registered under.

use std::fmt;
use std::sync::Arc;

/// The name of a topic or channel, shared by all who have it. It was checked when it came in.
pub type Name = Arc<str>;

/// A registration's place: v1.3.0's three words for it are what the log and `/debug` show.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Everybody who is connected.
    Client,
    /// A topic.
    Topic(Name),
    /// A channel of a topic: the topic's name, then its own.
    Channel(Name, Name),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (category, key, subkey) = match self {
            Self::Client => ("client", "", ""),
            Self::Topic(topic) => ("topic", &**topic, ""),
            Self::Channel(topic, channel) => ("channel", &**topic, &**channel),
        };
        write!(f, "category:{category} key:{key} subkey:{subkey}")
    }
}
