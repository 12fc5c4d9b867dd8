//! `/config/:opt`: nsqadmin.md §5.

use nsq_tests::{Admin, differences, each};

fn admin(flags: &[&str]) -> Admin {
    Admin::with(&[&["--lookupd-http-address=127.0.0.1:1"], flags].concat())
}

#[test]
fn every_option_is_shown_by_its_key() {
    let admin = admin(&["--admin-user=ann"]);
    let rows = [
        ("log_level", "2"),
        ("log_prefix", "[nsqadmin] "),
        ("base_path", "/"),
        ("nsqlookupd_http_addresses", r#"["127.0.0.1:1"]"#),
        ("nsqd_http_addresses", "[]"),
        ("graphite_url", ""),
        ("proxy_graphite", "false"),
        ("statsd_interval", "60000000000"),
        ("http_client_request_timeout", "5000000000"),
        ("allow_config_from_cidr", "127.0.0.1/8"),
        ("acl_http_header", "X-Forwarded-User"),
        ("admin_users", r#"["ann"]"#),
    ];
    each(rows, |(option, value)| {
        let response = admin.get(&format!("/config/{option}"));
        assert_eq!((response.status, response.text()), (200, *value));
        response.expect_version_header();
    });
    each(["lookupd_http_address", "nope", "config", "version"], |option| {
        admin.get(&format!("/config/{option}")).expect_error(400, "INVALID_OPTION");
    });
}

#[test]
fn two_options_can_be_changed() {
    let admin = admin(&[]);
    for (body, value) in [("DEBUG", "1"), ("error", "4"), ("info", "2")] {
        assert_eq!(admin.send("PUT", "/config/log_level", body).text(), value);
    }
    let addresses = r#"["127.0.0.1:2","x"]"#;
    assert_eq!(admin.send("PUT", "/config/nsqlookupd_http_addresses", addresses).text(), addresses);
    assert_eq!(admin.get("/config/nsqlookupd_http_addresses").text(), addresses);
    if differences::admin_has_extensions() {
        let settings = admin.get("/api/settings").json();
        assert_eq!(settings["nsqlookupd"], serde_json::json!(["127.0.0.1:2", "x"]));
    }
    assert_eq!(admin.send("PUT", "/config/nsqlookupd_http_addresses", "[]").text(), "[]");
    assert_eq!(admin.get("/api/topics").status, 502);
    for (option, body, status, code) in [
        ("log_level", "loud", 400, "INVALID_VALUE"),
        ("log_level", "", 413, "INVALID_VALUE"),
        ("nsqlookupd_http_addresses", "x", 400, "INVALID_VALUE"),
        ("base_path", "/x", 400, "INVALID_OPTION"),
        ("nope", "x", 400, "INVALID_OPTION"),
    ] {
        admin.send("PUT", &format!("/config/{option}"), body).expect_error(status, code);
    }
    let long = "x".repeat(1024 * 1024 + 1);
    admin.send("PUT", "/config/log_level", &long).expect_error(413, "INVALID_VALUE");
}

#[test]
fn only_some_addresses_may_use_it() {
    let refusing = admin(&["--allow-config-from-cidr=10.0.0.0/8"]);
    refusing.get("/config/log_level").expect_error(403, "FORBIDDEN");
    refusing.send("PUT", "/config/log_level", "debug").expect_error(403, "FORBIDDEN");
    assert_eq!(admin(&["--allow-config-from-cidr="]).get("/config/log_level").status, 200);
}
