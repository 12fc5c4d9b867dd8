//! The parameters `topic` and `channel` of a request.

use super::{HttpError, Query};
use crate::wire::name::{ChannelName, TopicName};

/// The topic as it was given, for requests that look for it and need not check it.
///
/// # Errors
/// It is missing.
pub fn raw_topic(query: &Query) -> Result<&str, HttpError> {
    query.first("topic").ok_or_else(HttpError::missing_topic)
}

/// The topic and channel of a request about a channel.
///
/// # Errors
/// One is missing or no valid name; the topic is looked at first.
pub fn topic_and_channel(query: &Query) -> Result<(TopicName, ChannelName), HttpError> {
    let topic = TopicName::parse(raw_topic(query)?).ok_or_else(HttpError::invalid_topic_argument)?;
    let channel = query.first("channel").ok_or_else(HttpError::missing_channel)?;
    let channel = ChannelName::parse(channel).ok_or_else(HttpError::invalid_channel_argument)?;
    Ok((topic, channel))
}
