//! DPUB: nsqd-tcp.md §3. When the message comes: `timeouts`.

use nsq_tests::raw::{be, with_body};
use nsq_tests::{Daemon, each, shared};

#[test]
fn a_wrong_dpub_is_fatal() {
    let daemon = shared();
    let line = |rest: &str| format!("DPUB dpub_wrong {rest}\n").into_bytes();
    let range = "out of range 0-3600000";
    let rows: [(&str, Vec<u8>, String); 16] = [
        ("no topic", b"DPUB\n".to_vec(), "E_INVALID DPUB insufficient number of parameters".into()),
        ("no delay", b"DPUB t\n".to_vec(), "E_INVALID DPUB insufficient number of parameters".into()),
        ("bad topic", b"DPUB a$ x\n".to_vec(), "E_BAD_TOPIC DPUB topic name \"a$\" is not valid".into()),
        ("no number", line("x"), "E_INVALID DPUB could not parse timeout x".into()),
        ("a sign", line("-1"), "E_INVALID DPUB could not parse timeout -1".into()),
        ("a unit", line("1s"), "E_INVALID DPUB could not parse timeout 1s".into()),
        ("above the limit", line("3600001"), format!("E_INVALID DPUB timeout 3600001 {range}")),
        (
            "wrapped below zero",
            line("18446744073709551615"),
            format!("E_INVALID DPUB timeout 18446744073709551615 {range}"),
        ),
        ("no size", line("1"), "E_BAD_MESSAGE DPUB failed to read message body size".into()),
        (
            "half a size",
            [line("1"), vec![0]].concat(),
            "E_BAD_MESSAGE DPUB failed to read message body size".into(),
        ),
        (
            "size zero",
            [line("1"), be(0).to_vec()].concat(),
            "E_BAD_MESSAGE DPUB invalid message body size 0".into(),
        ),
        (
            "size -1",
            [line("1"), vec![0xff; 4]].concat(),
            "E_BAD_MESSAGE DPUB invalid message body size -1".into(),
        ),
        (
            "too big",
            [line("1"), be(1_048_577).to_vec()].concat(),
            "E_BAD_MESSAGE DPUB message too big 1048577 > 1048576".into(),
        ),
        (
            "no body",
            [line("1"), be(1).to_vec()].concat(),
            "E_BAD_MESSAGE DPUB failed to read message body".into(),
        ),
        (
            "short body",
            [line("1"), be(2).to_vec(), vec![b'x']].concat(),
            "E_BAD_MESSAGE DPUB failed to read message body".into(),
        ),
        (
            "the delay before the size",
            [line("x"), be(0).to_vec()].concat(),
            "E_INVALID DPUB could not parse timeout x".into(),
        ),
    ];
    each(rows, |(_, bytes, error)| {
        let mut client = daemon.connect();
        client.send(bytes);
        client.finish_sending();
        client.expect_fatal(error);
    });
    assert!(daemon.topic_stats("dpub_wrong").is_null(), "a refused publish creates no topic");
}

#[test]
fn the_longest_delay_is_an_option() {
    let daemon = Daemon::with(&["--max-req-timeout=2s"]);
    let mut client = daemon.connect();
    client.publish_deferred("t", 2_000, b"x");
    client.send(with_body("DPUB t 2001", "x"));
    client.expect_fatal("E_INVALID DPUB timeout 2001 out of range 0-2000");
}

#[test]
fn a_delay_of_zero_is_none() {
    let daemon = shared();
    let mut client = daemon.subscribe("dpub_zero", "c");
    client.publish_deferred("dpub_zero", 0, b"x");
    client.ready(1);
    client.expect_body("x");
}

#[test]
fn a_deferred_message_counts_as_deferred() {
    let daemon = shared();
    let _client = daemon.subscribe("dpub_counts", "c");
    daemon.connect().publish_deferred("dpub_counts", 60_000, b"four");
    daemon.wait_for_channel("dpub_counts", "c", "deferred_count", 1);
    let channel = daemon.channel_stats("dpub_counts", "c");
    assert_eq!((&channel["depth"], &channel["message_count"]), (&0.into(), &1.into()));
    let topic = daemon.topic_stats("dpub_counts");
    assert_eq!((&topic["message_count"], &topic["message_bytes"]), (&1.into(), &4.into()));
}
