//! `GET /nodes`: who is connected and alive, with all its topics.
//!
//! In a large cluster that is tens of megabytes. Each node is asked for on its own, so that nobody who registers
//! waits for more than one of them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use nsq::api::json::to_go_json;
use nsq::api::lookup;
use nsq::daemon::http::json_in_pieces;

use crate::directory::Directory;
use crate::registry::{Node, ProducerId};

pub(super) async fn list(State(directory): State<Arc<Directory>>) -> Response {
    let mut place = Place::Start;
    json_in_pieces(move || {
        let (head, behind) = match place {
            Place::Start => (r#"{"producers":["#, None),
            Place::Behind(id) => (",", Some(id)),
            Place::End => return None,
        };
        let node = directory.read().node_after(directory.now(), behind);
        let is_first = behind.is_none();
        place = node.as_ref().map_or(Place::End, |node| Place::Behind(node.id));
        Some(match node {
            Some(node) => [head.as_bytes(), &body(&node)].concat().into(),
            None if is_first => Bytes::from_static(br#"{"producers":[]}"#),
            None => Bytes::from_static(b"]}"),
        })
    })
}

enum Place {
    Start,
    Behind(ProducerId),
    End,
}

fn body(node: &Node) -> Vec<u8> {
    let identity = &node.peer.identity;
    to_go_json(&lookup::Node {
        remote_address: &*node.peer.remote_address,
        hostname: &identity.hostname,
        broadcast_address: &identity.broadcast_address,
        tcp_port: identity.tcp_port,
        http_port: identity.http_port,
        version: &identity.version,
        topology_zone: &identity.topology_zone,
        topology_region: &identity.topology_region,
        tombstones: node.topics.iter().map(|(_, is_hidden)| *is_hidden).collect(),
        topics: node.topics.iter().map(|(name, _)| &**name).collect(),
    })
}

#[cfg(test)]
mod tests {
    use nsq::api::lookup::Nodes;

    use crate::http::testing::{Server, get, post};

    #[tokio::test]
    async fn everybody_is_listed_with_topics_and_tombstones() {
        let server = Server::new();
        assert_eq!(server.ask(get("/nodes")).await, r#"200 {"producers":[]}"#);
        let id = server.connect("1.2.3.4:5", "h");
        server.register(id, "t", None);
        server.register(id, "u", Some("c"));
        server.connect("1.2.3.4:6", "i");
        server.ask(post("/topic/tombstone?topic=u&node=h:4151")).await;
        let common =
            r#""tcp_port":4150,"http_port":4151,"version":"1.3.0","topology_zone":"","topology_region":"""#;
        let expected = format!(
            r#"200 {{"producers":[{{"remote_address":"1.2.3.4:5","hostname":"","broadcast_address":"h",{common},"tombstones":[false,true],"topics":["t","u"]}},{{"remote_address":"1.2.3.4:6","hostname":"","broadcast_address":"i",{common},"tombstones":[],"topics":[]}}]}}"#
        );
        assert_eq!(server.ask(get("/nodes")).await, expected);
    }

    #[tokio::test]
    async fn a_list_in_many_pieces_is_one_body() {
        let server = Server::new();
        for node in 0..2000 {
            let id = server.connect(&format!("1.2.3.4:{node}"), "h");
            server.register(id, "t", None);
        }
        let answer = server.ask(get("/nodes")).await;
        let nodes: Nodes = serde_json::from_str(answer.strip_prefix("200 ").unwrap()).unwrap();
        assert_eq!(nodes.producers.len(), 2000);
        assert_eq!(nodes.producers[1999].remote_address, "1.2.3.4:1999");
    }
}
