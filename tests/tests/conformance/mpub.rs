//! MPUB: nsqd-tcp.md §3.

use nsq_tests::raw::{batch, be, with_body};
use nsq_tests::{Daemon, each, shared};

#[test]
fn a_wrong_mpub_is_fatal() {
    let daemon = shared();
    let line = |rest: &[&[u8]]| [b"MPUB mpub_wrong\n".as_slice(), &rest.concat()].concat();
    let rows: [(&str, Vec<u8>, &str); 22] = [
        ("no topic", b"MPUB\n".to_vec(), "E_INVALID MPUB insufficient number of parameters"),
        ("bad topic", b"MPUB a$\n".to_vec(), "E_BAD_TOPIC E_BAD_TOPIC MPUB topic name \"a$\" is not valid"),
        ("no size", line(&[]), "E_BAD_BODY MPUB failed to read body size"),
        ("half a size", line(&[b"\0"]), "E_BAD_BODY MPUB failed to read body size"),
        ("size zero", line(&[&be(0)]), "E_BAD_BODY MPUB invalid body size 0"),
        ("size -1", line(&[&[0xff; 4]]), "E_BAD_BODY MPUB invalid body size -1"),
        ("too big", line(&[&be(5_242_881)]), "E_BAD_BODY MPUB body too big 5242881 > 5242880"),
        ("no count", line(&[&be(9)]), "E_BAD_BODY MPUB failed to read message count"),
        ("half a count", line(&[&be(9), b"\0"]), "E_BAD_BODY MPUB failed to read message count"),
        ("count zero", line(&[&be(9), &be(0)]), "E_BAD_BODY MPUB invalid message count 0"),
        ("count -1", line(&[&be(9), &[0xff; 4]]), "E_BAD_BODY MPUB invalid message count -1"),
        (
            "count above what fits",
            line(&[&be(9), &be(1_048_576)]),
            "E_BAD_BODY MPUB invalid message count 1048576",
        ),
        (
            "the largest count",
            line(&[&be(9), &be(1_048_575)]),
            "E_BAD_MESSAGE MPUB failed to read message(0) body size",
        ),
        ("no message", line(&[&be(9), &be(1)]), "E_BAD_MESSAGE MPUB failed to read message(0) body size"),
        (
            "half a message size",
            line(&[&be(9), &be(1), b"\0"]),
            "E_BAD_MESSAGE MPUB failed to read message(0) body size",
        ),
        (
            "message size zero",
            line(&[&be(9), &be(1), &be(0)]),
            "E_BAD_MESSAGE MPUB invalid message(0) body size 0",
        ),
        (
            "message size -1",
            line(&[&be(9), &be(1), &[0xff; 4]]),
            "E_BAD_MESSAGE MPUB invalid message(0) body size -1",
        ),
        (
            "message too big",
            line(&[&be(9), &be(1), &be(1_048_577)]),
            "E_BAD_MESSAGE MPUB message too big 1048577 > 1048576",
        ),
        (
            "no message body",
            line(&[&be(9), &be(1), &be(1)]),
            "E_BAD_MESSAGE MPUB failed to read message body",
        ),
        (
            "short message body",
            line(&[&be(9), &be(1), &be(2), b"x"]),
            "E_BAD_MESSAGE MPUB failed to read message body",
        ),
        (
            "the second is missing",
            line(&[&be(9), &be(2), &be(1), b"x"]),
            "E_BAD_MESSAGE MPUB failed to read message(1) body size",
        ),
        (
            "the second is empty",
            line(&[&be(9), &be(2), &be(1), b"x", &be(0)]),
            "E_BAD_MESSAGE MPUB invalid message(1) body size 0",
        ),
    ];
    each(rows, |(_, bytes, error)| {
        let mut client = daemon.connect();
        client.send(bytes);
        client.finish_sending();
        client.expect_fatal(error);
    });
    let topic = daemon.topic_stats("mpub_wrong");
    assert_eq!(topic["message_count"], 0, "the topic is there, and nothing of a refused batch in it");
}

#[test]
fn limits_are_options() {
    let daemon = Daemon::with(&["--max-body-size=24", "--max-msg-size=10"]);
    let mut client = daemon.connect();
    client.publish_all("t", &["0123456789", "xx"]);
    each(
        [
            ("body", b"MPUB t\n\0\0\0\x19".as_slice(), "E_BAD_BODY MPUB body too big 25 > 24"),
            ("count", b"MPUB t\n\0\0\0\x18\0\0\0\x05", "E_BAD_BODY MPUB invalid message count 5"),
            (
                "message",
                b"MPUB t\n\0\0\0\x18\0\0\0\x01\0\0\0\x0b",
                "E_BAD_MESSAGE MPUB message too big 11 > 10",
            ),
        ],
        |(_, bytes, error)| {
            let mut client = daemon.connect();
            client.send(bytes);
            client.expect_fatal(error);
        },
    );
}

#[test]
fn a_batch_has_one_answer_and_all_its_messages() {
    let daemon = shared();
    let mut client = daemon.connect();
    let bodies: Vec<String> = (0..100).map(|index| format!("message {index}")).collect();
    client.publish_all("mpub_batch", &bodies);
    client.expect_nothing_answered();
    let topic = daemon.topic_stats("mpub_batch");
    let bytes: usize = bodies.iter().map(String::len).sum();
    assert_eq!((&topic["message_count"], &topic["message_bytes"]), (&100.into(), &bytes.into()));
    client.subscribe("mpub_batch", "c");
    client.ready(100);
    for body in &bodies {
        let message = client.expect_body(body);
        client.finish(&message);
    }
}

#[test]
fn the_messages_of_a_batch_have_ids_of_their_own() {
    let daemon = shared();
    let mut client = daemon.subscribe("mpub_ids", "c");
    client.publish_all("mpub_ids", &["x"; 50]);
    client.ready(50);
    let mut ids: Vec<String> = (0..50).map(|_| client.expect_message().id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

#[test]
fn the_outer_size_is_not_compared_with_what_is_inside() {
    let daemon = shared();
    each([("too small", 1), ("too large", 1000)], |(_, size)| {
        let mut client = daemon.connect();
        client.send([b"MPUB mpub_size\n".as_slice(), &be(*size), &batch(&["a", "b"])].concat());
        client.expect_response("OK");
        client.expect_nothing_answered();
    });
    assert_eq!(daemon.topic_stats("mpub_size")["message_count"], 4);
}

#[test]
fn a_batch_with_an_error_leaves_an_empty_topic() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.send(with_body("MPUB mpub_empty_topic", ""));
    client.expect_fatal("E_BAD_BODY MPUB invalid body size 0");
    assert_eq!(daemon.topic_stats("mpub_empty_topic")["depth"], 0);
}
