//! nsqlookupd's HTTP bodies (spec nsqlookupd.md, §7).
//!
//! The types are generic over what holds a text: whoever reads a body gets `String`s; the daemon, whose lists
//! are long, writes from borrowed ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json::null_as_default;

/// The body of `GET /info`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// The version of NSQ this daemon behaves as.
    pub version: String,
}

/// The body of `GET /topics`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Topics<S = String> {
    /// Every topic that is known, with or without producers.
    #[serde(deserialize_with = "null_as_default", bound(deserialize = "S: Deserialize<'de>"))]
    pub topics: Vec<S>,
}

/// The body of `GET /channels`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Channels<S = String> {
    /// The channels of the topic, with or without producers.
    #[serde(deserialize_with = "null_as_default", bound(deserialize = "S: Deserialize<'de>"))]
    pub channels: Vec<S>,
}

/// The body of `GET /lookup`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lookup<S = String> {
    /// The channels of the topic, with or without producers.
    #[serde(deserialize_with = "null_as_default", bound(deserialize = "S: Deserialize<'de>"))]
    pub channels: Vec<S>,
    /// Who has the topic, is alive, and is not told to be passed over.
    #[serde(deserialize_with = "null_as_default", bound(deserialize = "S: Deserialize<'de> + Default"))]
    pub producers: Vec<Producer<S>>,
}

/// A daemon that has a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Producer<S = String> {
    /// Where it is connected from, `ip:port`.
    pub remote_address: S,
    /// The operating system's name of its host.
    pub hostname: S,
    /// The address to reach it by.
    pub broadcast_address: S,
    /// Where it speaks V2.
    pub tcp_port: i64,
    /// Where it speaks HTTP.
    pub http_port: i64,
    /// The version of NSQ it behaves as.
    pub version: S,
    /// Where it runs, for consumers that prefer the near.
    pub topology_zone: S,
    /// The wider place the zone lies in.
    pub topology_region: S,
}

/// The body of `GET /nodes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nodes<S = String> {
    /// Every daemon that is alive.
    #[serde(deserialize_with = "null_as_default", bound(deserialize = "S: Deserialize<'de> + Default"))]
    pub producers: Vec<Node<S>>,
}

/// A daemon and all it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node<S = String> {
    /// Where it is connected from, `ip:port`.
    pub remote_address: S,
    /// The operating system's name of its host.
    pub hostname: S,
    /// The address to reach it by.
    pub broadcast_address: S,
    /// Where it speaks V2.
    pub tcp_port: i64,
    /// Where it speaks HTTP.
    pub http_port: i64,
    /// The version of NSQ it behaves as.
    pub version: S,
    /// Where it runs.
    pub topology_zone: S,
    /// The wider place the zone lies in.
    pub topology_region: S,
    /// For the topic at the same place of `topics`: whether the daemon is passed over there for now.
    #[serde(deserialize_with = "null_as_default")]
    pub tombstones: Vec<bool>,
    /// Its topics.
    #[serde(deserialize_with = "null_as_default", bound(deserialize = "S: Deserialize<'de>"))]
    pub topics: Vec<S>,
}

/// The body of `GET /debug`: by `category:topic:channel`, who is registered there.
pub type Debug<S = String> = BTreeMap<String, Vec<DebugProducer<S>>>;

/// A registration, with all that is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DebugProducer<S = String> {
    /// The address to reach it by.
    pub broadcast_address: S,
    /// The operating system's name of its host.
    pub hostname: S,
    /// Where it speaks HTTP.
    pub http_port: i64,
    /// What it is known by: where it is connected from.
    pub id: S,
    /// When it was last heard of, in Unix nanoseconds.
    pub last_update: i64,
    /// Where it speaks V2.
    pub tcp_port: i64,
    /// Whether it was ever told to be passed over here.
    pub tombstoned: bool,
    /// When, in Unix nanoseconds; [`NEVER_UNIX_NS`] for never.
    pub tombstoned_at: i64,
    /// The wider place its zone lies in.
    pub topology_region: S,
    /// Where it runs.
    pub topology_zone: S,
    /// The version of NSQ it behaves as.
    pub version: S,
}

/// What Go makes of a time that was never set.
pub const NEVER_UNIX_NS: i64 = -6_795_364_578_871_345_152;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::json::to_go_json;
    use serde::de::DeserializeOwned;

    /// Reads what v1.3.0 sent and writes it back, which must give the same bytes.
    fn check<T: Serialize + DeserializeOwned>(captured: &str) -> T {
        let body: T = serde_json::from_str(captured).unwrap();
        assert_eq!(String::from_utf8(to_go_json(&body)).unwrap(), captured);
        body
    }

    #[test]
    fn what_v1_3_0_sent_is_written_back_byte_for_byte() {
        check::<Info>(r#"{"version":"1.3.0"}"#);
        check::<Topics>(r#"{"topics":["a","b"]}"#);
        check::<Channels>(r#"{"channels":[]}"#);
        let lookup: Lookup = check(
            r#"{"channels":["c"],"producers":[{"remote_address":"127.0.0.1:35054","hostname":"hh","broadcast_address":"hostA","tcp_port":10,"http_port":11,"version":"1.2.3","topology_zone":"z1","topology_region":"r1"}]}"#,
        );
        assert_eq!(lookup.producers[0].tcp_port, 10);
        let nodes: Nodes = check(
            r#"{"producers":[{"remote_address":"127.0.0.1:35054","hostname":"hh","broadcast_address":"hostA","tcp_port":10,"http_port":11,"version":"1.2.3","topology_zone":"z1","topology_region":"r1","tombstones":[true,false],"topics":["t","te#ephemeral"]}]}"#,
        );
        assert_eq!(nodes.producers[0].tombstones, [true, false]);
        check::<Debug>(
            r#"{"topic:t:":[{"broadcast_address":"hostA","hostname":"hh","http_port":11,"id":"127.0.0.1:35054","last_update":1795456268108996807,"tcp_port":10,"tombstoned":true,"tombstoned_at":1795456268115697105,"topology_region":"r1","topology_zone":"z1","version":"1.2.3"}]}"#,
        );
    }

    #[test]
    fn older_and_newer_bodies_are_read() {
        let lookup: Lookup =
            serde_json::from_str(r#"{"channels":null,"producers":[{"tcp_port":1,"new":2}],"new":3}"#)
                .unwrap();
        assert_eq!((lookup.channels.len(), lookup.producers[0].tcp_port), (0, 1));
        let nodes: Nodes = serde_json::from_str(r#"{"producers":[{"topics":null}]}"#).unwrap();
        assert!(nodes.producers[0].topics.is_empty());
    }
}
