//! /config: nsqd-http.md §6, with every option of nsqd-operation.md §2.

use nsq_tests::{Daemon, each, shared};

#[test]
fn every_option_has_its_default() {
    let daemon = Daemon::start();
    let hostname = daemon.get("/info").json()["hostname"].as_str().expect("it is text").to_owned();
    let (tcp, http) = (daemon.tcp.port(), daemon.http.port());
    let data_path = daemon.directory().display().to_string();
    let text = |value: &str| (true, value.to_owned());
    let json = |value: &str| (false, value.to_owned());
    let prefix = format!("nsq.{}_{http}.", hostname.replace('.', "_"));
    each(
        [
            ("log_level", json("2")),
            ("log_prefix", text("[nsqd] ")),
            ("tcp_address", text("127.0.0.1:0")),
            ("http_address", text("127.0.0.1:0")),
            ("https_address", text("0.0.0.0:4152")),
            ("broadcast_address", text(&hostname)),
            ("broadcast_tcp_port", json(&tcp.to_string())),
            ("broadcast_http_port", json(&http.to_string())),
            ("nsqlookupd_tcp_addresses", json("[]")),
            ("auth_http_addresses", json("[]")),
            ("auth_http_request_method", text("get")),
            ("http_client_connect_timeout", json("2000000000")),
            ("http_client_request_timeout", json("5000000000")),
            ("topology_region", text("")),
            ("topology_zone", text("")),
            ("data_path", text(&data_path)),
            ("mem_queue_size", json("10000")),
            ("max_bytes_per_file", json("104857600")),
            ("sync_every", json("2500")),
            ("sync_timeout", json("2000000000")),
            ("queue_scan_worker_pool_max", json("4")),
            ("queue_scan_selection_count", json("20")),
            ("msg_timeout", json("60000000000")),
            ("max_msg_timeout", json("900000000000")),
            ("max_msg_size", json("1048576")),
            ("max_body_size", json("5242880")),
            ("max_req_timeout", json("3600000000000")),
            ("max_heartbeat_interval", json("60000000000")),
            ("max_rdy_count", json("2500")),
            ("max_output_buffer_size", json("65536")),
            ("max_output_buffer_timeout", json("30000000000")),
            ("min_output_buffer_timeout", json("25000000")),
            ("output_buffer_timeout", json("250000000")),
            ("max_channel_consumers", json("0")),
            ("statsd_address", text("")),
            ("statsd_prefix", text(&prefix)),
            ("statsd_interval", json("60000000000")),
            ("statsd_mem_stats", json("true")),
            ("statsd_udp_packet_size", json("508")),
            ("statsd_exclude_ephemeral", json("false")),
            ("e2e_processing_latency_percentiles", json("[]")),
            ("e2e_processing_latency_window_time", json("600000000000")),
            ("tls_cert", text("")),
            ("tls_key", text("")),
            ("tls_client_auth_policy", text("")),
            ("tls_root_ca_file", text("")),
            ("tls_required", json("0")),
            ("tls_min_version", json("769")),
            ("deflate", json("true")),
            ("snappy", json("true")),
            ("max_deflate_level", json("6")),
            ("enable_experiment", json("[]")),
        ],
        |(name, (is_text, value))| {
            let response = daemon.get(&format!("/config/{name}"));
            assert_eq!((response.status, response.text()), (200, value.as_str()));
            response.expect_version_header();
            let content_type = match (is_text, value.as_str()) {
                (_, "") => return,
                (true, _) => "text/plain; charset=utf-8",
                (false, _) => "application/json; charset=utf-8",
            };
            assert_eq!(response.header("Content-Type"), Some(content_type));
        },
    );
    let id: u16 = daemon.get("/config/id").text().parse().expect("the node's id is a number");
    assert!(id < 1024);
}

#[test]
fn every_flag_is_taken() {
    let directory = nsq_tests::daemon::new_directory();
    let data_path = format!("--data-path={}", directory.path().display());
    let daemon = Daemon::with(&[
        &data_path,
        "-log-level=DEBUG",
        "-log-prefix=[x] ",
        "--node-id",
        "7",
        "--https-address=",
        "--broadcast-address=a.b",
        "--broadcast-tcp-port=11",
        "--broadcast-http-port=12",
        "--auth-http-request-method=post",
        "--http-client-connect-timeout=1s",
        "--http-client-request-timeout=1m30s",
        "--topology-region=r",
        "--topology-zone=z",
        "--mem-queue-size=1",
        "--max-bytes-per-file=1000",
        "--sync-every=3",
        "--sync-timeout=1ms",
        "--queue-scan-worker-pool-max=2",
        "--queue-scan-selection-count=3",
        "--msg-timeout=1.5s",
        "--max-msg-timeout=1h",
        "--max-msg-size=10",
        "--max-body-size=20",
        "--max-req-timeout=1us",
        "--max-heartbeat-interval=1m",
        "--max-rdy-count=4",
        "--max-output-buffer-size=5",
        "--max-output-buffer-timeout=100ms",
        "--min-output-buffer-timeout=1ms",
        "--output-buffer-timeout=2ms",
        "--max-channel-consumers=6",
        "--statsd-prefix=p_%s_%s",
        "--statsd-interval=2s",
        "--statsd-mem-stats=false",
        "--statsd-udp-packet-size=100",
        "--statsd-exclude-ephemeral",
        "--e2e-processing-latency-percentile=0.5,0.99",
        "--e2e-processing-latency-percentile=0.75",
        "--e2e-processing-latency-window-time=1m",
        "--tls-required=0",
        "--tls-min-version=TLS1.2",
        "--deflate=false",
        "--snappy=F",
        "--max-deflate-level=9",
        "--enable-experiment=topology-aware-consumption",
        "--enable-experiment=unknown",
        "--verbose",
        "--worker-id",
    ]);
    let prefix = "p_a_b_12_a_b_12.";
    each(
        [
            ("log_level", "1"),
            ("log_prefix", "[x] "),
            ("id", "7"),
            ("https_address", ""),
            ("broadcast_address", "a.b"),
            ("broadcast_tcp_port", "11"),
            ("broadcast_http_port", "12"),
            ("auth_http_request_method", "post"),
            ("http_client_connect_timeout", "1000000000"),
            ("http_client_request_timeout", "90000000000"),
            ("topology_region", "r"),
            ("topology_zone", "z"),
            ("data_path", &directory.path().display().to_string()),
            ("mem_queue_size", "1"),
            ("max_bytes_per_file", "1000"),
            ("sync_every", "3"),
            ("sync_timeout", "1000000"),
            ("queue_scan_worker_pool_max", "2"),
            ("queue_scan_selection_count", "3"),
            ("msg_timeout", "1500000000"),
            ("max_msg_timeout", "3600000000000"),
            ("max_msg_size", "10"),
            ("max_body_size", "20"),
            ("max_req_timeout", "1000"),
            ("max_heartbeat_interval", "60000000000"),
            ("max_rdy_count", "4"),
            ("max_output_buffer_size", "5"),
            ("max_output_buffer_timeout", "100000000"),
            ("min_output_buffer_timeout", "1000000"),
            ("output_buffer_timeout", "2000000"),
            ("max_channel_consumers", "6"),
            ("statsd_prefix", prefix),
            ("statsd_interval", "2000000000"),
            ("statsd_mem_stats", "false"),
            ("statsd_udp_packet_size", "100"),
            ("statsd_exclude_ephemeral", "true"),
            ("e2e_processing_latency_percentiles", "[0.99,0.75,0.5]"),
            ("e2e_processing_latency_window_time", "60000000000"),
            ("tls_required", "0"),
            ("tls_min_version", "771"),
            ("deflate", "false"),
            ("snappy", "false"),
            ("max_deflate_level", "9"),
            ("enable_experiment", "[\"topology-aware-consumption\",\"unknown\"]"),
        ],
        |(name, value)| assert_eq!(daemon.get(&format!("/config/{name}")).text(), *value),
    );
}

#[test]
fn what_is_not_an_option_is_refused() {
    let daemon = shared();
    let names = [
        "version",
        "config",
        "verbose",
        "worker_id",
        "node_id",
        "node-id",
        "lookupd_tcp_address",
        "auth_http_address",
        "e2e_processing_latency_percentile",
        "queue_scan_interval",
        "LOG_LEVEL",
        "nothing",
    ];
    each(names, |name| {
        daemon.get(&format!("/config/{name}")).expect_error(400, "INVALID_OPTION");
        daemon.put(&format!("/config/{name}"), "x").expect_error(400, "INVALID_OPTION");
    });
}

#[test]
fn only_two_options_can_be_changed() {
    let daemon = shared();
    each(["id", "mem_queue_size", "max_rdy_count", "data_path", "tls_required"], |name| {
        daemon.put(&format!("/config/{name}"), "1").expect_error(400, "INVALID_OPTION");
    });
}

#[test]
fn a_value_has_a_length() {
    let daemon = Daemon::with(&["--max-msg-size=30"]);
    for name in ["log_level", "nsqlookupd_tcp_addresses", "nothing"] {
        daemon.put(&format!("/config/{name}"), "").expect_error(413, "INVALID_VALUE");
        daemon.put(&format!("/config/{name}"), "x".repeat(31)).expect_error(413, "INVALID_VALUE");
    }
    daemon.put("/config/log_level", "x".repeat(30)).expect_error(400, "INVALID_VALUE");
}

#[test]
fn the_log_level_can_be_changed() {
    let daemon = Daemon::start();
    let rows = [("debug", "1"), ("info", "2"), ("warn", "3"), ("error", "4"), ("fatal", "5"), ("DeBuG", "1")];
    each(rows, |(word, number)| {
        let response = daemon.put("/config/log_level", word);
        assert_eq!(response.expect_json(), *number);
        assert_eq!(daemon.get("/config/log_level").expect_json(), *number);
    });
    each(["warning", "\"info\"", "info\n", " info", "2", "none"], |word| {
        daemon.put("/config/log_level", word).expect_error(400, "INVALID_VALUE");
    });
    assert_eq!(daemon.get("/config/log_level").text(), "1", "a refused value changes nothing");
}

#[test]
fn a_changed_log_level_takes_effect_at_once() {
    let daemon = Daemon::start();
    let count = |text: &str| daemon.process().log_lines().iter().filter(|line| line.contains(text)).count();
    daemon.put("/config/log_level", "error").expect_json();
    daemon.get("/ping");
    daemon.put("/config/log_level", "info").expect_json();
    daemon.get("/info");
    daemon.process().wait_for_log("the request", |line| line.contains("GET /info"));
    assert_eq!(count("GET /ping"), 0);
}

#[test]
fn the_lookup_addresses_can_be_changed() {
    let daemon = Daemon::start();
    let name = "/config/nsqlookupd_tcp_addresses";
    each(
        [
            ("one", "[\"127.0.0.1:1\"]", "[\"127.0.0.1:1\"]"),
            ("two", " [ \"127.0.0.1:1\" , \"127.0.0.1:2\" ] ", "[\"127.0.0.1:1\",\"127.0.0.1:2\"]"),
            ("none", "[]", "[]"),
            ("null", "null", "null"),
        ],
        |(_, value, shown)| {
            assert_eq!(daemon.put(name, value).expect_json(), *shown);
            assert_eq!(daemon.get(name).expect_json(), *shown);
        },
    );
    each(["127.0.0.1:1", "\"127.0.0.1:1\"", "[1]", "{}", "[", "[\"a\"] x"], |value| {
        daemon.put(name, value).expect_error(400, "INVALID_VALUE");
    });
}

#[test]
fn a_change_does_not_outlive_the_daemon() {
    let daemon = Daemon::start();
    daemon.put("/config/log_level", "debug").expect_json();
    assert_eq!(daemon.restart().get("/config/log_level").text(), "2");
}
