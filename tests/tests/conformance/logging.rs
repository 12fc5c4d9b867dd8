//! What the log looks like: nsqd-operation.md §5, and the access log of nsqd-http.md §1.

use nsq_tests::{Daemon, differences, each};

/// Takes a line apart: level and text; the head must be prefix, date and time.
fn parse<'a>(prefix: &str, line: &'a str) -> (&'a str, &'a str) {
    let rest = line.strip_prefix(prefix).unwrap_or_else(|| panic!("{line} has not the prefix {prefix}"));
    let shape: String = rest.chars().take(27).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000/00/00 00:00:00.000000 ", "{line}");
    rest[27..].split_once(": ").unwrap_or_else(|| panic!("{line} has no level"))
}

#[test]
fn a_line_is_prefix_time_level_text() {
    each(
        [("--verbose", "[nsqd] "), ("--log-prefix=[mine] ", "[mine] "), ("--log-prefix=", "")],
        |(flag, prefix)| {
            let daemon = Daemon::with(&[flag]);
            daemon.publish("t", b"x");
            daemon.get("/stats");
            for line in daemon.stop().ended.log {
                let (level, _) = parse(prefix, &line);
                assert!(["DEBUG", "INFO", "WARNING", "ERROR", "FATAL"].contains(&level), "{line}");
            }
        },
    );
}

#[test]
fn the_log_begins_with_who_and_where() {
    let daemon = Daemon::with(&["--node-id=17"]);
    let log = daemon.process().log_lines();
    let said: Vec<(&str, &str)> = log.iter().map(|line| parse("[nsqd] ", line)).collect();
    assert!(said[0].1.starts_with("nsqd v1.3.0 (built w/"), "{log:?}");
    assert_eq!(said[1], ("INFO", "ID: 17"));
    let file = daemon.directory().join("nsqd.dat");
    let persisting = format!("NSQ: persisting topic/channel metadata to {}", file.display());
    assert_eq!(said[2], ("INFO", persisting.as_str()));
    for listening in
        [format!("TCP: listening on {}", daemon.tcp), format!("HTTP: listening on {}", daemon.http)]
    {
        assert!(said.contains(&("INFO", &listening)), "{log:?}");
    }
}

#[test]
fn a_request_is_a_line() {
    let daemon = Daemon::start();
    each(
        [
            ("GET", "/ping", "200 GET /ping"),
            ("GET", "/stats?format=json&topic=a%20b", "200 GET /stats?format=json&topic=a%20b"),
            ("POST", "/topic/create?topic=t", "200 POST /topic/create?topic=t"),
            ("GET", "/nothing", "404 GET /nothing"),
            ("GET", "/pub", "405 GET /pub"),
            ("POST", "/topic/delete?topic=missing", "404 POST /topic/delete?topic=missing"),
        ],
        |(method, target, said)| {
            nsq_tests::http::Request::new(method, target).send(daemon.http);
            let start = format!(" INFO: {said} (127.0.0.1:");
            let line = daemon.process().wait_for_log(&start, |line| line.contains(&start));
            let duration = line.split_once(") ").map(|(_, duration)| duration).expect("a duration is last");
            assert!(
                duration.ends_with('s') && duration.starts_with(|digit: char| digit.is_ascii_digit()),
                "{line}"
            );
        },
    );
}

#[test]
fn what_watchers_ask_is_no_news_unless_it_fails() {
    if differences::is_original() {
        return;
    }
    let daemon = Daemon::start();
    let ask = |method, target| {
        nsq_tests::http::Request::new(method, target).header("X-Nsq-Watcher: 1").send(daemon.http)
    };
    ask("GET", "/stats?format=json");
    ask("GET", "/nothing");
    ask("POST", "/topic/create?topic=t");
    let process = daemon.process();
    process.wait_for_log("what was changed", |line| line.contains("200 POST /topic/create?topic=t"));
    process.wait_for_log("what failed", |line| line.contains("404 GET /nothing"));
    assert!(!process.log_lines().iter().any(|line| line.contains("/stats")));
}

#[test]
fn publishing_is_no_line() {
    let daemon = Daemon::start();
    daemon.post("/pub?topic=t", "x").expect_ok();
    daemon.post("/mpub?topic=t", "x").expect_ok();
    daemon.get("/ping");
    daemon.process().wait_for_log("the request after them", |line| line.contains("GET /ping"));
    assert!(!daemon.process().log_lines().iter().any(|line| line.contains("pub?topic")));
}

#[test]
fn a_level_keeps_lower_ones_out() {
    each(["error", "fatal", "warn"], |level| {
        let directory = nsq_tests::daemon::new_directory();
        let path = directory.path().join("nsqd.sock");
        let process = nsq_tests::process::Process::start(&[
            format!("--log-level={level}"),
            format!("--tcp-address={}", path.display()),
            "--http-address=127.0.0.1:0".to_owned(),
            format!("--data-path={}", directory.path().display()),
        ]);
        nsq_tests::stats::eventually("the socket file", || path.exists(), |exists| *exists);
        process.signal(nsq_tests::process::Signal::TERM);
        assert_eq!(process.wait().log, Vec::<String>::new());
    });
}

#[test]
fn debug_shows_commands() {
    let daemon = Daemon::with(&["--log-level=debug"]);
    let mut client = daemon.connect();
    client.send("NOP\n");
    client.expect_nothing_answered();
    daemon.process().wait_for_log("a command", |line| line.contains(" DEBUG: ") && line.contains("NOP"));
    let daemon = Daemon::start();
    daemon.publish("t", b"x");
    assert!(!daemon.process().log_lines().iter().any(|line| line.contains(" DEBUG: ")));
}
