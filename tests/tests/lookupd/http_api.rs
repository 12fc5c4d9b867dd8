//! The endpoints, what they take and what they answer: nsqlookupd.md §7.

use nsq_tests::http::Request;
use nsq_tests::{Lookupd, differences, each};

#[test]
fn every_argument_is_asked_for_and_checked_in_order() {
    let lookupd = Lookupd::start();
    each(
        [
            ("GET", "/channels", 400, "MISSING_ARG_TOPIC"),
            ("GET", "/channels?topic=%zz", 400, "INVALID_REQUEST"),
            ("GET", "/lookup", 400, "MISSING_ARG_TOPIC"),
            ("GET", "/lookup?topic=%zz", 400, "INVALID_REQUEST"),
            ("GET", "/lookup?topic=", 404, "TOPIC_NOT_FOUND"),
            ("GET", "/lookup?topic=unknown", 404, "TOPIC_NOT_FOUND"),
            ("GET", "/lookup?topic=*", 404, "TOPIC_NOT_FOUND"),
            ("POST", "/topic/create", 400, "MISSING_ARG_TOPIC"),
            ("POST", "/topic/create?topic", 400, "INVALID_ARG_TOPIC"),
            ("POST", "/topic/create?topic=*", 400, "INVALID_ARG_TOPIC"),
            ("POST", "/topic/create?topic=%zz", 400, "INVALID_REQUEST"),
            ("POST", "/topic/delete", 400, "MISSING_ARG_TOPIC"),
            ("POST", "/topic/delete?topic=%zz", 400, "INVALID_REQUEST"),
            ("POST", "/channel/create", 400, "MISSING_ARG_TOPIC"),
            ("POST", "/channel/create?topic=$", 400, "INVALID_ARG_TOPIC"),
            ("POST", "/channel/create?topic=t", 400, "MISSING_ARG_CHANNEL"),
            ("POST", "/channel/create?topic=t&channel=$", 400, "INVALID_ARG_CHANNEL"),
            ("POST", "/channel/delete", 400, "MISSING_ARG_TOPIC"),
            ("POST", "/channel/delete?topic=*&channel=c", 400, "INVALID_ARG_TOPIC"),
            ("POST", "/channel/delete?topic=t", 400, "MISSING_ARG_CHANNEL"),
            ("POST", "/channel/delete?topic=t&channel=*", 400, "INVALID_ARG_CHANNEL"),
            ("POST", "/channel/delete?topic=t&channel=c", 404, "CHANNEL_NOT_FOUND"),
            ("POST", "/topic/tombstone?node=a:1", 400, "MISSING_ARG_TOPIC"),
            ("POST", "/topic/tombstone?topic=t", 400, "MISSING_ARG_NODE"),
        ]
        .map(|(method, target, status, code)| (format!("{method} {target}"), status, code)),
        |(request, status, code)| {
            let (method, target) = request.split_once(' ').expect("there is one");
            Request::new(method, target).send(lookupd.http).expect_error(*status, code);
        },
    );
    assert!(lookupd.topics().is_empty());
}

#[test]
fn an_empty_daemon_has_empty_lists() {
    let lookupd = Lookupd::start();
    each(
        [
            ("/topics", r#"{"topics":[]}"#),
            ("/channels?topic=x", r#"{"channels":[]}"#),
            ("/channels?topic=", r#"{"channels":[]}"#),
            ("/channels?topic=*", r#"{"channels":[]}"#),
            ("/nodes", r#"{"producers":[]}"#),
            ("/debug", "{}"),
            ("/info", r#"{"version":"1.3.0"}"#),
        ],
        |(target, body)| assert_eq!(lookupd.get(target).expect_json(), *body),
    );
}

#[test]
fn what_is_created_is_listed_and_what_is_deleted_is_not() {
    let lookupd = Lookupd::start();
    lookupd.act("/topic/create?topic=t");
    lookupd.act("/topic/create?topic=t");
    lookupd.act("/channel/create?topic=u&channel=c");
    assert_eq!(lookupd.topics(), ["t", "u"].map(str::to_owned).into());
    assert_eq!(lookupd.get("/lookup?topic=t").expect_json(), r#"{"channels":[],"producers":[]}"#);
    assert_eq!(lookupd.get("/lookup?topic=u").expect_json(), r#"{"channels":["c"],"producers":[]}"#);
    assert_eq!(lookupd.get("/debug").text(), "{}", "nobody is registered");
    lookupd.act("/channel/delete?topic=u&channel=c");
    lookupd.post("/channel/delete?topic=u&channel=c").expect_error(404, "CHANNEL_NOT_FOUND");
    lookupd.act("/channel/create?topic=u&channel=d");
    lookupd.act("/topic/delete?topic=u");
    assert_eq!(lookupd.topics(), ["t".to_owned()].into());
    assert!(lookupd.channels("u").is_empty());
    lookupd.act("/topic/delete?topic=u");
    lookupd.act("/topic/delete?topic=$");
}

#[test]
fn a_deleted_topic_is_back_when_it_is_registered_again() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    client.command("REGISTER t c");
    lookupd.act("/topic/delete?topic=t");
    client.command("PING");
    lookupd.get("/lookup?topic=t").expect_error(404, "TOPIC_NOT_FOUND");
    assert_eq!(lookupd.nodes(), ["a".to_owned()].into());
    client.command("REGISTER t");
    assert_eq!(lookupd.found("t"), ["a".to_owned()].into());
    assert!(lookupd.channels("t").is_empty());
}

#[test]
fn a_star_is_every_topic() {
    let lookupd = Lookupd::start();
    let (mut one, mut other) = (lookupd.producer("a"), lookupd.producer("b"));
    one.command("REGISTER t c");
    one.command("REGISTER u c");
    other.command("REGISTER u");
    assert_eq!(lookupd.found("*"), ["a", "b"].map(str::to_owned).into());
    let found = lookupd.get("/lookup?topic=*").json();
    assert_eq!(found["producers"].as_array().map(Vec::len), Some(2), "each of them once");
    assert_eq!(lookupd.get("/channels?topic=*").expect_json(), r#"{"channels":["c","c"]}"#);
    lookupd.act("/topic/delete?topic=*");
    assert!(lookupd.topics().is_empty() && lookupd.channels("*").is_empty());
    assert_eq!(lookupd.nodes(), ["a", "b"].map(str::to_owned).into());
}

#[test]
fn bodies_are_those_of_the_original_byte_for_byte() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.connect();
    client.identify(
        r#"{"broadcast_address":"hostA","hostname":"hh","tcp_port":10,"http_port":11,"version":"1.2.3",
            "topology_zone":"z1","topology_region":"r1"}"#,
    );
    let remote = client.address();
    assert_eq!(
        lookupd.get("/nodes").expect_json(),
        format!(
            "{{\"producers\":[{{\"remote_address\":\"{remote}\",\"hostname\":\"hh\",\"broadcast_address\":\"hostA\",\"tcp_port\":10,\
             \"http_port\":11,\"version\":\"1.2.3\",\"topology_zone\":\"z1\",\"topology_region\":\"r1\",\"tombstones\":[],\
             \"topics\":[]}}]}}"
        )
    );
    let debug = lookupd.get("/debug");
    let last_update = debug.json()["client::"][0]["last_update"].clone();
    assert_eq!(
        debug.expect_json(),
        format!(
            "{{\"client::\":[{{\"broadcast_address\":\"hostA\",\"hostname\":\"hh\",\"http_port\":11,\"id\":\"{remote}\",\
             \"last_update\":{last_update},\"tcp_port\":10,\"tombstoned\":false,\"tombstoned_at\":-6795364578871345152,\
             \"topology_region\":\"r1\",\"topology_zone\":\"z1\",\"version\":\"1.2.3\"}}]}}"
        )
    );
    client.command("REGISTER t");
    assert_eq!(
        lookupd.get("/nodes").expect_json(),
        format!(
            "{{\"producers\":[{{\"remote_address\":\"{remote}\",\"hostname\":\"hh\",\"broadcast_address\":\"hostA\",\"tcp_port\":10,\
             \"http_port\":11,\"version\":\"1.2.3\",\"topology_zone\":\"z1\",\"topology_region\":\"r1\",\"tombstones\":[false],\
             \"topics\":[\"t\"]}}]}}"
        )
    );
}

#[test]
fn lists_are_in_order_and_long_ones_complete() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    let topics: Vec<String> =
        (0..3000).map(|topic| format!("a-rather-long-topic-name-that-fills-{topic:06}")).collect();
    let lines: String = topics.iter().map(|topic| format!("REGISTER {topic} c\n")).collect();
    client.send(lines);
    topics.iter().for_each(|_| client.expect_response("OK"));
    assert_eq!(lookupd.topics().len(), 3000);
    let listed = lookupd.get("/nodes").json()["producers"][0]["topics"].clone();
    let mut listed: Vec<String> = serde_json::from_value(listed).expect("they are texts");
    if !differences::lists_are_sorted() {
        listed.sort();
    }
    assert_eq!(listed, topics);
    let debug = lookupd.get("/debug").json();
    assert_eq!(debug.as_object().map(serde_json::Map::len), Some(6001));
}
