//! `nsq up`: all daemons in one process, each of which can be left out; the end in order.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use nsq_tests::http::{Request, Response};
use nsq_tests::process::{Process, Signal};
use nsq_tests::stats::eventually;
use nsq_tests::{Client, Daemon, daemon, each};
use tempfile::TempDir;

use super::nsq;
use super::terminal::Terminal;

/// A running `nsq up` on free ports.
struct Up {
    process: Process,
}

impl Up {
    fn start(data_path: &Path, flags: &[&str]) -> Self {
        let data_path = format!("--data-path={}", data_path.display());
        let mut arguments = vec!["up", data_path.as_str(), "--bind=127.0.0.1"];
        for part in ["nsqd", "nsqlookupd"] {
            let option = if part == "nsqd" { "--nsqd-opt" } else { "--nsqlookupd-opt" };
            arguments.extend([option, "tcp-address=127.0.0.1:0", option, "http-address=127.0.0.1:0"]);
        }
        arguments.extend(["--nsqadmin-opt", "http-address=127.0.0.1:0"]);
        arguments.extend_from_slice(flags);
        let up = Self { process: Process::start_program("nsq", &arguments) };
        up.process.wait_for_log("that all is up", |line| line.contains("everything listens"));
        up
    }

    /// Where a part listens, as its line of the log says.
    fn address(&self, part: &str, protocol: &str) -> SocketAddr {
        let (prefix, marker) = (format!("[{part}] "), format!(" {protocol}: listening on "));
        let line =
            self.process.wait_for_log(&marker, |line| line.starts_with(&prefix) && line.contains(&marker));
        line.split(&marker).nth(1).expect("the line was chosen by it").parse().expect("it is an address")
    }

    fn get(&self, part: &str, target: &str) -> Response {
        Request::new("GET", target).send(self.address(part, "HTTP"))
    }

    fn publish(&self, topic: &str, body: &str) {
        let mut client = Client::connect(self.address("nsqd", "TCP"));
        client.send("  V2");
        client.publish(topic, body.as_bytes());
    }

    /// Ends it in order; gives the log.
    fn stop(self, signal: Signal) -> Vec<String> {
        self.process.signal(signal);
        let ended = self.process.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log.join("\n"));
        assert_eq!(ended.output, "", "nothing is printed where nobody looks");
        ended.log
    }
}

fn position(log: &[String], part: &str, text: &str) -> usize {
    let prefix = format!("[{part}] ");
    let found = log.iter().position(|line| line.starts_with(&prefix) && line.contains(text));
    found.unwrap_or_else(|| panic!("[{part}] never said {text}:\n{}", log.join("\n")))
}

#[test]
fn nsqd_is_found_through_nsqlookupd() {
    let directory = TempDir::new().unwrap();
    let up = Up::start(&directory.path().join("made"), &[]);
    up.publish("t", "hello");
    let found = eventually(
        "a node that has the topic",
        || up.get("nsqlookupd", "/lookup?topic=t"),
        |response| response.status == 200,
    );
    let producer = &found.json()["producers"][0];
    assert_eq!(producer["broadcast_address"], "127.0.0.1");
    assert_eq!(producer["tcp_port"], up.address("nsqd", "TCP").port());
    assert_eq!(producer["http_port"], up.address("nsqd", "HTTP").port());
}

#[test]
fn each_line_of_the_log_names_its_part() {
    let directory = TempDir::new().unwrap();
    let up = Up::start(directory.path(), &["--nsqd-opt", "mem-queue-size=0"]);
    up.publish("t", "hello");
    let registered = "REGISTER category:topic key:t";
    up.process.wait_for_log(registered, |line| line.contains(registered));
    let log = up.stop(Signal::TERM);
    let is_known = |line: &&String| {
        ["[nsq] ", "[nsqd] ", "[nsqlookupd] ", "[nsqadmin] "].iter().any(|part| line.starts_with(part))
    };
    assert!(log.iter().all(|line| is_known(&line)), "{}", log.join("\n"));
    position(&log, "nsqd", "nsqd v1.3.0");
    position(&log, "nsqlookupd", "nsqlookupd v1.3.0");
    position(&log, "nsqadmin", "nsqadmin v1.3.0");
    position(&log, "nsqd", "TOPIC(t): created");
    position(&log, "nsqlookupd", registered);
    let directory = TempDir::new().unwrap();
    let up = Up::start(directory.path(), &["--log-format=json"]);
    let log = up.stop(Signal::TERM);
    for part in ["nsq", "nsqd", "nsqlookupd", "nsqadmin"] {
        let field = format!("\"part\":\"{part}\"");
        assert!(log.iter().any(|line| line.starts_with('{') && line.contains(&field)), "{log:?}");
    }
}

#[test]
fn each_part_can_be_left_out() {
    let directory = TempDir::new().unwrap();
    let up = Up::start(directory.path(), &["--without=nsqlookupd"]);
    up.publish("t", "hello");
    let log = up.stop(Signal::TERM);
    assert!(!log.iter().any(|line| line.contains("[nsqlookupd]") || line.contains("LOOKUP")), "{log:?}");

    let missing = directory.path().join("missing");
    let up = Up::start(&missing, &["--without", "nsqd"]);
    assert_eq!(up.get("nsqlookupd", "/ping").status, 200);
    let log = up.stop(Signal::TERM);
    assert!(!log.iter().any(|line| line.contains("[nsqd]")), "{log:?}");
    assert!(!missing.join("nsqd.dat").exists(), "without nsqd there are no messages");

    let ended = nsq(&["up", "--without=nsqd", "--without=nsqlookupd", "--without=nsqadmin"]);
    assert_eq!(ended.status.code(), Some(2));
    assert_eq!(ended.log[0], "error: without nsqd, nsqlookupd and nsqadmin there is nothing to run");
}

#[test]
fn nsqadmin_sees_what_the_others_have() {
    for without in [&[][..], &["--without=nsqlookupd"]] {
        let directory = TempDir::new().unwrap();
        let up = Up::start(directory.path(), without);
        up.publish("t", "hello");
        let overview = eventually(
            "a topic without a channel",
            || up.get("nsqadmin", "/api/overview").json(),
            |overview| overview["totals"]["topics"] == 1,
        );
        assert_eq!(overview["channels"][0]["trouble"][0]["code"], "no_channels");
        let node = format!("127.0.0.1:{}", up.address("nsqd", "HTTP").port());
        assert_eq!(overview["nodes"][0]["node"], node.as_str());
        up.stop(Signal::TERM);
        assert!(directory.path().join("nsqadmin/nsqadmin.history").exists());
    }
}

#[test]
fn a_stop_unregisters_first_and_keeps_messages() {
    each([("SIGINT", Signal::INT), ("SIGTERM", Signal::TERM)], |(_, signal)| {
        let directory = TempDir::new().unwrap();
        let up = Up::start(directory.path(), &[]);
        up.publish("t", "kept");
        let registered = "REGISTER category:topic key:t";
        up.process.wait_for_log(registered, |line| line.contains(registered));
        let log = up.stop(*signal);
        let unregistered = position(&log, "nsqlookupd", " UNREGISTER category:topic key:t");
        let (nsqd, nsqlookupd) = (position(&log, "nsqd", "bye"), position(&log, "nsqlookupd", ", stopping"));
        assert!(unregistered < nsqlookupd && nsqd < nsqlookupd, "{}", log.join("\n"));
        // The files are nsqd's own: it takes them over.
        let daemon = Daemon::start_in(directory, Vec::new());
        let mut consumer = daemon.subscribe("t", "c");
        consumer.ready(1);
        consumer.expect_body("kept");
    });
}

#[test]
fn a_port_in_use_ends_the_whole_and_is_explained() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for part in ["nsqd", "nsqlookupd"] {
        let directory = TempDir::new().unwrap();
        let data_path = format!("--data-path={}", directory.path().display());
        let mut arguments = vec!["up".to_owned(), data_path, "--bind=127.0.0.1".to_owned()];
        for (option, port) in [
            (format!("--{part}-opt"), address.port()),
            ("--nsqd-opt".to_owned(), 0),
            ("--nsqlookupd-opt".to_owned(), 0),
        ] {
            if arguments.contains(&option) {
                continue;
            }
            arguments.extend([option.clone(), format!("tcp-address=127.0.0.1:{port}")]);
            arguments.extend([option, "http-address=127.0.0.1:0".to_owned()]);
        }
        arguments.extend(["--nsqadmin-opt", "http-address=127.0.0.1:0"].map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = nsq(&arguments);
        assert_eq!(ended.status.code(), Some(1));
        let last = ended.log.last().expect("it said why");
        assert!(last.starts_with("[nsq] ") && last.contains(" FATAL: "), "{last}");
        for text in [
            format!("{part}: failed to instantiate {part} - listen (127.0.0.1:{}) failed", address.port()),
            "address already in use; ".to_owned(),
            format!("--without {part}"),
        ] {
            assert!(last.contains(&text), "{last}");
        }
        if part == "nsqd" {
            position(&ended.log, "nsqlookupd", "another part failed, stopping");
        }
    }
}

#[test]
fn a_data_directory_in_use_is_explained() {
    let daemon = Daemon::start();
    let ended = nsq(&["up", &format!("--data-path={}", daemon.directory().display())]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.log[0].starts_with("[nsqd] ") && ended.log[0].contains("failed to lock data-path"),
        "{:?}",
        ended.log
    );
    let file = daemon::new_directory();
    let path = file.path().join("file");
    std::fs::write(&path, "").unwrap();
    let ended = nsq(&["up", &format!("--data-path={}", path.join("under").display())]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.log[0].contains("cannot make the data directory"), "{:?}", ended.log);
}

#[test]
fn options_of_the_parts_are_read_as_the_parts_read_them() {
    let directory = TempDir::new().unwrap();
    let data_path = format!("--data-path={}", directory.path().display());
    for (option, code, said) in [
        ("--nsqd-opt=bogus", 2, "nsqd has no option 'bogus'; --nsqd-opt help lists"),
        ("--nsqd-opt=mem-queue-size=many", 2, "not a whole number"),
        ("--nsqd-opt=mem-queue-size=-1", 1, "--mem-queue-size must be >= 0"),
        ("--nsqlookupd-opt=tombstone-lifetime=-1s", 1, "--tombstone-lifetime must be >= 0"),
        ("--nsqd-opt=mem-queue-size", 2, "a value is missing"),
        ("--nsqd-opt=data-path=x", 2, "that is decided for all parts by --data-path"),
    ] {
        let ended = nsq(&["up", &data_path, option]);
        assert_eq!(ended.status.code(), Some(code), "{option}: {:?}", ended.log);
        assert!(ended.log.iter().any(|line| line.contains(said)), "{option}: {:?}", ended.log);
    }
    let ended = nsq(&["up", &data_path, "--nsqd-opt=help"]);
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.output.contains("--mem-queue-size"), "{}", ended.output);
}

#[test]
fn a_hangup_ends_it_with_its_terminal_and_not_without_one() {
    let directory = TempDir::new().unwrap();
    let up = Up::start(directory.path(), &[]);
    up.process.signal(Signal::HUP);
    up.process.wait_for_log("the signal", |line| line.contains("SIGHUP received"));
    up.publish("t", "hello");
    up.stop(Signal::TERM);

    let data_path = format!("--data-path={}", directory.path().display());
    let (tcp, http) = ("--nsqd-opt=tcp-address=127.0.0.1:0", "--nsqd-opt=http-address=127.0.0.1:0");
    let admin = "--nsqadmin-opt=http-address=127.0.0.1:0";
    let arguments = ["up", "--bind=127.0.0.1", "--without=nsqlookupd", &data_path, tcp, http, admin];
    // As wide as any path that this program may have.
    let mut terminal = Terminal::start(&arguments, 1000, 30);
    let screen = terminal.wait_for("the greeting", |line| line.contains("Ctrl-C stops it"));
    assert!(
        screen.iter().any(|line| line.contains("tail greetings --nsqd-tcp-address=127.0.0.1:")),
        "{screen:?}"
    );
    super::signal(&terminal.child, Signal::HUP);
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
}
