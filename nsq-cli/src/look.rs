//! A look into a data directory: opened, with a line for who waits, and ended when somebody wants that.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nsqd::data_dir::LockError;
use nsqd::inspect::{DataDirectory, InspectError};

use crate::failure::{Failure, causes};
use crate::stop::Stop;

/// How often the line is written anew, and how long something must take to have one.
const INTERVAL: Duration = Duration::from_secs(1);

/// What goes on while a directory is looked at.
pub(crate) struct Look {
    stopped: Arc<AtomicBool>,
    is_terminal: bool,
    /// What is done, in bytes.
    done: u64,
    /// What there is to do; `None` as long as nobody knows.
    total: Option<u64>,
    next: Instant,
    is_shown: bool,
    /// The Unix time of the start that is supposed, in nanoseconds.
    pub(crate) now_unix_ns: i64,
}

impl Look {
    /// Begins. From now on the signals end the look in order, so that the copy of the spill goes away; a second one ends
    /// the process.
    pub(crate) fn begin() -> Result<Self, Failure> {
        let stopped = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut stop = runtime.block_on(async { Stop::install() })?;
        let flag = Arc::clone(&stopped);
        std::thread::spawn(move || {
            runtime.block_on(stop.requested());
            flag.store(true, Ordering::Relaxed);
            runtime.block_on(stop.requested());
            std::process::exit(1);
        });
        silence_sled();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            stopped,
            is_terminal: io::stderr().is_terminal(),
            done: 0,
            total: None,
            next: Instant::now() + INTERVAL,
            is_shown: false,
            now_unix_ns: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
        })
    }

    /// Opens the directory.
    pub(crate) fn open(&mut self, path: &Path) -> Result<DataDirectory, Failure> {
        let now_unix_ns = self.now_unix_ns;
        let opened = DataDirectory::open(path, now_unix_ns, &mut || self.tick(0));
        let directory = opened.map_err(|error| self.failure(path, error))?;
        self.total = Some(directory.bytes());
        Ok(directory)
    }

    /// Notes that so many bytes more are done; an error when it is to end.
    pub(crate) fn tick(&mut self, bytes: u64) -> io::Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped"));
        }
        self.done += bytes;
        if self.is_terminal && Instant::now() >= self.next {
            self.show();
        }
        Ok(())
    }

    fn show(&mut self) {
        let megabytes = |bytes: u64| bytes / 1_000_000;
        let line = match self.total {
            Some(total) => format!("{} of {} MB read", megabytes(self.done), megabytes(total)),
            None => "opening".to_owned(),
        };
        // It is only for show.
        let _ = write!(io::stderr(), "\r{line}\x1b[K");
        self.is_shown = true;
        self.next = Instant::now() + INTERVAL;
    }

    /// Takes the line away.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// Why it ended, in words.
    pub(crate) fn failure(&mut self, path: &Path, error: InspectError) -> Failure {
        self.end();
        let path = path.display();
        match error {
            InspectError::Lock(LockError::Locked { .. }) => {
                Failure::Failed(format!("{path} is in use by nsqd; stop it first"))
            }
            InspectError::Lock(LockError::Open { error, .. }) => {
                Failure::Failed(format!("cannot open {path}: {}", causes(&error)))
            }
            InspectError::Caller(error) if error.kind() == io::ErrorKind::Interrupted => {
                Failure::Failed("stopped".to_owned())
            }
            error => Failure::Failed(causes(&error)),
        }
    }
}

/// Writes to standard output. Where nobody reads it any more there is nobody to tell.
pub(crate) fn print(text: &impl Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Told(ExitCode::FAILURE)),
        outcome => Ok(outcome?),
    }
}

/// sled panics where its files are in disorder. The panics are caught and what they are about is told as damage; only
/// their texts are in the way.
fn silence_sled() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let is_of_sled = info.location().is_some_and(|location| location.file().contains("/sled-"));
        if !is_of_sled {
            others(info);
        }
    }));
}
