//! Hiding a producer from the look-ups of a topic: nsqlookupd.md §6 and §7.

use nsq_tests::stats::eventually;
use nsq_tests::{Lookupd, differences};
use serde_json::json;

#[test]
fn a_tombstone_hides_a_node_from_one_topic() {
    let lookupd = Lookupd::start();
    let (mut one, mut other) = (lookupd.producer("a"), lookupd.producer("b"));
    one.command("REGISTER t");
    one.command("REGISTER u");
    other.command("REGISTER t");
    lookupd.act("/topic/tombstone?topic=t&node=a:11");
    assert_eq!(lookupd.found("t"), ["b".to_owned()].into());
    assert_eq!(lookupd.found("u"), ["a".to_owned()].into());
    assert_eq!(lookupd.nodes(), ["a", "b"].map(str::to_owned).into());
    let shown = lookupd.get("/debug").json();
    let entry =
        shown["topic:t:"].as_array().and_then(|all| all.iter().find(|one| one["broadcast_address"] == "a"));
    let entry = entry.expect("it is still registered");
    assert_eq!(entry["tombstoned"], true);
    assert!(entry["tombstoned_at"].as_i64().expect("it is a number") > 1_700_000_000_000_000_000);
    assert_eq!(shown["topic:u:"][0]["tombstoned_at"], json!(-6_795_364_578_871_345_152_i64));
    assert_eq!(shown["client::"][0]["tombstoned"], false);

    let nodes = lookupd.get("/nodes").json();
    let node =
        nodes["producers"].as_array().and_then(|all| all.iter().find(|one| one["broadcast_address"] == "a"));
    let node = node.expect("it is shown");
    let place = node["topics"].as_array().and_then(|all| all.iter().position(|topic| topic == "t"));
    let mut expected = vec![json!(false); 2];
    expected[place.expect("it has the topic")] = json!(true);
    assert_eq!(node["tombstones"], json!(expected));
}

#[test]
fn nothing_that_matches_is_fine_too() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    client.command("REGISTER t");
    for target in ["topic=x&node=a:11", "topic=t&node=a", "topic=t&node=a:12", "topic=&node="] {
        lookupd.act(&format!("/topic/tombstone?{target}"));
    }
    assert_eq!(lookupd.found("t"), ["a".to_owned()].into());
}

#[test]
fn a_tombstone_ends_by_itself() {
    let lookupd = Lookupd::with(&["--tombstone-lifetime=200ms"]);
    let mut client = lookupd.producer("a");
    client.command("REGISTER t");
    lookupd.act("/topic/tombstone?topic=t&node=a:11");
    eventually("the node again", || lookupd.found("t"), |found| !found.is_empty());
    assert_eq!(lookupd.get("/debug").json()["topic:t:"][0]["tombstoned"], true, "the mark itself stays");
}

#[test]
fn a_tombstone_outlives_registering_again_but_not_unregistering() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    client.command("REGISTER t c");
    lookupd.act("/topic/tombstone?topic=t&node=a:11");
    client.command("REGISTER t c");
    assert!(lookupd.found("t").is_empty());
    client.command("UNREGISTER t");
    client.command("REGISTER t");
    assert_eq!(lookupd.found("t"), ["a".to_owned()].into());
    lookupd.act("/topic/tombstone?topic=t&node=a:11");
    let mut again = lookupd.producer("a");
    again.command("REGISTER t");
    assert_eq!(lookupd.found("t"), ["a".to_owned()].into(), "another connection is another producer");
    drop(again);
    eventually("nobody", || lookupd.found("t"), |found| found.is_empty());
    lookupd.act("/topic/delete?topic=t");
    client.command("REGISTER t");
    assert_eq!(lookupd.found("t"), ["a".to_owned()].into());
}

#[test]
fn a_star_is_any_topic() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    client.command("REGISTER t");
    if differences::all_topics_are_tombstoned_at_once() {
        client.command("REGISTER u");
    }
    lookupd.act("/topic/tombstone?topic=*&node=a:11");
    for topic in lookupd.topics() {
        assert!(lookupd.found(&topic).is_empty());
    }
    assert!(lookupd.found("*").is_empty());
}

#[test]
fn an_ipv6_address_gets_no_brackets() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("::1");
    client.command("REGISTER t");
    lookupd.act("/topic/tombstone?topic=t&node=[::1]:11");
    assert!(!lookupd.found("t").is_empty());
    lookupd.act("/topic/tombstone?topic=t&node=::1:11");
    assert!(lookupd.found("t").is_empty());
}
