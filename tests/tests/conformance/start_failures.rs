//! Why a daemon does not start, in the order in which it finds out: nsqd-operation.md §3.

use std::net::TcpListener;

use nsq_tests::certificates::Authority;
use nsq_tests::daemon::new_directory;
use nsq_tests::process::{Ended, Process};
use nsq_tests::{Daemon, differences, each};

/// Starts with these flags, and ports and data of its own where they say nothing.
fn start(flags: &[String]) -> Ended {
    let directory = new_directory();
    let mut arguments = vec![
        "--tcp-address=127.0.0.1:0".to_owned(),
        "--http-address=127.0.0.1:0".to_owned(),
        format!("--data-path={}", directory.path().display()),
    ];
    arguments.extend_from_slice(flags);
    Process::start(&arguments).wait()
}

/// What the program said last must be a FATAL line; gives what stands behind the word.
fn fatal(ended: &Ended) -> &str {
    assert_eq!(ended.status.code(), Some(1), "{:?}", ended.log);
    let line = ended.log.last().expect("it said something");
    let (head, text) = line.split_once(" FATAL: ").unwrap_or_else(|| panic!("{:?} is not FATAL", ended.log));
    assert!(head.starts_with("[nsqd] "), "{line}");
    text
}

/// The same without the advice behind it, which the original does not give.
fn cause(ended: &Ended) -> &str {
    fatal(ended).split("; ").next().unwrap_or_default()
}

#[test]
fn an_option_out_of_range_is_fatal() {
    let not_started = "failed to instantiate nsqd - ";
    each(
        [
            ("--max-deflate-level=0", "--max-deflate-level must be [1,9]"),
            ("--max-deflate-level=10", "--max-deflate-level must be [1,9]"),
            ("--node-id=-1", "--node-id must be [0,1024)"),
            ("--node-id=1024", "--node-id must be [0,1024)"),
            ("--auth-http-request-method=GET", "--auth-http-request-method must be post or get"),
            ("--e2e-processing-latency-percentile=1.5", "invalid E2E processing latency percentile: 1.5"),
            ("--e2e-processing-latency-percentile=0", "invalid E2E processing latency percentile: 0"),
            ("--tls-required=true", "cannot require TLS client connections without TLS key and cert"),
            ("--tls-required=tcp-https", "cannot require TLS client connections without TLS key and cert"),
            (
                "--tls-client-auth-policy=require",
                "cannot require TLS client connections without TLS key and cert",
            ),
        ],
        |(flag, text)| {
            let ended = start(&[(*flag).to_owned(), "--log-prefix=[other] ".to_owned()]);
            assert_eq!(fatal(&ended), format!("{not_started}{text}"));
        },
    );
}

#[test]
fn files_that_are_missing_are_fatal() {
    each(
        [("--config=/nonexistent/nsqd.toml", "failed to load config file /nonexistent/nsqd.toml - ")],
        |(flag, text)| {
            let ended = start(&[(*flag).to_owned()]);
            let said = fatal(&ended);
            assert!(said.starts_with(text) && said.len() > text.len(), "{said}");
        },
    );
    let ended = start(&["--data-path=/nonexistent/data".to_owned()]);
    let expected = "failed to instantiate nsqd - failed to lock data-path: open /nonexistent/data: no such file or directory";
    assert_eq!(cause(&ended), expected);
}

#[test]
fn a_config_file_with_a_bad_value_is_fatal() {
    let directory = new_directory();
    let path = directory.path().join("nsqd.toml");
    each(
        [
            ("log_level = \"bogus\"", "failed parsing log_level bogus".to_owned()),
            ("tls_required = \"bogus\"", "failed parsing tls_required bogus".to_owned()),
            ("tls_min_version = \"tls9\"", "failed parsing tls_min_version tls9".to_owned()),
            ("max_rdy_count = ", format!("failed to load config file {} - ", path.display())),
            ("no toml", format!("failed to load config file {} - ", path.display())),
        ],
        |(text, expected)| {
            std::fs::write(&path, text).expect("the directory is ours");
            let ended = start(&[format!("--config={}", path.display())]);
            let said = fatal(&ended);
            assert!(said.starts_with(expected), "{said}");
            if !expected.ends_with(" - ") {
                assert_eq!(said, expected);
            }
        },
    );
}

#[test]
fn a_data_directory_has_one_daemon() {
    let daemon = Daemon::start();
    let directory = daemon.directory().display().to_string();
    let ended = start(&[format!("--data-path={directory}")]);
    let expected = format!(
        "failed to instantiate nsqd - failed to lock data-path: cannot flock directory {directory} - \
         resource temporarily unavailable (possibly in use by another instance of nsqd)"
    );
    assert_eq!(cause(&ended), expected);
    daemon.publish("t", b"the first one is not disturbed");
}

#[test]
fn an_address_in_use_is_fatal() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound");
    each(["tcp", "http"], |listener| {
        let ended = start(&[format!("--{listener}-address={address}")]);
        let said = cause(&ended);
        let expected = format!("failed to instantiate nsqd - listen ({address}) failed - ");
        assert!(said.starts_with(&expected) && said.ends_with("address already in use"), "{said}");
    });
}

#[test]
fn a_socket_file_that_is_there_is_fatal() {
    let directory = new_directory();
    let path = directory.path().join("nsqd.sock");
    let daemon = Daemon::with(&[&format!("--tcp-address={}", path.display())]);
    daemon.kill();
    assert!(path.exists(), "a killed daemon leaves its socket file");
    let ended = start(&[format!("--tcp-address={}", path.display())]);
    let said = cause(&ended);
    let expected = format!("failed to instantiate nsqd - listen ({}) failed - ", path.display());
    assert!(said.starts_with(&expected) && said.ends_with("address already in use"), "{said}");
}

#[test]
fn what_can_be_done_about_it_is_said() {
    if differences::is_original() {
        return;
    }
    let authority = Authority::new();
    let tls: Vec<String> = authority.flags().into_iter().filter(|flag| !flag.contains("https")).collect();
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound");
    let directory = new_directory();
    let (file, in_the_way) = (directory.path().join("nsqd.sock"), directory.path().join("spill"));
    for path in [&file, &in_the_way] {
        std::fs::write(path, "").expect("the directory is ours");
    }
    let another = |flag: &str| {
        format!("if another nsqd runs, stop it, or choose another address with --{flag}-address=HOST:PORT")
    };
    each(
        [
            ("tcp port", vec![format!("--tcp-address={address}")], another("tcp")),
            ("http port", vec![format!("--http-address={address}")], another("http")),
            ("https port", [tls, vec![format!("--https-address={address}")]].concat(), another("https")),
            (
                "socket file",
                vec![format!("--tcp-address={}", file.display())],
                "remove it, or choose another with --tcp-address=PATH".to_owned(),
            ),
            (
                "an address of elsewhere",
                vec!["--tcp-address=192.0.2.1:1".to_owned()],
                "choose another address with --tcp-address=HOST:PORT".to_owned(),
            ),
            (
                "no directory",
                vec!["--data-path=/nonexistent/data".to_owned()],
                "make it, or choose another directory with --data-path=DIR".to_owned(),
            ),
            (
                "no place for the store",
                vec![format!("--data-path={}", directory.path().display())],
                "as write there, or choose another directory with --data-path=DIR".to_owned(),
            ),
        ],
        |(_, flags, advice)| {
            let ended = start(flags);
            let said = fatal(&ended);
            assert!(said.contains("; ") && said.ends_with(advice), "{said}");
        },
    );
}

#[test]
fn metadata_that_cannot_be_read_is_fatal() {
    each(
        [("empty", ""), ("cut off", "{\"topics\":["), ("no JSON", "nonsense"), ("a list", "[]")],
        |(_, text)| {
            let directory = new_directory();
            let path = directory.path().join("nsqd.dat");
            std::fs::write(&path, text).expect("the directory is ours");
            let ended = start(&[format!("--data-path={}", directory.path().display())]);
            let expected =
                format!("failed to load metadata - failed to parse metadata in {} - ", path.display());
            assert!(fatal(&ended).starts_with(&expected), "{:?}", ended.log);
            let has_advice = fatal(&ended)
                .contains(&format!("; repair the file, or move it away (mv {0} {0}.bad)", path.display()));
            assert_eq!(has_advice, !differences::is_original(), "{:?}", ended.log);
            let kept = std::fs::read_to_string(&path).expect("the file is there");
            assert_eq!(kept, *text, "a file that cannot be read is not overwritten");
        },
    );
}

#[test]
fn the_first_failure_is_the_one_told() {
    let missing = "--data-path=/nonexistent/data".to_owned();
    let ended = start(&["--max-deflate-level=0".to_owned(), missing.clone()]);
    assert!(fatal(&ended).contains("failed to lock data-path"), "{:?}", ended.log);
    let ended = start(&["--config=/nonexistent/nsqd.toml".to_owned(), missing]);
    assert!(fatal(&ended).starts_with("failed to load config file"), "{:?}", ended.log);
    let ended = start(&["--node-id=-1".to_owned(), "--max-deflate-level=0".to_owned()]);
    assert!(fatal(&ended).contains("--max-deflate-level"), "{:?}", ended.log);
    let ended = start(&["--node-id=-1".to_owned(), "--tls-required=true".to_owned()]);
    assert!(fatal(&ended).contains("--node-id"), "{:?}", ended.log);
}

#[test]
fn a_value_that_cannot_work_is_refused_or_breaks_later() {
    each(
        [
            ("output-buffer-timeout", "0s"),
            ("sync-timeout", "0s"),
            ("mem-queue-size", "-1"),
            ("statsd-interval", "1s"),
        ],
        |(name, value)| {
            let flags = [format!("--{name}={value}"), "--statsd-address=127.0.0.1:9".to_owned()];
            if differences::refuses_values_that_cannot_work() {
                let ended = start(&flags);
                assert!(fatal(&ended).contains(name), "{:?}", ended.log);
            } else {
                let daemon = Daemon::with(&flags.each_ref().map(String::as_str));
                assert_eq!(daemon.get("/ping").text(), "OK");
            }
        },
    );
}
