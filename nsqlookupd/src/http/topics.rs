//! `/topics` and `POST /topic/*`. A success of the latter is an empty answer.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use nsq::api::lookup::Topics;
use nsq::daemon::http::names::raw_topic;
use nsq::daemon::http::{HttpError, Query, Reply};
use nsq::wire::name::TopicName;
use tracing::{info, warn};

use super::no_room;
use crate::directory::Directory;
use crate::registry::{Key, Name, Selection};

pub(super) async fn list(State(directory): State<Arc<Directory>>) -> Reply {
    let names: Vec<Name> = directory.read().topics().map(Arc::clone).collect();
    Reply::json(&Topics { topics: names.iter().map(|name| &**name).collect() })
}

pub(super) async fn create(
    State(directory): State<Arc<Directory>>,
    query: Query,
) -> Result<Reply, HttpError> {
    let topic = TopicName::parse(raw_topic(&query)?).ok_or_else(HttpError::invalid_topic_argument)?;
    info!(%topic, "DB: adding topic({topic})");
    directory.write().list(&topic, None).map_err(no_room)?;
    Ok(Reply::Empty)
}

pub(super) async fn delete(
    State(directory): State<Arc<Directory>>,
    query: Query,
) -> Result<Reply, HttpError> {
    let topics = Selection::parse(raw_topic(&query)?);
    let deleted = directory.write().delete_topics(topics);
    if topics == Selection::All {
        warn!("DB: all topics and channels are removed, since topic(*) was to be deleted");
    }
    for key in deleted {
        match key {
            Key::Client => {}
            Key::Topic(topic) => info!(%topic, "DB: removing topic({topic})"),
            Key::Channel(topic, channel) => {
                info!(%topic, %channel, "DB: removing channel({channel}) from topic({topic})");
            }
        }
    }
    Ok(Reply::Empty)
}

pub(super) async fn tombstone(
    State(directory): State<Arc<Directory>>,
    query: Query,
) -> Result<Reply, HttpError> {
    let topic = raw_topic(&query)?;
    let missing_node = || HttpError::new(StatusCode::BAD_REQUEST, "MISSING_ARG_NODE");
    let node = query.first("node").ok_or_else(missing_node)?;
    info!(%topic, %node, "DB: setting tombstone for producer@{node} of topic({topic})");
    directory.write().tombstone(directory.now(), Selection::parse(topic), node);
    Ok(Reply::Empty)
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Server, get, post};

    #[tokio::test]
    async fn only_creating_checks_the_name() {
        let server = Server::new();
        for (target, answer) in [
            ("/topic/create", "400 MISSING_ARG_TOPIC"),
            ("/topic/create?topic=$", "400 INVALID_ARG_TOPIC"),
            ("/topic/create?topic=*", "400 INVALID_ARG_TOPIC"),
            ("/topic/create?topic=%", "400 INVALID_REQUEST"),
            ("/topic/create?topic=t&topic=$", "200 "),
            ("/topic/create?topic=t", "200 "),
            ("/topic/delete", "400 MISSING_ARG_TOPIC"),
            ("/topic/delete?topic=$", "200 "),
            ("/topic/tombstone", "400 MISSING_ARG_TOPIC"),
            ("/topic/tombstone?topic=$", "400 MISSING_ARG_NODE"),
            ("/topic/tombstone?topic=$&node=", "200 "),
        ] {
            assert_eq!(server.ask(post(target)).await, answer, "{target}");
        }
        assert_eq!(server.ask(get("/topics")).await, r#"200 {"topics":["t"]}"#);
        server.ask(post("/topic/delete?topic=t")).await;
        assert_eq!(server.ask(get("/topics")).await, r#"200 {"topics":[]}"#);
    }

    #[tokio::test]
    async fn a_star_deletes_everything() {
        let server = Server::new();
        server.ask(post("/channel/create?topic=a&channel=c")).await;
        let id = server.connect("1.2.3.4:5", "h");
        server.register(id, "b", None);
        assert_eq!(server.ask(post("/topic/delete?topic=*")).await, "200 ");
        assert_eq!(server.ask(get("/topics")).await, r#"200 {"topics":[]}"#);
        assert_eq!(server.ask(get("/channels?topic=*")).await, r#"200 {"channels":[]}"#);
        assert!(server.ask(get("/nodes")).await.contains(r#""topics":[]"#));
    }
}
