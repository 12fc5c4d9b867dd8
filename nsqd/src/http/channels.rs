//! `POST /channel/*`. The topic must exist; success is an empty answer.

use std::sync::Arc;

use axum::extract::State;
use nsq::daemon::http::{HttpError, Query, Reply};

use super::{HttpState, arguments};

pub(super) async fn create(State(state): State<Arc<HttpState>>, query: Query) -> Result<Reply, HttpError> {
    let (topic, channel) = arguments::topic_and_channel(&query)?;
    let outcome = state.node.create_channel(topic.as_str(), channel);
    outcome.map_err(|error| arguments::refusal("/channel/create", error))?;
    Ok(Reply::Empty)
}

pub(super) async fn delete(State(state): State<Arc<HttpState>>, query: Query) -> Result<Reply, HttpError> {
    let (topic, channel) = arguments::topic_and_channel(&query)?;
    let outcome = state.node.delete_channel(topic.as_str(), channel.as_str());
    outcome.map_err(|error| arguments::refusal("/channel/delete", error))?;
    Ok(Reply::Empty)
}

pub(super) async fn empty(State(state): State<Arc<HttpState>>, query: Query) -> Result<Reply, HttpError> {
    let (topic, channel) = arguments::topic_and_channel(&query)?;
    let outcome = state.node.empty_channel(topic.as_str(), channel.as_str());
    outcome.map_err(|error| arguments::refusal("/channel/empty", error))?;
    Ok(Reply::Empty)
}

pub(super) async fn pause(State(state): State<Arc<HttpState>>, query: Query) -> Result<Reply, HttpError> {
    set_paused(&state, &query, true)
}

pub(super) async fn unpause(State(state): State<Arc<HttpState>>, query: Query) -> Result<Reply, HttpError> {
    set_paused(&state, &query, false)
}

fn set_paused(state: &HttpState, query: &Query, paused: bool) -> Result<Reply, HttpError> {
    let (topic, channel) = arguments::topic_and_channel(query)?;
    let action = if paused { "/channel/pause" } else { "/channel/unpause" };
    let outcome = state.node.pause_channel(topic.as_str(), channel.as_str(), paused);
    outcome.map_err(|error| arguments::refusal(action, error))?;
    Ok(Reply::Empty)
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Server, post};

    #[tokio::test]
    async fn every_action_checks_its_arguments_in_one_order() {
        let server = Server::new();
        server.ask(post("/topic/create?topic=t", "")).await;
        for action in ["create", "delete", "empty", "pause", "unpause"] {
            for (query, answer) in [
                ("topic=%", "400 INVALID_REQUEST"),
                ("channel=$", "400 MISSING_ARG_TOPIC"),
                ("topic=$", "400 INVALID_ARG_TOPIC"),
                ("topic=nope", "400 MISSING_ARG_CHANNEL"),
                ("topic=nope&channel=", "400 INVALID_ARG_CHANNEL"),
                ("topic=nope&channel=c", "404 TOPIC_NOT_FOUND"),
            ] {
                let answered = server.ask(post(&format!("/channel/{action}?{query}"), "")).await;
                assert_eq!(answered.code(), answer, "{action} {query}");
            }
        }
    }

    #[tokio::test]
    async fn a_channel_is_created_used_and_deleted() {
        let server = Server::new();
        server.ask(post("/topic/create?topic=t", "")).await;
        for (action, answer) in [
            ("delete", "404 CHANNEL_NOT_FOUND"),
            ("empty", "404 CHANNEL_NOT_FOUND"),
            ("pause", "404 CHANNEL_NOT_FOUND"),
            ("unpause", "404 CHANNEL_NOT_FOUND"),
            ("create", "200 "),
            ("create", "200 "),
            ("empty", "200 "),
            ("pause", "200 "),
        ] {
            let answered = server.ask(post(&format!("/channel/{action}?topic=t&channel=c"), "")).await;
            assert_eq!(answered.code(), answer, "{action}");
        }
        assert!(server.stats().await.topics.unwrap()[0].channels[0].paused);
        for action in ["unpause", "delete"] {
            let answered = server.ask(post(&format!("/channel/{action}?topic=t&channel=c"), "")).await;
            assert_eq!(answered.code(), "200 ", "{action}");
        }
        assert!(server.stats().await.topics.unwrap()[0].channels.is_empty());
    }
}
