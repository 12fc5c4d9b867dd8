//! The HTTP API over TLS: nsqd-http.md §1 and §8. Who must show which certificate is in `tls`.

use nsq_tests::certificates::Authority;
use nsq_tests::http::{Connection, Request, Response};
use nsq_tests::stats::mask_numbers;
use nsq_tests::{Client, Daemon, each};

fn daemon(more: &[&str]) -> (Daemon, Authority) {
    let authority = Authority::new();
    let flags = authority.flags();
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend_from_slice(more);
    (Daemon::with(&flags), authority)
}

fn consumer(daemon: &Daemon) -> Client {
    let mut consumer = daemon.subscribe("t", "c");
    consumer.ready(10);
    consumer
}

#[test]
fn every_answer_over_https_is_that_over_http() {
    let (daemon, authority) = daemon(&[]);
    daemon.act("/topic/create?topic=t");
    daemon.act("/channel/create?topic=t&channel=c");
    let comparable = |response: Response| {
        let headers = response.headers.iter().filter(|(name, _)| name != "Date" && name != "Content-Length");
        (response.status_line.clone(), headers.cloned().collect::<Vec<_>>(), mask_numbers(response.text()))
    };
    each(
        [
            ("GET", "/ping"),
            ("HEAD", "/ping"),
            ("GET", "/ping/"),
            ("GET", "/info"),
            ("GET", "/stats?format=json"),
            ("GET", "/config/log_level"),
            ("PUT", "/config/nope"),
            ("GET", "/nope"),
            ("GET", "/pub?topic=t"),
            ("POST", "/pub?topic=t"),
            ("POST", "/topic/pause?topic=nope"),
        ]
        .map(|(method, target)| (format!("{method} {target}"), Request::new(method, target))),
        |(_, request)| {
            let tls = request.send_tls(daemon.https(), authority.client(None));
            assert_eq!(comparable(tls), comparable(request.send(daemon.http)));
        },
    );
}

#[test]
fn what_is_published_over_https_arrives() {
    let (daemon, authority) = daemon(&["--max-msg-size=2000"]);
    let mut consumer = consumer(&daemon);
    let post = |target: &str, body: &[u8]| {
        Request::new("POST", target).body(body).send_tls(daemon.https(), authority.client(None))
    };
    post("/pub?topic=t", b"one").expect_ok();
    let message = consumer.expect_body("one");
    consumer.finish(&message);
    post("/mpub?topic=t", b"two\nthree").expect_ok();
    let mut bodies = [consumer.expect_message().body, consumer.expect_message().body];
    bodies.sort();
    assert_eq!(bodies, [&b"three"[..], b"two"]);
    let large = vec![b'x'; 2_000];
    Request::new("POST", "/pub?topic=t")
        .body(&large)
        .chunked()
        .send_tls(daemon.https(), authority.client(None))
        .expect_ok();
    consumer.expect_body(&large);
    post("/pub?topic=t", &[b'x'; 2_001]).expect_error(413, "MSG_TOO_BIG");
}

#[test]
fn one_tls_connection_carries_many_requests() {
    let (daemon, authority) = daemon(&[]);
    let mut connection = Connection::open_tls(daemon.https(), authority.client(None));
    for _ in 0..3 {
        connection.send(&Request::new("POST", "/pub?topic=t").body("x").bytes());
        connection.read_response(false).expect_ok();
    }
    daemon.wait_for_topic("t", "depth", 3);
}

#[test]
fn where_tcp_requires_tls_plain_http_can_still_publish_if_told_so() {
    let (daemon, authority) = daemon(&["--tls-required=tcp-https"]);
    daemon.post("/pub?topic=t", "plain").expect_ok();
    let request = Request::new("POST", "/pub?topic=t").body("over TLS");
    request.send_tls(daemon.https(), authority.client(None)).expect_ok();
    daemon.wait_for_topic("t", "depth", 2);
}

#[test]
fn a_policy_for_certificates_refuses_plain_http_too() {
    let authority = Authority::new();
    authority.issue("known");
    let flags = authority.flags();
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.push("--tls-client-auth-policy=require-verify");
    let daemon = Daemon::with(&flags);
    let response = daemon.post("/pub?topic=t", "x");
    let refusal = format!("{{\"message\": \"TLS_REQUIRED\", \"https_port\": {}}}", daemon.https().port());
    assert_eq!((response.status, response.text()), (403, refusal.as_str()));
    let known = authority.client(Some((&authority, "known")));
    Request::new("POST", "/pub?topic=t").body("x").send_tls(daemon.https(), known).expect_ok();
}

#[test]
fn plain_http_on_the_https_port_is_told_so() {
    let (daemon, authority) = daemon(&[]);
    let mut connection = Connection::open(daemon.https());
    connection.send(&Request::new("GET", "/ping").bytes());
    let response = connection.read_response(false);
    assert_eq!(response.status_line, "HTTP/1.0 400 Bad Request");
    assert_eq!(response.text(), "Client sent an HTTP request to an HTTPS server.\n");
    // Others are served all the same.
    let response = Request::new("GET", "/ping").send_tls(daemon.https(), authority.client(None));
    assert_eq!(response.text(), "OK");
}

#[test]
fn without_a_certificate_there_is_no_https() {
    let daemon = Daemon::with(&["--https-address=127.0.0.1:0"]);
    let ended = daemon.stop().ended;
    assert!(!ended.log.iter().any(|line| line.contains(" HTTPS: listening on ")), "{:?}", ended.log);
}
