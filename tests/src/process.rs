//! A program under test: started with arguments, its log collected line by line, ended by its own id.
//!
//! Knows nothing of ports or protocols; [`daemon`](crate::daemon) reads those from the log.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;

use crate::PATIENCE;

/// A daemon's program: what `NSQD` or `NSQLOOKUPD` names, else the one built beside the running test.
///
/// # Panics
/// When there is none, with the command that builds it.
pub fn program(name: &str) -> PathBuf {
    if let Some(named) = std::env::var_os(name.to_uppercase()) {
        return PathBuf::from(named);
    }
    let test = std::env::current_exe().expect("a running test has a path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("tests run from target/<profile>/deps");
    let built = profile.join(name);
    assert!(built.is_file(), "{} is missing: run `cargo build --bin {name}` first", built.display());
    built
}

/// A running program. It is killed when it goes out of scope, also when the test panics.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Arc<Log>,
    patience: Duration,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// The lines it wrote to standard error.
    pub log: Vec<String>,
    /// What it wrote to standard output.
    pub output: String,
}

impl Process {
    /// Starts nsqd.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start<A: AsRef<OsStr>>(arguments: &[A]) -> Self {
        Self::start_program("nsqd", arguments)
    }

    /// Starts the daemon of that name.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_program<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Self {
        Self::spawn(Command::new(program(name)), arguments)
    }

    /// Starts this program, whatever it is.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_path<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> Self {
        Self::spawn(Command::new(program), arguments)
    }

    /// Starts this program by another one, which becomes it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_within<S: AsRef<OsStr>, A: AsRef<OsStr>>(
        starter: &[S],
        program: &Path,
        arguments: &[A],
    ) -> Self {
        let mut command = Command::new(&starter[0]);
        command.args(&starter[1..]).arg(program);
        Self::spawn(command, arguments)
    }

    fn spawn<A: AsRef<OsStr>>(mut command: Command, arguments: &[A]) -> Self {
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let log = Arc::new(Log::default());
        let collected = Arc::clone(&log);
        std::thread::spawn(move || collected.collect(BufReader::new(stderr)));
        Self { child, log, patience: PATIENCE }
    }

    /// The same, which may take so long to say what is waited for, and to end.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The program's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is no more.
    pub fn signal(&self, signal: Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("the process is ours and not yet waited for");
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait(mut self) -> Ended {
        self.log.wait_for_end(self.patience);
        let status = self.child.wait().expect("our own child can be waited for");
        let mut output = String::new();
        let stdout = self.child.stdout.as_mut().expect("stdout is piped");
        stdout.read_to_string(&mut output).expect("programs print text");
        Ended { status, log: self.log_lines(), output }
    }

    /// Waits until the log has a line that `wanted` accepts, from its beginning on.
    ///
    /// # Panics
    /// When the program ends without it or takes too long.
    pub fn wait_for_log(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.log.wait_for_line(self.patience, what, wanted)
    }

    /// The log so far.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.locked().lines.clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines a program has written so far. Locked by the collecting thread and by whoever waits for a line.
#[derive(Debug, Default)]
struct Log {
    state: Mutex<LogState>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    fn collect(&self, mut stderr: impl BufRead) {
        let mut line = Vec::new();
        while stderr.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line);
            self.locked().lines.push(text.trim_end_matches('\n').to_owned());
            self.grown.notify_all();
            line.clear();
        }
        self.locked().ended = true;
        self.grown.notify_all();
    }

    fn locked(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().expect("nobody panics while holding the log")
    }

    fn wait_for_line(&self, patience: Duration, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + patience;
        let mut state = self.locked();
        loop {
            if let Some(line) = state.lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                let log = state.lines.join("\n");
                drop(state);
                panic!("the log never said {what}:\n{log}");
            }
            state = self.grown.wait_timeout(state, left).expect("nobody panics while holding the log").0;
        }
    }

    fn wait_for_end(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut state = self.locked();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let log = state.lines.join("\n");
                drop(state);
                panic!("the program did not end:\n{log}");
            }
            state = self.grown.wait_timeout(state, left).expect("nobody panics while holding the log").0;
        }
    }
}
