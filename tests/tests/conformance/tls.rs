//! Who must speak TLS, and with which certificates: nsqd-tcp.md §8 and §10, nsqd-http.md §8.

use std::cell::RefCell;

use nsq_tests::certificates::Authority;
use nsq_tests::http::{Connection, Request, Response};
use nsq_tests::process::Signal;
use nsq_tests::{Client, Daemon, differences, each};

fn daemon(authority: &Authority, more: &[&str]) -> Daemon {
    let flags = authority.flags();
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend_from_slice(more);
    Daemon::with(&flags)
}

/// A client that has asked for TLS and shows a certificate, if any.
fn tls_client(daemon: &Daemon, authority: &Authority, identity: Option<(&Authority, &str)>) -> Client {
    let mut client = daemon.connect();
    client.identify("\"tls_v1\":true");
    client.wrap(|stream| stream.tls(authority.client(identity)));
    client
}

/// What HTTPS answers to a GET of `/ping`.
fn https_ping(daemon: &Daemon, authority: &Authority) -> Response {
    Request::new("GET", "/ping").send_tls(daemon.https(), authority.client(None))
}

#[test]
fn where_tls_is_required_only_identify_is_heard_before() {
    let authority = Authority::new();
    for required in ["--tls-required=true", "--tls-required=tcp-https"] {
        let daemon = daemon(&authority, &[required]);
        each(["NOP", "SUB", "PUB", "FOO", "AUTH"], |command| {
            let mut client = daemon.connect();
            client.send(format!("{command}\n"));
            client.expect_fatal(format!("E_INVALID cannot {command} in current state (TLS required)"));
        });
        let mut client = tls_client(&daemon, &authority, None);
        client.expect_response("OK");
        client.publish("t", b"x");
    }
}

#[test]
fn http_says_where_tls_is_spoken_unless_it_may_be_plain() {
    let authority = Authority::new();
    let strict = daemon(&authority, &["--tls-required=true"]);
    let port = strict.https().port();
    for response in [strict.get("/ping"), strict.get("/nope"), strict.post("/pub?topic=t", "x")] {
        assert_eq!(response.status, 403);
        response.expect_version_header();
        assert_eq!(response.header("Content-Type"), Some("application/json; charset=utf-8"));
        assert_eq!(response.text(), format!("{{\"message\": \"TLS_REQUIRED\", \"https_port\": {port}}}"));
    }
    assert_eq!(https_ping(&strict, &authority).text(), "OK");
    let lenient = daemon(&authority, &["--tls-required=tcp-https"]);
    assert_eq!(lenient.get("/ping").text(), "OK");
    assert_eq!(https_ping(&lenient, &authority).text(), "OK");
}

#[test]
fn clients_show_the_certificates_that_are_asked_of_them() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("known");
    authority.issue_for("expired", 2001..2002);
    authority.issue_for("not yet valid", 2900..2901);
    other.issue("unknown");
    let known = ("one of the authority", Some((&authority, "known")));
    let expired = ("an expired one", Some((&authority, "expired")));
    let early = ("one that is not valid yet", Some((&authority, "not yet valid")));
    let unknown = ("one of another authority", Some((&other, "unknown")));
    let none = ("none", None);
    for (policy, welcome, refused) in [
        ("require", vec![known, expired, early, unknown], vec![none]),
        ("require-verify", vec![known], vec![none, expired, early, unknown]),
    ] {
        let daemon = daemon(&authority, &[&format!("--tls-client-auth-policy={policy}")]);
        let mut client = daemon.connect();
        client.send("NOP\n");
        client.expect_fatal("E_INVALID cannot NOP in current state (TLS required)");
        let mut other_client = tls_client(&daemon, &authority, known.1);
        other_client.expect_response("OK");
        let other_client = RefCell::new(other_client);
        each(welcome, |(_, identity)| {
            let mut client = tls_client(&daemon, &authority, *identity);
            client.expect_response("OK");
            client.publish("t", b"x");
            let request = Request::new("GET", "/ping");
            assert_eq!(request.send_tls(daemon.https(), authority.client(*identity)).text(), "OK");
        });
        each(refused, |(_, identity)| {
            expect_alert(&tls_client(&daemon, &authority, *identity).expect_refusal());
            let mut connection = Connection::open_tls(daemon.https(), authority.client(*identity));
            connection.send(&Request::new("GET", "/ping").bytes());
            expect_alert(&connection.expect_refusal());
            // Nobody else notices.
            other_client.borrow_mut().publish("t", b"x");
        });
    }
}

/// A refusal is the daemon's, and not the client's own.
fn expect_alert(refusal: &str) {
    assert!(refusal.is_empty() || refusal.starts_with("received fatal alert: "), "{refusal}");
}

#[test]
fn a_version_of_tls_that_is_too_old_is_refused() {
    let authority = Authority::new();
    for (oldest, welcome) in [("tls1.2", true), ("tls1.3", false)] {
        let daemon = daemon(&authority, &[&format!("--tls-min-version={oldest}")]);
        let mut client = daemon.connect();
        client.identify("\"tls_v1\":true");
        client.wrap(|stream| stream.tls(authority.client_of_tls_1_2()));
        let mut https = Connection::open_tls(daemon.https(), authority.client_of_tls_1_2());
        https.send(&Request::new("GET", "/ping").bytes());
        if welcome {
            client.expect_response("OK");
            client.subscribe("t", "c");
            let record = daemon.client_stats("t", "c", &client.address().to_string());
            assert_eq!(record["tls_version"], "TLS1.2");
            assert_eq!(https.read_response(false).text(), "OK");
        } else {
            expect_alert(&client.expect_refusal());
            expect_alert(&https.expect_refusal());
        }
        tls_client(&daemon, &authority, None).expect_response("OK");
    }
}

#[test]
fn a_certificate_is_read_again_on_sighup_and_connections_go_on() {
    if differences::is_original() {
        return;
    }
    let authority = Authority::new();
    let daemon = daemon(&authority, &[]);
    let mut before = tls_client(&daemon, &authority, None);
    before.expect_response("OK");
    // Of no use: the one in use stays.
    std::fs::write(authority.path("server.pem"), "nothing").expect("it is writable");
    daemon.process().signal(Signal::HUP);
    daemon.process().wait_for_log("that it stays", |line| line.contains("the certificate in use stays"));
    tls_client(&daemon, &authority, None).expect_response("OK");
    // Another authority's: only who trusts that is content.
    let other = Authority::new();
    for file in ["server.pem", "server.key"] {
        std::fs::copy(other.path(file), authority.path(file)).expect("it is writable");
    }
    daemon.process().signal(Signal::HUP);
    daemon.process().wait_for_log("that it was read", |line| line.contains("were read again"));
    tls_client(&daemon, &other, None).expect_response("OK");
    before.publish("t", b"x");
}

#[test]
fn a_policy_that_is_none_asks_for_nothing_but_tls() {
    let authority = Authority::new();
    let daemon = daemon(&authority, &["--tls-client-auth-policy=bogus"]);
    let mut client = daemon.connect();
    client.send("NOP\n");
    client.expect_fatal("E_INVALID cannot NOP in current state (TLS required)");
    let mut client = tls_client(&daemon, &authority, None);
    client.expect_response("OK");
    client.publish("t", b"x");
    assert_eq!(daemon.get("/ping").status, 403);
}
