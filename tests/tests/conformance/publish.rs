//! PUB and NOP: nsqd-tcp.md §3.

use nsq_tests::raw::{be, with_body};
use nsq_tests::{Daemon, each, shared};

#[test]
fn a_wrong_pub_is_fatal() {
    let daemon = shared();
    let limit = 1_048_576;
    let rows: [(&str, Vec<u8>, &str); 10] = [
        ("no topic", b"PUB\n".to_vec(), "E_INVALID PUB insufficient number of parameters"),
        ("bad topic", b"PUB a$\n".to_vec(), "E_BAD_TOPIC PUB topic name \"a$\" is not valid"),
        ("no size", b"PUB pub_wrong\n".to_vec(), "E_BAD_MESSAGE PUB failed to read message body size"),
        ("half a size", b"PUB pub_wrong\n\0".to_vec(), "E_BAD_MESSAGE PUB failed to read message body size"),
        ("size zero", with_body("PUB pub_wrong", ""), "E_BAD_MESSAGE PUB invalid message body size 0"),
        (
            "size -1",
            b"PUB pub_wrong\n\xff\xff\xff\xff".to_vec(),
            "E_BAD_MESSAGE PUB invalid message body size -1",
        ),
        (
            "the least size",
            b"PUB pub_wrong\n\x80\0\0\0".to_vec(),
            "E_BAD_MESSAGE PUB invalid message body size -2147483648",
        ),
        (
            "too big",
            [b"PUB pub_wrong\n".as_slice(), &be(limit + 1)].concat(),
            "E_BAD_MESSAGE PUB message too big 1048577 > 1048576",
        ),
        ("no body", b"PUB pub_wrong\n\0\0\0\x02".to_vec(), "E_BAD_MESSAGE PUB failed to read message body"),
        (
            "short body",
            b"PUB pub_wrong\n\0\0\0\x02x".to_vec(),
            "E_BAD_MESSAGE PUB failed to read message body",
        ),
    ];
    each(rows, |(_, bytes, error)| {
        let mut client = daemon.connect();
        client.send(bytes);
        client.finish_sending();
        client.expect_fatal(error);
    });
    assert!(daemon.topic_stats("pub_wrong").is_null(), "a refused publish creates no topic");
}

#[test]
fn a_message_may_be_as_large_as_the_limit() {
    let daemon = Daemon::with(&["--max-msg-size=100"]);
    let mut client = daemon.connect();
    client.publish("t", &[b'x'; 100]);
    client.send(b"PUB t\n\0\0\0\x65");
    client.expect_fatal("E_BAD_MESSAGE PUB message too big 101 > 100");
}

#[test]
fn a_large_message_arrives_whole() {
    let daemon = shared();
    let body: Vec<u8> = (0..1_048_576_u32).map(|index| (index % 251) as u8).collect();
    let mut client = daemon.connect();
    client.publish("pub_large", &body);
    client.subscribe("pub_large", "c");
    client.ready(1);
    assert!(client.expect_message().body == body, "the body is not what was published");
}

#[test]
fn any_bytes_are_a_body() {
    let daemon = shared();
    let body: Vec<u8> = (0..=255).collect();
    let mut client = daemon.subscribe("pub_bytes", "c");
    client.publish("pub_bytes", &body);
    client.ready(1);
    client.expect_body(&body);
}

#[test]
fn publishing_creates_the_topic_and_counts() {
    let daemon = shared();
    daemon.publish("pub_counts", b"one");
    daemon.publish("pub_counts", b"three");
    let topic = daemon.topic_stats("pub_counts");
    assert_eq!((&topic["depth"], &topic["message_count"]), (&2.into(), &2.into()));
    assert_eq!((&topic["message_bytes"], &topic["backend_depth"]), (&8.into(), &0.into()));
}

#[test]
fn a_failed_publish_keeps_those_before_it() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.send([with_body("PUB pub_kept", "x"), b"PUB pub_kept\n\0\0\0\0".to_vec()].concat());
    client.expect_response("OK");
    client.expect_fatal("E_BAD_MESSAGE PUB invalid message body size 0");
    assert_eq!(daemon.topic_stats("pub_kept")["depth"], 1);
}

#[test]
fn nop_does_nothing_in_every_state() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.send("NOP\nNOP\n");
    client.expect_nothing_answered();
    client.subscribe("pub_nop#ephemeral", "c");
    client.send("NOP\n");
    client.expect_nothing_answered();
    client.send("CLS\n");
    client.expect_response("CLOSE_WAIT");
    client.send("NOP\n");
    client.expect_nothing_answered();
}
