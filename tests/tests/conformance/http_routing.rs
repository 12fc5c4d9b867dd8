//! What every HTTP request meets: nsqd-http.md §1, §2 and §7.

use nsq_tests::http::{Connection, Request};
use nsq_tests::{Daemon, differences, each, shared};

/// Every path that stands for itself, with the methods it knows as `Allow` lists them.
const PATHS: [(&str, &str); 18] = [
    ("/ping", "GET, OPTIONS"),
    ("/info", "GET, OPTIONS"),
    ("/stats", "GET, OPTIONS"),
    ("/config/log_level", "GET, OPTIONS, PUT"),
    ("/config/anything", "GET, OPTIONS, PUT"),
    ("/pub", "OPTIONS, POST"),
    ("/mpub", "OPTIONS, POST"),
    ("/topic/create", "OPTIONS, POST"),
    ("/topic/delete", "OPTIONS, POST"),
    ("/topic/empty", "OPTIONS, POST"),
    ("/topic/pause", "OPTIONS, POST"),
    ("/topic/unpause", "OPTIONS, POST"),
    ("/channel/create", "OPTIONS, POST"),
    ("/channel/delete", "OPTIONS, POST"),
    ("/channel/empty", "OPTIONS, POST"),
    ("/channel/pause", "OPTIONS, POST"),
    ("/channel/unpause", "OPTIONS, POST"),
    ("/debug/freememory", "OPTIONS, POST"),
];

#[test]
fn ping_is_ok_and_plain() {
    let daemon = shared();
    let response = daemon.get("/ping");
    assert_eq!((response.status_line.as_str(), response.text()), ("HTTP/1.1 200 OK", "OK"));
    assert_eq!(response.header("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.header("Content-Length"), Some("2"));
    assert_eq!(response.header("X-Nsq-Content-Type"), None);
}

#[test]
fn info_tells_who_the_daemon_is() {
    let daemon = Daemon::with(&[
        "--broadcast-address=bh",
        "--max-heartbeat-interval=70s",
        "--max-output-buffer-size=1000",
        "--max-output-buffer-timeout=20s",
        "--max-deflate-level=3",
        "--topology-zone=zz",
        "--topology-region=rr",
    ]);
    let info = daemon.get("/info");
    let text = info.expect_json();
    let values = info.json();
    let hostname = values["hostname"].as_str().expect("it is text");
    assert!(!hostname.is_empty());
    let start_time = values["start_time"].as_i64().expect("it is a whole number");
    assert!(start_time > 1_700_000_000, "{start_time} is no Unix time in seconds");
    let expected = format!(
        "{{\"version\":\"1.3.0\",\"broadcast_address\":\"bh\",\"hostname\":\"{hostname}\",\"http_port\":{},\"tcp_port\":{},\
         \"start_time\":{start_time},\"max_heartbeat_interval\":70000000000,\"max_output_buffer_size\":1000,\
         \"max_output_buffer_timeout\":20000000000,\"max_deflate_level\":3,\"topology_zone\":\"zz\",\"topology_region\":\"rr\"}}",
        daemon.http.port(),
        daemon.tcp.port()
    );
    assert_eq!(text, expected);
}

#[test]
fn info_tells_listening_ports_and_not_broadcast_ports() {
    let daemon = Daemon::with(&["--broadcast-tcp-port=11", "--broadcast-http-port=12"]);
    let info = daemon.get("/info").json();
    assert_eq!(
        (&info["tcp_port"], &info["http_port"]),
        (&daemon.tcp.port().into(), &daemon.http.port().into())
    );
}

#[test]
fn every_answer_has_a_date() {
    let daemon = shared();
    each(["/ping", "/info", "/nothing", "/stats"], |path| {
        let date = daemon.get(path).header("Date").map(str::to_owned).expect("there is a date");
        assert!(date.ends_with(" GMT"), "{date}");
    });
}

#[test]
fn an_unknown_path_is_not_found() {
    let daemon = shared();
    let unknown = [
        "/",
        "/nothing",
        "/put?topic=t",
        "/mput?topic=t",
        "/create_topic?topic=t",
        "/delete_topic?topic=t",
        "/create_channel?topic=t&channel=c",
        "/delete_channel?topic=t&channel=c",
        "/pause_channel?topic=t&channel=c",
        "/topic",
        "/channel/",
        "/config",
        "/config/",
        "/config/a/b",
        "/debug/pprof/trace",
        "/debug/pprof/mutex",
        "/debug/pprof/allocs",
    ];
    each(unknown, |path| {
        for method in ["GET", "POST", "PUT", "OPTIONS"] {
            Request::new(method, path).send(daemon.http).expect_error(404, "NOT_FOUND");
        }
    });
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let daemon = shared();
    each(PATHS, |(path, allowed)| {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"] {
            if allowed.split(", ").any(|known| known == method) {
                continue;
            }
            let response = Request::new(method, path).send(daemon.http);
            assert_eq!((response.status, response.header("Allow")), (405, Some(*allowed)), "{method}");
            if method == "HEAD" {
                response.expect_version_header();
            } else {
                response.expect_error(405, "METHOD_NOT_ALLOWED");
            }
        }
    });
}

#[test]
fn options_tells_the_methods() {
    let daemon = shared();
    each(PATHS, |(path, allowed)| {
        let response = Request::new("OPTIONS", path).send(daemon.http);
        assert_eq!((response.status, response.header("Allow"), response.text()), (200, Some(*allowed), ""));
        assert_eq!(response.header("X-Nsq-Content-Type"), None);
    });
}

#[test]
fn a_path_that_is_almost_right_is_redirected() {
    let daemon = shared();
    each(
        [
            ("a trailing slash", "GET", "/ping/", "/ping"),
            ("with a query", "GET", "/stats/?format=json", "/stats?format=json"),
            ("upper case", "GET", "/PING", "/ping"),
            ("a double slash", "GET", "//ping", "/ping"),
            ("dots", "GET", "/x/../ping", "/ping"),
            ("one dot", "GET", "/./ping", "/ping"),
            ("upper case before a parameter", "GET", "/Config/id", "/config/id"),
            ("POST, a trailing slash", "POST", "/pub/?topic=x", "/pub?topic=x"),
            ("POST, upper case", "POST", "/Topic/Create?topic=x", "/topic/create?topic=x"),
            ("PUT, a trailing slash", "PUT", "/config/log_level/", "/config/log_level"),
        ],
        |(_, method, path, location)| {
            let response = Request::new(method, path).send(daemon.http);
            assert_eq!(response.header("Location"), Some(*location));
            assert_eq!(response.header("X-Nsq-Content-Type"), None);
            if *method == "GET" {
                assert_eq!(response.status, 301);
                assert_eq!(response.header("Content-Type"), Some("text/html; charset=utf-8"));
                assert_eq!(response.text(), format!("<a href=\"{location}\">Moved Permanently</a>.\n\n"));
            } else {
                assert_eq!((response.status, response.text()), (307, ""));
            }
        },
    );
}

#[test]
fn a_path_of_another_method_is_not_redirected() {
    let daemon = shared();
    Request::new("POST", "/ping/").send(daemon.http).expect_error(404, "NOT_FOUND");
    Request::new("GET", "/pub/").send(daemon.http).expect_error(404, "NOT_FOUND");
}

#[test]
fn a_query_that_cannot_be_parsed_is_refused() {
    let daemon = shared();
    let actions =
        PATHS.iter().filter(|(path, _)| path.starts_with("/topic/") || path.starts_with("/channel/"));
    each(actions.map(|(path, _)| *path).chain(["/mpub", "/pub"]), |path| {
        for query in ["topic=%zz", "topic=t&%", "topic=t;channel=c", "a=1;"] {
            daemon.post(&format!("{path}?{query}"), "x").expect_error(400, "INVALID_REQUEST");
        }
    });
    each(["topic=%zz", "a;b"], |query| {
        daemon.get(&format!("/stats?{query}")).expect_error(400, "INVALID_REQUEST");
    });
}

#[test]
fn parameters_come_from_the_query_alone() {
    let daemon = shared();
    let form = |path: &str| {
        let request = Request::new("POST", path).header("Content-Type: application/x-www-form-urlencoded");
        request.body("topic=http_routing").send(daemon.http)
    };
    form("/topic/create").expect_error(400, "MISSING_ARG_TOPIC");
    form("/pub").expect_error(400, "MISSING_ARG_TOPIC");
    daemon.post("/topic/create?Topic=http_routing", "").expect_error(400, "MISSING_ARG_TOPIC");
    daemon.act("/topic/create?topic=http_routing_first&topic=http_routing_second");
    assert!(daemon.topic_stats("http_routing_first").is_object());
    assert!(daemon.topic_stats("http_routing_second").is_null());
}

#[test]
fn what_the_client_accepts_is_ignored() {
    let daemon = shared();
    let request = Request::new("GET", "/stats?format=json").header("Accept: text/plain; version=9");
    request.send(daemon.http).expect_json();
}

#[test]
fn a_connection_serves_many_requests() {
    let daemon = shared();
    let mut connection = Connection::open(daemon.http);
    for _ in 0..3 {
        connection.send(&Request::new("GET", "/ping").bytes());
        assert_eq!(connection.read_response(false).text(), "OK");
        connection.send(&Request::new("POST", "/pub?topic=http_routing_alive").body("x").bytes());
        connection.read_response(false).expect_ok();
    }
    // Two at once are answered one after the other.
    connection.send(&Request::new("GET", "/ping").bytes().repeat(2));
    connection.read_response(false);
    connection.read_response(false);
}

#[test]
fn http_1_0_ends_with_its_answer() {
    let daemon = shared();
    let mut connection = Connection::open(daemon.http);
    connection.send(b"GET /ping HTTP/1.0\r\n\r\n");
    let response = connection.read_response(false);
    assert_eq!((response.status, response.text()), (200, "OK"));
    connection.expect_end();
}

#[test]
fn a_malformed_request_is_refused_and_the_connection_closed() {
    let daemon = shared();
    each(
        [
            ("no request", "garbage\r\n\r\n"),
            ("a bad header", "GET /ping HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n"),
            ("a bad length", "POST /pub?topic=t HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"),
        ],
        |(_, bytes)| {
            let mut connection = Connection::open(daemon.http);
            connection.send(bytes.as_bytes());
            assert_eq!(connection.read_response(false).status, 400);
            connection.expect_end();
        },
    );
}

#[test]
fn a_body_that_is_not_read_whole_ends_the_connection() {
    let daemon = Daemon::with(&["--max-msg-size=100"]);
    let response = daemon.post("/pub?topic=t", vec![b'x'; 4_000_000]);
    response.expect_error(413, "MSG_TOO_BIG");
    assert_eq!(response.header("Connection"), Some("close"));
}

#[test]
fn a_client_that_asks_before_sending_is_answered() {
    let daemon = shared();
    let ask = |target: &str, length: usize| {
        let mut connection = Connection::open(daemon.http);
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        connection.send(request.as_bytes());
        connection
    };
    let mut welcome = ask("/pub?topic=http_routing_expect", 1);
    assert_eq!(welcome.read_response(false).status_line, "HTTP/1.1 100 Continue");
    welcome.send(b"x");
    welcome.read_response(false).expect_ok();
    let mut refused = ask("/pub?topic=http_routing_expect", 2_000_000);
    refused.read_response(false).expect_error(413, "MSG_TOO_BIG");
}

#[test]
fn a_long_answer_arrives_whole() {
    let daemon = Daemon::start();
    for index in 0..100 {
        daemon.act(&format!("/topic/create?topic=a_topic_with_a_long_name_{index}"));
    }
    let stats = daemon.get("/stats?format=json");
    assert!(stats.expect_json().len() > 10_000);
    assert_eq!(stats.json()["topics"].as_array().map(Vec::len), Some(100));
}

#[test]
fn debug_actions_answer() {
    let daemon = shared();
    let allowed = differences::debug_action_statuses();
    for response in [daemon.put("/debug/setblockrate?rate=0", ""), daemon.post("/debug/freememory", "")] {
        assert!(allowed.contains(&response.status), "{response:?}");
    }
    assert_eq!(daemon.put("/debug/setblockrate?rate=x", "").status, 400);
}

#[test]
fn a_socket_file_serves_http_too() {
    use std::io::{Read as _, Write as _};
    let directory = nsq_tests::daemon::new_directory();
    let path = directory.path().join("http.sock");
    let daemon = Daemon::with(&[&format!("--http-address={}", path.display())]);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("the daemon listens");
    stream.write_all(b"GET /info HTTP/1.0\r\n\r\n").expect("the daemon reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the daemon answers and closes");
    assert!(answer.contains(&format!("\"http_port\":-1,\"tcp_port\":{},", daemon.tcp.port())), "{answer}");
    daemon.stop();
    assert!(!path.exists(), "the socket file goes with the daemon");
}
