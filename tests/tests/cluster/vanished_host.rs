//! A host that is gone without a word: its cable is pulled, so that no connection of its ends.
//!
//! It is a network namespace, which only root may make.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use nsq_tests::http::Request;
use nsq_tests::process::{Process, program};
use nsq_tests::stats::eventually_within;
use nsq_tests::{Lookupd, daemon};

/// Longer than two rounds of pings, and than the inactive timeout of the test.
const LONG: Duration = Duration::from_secs(60);

/// A host at the other end of a cable. It is gone when this goes out of scope.
struct Host {
    name: String,
    cable: String,
    near: String,
    far: String,
}

impl Host {
    /// `None`, with a line that says why, where network namespaces cannot be made. In CI that is a failure.
    fn new() -> Option<Self> {
        let id = std::process::id();
        let (name, cable) = (format!("nsq-{id}"), format!("nsq{id}"));
        if let Err(why) = ip(&["netns", "add", &name]) {
            assert!(std::env::var_os("CI").is_none(), "no network namespace: {why}");
            println!("skipped, no network namespace can be made: {why}");
            return None;
        }
        // A range for tests between networks: nobody's address.
        let [high, low] = ((id % 16_000) as u16 * 4).to_be_bytes();
        let (near, far) =
            (format!("198.18.{high}.{}", low | 1), format!("198.18.{high}.{}", (low & 0xfc) | 2));
        let host = Self { name, cable, near, far };
        host.lay_cable().expect("root may lay it");
        Some(host)
    }

    fn lay_cable(&self) -> Result<(), String> {
        let inside = format!("{}i", self.cable);
        ip(&["link", "add", &self.cable, "type", "veth", "peer", "name", &inside, "netns", &self.name])?;
        ip(&["addr", "add", &format!("{}/30", self.near), "dev", &self.cable])?;
        ip(&["link", "set", &self.cable, "up"])?;
        ip(&["-n", &self.name, "addr", "add", &format!("{}/30", self.far), "dev", &inside])?;
        ip(&["-n", &self.name, "link", "set", &inside, "up"])?;
        ip(&["-n", &self.name, "link", "set", "lo", "up"])
    }

    fn pull_cable(&self) {
        ip(&["link", "set", &self.cable, "down"]).expect("root may");
    }

    fn plug_cable(&self) {
        ip(&["link", "set", &self.cable, "up"]).expect("root may");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The cable goes with its end inside.
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

#[test]
#[ignore = "takes a minute and needs root: nsqd pings every 15 s"]
fn an_nsqd_whose_host_vanishes_is_found_until_the_inactive_timeout_and_again_when_it_is_back() {
    let Some(host) = Host::new() else { return };
    let service = Lookupd::with(&[
        &format!("--tcp-address={}:0", host.near),
        "--http-address=127.0.0.1:0",
        "--inactive-producer-timeout=20s",
    ]);
    let directory = daemon::new_directory();
    let nsqd = Process::start_within(
        &["ip", "netns", "exec", &host.name],
        &program("nsqd"),
        &[
            format!("--tcp-address={}:4150", host.far),
            format!("--http-address={}:4151", host.far),
            format!("--broadcast-address={}", host.far),
            format!("--data-path={}", directory.path().display()),
            format!("--lookupd-tcp-address={}", service.tcp),
        ],
    );
    nsqd.wait_for_log("that it listens", |line| line.contains("HTTP: listening on "));
    let http: SocketAddr = format!("{}:4151", host.far).parse().expect("it is an address");
    Request::new("POST", "/topic/create?topic=t").send(http).expect_empty();
    let found = vec![format!("{}:4150", host.far)];
    let wait_for = |expected: &[String]| {
        eventually_within(
            LONG,
            "the producers",
            || service.producers("t"),
            |producers| producers == expected,
        );
    };
    wait_for(&found);

    host.pull_cable();
    assert_eq!(service.producers("t"), found, "nobody has heard of it yet");
    wait_for(&[]);
    assert!(service.nodes().is_empty());
    assert_eq!(service.debug_count("client::"), 1, "its connection stands");
    assert!(service.topics().contains("t"));

    host.plug_cable();
    wait_for(&found);
}
