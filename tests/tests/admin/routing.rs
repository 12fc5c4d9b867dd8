//! What HTTP demands, and the base path: nsqadmin.md §3.

use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder};
use nsq_tests::http::Request;
use nsq_tests::{Admin, each};

const NODE: &str = "--nsqd-http-address=127.0.0.1:1";

#[test]
fn paths_and_methods_are_judged_as_in_v1_3_0() {
    let admin = Admin::with(&[NODE]);
    let ping = admin.get("/ping");
    assert_eq!((ping.status, ping.text()), (200, "OK"));
    assert_eq!(ping.header("Content-Type"), Some("text/plain; charset=utf-8"));
    each(["/api/search", "/api/lookup", "/nope", "/config"], |path| {
        admin.get(path).expect_error(404, "NOT_FOUND");
    });
    let refused = Request::new("PUT", "/api/topics").send(admin.http);
    refused.expect_error(405, "METHOD_NOT_ALLOWED");
    assert_eq!(refused.header("Allow"), Some("GET, OPTIONS, POST"));
    assert_eq!(Request::new("HEAD", "/ping").send(admin.http).status, 405);
    let moved = admin.get("/api/topics/");
    assert_eq!((moved.status, moved.header("Location")), (301, Some("/api/topics")));
    let moved = Request::new("POST", "/API/topics").send(admin.http);
    assert_eq!((moved.status, moved.header("Location")), (307, Some("/api/topics")));
    let missing = admin.get("/static/nope");
    assert_eq!((missing.status, missing.text()), (404, "NOT_FOUND"));
    assert_eq!(missing.header("Content-Type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn everything_lies_below_the_base_path() {
    let admin = Admin::with(&[NODE, "--base-path=x//y/../nsq/"]);
    assert_eq!(admin.get("/config/base_path").status, 404);
    assert_eq!(admin.get("/x/nsq/config/base_path").text(), "/x/nsq");
    assert_eq!(admin.get("/x/nsq/ping").status, 200);
    assert_eq!(admin.get("/ping").status, 404);
    assert_eq!(admin.get("/x/nsq").status, 200);
    let moved = admin.get("/x/nsq/");
    assert_eq!((moved.status, moved.header("Location")), (301, Some("/x/nsq")));
    assert_eq!(admin.get("/x/nsq/topics/t/c").status, 200);
}

#[test]
fn answers_are_compressed_as_they_are_asked_for() {
    let admin = Admin::with(&[NODE]);
    let rows = [
        ("gzip", Some("gzip")),
        ("deflate, gzip", Some("deflate")),
        ("br,gzip", Some("gzip")),
        ("gzip;q=0", None),
        ("identity", None),
    ];
    each(rows, |(accepted, encoding)| {
        let asked = Request::new("GET", "/config/base_path").header(&format!("Accept-Encoding: {accepted}"));
        let response = asked.send(admin.http);
        assert_eq!(response.header("Content-Encoding"), *encoding);
        let mut text = String::new();
        match encoding {
            Some("gzip") => GzDecoder::new(&response.body[..]).read_to_string(&mut text),
            Some(_) => DeflateDecoder::new(&response.body[..]).read_to_string(&mut text),
            None => (&response.body[..]).read_to_string(&mut text),
        }
        .expect("the body can be read");
        assert_eq!(text, "/");
        assert_eq!(response.header("Vary"), encoding.map(|_| "Accept-Encoding"));
    });
}
