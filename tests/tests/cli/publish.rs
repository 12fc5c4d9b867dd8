//! `nsq pub`: nothing that was read is lost or cut, and the exit code says whether all of it is confirmed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nsq_tests::process::Signal;
use nsq_tests::{Daemon, differences, each, shared};

use super::{nsq, nsq_with_input, signal, start};

fn to(daemon: &Daemon) -> String {
    format!("--nsqd-tcp-address={}", daemon.tcp)
}

/// Takes the messages of a topic, as they were published.
fn bodies(daemon: &Daemon, topic: &str, count: usize) -> Vec<Vec<u8>> {
    let mut consumer = daemon.subscribe(topic, "c");
    consumer.ready(2500);
    let take = |_| {
        let message = consumer.expect_message();
        consumer.finish(&message);
        message.body.to_vec()
    };
    (0..count).map(take).collect()
}

#[test]
fn an_argument_is_a_message() {
    let daemon = shared();
    let run = nsq_with_input(&["pub", "cli_pub_body", "hello you", &to(&daemon)], b"not read");
    assert_eq!((run.status.code(), run.stdout.as_slice(), run.stderr.as_str()), (Some(0), &b""[..], ""));
    assert_eq!(bodies(&daemon, "cli_pub_body", 1), [b"hello you"]);
}

#[test]
fn each_record_is_a_message_and_none_is_cut() {
    let daemon = shared();
    each(
        [
            ("line feeds", "\\n", &b"a\nbb\n\nccc"[..], &[&b"a"[..], b"bb", b"ccc"][..]),
            ("zero bytes", "\\0", b"a\nb\0\xff\xfe\0\0", &[b"a\nb", b"\xff\xfe"]),
            ("commas", ",", b"1,2,3", &[b"1", b"2", b"3"]),
        ],
        |(name, delimiter, input, records)| {
            let topic = format!("cli_pub_{}", name.replace(' ', "_"));
            let run = nsq_with_input(&["pub", &topic, "--delimiter", delimiter, &to(&daemon)], input);
            assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
            assert_eq!(bodies(&daemon, &topic, records.len()), *records);
        },
    );
}

#[test]
fn no_input_is_no_failure() {
    let run = nsq_with_input(&["pub", "cli_pub_nothing", &to(&shared())], b"\n\n");
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
}

#[test]
fn many_records_arrive_in_order() {
    let daemon = shared();
    let input: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    let run = nsq_with_input(&["pub", "cli_pub_many", &to(&daemon)], input.as_bytes());
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    let got = bodies(&daemon, "cli_pub_many", 20_000);
    let expected: Vec<Vec<u8>> = (0..20_000).map(|number| number.to_string().into_bytes()).collect();
    assert!(!differences::keeps_publish_order() || got == expected);
}

#[test]
fn each_nsqd_gets_a_copy() {
    let (first, second) = (Daemon::start(), Daemon::start());
    let run = nsq_with_input(&["pub", "t", &to(&first), &to(&second)], b"a\nb\n");
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    for daemon in [&first, &second] {
        assert_eq!(bodies(daemon, "t", 2), [b"a", b"b"]);
    }
}

#[test]
fn with_failover_one_nsqd_is_enough() {
    let (first, second) = (Daemon::start(), Daemon::start());
    let (to_first, to_second) = (to(&first), to(&second));
    let arguments = ["pub", "t", "--failover", &to_first, &to_second];
    assert_eq!(nsq_with_input(&arguments, b"a\n").status.code(), Some(0));
    assert_eq!(bodies(&first, "t", 1), [b"a"]);
    assert!(second.topic_stats("t").is_null());
    first.stop();
    let run = nsq_with_input(&arguments, b"b\n");
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    assert_eq!(bodies(&second, "t", 1), [b"b"]);
}

#[test]
fn a_refused_record_is_named() {
    let daemon = Daemon::with(&["--max-msg-size=10"]);
    let run = nsq_with_input(&["pub", "t", &to(&daemon)], b"fits\nthis one does not\n");
    assert_eq!(run.status.code(), Some(1));
    for text in ["nsq: record 2 was not published to ", "E_BAD_MESSAGE", "; 1 record confirmed"] {
        assert!(run.stderr.contains(text), "{}", run.stderr);
    }
    assert_eq!(bodies(&daemon, "t", 1), [b"fits"]);
    let run = nsq_with_input(&["pub", "t", "this one does not", &to(&daemon)], b"");
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stderr.starts_with("nsq: not published to "), "{}", run.stderr);
}

#[test]
fn one_nsqd_that_refuses_is_a_failure_though_others_take_it() {
    let (narrow, wide) = (Daemon::with(&["--max-msg-size=2"]), Daemon::start());
    let run = nsq_with_input(&["pub", "t", &to(&wide), &to(&narrow)], b"1\n333\n");
    assert_eq!(run.status.code(), Some(1));
    let expected = format!("record 2 was not published to {}", narrow.tcp);
    assert!(run.stderr.contains(&expected) && run.stderr.contains("; 1 record confirmed"), "{}", run.stderr);
}

#[test]
fn a_record_without_an_end_is_not_kept() {
    let daemon = shared();
    let mut input = b"first\n".to_vec();
    input.resize(3 << 20, b'x');
    let run = nsq_with_input(&["pub", "cli_pub_endless", &to(&daemon)], &input);
    assert_eq!(run.status.code(), Some(1));
    let expected = "nsq: record 2 is larger than 1048576 bytes (--max-msg-size";
    assert!(run.stderr.starts_with(expected) && run.stderr.contains("1 record confirmed"), "{}", run.stderr);
    assert_eq!(bodies(&daemon, "cli_pub_endless", 1), [b"first"]);
    let run = nsq_with_input(&["pub", "cli_pub_endless", "12345", "--max-msg-size=4", &to(&daemon)], b"");
    assert_eq!(run.status.code(), Some(1), "{}", run.stderr);
}

#[test]
fn records_that_nsqd_has_no_room_for_are_given_up_together() {
    each([("one", &[][..]), ("a stand-in", &["--failover"])], |(_, further)| {
        let (address, connections) = full_after(10);
        let address = format!("--nsqd-tcp-address={address}");
        let arguments = [&["pub", "t", &address], *further].concat();
        let input: String = (0..40_000).map(|number| format!("{number}\n")).collect();
        let run = nsq_with_input(&arguments, input.as_bytes());
        assert_eq!(run.status.code(), Some(1), "{}", run.stderr);
        for text in
            ["record 11 was not published to ", "E_PUB_FAILED PUB failed full", "; 10 records confirmed, "]
        {
            assert!(run.stderr.contains(text), "{}", run.stderr);
        }
        let connections = connections.load(Ordering::SeqCst);
        assert!(connections < PATIENT_CONNECTIONS, "{connections} connections, {}", run.stderr);
    });
}

/// How many connections are refused a publish before all are taken, so that whoever tries on comes to an end.
const PATIENT_CONNECTIONS: usize = 12;

/// An nsqd that takes so many messages and has no room for more. How many connections it had is counted.
fn full_after(room: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    std::thread::spawn(move || {
        let mut room = room;
        for stream in listener.incoming().flatten() {
            if counted.fetch_add(1, Ordering::SeqCst) + 1 >= PATIENT_CONNECTIONS {
                room = usize::MAX;
            }
            // Whoever goes away is not to be answered.
            let _ = serve(stream, &mut room);
        }
    });
    (address, connections)
}

/// Answers commands until there is no room for what is published.
fn serve(mut stream: TcpStream, room: &mut usize) -> std::io::Result<()> {
    let mut commands = BufReader::new(stream.try_clone()?);
    commands.read_exact(&mut [0; 4])?;
    loop {
        let mut line = String::new();
        if commands.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let (kind, said) = match line.split_whitespace().next() {
            Some("IDENTIFY") => (0, &b"{}"[..]),
            Some("PUB") if *room > 0 => (0, &b"OK"[..]),
            Some("PUB") => (1, &b"E_PUB_FAILED PUB failed full"[..]),
            // The answer to a heartbeat.
            _ => continue,
        };
        let mut length = [0; 4];
        commands.read_exact(&mut length)?;
        commands.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize])?;
        let size = (4 + said.len() as u32).to_be_bytes();
        stream.write_all(&[&size, &u32::to_be_bytes(kind)[..], said].concat())?;
        if kind == 1 {
            // What is not read would take the answer away with the connection.
            stream.shutdown(Shutdown::Write)?;
            return std::io::copy(&mut commands, &mut std::io::sink()).map(|_| ());
        }
        *room -= usize::from(line.starts_with("PUB"));
    }
}

#[test]
fn an_nsqd_that_is_not_there_is_explained() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = nsq_with_input(&["pub", "t", &format!("--nsqd-tcp-address={nobody}")], b"a\nb\n");
    assert_eq!(run.status.code(), Some(1));
    for text in ["record 1 was not", "connection refused", "`nsq up` starts one", "0 records confirmed"] {
        assert!(run.stderr.contains(text), "{}", run.stderr);
    }
    assert_eq!(run.stderr.lines().count(), 1, "said once: {}", run.stderr);
}

#[test]
fn a_signal_ends_the_reading_and_loses_nothing() {
    each([("SIGINT", Signal::INT), ("SIGTERM", Signal::TERM)], |(name, stop)| {
        let daemon = shared();
        let topic = format!("cli_pub_{name}");
        let mut child = start(&["pub", &topic, &to(&daemon)]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"one\ntwo\nhal").unwrap();
        daemon.wait_for_topic(&topic, "message_count", 2);
        signal(&child, *stop);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(bodies(&daemon, &topic, 2), [b"one", b"two"]);
    });
}

#[test]
fn a_signal_before_everything_is_sent_is_a_failure_that_says_so() {
    let daemon = shared();
    let mut child = start(&["pub", "cli_pub_cut", "--rate=1", &to(&daemon)]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\nthree\nfour\n").unwrap();
    daemon.wait_for_topic("cli_pub_cut", "message_count", 1);
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("confirmed; record ") && said.contains("were read and not sent"), "{said}");
}

#[test]
fn deferred_messages_wait_at_nsqd() {
    let daemon = shared();
    daemon.act("/topic/create?topic=cli_pub_defer");
    daemon.act("/channel/create?topic=cli_pub_defer&channel=c");
    let run = nsq_with_input(&["pub", "cli_pub_defer", "--defer=30m", &to(&daemon)], b"a\nb\n");
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    daemon.wait_for_channel("cli_pub_defer", "c", "deferred_count", 2);
}

#[test]
fn a_rate_is_not_exceeded() {
    let daemon = shared();
    let began = std::time::Instant::now();
    let run =
        nsq_with_input(&["pub", "cli_pub_rate", "--rate=50", &to(&daemon)], "x\n".repeat(20).as_bytes());
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    assert!(began.elapsed().as_millis() >= 380, "19 pauses of 20 ms");
}

#[test]
fn what_makes_no_sense_is_refused() {
    each(
        [
            ("a topic", &["pub", "no topic", "x"][..], "a topic's name must be"),
            ("an empty body", &["pub", "t", ""], "an empty message cannot be published"),
            ("two bytes", &["pub", "t", "--delimiter=ab"], "must be a single byte"),
            ("an address", &["pub", "t", "x", "--nsqd-tcp-address=host"], "an address is HOST:PORT"),
            ("a rate", &["pub", "t", "--rate=0"], "must be more than 0"),
            ("a duration", &["pub", "t", "x", "--defer=5"], "missing unit in duration"),
            ("nothing", &["pub"], "<TOPIC>"),
        ],
        |(_, arguments, said)| {
            let ended = nsq(arguments);
            assert_eq!(ended.status.code(), Some(2), "{:?}", ended.log);
            assert!(ended.log.join("\n").contains(said), "{:?}", ended.log);
        },
    );
}
