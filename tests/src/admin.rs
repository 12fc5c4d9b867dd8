//! An nsqadmin on a free port, and small clusters for it to look at.

use std::net::SocketAddr;

use serde_json::Value;

use crate::daemon::{listening_address, new_directory};
use crate::http::{Request, Response};
use crate::process::{Ended, Process, Signal};
use crate::{Daemon, Lookupd, differences};

/// A running nsqadmin. It is killed when it goes out of scope, also when the test panics.
#[derive(Debug)]
pub struct Admin {
    process: Process,
    /// Where it listens.
    pub http: SocketAddr,
}

/// Two nsqlookupds, and nsqds that are registered with both.
#[derive(Debug)]
pub struct Watched {
    /// The nsqlookupds.
    pub lookupds: [Lookupd; 2],
    /// The nsqds.
    pub nodes: Vec<Daemon>,
}

impl Admin {
    /// Starts one with these flags, and waits until it listens.
    pub fn with<F: AsRef<str>>(flags: &[F]) -> Self {
        let mut arguments = vec!["--http-address=127.0.0.1:0".to_owned()];
        arguments.extend(flags.iter().map(|flag| flag.as_ref().to_owned()));
        let process = Process::start_program("nsqadmin", &arguments);
        let http = listening_address(&process, "HTTP");
        if differences::admin_is_original() {
            differences::wait_for_signal_handler(process.id());
        }
        Self { process, http }
    }

    /// Starts one that asks these nsqds directly.
    pub fn direct(nodes: &[Daemon], flags: &[&str]) -> Self {
        let mut all: Vec<String> =
            nodes.iter().map(|node| format!("--nsqd-http-address={}", node.http)).collect();
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Self::with(&all)
    }

    /// The running program.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Sends a signal and waits for the end it brings.
    pub fn end(self, signal: Signal) -> Ended {
        self.process.signal(signal);
        self.process.wait()
    }

    /// Sends a GET.
    pub fn get(&self, target: &str) -> Response {
        Request::new("GET", target).send(self.http)
    }

    /// Sends a request with a body.
    pub fn send(&self, method: &str, target: &str, body: &str) -> Response {
        Request::new(method, target).body(body).send(self.http)
    }

    /// What a GET that must succeed answers, without what v1.3.0 does not have.
    pub fn told(&self, target: &str) -> Value {
        let response = self.get(target);
        response.expect_json();
        without_extensions(response.json())
    }

    /// Sends a write that must succeed without a warning.
    pub fn act(&self, method: &str, target: &str, body: &str) {
        let response = self.send(method, target, body);
        response.expect_json();
        assert_eq!(without_extensions(response.json()), serde_json::json!({"message": ""}), "{target}");
    }
}

impl Watched {
    /// Starts two nsqlookupds and as many nsqds, whose flags these are.
    pub fn start(nodes: usize, flags: &[&str]) -> Self {
        let lookupds = [Lookupd::start(), Lookupd::start()];
        let node = |_| {
            let mut all: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            all.push("--broadcast-address=127.0.0.1".to_owned());
            all.extend(lookupds.iter().map(|lookupd| format!("--lookupd-tcp-address={}", lookupd.tcp)));
            Daemon::start_in(new_directory(), all)
        };
        let mut nodes: Vec<Daemon> = (0..nodes).map(node).collect();
        nodes.sort_by_key(|node| node.http.to_string());
        let watched = Self { lookupds, nodes };
        watched.wait_for_nodes();
        watched
    }

    fn wait_for_nodes(&self) {
        for lookupd in &self.lookupds {
            crate::stats::eventually(
                "all nodes at an nsqlookupd",
                || lookupd.get("/nodes").json()["producers"].as_array().map_or(0, Vec::len),
                |count| *count == self.nodes.len(),
            );
        }
    }

    /// Makes a topic with channels on a node, and waits until both nsqlookupds know.
    pub fn make(&self, node: usize, topic: &str, channels: &[&str]) {
        let daemon = &self.nodes[node];
        daemon.act(&format!("/topic/create?topic={topic}"));
        for channel in channels {
            daemon.act(&format!("/channel/create?topic={topic}&channel={channel}"));
        }
        for lookupd in &self.lookupds {
            crate::stats::eventually(
                "the topic at an nsqlookupd",
                || (lookupd.producers(topic), lookupd.channels(topic)),
                |(producers, known)| {
                    producers.contains(&daemon.tcp.to_string())
                        && channels.iter().all(|channel| known.contains(*channel))
                },
            );
        }
    }

    /// An nsqadmin that asks the nsqlookupds.
    pub fn admin(&self, flags: &[&str]) -> Admin {
        let mut all: Vec<String> =
            self.lookupds.iter().map(|lookupd| format!("--lookupd-http-address={}", lookupd.http)).collect();
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Admin::with(&all)
    }

    /// How a node is called: where it speaks HTTP.
    pub fn name(&self, node: usize) -> String {
        self.nodes[node].http.to_string()
    }
}

/// A body without the keys that v1.3.0 does not have.
pub fn without_extensions(mut body: Value) -> Value {
    if let Some(keys) = body.as_object_mut() {
        for key in ["outcomes", "warnings"] {
            keys.remove(key);
        }
    }
    body
}

/// The items of a list, in the order of a text in each. The original's order is that of the answers, where hosts are one.
pub fn sorted_by(list: &Value, key: &str) -> Vec<Value> {
    let mut items = list.as_array().cloned().unwrap_or_default();
    items.sort_by_key(|item| item[key].as_str().unwrap_or_default().to_owned());
    items
}
