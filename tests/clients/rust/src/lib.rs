//! Starts nsqd and nsqlookupd, on free ports and with data that goes away with the test, and ends them by their process.
//!
//! Every wait is for the thing itself, and has a deadline and an explanation. The clients are none of its business.

mod authorization;

use std::fs::File;
use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use authorization::AuthorizationServer;

/// A limit for a machine that is busy with other things; nothing here takes as long by itself.
pub const PATIENCE: Duration = Duration::from_secs(45);

const POLL: Duration = Duration::from_millis(10);

/// nsqd or nsqlookupd. Stopped and started again, it keeps its ports.
pub struct Daemon {
    name: &'static str,
    flags: Vec<String>,
    directory: TempDir,
    child: Option<Child>,
    pub tcp: String,
    pub http: String,
}

impl Daemon {
    pub fn nsqd(flags: &[String]) -> Daemon {
        let directory = TempDir::new().unwrap();
        let data = format!("--data-path={}", directory.path().display());
        let flags = [&[data, "--broadcast-address=127.0.0.1".to_owned()], flags].concat();
        Daemon::started("nsqd", flags, directory)
    }

    pub fn nsqlookupd() -> Daemon {
        Daemon::started("nsqlookupd", Vec::new(), TempDir::new().unwrap())
    }

    pub fn restart(&mut self) {
        let child = self.child.as_mut().unwrap();
        let asked = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(asked.success());
        assert!(child.wait().unwrap().success());
        self.start();
    }

    /// How many nsqd this nsqlookupd names for the topic.
    pub fn producers(&self, topic: &str) -> usize {
        self.get(&format!("/lookup?topic={topic}"))["producers"].as_array().map_or(0, Vec::len)
    }

    /// What /stats says of the topic's only channel; null where there is none yet.
    pub fn channel(&self, topic: &str) -> Value {
        self.get(&format!("/stats?format=json&topic={topic}"))["topics"][0]["channels"][0].take()
    }

    /// Waits until the channel's statistics have these values; returns all of them.
    pub async fn channel_is(&self, topic: &str, expected: &[(&str, u64)]) -> Value {
        let is = || {
            let channel = self.channel(topic);
            expected.iter().all(|(key, value)| channel[key].as_u64() == Some(*value)).then_some(channel)
        };
        wait_until(is, || format!("{expected:?} expected, have {}", self.channel(topic))).await
    }

    pub async fn emptied(&self, topic: &str) -> Value {
        self.channel_is(topic, &[("depth", 0), ("in_flight_count", 0), ("deferred_count", 0)]).await
    }

    fn started(name: &'static str, flags: Vec<String>, directory: TempDir) -> Daemon {
        let free = || "127.0.0.1:0".to_owned();
        let mut daemon = Daemon { name, flags, directory, child: None, tcp: free(), http: free() };
        daemon.start();
        daemon
    }

    fn start(&mut self) {
        let variable = self.name.to_uppercase();
        let program = std::env::var_os(&variable)
            .unwrap_or_else(|| panic!("{variable} does not name the program; `make clients-rust` does"));
        let log = File::create(self.log()).unwrap();
        let child = Command::new(program)
            .arg(format!("--tcp-address={}", self.tcp))
            .arg(format!("--http-address={}", self.http))
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.tcp = self.logged("TCP: listening on ");
        self.http = self.logged("HTTP: listening on ");
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn logged(&mut self, before: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(self.log()).unwrap();
            let rest = text.split_once(before).and_then(|(_, rest)| rest.split_once('\n'));
            if let Some((line, _)) = rest {
                return line.split_whitespace().next().unwrap().to_owned();
            }
            let child = self.child.as_mut().unwrap();
            assert!(child.try_wait().unwrap().is_none(), "{} ended: {text}", self.name);
            assert!(Instant::now() < deadline, "{} wrote only {text}", self.name);
            std::thread::sleep(POLL);
        }
    }

    fn get(&self, target: &str) -> Value {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        write!(stream, "GET {target} HTTP/1.0\r\nHost: nsq\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself, which the test has seen.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until there is something.
pub async fn wait_until<T>(look: impl Fn() -> Option<T>, explanation: impl Fn() -> String) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {}", explanation());
        tokio::time::sleep(POLL).await;
    }
}

/// What the future gives, if it comes in time.
pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it comes in time")
}

/// A file that certificates.sh made.
pub fn certificate(name: &str) -> PathBuf {
    let directory = std::env::var_os("NSQ_CERTIFICATES");
    PathBuf::from(directory.expect("NSQ_CERTIFICATES is set; `make clients-rust` does")).join(name)
}
