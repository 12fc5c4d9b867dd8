//! What the log says, and how: nsqlookupd.md §4.

use nsq_tests::stats::mask_numbers;
use nsq_tests::{Lookupd, differences, each};

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
        [("--verbose", "[nsqlookupd] "), ("--log-prefix=[mine] ", "[mine] "), ("--log-prefix=", "")],
        |(flag, prefix)| {
            let lookupd = Lookupd::with(&[flag]);
            lookupd.producer("a").command("REGISTER t c");
            lookupd.get("/topics");
            let ended = lookupd.stop();
            assert_eq!(ended.output, "", "the log goes to standard error alone");
            for line in ended.log {
                let (level, _) = parse(prefix, &line);
                assert!(["DEBUG", "INFO", "WARNING", "ERROR", "FATAL"].contains(&level), "{line}");
            }
        },
    );
}

#[test]
fn the_log_begins_with_who_and_where() {
    let lookupd = Lookupd::start();
    let log = lookupd.process().log_lines();
    let said: Vec<(&str, &str)> = log.iter().map(|line| parse("[nsqlookupd] ", line)).collect();
    assert!(said[0].0 == "INFO" && said[0].1.starts_with("nsqlookupd v1.3.0 (built w/"), "{log:?}");
    for listening in
        [format!("TCP: listening on {}", lookupd.tcp), format!("HTTP: listening on {}", lookupd.http)]
    {
        assert!(said.contains(&("INFO", &listening)), "{log:?}");
    }
    let (tcp, http) = (lookupd.tcp, lookupd.http);
    let log = lookupd.stop().log;
    for closing in [format!(" INFO: TCP: closing {tcp}"), format!(" INFO: HTTP: closing {http}")] {
        assert!(log.iter().any(|line| line.ends_with(&closing)), "{log:?}");
    }
}

#[test]
fn a_producers_life_is_told() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("h1");
    let address = client.address().to_string();
    for line in ["REGISTER t c", "REGISTER t c", "PING", "UNREGISTER t c", "REGISTER t d", "UNREGISTER t"] {
        client.command(line);
    }
    drop(client);
    let end = format!("ERROR: client({address}) - EOF");
    lookupd.process().wait_for_log(&end, |line| line.ends_with(&end));
    let log = lookupd.stop().log;
    let about: Vec<String> = log
        .iter()
        .filter(|line| line.contains(&address))
        .map(|line| {
            let (level, text) = parse("[nsqlookupd] ", line);
            let text = text.replace(&address, "PEER");
            let text = text.split_once(" (last ping ").map_or(text.clone(), |(before, _)| before.to_owned());
            format!("{level}: {text}")
        })
        .collect();
    let expected = [
        "INFO: TCP: new client(PEER)",
        "INFO: CLIENT(PEER): desired protocol magic '  V1'",
        "INFO: CLIENT(PEER): IDENTIFY Address:h1 TCP:10 HTTP:11 Version:1.2.3",
        "INFO: DB: client(PEER) REGISTER category:client key: subkey:",
        "INFO: DB: client(PEER) REGISTER category:channel key:t subkey:c",
        "INFO: DB: client(PEER) REGISTER category:topic key:t subkey:",
        "INFO: CLIENT(PEER): pinged",
        "INFO: DB: client(PEER) UNREGISTER category:channel key:t subkey:c",
        "INFO: DB: client(PEER) REGISTER category:channel key:t subkey:d",
        "WARNING: client(PEER) unexpected UNREGISTER category:channel key:t subkey:d",
        "INFO: DB: client(PEER) UNREGISTER category:topic key:t subkey:",
        "INFO: PROTOCOL(V1): [PEER] exiting ioloop",
        "INFO: DB: client(PEER) UNREGISTER category:client key: subkey:",
        "ERROR: client(PEER) - EOF",
    ];
    assert_eq!(about, expected);
}

#[test]
fn a_ping_tells_the_time_since_the_last() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    client.command("PING");
    let line = lookupd.process().wait_for_log("the ping", |line| line.contains(": pinged (last ping "));
    let duration =
        line.split_once("(last ping ").map(|(_, duration)| duration).expect("it was chosen by that");
    assert!(duration.ends_with("s)") && mask_numbers(duration).starts_with('#'), "{line}");
}

#[test]
fn refusals_are_told_twice() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.connect();
    client.send("FOO\n");
    client.expect_fatal("E_INVALID invalid command FOO");
    let address = client.address();
    for said in [
        format!(" ERROR: [{address}] - E_INVALID invalid command FOO"),
        format!(" ERROR: client({address}) - E_INVALID invalid command FOO"),
    ] {
        lookupd.process().wait_for_log(&said, |line| line.ends_with(&said));
    }
    let mut client = lookupd.connect_silently();
    client.send("  V2");
    client.expect_fatal("E_BAD_PROTOCOL");
    let said = format!(" ERROR: client({}) bad protocol magic '  V2'", client.address());
    lookupd.process().wait_for_log(&said, |line| line.ends_with(&said));
}

#[test]
fn a_refusal_is_told_with_its_cause() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.connect();
    client.send_identify("no JSON");
    client.expect_fatal("E_BAD_BODY IDENTIFY failed to decode JSON body");
    let start = format!(" ERROR: [{}] - E_BAD_BODY IDENTIFY failed to decode JSON body - ", client.address());
    let line = lookupd.process().wait_for_log(&start, |line| line.contains(&start));
    assert!(!line.ends_with(&start), "{line} has no cause");
}

#[test]
fn redirects_and_diagnostics_are_no_lines() {
    let lookupd = Lookupd::start();
    for target in ["/ping/", "//topics", "/debug/pprof", "/debug/pprof/cmdline"] {
        lookupd.get(target);
    }
    lookupd.get("/info");
    lookupd.process().wait_for_log("the last request", |line| line.contains(" GET /info "));
    let log = lookupd.stop().log;
    let requests = log.iter().filter(|line| line.contains(" GET /")).count();
    assert_eq!(requests, 1, "{log:?}");
}

#[test]
fn a_request_is_a_line() {
    let lookupd = Lookupd::start();
    each(
        [
            ("GET", "/ping", "200 GET /ping"),
            ("GET", "/lookup?topic=x", "404 GET /lookup?topic=x"),
            ("POST", "/topic/create?topic=t", "200 POST /topic/create?topic=t"),
            ("GET", "/nothing", "404 GET /nothing"),
            ("POST", "/nodes", "405 POST /nodes"),
        ],
        |(method, target, said)| {
            nsq_tests::http::Request::new(method, target).send(lookupd.http);
            let start = format!(" INFO: {said} (127.0.0.1:");
            lookupd.process().wait_for_log(&start, |line| line.contains(&start));
        },
    );
}

#[test]
fn what_operators_change_is_told() {
    let lookupd = Lookupd::start();
    for target in [
        "/channel/create?topic=t&channel=c",
        "/channel/create?topic=t&channel=d",
        "/channel/delete?topic=t&channel=c",
        "/topic/tombstone?topic=t&node=h:1",
        "/topic/delete?topic=t",
    ] {
        lookupd.act(target);
    }
    for said in [
        "DB: adding channel(c) in topic(t)",
        "DB: adding topic(t)",
        "DB: removing channel(c) from topic(t)",
        "DB: removing channel(d) from topic(t)",
        "DB: setting tombstone for producer@h:1 of topic(t)",
        "DB: removing topic(t)",
    ] {
        let end = format!(" INFO: {said}");
        lookupd.process().wait_for_log(said, |line| line.ends_with(&end));
    }
}

#[test]
fn deleting_everything_is_a_warning() {
    let lookupd = Lookupd::start();
    lookupd.act("/topic/create?topic=t");
    lookupd.act("/topic/delete?topic=*");
    let level = if differences::lookupd_is_original() { "INFO" } else { "WARNING" };
    lookupd.process().wait_for_log("the deletion", |line| line.contains(level) && line.contains("topic(*)"));
}

#[test]
fn a_level_keeps_lower_ones_out() {
    let lookupd = Lookupd::start();
    drop(lookupd);
    each(["error", "FATAL"], |level| {
        let process = nsq_tests::process::Process::start_program(
            "nsqlookupd",
            &[&format!("--log-level={level}"), "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"],
        );
        differences::wait_until_signals_are_handled("nsqlookupd", process.id());
        nsq_tests::stats::eventually("two listeners", || listeners(process.id()), |count| *count >= 2);
        process.signal(differences::stop_signal("nsqlookupd"));
        assert_eq!(process.wait().log, Vec::<String>::new());
    });
}

/// How many sockets the process has.
fn listeners(process_id: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{process_id}/fd")).expect("the process runs");
    let targets = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}
