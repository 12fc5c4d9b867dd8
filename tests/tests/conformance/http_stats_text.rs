//! GET /stats as text: nsqd-http.md §5.

use nsq_tests::{Client, Daemon, each};

/// The text with what differs from run to run replaced: the lines of the head, memory figures, ports and
/// durations. Everything else, padding included, stays.
fn masked(text: &str) -> String {
    text.split('\n').map(masked_line).collect::<Vec<_>>().join("\n")
}

fn masked_line(line: &str) -> String {
    if line.starts_with("nsqd v1.3.0 (built w/") {
        return "nsqd v1.3.0 (built w/...)".to_owned();
    }
    for head in ["start_time ", "uptime "] {
        if line.starts_with(head) {
            return format!("{head}...");
        }
    }
    if let Some((name, number)) = line.split_once('\t') {
        assert!(number.bytes().all(|byte| byte.is_ascii_digit()), "{line} has no number");
        return format!("{name}\t...");
    }
    let (line, _) = line.split_once("connected: ").map_or((line, ""), |(head, tail)| {
        assert!(tail.ends_with('s') && !tail.contains('.'), "{tail} is no duration in whole seconds");
        (head, tail)
    });
    // Ports that the system gives out have five digits, so the padding behind them is always the same.
    match line.split_once("[V2 ").and_then(|(_, rest)| rest.split_once(':')) {
        Some((_, rest)) => {
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            line.replacen(&format!(":{port}"), &format!(":{}", "#".repeat(port.len())), 1)
        }
        None => line.to_owned(),
    }
}

fn busy() -> (Daemon, Client, Client) {
    let daemon = Daemon::start();
    daemon.act("/topic/create?topic=orders");
    daemon.act("/channel/create?topic=orders&channel=audit");
    daemon.act("/channel/pause?topic=orders&channel=audit");
    let mut consumer = daemon.connect();
    consumer.identify("\"hostname\":\"host\",\"user_agent\":\"ua/1.0\"");
    consumer.subscribe("orders", "billing");
    let mut publisher = daemon.connect();
    publisher.publish_all("orders", &["aa", "bb", "cc"]);
    consumer.ready(1);
    consumer.expect_message();
    daemon.act("/topic/create?topic=other");
    daemon.act("/topic/pause?topic=other");
    daemon.post("/pub?topic=other", "x").expect_ok();
    for channel in ["audit", "billing"] {
        daemon.wait_for_channel("orders", channel, "message_count", 3);
    }
    (daemon, consumer, publisher)
}

const HEAD: &str = "nsqd v1.3.0 (built w/...)\nstart_time ...\nuptime ...\n\nHealth: OK\n";

const MEMORY: &str = "\nMemory:\n   \
heap_objects             \t...\n   \
heap_idle_bytes          \t...\n   \
heap_in_use_bytes        \t...\n   \
heap_released_bytes      \t...\n   \
gc_pause_usec_100        \t...\n   \
gc_pause_usec_99         \t...\n   \
gc_pause_usec_95         \t...\n   \
next_gc_bytes            \t...\n   \
gc_total_runs            \t...\n";

const ORDERS: &str = "\n   [orders         ] depth: 0     be-depth: 0     msgs: 3        e2e%: \n";
const AUDIT: &str = "   *P [audit                    ] depth: 3     be-depth: 0     inflt: 0    def: 0    re-q: 0     timeout: 0     msgs: 3        e2e%: \n";
const BILLING: &str = "      [billing                  ] depth: 2     be-depth: 0     inflt: 1    def: 0    re-q: 0     timeout: 0     msgs: 3        e2e%: \n";
const CONSUMER: &str = "        [V2 host:##### ua/1.0    ] state: 3 inflt: 1    rdy: 1    fin: 0        re-q: 0        msgs: 1        \n";
const OTHER: &str = "\n*P [other          ] depth: 1     be-depth: 0     msgs: 1        e2e%: \n";
const PUBLISHER: &str = "   [V2 127.0.0.1:#####      ] msgs: 3        topics: orders=3 \n";

#[test]
fn the_layout_is_fixed() {
    let (daemon, _consumer, _publisher) = busy();
    let response = daemon.get("/stats");
    response.expect_version_header();
    assert_eq!((response.status, response.header("Content-Type")), (200, Some("text/plain; charset=utf-8")));
    let expected =
        format!("{HEAD}{MEMORY}\nTopics:{ORDERS}{AUDIT}{BILLING}{CONSUMER}{OTHER}\nProducers:\n{PUBLISHER}");
    assert_eq!(masked(response.text()), expected);
}

#[test]
fn an_idle_daemon_has_none() {
    let daemon = Daemon::start();
    let expected = format!("{HEAD}{MEMORY}\nTopics: None\n\nProducers: None\n");
    assert_eq!(masked(daemon.get("/stats").text()), expected);
    assert_eq!(masked(daemon.get("/stats?format=text").text()), expected);
    assert_eq!(masked(daemon.get("/stats?format=JSON").text()), expected);
}

#[test]
fn filters_leave_lines_out() {
    let (daemon, _consumer, _publisher) = busy();
    let producers = format!("\nProducers:\n{PUBLISHER}");
    let silent = "\nProducers:\n   [V2 127.0.0.1:#####      ] state: 0 inflt: 0    rdy: 0    fin: 0        re-q: 0        msgs: 0        \n";
    each(
        [
            ("topic=missing", "\nTopics: None\n\nProducers: None\n".to_owned()),
            ("topic=orders", format!("\nTopics:{ORDERS}{AUDIT}{BILLING}{CONSUMER}{producers}")),
            ("topic=other", format!("\nTopics:{OTHER}{silent}")),
            ("channel=audit", format!("\nTopics:{ORDERS}{AUDIT}{producers}")),
            ("channel=missing", format!("\nTopics: None\n{producers}")),
            ("include_clients=false", format!("\nTopics:{ORDERS}{AUDIT}{BILLING}{OTHER}\nProducers: None\n")),
        ],
        |(query, expected)| {
            let text = masked(daemon.get(&format!("/stats?include_mem=false&{query}")).text());
            assert_eq!(text, format!("{HEAD}{expected}"));
        },
    );
}

#[test]
fn the_head_tells_start_and_uptime() {
    let daemon = Daemon::start();
    let response = daemon.get("/stats");
    let mut lines = response.text().lines();
    let banner = lines.next().expect("there is a first line");
    assert!(banner.starts_with("nsqd v1.3.0 (built w/") && banner.ends_with(')'), "{banner}");
    let start = lines.next().and_then(|line| line.strip_prefix("start_time ")).expect("the second line");
    let (date, time) = start.split_once('T').expect("a date and a time");
    assert_eq!((date.len(), &time[2..3], &time[5..6]), (10, ":", ":"), "{start} is not RFC 3339");
    let uptime = lines.next().and_then(|line| line.strip_prefix("uptime ")).expect("the third line");
    assert!(uptime.ends_with('s') && uptime.starts_with(|digit: char| digit.is_ascii_digit()), "{uptime}");
}

#[test]
fn latencies_have_a_unit_and_one_decimal() {
    let daemon = Daemon::with(&["--e2e-processing-latency-percentile=1.0,0.5"]);
    let mut client = daemon.subscribe("t", "c");
    let latency = |line_start: &str| {
        let response = daemon.get("/stats");
        let line = response.text().lines().find(|line| line.starts_with(line_start)).map(str::to_owned);
        line.and_then(|line| line.split_once("e2e%: ").map(|(_, tail)| tail.to_owned())).expect("the line")
    };
    assert_eq!(latency("      [c"), "0.0ns, 0.0ns");
    client.publish("t", b"x");
    client.ready(1);
    let message = client.expect_message();
    client.finish(&message);
    client.expect_nothing_answered();
    let shown = latency("      [c");
    let (first, second) = shown.split_once(", ").expect("two percentiles");
    for value in [first, second] {
        let number = value.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
        assert!(["us", "ms", "s"].contains(&&value[number.len()..]), "{value}");
        assert_eq!(number.split_once('.').map(|(_, decimals)| decimals.len()), Some(1), "{value}");
    }
    assert_eq!(latency("   [t "), shown);
}

#[test]
fn a_client_without_user_agent_keeps_the_space() {
    let daemon = Daemon::start();
    let _client = daemon.subscribe("t", "c");
    let text = masked(daemon.get("/stats?include_mem=false").text());
    assert!(text.contains("        [V2 127.0.0.1:#####      ] state: 3 "), "{text}");
    let mut long = daemon.connect();
    long.identify("\"hostname\":\"a-host-with-a-long-name\",\"user_agent\":\"ua\"");
    long.subscribe("t", "c");
    let text = masked(daemon.get("/stats?include_mem=false").text());
    assert!(text.contains("        [V2 a-host-with-a-long-name:##### ua] state: 3 "), "{text}");
}
