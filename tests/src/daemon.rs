//! An nsqd on free ports with a data directory of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tempfile::TempDir;

use crate::http::{Request, Response};
use crate::process::{Ended, Process, Signal, program};
use crate::raw::Client;
use crate::{PATIENCE, differences};

/// A running daemon. It is killed when it goes out of scope, also when the test panics.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    /// Where it listens for TCP clients.
    pub tcp: SocketAddr,
    /// Where it listens for HTTP requests.
    pub http: SocketAddr,
    directory: TempDir,
    launch: Launch,
}

/// How a daemon is started, also when it is started again.
#[derive(Debug, Clone)]
struct Launch {
    /// The program and arguments that start it and become it; none where it is started directly.
    starter: Vec<String>,
    program: PathBuf,
    flags: Vec<String>,
    /// How long it may take to listen, and to end.
    patience: Duration,
}

/// A daemon that has ended; its data directory is still there.
#[derive(Debug)]
pub struct Stopped {
    /// How it ended and what it wrote.
    pub ended: Ended,
    /// Its data directory.
    pub directory: TempDir,
    tcp: SocketAddr,
    http: SocketAddr,
    launch: Launch,
}

/// The daemon that tests share that need only topics of their own. It ends with the last test that uses it,
/// so a test keeps it in a variable for as long as it talks to it.
pub fn shared() -> Arc<Daemon> {
    static SHARED: Mutex<Weak<Daemon>> = Mutex::new(Weak::new());
    let mut current = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    current.upgrade().unwrap_or_else(|| {
        let daemon = Arc::new(Daemon::start());
        *current = Arc::downgrade(&daemon);
        daemon
    })
}

impl Daemon {
    /// Starts a daemon with the default options and waits until it listens.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a daemon with more flags. A flag given here wins over the harness's own of the same name.
    pub fn with(flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self::start_in(new_directory(), flags)
    }

    /// Starts a daemon on a data directory that a test has prepared.
    pub fn start_in(directory: TempDir, flags: Vec<String>) -> Self {
        Self::start_program_in(&program("nsqd"), directory, flags)
    }

    /// Starts another nsqd than the one under test on a data directory.
    pub fn start_program_in(program: &Path, directory: TempDir, flags: Vec<String>) -> Self {
        let program = program.to_owned();
        Self::launch(directory, Launch { starter: Vec::new(), program, flags, patience: PATIENCE })
    }

    /// Starts a daemon on a data directory by another program, which becomes it; so it is started again, too.
    pub fn start_within(starter: Vec<String>, directory: TempDir, flags: Vec<String>) -> Self {
        Self::launch(directory, Launch { starter, program: program("nsqd"), flags, patience: PATIENCE })
    }

    fn launch(directory: TempDir, launch: Launch) -> Self {
        let mut arguments = vec![
            "--tcp-address=127.0.0.1:0".to_owned(),
            "--http-address=127.0.0.1:0".to_owned(),
            format!("--data-path={}", directory.path().display()),
        ];
        arguments.extend(launch.flags.iter().cloned());
        let process = if launch.starter.is_empty() {
            Process::start_path(&launch.program, &arguments)
        } else {
            Process::start_within(&launch.starter, &launch.program, &arguments)
        };
        let process = process.with_patience(launch.patience);
        let tcp = listening_address(&process, "TCP");
        let http = listening_address(&process, "HTTP");
        differences::wait_until_signals_are_handled("nsqd", process.id());
        Self { process, tcp, http, directory, launch }
    }

    /// The same, which may take so long to end, and to listen when it is started again.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.launch.patience = patience;
        self.process = self.process.with_patience(patience);
        self
    }

    /// Ends the daemon in order and waits for it.
    ///
    /// # Panics
    /// When it does not end in order.
    pub fn stop(self) -> Stopped {
        let stopped = self.end(differences::stop_signal("nsqd"));
        let Ended { status, log, .. } = &stopped.ended;
        assert!(status.success(), "the stop was not orderly, {status}:\n{}", log.join("\n"));
        stopped
    }

    /// Ends the daemon at once (SIGKILL).
    pub fn kill(self) -> Stopped {
        self.end(Signal::KILL)
    }

    /// Sends a signal and waits for the end it brings.
    pub fn end(self, signal: Signal) -> Stopped {
        self.process.signal(signal);
        let Self { process, tcp, http, directory, launch } = self;
        Stopped { ended: process.wait(), directory, tcp, http, launch }
    }

    /// Ends the daemon in order and starts it again on the same data.
    pub fn restart(self) -> Self {
        self.stop().start_again()
    }

    /// Where it listens for HTTPS requests.
    ///
    /// # Panics
    /// When it does not.
    pub fn https(&self) -> SocketAddr {
        listening_address(&self.process, "HTTPS")
    }

    /// The running program.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A new connection that has sent the magic.
    pub fn connect(&self) -> Client {
        let mut client = self.connect_silently();
        client.send(b"  V2");
        client
    }

    /// A new connection that has sent nothing.
    pub fn connect_silently(&self) -> Client {
        Client::connect(self.tcp)
    }

    /// A consumer: a connection that has subscribed and is not yet ready for messages.
    pub fn subscribe(&self, topic: &str, channel: &str) -> Client {
        let mut client = self.connect();
        client.subscribe(topic, channel);
        client
    }

    /// Publishes through a connection of its own, and waits for the OK.
    pub fn publish(&self, topic: &str, body: impl AsRef<[u8]>) {
        let mut client = self.connect();
        client.publish(topic, body.as_ref());
    }

    /// Sends a GET.
    pub fn get(&self, target: &str) -> Response {
        Request::new("GET", target).send(self.http)
    }

    /// Sends a POST with a body.
    pub fn post(&self, target: &str, body: impl AsRef<[u8]>) -> Response {
        Request::new("POST", target).body(body.as_ref()).send(self.http)
    }

    /// Sends a PUT with a body.
    pub fn put(&self, target: &str, body: impl AsRef<[u8]>) -> Response {
        Request::new("PUT", target).body(body.as_ref()).send(self.http)
    }

    /// Sends a POST that must be answered with an empty 200.
    pub fn act(&self, target: &str) {
        self.post(target, "").expect_empty();
    }
}

impl Stopped {
    /// Starts a daemon on the same data, with the same flags.
    pub fn start_again(self) -> Daemon {
        Daemon::launch(self.directory, self.launch)
    }

    /// Starts a daemon on the same data, with the same flags, where its clients look for it.
    pub fn start_in_place(mut self) -> Daemon {
        let addresses = [format!("--tcp-address={}", self.tcp), format!("--http-address={}", self.http)];
        self.launch.flags.extend(addresses);
        self.start_again()
    }

    /// Starts a daemon on the same data, with other flags.
    pub fn start_with(mut self, flags: &[&str]) -> Daemon {
        self.launch.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self.start_again()
    }
}

/// A fresh directory for a daemon's data.
pub fn new_directory() -> TempDir {
    TempDir::with_prefix("nsqd-").expect("the temporary directory is writable")
}

/// Where the program says that it listens.
pub(crate) fn listening_address(process: &Process, listener: &str) -> SocketAddr {
    let marker = format!(" {listener}: listening on ");
    let line = process.wait_for_log(&marker, |line| line.contains(&marker));
    let address = line.split(&marker).nth(1).expect("the line was chosen by its marker");
    // A listener on all addresses is reached through the loopback one; a socket path has no address.
    let mut address: SocketAddr = match address.parse() {
        Ok(address) => address,
        Err(_) => return SocketAddr::from(([127, 0, 0, 1], 0)),
    };
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    address
}
