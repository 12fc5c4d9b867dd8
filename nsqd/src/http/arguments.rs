//! The parameters `topic` and `channel`, with the two codes v1.3.0 has for a bad topic.

use axum::http::StatusCode;
pub(super) use nsq::daemon::http::names::{raw_topic, topic_and_channel};
use nsq::daemon::http::{HttpError, Query};
use nsq::wire::name::TopicName;

use crate::node::AdminError;

/// The topic of a request about a topic: a bad name is `INVALID_TOPIC`.
pub(super) fn topic(query: &Query) -> Result<TopicName, HttpError> {
    TopicName::parse(raw_topic(query)?)
        .ok_or_else(|| HttpError::new(StatusCode::BAD_REQUEST, "INVALID_TOPIC"))
}

/// What the node refused, as the client is told. `action` says what was tried, for the log.
pub(super) fn refusal(action: &str, error: AdminError) -> HttpError {
    match error {
        AdminError::TopicNotFound => HttpError::topic_not_found(),
        AdminError::ChannelNotFound => HttpError::channel_not_found(),
        AdminError::DurabilityConflict => HttpError::new(StatusCode::CONFLICT, "DURABILITY_CONFLICT"),
        AdminError::Internal(cause) => {
            tracing::error!("failure in {action} - {cause}");
            HttpError::internal_error()
        }
    }
}
