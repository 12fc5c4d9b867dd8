//! Nodes that do not answer: nsqadmin.md §3, partial failure.

use nsq_tests::admin::Watched;
use nsq_tests::endpoint::Endpoint;
use nsq_tests::process::Signal;
use nsq_tests::stats::eventually;
use nsq_tests::{Admin, Daemon, Lookupd, differences};
use serde_json::Value;

#[test]
fn who_is_not_there_is_a_warning_as_long_as_others_are() {
    let watched = Watched::start(1, &[]);
    watched.make(0, "t", &[]);
    let admin = watched.admin(&["--lookupd-http-address=127.0.0.1:1"]);
    let told = admin.told("/api/topics");
    assert_eq!(told["topics"][0], "t");
    let message = told["message"].as_str().expect("it is text");
    assert!(message.starts_with("WARNING: ") && message.contains("127.0.0.1:1"), "{message}");
    assert!(message.contains("connection refused"), "{message}");
    let told = admin.send("POST", "/api/topics", r#"{"topic":"made"}"#).json();
    assert!(told["message"].as_str().is_some_and(|message| message.starts_with("WARNING: ")), "{told}");
    assert!(watched.lookupds[0].topics().contains("made"));
    if differences::admin_has_extensions() {
        let failed: Vec<&serde_json::Value> = told["outcomes"]
            .as_array()
            .expect("it is a list")
            .iter()
            .filter(|one| one["ok"] == false)
            .collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0]["node"], "127.0.0.1:1");
        // The overview says so too, though all nodes are well.
        let warned = eventually(
            "a warning in the overview",
            || admin.get("/api/overview").json(),
            |overview| overview["warnings"][0]["node"] == "127.0.0.1:1",
        );
        assert_eq!(warned["warnings"][0]["service"], "nsqlookupd");
    }
}

#[test]
fn who_fails_for_many_topics_is_named_once_for_all() {
    if !differences::admin_has_extensions() {
        return;
    }
    let watched = Watched::start(1, &[]);
    let topics = ["a", "b", "c", "d"];
    for topic in topics {
        watched.lookupds[0].act(&format!("/topic/create?topic={topic}"));
        watched.lookupds[1].act(&format!("/channel/create?topic={topic}&channel=of_{topic}"));
    }
    let admin = watched.admin(&["--lookupd-http-address=127.0.0.1:1"]);
    let told = admin.told("/api/topics?inactive=true");
    let expected: serde_json::Map<String, serde_json::Value> = topics
        .iter()
        .map(|topic| ((*topic).to_owned(), serde_json::json!([format!("of_{topic}")])))
        .collect();
    assert_eq!(told["topics"], serde_json::Value::Object(expected));
    // For the topics, for the nodes, for all channels.
    let message = told["message"].as_str().expect("it is text");
    assert_eq!(message.matches("127.0.0.1:1: ").count(), 3, "{message}");
}

#[test]
fn where_nobody_is_there_it_is_an_error() {
    let admin = Admin::with(&["--lookupd-http-address=127.0.0.1:1"]);
    for target in ["/api/topics", "/api/nodes", "/api/counter", "/api/topics/t", "/api/nodes/127.0.0.1:1"] {
        let response = admin.get(target);
        assert_eq!(response.status, 502, "{target}");
        let text = "UPSTREAM_ERROR: failed to query any nsqlookupd: ";
        assert!(response.text().contains(text), "{}", response.text());
    }
    // A write that nobody hears is a warning.
    let response = admin.send("POST", "/api/topics", r#"{"topic":"t"}"#);
    assert!(response.status == 200 && response.text().contains("WARNING: "), "{response:?}");
    let admin = Admin::with(&["--nsqd-http-address=127.0.0.1:1"]);
    let response = admin.get("/api/topics");
    assert_eq!(response.status, 502);
    assert!(response.text().contains("UPSTREAM_ERROR: failed to query any nsqd: "), "{}", response.text());
}

#[test]
fn a_node_that_hangs_costs_its_time_once_and_is_named() {
    if !differences::admin_has_extensions() {
        return;
    }
    let hung = Endpoint::silent();
    let node = Daemon::with(&["--broadcast-address=127.0.0.1"]);
    node.act("/topic/create?topic=t");
    node.act("/channel/create?topic=t&channel=c");
    let admin = Admin::with(&[
        format!("--nsqd-http-address={}", node.http),
        format!("--nsqd-http-address={}", hung.address),
        "--http-client-request-timeout=1s".to_owned(),
    ]);
    let named = hung.address.to_string();
    let told = admin.told("/api/topics");
    assert_eq!(told["topics"][0], "t");
    assert!(told["message"].as_str().is_some_and(|message| message.contains(&named)), "{told}");
    // From now on it is known to be silent, and nobody waits for it.
    for _ in 0..20 {
        let told = admin.told("/api/topics");
        let message = told["message"].as_str().expect("it is text");
        assert!(message.contains(&named) && message.contains("is not waited for again so soon"), "{told}");
    }
}

#[test]
fn a_node_that_dies_is_shown_as_silent() {
    if !differences::admin_has_extensions() {
        return;
    }
    let mut watched = Watched::start(2, &[]);
    watched.make(0, "t", &["c", "idle"]);
    watched.make(1, "u", &["c"]);
    watched.nodes[0].publish("t", "x");
    watched.nodes[0].act("/channel/empty?topic=t&channel=idle");
    watched.nodes[0].act("/channel/pause?topic=t&channel=idle");
    let admin = watched.admin(&["--sample-interval=100ms"]);
    let codes = |overview: &serde_json::Value| -> Vec<String> {
        let rows = overview["channels"].as_array().cloned().unwrap_or_default();
        let codes = |row: serde_json::Value| row["trouble"].as_array().cloned().unwrap_or_default();
        rows.into_iter()
            .flat_map(codes)
            .map(|one| one["code"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let overview = eventually(
        "both nodes",
        || admin.get("/api/overview").json(),
        |overview| overview["totals"]["channels"] == 3,
    );
    // What is only paused was wanted so.
    assert_eq!(overview["totals"]["in_trouble"], 1);
    assert_eq!(codes(&overview), ["no_consumers", "paused"]);
    let name = watched.name(0);
    let dead = watched.nodes.remove(0).kill();
    let overview = eventually(
        "the silence of a node",
        || admin.get("/api/overview").json(),
        |overview| codes(overview).contains(&"node_silent".to_owned()),
    );
    // The channel that had nothing to do there is none the worse for it.
    assert_eq!(codes(&overview), ["no_consumers", "node_silent", "paused"]);
    assert_eq!(overview["channels"][0]["topic"], "t");
    let of_node =
        overview["nodes"].as_array().expect("it is a list").iter().find(|node| node["node"] == name.as_str());
    assert!(of_node.expect("it is still named")["silent_ms"].as_u64() > Some(0), "{overview}");
    let _alive = dead.start_in_place();
    eventually(
        "its return",
        || codes(&admin.get("/api/overview").json()),
        |codes| !codes.contains(&"node_silent".to_owned()),
    );
}

#[test]
fn a_node_that_was_never_there_is_shown_by_the_address_it_is_asked_at() {
    if !differences::admin_has_extensions() {
        return;
    }
    let node = Daemon::with(&["--broadcast-address=127.0.0.1"]);
    let place = node.http.to_string();
    let silent: Vec<String> =
        [&place, "127.0.0.1:1"].iter().map(|at| format!("--nsqd-http-address={at}")).collect();
    let names = |admin: &Admin| -> Vec<(String, bool)> {
        let overview = admin.get("/api/overview").json();
        let nodes = overview["nodes"].as_array().cloned().unwrap_or_default();
        nodes
            .iter()
            .map(|node| (node["node"].as_str().unwrap_or_default().to_owned(), node["reason"] == ""))
            .collect()
    };
    let admin = Admin::with(&silent);
    assert_eq!(names(&admin), [("127.0.0.1:1".to_owned(), false), (place, true)]);
    let admin = Admin::with(&["--nsqd-http-address=127.0.0.1:1"]);
    assert_eq!(names(&admin), [("127.0.0.1:1".to_owned(), false)]);

    // Once it is there it is the one it says, and no other.
    let (name, other) = (format!("localhost:{}", node.http.port()), node.http.to_string());
    let dead = node.kill();
    let admin = Admin::with(&[&format!("--nsqd-http-address={name}"), "--nsqd-http-address=127.0.0.1:1"]);
    assert_eq!(names(&admin), [("127.0.0.1:1".to_owned(), false), (name.clone(), false)]);
    let alive = dead.start_in_place();
    let both = [("127.0.0.1:1".to_owned(), false), (other.clone(), true)];
    eventually("the name it says", || names(&admin), |names| *names == both);

    // Asked at two addresses it is one, also when it dies.
    let twice = [&other, &name].map(|at| format!("--nsqd-http-address={at}"));
    let admin = Admin::with(&twice);
    assert_eq!(names(&admin), [(other.clone(), true)]);
    let _dead = alive.kill();
    let warnings = || admin.get("/api/overview").json()["warnings"].as_array().map_or(0, Vec::len);
    eventually("both addresses to fail", warnings, |count| *count == 2);
    assert_eq!(names(&admin), [(other, false)]);
}

#[test]
fn a_node_that_never_answered_is_a_warning() {
    if !differences::admin_has_extensions() {
        return;
    }
    let lookupd = Lookupd::start();
    let announced = format!("--lookupd-tcp-address={}", lookupd.tcp);
    let node = Daemon::with(&[&announced, "--broadcast-address=nowhere.invalid"]);
    let name = format!("nowhere.invalid:{}", node.http.port());
    let known = || lookupd.get("/nodes").json()["producers"].as_array().map_or(0, Vec::len);
    eventually("the node at the nsqlookupd", known, |count| *count == 1);
    let admin = Admin::with(&[format!("--lookupd-http-address={}", lookupd.http)]);
    let overview = admin.get("/api/overview").json();
    assert_eq!(overview["warnings"][0]["node"], name.as_str(), "{overview}");
    assert!(overview["message"].as_str().is_some_and(|message| message.contains(&name)), "{overview}");
    let log = admin.end(Signal::TERM).log;
    let said = format!("nsqd {name} does not answer");
    assert_eq!(log.iter().filter(|line| line.contains(&said)).count(), 1, "{log:?}");
}

#[test]
fn a_node_whose_name_leads_nowhere_is_asked_where_it_was_given() {
    if !differences::admin_has_extensions() {
        return;
    }
    let node = Daemon::with(&["--broadcast-address=nowhere.invalid"]);
    node.act("/topic/create?topic=t");
    node.act("/channel/create?topic=t&channel=c");
    node.publish("t", "x");
    let admin = Admin::direct(std::slice::from_ref(&node), &[]);
    let name = format!("nowhere.invalid:{}", node.http.port());
    let overview = admin.get("/api/overview").json();
    assert_eq!(overview["nodes"][0]["node"], name.as_str());
    assert_eq!((&overview["nodes"][0]["reason"], &overview["warnings"]), (&"".into(), &Value::Null));
    assert_eq!(
        (&overview["channels"][0]["channel"], &overview["channels"][0]["depth"]),
        (&"c".into(), &1.into())
    );
    let told = admin.told(&format!("/api/nodes/{name}"));
    assert_eq!((&told["topics"][0]["topic_name"], &told["message"]), (&"t".into(), &"".into()));
    // What is to be done reaches it too, and is told under its name.
    let done = admin.send("POST", "/api/topics/t/c", r#"{"action":"empty"}"#).json();
    assert_eq!((&done["message"], &done["outcomes"][0]["node"]), (&"".into(), &name.as_str().into()));
    assert_eq!(node.channel_stats("t", "c")["depth"], 0);
    let log = admin.end(Signal::TERM).log;
    let said = log.iter().filter(|line| line.contains("is not reached by what it broadcasts"));
    assert_eq!(said.count(), 1, "{log:?}");
}
