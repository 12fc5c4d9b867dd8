//! Nodes that speak HTTPS only: nsqadmin.md §3, the upstream client.

use nsq_tests::certificates::Authority;
use nsq_tests::http::Request;
use nsq_tests::{Admin, Daemon};

#[test]
fn a_node_that_wants_tls_is_asked_over_it() {
    let authority = Authority::new();
    authority.issue("admin");
    let mut flags = authority.flags();
    flags.extend(
        ["--tls-required=true", "--broadcast-address=localhost", "--tls-client-auth-policy=require-verify"]
            .map(str::to_owned),
    );
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let node = Daemon::with(&flags);
    let make = Request::new("POST", "/topic/create?topic=t");
    make.send_tls(node.https(), authority.client(Some((&authority, "admin")))).expect_empty();
    let asks = format!("--nsqd-http-address=localhost:{}", node.http.port());
    let path = |file: &str| authority.path(file).display().to_string();
    let shows = [
        format!("--http-client-tls-cert={}", path("admin.pem")),
        format!("--http-client-tls-key={}", path("admin.key")),
    ];
    let trusts = format!("--http-client-tls-root-ca-file={}", path("ca.pem"));
    let anybody = "--http-client-tls-insecure-skip-verify".to_owned();
    for believes in [trusts.clone(), anybody] {
        let admin = Admin::with(&[asks.clone(), shows[0].clone(), shows[1].clone(), believes]);
        assert_eq!(admin.told("/api/topics")["topics"][0], "t");
        admin.act("POST", "/api/topics/t", r#"{"action":"pause"}"#);
        assert_eq!(admin.told("/api/topics/t")["paused"], true);
    }
    // Neither one whom nobody vouches for, nor without a certificate.
    for flags in [vec![asks.clone(), shows[0].clone(), shows[1].clone()], vec![asks, trusts]] {
        assert_eq!(Admin::with(&flags).get("/api/topics").status, 502);
    }
}
