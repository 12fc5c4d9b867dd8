//! `/channels` and `POST /channel/*`. A success of the latter is an empty answer.

use std::sync::Arc;

use axum::extract::State;
use nsq::api::lookup::Channels;
use nsq::daemon::http::names::{raw_topic, topic_and_channel};
use nsq::daemon::http::{HttpError, Query, Reply};
use tracing::info;

use super::no_room;
use crate::directory::Directory;
use crate::registry::{Name, Selection};

pub(super) async fn list(State(directory): State<Arc<Directory>>, query: Query) -> Result<Reply, HttpError> {
    let topics = Selection::parse(raw_topic(&query)?);
    let names: Vec<Name> = directory.read().channels(topics).map(Arc::clone).collect();
    Ok(Reply::json(&Channels { channels: names.iter().map(|name| &**name).collect() }))
}

pub(super) async fn create(
    State(directory): State<Arc<Directory>>,
    query: Query,
) -> Result<Reply, HttpError> {
    let (topic, channel) = topic_and_channel(&query)?;
    info!(%topic, %channel, "DB: adding channel({channel}) in topic({topic})");
    info!(%topic, "DB: adding topic({topic})");
    directory.write().list(&topic, Some(&channel)).map_err(no_room)?;
    Ok(Reply::Empty)
}

pub(super) async fn delete(
    State(directory): State<Arc<Directory>>,
    query: Query,
) -> Result<Reply, HttpError> {
    let (topic, channel) = topic_and_channel(&query)?;
    if !directory.write().delete_channel(&topic, &channel) {
        return Err(HttpError::channel_not_found());
    }
    info!(%topic, %channel, "DB: removing channel({channel}) from topic({topic})");
    Ok(Reply::Empty)
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Server, get, post};

    #[tokio::test]
    async fn names_are_checked_topic_first() {
        let server = Server::new();
        for (target, answer) in [
            ("create?channel=c", "400 MISSING_ARG_TOPIC"),
            ("create?topic=$", "400 INVALID_ARG_TOPIC"),
            ("create?topic=t", "400 MISSING_ARG_CHANNEL"),
            ("create?topic=t&channel=$", "400 INVALID_ARG_CHANNEL"),
            ("create?topic=t&channel=c", "200 "),
            ("delete?topic=*&channel=c", "400 INVALID_ARG_TOPIC"),
            ("delete?topic=t&channel=*", "400 INVALID_ARG_CHANNEL"),
            ("delete?topic=t&channel=x", "404 CHANNEL_NOT_FOUND"),
            ("delete?topic=x&channel=c", "404 CHANNEL_NOT_FOUND"),
        ] {
            assert_eq!(server.ask(post(&format!("/channel/{target}"))).await, answer, "{target}");
        }
        assert_eq!(server.ask(get("/channels")).await, "400 MISSING_ARG_TOPIC");
        assert_eq!(server.ask(get("/channels?topic=t")).await, r#"200 {"channels":["c"]}"#);
        assert_eq!(server.ask(post("/channel/delete?topic=t&channel=c")).await, "200 ");
        assert_eq!(server.ask(get("/channels?topic=t")).await, r#"200 {"channels":[]}"#);
        assert_eq!(server.ask(get("/topics")).await, r#"200 {"topics":["t"]}"#);
    }
}
