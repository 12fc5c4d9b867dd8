//! IDENTIFY: nsqd-tcp.md §3, its table of checks, of request fields, and the answer.

use nsq_tests::layers::Layered;
use nsq_tests::raw::{be, with_body};
use nsq_tests::{Daemon, each, shared};

/// The whole answer of a daemon with default options, as the connection's settings make it.
fn answer(msg_timeout: u32, sample_rate: u32, buffer_size: u32, buffer_timeout: u32) -> String {
    format!(
        "{{\"max_rdy_count\":2500,\"version\":\"1.3.0\",\"max_msg_timeout\":900000,\"msg_timeout\":{msg_timeout},\
         \"tls_v1\":false,\"deflate\":false,\"deflate_level\":6,\"max_deflate_level\":6,\"snappy\":false,\
         \"sample_rate\":{sample_rate},\"auth_required\":false,\"output_buffer_size\":{buffer_size},\
         \"output_buffer_timeout\":{buffer_timeout},\"topology_region\":\"\",\"topology_zone\":\"\"}}"
    )
}

#[test]
fn a_body_that_cannot_be_taken_is_fatal() {
    let daemon = shared();
    let rows: [(&str, &[u8], &str); 16] = [
        ("no size", b"", "IDENTIFY failed to read body size"),
        ("half a size", b"\0\0", "IDENTIFY failed to read body size"),
        ("size above the limit", &be(5_242_881), "IDENTIFY body too big 5242881 > 5242880"),
        ("size zero", &be(0), "IDENTIFY invalid body size 0"),
        ("negative size", b"\xff\xff\xff\xff", "IDENTIFY invalid body size -1"),
        ("short body", b"\0\0\0\x05{}", "IDENTIFY failed to read body"),
        ("no JSON", b"\0\0\0\x01{", "IDENTIFY failed to decode JSON body"),
        ("an array", b"\0\0\0\x02[]", "IDENTIFY failed to decode JSON body"),
        ("a string", b"\0\0\0\x02\"\"", "IDENTIFY failed to decode JSON body"),
        ("trailing data", b"\0\0\0\x03{}x", "IDENTIFY failed to decode JSON body"),
        ("float for an int", b"\0\0\0\x15{\"sample_rate\":  1.0}", "IDENTIFY failed to decode JSON body"),
        ("exponent for an int", b"\0\0\0\x15{\"msg_timeout\":  1e4}", "IDENTIFY failed to decode JSON body"),
        ("string for an int", b"\0\0\0\x15{\"sample_rate\":  \"1\"}", "IDENTIFY failed to decode JSON body"),
        ("number for a string", b"\0\0\0\x0f{\"client_id\": 1}", "IDENTIFY failed to decode JSON body"),
        ("number for a truth value", b"\0\0\0\x0c{\"snappy\":1}", "IDENTIFY failed to decode JSON body"),
        (
            "sample_rate beyond 32 bits",
            b"\0\0\0\x1a{\"sample_rate\":2147483648 }",
            "IDENTIFY failed to decode JSON body",
        ),
    ];
    each(rows, |(_, body, error)| {
        let mut client = daemon.connect();
        client.send([b"IDENTIFY\n", *body].concat());
        client.finish_sending();
        client.expect_fatal(format!("E_BAD_BODY {error}"));
    });
}

#[test]
fn the_body_may_be_as_large_as_the_limit() {
    let daemon = Daemon::with(&["--max-body-size=64"]);
    let body = format!("{:64}", "{}");
    let mut client = daemon.connect();
    client.send_identify(&body);
    client.expect_response("OK");
    client.send(b"IDENTIFY\n\0\0\0\x41");
    client.expect_fatal("E_BAD_BODY IDENTIFY body too big 65 > 64");
}

#[test]
fn a_value_out_of_range_is_fatal() {
    let daemon = shared();
    each(
        [
            ("\"heartbeat_interval\":-2", "heartbeat interval (-2)"),
            ("\"heartbeat_interval\":1", "heartbeat interval (1)"),
            ("\"heartbeat_interval\":999", "heartbeat interval (999)"),
            ("\"heartbeat_interval\":60001", "heartbeat interval (60001)"),
            ("\"output_buffer_timeout\":-2", "output buffer timeout (-2)"),
            ("\"output_buffer_timeout\":24", "output buffer timeout (24)"),
            ("\"output_buffer_timeout\":30001", "output buffer timeout (30001)"),
            ("\"output_buffer_size\":-2", "output buffer size (-2)"),
            ("\"output_buffer_size\":63", "output buffer size (63)"),
            ("\"output_buffer_size\":65537", "output buffer size (65537)"),
            ("\"sample_rate\":-1", "sample rate (-1)"),
            ("\"sample_rate\":100", "sample rate (100)"),
            ("\"msg_timeout\":-1", "msg timeout (-1)"),
            ("\"msg_timeout\":999", "msg timeout (999)"),
            ("\"msg_timeout\":900001", "msg timeout (900001)"),
            ("\"sample_rate\":100,\"heartbeat_interval\":5,\"msg_timeout\":1", "heartbeat interval (5)"),
            ("\"msg_timeout\":1,\"sample_rate\":100,\"output_buffer_size\":1", "output buffer size (1)"),
        ],
        |(fields, error)| {
            let mut client = daemon.connect();
            client.send_identify(&format!("{{{fields}}}"));
            client.expect_fatal(format!("E_BAD_BODY IDENTIFY {error} is invalid"));
        },
    );
}

#[test]
fn the_answer_tells_what_is_in_force() {
    let daemon = shared();
    each(
        [
            ("", answer(60_000, 0, 16_384, 250)),
            ("\"heartbeat_interval\":-1", answer(60_000, 0, 16_384, 250)),
            ("\"heartbeat_interval\":0", answer(60_000, 0, 16_384, 250)),
            ("\"heartbeat_interval\":1000", answer(60_000, 0, 16_384, 250)),
            ("\"heartbeat_interval\":60000", answer(60_000, 0, 16_384, 250)),
            ("\"output_buffer_timeout\":-1", answer(60_000, 0, 16_384, 0)),
            ("\"output_buffer_timeout\":0", answer(60_000, 0, 16_384, 250)),
            ("\"output_buffer_timeout\":25", answer(60_000, 0, 16_384, 25)),
            ("\"output_buffer_timeout\":30000", answer(60_000, 0, 16_384, 30_000)),
            ("\"output_buffer_size\":-1", answer(60_000, 0, 1, 0)),
            ("\"output_buffer_size\":0", answer(60_000, 0, 16_384, 250)),
            ("\"output_buffer_size\":64", answer(60_000, 0, 64, 250)),
            ("\"output_buffer_size\":65536", answer(60_000, 0, 65_536, 250)),
            ("\"sample_rate\":99", answer(60_000, 99, 16_384, 250)),
            ("\"msg_timeout\":0", answer(60_000, 0, 16_384, 250)),
            ("\"msg_timeout\":1000", answer(1_000, 0, 16_384, 250)),
            ("\"msg_timeout\":900000", answer(900_000, 0, 16_384, 250)),
            ("\"topology_zone\":\"z\",\"topology_region\":\"r\"", answer(60_000, 0, 16_384, 250)),
            ("\"deflate_level\":3", answer(60_000, 0, 16_384, 250)),
            ("\"tls_v1\":true", answer(60_000, 0, 16_384, 250)),
            ("\"unknown\":{\"a\":[1]}", answer(60_000, 0, 16_384, 250)),
            ("\"SAMPLE_RATE\":7", answer(60_000, 7, 16_384, 250)),
            ("\"sample_rate\":7,\"sample_rate\":8", answer(60_000, 8, 16_384, 250)),
            ("\"sample_rate\":null,\"client_id\":null", answer(60_000, 0, 16_384, 250)),
        ],
        |(fields, expected)| {
            let answer = daemon.connect().identify(fields);
            assert_eq!(answer, *expected);
        },
    );
}

#[test]
fn the_answer_tells_the_server_s_options() {
    let daemon = Daemon::with(&[
        "--max-rdy-count=9",
        "--max-msg-timeout=2m",
        "--msg-timeout=5s",
        "--max-deflate-level=4",
        "--output-buffer-timeout=100ms",
        "--topology-region=rr",
        "--topology-zone=zz",
    ]);
    let answer = daemon.connect().identify("\"topology_zone\":\"mine\"");
    assert_eq!(
        answer,
        "{\"max_rdy_count\":9,\"version\":\"1.3.0\",\"max_msg_timeout\":120000,\"msg_timeout\":5000,\"tls_v1\":false,\
         \"deflate\":false,\"deflate_level\":4,\"max_deflate_level\":4,\"snappy\":false,\"sample_rate\":0,\
         \"auth_required\":false,\"output_buffer_size\":16384,\"output_buffer_timeout\":100,\
         \"topology_region\":\"rr\",\"topology_zone\":\"zz\"}"
    );
}

#[test]
fn limits_move_with_the_server_s_options() {
    let daemon = Daemon::with(&[
        "--max-heartbeat-interval=5s",
        "--max-output-buffer-size=100",
        "--max-output-buffer-timeout=1s",
        "--min-output-buffer-timeout=10ms",
        "--max-msg-timeout=2s",
    ]);
    let ok = "{\"heartbeat_interval\":5000,\"output_buffer_size\":100,\"output_buffer_timeout\":10,\"msg_timeout\":2000}";
    let mut client = daemon.connect();
    client.send_identify(ok);
    client.expect_response("OK");
    each(
        [
            ("\"heartbeat_interval\":5001", "heartbeat interval (5001)"),
            ("\"output_buffer_size\":101", "output buffer size (101)"),
            ("\"output_buffer_timeout\":9", "output buffer timeout (9)"),
            ("\"output_buffer_timeout\":1001", "output buffer timeout (1001)"),
            ("\"msg_timeout\":2001", "msg timeout (2001)"),
        ],
        |(fields, error)| {
            let mut client = daemon.connect();
            client.send_identify(&format!("{{{fields}}}"));
            client.expect_fatal(format!("E_BAD_BODY IDENTIFY {error} is invalid"));
        },
    );
}

#[test]
fn without_feature_negotiation_the_answer_is_ok() {
    let daemon = shared();
    each(
        [
            "{}",
            "null",
            " {} \n",
            "{\"feature_negotiation\":false}",
            "{\"feature_negotiation\":null}",
            "{\"deflate\":true,\"snappy\":true,\"tls_v1\":true}",
        ],
        |json| {
            let mut client = daemon.connect();
            client.send_identify(json);
            client.expect_response("OK");
            client.expect_nothing_answered();
        },
    );
}

#[test]
fn strings_that_are_not_utf8_are_tolerated() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.send(with_body("IDENTIFY", b"{\"client_id\":\"\xff\xe9\"}"));
    client.expect_response("OK");
}

#[test]
fn both_compressions_at_once_are_refused() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.send_identify("{\"feature_negotiation\":true,\"deflate\":true,\"snappy\":true}");
    client.expect_fatal("E_IDENTIFY_FAILED cannot enable both deflate and snappy compression");
}

#[test]
fn a_compression_that_the_server_turned_off_is_not_negotiated() {
    let daemon = Daemon::with(&["--deflate=false", "--snappy=false"]);
    let mut client = daemon.connect();
    assert_eq!(client.identify("\"deflate\":true,\"snappy\":true"), answer(60_000, 0, 16_384, 250));
    client.expect_nothing_answered();
}

#[test]
fn a_client_may_identify_again_before_it_subscribes() {
    let daemon = shared();
    let mut client = daemon.connect();
    assert_eq!(client.identify("\"msg_timeout\":2000"), answer(2_000, 0, 16_384, 250));
    assert_eq!(client.identify("\"msg_timeout\":3000,\"sample_rate\":0"), answer(3_000, 0, 16_384, 250));
    client.subscribe("identify_again#ephemeral", "c");
    client.send_identify("{}");
    client.expect_fatal("E_INVALID cannot IDENTIFY in current state");
}

#[test]
fn the_record_shows_what_the_client_told() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.identify(
        "\"client_id\":\"cid\",\"hostname\":\"host\",\"user_agent\":\"agent/1\",\"sample_rate\":42,\
         \"topology_zone\":\"z\",\"topology_region\":\"r\"",
    );
    client.subscribe("identify_record", "c");
    let record = daemon.client_stats("identify_record", "c", &client.address().to_string());
    for (key, value) in [
        ("client_id", "cid"),
        ("hostname", "host"),
        ("user_agent", "agent/1"),
        ("topology_zone", "z"),
        ("topology_region", "r"),
        ("version", "V2"),
    ] {
        assert_eq!(record[key], value, "{key}");
    }
    assert_eq!(record["sample_rate"], 42);
}

#[test]
fn who_does_not_identify_is_named_by_address() {
    let daemon = shared();
    let client = daemon.subscribe("identify_nameless", "c");
    let record = daemon.client_stats("identify_nameless", "c", &client.address().to_string());
    assert_eq!((&record["client_id"], &record["hostname"]), (&"127.0.0.1".into(), &"127.0.0.1".into()));
    assert_eq!(record["user_agent"], "");
}

#[test]
fn who_identifies_without_a_name_has_none() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.identify("");
    client.subscribe("identify_empty", "c");
    let record = daemon.client_stats("identify_empty", "c", &client.address().to_string());
    assert_eq!((&record["client_id"], &record["hostname"]), (&"".into(), &"".into()));
}

#[test]
fn without_feature_negotiation_the_settings_count_all_the_same() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.send_identify("{\"client_id\":\"cid\",\"sample_rate\":42,\"msg_timeout\":1000,\"snappy\":true}");
    client.expect_response("OK");
    client.subscribe("identify_settings", "c");
    let record = daemon.client_stats("identify_settings", "c", &client.address().to_string());
    assert_eq!((&record["client_id"], &record["sample_rate"]), (&"cid".into(), &42.into()));
    assert_eq!((&record["snappy"], &record["deflate"]), (&false.into(), &false.into()));
}

#[test]
fn both_compressions_are_no_conflict_where_the_server_has_one() {
    let daemon = Daemon::with(&["--deflate=false"]);
    let mut client = daemon.connect();
    let answer = client.identify("\"deflate\":true,\"snappy\":true");
    assert!(answer.contains("\"deflate\":false") && answer.contains("\"snappy\":true"), "{answer}");
    client.wrap(Layered::snappy);
    client.expect_response("OK");
}

#[test]
fn the_first_identify_sets_what_is_sent_and_when_it_times_out() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.identify("\"msg_timeout\":1000");
    client.identify("\"msg_timeout\":600000,\"sample_rate\":1");
    client.subscribe("identify_first", "c");
    client.publish_all("identify_first", &["x"; 20]);
    client.ready(20);
    for _ in 0..20 {
        assert_eq!(client.expect_message().attempts, 1);
    }
    for _ in 0..20 {
        assert_eq!(client.expect_message().attempts, 2);
    }
}
