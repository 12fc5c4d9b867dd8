//! Who may change things: the header of v1.3.0, origins, the login.

use nsq_tests::admin::Watched;
use nsq_tests::http::{Request, Response};
use nsq_tests::process::{Process, program};
use nsq_tests::{Admin, PATIENCE, differences, each};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

const PAUSE: &str = r#"{"action":"pause"}"#;

fn send(admin: &Admin, method: &str, path: &str, body: &str, headers: &[&str]) -> Response {
    let request =
        headers.iter().fold(Request::new(method, path).body(body), |request, line| request.header(line));
    request.send(admin.http)
}

#[test]
fn only_the_users_that_are_named_may_change_things() {
    let watched = Watched::start(1, &[]);
    watched.make(0, "t", &["c"]);
    let admin = watched.admin(&["--admin-user=alice", "--admin-user=bob", "--acl-http-header=X-User"]);
    let node = format!("/api/nodes/{}", watched.name(0));
    for (method, path) in [
        ("POST", "/api/topics"),
        ("POST", "/api/topics/t"),
        ("DELETE", "/api/topics/t"),
        ("POST", "/api/topics/t/c"),
        ("DELETE", "/api/topics/t/c"),
        ("DELETE", node.as_str()),
    ] {
        // That nobody may is said before the body is looked at.
        admin.send(method, path, "").expect_error(403, "FORBIDDEN");
        for header in ["X-User: carol", "X-User: Alice", "X-Forwarded-User: alice"] {
            send(&admin, method, path, "nope", &[header]).expect_error(403, "FORBIDDEN");
        }
    }
    for header in ["X-User: alice", "x-user: bob"] {
        assert_eq!(send(&admin, "POST", "/api/topics/t", PAUSE, &[header]).status, 200);
    }
    assert_eq!(admin.get("/api/topics/t").status, 200);
}

#[test]
fn foreign_pages_may_change_nothing() {
    if !differences::admin_has_extensions() {
        return;
    }
    let watched = Watched::start(1, &[]);
    watched.make(0, "t", &["c"]);
    let admin = watched.admin(&["--allowed-origin=https://ops.example.com"]);
    let json = "Content-Type: application/json";
    let rows = [
        ("Origin: http://evil.example.com", (403, "ORIGIN_NOT_ALLOWED")),
        ("Origin: http://127.0.0.1.evil.example.com:4171", (403, "ORIGIN_NOT_ALLOWED")),
        ("Origin: null", (403, "ORIGIN_NOT_ALLOWED")),
        ("Origin: http://127.0.0.1:4171", (200, "")),
        ("Origin: http://[::1]:4171", (200, "")),
        ("Origin: http://localhost:4171", (200, "")),
        ("Origin: http://nsqadmin:4171", (200, "")),
        ("Origin: https://ops.example.com", (200, "")),
    ];
    each(rows, |(origin, (status, code))| {
        let response = send(&admin, "POST", "/api/topics/t", PAUSE, &[origin, json]);
        assert_eq!((response.status, response.json()["message"].as_str()), (*status, Some(*code)));
    });
    // A form of a page at an address is no JSON; a script names no origin, and sends what it likes.
    let form = "Content-Type: application/x-www-form-urlencoded";
    let response = send(&admin, "POST", "/api/topics/t", PAUSE, &["Origin: http://127.0.0.1", form]);
    response.expect_error(415, "JSON_REQUIRED");
    assert_eq!(send(&admin, "POST", "/api/topics/t", PAUSE, &[form]).status, 200);
    let foreign = "Origin: http://evil.example.com";
    send(&admin, "DELETE", "/api/topics/t", "", &[foreign]).expect_error(403, "ORIGIN_NOT_ALLOWED");
    send(&admin, "PUT", "/config/log_level", "debug", &[foreign]).expect_error(403, "ORIGIN_NOT_ALLOWED");
}

/// What `nsqadmin --hash-password` makes of a password.
pub(super) fn hash(password: &str) -> String {
    let mut command = Command::new(program("nsqadmin"));
    command.arg("--hash-password").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program can be started");
    let mut input = child.stdin.take().expect("it is piped");
    writeln!(input, "{password}").expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("it is text").trim().to_owned()
}

#[test]
fn one_logs_in_and_may_do_what_his_role_allows() {
    if !differences::admin_has_extensions() {
        return;
    }
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let file = directory.path().join("users");
    let hash = hash("secret");
    let users: String =
        ["viewer", "operator", "admin"].iter().map(|role| format!("{role}1:{role}:{hash}\n")).collect();
    std::fs::write(&file, users).expect("it can be written");
    let watched = Watched::start(1, &[]);
    watched.make(0, "t", &["c"]);
    let page = tempfile::tempdir().expect("the temporary directory is writable");
    std::fs::write(page.path().join("main.js"), "x").expect("it can be written");
    let files = format!("--dev-static-dir={}", page.path().display());
    let admin = watched.admin(&[&format!("--auth-file={}", file.display()), &files]);
    assert_eq!(admin.get("/ping").status, 200);
    assert_eq!(admin.get("/").status, 200);
    assert!(!admin.get("/").text().contains(&watched.lookupds[0].http.to_string()));
    for path in ["/api/topics", "/api/topics/t", "/api/nodes", "/api/overview", "/api/live", "/api/history"] {
        admin.get(path).expect_error(401, "LOGIN_REQUIRED");
    }
    admin.send("POST", "/api/topics/t", PAUSE).expect_error(401, "LOGIN_REQUIRED");
    // A proxy on this host has an address that may: what the server runs with is nobody's business all the same.
    admin.get("/config/graphite_url").expect_error(401, "LOGIN_REQUIRED");
    admin.send("PUT", "/config/nsqlookupd_http_addresses", "[]").expect_error(401, "LOGIN_REQUIRED");
    assert_eq!(admin.get("/api/session").json()["role"], "none");

    let empty = r#"{"action":"empty"}"#;
    let rows = [("viewer", (403, 403)), ("operator", (200, 403)), ("admin", (200, 200))];
    each(rows, |(role, (pause_status, empty_status))| {
        let login = format!(r#"{{"user":"{role}1","password":"secret"}}"#);
        let response = admin.send("POST", "/api/session", &login);
        let expected = format!(r#"{{"user":"{role}1","role":"{role}","has_login":true}}"#);
        assert_eq!((response.status, response.text()), (200, expected.as_str()));
        let cookie = response.header("Set-Cookie").expect("there is a cookie").to_owned();
        assert!(cookie.contains("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
        let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap_or_default());
        let with = |method: &str, path: &str, body: &str| send(&admin, method, path, body, &[&cookie]).status;
        let topics = send(&admin, "GET", "/api/topics", "", &[&cookie]);
        assert_eq!((topics.status, topics.header("Cache-Control")), (200, Some("no-store")));
        // The page holds settings; its files are everybody's.
        let page = send(&admin, "GET", "/", "", &[&cookie]);
        assert_eq!(page.header("Cache-Control"), Some("no-store"));
        let file = send(&admin, "GET", "/static/main.js", "", &[&cookie]);
        assert_eq!((file.status, file.header("Cache-Control")), (200, Some("no-cache")));
        assert_eq!(with("POST", "/api/topics/t", PAUSE), *pause_status);
        assert_eq!(with("POST", "/api/topics/t", empty), *empty_status);
        assert_eq!(with("GET", "/config/graphite_url", ""), *empty_status);
        assert_eq!(with("PUT", "/config/log_level", "info"), *empty_status);
        let stream = TcpStream::connect(admin.http).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
        let request = format!("GET /api/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{cookie}\r\n\r\n");
        (&stream).write_all(request.as_bytes()).expect("it reads");
        let mut events = BufReader::new(stream);
        let mut line = String::new();
        while !line.starts_with("event: overview") {
            line.clear();
            assert!(events.read_line(&mut line).expect("events come in time") > 0, "the stream ended");
        }
        assert_eq!(with("DELETE", "/api/session", ""), 200);
        assert_eq!(with("GET", "/api/topics", ""), 401);
        // Whoever is out is told nothing more.
        events.read_to_end(&mut Vec::new()).expect("the stream ends");
    });

    let long = format!(r#"{{"user":"{}","password":"x"}}"#, "x".repeat(4096));
    admin.send("POST", "/api/session", &long).expect_error(413, "BODY_TOO_BIG");
    let wrong = r#"{"user":"admin1","password":"wrong"}"#;
    for _ in 0..5 {
        admin.send("POST", "/api/session", wrong).expect_error(401, "WRONG_LOGIN");
    }
    let right = r#"{"user":"admin1","password":"secret"}"#;
    let refused = admin.send("POST", "/api/session", right);
    refused.expect_error(429, "TOO_MANY_LOGINS");
    assert!(refused.header("Retry-After").is_some());
}

#[test]
fn a_file_of_users_that_makes_no_sense_is_refused() {
    if !differences::admin_has_extensions() {
        return;
    }
    let flags = ["--nsqd-http-address=127.0.0.1:1", "--auth-file=no-such-file"];
    let ended = Process::start_program("nsqadmin", &flags).wait();
    assert_eq!(ended.status.code(), Some(1));
    let text = "failed to read --auth-file (no-such-file) - no such file or directory";
    assert!(ended.log.iter().any(|line| line.contains(text)), "{:?}", ended.log);
}
