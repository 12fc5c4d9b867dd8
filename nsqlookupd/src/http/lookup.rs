//! `GET /lookup`: who has a topic. The one request that every consumer makes, again and again.

use std::sync::Arc;

use axum::extract::State;
use nsq::api::lookup::{Lookup, Producer};
use nsq::daemon::http::names::raw_topic;
use nsq::daemon::http::{HttpError, Query, Reply};

use crate::directory::Directory;
use crate::registry::{Peer, Selection};

pub(super) async fn show(State(directory): State<Arc<Directory>>, query: Query) -> Result<Reply, HttpError> {
    let topic = Selection::parse(raw_topic(&query)?);
    let found = directory.read().lookup(directory.now(), topic);
    let found = found.ok_or_else(HttpError::topic_not_found)?;
    Ok(Reply::json(&Lookup {
        channels: found.channels.iter().map(|name| &**name).collect(),
        producers: found.producers.iter().map(|peer| producer(peer)).collect(),
    }))
}

fn producer(peer: &Peer) -> Producer<&str> {
    let identity = &peer.identity;
    Producer {
        remote_address: &peer.remote_address,
        hostname: &identity.hostname,
        broadcast_address: &identity.broadcast_address,
        tcp_port: identity.tcp_port,
        http_port: identity.http_port,
        version: &identity.version,
        topology_zone: &identity.topology_zone,
        topology_region: &identity.topology_region,
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Server, get, post};

    #[tokio::test]
    async fn a_topic_is_known_with_or_without_producers() {
        let server = Server::new();
        assert_eq!(server.ask(get("/lookup")).await, "400 MISSING_ARG_TOPIC");
        for unknown in ["", "$", "t", "*"] {
            let target = format!("/lookup?topic={unknown}");
            assert_eq!(server.ask(get(&target)).await, "404 TOPIC_NOT_FOUND", "{unknown}");
        }
        server.ask(post("/channel/create?topic=t&channel=c")).await;
        assert_eq!(server.ask(get("/lookup?topic=t")).await, r#"200 {"channels":["c"],"producers":[]}"#);
        assert_eq!(server.ask(get("/lookup?topic=*")).await, r#"200 {"channels":["c"],"producers":[]}"#);
    }

    #[tokio::test]
    async fn who_registered_is_found_until_it_goes() {
        let server = Server::new();
        let id = server.connect("1.2.3.4:5", "host<a>");
        server.register(id, "t", Some("c"));
        let expected = r#"200 {"channels":["c"],"producers":[{"remote_address":"1.2.3.4:5","hostname":"","broadcast_address":"host\u003ca\u003e","tcp_port":4150,"http_port":4151,"version":"1.3.0","topology_zone":"","topology_region":""}]}"#;
        assert_eq!(server.ask(get("/lookup?topic=t")).await, expected);
        server.ask(post("/topic/tombstone?topic=t&node=host%3Ca%3E:4151")).await;
        assert_eq!(server.ask(get("/lookup?topic=t")).await, r#"200 {"channels":["c"],"producers":[]}"#);
    }
}
