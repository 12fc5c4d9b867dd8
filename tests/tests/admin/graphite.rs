//! Graphite, through nsqadmin: nsqadmin.md §5.

use nsq_tests::endpoint::Endpoint;
use nsq_tests::http::Request;
use nsq_tests::{Admin, differences, each};

const NODE: &str = "--nsqd-http-address=127.0.0.1:1";

#[test]
fn a_rate_is_asked_of_graphite() {
    let rows = [
        (r#"[{"target":"t","datapoints":[[120.0,1]]}]"#, (200, r#"{"rate":"2.00"}"#)),
        (r#"[{"target":"t","datapoints":[[-1,1]]}]"#, (200, r#"{"rate":"N/A"}"#)),
        (r#"[{"target":"t","datapoints":[[null,1]]}]"#, (500, r#"{"message":"INTERNAL_ERROR"}"#)),
        ("[]", (500, r#"{"message":"INTERNAL_ERROR"}"#)),
    ];
    each(rows, |(answer, (status, body))| {
        let graphite = Endpoint::answering("200 OK", answer);
        let admin = Admin::with(&[NODE, &format!("--graphite-url=http://{}", graphite.address)]);
        let response = admin.get("/api/graphite?metric=rate&target=a.b(c,%22d%22)");
        assert_eq!((response.status, response.text()), (*status, *body));
        let line = graphite.next().line;
        let expected = "GET /render?format=json&from=-120sec&target=a.b%28c%2C%22d%22%29&until=-60sec";
        assert_eq!(line, expected);
    });
    let admin = Admin::with(&[NODE]);
    admin.get("/api/graphite?metric=x").expect_error(400, "INVALID_ARG_METRIC");
    admin.get("/api/graphite?metric=rate").expect_error(400, "INVALID_ARG_TARGET");
    admin.get("/api/graphite?metric=rate&target=x").expect_error(500, "INTERNAL_ERROR");
    assert_eq!(admin.get("/render?target=x").status, 404);
}

#[test]
fn graphs_are_relayed() {
    let graphite = Endpoint::answering("200 OK", "[1]");
    let url = format!("--graphite-url=http://me:pass@{}/ignored", graphite.address);
    let admin = Admin::with(&[NODE, &url, "--proxy-graphite"]);
    let request = Request::new("GET", "/render?target=a%20b&x=1").header("X-Mine: 1");
    let response = request.send(admin.http);
    assert_eq!((response.status, response.text()), (200, "[1]"));
    if differences::admin_has_extensions() {
        assert_eq!(response.header("Content-Security-Policy"), Some("default-src 'none'; sandbox"));
    }
    let asked = graphite.next();
    assert_eq!(asked.line, "GET /render?target=a%20b&x=1");
    assert_eq!(asked.header("Authorization"), Some("Basic bWU6cGFzcw=="));
    assert_eq!(asked.header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(asked.header("Host"), Some("nsqd"));
    assert_eq!(asked.header("X-Mine"), Some("1"));
}
