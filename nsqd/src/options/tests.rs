//! The options as a user meets them: typed on a command line, written in a file, shown, refused.

use std::{collections::BTreeSet, io::Write, path::Path};

use nsq::daemon::options::{Kind, Typed};
use serde_json::json;
use tempfile::NamedTempFile;

use super::*;

/// Every flag of NSQ's nsqd 1.3.0 with its key, its default as `GET /config` shows it, and a value unlike it,
/// as typed and as shown. Flags without a key have no shown value.
fn nsq_options() -> Vec<(&'static str, &'static str, ConfigValue, &'static str, ConfigValue)> {
    let text = |text: &str| ConfigValue::Text(text.to_owned());
    let json = ConfigValue::Json;
    let id = json!(node_id_of(&host_name()));
    let second = |seconds: u64| json!(seconds * 1_000_000_000);
    vec![
        ("node-id", "id", json(id), "1023", json(json!(1023))),
        ("log-level", "log_level", json(json!(2)), "FATAL", json(json!(5))),
        ("log-prefix", "log_prefix", text("[nsqd] "), "x ", text("x ")),
        ("tcp-address", "tcp_address", text("0.0.0.0:4150"), "/a/b", text("/a/b")),
        ("http-address", "http_address", text("0.0.0.0:4151"), "", text("")),
        ("https-address", "https_address", text("0.0.0.0:4152"), ":1", text(":1")),
        ("broadcast-address", "broadcast_address", text(&host_name()), "b", text("b")),
        ("broadcast-tcp-port", "broadcast_tcp_port", json(json!(0)), "1", json(json!(1))),
        ("broadcast-http-port", "broadcast_http_port", json(json!(0)), "1", json(json!(1))),
        ("lookupd-tcp-address", "nsqlookupd_tcp_addresses", json(json!([])), "a:1", json(json!(["a:1"]))),
        ("auth-http-address", "auth_http_addresses", json(json!([])), "a:1", json(json!(["a:1"]))),
        ("auth-http-request-method", "auth_http_request_method", text("get"), "post", text("post")),
        (
            "http-client-connect-timeout",
            "http_client_connect_timeout",
            json(second(2)),
            "1m",
            json(second(60)),
        ),
        (
            "http-client-request-timeout",
            "http_client_request_timeout",
            json(second(5)),
            "1m",
            json(second(60)),
        ),
        ("topology-region", "topology_region", text(""), "r", text("r")),
        ("topology-zone", "topology_zone", text(""), "z", text("z")),
        ("data-path", "data_path", text(""), "/tmp", text("/tmp")),
        ("mem-queue-size", "mem_queue_size", json(json!(10000)), "0", json(json!(0))),
        ("max-bytes-per-file", "max_bytes_per_file", json(json!(104857600)), "-1", json(json!(-1))),
        ("sync-every", "sync_every", json(json!(2500)), "1", json(json!(1))),
        ("sync-timeout", "sync_timeout", json(second(2)), "1s", json(second(1))),
        ("queue-scan-selection-count", "queue_scan_selection_count", json(json!(20)), "1", json(json!(1))),
        ("queue-scan-worker-pool-max", "queue_scan_worker_pool_max", json(json!(4)), "1", json(json!(1))),
        ("msg-timeout", "msg_timeout", json(second(60)), "1s", json(second(1))),
        ("max-msg-timeout", "max_msg_timeout", json(second(900)), "1s", json(second(1))),
        ("max-msg-size", "max_msg_size", json(json!(1048576)), "1", json(json!(1))),
        ("max-body-size", "max_body_size", json(json!(5242880)), "1", json(json!(1))),
        ("max-req-timeout", "max_req_timeout", json(second(3600)), "1s", json(second(1))),
        ("max-heartbeat-interval", "max_heartbeat_interval", json(second(60)), "1s", json(second(1))),
        ("max-rdy-count", "max_rdy_count", json(json!(2500)), "1", json(json!(1))),
        ("max-output-buffer-size", "max_output_buffer_size", json(json!(65536)), "1", json(json!(1))),
        ("max-output-buffer-timeout", "max_output_buffer_timeout", json(second(30)), "1s", json(second(1))),
        (
            "min-output-buffer-timeout",
            "min_output_buffer_timeout",
            json(json!(25_000_000)),
            "0",
            json(json!(0)),
        ),
        ("output-buffer-timeout", "output_buffer_timeout", json(json!(250_000_000)), "1s", json(second(1))),
        ("max-channel-consumers", "max_channel_consumers", json(json!(0)), "-1", json(json!(-1))),
        ("statsd-address", "statsd_address", text(""), "a:1", text("a:1")),
        ("statsd-prefix", "statsd_prefix", text("nsq.%s"), "", text("")),
        ("statsd-interval", "statsd_interval", json(second(60)), "1m5s", json(second(65))),
        ("statsd-mem-stats", "statsd_mem_stats", json(json!(true)), "false", json(json!(false))),
        ("statsd-udp-packet-size", "statsd_udp_packet_size", json(json!(508)), "1", json(json!(1))),
        ("statsd-exclude-ephemeral", "statsd_exclude_ephemeral", json(json!(false)), "1", json(json!(true))),
        (
            "e2e-processing-latency-percentile",
            "e2e_processing_latency_percentiles",
            json(json!([])),
            "1.0,0.5",
            json(json!([1, 0.5])),
        ),
        (
            "e2e-processing-latency-window-time",
            "e2e_processing_latency_window_time",
            json(second(600)),
            "1m",
            json(second(60)),
        ),
        ("tls-cert", "tls_cert", text(""), "c", text("c")),
        ("tls-key", "tls_key", text(""), "k", text("k")),
        ("tls-client-auth-policy", "tls_client_auth_policy", text(""), "require", text("require")),
        ("tls-root-ca-file", "tls_root_ca_file", text(""), "c", text("c")),
        ("tls-required", "tls_required", json(json!(0)), "tcp-https", json(json!(1))),
        ("tls-min-version", "tls_min_version", json(json!(769)), "TLS1.3", json(json!(772))),
        ("deflate", "deflate", json(json!(true)), "f", json(json!(false))),
        ("max-deflate-level", "max_deflate_level", json(json!(6)), "9", json(json!(9))),
        ("snappy", "snappy", json(json!(true)), "0", json(json!(false))),
        ("enable-experiment", "enable_experiment", json(json!([])), "any", json(json!(["any"]))),
    ]
}

/// The flags that NSQ has without a key.
const WITHOUT_KEY: [&str; 4] = ["version", "config", "verbose", "worker-id"];

/// What NSQ does not have.
const EXTENSIONS: [&str; 5] =
    ["log-format", "min-free-disk", "requeue-on-disconnect", "sync-topics", "topology-file"];

fn typed(arguments: &[&str]) -> Result<Typed, Stop> {
    PROGRAM.read(arguments.iter().map(OsString::from))
}

fn read(arguments: &[&str]) -> Result<Options, Stop> {
    Options::read(arguments.iter().map(OsString::from))
}

fn file(toml: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(toml.as_bytes()).unwrap();
    file
}

fn config_flag(file: &NamedTempFile) -> String {
    format!("--config={}", file.path().display())
}

fn read_file(toml: &str, arguments: &[&str]) -> Result<Options, Stop> {
    let file = file(toml);
    let config = config_flag(&file);
    read(&[&[config.as_str()], arguments].concat())
}

/// The text after `FATAL: `.
fn fatal_text(result: Result<Options, Stop>) -> String {
    match result {
        Err(Stop::Fatal(text)) => text,
        other => panic!("not a fatal error: {other:?}"),
    }
}

/// The value of that option as `GET /config` would show it.
fn shown(typed: &Typed, flag: &str) -> ConfigValue {
    ConfigValue::from(typed.value(flag).clone())
}

#[test]
fn every_option_of_nsq_has_its_key_and_its_default() {
    let options = Options::default();
    for (flag, key, default, ..) in nsq_options() {
        assert_eq!(PROGRAM.entry(flag).unwrap().file_key().as_deref(), Some(key), "{flag}");
        assert_eq!(options.config_value(key), Some(default), "{key}");
    }
}

#[test]
fn there_are_no_options_but_those_of_nsq_and_the_extensions() {
    let expected: BTreeSet<&str> =
        nsq_options().iter().map(|row| row.0).chain(WITHOUT_KEY).chain(EXTENSIONS).collect();
    assert_eq!(PROGRAM.entries().map(|entry| entry.flag).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_option_can_be_given_by_its_flag() {
    for (flag, _, default, value, expected) in nsq_options() {
        assert_ne!(default, expected, "{flag}");
        for form in [format!("-{flag}={value}"), format!("--{flag}={value}")] {
            assert_eq!(shown(&typed(&[&form]).unwrap(), flag), expected, "{form}");
        }
        if PROGRAM.entry(flag).unwrap().kind.bare().is_none() {
            let apart = typed(&[&format!("--{flag}"), value]).unwrap();
            assert_eq!(shown(&apart, flag), expected, "{flag}");
        }
    }
}

#[test]
fn every_option_can_be_given_by_its_key() {
    for (flag, key, _, value, expected) in nsq_options() {
        let file = file(&format!("{key} = {value:?}\n"));
        assert_eq!(shown(&typed(&[&config_flag(&file)]).unwrap(), flag), expected, "{key}");
    }
}

#[test]
fn options_that_no_file_knows_have_no_config_value() {
    let options = Options::default();
    for key in ["version", "config", "verbose", "worker_id", "node_id", "lookupd_tcp_address", "bogus", ""] {
        assert_eq!(options.config_value(key), None, "{key}");
    }
}

#[test]
fn extensions_are_options_like_any_other() {
    let options = read_file("log_format = 'json'", &["--requeue-on-disconnect=false"]).unwrap();
    assert_eq!((options.log_format, options.requeue_on_disconnect), (LogFormat::Json, false));
    assert_eq!(options.config_value("log_format"), Some(ConfigValue::Text("json".into())));
    assert_eq!(options.config_value("requeue_on_disconnect"), Some(ConfigValue::Json(json!(false))));
}

#[test]
fn a_flag_beats_the_file_and_the_file_the_default() {
    let toml = "mem_queue_size = 5\nmsg_timeout = 1500\nnsqlookupd_tcp_addresses = 'a:1,b:1'\nid = 7";
    let options = read_file(toml, &["--mem-queue-size=10000", "--lookupd-tcp-address=c:1"]).unwrap();
    assert_eq!(options.mem_queue_size, 10_000, "the flag repeats the default and still beats the file");
    assert_eq!(options.msg_timeout, Duration::from_millis(1500));
    assert_eq!(options.nsqlookupd_tcp_addresses, ["c:1"]);
    assert_eq!(options.node_id, 7);
    assert_eq!(options.max_msg_size, 1_048_576);
}

#[test]
fn repeated_flags_add_to_lists_and_otherwise_the_last_wins() {
    let percentile = "--e2e-processing-latency-percentile";
    let options = read(&[
        "--lookupd-tcp-address=b:1",
        "--lookupd-tcp-address=a:1,x",
        "--sync-every=1",
        "--sync-every=2",
        "--deflate=false",
        "--deflate",
        percentile,
        "0.5,1.0",
        percentile,
        "0.99",
    ])
    .unwrap();
    assert_eq!(options.nsqlookupd_tcp_addresses, ["b:1", "a:1,x"]);
    assert_eq!((options.sync_every, options.deflate), (2, true));
    assert_eq!(options.e2e_processing_latency_percentiles, [1.0, 0.99, 0.5]);
}

#[test]
fn percentiles_of_a_file_keep_their_order() {
    let options = read_file("e2e_processing_latency_percentiles = [0.5, 1]", &[]).unwrap();
    assert_eq!(options.e2e_processing_latency_percentiles, [0.5, 1.0]);
}

#[test]
fn the_first_positional_argument_ends_the_flags() {
    let options = read(&["--sync-every=1", "--deflate", "false", "--sync-every=2", "--bogus"]).unwrap();
    assert_eq!((options.sync_every, options.deflate), (1, true));
}

#[test]
fn unknown_keys_tables_and_their_contents_are_ignored() {
    let toml =
        "bogus = 1\nnode_id = 5000\nverbose = 'x'\nconfig = 5\n\n[nsqd]\nmem_queue_size = 5\n\n[id]\nx = 1";
    assert_eq!(read_file(toml, &[]).unwrap().mem_queue_size, 10_000);
}

#[test]
fn a_wrong_command_line_is_one_clear_line_and_a_hint() {
    for (arguments, part) in [
        (&["--bogus"][..], "'--bogus'"),
        (&["-bogus=1"], "'--bogus'"),
        (&["--mem-queue-size=x"], "'x' for '--mem-queue-size <int>': not a whole number"),
        (&["--deflate=yes"], "'yes' for '--deflate[=<bool>]': neither true nor false"),
        (&["--msg-timeout=5"], "missing unit"),
        (&["--worker-id=5"], "'5' for '--worker-id[=<bool>]'"),
        (&["--log-level=warning"], "not one of debug, info, warn, error, fatal"),
        (&["--tls-min-version=ssl3.0"], "not one of tls1.0"),
        (&["--tls-required=maybe"], "not one of true, false, tcp-https"),
        (&["--e2e-processing-latency-percentile=0.5,x"], "\"x\" is not a number"),
        (&["--mem-queue-size"], "needs an argument: --mem-queue-size"),
        (&["---x"], "bad flag syntax: ---x"),
        (&["--version", "--bogus"], "'--bogus'"),
        (&["--log-level="], "--log-level"),
    ] {
        let Err(Stop::Usage(text)) = read(arguments) else { panic!("{arguments:?} was not refused") };
        assert!(text.starts_with("error: ") && text.contains(part), "{text}");
        assert!(text.contains("For more information, try '--help'."), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let argument = OsString::from_vec(b"--data-path=\xff".to_vec());
    assert!(matches!(Options::read([argument]), Err(Stop::Usage(_))));
}

#[test]
fn help_names_every_option() {
    for help in ["-h", "-help", "--help"] {
        let Err(Stop::Answer(text)) = read(&[help, "--bogus"]) else { panic!("{help} was not answered") };
        for flag in nsq_options().iter().map(|row| row.0).chain(WITHOUT_KEY).chain(EXTENSIONS) {
            assert!(text.contains(&format!("--{flag}")), "{flag}");
        }
    }
}

#[test]
fn version_is_that_of_nsq() {
    let Err(Stop::Answer(text)) = read(&["--version", "--config=/no/such/file"]) else {
        panic!("not answered")
    };
    assert!(text.starts_with("nsqd v1.3.0 (built w/"), "{text}");
    assert!(read(&["--version=false"]).is_ok());
}

#[test]
fn what_nsq_refuses_is_refused_in_its_words() {
    for (arguments, text) in [
        (&["--max-deflate-level=0"][..], "--max-deflate-level must be [1,9]"),
        (&["--max-deflate-level=10", "--node-id=1024"], "--max-deflate-level must be [1,9]"),
        (&["--node-id=1024"], "--node-id must be [0,1024)"),
        (&["--node-id=-1"], "--node-id must be [0,1024)"),
        (&["--node-id=70000"], "--node-id must be [0,1024)"),
        (&["--tls-required"], "cannot require TLS client connections without TLS key and cert"),
        (&["--tls-required=tcp-https"], "cannot require TLS client connections without TLS key and cert"),
        (&["--tls-client-auth-policy=x"], "cannot require TLS client connections without TLS key and cert"),
        (&["--auth-http-request-method=GET"], "--auth-http-request-method must be post or get"),
        (&["--e2e-processing-latency-percentile=1.5"], "invalid E2E processing latency percentile: 1.5"),
        (&["--e2e-processing-latency-percentile=0"], "invalid E2E processing latency percentile: 0"),
        (&["--e2e-processing-latency-percentile=nan"], "invalid E2E processing latency percentile: NaN"),
    ] {
        assert_eq!(
            fatal_text(read(arguments)),
            format!("failed to instantiate nsqd - {text}"),
            "{arguments:?}"
        );
    }
}

#[test]
fn what_nsq_crashes_on_later_is_refused_at_the_start() {
    for (arguments, text) in [
        (&["--output-buffer-timeout=0"][..], "--output-buffer-timeout must be > 0"),
        (&["--sync-timeout=-1s"], "--sync-timeout must be > 0"),
        (&["--min-free-disk=-2"], "--min-free-disk must be >= -1"),
        (&["--mem-queue-size=-1"], "--mem-queue-size must be >= 0"),
        (&["--statsd-address=a:1", "--statsd-interval=1s"], "--statsd-interval must be > 1s"),
        (&["--max-msg-timeout=-1s"], "--max-msg-timeout must be >= 0"),
        (&["--broadcast-tcp-port=65536"], "--broadcast-tcp-port must be [0,65536)"),
        (&["--log-format=xml"], "--log-format must be text or json"),
        (&["--tcp-address="], "--tcp-address must not be empty"),
    ] {
        assert_eq!(
            fatal_text(read(arguments)),
            format!("failed to instantiate nsqd - {text}"),
            "{arguments:?}"
        );
    }
    assert!(read(&["--statsd-interval=1s"]).is_ok(), "without a statsd the interval does not matter");
}

#[test]
fn files_of_tls_that_are_of_no_use_are_refused_with_their_name() {
    for arguments in [
        &["--tls-cert=nowhere/c", "--tls-key=k"][..],
        &["--tls-required", "--tls-cert=nowhere/c", "--tls-key=k"],
        &["--tls-cert=nowhere/c"],
    ] {
        let text = fatal_text(read(arguments));
        let expected = "failed to instantiate nsqd - failed to build TLS config - nowhere/c: ";
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    for path in ["/no/such/file", "/"] {
        let text = fatal_text(read(&[&format!("--config={path}")]));
        let cause = if path == "/" {
            "read /: is a directory"
        } else {
            "open /no/such/file: no such file or directory"
        };
        assert_eq!(text, format!("failed to load config file {path} - {cause}"));
    }
    let text = fatal_text(read_file("id = 1\n\nx =\n", &[]));
    assert!(text.starts_with("failed to load config file ") && text.contains(" - toml: line 3: "), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn values_of_a_file_that_make_no_sense_are_refused() {
    for (toml, arguments, text) in [
        ("tls_required = 'bogus'", &[][..], "failed parsing tls_required bogus"),
        ("tls_min_version = 'tls9'", &[], "failed parsing tls_min_version tls9"),
        ("log_level = 'bogus'", &[], "failed parsing log_level bogus"),
        ("log_level = 3", &[], "failed parsing log_level 3"),
        ("log_level = 'bogus'", &["--log-level=info"], "failed parsing log_level bogus"),
        ("mem_queue_size = 'x'", &[], "failed to coerce value x for mem_queue_size - not a whole number"),
        (
            "msg_timeout = true",
            &[],
            "failed to coerce value true for msg_timeout - boolean cannot stand for duration",
        ),
        ("id = 1024", &[], "failed to instantiate nsqd - --node-id must be [0,1024)"),
    ] {
        assert_eq!(fatal_text(read_file(toml, arguments)), text, "{toml}");
    }
    assert!(
        read_file("mem_queue_size = 'x'", &["--mem-queue-size=5"]).is_ok(),
        "the flag makes it irrelevant"
    );
}

#[test]
fn whole_numbers_for_booleans_mean_what_they_say() {
    let options = read_file("deflate = 0\nsnappy = 1\nstatsd_exclude_ephemeral = 1", &[]).unwrap();
    assert_eq!((options.deflate, options.snappy, options.statsd_exclude_ephemeral), (false, true, true));
}

#[test]
fn ports_and_prefix_are_put_in_once_the_listeners_are_bound() {
    let mut options = Options { broadcast_address: "a.b:c".into(), ..Options::default() };
    options.bound(Some(4150), Some(4151));
    assert_eq!((options.broadcast_tcp_port, options.broadcast_http_port), (4150, 4151));
    assert_eq!(options.statsd_prefix, "nsq.[a_b_c]_4151.");

    let mut options = Options { broadcast_tcp_port: 1, broadcast_http_port: 2, ..Options::default() };
    options.statsd_prefix = String::new();
    options.bound(Some(4150), None);
    assert_eq!((options.broadcast_tcp_port, options.broadcast_http_port), (1, 2));
    assert_eq!(options.statsd_prefix, "");
}

#[test]
fn statsd_prefixes_name_the_host() {
    assert_eq!(statsd_prefix("nsq.%s", "vm", 38249), "nsq.vm_38249.");
    assert_eq!(statsd_prefix("%s.%s.", "10.0.0.1", 1), "10_0_0_1_1.10_0_0_1_1.");
    assert_eq!(statsd_prefix("plain", "vm", 1), "plain.");
}

#[test]
fn the_level_can_be_read_again_from_the_file() {
    let mut file = file("log_level = 'debug'\n");
    let options = read(&[&config_flag(&file)]).unwrap();
    assert_eq!(options.log_level, Level::Debug);
    file.as_file_mut().set_len(0).unwrap();
    assert_eq!(options.reread_log_level(), Ok(None));
    std::fs::write(file.path(), "log_level = 'error'").unwrap();
    assert_eq!(options.reread_log_level(), Ok(Some(Level::Error)));
    std::fs::write(file.path(), "log_level = 'bogus'").unwrap();
    assert!(options.reread_log_level().is_err());
    assert_eq!(Options::default().reread_log_level(), Ok(None));
}

#[test]
fn the_node_id_is_the_one_nsq_derives_from_the_hosts_name() {
    // What NSQ's own nsqd logs on a host of that name.
    assert_eq!(node_id_of("vm"), 617);
}

#[test]
fn an_empty_data_path_is_the_current_directory() {
    assert_eq!(Options::default().data_dir(), Path::new("."));
    assert_eq!(read(&["--data-path=/tmp"]).unwrap().data_dir(), Path::new("/tmp"));
}

#[test]
fn flags_that_stand_alone_need_no_value_and_the_others_do() {
    for entry in PROGRAM.entries() {
        let stands_alone = matches!(entry.kind, Kind::Bool) || entry.flag == "tls-required";
        assert_eq!(entry.kind.bare().is_some(), stands_alone, "{}", entry.flag);
    }
}

/// Set `UPDATE_DOCS=1` to write the reference anew.
#[test]
fn the_reference_in_the_documents_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/options.md");
    let text = format!("{REFERENCE_HEAD}\n{}", PROGRAM.reference());
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let present = std::fs::read_to_string(&path).unwrap();
    assert!(present == text, "docs/options.md is stale: run the tests with UPDATE_DOCS=1");
}

const REFERENCE_HEAD: &str = "\
# Options

Made from the programs' own declarations; the text of `--help` is the same.

An option is what its flag says, else what the configuration file (`--config`) says, else its default. No
environment variable is looked at.

- Flags: `-flag=value`, `--flag=value` or `--flag value`. Booleans and `--tls-required` may stand alone, which means
  `true`, and take a value only behind `=`. The last use of a flag wins, except that lists and numbers add up. The first
  argument that is no flag ends the flags; it and all that follow are ignored.
- The file is flat TOML. Unknown keys and all tables are ignored. Durations are text (`\"1h30m\"`) or whole
  milliseconds; lists are arrays or comma-separated text; numbers and booleans may be text.
- Durations: `ns`, `us`, `ms`, `s`, `m`, `h`, as in `1m30s`.
- An option marked with * is accepted and does nothing here.
";
