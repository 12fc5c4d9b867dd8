//! What every HTTP request meets: nsqlookupd.md §7, first part and last.

use nsq_tests::http::Request;
use nsq_tests::{Lookupd, differences, each};

/// Every path with the methods it knows as `Allow` lists them.
const PATHS: [(&str, &str); 12] = [
    ("/ping", "GET, OPTIONS"),
    ("/info", "GET, OPTIONS"),
    ("/debug", "GET, OPTIONS"),
    ("/lookup", "GET, OPTIONS"),
    ("/topics", "GET, OPTIONS"),
    ("/channels", "GET, OPTIONS"),
    ("/nodes", "GET, OPTIONS"),
    ("/topic/create", "OPTIONS, POST"),
    ("/topic/delete", "OPTIONS, POST"),
    ("/channel/create", "OPTIONS, POST"),
    ("/channel/delete", "OPTIONS, POST"),
    ("/topic/tombstone", "OPTIONS, POST"),
];

#[test]
fn ping_is_ok_and_plain() {
    let lookupd = Lookupd::start();
    let response = lookupd.get("/ping");
    assert_eq!((response.status_line.as_str(), response.text()), ("HTTP/1.1 200 OK", "OK"));
    assert_eq!(response.header("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.header("X-Nsq-Content-Type"), None);
}

#[test]
fn a_path_says_which_methods_it_knows() {
    let lookupd = Lookupd::start();
    each(PATHS, |(path, allow)| {
        let options = Request::new("OPTIONS", path).send(lookupd.http);
        assert_eq!((options.status, options.header("Allow"), options.text()), (200, Some(*allow), ""));
        let wrong = if allow.contains("GET") { "POST" } else { "GET" };
        for method in [wrong, "PUT", "DELETE"] {
            let refused = Request::new(method, path).send(lookupd.http);
            refused.expect_error(405, "METHOD_NOT_ALLOWED");
            assert_eq!(refused.header("Allow"), Some(*allow));
        }
        assert_eq!(Request::new("HEAD", path).send(lookupd.http).status, 405);
    });
}

#[test]
fn unknown_paths_are_not_found() {
    let lookupd = Lookupd::start();
    each(
        [
            "/",
            "/nope",
            "/topic",
            "/stats",
            "/config/log_level",
            "/debug/pprof/mutex",
            "/debug/pprof/allocs",
            "/debug/pprof/trace",
        ],
        |path| lookupd.get(path).expect_error(404, "NOT_FOUND"),
    );
}

#[test]
fn paths_that_are_almost_right_are_redirected() {
    let lookupd = Lookupd::start();
    each(
        [
            ("GET /ping/", 301, "/ping"),
            ("GET //nodes", 301, "/nodes"),
            ("GET /Topics?a=b", 301, "/topics?a=b"),
            ("POST /topic/create/?topic=t", 307, "/topic/create?topic=t"),
            ("GET /debug/pprof/", 301, "/debug/pprof"),
        ],
        |(request, status, location)| {
            let (method, target) = request.split_once(' ').expect("there is one");
            let response = Request::new(method, target).send(lookupd.http);
            assert_eq!((response.status, response.header("Location")), (*status, Some(*location)));
            assert_eq!(response.header("X-Nsq-Content-Type"), None);
        },
    );
    assert!(lookupd.topics().is_empty());
}

#[test]
fn arguments_come_from_the_query_and_the_first_counts() {
    let lookupd = Lookupd::start();
    let form =
        Request::new("POST", "/topic/create").header("Content-Type: application/x-www-form-urlencoded");
    form.body("topic=t").send(lookupd.http).expect_error(400, "MISSING_ARG_TOPIC");
    Request::new("POST", "/topic/create?topic=a&topic=b").body("topic=c").send(lookupd.http).expect_empty();
    assert_eq!(lookupd.topics(), ["a".to_owned()].into());
}

#[test]
fn what_is_accepted_makes_no_difference() {
    let lookupd = Lookupd::start();
    each(["application/vnd.nsq; version=1.0", "text/html", "*/*"], |accept| {
        let response = Request::new("GET", "/topics").header(&format!("Accept: {accept}")).send(lookupd.http);
        assert_eq!(response.expect_json(), r#"{"topics":[]}"#);
    });
}

#[test]
fn debug_pages_are_there() {
    let lookupd = Lookupd::start();
    let index = lookupd.get("/debug/pprof");
    assert!(index.status == 200 && index.text().contains("cmdline"), "{index:?}");
    assert_eq!(index.header("X-Nsq-Content-Type"), None);
    assert!(lookupd.get("/debug/pprof/cmdline").text().contains("nsqlookupd"));
    for method in ["GET", "POST"] {
        let symbols = Request::new(method, "/debug/pprof/symbol").send(lookupd.http);
        assert_eq!((symbols.status, symbols.text()), (200, "num_symbols: 1\n"));
    }
    each(["heap", "goroutine", "block", "threadcreate"], |profile| {
        let status = lookupd.get(&format!("/debug/pprof/{profile}")).status;
        assert_eq!(status, if differences::has_go_profiles("nsqlookupd") { 200 } else { 501 });
    });
}
