//! `POST /topic/*`. Success is an empty answer; a request's body is ignored.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use nsq::daemon::http::{HttpError, Query, Reply};
use nsq::wire::name::TopicName;

use super::{HttpState, arguments};
use crate::node::{AdminError, Durability};

pub(super) async fn create(State(state): State<Arc<HttpState>>, query: Query) -> Result<Reply, HttpError> {
    let topic = arguments::topic(&query)?;
    match query.first("durability") {
        None => state.node.create_topic(topic),
        Some(level) => {
            let durability = Durability::parse(level)
                // An ephemeral topic never touches the disk.
                .filter(|level| !topic.is_ephemeral() || !level.is_durable())
                .ok_or_else(|| invalid_durability(&topic, level))?;
            let created = state.node.create_topic_with(topic, durability);
            created.map_err(|error| refused_durability(&topic, durability, error))?;
        }
    }
    Ok(Reply::Empty)
}

/// The answer has room for a code only, so the log says what would do.
fn invalid_durability(topic: &TopicName, level: &str) -> HttpError {
    let known = if topic.is_ephemeral() { "memory, for it is ephemeral" } else { "memory, os or disk" };
    tracing::warn!(topic = %topic, "topic {topic} cannot have the durability {level:?}: it is {known}");
    HttpError::new(StatusCode::BAD_REQUEST, "INVALID_DURABILITY")
}

/// As above: a code cannot say what to do about it.
fn refused_durability(topic: &TopicName, level: Durability, error: AdminError) -> HttpError {
    if matches!(error, AdminError::DurabilityConflict) {
        tracing::warn!(
            topic = %topic,
            "topic {topic} cannot have the durability {level}: its messages are kept elsewhere, between memory and the \
             levels os and disk it cannot go; delete it first"
        );
    }
    arguments::refusal("/topic/create", error)
}

pub(super) async fn delete(State(state): State<Arc<HttpState>>, query: Query) -> Result<Reply, HttpError> {
    let topic = arguments::raw_topic(&query)?;
    state.node.delete_topic(topic).map_err(|error| arguments::refusal("/topic/delete", error))?;
    Ok(Reply::Empty)
}

pub(super) async fn empty(State(state): State<Arc<HttpState>>, query: Query) -> Result<Reply, HttpError> {
    let topic = arguments::topic(&query)?;
    state.node.empty_topic(topic.as_str()).map_err(|error| arguments::refusal("/topic/empty", error))?;
    Ok(Reply::Empty)
}

pub(super) async fn pause(State(state): State<Arc<HttpState>>, query: Query) -> Result<Reply, HttpError> {
    set_paused(&state, &query, true)
}

pub(super) async fn unpause(State(state): State<Arc<HttpState>>, query: Query) -> Result<Reply, HttpError> {
    set_paused(&state, &query, false)
}

fn set_paused(state: &HttpState, query: &Query, paused: bool) -> Result<Reply, HttpError> {
    let topic = arguments::raw_topic(query)?;
    let action = if paused { "/topic/pause" } else { "/topic/unpause" };
    state.node.pause_topic(topic, paused).map_err(|error| arguments::refusal(action, error))?;
    Ok(Reply::Empty)
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Server, post};

    #[tokio::test]
    async fn only_creating_and_emptying_check_the_name() {
        let server = Server::new();
        for (target, answer) in [
            ("/topic/create", "400 MISSING_ARG_TOPIC"),
            ("/topic/create?topic=$", "400 INVALID_TOPIC"),
            ("/topic/create?topic=%", "400 INVALID_REQUEST"),
            ("/topic/create?topic=t&topic=$", "200 "),
            ("/topic/create?topic=t", "200 "),
            ("/topic/create?topic=d&durability=never", "400 INVALID_DURABILITY"),
            ("/topic/create?topic=d%23ephemeral&durability=os", "400 INVALID_DURABILITY"),
            ("/topic/create?topic=d&durability=disk", "200 "),
            ("/topic/create?topic=d&durability=os", "200 "),
            ("/topic/create?topic=d&durability=memory", "409 DURABILITY_CONFLICT"),
            ("/topic/create?topic=d", "200 "),
            ("/topic/create?topic=t&durability=disk", "409 DURABILITY_CONFLICT"),
            ("/topic/empty", "400 MISSING_ARG_TOPIC"),
            ("/topic/empty?topic=$", "400 INVALID_TOPIC"),
            ("/topic/empty?topic=nope", "404 TOPIC_NOT_FOUND"),
            ("/topic/empty?topic=t", "200 "),
            ("/topic/pause?topic=$", "404 TOPIC_NOT_FOUND"),
            ("/topic/unpause", "400 MISSING_ARG_TOPIC"),
            ("/topic/pause?topic=t", "200 "),
            ("/topic/pause?topic=t", "200 "),
            ("/topic/unpause?topic=t", "200 "),
            ("/topic/delete", "400 MISSING_ARG_TOPIC"),
            ("/topic/delete?topic=$", "404 TOPIC_NOT_FOUND"),
            ("/topic/delete?topic=t", "200 "),
            ("/topic/delete?topic=t", "404 TOPIC_NOT_FOUND"),
        ] {
            assert_eq!(server.ask(post(target, "topic=form")).await.code(), answer, "{target}");
        }
    }

    #[tokio::test]
    async fn a_chosen_durability_shows_in_the_stats() {
        let server = Server::new();
        for (topic, level) in [("a", "&durability=disk"), ("b", "&durability=memory"), ("c", "")] {
            server.ask(post(&format!("/topic/create?topic={topic}{level}"), "")).await;
        }
        let topics = server.stats().await.topics.unwrap();
        let shown: Vec<_> = topics.iter().map(|topic| topic.durability.as_deref()).collect();
        assert_eq!(shown, [Some("disk"), Some("memory"), Some("memory")]);
    }

    #[tokio::test]
    async fn a_pause_shows_in_the_stats() {
        let server = Server::new();
        server.ask(post("/topic/create?topic=t", "")).await;
        for (action, paused) in [("pause", true), ("unpause", false)] {
            server.ask(post(&format!("/topic/{action}?topic=t"), "")).await;
            assert_eq!(server.stats().await.topics.unwrap()[0].paused, paused);
        }
    }
}
