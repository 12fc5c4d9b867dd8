//! What a connection becomes after IDENTIFY: TLS, then compression in it. nsqd-tcp.md §4.

use std::sync::Arc;

use nsq_tests::certificates::Authority;
use nsq_tests::layers::Layered;
use nsq_tests::raw::with_body;
use nsq_tests::{Client, Daemon, differences, each, shared};
use serde_json::Value;

/// A daemon that speaks TLS, and who vouches for it.
fn daemon_with_tls(more: &[&str]) -> (Daemon, Authority) {
    let authority = Authority::new();
    let flags = authority.flags();
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend_from_slice(more);
    (Daemon::with(&flags), authority)
}

/// A client that has been told what it gets, as JSON.
fn negotiated(daemon: &Daemon, wishes: &str) -> (Client, Value) {
    let mut client = daemon.connect();
    let answer = client.identify(wishes);
    (client, serde_json::from_str(&answer).expect("the answer is JSON"))
}

/// Publishes small and large messages and gets them back.
fn carries_messages(client: &mut Client, topic: &str) {
    let mut bodies: Vec<Vec<u8>> = vec![b"small".to_vec(), vec![b'x'; 300_000]];
    // What cannot be compressed: a sequence that does not repeat.
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    bodies.push(noise.take(200_000).collect());
    for body in &bodies {
        client.publish(topic, body);
    }
    client.subscribe(topic, "c");
    client.ready(10);
    let mut got: Vec<Vec<u8>> = Vec::new();
    for _ in &bodies {
        let message = client.expect_message();
        client.finish(&message);
        got.push(message.body);
    }
    got.sort();
    bodies.sort();
    assert!(got == bodies, "what was published comes back");
}

#[test]
fn each_layer_answers_and_then_carries_everything() {
    let (daemon, authority) = daemon_with_tls(&[]);
    let trusting = authority.client(None);
    type Wrap = fn(Layered) -> Layered;
    each(
        [
            ("plain", false, None),
            ("snappy", false, Some(Layered::snappy as Wrap)),
            ("deflate", false, Some(Layered::deflate as Wrap)),
            ("tls", true, None),
            ("tls_snappy", true, Some(Layered::snappy as Wrap)),
            ("tls_deflate", true, Some(Layered::deflate as Wrap)),
        ],
        |(name, tls, compression)| {
            let (snappy, deflate) = (name.ends_with("snappy"), name.ends_with("deflate"));
            let wishes = format!("\"tls_v1\":{tls},\"snappy\":{snappy},\"deflate\":{deflate}");
            let (mut client, answer) = negotiated(&daemon, &wishes);
            assert_eq!(answer["tls_v1"], *tls);
            assert_eq!((&answer["snappy"], &answer["deflate"]), (&snappy.into(), &deflate.into()));
            if *tls {
                client.wrap(|stream| stream.tls(Arc::clone(&trusting)));
                client.expect_response("OK");
            }
            if let Some(compression) = compression {
                client.wrap(compression);
                client.expect_response("OK");
            }
            carries_messages(&mut client, name);
            let record = daemon.client_stats(name, "c", &client.address().to_string());
            assert_eq!(record["tls"], *tls);
            assert_eq!((&record["snappy"], &record["deflate"]), (&snappy.into(), &deflate.into()));
            assert_eq!(record["tls_version"], if *tls { "TLS1.3" } else { "" });
            assert_eq!(record["tls_negotiated_protocol_is_mutual"], *tls);
        },
    );
}

#[test]
fn the_first_snappy_answer_is_a_stream_identifier_and_an_uncompressed_chunk() {
    let daemon = shared();
    let (mut client, _) = negotiated(&daemon, "\"snappy\":true");
    client.expect_bytes(
        b"\xff\x06\x00\x00sNaPpY\x01\x0e\x00\x00\x26\x98\x2b\xcf\x00\x00\x00\x06\x00\x00\x00\x00OK",
    );
}

#[test]
fn the_first_deflate_answer_ends_with_a_flush() {
    let daemon = shared();
    let (mut client, _) = negotiated(&daemon, "\"deflate\":true,\"deflate_level\":9");
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\x00\x00\xff\xff") {
        let next = client.next_bytes(1);
        assert!(!next.is_empty(), "{}", bytes.escape_ascii());
        bytes.extend(next);
    }
}

#[test]
fn the_level_of_deflate_is_bounded() {
    let daemon = Daemon::with(&["--max-deflate-level=4"]);
    for (wish, level) in [("-1", 4), ("0", 4), ("2", 2), ("9", 4)] {
        let (_, answer) = negotiated(&daemon, &format!("\"deflate\":true,\"deflate_level\":{wish}"));
        assert_eq!((&answer["deflate_level"], &answer["max_deflate_level"]), (&level.into(), &4.into()));
    }
}

/// An uncompressed chunk whose checksum is another's.
const WRONG_SUM: &[u8] = b"\xff\x06\x00\x00sNaPpY\x01\x08\x00\x00\0\0\0\0NOP\n";

#[test]
fn a_stream_that_is_not_snappy_ends_without_a_word() {
    let daemon = shared();
    for bytes in [&b"PUB t\n\0\0\0\x01x"[..], b"\xff\x06\x00\x00sNaPpY\x02\x01\x00\x00x", WRONG_SUM] {
        let (mut client, _) = negotiated(&daemon, "\"snappy\":true");
        client.next_bytes(28);
        client.send(bytes);
        client.expect_end();
    }
}

#[test]
fn a_chunk_that_claims_too_much_harms_nobody_else() {
    let daemon = shared();
    let (mut client, _) = negotiated(&daemon, "\"snappy\":true");
    client.next_bytes(28);
    client.send(b"\xff\x06\x00\x00sNaPpY\x00\x09\x00\x00\0\0\0\0\xff\xff\xff\xff\x0f");
    client.expect_end();
    daemon.publish("after_a_claim#ephemeral", "x");
}

#[test]
fn what_expands_a_thousand_times_is_refused_by_its_length() {
    let daemon = shared();
    let (mut client, _) = negotiated(&daemon, "\"deflate\":true");
    client.wrap(Layered::deflate);
    client.expect_response("OK");
    let body = vec![0; 3 << 20];
    client.send(with_body("PUB bomb#ephemeral", &body));
    client.expect_fatal("E_BAD_MESSAGE PUB message too big 3145728 > 1048576");
}

#[test]
fn who_answers_tls_with_something_else_is_told_so_in_plain() {
    let (daemon, _authority) = daemon_with_tls(&[]);
    let (mut client, _) = negotiated(&daemon, "\"tls_v1\":true");
    client.send("PUB t\n");
    client.expect_fatal(
        "E_IDENTIFY_FAILED IDENTIFY failed tls: first record does not look like a TLS handshake",
    );
}

#[test]
fn a_handshake_that_never_comes_is_given_up_after_five_seconds() {
    let (daemon, _authority) = daemon_with_tls(&[]);
    let (mut client, _) = negotiated(&daemon, "\"tls_v1\":true");
    let frame = client.next_frame();
    let text = String::from_utf8(frame.data).expect("errors are text");
    assert_eq!(frame.kind, 1);
    assert!(
        text.starts_with("E_IDENTIFY_FAILED IDENTIFY failed ") && text.ends_with("i/o timeout"),
        "{text}"
    );
    client.expect_end();
}

#[test]
fn tls_is_not_negotiated_where_there_is_no_certificate() {
    let daemon = shared();
    let (mut client, answer) = negotiated(&daemon, "\"tls_v1\":true");
    assert_eq!(answer["tls_v1"], false);
    client.expect_nothing_answered();
}

#[test]
fn what_is_pipelined_behind_an_upgrade_is_not_lost() {
    if differences::is_original() {
        return;
    }
    let (daemon, _authority) = daemon_with_tls(&[]);
    let mut client = daemon.connect();
    let mut bytes = with_body("IDENTIFY", "{\"feature_negotiation\":true,\"snappy\":true}");
    // An uncompressed chunk with a PUB: CRC-32C of it, masked.
    bytes.extend(b"\xff\x06\x00\x00sNaPpY");
    let mut chunk = snap::write::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut chunk, &with_body("PUB pipelined", "x")).expect("memory takes it");
    let chunk = chunk.into_inner().expect("memory takes it");
    bytes.extend(&chunk[10..]);
    client.send(&bytes);
    daemon.wait_for_topic("pipelined", "depth", 1);
}

#[test]
fn a_snappy_stream_may_have_chunks_to_be_skipped_and_begin_again() {
    let daemon = shared();
    let (mut client, _) = negotiated(&daemon, "\"snappy\":true");
    client.next_bytes(28);
    let mut stream = snap::write::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut stream, &with_body("PUB snappy_skipped", "x")).expect("memory takes it");
    let stream = stream.into_inner().expect("memory takes it");
    let (identifier, chunk) = stream.split_at(10);
    for skipped in [&b"\x80\x01\x00\x00x"[..], b"\xfd\x00\x00\x00"] {
        client.send([identifier, skipped, identifier, skipped, chunk].concat());
        client.expect_bytes(b"\x01\x0e\x00\x00\x26\x98\x2b\xcf\x00\x00\x00\x06\x00\x00\x00\x00OK");
    }
    daemon.wait_for_topic("snappy_skipped", "depth", 2);
}

#[test]
fn a_stream_that_is_not_deflate_ends_without_a_word() {
    let daemon = shared();
    let (mut client, _) = negotiated(&daemon, "\"deflate\":true");
    client.wrap(Layered::deflate);
    client.expect_response("OK");
    // A block of the kind that there is not.
    client.send_beneath(b"\xff\xff\xff\xff");
    client.expect_end();
    daemon.publish("after_no_deflate#ephemeral", "x");
}
