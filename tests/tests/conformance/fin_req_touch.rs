//! FIN, REQ, TOUCH and CLS: nsqd-tcp.md §3.

use std::time::{Duration, Instant};

use nsq_tests::{Daemon, differences, each, shared};

const ID: &str = "0123456789abcdef";

#[test]
fn a_wrong_line_is_fatal() {
    let daemon = shared();
    each(
        [
            ("FIN", "E_INVALID FIN insufficient number of params".to_owned()),
            ("TOUCH", "E_INVALID TOUCH insufficient number of params".to_owned()),
            ("REQ", "E_INVALID REQ insufficient number of params".to_owned()),
            (&format!("REQ {ID}"), "E_INVALID REQ insufficient number of params".to_owned()),
            ("FIN ", "E_INVALID invalid message ID".to_owned()),
            ("FIN 0123456789abcde", "E_INVALID invalid message ID".to_owned()),
            ("FIN 0123456789abcdef0", "E_INVALID invalid message ID".to_owned()),
            ("TOUCH 1", "E_INVALID invalid message ID".to_owned()),
            ("REQ 1 0", "E_INVALID invalid message ID".to_owned()),
            ("REQ 1 x", "E_INVALID invalid message ID".to_owned()),
            (&format!("REQ {ID} x"), "E_INVALID REQ could not parse timeout x".to_owned()),
            (&format!("REQ {ID} -1"), "E_INVALID REQ could not parse timeout -1".to_owned()),
        ],
        |(line, error)| {
            let mut client = daemon.subscribe("frt_lines", "c");
            client.send(format!("{line}\n"));
            client.expect_fatal(error);
        },
    );
}

#[test]
fn each_needs_a_subscription_before_its_parameters() {
    let daemon = shared();
    each(["FIN", "TOUCH", "REQ"], |command| {
        let mut client = daemon.connect();
        client.send(format!("{command}\n"));
        client.expect_fatal(format!("E_INVALID cannot {command} in current state"));
    });
}

#[test]
fn an_unknown_message_is_no_reason_to_part() {
    let daemon = shared();
    let mut client = daemon.subscribe("frt_unknown#ephemeral", "c");
    let rows: [(&str, &[u8]); 3] = [
        ("text", ID.as_bytes()),
        ("binary", b"\x00\xff\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0b\x0c\x0d\x0e\x0f"),
        ("upper case", b"0123456789ABCDEF"),
    ];
    for (_, id) in rows {
        let failed = |command: &[u8]| {
            [b"E_", command, b"_FAILED ", command, b" ", id, b" failed ID not in flight"].concat()
        };
        client.send([b"FIN ", id, b"\n"].concat());
        client.expect_error(failed(b"FIN"));
        client.send([b"TOUCH ", id, b"\n"].concat());
        client.expect_error(failed(b"TOUCH"));
        client.send([b"REQ ", id, b" 0\n"].concat());
        client.expect_error(failed(b"REQ"));
    }
    client.expect_nothing_answered();
}

#[test]
fn only_its_owner_settles_a_message() {
    let daemon = shared();
    let mut owner = daemon.subscribe("frt_owner", "c");
    let mut other = daemon.subscribe("frt_owner", "c");
    owner.publish("frt_owner", b"x");
    owner.ready(1);
    let message = owner.expect_message();
    for (command, line) in [("FIN", "FIN {}"), ("TOUCH", "TOUCH {}"), ("REQ", "REQ {} 0")] {
        other.send(format!("{}\n", line.replace("{}", &message.id)));
        let error = format!("E_{command}_FAILED {command} {} failed client does not own message", message.id);
        other.expect_error(error);
    }
    assert_eq!(daemon.channel_stats("frt_owner", "c")["in_flight_count"], 1);
    owner.finish(&message);
    owner.expect_nothing_answered();
    assert_eq!(daemon.channel_stats("frt_owner", "c")["in_flight_count"], 0);
}

#[test]
fn a_message_is_settled_once() {
    let daemon = shared();
    let mut client = daemon.subscribe("frt_twice", "c");
    client.publish("frt_twice", b"x");
    client.ready(1);
    let message = client.expect_message();
    client.finish(&message);
    client.finish(&message);
    client.expect_error(format!("E_FIN_FAILED FIN {} failed ID not in flight", message.id));
    client.requeue(&message, 0);
    client.expect_error(format!("E_REQ_FAILED REQ {} failed ID not in flight", message.id));
}

#[test]
fn finish_takes_the_message_away() {
    let daemon = shared();
    let mut client = daemon.subscribe("frt_finish", "c");
    client.publish("frt_finish", b"x");
    client.ready(1);
    let message = client.expect_message();
    client.finish(&message);
    client.expect_nothing_answered();
    let channel = daemon.channel_stats("frt_finish", "c");
    assert_eq!((&channel["depth"], &channel["in_flight_count"]), (&0.into(), &0.into()));
    let record = daemon.client_stats("frt_finish", "c", &client.address().to_string());
    assert_eq!((&record["finish_count"], &record["in_flight_count"]), (&1.into(), &0.into()));
    assert_eq!((&record["message_count"], &record["requeue_count"]), (&1.into(), &0.into()));
}

#[test]
fn requeue_puts_the_message_back() {
    let daemon = shared();
    let mut client = daemon.subscribe("frt_requeue", "c");
    client.publish("frt_requeue", b"x");
    client.ready(1);
    let first = client.expect_message();
    client.ready(0);
    client.requeue(&first, 0);
    client.expect_nothing_answered();
    let channel = daemon.channel_stats("frt_requeue", "c");
    assert_eq!((&channel["depth"], &channel["in_flight_count"]), (&1.into(), &0.into()));
    assert_eq!((&channel["requeue_count"], &channel["timeout_count"]), (&1.into(), &0.into()));
    assert_eq!(channel["message_count"], 1);
    client.ready(1);
    let second = client.expect_message();
    assert_eq!((first.attempts, second.attempts), (1, 2));
    assert_eq!((first.id, first.timestamp_ns, first.body), (second.id, second.timestamp_ns, second.body));
    let record = daemon.client_stats("frt_requeue", "c", &client.address().to_string());
    assert_eq!((&record["requeue_count"], &record["message_count"]), (&1.into(), &2.into()));
}

#[test]
fn a_requeue_with_a_delay_waits_for_it() {
    let daemon = shared();
    let mut client = daemon.subscribe("frt_delay", "c");
    client.publish("frt_delay", b"x");
    client.ready(1);
    let message = client.expect_message();
    let asked = Instant::now();
    client.requeue(&message, 300);
    daemon.wait_for_channel("frt_delay", "c", "deferred_count", 1);
    let channel = daemon.channel_stats("frt_delay", "c");
    assert_eq!((&channel["depth"], &channel["in_flight_count"]), (&0.into(), &0.into()));
    assert_eq!(client.expect_body("x").attempts, 2);
    let waited = asked.elapsed();
    assert!(waited >= Duration::from_millis(300), "{waited:?} is early");
    assert!(waited < Duration::from_millis(300) + differences::lateness_max(), "{waited:?} is late");
}

#[test]
fn a_delay_beyond_the_limit_is_cut() {
    let daemon = Daemon::with(&["--max-req-timeout=200ms"]);
    let mut client = daemon.subscribe("t", "c");
    client.publish("t", b"x");
    client.ready(1);
    let message = client.expect_message();
    let asked = Instant::now();
    client.requeue(&message, 3_600_000);
    client.expect_body("x");
    assert!(asked.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_delay_that_wraps_below_zero_or_is_empty_is_none() {
    let daemon = shared();
    let mut client = daemon.subscribe("frt_wrap", "c");
    client.publish("frt_wrap", b"x");
    client.ready(1);
    let message = client.expect_message();
    for (delay, attempts) in [("18446744073709551615", 2), ("", 3)] {
        client.send(format!("REQ {} {delay}\n", message.id));
        assert_eq!(client.expect_message_within(Duration::from_secs(2)).attempts, attempts);
    }
}

#[test]
fn touch_says_nothing_and_changes_no_count() {
    let daemon = shared();
    let mut client = daemon.subscribe("frt_touch", "c");
    client.publish("frt_touch", b"x");
    client.ready(1);
    let message = client.expect_message();
    let before = daemon.channel_stats("frt_touch", "c");
    client.send(format!("TOUCH {}\n", message.id).repeat(10));
    client.expect_nothing_answered();
    let after = daemon.channel_stats("frt_touch", "c");
    for key in ["depth", "in_flight_count", "message_count", "requeue_count", "timeout_count"] {
        assert_eq!(before[key], after[key], "{key}");
    }
}

#[test]
fn a_closing_consumer_settles_what_it_has() {
    let daemon = shared();
    let mut client = daemon.subscribe("frt_closing", "c");
    client.publish_all("frt_closing", &["a", "b", "c"]);
    client.ready(2);
    let messages = [client.expect_message(), client.expect_message()];
    client.send("CLS\n");
    client.expect_response("CLOSE_WAIT");
    client.finish(&messages[0]);
    client.requeue(&messages[1], 0);
    client.expect_nothing_answered();
    client.expect_silence();
    let channel = daemon.channel_stats("frt_closing", "c");
    assert_eq!((&channel["depth"], &channel["in_flight_count"]), (&2.into(), &0.into()));
    assert_eq!(daemon.client_stats("frt_closing", "c", &client.address().to_string())["ready_count"], 0);
    client.send("CLS\n");
    client.expect_fatal("E_INVALID cannot CLS in current state");
}
