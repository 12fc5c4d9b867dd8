//! AUTH and what an authorization allows: nsqd-tcp.md §3 and §9.

use std::time::Duration;

use nsq_tests::authorization::{all_of, answer, authorization_server, authorize};
use nsq_tests::certificates::Authority;
use nsq_tests::raw::{be, with_body};
use nsq_tests::{Client, Daemon, PATIENCE, each, shared};

/// A daemon that asks a server with this answer.
fn guarded(answer: &str) -> Daemon {
    let (address, _) = authorization_server("200 OK", answer);
    Daemon::with(&[&format!("--auth-http-address={address}")])
}

#[test]
fn a_wrong_auth_is_fatal() {
    let daemon = shared();
    let rows: [(&str, Vec<u8>, &str); 8] = [
        ("a parameter", with_body("AUTH x", "s"), "E_INVALID AUTH invalid number of parameters"),
        ("no size", b"AUTH\n".to_vec(), "E_BAD_BODY AUTH failed to read body size"),
        ("half a size", b"AUTH\n\0\0".to_vec(), "E_BAD_BODY AUTH failed to read body size"),
        (
            "too big",
            [b"AUTH\n".as_slice(), &be(5_242_881)].concat(),
            "E_BAD_BODY AUTH body too big 5242881 > 5242880",
        ),
        ("size zero", with_body("AUTH", ""), "E_BAD_BODY AUTH invalid body size 0"),
        ("size -1", b"AUTH\n\xff\xff\xff\xff".to_vec(), "E_BAD_BODY AUTH invalid body size -1"),
        ("short body", b"AUTH\n\0\0\0\x02s".to_vec(), "E_BAD_BODY AUTH failed to read body"),
        ("not configured", with_body("AUTH", "secret"), "E_AUTH_DISABLED AUTH disabled"),
    ];
    each(rows, |(_, bytes, error)| {
        let mut client = daemon.connect();
        client.send(bytes);
        client.finish_sending();
        client.expect_fatal(error);
    });
}

#[test]
fn a_subscribed_client_may_not_authorize() {
    let daemon = shared();
    let mut client = daemon.subscribe("auth_state", "c");
    client.send("AUTH x\n");
    client.expect_fatal("E_INVALID cannot AUTH in current state");
}

#[test]
fn the_answer_names_the_identity_and_counts_permissions() {
    let daemon = guarded(&answer(&format!("{},{}", all_of("a"), all_of("b"))));
    let mut client = daemon.connect();
    assert!(client.identify("").contains("\"auth_required\":true"));
    client.send(with_body("AUTH", "secret"));
    client.expect_response("{\"identity\":\"who\",\"identity_url\":\"http://who\",\"permission_count\":2}");
    client.publish("a", b"x");
    client.subscribe("a", "c");
    let record = daemon.client_stats("a", "c", &client.address().to_string());
    assert_eq!((&record["authed"], &record["auth_identity"]), (&true.into(), &"who".into()));
    assert_eq!(record["auth_identity_url"], "http://who");
}

#[test]
fn a_client_authorizes_once() {
    let daemon = guarded(&answer(&all_of(".*")));
    let mut client = authorize(&daemon);
    client.send(with_body("AUTH", "secret"));
    client.expect_fatal("E_INVALID AUTH already set");
}

#[test]
fn without_an_authorization_nothing_is_published_or_subscribed() {
    let daemon = guarded(&answer(&all_of(".*")));
    let batch = nsq_tests::raw::batch(&["x"]);
    each(
        [
            ("SUB", b"SUB t c\n".to_vec()),
            ("PUB", with_body("PUB t", "x")),
            ("DPUB", with_body("DPUB t 1", "x")),
            ("MPUB", with_body("MPUB t", batch)),
        ],
        |(command, bytes)| {
            let mut client = daemon.connect();
            client.send("NOP\n");
            client.send(bytes);
            client.expect_fatal(format!("E_AUTH_FIRST AUTH required before {command}"));
        },
    );
    assert!(daemon.topic_stats("t").is_null());
    daemon.post("/pub?topic=t", "x").expect_ok();
}

#[test]
fn an_authorization_allows_what_it_names() {
    let daemon = guarded(&answer(
        "{\"topic\":\"^reads$\",\"channels\":[\"^c\"],\"permissions\":[\"subscribe\"]},\
         {\"topic\":\"^writes$\",\"channels\":[\".*\"],\"permissions\":[\"publish\"]},\
         {\"topic\":\"^named$\",\"channels\":[\"ch.+\"],\"permissions\":[\"publish\",\"subscribe\"]},\
         {\"topic\":\"^none$\",\"channels\":[],\"permissions\":[\"publish\",\"subscribe\"]},\
         {\"topic\":\"part\",\"channels\":[\".*\"],\"permissions\":[\"publish\"]}",
    ));
    let batch = nsq_tests::raw::batch(&["x"]);
    each(
        [
            ("subscribe", b"SUB reads c1\n".to_vec(), None),
            ("subscribe another channel", b"SUB reads d\n".to_vec(), Some("SUB on \"reads\" \"d\"")),
            ("publish what may be read", with_body("PUB reads", "x"), Some("PUB on \"reads\" \"\"")),
            ("publish", with_body("PUB writes", "x"), None),
            ("publish with a delay", with_body("DPUB writes 0", "x"), None),
            ("publish many", with_body("MPUB writes", &batch), None),
            ("subscribe what may be written", b"SUB writes c\n".to_vec(), Some("SUB on \"writes\" \"c\"")),
            ("no empty channel name", with_body("DPUB named 0", "x"), Some("DPUB on \"named\" \"\"")),
            ("many, no empty channel name", with_body("MPUB named", &batch), Some("MPUB on \"named\" \"\"")),
            ("no channel at all", with_body("PUB none", "x"), Some("PUB on \"none\" \"\"")),
            ("no channel to subscribe", b"SUB none c\n".to_vec(), Some("SUB on \"none\" \"c\"")),
            ("a pattern is not anchored", with_body("PUB a_part_of", "x"), None),
        ],
        |(_, bytes, refused)| {
            let mut client = authorize(&daemon);
            client.send(bytes);
            match refused {
                None => client.expect_response("OK"),
                Some(what) => client.expect_fatal(format!("E_UNAUTHORIZED AUTH failed for {what}")),
            }
        },
    );
}

#[test]
fn an_answer_that_cannot_be_used_refuses() {
    let rows = [
        ("no JSON", "200 OK", "no".to_owned(), "E_AUTH_FAILED AUTH failed"),
        ("status 403", "403 Forbidden", answer(&all_of(".*")), "E_AUTH_FAILED AUTH failed"),
        (
            "no time to live",
            "200 OK",
            answer(&all_of(".*")).replace("3600", "0"),
            "E_AUTH_FAILED AUTH failed",
        ),
        (
            "unknown permission",
            "200 OK",
            answer(&all_of(".*")).replace("publish", "rule"),
            "E_AUTH_FAILED AUTH failed",
        ),
        ("topic is no pattern", "200 OK", answer(&all_of("(")), "E_AUTH_FAILED AUTH failed"),
        (
            "channel is no pattern",
            "200 OK",
            answer(&all_of("t")).replace(".*", "["),
            "E_AUTH_FAILED AUTH failed",
        ),
        ("nothing allowed", "200 OK", answer(""), "E_UNAUTHORIZED AUTH no authorizations found"),
    ];
    each(rows, |(_, status, answer, error)| {
        let (address, _asked) = authorization_server(status, answer);
        let daemon = Daemon::with(&[&format!("--auth-http-address={address}")]);
        let mut client = daemon.connect();
        client.send(with_body("AUTH", "secret"));
        client.expect_fatal(error);
    });
}

#[test]
fn the_server_is_asked_with_get_by_default() {
    let (address, asked) = authorization_server("200 OK", &answer(&all_of(".*")));
    let daemon = Daemon::with(&[&format!("--auth-http-address={address}")]);
    let mut client = daemon.connect();
    client.send(with_body("AUTH", "s3cret &"));
    client.expect_any_response();
    let asked = asked.recv_timeout(PATIENCE).expect("the server was asked");
    assert_eq!(asked.line, "GET /auth?common_name=&remote_ip=127.0.0.1&secret=s3cret+%26&tls=false HTTP/1.1");
    let accept = asked.headers.iter().find(|line| line.to_lowercase().starts_with("accept:"));
    assert_eq!(
        accept.and_then(|line| line.split_once(": ")).map(|(_, value)| value),
        Some("application/vnd.nsq; version=1.0")
    );
}

#[test]
fn a_whole_url_is_used_as_it_is() {
    let (address, asked) = authorization_server("200 OK", &answer(&all_of(".*")));
    each(["/mine", "/mine?a=b"], |path| {
        let daemon = Daemon::with(&[&format!("--auth-http-address=http://{address}{path}")]);
        authorize(&daemon);
        let asked = asked.recv_timeout(PATIENCE).expect("the server was asked");
        let question = "common_name=&remote_ip=127.0.0.1&secret=secret&tls=false";
        assert_eq!(asked.line, format!("GET {path}?{question} HTTP/1.1"));
    });
}

#[test]
fn the_server_is_told_who_the_certificate_names() {
    let authority = Authority::new();
    authority.issue("a client");
    let (address, asked) = authorization_server("200 OK", &answer(&all_of(".*")));
    let mut flags = authority.flags();
    flags
        .extend([format!("--auth-http-address={address}"), "--tls-client-auth-policy=require-verify".into()]);
    let daemon = Daemon::with(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let mut client = daemon.connect();
    client.identify("\"tls_v1\":true");
    client.wrap(|stream| stream.tls(authority.client(Some((&authority, "a client")))));
    client.expect_response("OK");
    client.send(with_body("AUTH", "secret"));
    client.expect_any_response();
    let asked = asked.recv_timeout(PATIENCE).expect("the server was asked");
    let question = "common_name=a+client&remote_ip=127.0.0.1&secret=secret&tls=true";
    assert_eq!(asked.line, format!("GET /auth?{question} HTTP/1.1"));
}

#[test]
fn a_client_behind_a_socket_file_has_no_address() {
    let directory = nsq_tests::daemon::new_directory();
    let path = directory.path().join("nsqd.sock");
    let (address, asked) = authorization_server("200 OK", &answer(&all_of(".*")));
    let _daemon = Daemon::with(&[
        &format!("--tcp-address={}", path.display()),
        &format!("--auth-http-address={address}"),
    ]);
    let mut client = Client::connect_unix(&path);
    client.send("  V2");
    client.send(with_body("AUTH", "secret"));
    client.expect_any_response();
    let asked = asked.recv_timeout(PATIENCE).expect("the server was asked");
    assert_eq!(asked.line, "GET /auth?common_name=&remote_ip=&secret=secret&tls=false HTTP/1.1");
}

#[test]
fn the_server_may_be_asked_with_post() {
    let (address, asked) = authorization_server("200 OK", &answer(&all_of(".*")));
    let daemon =
        Daemon::with(&[&format!("--auth-http-address={address}"), "--auth-http-request-method=post"]);
    authorize(&daemon);
    let asked = asked.recv_timeout(PATIENCE).expect("the server was asked");
    assert_eq!(asked.line, "POST /auth HTTP/1.1");
    let body =
        "{\"common_name\":[\"\"],\"remote_ip\":[\"127.0.0.1\"],\"secret\":[\"secret\"],\"tls\":[\"false\"]}";
    assert_eq!(asked.body, body);
}

#[test]
fn an_authorization_that_ran_out_is_asked_for_again() {
    let (address, asked) = authorization_server("200 OK", &answer(&all_of(".*")).replace("3600", "1"));
    let daemon = Daemon::with(&[&format!("--auth-http-address={address}")]);
    let mut client = authorize(&daemon);
    asked.recv_timeout(PATIENCE).expect("the server was asked");
    let again = loop {
        client.publish("t", b"x");
        match asked.recv_timeout(Duration::from_millis(100)) {
            Ok(again) => break again,
            Err(_) => {
                assert!(daemon.topic_stats("t")["message_count"].as_u64() < Some(100), "never asked again")
            }
        }
    };
    assert!(again.line.contains("secret=secret"), "{}", again.line);
}

#[test]
fn the_next_server_is_asked_when_one_fails() {
    let (address, _asked) = authorization_server("200 OK", &answer(&all_of(".*")));
    let daemon =
        Daemon::with(&["--auth-http-address=127.0.0.1:1", &format!("--auth-http-address={address}")]);
    for _ in 0..4 {
        authorize(&daemon);
    }
}

#[test]
fn a_server_that_is_not_there_refuses() {
    let daemon = Daemon::with(&["--auth-http-address=127.0.0.1:1"]);
    let mut client = daemon.connect();
    client.send(with_body("AUTH", "secret"));
    client.expect_fatal("E_AUTH_FAILED AUTH failed");
}
