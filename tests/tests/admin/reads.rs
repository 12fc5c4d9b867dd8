//! What is read of a cluster: nsqadmin.md §5, JSON bodies.

use nsq_tests::admin::{Watched, sorted_by};
use nsq_tests::{Admin, Daemon, differences};
use serde_json::{Value, json};

fn latency(count: i64, topic: &str, channel: &str, host: &str) -> Value {
    json!({"count": count, "percentiles": null, "topic": topic, "channel": channel, "host": host})
}

fn channel(node: &str, hostname: &str, depth: i64, nodes: Value, clients: Value) -> Value {
    let host = if node == "*" { ("orders", "arch", "*") } else { ("", "", "") };
    json!({
        "node": node, "hostname": hostname, "topic_name": "orders", "channel_name": "arch",
        "depth": depth, "memory_depth": depth, "backend_depth": 0, "in_flight_count": 0, "deferred_count": 0,
        "requeue_count": 0, "timeout_count": 0, "message_count": depth, "client_count": 0,
        "nodes": nodes, "clients": clients, "paused": false,
        "e2e_processing_latency": latency(0, host.0, host.1, host.2),
    })
}

#[test]
fn topics_are_the_union_of_what_all_know() {
    let watched = Watched::start(2, &[]);
    let admin = watched.admin(&[]);
    assert_eq!(admin.told("/api/topics"), json!({"topics": null, "message": ""}));
    watched.make(0, "orders", &["arch"]);
    watched.make(1, "solo", &[]);
    watched.lookupds[0].act("/channel/create?topic=newt&channel=newc");
    watched.lookupds[1].act("/topic/create?topic=newt2");
    let all = json!({"topics": ["newt", "newt2", "orders", "solo"], "message": ""});
    assert_eq!(admin.told("/api/topics"), all);
    let inactive = json!({"topics": {"newt": ["newc"], "newt2": null}, "message": ""});
    let told = admin.get("/api/topics?inactive=true").json();
    assert_eq!(told["topics"], inactive["topics"]);
    assert_eq!(admin.told("/api/topics?inactive=1"), all);
    if differences::admin_shows_topics_without_nodes() {
        let told = admin.told("/api/topics/newt");
        assert_eq!(
            (&told["nodes"], &told["channels"], &told["depth"]),
            (&json!(null), &json!(null), &json!(0))
        );
        assert_eq!(admin.told("/api/topics/newt/newc")["channel_name"], "newc");
    } else {
        assert_eq!(admin.get("/api/topics/newt").status, 502);
    }
}

#[test]
fn a_topic_is_shown_whole_and_on_each_node() {
    let watched = Watched::start(2, &[]);
    watched.make(0, "orders", &["arch"]);
    watched.make(1, "orders", &["arch"]);
    watched.nodes[0].publish("orders", "1");
    for _ in 0..2 {
        watched.nodes[1].publish("orders", "x");
    }
    watched.nodes[0].wait_for_channel("orders", "arch", "depth", 1);
    watched.nodes[1].wait_for_channel("orders", "arch", "depth", 2);
    let admin = watched.admin(&[]);
    let told = admin.told("/api/topics/orders");
    let hostname = told["nodes"][0]["hostname"].as_str().expect("a node names its host").to_owned();
    let sums = json!([
        told["node"],
        told["hostname"],
        told["depth"],
        told["message_count"],
        told["delivery_msg_count"],
        told["paused"],
        told["message"]
    ]);
    assert_eq!(sums, json!(["*", "", 0, 3, 0, false, ""]));
    assert_eq!(told["e2e_processing_latency"], latency(0, "orders", "", "*"));
    assert_eq!(told["channels"][0]["depth"], 3);
    let nodes = sorted_by(&told["nodes"], "node");
    if differences::admin_keeps_each_nodes_numbers() {
        for (index, node) in nodes.iter().enumerate() {
            let (name, depth) = (watched.name(index), index as i64 + 1);
            let own = channel(&name, &hostname, depth, json!(null), json!(null));
            let expected = json!({
                "node": name, "hostname": hostname, "topic_name": "orders", "depth": 0, "memory_depth": 0,
                "backend_depth": 0, "message_count": depth, "delivery_msg_count": 0, "nodes": null,
                "channels": [own], "paused": false, "e2e_processing_latency": latency(0, "", "", ""),
            });
            assert_eq!(*node, expected);
        }
    }
    assert_eq!(nodes.len(), 2);
}

#[test]
fn a_channel_is_shown_whole_and_on_each_node_with_its_clients() {
    let watched = Watched::start(2, &["--topology-zone=z1", "--topology-region=r1"]);
    watched.make(0, "orders", &["arch"]);
    watched.make(1, "orders", &["arch"]);
    watched.nodes[1].publish("orders", "x");
    watched.nodes[1].wait_for_channel("orders", "arch", "depth", 1);
    let admin = watched.admin(&[]);
    let mut told = admin.told("/api/topics/orders/arch");
    let hostname = told["nodes"][0]["hostname"].as_str().expect("a node names its host").to_owned();
    let nodes = sorted_by(&told["nodes"], "node");
    told["nodes"] = nodes.into();
    let own = |index: usize| channel(&watched.name(index), &hostname, index as i64, json!(null), json!([]));
    let mut expected = channel("*", "", 1, json!([own(0), own(1)]), json!(null));
    expected["message"] = "".into();
    assert_eq!(told, expected);

    let mut client = watched.nodes[0].connect();
    client.send_identify(r#"{"client_id":"me","hostname":"h","user_agent":"ua/1","topology_zone":"z1","feature_negotiation":true}"#);
    client.expect_any_response();
    client.subscribe("orders", "arch");
    client.ready(5);
    watched.nodes[0].wait_for_channel("orders", "arch", "client_count", 1);
    let told = admin.told("/api/topics/orders/arch");
    let mut seen = told["clients"][0].clone();
    for key in ["remote_address", "connect_ts", "connected"] {
        let value = seen.as_object_mut().expect("a client is an object").remove(key);
        assert!(value.is_some_and(|value| value.is_string() || value.is_number()), "{key}");
    }
    let expected = json!({
        "node": watched.name(0), "version": "V2", "client_id": "me", "hostname": "h", "user_agent": "ua/1",
        "in_flight_count": 0, "ready_count": 5, "finish_count": 0, "requeue_count": 0, "message_count": 0,
        "sample_rate": 0, "deflate": false, "snappy": false, "authed": false, "auth_identity": "",
        "auth_identity_url": "", "node_topology_region": "r1", "node_topology_zone": "z1", "topology_zone": "z1",
        "tls": false, "tls_cipher_suite": "", "tls_version": "", "tls_negotiated_protocol": "",
        "tls_negotiated_protocol_is_mutual": false,
    });
    assert_eq!(seen, expected);
    assert_eq!(told["client_count"], 1);
    let node = admin.told(&format!("/api/nodes/{}", watched.name(0)));
    assert_eq!(node["total_clients"], 1);
    assert_eq!(node["topics"][0]["channels"][0]["clients"][0]["client_id"], "me");
}

#[test]
fn what_is_not_there_is_said_to_be_missing() {
    let watched = Watched::start(1, &[]);
    watched.make(0, "orders", &["arch"]);
    let admin = watched.admin(&[]);
    if differences::admin_knows_what_is_not_there() {
        admin.get("/api/topics/nope").expect_error(404, "TOPIC_NOT_FOUND");
        admin.get("/api/topics/nope/arch").expect_error(404, "TOPIC_NOT_FOUND");
        admin.get("/api/topics/orders/nope").expect_error(404, "CHANNEL_NOT_FOUND");
    } else {
        assert_eq!(admin.get("/api/topics/nope").status, 502);
        assert_eq!(admin.get("/api/topics/orders/nope").status, 500);
    }
    admin.get("/api/nodes/127.0.0.1:1").expect_error(404, "NODE_NOT_FOUND");
}

#[test]
fn nodes_are_shown_with_their_topics() {
    let watched = Watched::start(2, &["--topology-zone=z1"]);
    watched.make(0, "orders", &[]);
    let admin = watched.admin(&[]);
    let told = admin.told("/api/nodes");
    assert_eq!(told["message"], "");
    let nodes = sorted_by(&told["nodes"], "remote_address");
    let nodes: Vec<&Value> = {
        let mut nodes: Vec<&Value> = nodes.iter().collect();
        nodes.sort_by_key(|node| node["http_port"].to_string());
        nodes
    };
    for (node, daemon) in nodes.iter().zip({
        let mut daemons: Vec<&Daemon> = watched.nodes.iter().collect();
        daemons.sort_by_key(|daemon| daemon.http.port().to_string());
        daemons
    }) {
        let has_orders = daemon.http == watched.nodes[0].http;
        let topics = if has_orders { json!([{"topic": "orders", "tombstoned": false}]) } else { json!(null) };
        let mut node = (*node).clone();
        let keys = node.as_object_mut().expect("a node is an object");
        let remote = keys.remove("remote_address").expect("it is connected from somewhere");
        let remotes = keys.remove("remote_addresses").expect("so it is to each");
        assert!(keys.remove("hostname").is_some_and(|host| host.is_string()));
        let mut lookupds: Vec<&str> = remotes
            .as_array()
            .expect("it is a list")
            .iter()
            .map(|one| one.as_str().and_then(|one| one.split('/').next()).unwrap_or_default())
            .collect();
        lookupds.sort_unstable();
        let mut expected = [watched.lookupds[0].http.to_string(), watched.lookupds[1].http.to_string()];
        expected.sort();
        assert_eq!(lookupds, expected);
        assert!(remotes.to_string().contains(remote.as_str().expect("it is text")));
        let expected = json!({
            "broadcast_address": "127.0.0.1", "tcp_port": daemon.tcp.port(), "http_port": daemon.http.port(),
            "version": "1.3.0", "topology_zone": "z1", "topics": topics, "out_of_date": false,
        });
        assert_eq!(node, expected);
    }
    assert_eq!(nodes.len(), 2);
    let empty = admin.told(&format!("/api/nodes/{}", watched.name(1)));
    let expected = json!({
        "node": watched.name(1), "topics": null, "total_messages": 0, "total_clients": 0, "message": "",
    });
    assert_eq!(empty, expected);
}

#[test]
fn the_counter_counts_each_channel_on_each_node() {
    let watched = Watched::start(1, &[]);
    let admin = watched.admin(&[]);
    assert_eq!(admin.told("/api/counter"), json!({"stats": {}, "message": ""}));
    watched.make(0, "orders", &["arch", "b"]);
    watched.nodes[0].publish("orders", "1");
    watched.nodes[0].wait_for_channel("orders", "b", "depth", 1);
    watched.nodes[0].wait_for_channel("orders", "arch", "depth", 1);
    let node = watched.name(0);
    let one = |channel: &str| json!({"node": node, "topic_name": "orders", "channel_name": channel, "message_count": 1});
    let expected = json!({
        "stats": {format!("orders:arch:{node}"): one("arch"), format!("orders:b:{node}"): one("b")},
        "message": "",
    });
    assert_eq!(admin.told("/api/counter"), expected);
}

#[test]
fn nsqds_can_be_asked_directly() {
    let nodes = [Daemon::with(&["--broadcast-address=127.0.0.1"])];
    nodes[0].act("/topic/create?topic=orders");
    nodes[0].act("/channel/create?topic=orders&channel=arch");
    let admin = Admin::direct(&nodes, &[]);
    assert_eq!(admin.told("/api/topics"), json!({"topics": ["orders"], "message": ""}));
    assert_eq!(admin.told("/api/topics?inactive=true"), json!({"topics": {}, "message": ""}));
    let node = &admin.told("/api/nodes")["nodes"][0];
    let shown =
        json!([node["remote_addresses"], node["remote_address"], node["out_of_date"], node["topics"]]);
    assert_eq!(shown, json!([null, "", false, [{"topic": "orders", "tombstoned": false}]]));
    assert_eq!(admin.told("/api/topics/orders")["channels"][0]["channel_name"], "arch");
    assert_eq!(admin.told("/api/topics/orders/arch")["nodes"][0]["node"], nodes[0].http.to_string());
    assert_eq!(admin.get("/api/nodes/127.0.0.1:1").status, 404);
}
