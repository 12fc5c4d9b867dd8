//! `GET /debug`: everything that is registered, whether anybody would be sent there or not.
//!
//! In a large cluster that is more than fits into memory as text. Each topic is asked for on its own, first for its
//! channels and then for itself, so that the keys come in their order: `channel:`, `client:`, `topic:`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use nsq::api::json::to_go_json;
use nsq::api::lookup::{DebugProducer, NEVER_UNIX_NS};
use nsq::daemon::http::json_in_pieces;

use crate::directory::Directory;
use crate::registry::{Entry, Name};

pub(super) async fn show(State(directory): State<Arc<Directory>>) -> Response {
    let mut walk = Walk { directory, part: Part::Start, has_keys: false };
    json_in_pieces(move || walk.next())
}

struct Walk {
    directory: Arc<Directory>,
    part: Part,
    /// Whether a key has been written, so that a comma stands before the next.
    has_keys: bool,
}

/// What comes next; a name is that of the topic before.
enum Part {
    Start,
    Channels(Option<Name>),
    Clients,
    Topics(Option<Name>),
    End,
}

impl Walk {
    fn next(&mut self) -> Option<Bytes> {
        let mut piece = Vec::new();
        self.part = match std::mem::replace(&mut self.part, Part::End) {
            Part::Start => {
                piece.push(b'{');
                Part::Channels(None)
            }
            Part::Channels(behind) => {
                let topic = self.directory.read().topic_after(behind.as_deref());
                match topic {
                    Some(topic) => {
                        for (channel, entries) in &topic.channels {
                            self.write(&mut piece, &format!("channel:{}:{channel}", topic.name), entries);
                        }
                        Part::Channels(Some(topic.name))
                    }
                    None => Part::Clients,
                }
            }
            Part::Clients => {
                let clients = self.directory.read().clients();
                self.write(&mut piece, "client::", &clients);
                Part::Topics(None)
            }
            Part::Topics(behind) => {
                let topic = self.directory.read().topic_after(behind.as_deref());
                match topic {
                    Some(topic) => {
                        self.write(&mut piece, &format!("topic:{}:", topic.name), &topic.producers);
                        Part::Topics(Some(topic.name))
                    }
                    None => {
                        piece.push(b'}');
                        Part::End
                    }
                }
            }
            Part::End => return None,
        };
        Some(piece.into())
    }

    /// Writes a key, unless nobody is registered there.
    fn write(&mut self, piece: &mut Vec<u8>, key: &str, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        if std::mem::replace(&mut self.has_keys, true) {
            piece.push(b',');
        }
        let entries: Vec<_> = entries.iter().map(|entry| self.entry(entry)).collect();
        piece.extend_from_slice(&to_go_json(&key));
        piece.push(b':');
        piece.extend_from_slice(&to_go_json(&entries));
    }

    fn entry<'a>(&self, entry: &'a Entry) -> DebugProducer<&'a str> {
        let identity = &entry.peer.identity;
        DebugProducer {
            broadcast_address: &identity.broadcast_address,
            hostname: &identity.hostname,
            http_port: identity.http_port,
            id: &entry.peer.remote_address,
            last_update: self.directory.unix_ns(entry.last_update),
            tcp_port: identity.tcp_port,
            tombstoned: entry.tombstoned_at.is_some(),
            tombstoned_at: entry.tombstoned_at.map_or(NEVER_UNIX_NS, |at| self.directory.unix_ns(at)),
            topology_region: &identity.topology_region,
            topology_zone: &identity.topology_zone,
            version: &identity.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use nsq::api::lookup::Debug;

    use crate::http::testing::{Server, get, post};

    #[tokio::test]
    async fn every_key_with_producers_is_shown_in_order() {
        let server = Server::new();
        server.ask(post("/channel/create?topic=empty&channel=c")).await;
        assert_eq!(server.ask(get("/debug")).await, "200 {}");
        let id = server.connect("1.2.3.4:5", "h");
        server.register(id, "t", Some("c"));
        server.register(id, "u", None);
        server.ask(post("/topic/tombstone?topic=t&node=h:4151")).await;
        let answer = server.ask(get("/debug")).await;
        let text = answer.strip_prefix("200 ").unwrap();
        let shown: Debug = serde_json::from_str(text).unwrap();
        let keys: Vec<&str> = shown.keys().map(String::as_str).collect();
        assert_eq!(keys, ["channel:t:c", "client::", "topic:t:", "topic:u:"]);
        let places: Vec<_> =
            keys.iter().map(|key| text.find(&format!("\"{key}\":[{{\"broad")).unwrap()).collect();
        assert!(places.is_sorted());
        assert!(
            shown["topic:t:"][0].tombstoned && shown["topic:t:"][0].tombstoned_at > 1_700_000_000_000_000_000
        );
        assert!(shown["topic:t:"][0].last_update <= shown["topic:t:"][0].tombstoned_at);
        assert!(text.contains(r#""tombstoned":false,"tombstoned_at":-6795364578871345152,"#));
    }
}
