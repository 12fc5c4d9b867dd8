//! Who is told of changes: nsqadmin.md §5.

use nsq_tests::admin::Watched;
use nsq_tests::differences;
use nsq_tests::endpoint::Endpoint;
use nsq_tests::http::Request;
use serde_json::{Value, json};

#[test]
fn each_change_is_told_once() {
    let endpoint = Endpoint::answering("200 OK", "");
    let watched = Watched::start(1, &[]);
    watched.make(0, "t", &["c"]);
    let admin = watched.admin(&[&format!("--notification-http-endpoint=http://{}/told", endpoint.address)]);
    let node = watched.name(0);
    let by_node = format!("/api/nodes/{node}");
    let rows = [
        ("POST", "/api/topics/t/c", r#"{"action":"pause"}"#, "pause_channel", "c", ""),
        ("POST", "/api/topics/t/c", r#"{"action":"unpause"}"#, "unpause_channel", "c", ""),
        ("POST", "/api/topics/t/c", r#"{"action":"empty"}"#, "empty_channel", "c", ""),
        ("POST", "/api/topics/t", r#"{"action":"pause"}"#, "pause_topic", "", ""),
        ("POST", "/api/topics/t", r#"{"action":"unpause"}"#, "unpause_topic", "", ""),
        ("POST", "/api/topics/t", r#"{"action":"empty"}"#, "empty_topic", "", ""),
        ("POST", "/api/topics", r#"{"topic":"t"}"#, "create_topic", "", ""),
        ("DELETE", "/api/topics/t/c", "", "delete_channel", "c", ""),
        ("DELETE", by_node.as_str(), r#"{"topic":"t"}"#, "tombstone_topic_producer", "", node.as_str()),
    ];
    for (method, path, body, action, channel, node) in rows {
        let request = Request::new(method, path)
            .header("User-Agent: ua/1.0")
            .header("Authorization: Basic YWxpY2U6c2VjcmV0")
            .body(body);
        assert_eq!(request.send(admin.http).status, 200, "{action}");
        let asked = endpoint.next();
        assert_eq!(asked.line, "POST /told");
        assert_eq!(asked.header("Content-Type"), Some("application/json"));
        let mut told: Value = serde_json::from_str(&asked.body).expect("it is JSON");
        let keys = told.as_object_mut().expect("it is an object");
        assert!(keys.remove("timestamp").is_some_and(|time| time.as_i64() > Some(1_700_000_000)));
        assert!(
            keys.remove("remote_ip")
                .is_some_and(|ip| ip.as_str().is_some_and(|ip| ip.starts_with("127.0.0.1:")))
        );
        assert!(keys.remove("via").is_some_and(|via| via.is_string()));
        let mut expected = json!({
            "action": action, "topic": "t", "user": "alice", "user_agent": "ua/1.0", "url": format!("http://nsqd{path}"),
        });
        for (key, value) in [("channel", channel), ("node", node)] {
            if !value.is_empty() {
                expected[key] = value.into();
            }
        }
        assert_eq!(told, expected);
    }
    let request = Request::new("POST", "/api/topics").body(r#"{"topic":"n","channel":"c"}"#);
    assert_eq!(request.send(admin.http).status, 200);
    // The original tells of both at the same time.
    let mut told = [0, 1].map(|_| endpoint.next().body).map(|body| {
        let told: Value = serde_json::from_str(&body).expect("it is JSON");
        told["action"].as_str().expect("it is text").to_owned()
    });
    told.sort_unstable();
    assert_eq!(told, ["create_channel", "create_topic"]);
}

#[test]
fn what_was_refused_is_told_to_nobody() {
    if differences::admin_tells_of_what_was_refused() {
        return;
    }
    let endpoint = Endpoint::answering("500 Internal Server Error", "");
    let watched = Watched::start(1, &[]);
    watched.make(0, "t", &[]);
    let admin = watched.admin(&[&format!("--notification-http-endpoint=http://{}", endpoint.address)]);
    admin.send("POST", "/api/topics/nope", r#"{"action":"empty"}"#).expect_error(404, "TOPIC_NOT_FOUND");
    admin.act("POST", "/api/topics/t", r#"{"action":"pause"}"#);
    assert!(endpoint.next().body.contains("pause_topic"));
}

#[test]
fn an_endpoint_that_is_dead_harms_nothing() {
    if !differences::admin_survives_a_dead_endpoint() {
        return;
    }
    let hung = Endpoint::silent();
    let watched = Watched::start(0, &[]);
    for endpoint in ["127.0.0.1:1".to_owned(), hung.address.to_string()] {
        let admin = watched.admin(&[&format!("--notification-http-endpoint=http://{endpoint}")]);
        // More than may wait.
        for _ in 0..300 {
            admin.act("POST", "/api/topics", r#"{"topic":"t"}"#);
        }
        assert_eq!(admin.get("/ping").status, 200);
    }
}
