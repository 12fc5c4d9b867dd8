//! `GET /stats`: everything that is counted, as text or as JSON.

use std::sync::Arc;

use axum::extract::State;
use nsq::daemon::http::{HttpError, Query, Reply};
use tokio::task::spawn_blocking;

use super::HttpState;
use crate::metrics::snapshot::StatsFilter;
use crate::metrics::{json, memory, text};

pub(super) async fn show(State(state): State<Arc<HttpState>>, query: Query) -> Result<Reply, HttpError> {
    let written = spawn_blocking(move || {
        let snapshot = state.node.snapshot(&filter(&query));
        let memory = flag(&query, "include_mem").then(memory::read);
        match query.first("format") {
            Some("json") => Reply::json(&json::stats(snapshot, memory)),
            _ => Reply::Text(text::stats(&state.banner, &snapshot, memory.as_ref()).into()),
        }
    });
    // With thousands of topics it takes a while, and connections do not wait for it.
    written.await.map_err(|_| HttpError::internal_error())
}

/// An empty name asks for all.
fn filter(query: &Query) -> StatsFilter {
    let name = |key| query.first(key).filter(|name| !name.is_empty()).map(str::to_owned);
    StatsFilter {
        topic: name("topic"),
        channel: name("channel"),
        include_clients: flag(query, "include_clients"),
    }
}

/// Only these two words switch something off.
fn flag(query: &Query, key: &str) -> bool {
    !matches!(query.first(key), Some("false" | "0"))
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Server, get, post};

    #[tokio::test]
    async fn filters_come_from_the_query() {
        let server = Server::new();
        for target in ["/topic/create?topic=a", "/topic/create?topic=b", "/channel/create?topic=b&channel=c"]
        {
            server.ask(post(target, "")).await;
        }
        let stats = |query: &str| server.ask(get(&format!("/stats?format=json&include_mem=0&{query}")));
        let all = stats("topic=").await;
        assert!(all.body.contains(r#""topic_name":"a""#) && all.body.contains(r#""clients":[]"#), "{all:?}");
        assert!(stats("topic=nope").await.body.ends_with(r#""topics":null,"producers":null}"#));
        assert!(stats("channel=nope").await.body.ends_with(r#""topics":[],"producers":null}"#));
        let some = stats("channel=c&include_clients=false").await;
        assert!(
            !some.body.contains(r#""topic_name":"a""#) && some.body.contains(r#""clients":null"#),
            "{some:?}"
        );
        assert_eq!(stats("topic=%").await.code(), "400 INVALID_REQUEST");
    }

    #[tokio::test]
    async fn only_false_and_0_switch_off_and_only_json_is_json() {
        let server = Server::new();
        for (query, has_memory) in
            [("false", false), ("0", false), ("no", true), ("False", true), ("", true), ("1", true)]
        {
            let text = server.ask(get(&format!("/stats?format=JSON&include_mem={query}"))).await;
            assert!(text.body.starts_with("nsqd v1.3.0 (built w/test)\nstart_time "), "{text:?}");
            assert_eq!(
                text.body.contains("\n\nMemory:\n   heap_objects             \t0\n"),
                has_memory,
                "{query}"
            );
        }
    }
}
