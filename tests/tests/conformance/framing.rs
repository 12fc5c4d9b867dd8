//! The magic, lines, frames, numbers and names: nsqd-tcp.md §1 and §2.

use std::net::{Ipv6Addr, TcpListener};

use nsq_tests::raw::with_body;
use nsq_tests::stats::eventually;
use nsq_tests::{Client, Daemon, each, shared};

#[test]
fn the_magic_may_come_in_pieces() {
    let daemon = shared();
    let mut client = daemon.connect_silently();
    for piece in [b"  ", b"V2"] {
        client.send(piece);
    }
    client.publish("framing_pieces", b"x");
}

#[test]
fn a_wrong_magic_is_refused() {
    let daemon = shared();
    each(["  V1", "  V3", "V2  ", "GET ", "    ", "  v2"], |magic| {
        let mut client = daemon.connect_silently();
        client.send(magic);
        client.expect_fatal("E_BAD_PROTOCOL");
    });
}

#[test]
fn an_end_before_the_magic_is_silent_and_logged() {
    let daemon = Daemon::start();
    each([("nothing", ""), ("two bytes", "  "), ("three bytes", "  V")], |(_, start)| {
        let mut client = daemon.connect_silently();
        client.send(start);
        client.finish_sending();
        client.expect_end();
    });
    let text = "failed to read protocol version - ";
    daemon.process().wait_for_log(text, |line| line.contains("ERROR: ") && line.contains(text));
}

#[test]
fn a_frame_is_size_type_data() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.send(with_body("PUB framing_bytes", "x"));
    client.expect_bytes(b"\x00\x00\x00\x06\x00\x00\x00\x00OK");
    client.send("wrong\n");
    client.expect_bytes(b"\x00\x00\x00\x23\x00\x00\x00\x01E_INVALID invalid command wrong");
    let mut consumer = daemon.subscribe("framing_bytes", "c");
    consumer.ready(1);
    // 4 type, 8 timestamp, 2 attempts, 16 id, 1 body.
    consumer.expect_bytes(b"\x00\x00\x00\x1f\x00\x00\x00\x02");
}

#[test]
fn many_connections_are_served_at_once() {
    let daemon = shared();
    let mut clients: Vec<Client> = (0..100).map(|_| daemon.connect()).collect();
    for client in &mut clients {
        client.publish("framing_many", b"x");
    }
}

#[test]
fn a_listener_on_all_addresses_shows_ipv4_peers_as_such() {
    let daemon = Daemon::with(&["--tcp-address=0.0.0.0:0"]);
    let client = daemon.subscribe("t", "c");
    let address = client.address().to_string();
    assert!(address.starts_with("127.0.0.1:"));
    assert_eq!(daemon.client_stats("t", "c", &address)["remote_address"], address.as_str());
}

#[test]
fn a_socket_file_serves_the_same_protocol() {
    let directory = nsq_tests::daemon::new_directory();
    let path = directory.path().join("nsqd.sock");
    let daemon = Daemon::with(&[&format!("--tcp-address={}", path.display())]);
    let mut client = Client::connect_unix(&path);
    client.send("  V2");
    client.publish("t", b"x");
    client.subscribe("t", "c");
    client.ready(1);
    client.expect_body("x");
    let consumer = &daemon.client_stats("t", "c", "@");
    assert_eq!((&consumer["hostname"], &consumer["client_id"]), (&"".into(), &"".into()));
    assert_eq!(daemon.get("/info").json()["tcp_port"], -1);
    daemon.stop();
    assert!(!path.exists(), "the socket file goes with the daemon");
}

#[test]
fn commands_may_come_in_pieces_and_together() {
    let daemon = shared();
    let mut client = daemon.connect();
    for byte in with_body("PUB framing_together", "x") {
        client.send([byte]);
    }
    client.expect_response("OK");
    client.send([with_body("PUB framing_together", "y"), b"NOP\n".to_vec()].concat().repeat(100));
    for _ in 0..100 {
        client.expect_response("OK");
    }
}

#[test]
fn lines_are_taken_apart_at_each_single_space() {
    let daemon = shared();
    let body = b"\x00\x00\x00\x01x".as_slice();
    each(
        [
            ("\\r before \\n is stripped", "PUB framing_line\r\n", "OK"),
            ("surplus parameters of PUB", "PUB framing_line a b c\n", "OK"),
            ("a trailing space is a surplus parameter", "PUB framing_line \n", "OK"),
            ("surplus parameters of NOP", "NOP a b\nPUB framing_line\n", "OK"),
            ("surplus parameters of SUB", "SUB framing_line c d\n", "OK"),
        ],
        |(_, line, answer)| {
            let mut client = daemon.connect();
            client.send([line.as_bytes(), body].concat());
            client.expect_response(answer);
        },
    );
    each(
        [
            ("two spaces make an empty topic", "PUB  \n", "E_BAD_TOPIC PUB topic name \"\" is not valid"),
            ("only one \\r is stripped", "NOP\r\r\n", "E_INVALID invalid command NOP\r"),
            ("\\r inside a line stays", "NO\rP\n", "E_INVALID invalid command NO\rP"),
            ("a leading space", " NOP\n", "E_INVALID invalid command "),
            ("an empty line", "\n", "E_INVALID invalid command "),
            ("lower case", "pub framing_line\n", "E_INVALID invalid command pub"),
            ("mixed case", "Nop\n", "E_INVALID invalid command Nop"),
            ("only the first field is named", "WHAT is this\n", "E_INVALID invalid command WHAT"),
            ("a tab is no space", "NOP\tx\n", "E_INVALID invalid command NOP\tx"),
        ],
        |(_, line, error)| {
            let mut client = daemon.connect();
            client.send(line);
            client.expect_fatal(error);
        },
    );
}

#[test]
fn an_unknown_command_is_named_byte_for_byte() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.send(b"\xff\x00\x01\n");
    client.expect_fatal(b"E_INVALID invalid command \xff\x00\x01");
}

#[test]
fn surplus_parameters_of_consumer_commands_are_ignored() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.send(with_body("IDENTIFY a b", "{}"));
    client.expect_response("OK");
    client.subscribe("framing_surplus", "c");
    client.publish("framing_surplus", b"x");
    client.send("RDY 1 a b\n");
    let message = client.expect_body("x");
    client.send(format!("TOUCH {} a\nFIN {0} a b\n", message.id));
    client.send("CLS a\n");
    client.expect_response("CLOSE_WAIT");
}

#[test]
fn a_line_has_at_most_16384_bytes_with_its_end() {
    let daemon = shared();
    let longest = format!("NOP {}\n", "a".repeat(16_384 - 5));
    assert_eq!(longest.len(), 16_384);
    let mut client = daemon.connect();
    client.send(&longest);
    client.send(&longest);
    client.expect_nothing_answered();

    let mut client = daemon.connect();
    client.send(format!("NOP {}\n", "a".repeat(16_384 - 4)));
    client.expect_end();
}

#[test]
fn an_end_within_a_line_is_silent() {
    let daemon = shared();
    each(["N", "NOP", "PUB t", "SUB t c"], |start| {
        let mut client = daemon.connect();
        client.send(start);
        client.finish_sending();
        client.expect_end();
    });
}

#[test]
fn numbers_are_digits_that_wrap_silently() {
    let daemon = shared();
    let out_of_range = "out of range 0-2500";
    each(
        [
            ("RDY ", None),
            ("RDY 0", None),
            ("RDY 0002500", None),
            ("RDY", None),
            ("RDY 18446744073709551616", None),
            ("RDY +1", Some("E_INVALID RDY could not parse count +1".to_owned())),
            ("RDY -1", Some("E_INVALID RDY could not parse count -1".to_owned())),
            ("RDY 1.0", Some("E_INVALID RDY could not parse count 1.0".to_owned())),
            ("RDY 0x1", Some("E_INVALID RDY could not parse count 0x1".to_owned())),
            ("RDY 2501", Some(format!("E_INVALID RDY count 2501 {out_of_range}"))),
            ("RDY 18446744073709551615", Some(format!("E_INVALID RDY count -1 {out_of_range}"))),
        ],
        |(line, error)| {
            let mut client = daemon.subscribe("framing_numbers", "c");
            client.send(format!("{line}\n"));
            match error {
                None => client.expect_nothing_answered(),
                Some(error) => client.expect_fatal(error),
            }
        },
    );
}

#[test]
fn milliseconds_wrap_when_they_become_nanoseconds() {
    let daemon = shared();
    let mut client = daemon.connect();
    for delay in ["18446744073709551616", "18446744073710", ""] {
        client.send(with_body(&format!("DPUB framing_wrap#ephemeral {delay}"), "x"));
        client.expect_response("OK");
    }
}

#[test]
fn names_follow_the_rule() {
    let daemon = shared();
    let longest = "a".repeat(64);
    let longest_ephemeral = format!("{}#ephemeral", "a".repeat(54));
    each(["a", ".", "-", "_", "A.b-c_9", "0", "x#ephemeral", &longest, &longest_ephemeral], |name| {
        let mut client = daemon.connect();
        client.subscribe("framing_names#ephemeral", name);
        client.publish(name, b"x");
        daemon.act(&format!("/topic/delete?topic={}", name.replace('#', "%23")));
    });
}

#[test]
fn a_bad_name_is_shown_quoted() {
    let daemon = shared();
    let too_long = "a".repeat(65);
    let too_long_ephemeral = format!("{}#ephemeral", "a".repeat(55));
    let rows: [(&[u8], &str); 17] = [
        (b"", ""),
        (b"a$b", "a$b"),
        (b"a#b", "a#b"),
        (b"#ephemeral", "#ephemeral"),
        (b"a#Ephemeral", "a#Ephemeral"),
        (b"a#ephemeralb", "a#ephemeralb"),
        (b"a/b", "a/b"),
        (b"a:b", "a:b"),
        (b"a\"b", "a\\\"b"),
        (b"a\\b", "a\\\\b"),
        (b"a\tb", "a\\tb"),
        (b"a\rb", "a\\rb"),
        (b"a\x01\x7f", "a\\x01\\x7f"),
        (b"\xe9t\xe9", "\\xe9t\\xe9"),
        ("été".as_bytes(), "été"),
        (too_long.as_bytes(), &too_long),
        (too_long_ephemeral.as_bytes(), &too_long_ephemeral),
    ];
    each(rows.map(|(name, shown)| (shown, name)), |(shown, name)| {
        let mut client = daemon.connect();
        client.send([b"PUB ", *name, b"\n"].concat());
        client.expect_fatal(format!("E_BAD_TOPIC PUB topic name \"{shown}\" is not valid"));

        let mut client = daemon.connect();
        client.send([b"SUB t ", *name, b"\n"].concat());
        client.expect_fatal(format!("E_BAD_CHANNEL SUB channel name \"{shown}\" is not valid"));
    });
}

#[test]
fn names_tell_cases_apart() {
    let daemon = shared();
    daemon.publish("framing_case", b"lower");
    daemon.publish("framing_CASE", b"upper");
    let mut client = daemon.subscribe("framing_CASE", "c");
    client.ready(2);
    client.expect_body("upper");
    client.expect_silence();
}

#[test]
fn each_command_has_its_states() {
    let daemon = shared();
    let id = "0123456789abcdef";
    let publish = |command: &str| String::from_utf8(with_body(command, "x")).expect("it is ASCII");
    let batch =
        String::from_utf8(with_body("MPUB framing_states_of", "\0\0\0\x01\0\0\0\x01x")).expect("ASCII");
    let cannot = |command: &str| format!("E_INVALID cannot {command} in current state");
    let failed = |code: &str| format!("E_{code}_FAILED {code} {id} failed ID not in flight");
    let ok = || "OK".to_owned();
    let silent = String::new;
    // The answer while connected, subscribed, closing; an empty one stands for none.
    each(
        [
            (
                "IDENTIFY",
                publish("IDENTIFY"),
                [
                    "E_BAD_BODY IDENTIFY failed to decode JSON body".to_owned(),
                    cannot("IDENTIFY"),
                    cannot("IDENTIFY"),
                ],
            ),
            (
                "AUTH",
                publish("AUTH"),
                ["E_AUTH_DISABLED AUTH disabled".to_owned(), cannot("AUTH"), cannot("AUTH")],
            ),
            ("SUB", "SUB framing_states_of c\n".to_owned(), [ok(), cannot("SUB"), cannot("SUB")]),
            ("RDY", "RDY 0\n".to_owned(), [cannot("RDY"), silent(), silent()]),
            ("FIN", format!("FIN {id}\n"), [cannot("FIN"), failed("FIN"), failed("FIN")]),
            ("REQ", format!("REQ {id} 0\n"), [cannot("REQ"), failed("REQ"), failed("REQ")]),
            ("TOUCH", format!("TOUCH {id}\n"), [cannot("TOUCH"), failed("TOUCH"), failed("TOUCH")]),
            ("CLS", "CLS\n".to_owned(), [cannot("CLS"), "CLOSE_WAIT".to_owned(), cannot("CLS")]),
            ("NOP", "NOP\n".to_owned(), [silent(), silent(), silent()]),
            ("PUB", publish("PUB framing_states_of"), [ok(), ok(), ok()]),
            ("DPUB", publish("DPUB framing_states_of 0"), [ok(), ok(), ok()]),
            ("MPUB", batch, [ok(), ok(), ok()]),
        ],
        |(_, bytes, answers)| {
            let connected = daemon.connect();
            let subscribed = daemon.subscribe("framing_states", "c");
            let mut closing = daemon.subscribe("framing_states", "c");
            closing.send("CLS\n");
            closing.expect_response("CLOSE_WAIT");
            for (mut client, answer) in [connected, subscribed, closing].into_iter().zip(answers) {
                client.send(bytes);
                match answer.as_str() {
                    "" => client.expect_nothing_answered(),
                    "OK" | "CLOSE_WAIT" => client.expect_response(answer),
                    error if error.contains("_FAILED ") => {
                        client.expect_error(error);
                        client.expect_nothing_answered();
                    }
                    error => client.expect_fatal(error),
                }
            }
        },
    );
}

#[test]
fn the_states_have_numbers() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.publish("framing_numbered", b"x");
    let address = client.address().to_string();
    let producers = daemon.stats()["producers"].clone();
    let producers = producers.as_array().expect("there is a producer");
    let producer = producers.iter().find(|producer| producer["remote_address"] == address.as_str());
    assert_eq!(producer.expect("it published")["state"], 0);
    client.subscribe("framing_numbered", "c");
    assert_eq!(daemon.client_stats("framing_numbered", "c", &address)["state"], 3);
    client.send("CLS\n");
    client.expect_response("CLOSE_WAIT");
    assert_eq!(daemon.client_stats("framing_numbered", "c", &address)["state"], 4);
}

#[test]
fn a_listener_on_all_addresses_takes_both_families() {
    let daemon = Daemon::with(&["--tcp-address=0.0.0.0:0"]);
    let over_ipv6 = (Ipv6Addr::LOCALHOST, daemon.tcp.port()).into();
    // Not every machine has both.
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let mut client = Client::connect(over_ipv6);
    client.send("  V2");
    client.subscribe("t", "c");
    let address = client.address().to_string();
    assert_eq!(daemon.client_stats("t", "c", &address)["remote_address"], address.as_str());
}

#[test]
fn an_idle_connection_is_probed_by_the_system() {
    let daemon = shared();
    let mut client = daemon.connect();
    client.expect_nothing_answered();
    // Local and remote port in hexadecimal; the timer of kind 2 is that of keepalive.
    let (local, remote) =
        (format!(":{:04X}", daemon.tcp.port()), format!(":{:04X}", client.address().port()));
    let timer = || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").expect("the system tells of its sockets");
        let is_ours = |line: &&str| {
            let mut fields = line.split_whitespace().skip(1);
            let ends_with = |end: &str, field: Option<&str>| field.is_some_and(|field| field.ends_with(end));
            ends_with(&local, fields.next()) && ends_with(&remote, fields.next())
        };
        let line = sockets.lines().find(is_ours).expect("the daemon's end is among them");
        line.split_whitespace().nth(5).expect("a line has twelve fields").to_owned()
    };
    eventually("the timer of keepalive", timer, |timer| timer.starts_with("02:"));
}
