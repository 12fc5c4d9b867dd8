//! Every row of the tables of spec nsqd-tcp.md, §3, by the bytes a client sends.

use std::time::Duration;

use super::super::command::Phase;
use super::super::message::MessageId;
use super::super::name::ChannelName;
use super::*;

pub(super) const LIMITS: Limits = Limits {
    msg_size_max: 20,
    body_size_max: 64,
    rdy_count_max: 2500,
    req_timeout_max: Duration::from_secs(3600),
};

pub(super) const INIT: Situation = Situation { phase: Phase::Init, heartbeats: true, tls_missing: false };
const SUBSCRIBED: Situation = Situation { phase: Phase::Subscribed, ..INIT };
const CLOSING: Situation = Situation { phase: Phase::Closing, ..INIT };
const SILENT: Situation = Situation { heartbeats: false, ..INIT };
const PLAIN: Situation = Situation { tls_missing: true, ..INIT };

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn refusal(error: &str, creates: Option<TopicName>) -> String {
    format!("{error} creates {creates:?}")
}

fn shown(refusal_: Refusal) -> String {
    let error = refusal_.error.map(|error| error.to_bytes().escape_ascii().to_string());
    refusal(&error.unwrap_or("silence".into()), refusal_.creates)
}

/// `input` is refused with exactly `error`, and not before its last byte has come.
fn check_refused(situation: Situation, input: &[u8], error: &str, creates: Option<TopicName>) {
    let shown_input = input.escape_ascii().to_string();
    let mut decoder = Decoder::new(LIMITS);
    for end in 0..input.len() {
        assert_eq!(decoder.decode(&input[..end], situation), Ok(None), "{shown_input:.200} up to {end}");
    }
    let refused = decoder.decode(input, situation).expect_err(&shown_input);
    assert_eq!(shown(refused), refusal(error, creates), "{shown_input:.200}");
}

fn check_interrupted(input: &[u8], error: &str, creates: Option<TopicName>) {
    let shown_input = input.escape_ascii().to_string();
    let at_once = Decoder::new(LIMITS).interrupted(input, INIT);
    let mut decoder = Decoder::new(LIMITS);
    for end in 0..=input.len() {
        assert_eq!(decoder.decode(&input[..end], INIT), Ok(None), "{shown_input}");
    }
    assert_eq!(decoder.interrupted(input, INIT), at_once, "{shown_input}");
    assert_eq!(shown(at_once.expect(&shown_input)), refusal(error, creates), "{shown_input}");
}

/// `input` is exactly one command, complete with its last byte.
fn check_command(situation: Situation, input: &[u8], command: Command<'_>) {
    let shown_input = input.escape_ascii().to_string();
    let mut decoder = Decoder::new(LIMITS);
    for end in 0..input.len() {
        assert_eq!(decoder.decode(&input[..end], situation), Ok(None), "{shown_input} up to {end}");
    }
    let decoded = Decoded { command, consumed: input.len() };
    assert_eq!(decoder.decode(input, situation), Ok(Some(decoded.clone())), "{shown_input}");
    let followed = [input, b"NOP\n"].concat();
    assert_eq!(decoder.decode(&followed, situation), Ok(Some(decoded)), "{shown_input} and more");
}

#[test]
fn lines_end_at_a_line_feed_with_or_without_a_carriage_return() {
    check_command(INIT, b"NOP\n", Command::Nop);
    check_command(INIT, b"NOP\r\n", Command::Nop);
    check_command(INIT, b"PUB t\r\n\0\0\0\x01x", Command::Pub { topic: topic("t"), body: b"x" });
    check_refused(INIT, b"NOP\r\r\n", r"E_INVALID invalid command NOP\r", None);
    check_refused(INIT, b"\r\n", "E_INVALID invalid command ", None);
    check_refused(INIT, b"\n", "E_INVALID invalid command ", None);
}

#[test]
fn words_are_upper_case_and_stand_before_the_first_space() {
    check_refused(INIT, b"pub t\n", "E_INVALID invalid command pub", None);
    check_refused(INIT, b" PUB t\n", "E_INVALID invalid command ", None);
    check_refused(INIT, b"PUBX t\n", "E_INVALID invalid command PUBX", None);
    check_refused(INIT, b"\xff\0\t more words\n", r"E_INVALID invalid command \xff\x00\t", None);
}

#[test]
fn a_line_of_16384_bytes_is_the_longest() {
    let longest = [b"NOP ".as_slice(), &[b'x'; LINE_BYTES_MAX - 5], b"\n"].concat();
    assert_eq!(longest.len(), LINE_BYTES_MAX);
    let decoded = Decoder::new(LIMITS).decode(&longest, INIT).unwrap().unwrap();
    assert_eq!(decoded, Decoded { command: Command::Nop, consumed: LINE_BYTES_MAX });

    let endless = [b'x'; LINE_BYTES_MAX];
    assert_eq!(Decoder::new(LIMITS).decode(&endless[1..], INIT), Ok(None));
    let silence = Refusal { error: None, creates: None };
    assert_eq!(Decoder::new(LIMITS).decode(&endless, INIT), Err(silence.clone()));
    let too_late = [&endless[..], b"\n"].concat();
    assert_eq!(Decoder::new(LIMITS).decode(&too_late, INIT), Err(silence));
}

#[test]
fn surplus_parameters_are_ignored() {
    let id = MessageId(*b"0123456789abcdef");
    check_command(INIT, b"PUB t  x\n\0\0\0\x01x", Command::Pub { topic: topic("t"), body: b"x" });
    check_command(INIT, b"IDENTIFY x y\n\0\0\0\x02{}", Command::Identify(b"{}"));
    check_command(INIT, b"NOP x\n", Command::Nop);
    check_command(SUBSCRIBED, b"RDY 1 x\n", Command::Rdy(1));
    check_command(SUBSCRIBED, b"FIN 0123456789abcdef x\n", Command::Fin(id));
    check_command(SUBSCRIBED, b"CLS \n", Command::Cls);
}

#[test]
fn without_tls_where_it_is_required_only_identify_is_understood() {
    let every_word =
        ["PUB", "MPUB", "DPUB", "SUB", "RDY", "FIN", "REQ", "TOUCH", "CLS", "NOP", "AUTH", "x", ""];
    for word in every_word {
        let error = format!("E_INVALID cannot {word} in current state (TLS required)");
        check_refused(PLAIN, format!("{word} \n").as_bytes(), &error, None);
    }
    check_command(PLAIN, b"IDENTIFY\n\0\0\0\x02{}", Command::Identify(b"{}"));
}

#[test]
fn identify_is_refused_row_by_row() {
    for situation in [SUBSCRIBED, CLOSING, Situation { tls_missing: true, ..SUBSCRIBED }] {
        check_refused(situation, b"IDENTIFY\n", "E_INVALID cannot IDENTIFY in current state", None);
    }
    check_interrupted(b"IDENTIFY\n", "E_BAD_BODY IDENTIFY failed to read body size", None);
    check_interrupted(b"IDENTIFY\n\0\0\0", "E_BAD_BODY IDENTIFY failed to read body size", None);
    check_refused(INIT, b"IDENTIFY\n\0\0\0\x41", "E_BAD_BODY IDENTIFY body too big 65 > 64", None);
    check_refused(INIT, b"IDENTIFY\n\0\0\0\0", "E_BAD_BODY IDENTIFY invalid body size 0", None);
    check_refused(INIT, b"IDENTIFY\n\xff\xff\xff\xff", "E_BAD_BODY IDENTIFY invalid body size -1", None);
    check_interrupted(b"IDENTIFY\n\0\0\0\x40{", "E_BAD_BODY IDENTIFY failed to read body", None);
}

#[test]
fn auth_is_refused_row_by_row() {
    for situation in [SUBSCRIBED, CLOSING] {
        check_refused(situation, b"AUTH x\n", "E_INVALID cannot AUTH in current state", None);
    }
    check_refused(INIT, b"AUTH x\n", "E_INVALID AUTH invalid number of parameters", None);
    check_refused(INIT, b"AUTH \n", "E_INVALID AUTH invalid number of parameters", None);
    check_interrupted(b"AUTH\n\0\0\0", "E_BAD_BODY AUTH failed to read body size", None);
    check_refused(INIT, b"AUTH\n\0\0\0\x41", "E_BAD_BODY AUTH body too big 65 > 64", None);
    check_refused(INIT, b"AUTH\n\0\0\0\0", "E_BAD_BODY AUTH invalid body size 0", None);
    check_refused(INIT, b"AUTH\n\x80\0\0\0", "E_BAD_BODY AUTH invalid body size -2147483648", None);
    check_interrupted(b"AUTH\n\0\0\0\x02s", "E_BAD_BODY AUTH failed to read body", None);
    check_command(INIT, b"AUTH\n\0\0\0\x02s\n", Command::Auth(b"s\n"));
}

#[test]
fn sub_is_refused_row_by_row() {
    for situation in [SUBSCRIBED, CLOSING, Situation { heartbeats: false, ..SUBSCRIBED }] {
        check_refused(situation, b"SUB\n", "E_INVALID cannot SUB in current state", None);
    }
    check_refused(SILENT, b"SUB\n", "E_INVALID cannot SUB with heartbeats disabled", None);
    check_refused(INIT, b"SUB\n", "E_INVALID SUB insufficient number of parameters", None);
    check_refused(INIT, b"SUB t\n", "E_INVALID SUB insufficient number of parameters", None);
    check_refused(INIT, b"SUB b@d b@d\n", r#"E_BAD_TOPIC SUB topic name \"b@d\" is not valid"#, None);
    check_refused(INIT, b"SUB t \n", r#"E_BAD_CHANNEL SUB channel name \"\" is not valid"#, None);
    check_refused(INIT, b"SUB t  c\n", r#"E_BAD_CHANNEL SUB channel name \"\" is not valid"#, None);
    let channel = ChannelName::parse("c#ephemeral").unwrap();
    check_command(INIT, b"SUB t c#ephemeral\n", Command::Sub { topic: topic("t"), channel });
}

#[test]
fn rdy_is_refused_row_by_row() {
    check_command(CLOSING, b"RDY nonsense\n", Command::RdyIgnored);
    check_refused(INIT, b"RDY x\n", "E_INVALID cannot RDY in current state", None);
    for raw in ["x", "-1", "+1", "1.0", "0x1", "1\t"] {
        let error = format!("E_INVALID RDY could not parse count {}", raw.escape_default());
        check_refused(SUBSCRIBED, format!("RDY {raw}\n").as_bytes(), &error, None);
    }
    check_refused(SUBSCRIBED, b"RDY \xff\n", r"E_INVALID RDY could not parse count \xff", None);
    for (raw, count) in [
        ("2501", "2501"),
        ("18446744073709551615", "-1"),
        ("9223372036854775808", "-9223372036854775808"),
        ("18446744073709554117", "2501"),
    ] {
        let error = format!("E_INVALID RDY count {count} out of range 0-2500");
        check_refused(SUBSCRIBED, format!("RDY {raw}\n").as_bytes(), &error, None);
    }
}

#[test]
fn rdy_counts_are_read_as_v1_3_0_reads_them() {
    for (line, count) in [
        ("RDY\n", 1),
        ("RDY \n", 0),
        ("RDY 0\n", 0),
        ("RDY 2500\n", 2500),
        ("RDY 000000000000000000000000000007\n", 7),
        ("RDY 18446744073709551617\n", 1),
    ] {
        check_command(SUBSCRIBED, line.as_bytes(), Command::Rdy(count));
    }
}

#[test]
fn fin_touch_and_req_are_refused_row_by_row() {
    for word in ["FIN", "TOUCH", "REQ"] {
        let state = format!("E_INVALID cannot {word} in current state");
        check_refused(INIT, format!("{word}\n").as_bytes(), &state, None);
        let params = format!("E_INVALID {word} insufficient number of params");
        check_refused(SUBSCRIBED, format!("{word}\n").as_bytes(), &params, None);
        for id in ["", "0123456789abcde", "0123456789abcdef0"] {
            let line = format!("{word} {id} x\n");
            check_refused(CLOSING, line.as_bytes(), "E_INVALID invalid message ID", None);
        }
    }
    let too_few = "E_INVALID REQ insufficient number of params";
    check_refused(SUBSCRIBED, b"REQ short\n", too_few, None);
    let unparsable = "E_INVALID REQ could not parse timeout 1s";
    check_refused(SUBSCRIBED, b"REQ 0123456789abcdef 1s\n", unparsable, None);
}

#[test]
fn ids_are_any_sixteen_bytes() {
    let id = MessageId(*b"\xff\0\t\r89abcdefghi\r");
    for situation in [SUBSCRIBED, CLOSING] {
        check_command(situation, b"TOUCH \xff\0\t\r89abcdefghi\r\r\n", Command::Touch(id));
        check_command(situation, b"FIN \xff\0\t\r89abcdefghi\r \n", Command::Fin(id));
        // What looks like the end of the id is the end of the line.
        check_refused(situation, b"FIN \xff\0\t\r89abcdefghi\r\n", "E_INVALID invalid message ID", None);
    }
}

#[test]
fn the_delay_of_req_is_shortened_to_its_limits() {
    let id = MessageId(*b"0123456789abcdef");
    for (raw, milliseconds) in [
        ("", 0),
        ("0", 0),
        ("1", 1),
        ("3600000", 3_600_000),
        ("3600001", 3_600_000),
        ("18446744073709551615", 0),
        ("9223372036855", 0),
        ("18446744073709551617", 1),
    ] {
        let delay = Duration::from_millis(milliseconds);
        check_command(SUBSCRIBED, format!("REQ {id} {raw}\n").as_bytes(), Command::Req { id, delay });
    }
    let wrapped = Command::Req { id, delay: Duration::from_nanos(448_384) };
    check_command(SUBSCRIBED, b"REQ 0123456789abcdef 18446744073710\n", wrapped);
}

#[test]
fn cls_is_for_subscribers() {
    check_command(SUBSCRIBED, b"CLS\n", Command::Cls);
    check_refused(INIT, b"CLS\n", "E_INVALID cannot CLS in current state", None);
    check_refused(CLOSING, b"CLS\n", "E_INVALID cannot CLS in current state", None);
}

#[test]
fn pub_is_refused_row_by_row() {
    check_refused(INIT, b"PUB\n", "E_INVALID PUB insufficient number of parameters", None);
    check_refused(INIT, b"PUB \n", r#"E_BAD_TOPIC PUB topic name \"\" is not valid"#, None);
    check_refused(INIT, b"PUB  t\n", r#"E_BAD_TOPIC PUB topic name \"\" is not valid"#, None);
    check_refused(INIT, b"PUB a\tb\n", r#"E_BAD_TOPIC PUB topic name \"a\\tb\" is not valid"#, None);
    let long = format!("PUB {}\n", "x".repeat(65));
    let error = format!(r#"E_BAD_TOPIC PUB topic name \"{}\" is not valid"#, "x".repeat(65));
    check_refused(INIT, long.as_bytes(), &error, None);
    check_interrupted(b"PUB t\n", "E_BAD_MESSAGE PUB failed to read message body size", None);
    check_interrupted(b"PUB t\n\0\0\0", "E_BAD_MESSAGE PUB failed to read message body size", None);
    check_refused(INIT, b"PUB t\n\0\0\0\0", "E_BAD_MESSAGE PUB invalid message body size 0", None);
    check_refused(INIT, b"PUB t\n\xff\xff\xff\xfe", "E_BAD_MESSAGE PUB invalid message body size -2", None);
    check_refused(INIT, b"PUB t\n\0\0\0\x15", "E_BAD_MESSAGE PUB message too big 21 > 20", None);
    check_interrupted(b"PUB t\n\0\0\0\x02x", "E_BAD_MESSAGE PUB failed to read message body", None);
}

#[test]
fn publishing_is_allowed_in_every_phase() {
    for situation in [INIT, SUBSCRIBED, CLOSING, SILENT] {
        let largest = [b'\n'; 20];
        let input = [&b"PUB t\n\0\0\0\x14"[..], &largest].concat();
        check_command(situation, &input, Command::Pub { topic: topic("t"), body: &largest });
        let delay = Duration::from_secs(3600);
        check_command(
            situation,
            b"DPUB t 3600000\n\0\0\0\x01x",
            Command::Dpub { topic: topic("t"), delay, body: b"x" },
        );
        check_command(situation, b"NOP\n", Command::Nop);
    }
}

#[test]
fn dpub_is_refused_row_by_row() {
    check_refused(INIT, b"DPUB\n", "E_INVALID DPUB insufficient number of parameters", None);
    check_refused(INIT, b"DPUB b@d\n", "E_INVALID DPUB insufficient number of parameters", None);
    check_refused(INIT, b"DPUB b@d x\n", r#"E_BAD_TOPIC DPUB topic name \"b@d\" is not valid"#, None);
    check_refused(INIT, b"DPUB t -1\n", "E_INVALID DPUB could not parse timeout -1", None);
    for (raw, number) in [
        ("3600001", "3600001"),
        ("18446744073709551615", "18446744073709551615"),
        ("9223372036855", "9223372036855"),
        ("18446744073713151617", "3600001"),
    ] {
        let error = format!("E_INVALID DPUB timeout {number} out of range 0-3600000");
        check_refused(INIT, format!("DPUB t {raw}\n").as_bytes(), &error, None);
    }
    check_interrupted(b"DPUB t 1\n\0", "E_BAD_MESSAGE DPUB failed to read message body size", None);
    check_refused(INIT, b"DPUB t 1\n\0\0\0\0", "E_BAD_MESSAGE DPUB invalid message body size 0", None);
    check_refused(INIT, b"DPUB t 1\n\0\0\x01\0", "E_BAD_MESSAGE DPUB message too big 256 > 20", None);
    check_interrupted(b"DPUB t 1\n\0\0\0\x02x", "E_BAD_MESSAGE DPUB failed to read message body", None);
}

#[test]
fn the_delay_of_dpub_wraps_around() {
    let dpub = |nanoseconds| Command::Dpub {
        topic: topic("t"),
        delay: Duration::from_nanos(nanoseconds),
        body: b"x",
    };
    check_command(INIT, b"DPUB t \n\0\0\0\x01x", dpub(0));
    check_command(INIT, b"DPUB t 18446744073709551616\n\0\0\0\x01x", dpub(0));
    check_command(INIT, b"DPUB t 18446744073710\n\0\0\0\x01x", dpub(448_384));
}

#[test]
fn mpub_is_refused_row_by_row() {
    check_refused(INIT, b"MPUB\n", "E_INVALID MPUB insufficient number of parameters", None);
    let name = r#"E_BAD_TOPIC E_BAD_TOPIC MPUB topic name \"\" is not valid"#;
    check_refused(INIT, b"MPUB \n", name, None);

    let t = Some(topic("t"));
    check_interrupted(b"MPUB t\n", "E_BAD_BODY MPUB failed to read body size", t);
    check_interrupted(b"MPUB t\n\0\0\0", "E_BAD_BODY MPUB failed to read body size", t);
    check_refused(INIT, b"MPUB t\n\0\0\0\0", "E_BAD_BODY MPUB invalid body size 0", t);
    check_refused(INIT, b"MPUB t\n\xff\xff\xff\xff", "E_BAD_BODY MPUB invalid body size -1", t);
    check_refused(INIT, b"MPUB t\n\0\0\0\x41", "E_BAD_BODY MPUB body too big 65 > 64", t);
    check_interrupted(b"MPUB t\n\0\0\0\x40\0", "E_BAD_BODY MPUB failed to read message count", t);

    let with = |inner: &[u8]| [b"MPUB t\n\0\0\0\x40", inner].concat();
    let check = |inner: &[u8], error: &str| check_refused(INIT, &with(inner), error, t);
    check(b"\0\0\0\0", "E_BAD_BODY MPUB invalid message count 0");
    check(b"\xff\xff\xff\xff", "E_BAD_BODY MPUB invalid message count -1");
    check(b"\0\0\0\x0d", "E_BAD_BODY MPUB invalid message count 13");
    check(b"\0\0\0\x0c\0\0\0\0", "E_BAD_MESSAGE MPUB invalid message(0) body size 0");
    check(b"\0\0\0\x02\0\0\0\x01x\x80\0\0\0", "E_BAD_MESSAGE MPUB invalid message(1) body size -2147483648");
    check(b"\0\0\0\x02\0\0\0\x01x\0\0\0\x15", "E_BAD_MESSAGE MPUB message too big 21 > 20");

    let interrupted = |inner: &[u8], error: &str| check_interrupted(&with(inner), error, t);
    interrupted(b"\0\0\0\x02", "E_BAD_MESSAGE MPUB failed to read message(0) body size");
    interrupted(b"\0\0\0\x02\0\0\0\x01x\0\0\0", "E_BAD_MESSAGE MPUB failed to read message(1) body size");
    interrupted(b"\0\0\0\x02\0\0\0\x01x\0\0\0\x01", "E_BAD_MESSAGE MPUB failed to read message body");
}

#[test]
fn mpub_holds_its_messages() {
    let input = b"MPUB t\n\0\0\0\x0f\0\0\0\x02\0\0\0\x01x\0\0\0\x02yz";
    let messages = super::super::command::Messages::parse(&input[11..], &LIMITS).unwrap();
    assert_eq!((messages.len(), messages.body_bytes()), (2, 3));
    assert_eq!(messages.clone().collect::<Vec<_>>(), [&b"x"[..], b"yz"]);
    for situation in [INIT, SUBSCRIBED, CLOSING] {
        check_command(situation, input, Command::Mpub { topic: topic("t"), messages: messages.clone() });
    }
}

#[test]
fn the_size_of_an_mpub_body_need_not_be_true() {
    for size in [1_u32, 12, 64] {
        let input = [b"MPUB t\n", &size.to_be_bytes()[..], b"\0\0\0\x01\0\0\0\x01x"].concat();
        let messages = super::super::command::Messages::parse(&input[11..], &LIMITS).unwrap();
        check_command(INIT, &input, Command::Mpub { topic: topic("t"), messages });
    }
}

#[test]
fn an_mpub_cannot_hold_more_than_a_body_may() {
    let message = [b"\0\0\0\x0b", &[b'x'; 11][..]].concat();
    let largest = [b"MPUB t\n\0\0\0\x04\0\0\0\x04", &message.repeat(4)[..]].concat();
    let decoded = Decoder::new(LIMITS).decode(&largest, INIT).unwrap().unwrap();
    assert_eq!(decoded.consumed, largest.len());

    let larger = [b"MPUB t\n\0\0\0\x04\0\0\0\x05", &message.repeat(4)[..], b"\0\0\0\x01"].concat();
    check_refused(INIT, &larger, "E_BAD_BODY MPUB body too big 69 > 64", Some(topic("t")));
}

#[test]
fn the_topic_of_an_mpub_is_known_before_its_body() {
    let input = b"MPUB t\n\0\0\0\x09\0\0\0\x01\0\0\0\x01x";
    let mut decoder = Decoder::new(LIMITS);
    for end in 0..input.len() {
        assert_eq!(decoder.decode(&input[..end], INIT), Ok(None));
        assert_eq!(decoder.unfinished_mpub(), (end >= 7).then(|| topic("t")), "{end} bytes");
    }
    decoder.decode(input, INIT).unwrap().unwrap();
    assert_eq!(decoder.unfinished_mpub(), None);
}

#[test]
fn nothing_is_said_where_a_line_is_interrupted() {
    for input in [&b""[..], b"PUB", b"NOP\r", &[b'x'; LINE_BYTES_MAX]] {
        assert_eq!(Decoder::new(LIMITS).interrupted(input, INIT), None);
    }
}
