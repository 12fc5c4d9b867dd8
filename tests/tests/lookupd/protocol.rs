//! Connections, lines and what is refused: nsqlookupd.md §5.1, §5.2 and §5.4.

use nsq_tests::raw::{be, with_body};
use nsq_tests::{Lookupd, differences, each};

const IDENTITY: &str = r#"{"broadcast_address":"a","tcp_port":1,"http_port":2,"version":"v"}"#;

#[test]
fn an_ok_is_a_size_and_two_bytes() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.connect();
    client.send("PING\n");
    client.expect_response("OK");
    assert_eq!(lookupd.get("/debug").text(), "{}", "a ping before IDENTIFY touches nothing");
}

#[test]
fn another_magic_is_refused() {
    let lookupd = Lookupd::start();
    each(["  V2", "V1  ", "PING", "GET "], |magic| {
        let mut client = lookupd.connect_silently();
        client.send(magic);
        client.expect_fatal("E_BAD_PROTOCOL");
    });
    let mut client = lookupd.connect_silently();
    client.send("  V");
    client.finish_sending();
    client.expect_end();
}

#[test]
fn refusals_before_identify_are_fatal() {
    let lookupd = Lookupd::start();
    each(
        [
            ("FOO bar\n", "E_INVALID invalid command FOO"),
            ("ping\n", "E_INVALID invalid command ping"),
            ("\n", "E_INVALID invalid command "),
            (" \t \r\n", "E_INVALID invalid command "),
            ("REGISTER\n", "E_INVALID client must IDENTIFY"),
            ("REGISTER t\n", "E_INVALID client must IDENTIFY"),
            ("UNREGISTER t$\n", "E_INVALID client must IDENTIFY"),
        ],
        |(line, refusal)| {
            let mut client = lookupd.connect();
            client.send(line);
            client.expect_fatal(refusal);
        },
    );
}

#[test]
fn refusals_behind_identify_are_fatal() {
    let lookupd = Lookupd::start();
    let long = "n".repeat(65);
    each(
        [
            ("IDENTIFY\n".to_owned(), "E_INVALID cannot IDENTIFY again".to_owned()),
            ("IDENTIFY x\n".to_owned(), "E_INVALID cannot IDENTIFY again".to_owned()),
            ("REGISTER\n".to_owned(), "E_INVALID REGISTER insufficient number of params".to_owned()),
            ("UNREGISTER\n".to_owned(), "E_INVALID UNREGISTER insufficient number of params".to_owned()),
            ("UNREGISTER \n".to_owned(), "E_INVALID UNREGISTER insufficient number of params".to_owned()),
            ("REGISTER t$\n".to_owned(), "E_BAD_TOPIC REGISTER topic name 't$' is not valid".to_owned()),
            ("REGISTER  t\n".to_owned(), "E_BAD_TOPIC REGISTER topic name '' is not valid".to_owned()),
            (
                "UNREGISTER t$ c\n".to_owned(),
                "E_BAD_TOPIC UNREGISTER topic name 't$' is not valid".to_owned(),
            ),
            (
                "REGISTER #ephemeral\n".to_owned(),
                "E_BAD_TOPIC REGISTER topic name '#ephemeral' is not valid".to_owned(),
            ),
            (
                "REGISTER t c$\n".to_owned(),
                "E_BAD_CHANNEL REGISTER channel name 'c$' is not valid".to_owned(),
            ),
            (
                "UNREGISTER t #ephemeral\n".to_owned(),
                "E_BAD_CHANNEL UNREGISTER channel name '#ephemeral' is not valid".to_owned(),
            ),
            (format!("REGISTER {long}\n"), format!("E_BAD_TOPIC REGISTER topic name '{long}' is not valid")),
            (
                format!("REGISTER t {long}\n"),
                format!("E_BAD_CHANNEL REGISTER channel name '{long}' is not valid"),
            ),
        ],
        |(line, refusal)| {
            let mut client = lookupd.producer("a");
            client.send(line);
            client.expect_fatal(refusal);
        },
    );
    assert!(lookupd.topics().is_empty());
}

#[test]
fn a_name_may_have_64_characters() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    let (topic, channel) = ("t".repeat(64), format!("{}#ephemeral", "c".repeat(54)));
    client.command(&format!("REGISTER {topic} {channel}"));
    assert!(lookupd.channels(&topic).contains(&channel));
}

#[test]
fn names_have_letters_digits_and_three_marks() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    client.command("REGISTER Az09.-_ .");
    assert!(lookupd.channels("Az09.-_").contains("."));
    each(["t+", "t/", "t*", "t#", "t#e", "t#ephemeralx", "#ephemeral", "\u{e4}"], |name| {
        let mut client = lookupd.producer("b");
        client.send(format!("REGISTER {name}\n"));
        client.expect_fatal(format!("E_BAD_TOPIC REGISTER topic name '{name}' is not valid"));
    });
}

#[test]
fn who_asks_nothing_is_told_nothing() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    client.command("REGISTER t");
    client.expect_silence();
    client.command("PING");
}

#[test]
fn lines_are_trimmed_and_further_words_are_ignored() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.connect();
    client.send(with_body("IDENTIFY now please", IDENTITY));
    client.response();
    client.command("PING me");
    client.command("  REGISTER t1 c1 further words");
    client.command("\tREGISTER t2\r");
    client.command("REGISTER t3  c3");
    assert_eq!(lookupd.topics(), ["t1", "t2", "t3"].map(str::to_owned).into());
    assert_eq!(lookupd.channels("t1"), ["c1".to_owned()].into());
    assert!(lookupd.channels("t3").is_empty(), "two spaces make the channel empty");
}

#[test]
fn pipelined_commands_are_answered_in_order() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.connect_silently();
    let mut wire = b"  V1PING\n".to_vec();
    wire.extend(with_body("IDENTIFY", IDENTITY));
    wire.extend(b"REGISTER t c\nPING\nFOO\nREGISTER u\n");
    client.send(wire);
    client.expect_response("OK");
    assert!(client.response().starts_with(b"{\"broadcast_address\":"));
    client.expect_response("OK");
    client.expect_response("OK");
    client.expect_fatal("E_INVALID invalid command FOO");
    assert_eq!(lookupd.topics(), ["t".to_owned()].into());
}

#[test]
fn commands_may_come_in_pieces() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.connect_silently();
    let mut wire = b"  V1".to_vec();
    wire.extend(with_body("IDENTIFY", IDENTITY));
    wire.extend(b"PING\n");
    for byte in wire {
        client.send([byte]);
    }
    client.response();
    client.expect_response("OK");
}

#[test]
fn an_end_within_a_line_is_just_an_end() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.connect();
    client.send("PING\nPIN");
    client.finish_sending();
    client.expect_response("OK");
    client.expect_end();
}

#[test]
fn a_line_that_does_not_end_is_refused() {
    if !differences::registration_lines_are_bounded() {
        return;
    }
    let lookupd = Lookupd::start();
    let mut client = lookupd.connect();
    client.send("x".repeat(1 << 20));
    client.expect_fatal("E_INVALID command line too long, 16384 is the limit");
}

#[test]
fn sizes_that_crash_the_original_are_refused() {
    if !differences::registration_sizes_are_bounded() {
        return;
    }
    let lookupd = Lookupd::start();
    each(
        [
            ("negative", [0xff; 4], "E_BAD_BODY IDENTIFY invalid body size -1"),
            ("huge", [0x7f, 0xff, 0xff, 0xff], "E_BAD_BODY IDENTIFY body too big 2147483647 > 65536"),
            ("one more than may be", be(65537), "E_BAD_BODY IDENTIFY body too big 65537 > 65536"),
        ],
        |(_, size, refusal)| {
            let mut client = lookupd.connect();
            client.send([b"IDENTIFY\n", &size[..]].concat());
            client.expect_fatal(refusal);
        },
    );
    lookupd.producer("still there");
}
