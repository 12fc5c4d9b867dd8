//! The parameters `topic` and `channel`, with the two codes v1.3.0 has for a bad topic.

use axum::http::StatusCode;
use nsq::daemon::http::{HttpError, Query};
use nsq::wire::name::{ChannelName, TopicName};

use crate::node::AdminError;

/// The topic of a request about a topic: a bad name is `INVALID_TOPIC`.
pub(super) fn topic(query: &Query) -> Result<TopicName, HttpError> {
    TopicName::parse(raw_topic(query)?)
        .ok_or_else(|| HttpError::new(StatusCode::BAD_REQUEST, "INVALID_TOPIC"))
}

/// The topic as it was given, for requests that look for it and need not check it.
pub(super) fn raw_topic(query: &Query) -> Result<&str, HttpError> {
    query.first("topic").ok_or_else(HttpError::missing_topic)
}

/// The topic and channel of a request about a channel: a bad topic is `INVALID_ARG_TOPIC`.
pub(super) fn topic_and_channel(query: &Query) -> Result<(TopicName, ChannelName), HttpError> {
    let topic = TopicName::parse(raw_topic(query)?).ok_or_else(HttpError::invalid_topic_argument)?;
    let channel = query.first("channel").ok_or_else(HttpError::missing_channel)?;
    let channel = ChannelName::parse(channel).ok_or_else(HttpError::invalid_channel_argument)?;
    Ok((topic, channel))
}

/// What the node refused, as the client is told. `action` says what was tried, for the log.
pub(super) fn refusal(action: &str, error: AdminError) -> HttpError {
    match error {
        AdminError::TopicNotFound => HttpError::topic_not_found(),
        AdminError::ChannelNotFound => HttpError::channel_not_found(),
        AdminError::Internal(cause) => {
            tracing::error!("failure in {action} - {cause}");
            HttpError::internal_error()
        }
    }
}
