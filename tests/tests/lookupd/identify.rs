//! Who a producer is: nsqlookupd.md §5.3.

use nsq_tests::raw::be;
use nsq_tests::{Lookupd, each};
use serde_json::json;

#[test]
fn the_answer_tells_where_the_daemon_is() {
    let lookupd = Lookupd::with(&["--broadcast-address=lkA"]);
    let mut client = lookupd.connect();
    client.send_identify(r#"{"broadcast_address":"a","tcp_port":1,"http_port":2,"version":"v"}"#);
    let text = String::from_utf8(client.response()).expect("it is text");
    let answer: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let hostname = answer["hostname"].as_str().expect("it is text");
    assert!(!hostname.is_empty());
    let expected = format!(
        "{{\"broadcast_address\":\"lkA\",\"hostname\":\"{hostname}\",\"http_port\":{},\"tcp_port\":{},\"version\":\"1.3.0\"}}",
        lookupd.http.port(),
        lookupd.tcp.port()
    );
    assert_eq!(text, expected);
}

#[test]
fn the_broadcast_address_is_the_hosts_name_unless_given() {
    let lookupd = Lookupd::start();
    let answer =
        lookupd.connect().identify(r#"{"broadcast_address":"a","tcp_port":1,"http_port":2,"version":"v"}"#);
    assert_eq!(answer["broadcast_address"], answer["hostname"]);
}

#[test]
fn what_is_said_is_shown() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.connect();
    client.identify(
        r#"{"broadcast_address":"a<b","hostname":"h","tcp_port":-1,"http_port":99999999,"version":"v",
            "topology_zone":"z","topology_region":"r","remote_address":"1.2.3.4:5","unknown":{"x":[1]}}"#,
    );
    client.command("REGISTER t");
    let shown = format!(
        "{{\"channels\":[],\"producers\":[{{\"remote_address\":\"{}\",\"hostname\":\"h\",\"broadcast_address\":\"a\\u003cb\",\
         \"tcp_port\":-1,\"http_port\":99999999,\"version\":\"v\",\"topology_zone\":\"z\",\"topology_region\":\"r\"}}]}}",
        client.address()
    );
    assert_eq!(lookupd.get("/lookup?topic=t").expect_json(), shown);
}

#[test]
fn keys_match_in_any_case_and_the_rest_may_be_left_out() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.connect();
    client.identify(r#"{"Broadcast_Address":"a","TCP_PORT":1,"Http_port":2,"VERSION":"v","hostname":null}"#);
    let shown = lookupd.get("/nodes").json();
    assert_eq!(shown["producers"][0]["hostname"], "");
    assert_eq!(shown["producers"][0]["topology_zone"], "");
}

#[test]
fn bodies_that_say_too_little_are_fatal() {
    let lookupd = Lookupd::start();
    let undecodable = "E_BAD_BODY IDENTIFY failed to decode JSON body";
    let missing = "E_BAD_BODY IDENTIFY missing fields";
    each(
        [
            ("", undecodable),
            ("no JSON", undecodable),
            ("[]", undecodable),
            ("\"text\"", undecodable),
            ("{} {}", undecodable),
            (r#"{"broadcast_address":1,"tcp_port":1,"http_port":2,"version":"v"}"#, undecodable),
            (r#"{"broadcast_address":"a","tcp_port":"1","http_port":2,"version":"v"}"#, undecodable),
            (r#"{"broadcast_address":"a","tcp_port":1.5,"http_port":2,"version":"v"}"#, undecodable),
            (
                r#"{"broadcast_address":"a","tcp_port":1,"http_port":2,"version":"v","remote_address":1}"#,
                undecodable,
            ),
            ("null", missing),
            ("{}", missing),
            (r#"{"tcp_port":1,"http_port":2,"version":"v"}"#, missing),
            (r#"{"broadcast_address":"","tcp_port":1,"http_port":2,"version":"v"}"#, missing),
            (r#"{"broadcast_address":"a","tcp_port":0,"http_port":2,"version":"v"}"#, missing),
            (r#"{"broadcast_address":"a","tcp_port":1,"version":"v"}"#, missing),
            (r#"{"broadcast_address":"a","tcp_port":1,"http_port":2,"version":""}"#, missing),
        ],
        |(body, refusal)| {
            let mut client = lookupd.connect();
            client.send_identify(body);
            client.expect_fatal(refusal);
        },
    );
    assert_eq!(lookupd.get("/debug").text(), "{}");
}

#[test]
fn bodies_that_break_off_are_told_so() {
    let lookupd = Lookupd::start();
    each(
        [
            ("no size", b"IDENTIFY\n".to_vec(), "E_BAD_BODY IDENTIFY failed to read body size"),
            ("half a size", b"IDENTIFY\n\0\0".to_vec(), "E_BAD_BODY IDENTIFY failed to read body size"),
            ("no body", [&b"IDENTIFY\n"[..], &be(5)].concat(), "E_BAD_BODY IDENTIFY failed to read body"),
            (
                "half a body",
                [&b"IDENTIFY\n"[..], &be(5), b"{"].concat(),
                "E_BAD_BODY IDENTIFY failed to read body",
            ),
        ],
        |(_, wire, refusal)| {
            let mut client = lookupd.connect();
            client.send(wire);
            client.finish_sending();
            client.expect_fatal(refusal);
        },
    );
}

#[test]
fn each_connection_is_a_producer_of_its_own() {
    let lookupd = Lookupd::start();
    let (mut one, mut other) = (lookupd.producer("same"), lookupd.producer("same"));
    one.command("REGISTER t");
    other.command("REGISTER t");
    let producers = lookupd.get("/lookup?topic=t").json()["producers"].clone();
    let addresses =
        producers.as_array().expect("it is a list").iter().map(|one| one["remote_address"].clone());
    let addresses: Vec<_> = addresses.collect();
    for client in [&one, &other] {
        assert!(addresses.contains(&json!(client.address().to_string())), "{addresses:?}");
    }
    assert_eq!(lookupd.debug_count("client::"), 2);
}
