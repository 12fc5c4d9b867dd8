//! A daemon that is measured: a program, started on free ports with a data directory of its own.
//!
//! It says where it listens in its log, on standard error; nsqd of v1.3.0 does so in the same words.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nsq::daemon::os_error::os_error_text;
use rustix::process::{Pid, Signal, kill_process};

use super::directory::Directory;
use super::interrupt::Interrupt;
use super::target::{Place, Target};
use super::usage::Usage;
use crate::failure::Failure;

/// How long a daemon may take to listen. With much to load it takes a while.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How many of its last lines are shown when a daemon does not start.
const LINES_SHOWN: usize = 5;

/// A running daemon. It is killed when it goes out of scope, and its data goes away.
#[derive(Debug)]
pub(super) struct Daemon {
    program: PathBuf,
    flags: Vec<String>,
    child: Child,
    tcp: SocketAddr,
    http: SocketAddr,
    interrupt: Arc<Interrupt>,
    /// Dropped last, when nobody writes there any more.
    directory: Directory,
}

impl Daemon {
    /// Starts the program with these flags and its data within `parent`.
    pub(super) fn start(
        program: &Path,
        flags: Vec<String>,
        parent: &Path,
        interrupt: &Arc<Interrupt>,
    ) -> Result<Self, Failure> {
        let directory = Directory::new(parent)?;
        let (child, [tcp, http]) = launch(program, &flags, &directory, interrupt)?;
        let interrupt = Arc::clone(interrupt);
        Ok(Self { program: program.to_owned(), flags, child, tcp, http, interrupt, directory })
    }

    /// What to measure, wherever it was before.
    pub(super) fn target(&self, place: &Place) -> Result<Target, Failure> {
        let place = Place { tcp: self.tcp, ..place.clone() };
        Target::new(place, Some(self.http.to_string()), Some(Usage::Process(self.child.id())))
    }

    /// What its data takes up on the disk, in bytes.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.directory.bytes()
    }

    /// Ends it in order, and says how long that took.
    pub(super) fn stop(&mut self) -> Result<Duration, Failure> {
        let began = Instant::now();
        let told = kill_process(Pid::from_child(&self.child), Signal::TERM);
        told.map_err(|error| format!("cannot stop {}: {error}", self.program.display()))?;
        self.interrupt.forget();
        let status = self.child.wait()?;
        if status.success() {
            return Ok(began.elapsed());
        }
        Err(Failure::Failed(format!("{} did not stop in order: {status}", self.program.display())))
    }

    /// Starts it again, after it was stopped, on the same data.
    pub(super) fn start_again(&mut self) -> Result<(), Failure> {
        (self.child, [self.tcp, self.http]) =
            launch(&self.program, &self.flags, &self.directory, &self.interrupt)?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.interrupt.forget();
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the program, and waits until it says where it takes TCP clients and HTTP requests.
fn launch(
    program: &Path,
    flags: &[String],
    directory: &Directory,
    interrupt: &Interrupt,
) -> Result<(Child, [SocketAddr; 2]), Failure> {
    let mut child = Command::new(program)
        .arg("--tcp-address=127.0.0.1:0")
        .arg("--http-address=127.0.0.1:0")
        .arg("--https-address=127.0.0.1:0")
        .arg(format!("--data-path={}", directory.path().display()))
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {}: {}", program.display(), os_error_text(&error)))?;
    interrupt.handle_started(Pid::from_child(&child));
    let (found, addresses) = mpsc::channel();
    if let Some(stderr) = child.stderr.take() {
        thread::spawn(move || follow(stderr, found));
    }
    let why = match addresses.recv_timeout(START_TIMEOUT) {
        Ok(Ok(addresses)) => return Ok((child, addresses)),
        Ok(Err(last_lines)) if last_lines.is_empty() => "it ended and did not say why".to_owned(),
        Ok(Err(last_lines)) => last_lines,
        Err(_) => format!("it does not listen after {START_TIMEOUT:?}"),
    };
    interrupt.forget();
    // Both fail only when it has ended already.
    let _ = child.kill();
    let _ = child.wait();
    Err(Failure::Failed(format!("{} did not start: {why}", program.display())))
}

/// Reads the log to its end, so that the daemon is never held up, and tells where it listens; what it said last where
/// it ends before.
fn follow(stderr: impl Read, found: mpsc::Sender<Result<[SocketAddr; 2], String>>) {
    let (mut tcp, mut http) = (None, None);
    let mut last = Vec::new();
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        if tcp.is_some() && http.is_some() {
            continue;
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        tcp = tcp.or_else(|| address(&line, " TCP: listening on "));
        http = http.or_else(|| address(&line, " HTTP: listening on "));
        if let (Some(tcp), Some(http)) = (tcp, http) {
            // Whoever waited may have lost its patience.
            let _ = found.send(Ok([tcp, http]));
        }
        last.push(line);
        if last.len() > LINES_SHOWN {
            last.remove(0);
        }
    }
    let _ = found.send(Err(last.join("\n")));
}

fn address(line: &str, marker: &str) -> Option<SocketAddr> {
    line.split_once(marker)?.1.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(log: &'static str) -> Result<[SocketAddr; 2], String> {
        let (found, addresses) = mpsc::channel();
        follow(log.as_bytes(), found);
        addresses.recv().unwrap()
    }

    #[test]
    fn the_log_says_where_a_daemon_listens() {
        let log = "[nsqd] 2026/11/26 12:00:00.000000 INFO: TCP: listening on 127.0.0.1:41\n\
                   [nsqd] 2026/11/26 12:00:00.000000 INFO: HTTPS: listening on 127.0.0.1:43\n\
                   [nsqd] 2026/11/26 12:00:00.000000 INFO: HTTP: listening on 127.0.0.1:42\n";
        let [tcp, http] = followed(log).unwrap();
        assert_eq!((tcp.port(), http.port()), (41, 42));
    }

    #[test]
    fn a_daemon_that_ends_is_given_its_own_words() {
        assert_eq!(followed("one\nFATAL: no\n").unwrap_err(), "one\nFATAL: no");
    }
}
