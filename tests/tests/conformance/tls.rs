//! Who must speak TLS, and with which certificates: nsqd-tcp.md §8 and §10, nsqd-http.md §8.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use nsq_tests::certificates::Authority;
use nsq_tests::layers::Layered;
use nsq_tests::process::Signal;
use nsq_tests::{Client, Daemon, PATIENCE, differences, each};

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

fn https_address(daemon: &Daemon) -> SocketAddr {
    let marker = " HTTPS: listening on ";
    let line = daemon.process().wait_for_log(marker, |line| line.contains(marker));
    line.split(marker).nth(1).expect("the line was chosen by it").parse().expect("it is an address")
}

/// What HTTPS answers to a GET of `/ping`.
fn https_ping(daemon: &Daemon, authority: &Authority) -> String {
    let socket = TcpStream::connect(https_address(daemon)).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
    let mut stream = Layered::new(socket).tls(authority.client(None));
    stream
        .write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("it listens");
    stream.flush().expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
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
    let port = https_address(&strict).port();
    for response in [strict.get("/ping"), strict.get("/nope"), strict.post("/pub?topic=t", "x")] {
        assert_eq!(response.status, 403);
        response.expect_version_header();
        assert_eq!(response.header("Content-Type"), Some("application/json; charset=utf-8"));
        assert_eq!(response.text(), format!("{{\"message\": \"TLS_REQUIRED\", \"https_port\": {port}}}"));
    }
    assert!(https_ping(&strict, &authority).ends_with("\r\n\r\nOK"));
    let lenient = daemon(&authority, &["--tls-required=tcp-https"]);
    assert_eq!(lenient.get("/ping").text(), "OK");
    assert!(https_ping(&lenient, &authority).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn clients_show_the_certificates_that_are_asked_of_them() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("known");
    other.issue("unknown");
    let (known, unknown) = (Some((&authority, "known")), Some((&other, "unknown")));
    for (policy, identity, welcome) in [
        ("require", None, false),
        ("require", unknown, true),
        ("require-verify", None, false),
        ("require-verify", unknown, false),
        ("require-verify", known, true),
    ] {
        let daemon = daemon(&authority, &[&format!("--tls-client-auth-policy={policy}")]);
        let mut client = daemon.connect();
        client.send("NOP\n");
        client.expect_fatal("E_INVALID cannot NOP in current state (TLS required)");
        let mut client = tls_client(&daemon, &authority, identity);
        if welcome {
            client.expect_response("OK");
            client.publish("t", b"x");
        } else {
            // The client's own library says why; here it counts that nothing more comes.
            let refused =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.next_bytes(1).is_empty()));
            assert!(refused.unwrap_or(true), "{policy} {identity:?}");
        }
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
