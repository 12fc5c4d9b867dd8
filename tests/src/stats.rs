//! Reading `/stats`, waiting for it to say something, and masking what differs from run to run.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Daemon, PATIENCE};

impl Daemon {
    /// All of `/stats`.
    pub fn stats(&self) -> Value {
        self.get("/stats?format=json").json()
    }

    /// A topic's part of `/stats`; null when there is no such topic.
    pub fn topic_stats(&self, topic: &str) -> Value {
        let topic = topic.replace('#', "%23");
        let stats = self.get(&format!("/stats?format=json&topic={topic}")).json();
        stats["topics"][0].clone()
    }

    /// A channel's part of `/stats`; null when there is no such channel.
    pub fn channel_stats(&self, topic: &str, channel: &str) -> Value {
        let topic = self.topic_stats(topic);
        let channels = topic["channels"].as_array();
        let found = channels.and_then(|all| all.iter().find(|found| found["channel_name"] == channel));
        found.cloned().unwrap_or(Value::Null)
    }

    /// Waits until a topic's count is as it must become.
    pub fn wait_for_topic(&self, topic: &str, key: &str, expected: u64) {
        let what = format!("{key} {expected} of topic {topic}");
        eventually(&what, || self.topic_stats(topic), |stats| stats[key] == expected);
    }

    /// Waits until a channel's count is as it must become.
    pub fn wait_for_channel(&self, topic: &str, channel: &str, key: &str, expected: u64) {
        let what = format!("{key} {expected} of channel {topic}:{channel}");
        eventually(&what, || self.channel_stats(topic, channel), |stats| stats[key] == expected);
    }

    /// The record of the client with this address among a channel's clients.
    pub fn client_stats(&self, topic: &str, channel: &str, address: &str) -> Value {
        let channel = self.channel_stats(topic, channel);
        let clients = channel["clients"].as_array().expect("clients are listed");
        let found = clients.iter().find(|client| client["remote_address"] == address);
        found.cloned().unwrap_or(Value::Null)
    }
}

/// Looks again and again until `wanted` holds; gives what was seen then.
///
/// # Panics
/// When it does not come to hold in time, with what was seen last.
pub fn eventually<T: std::fmt::Debug>(what: &str, look: impl Fn() -> T, wanted: impl Fn(&T) -> bool) -> T {
    eventually_within(PATIENCE, what, look, wanted)
}

/// Looks again and again for so long, until `wanted` holds; gives what was seen then.
///
/// # Panics
/// When it does not come to hold in time, with what was seen last.
pub fn eventually_within<T: std::fmt::Debug>(
    patience: Duration,
    what: &str,
    look: impl Fn() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        let seen = look();
        if wanted(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "never came to {what}; the last look saw {seen:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Replaces each run of digits by one `#`, so that only the shape is compared.
pub fn mask_numbers(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for character in text.chars() {
        if !character.is_ascii_digit() {
            masked.push(character);
        } else if !masked.ends_with('#') {
            masked.push('#');
        }
    }
    masked
}
