//! What a person who waits is told: a line on standard error that is written anew, and only where that is a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::figures::Unit;
use super::moved::Moved;

/// How often the line is written anew.
const INTERVAL: Duration = Duration::from_millis(500);

/// The line; it is taken away when this goes out of scope.
pub(super) struct Progress {
    moved: Arc<Moved>,
    /// `None` where nobody looks.
    line: Option<Line>,
}

struct Line {
    /// What is going on. The thread ends when nobody can tell it any more.
    say: mpsc::Sender<String>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Shows how much has moved, from the first run on.
    pub(super) fn start(moved: &Arc<Moved>) -> Self {
        let line = io::stderr().is_terminal().then(|| {
            let (say, said) = mpsc::channel();
            let moved = Arc::clone(moved);
            Line { say, thread: thread::spawn(move || show(&said, &moved)) }
        });
        Self { moved: Arc::clone(moved), line }
    }

    /// A run begins.
    pub(super) fn begin(&self, what: String) {
        self.moved.reset();
        if let Some(line) = &self.line {
            // It is only for show.
            let _ = line.say.send(what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(Line { say, thread }) = self.line.take() {
            drop(say);
            let _ = thread.join();
        }
    }
}

fn show(said: &mpsc::Receiver<String>, moved: &Moved) {
    let mut what = String::new();
    let mut before = (Instant::now(), 0);
    loop {
        match said.recv_timeout(INTERVAL) {
            Ok(next) => {
                what = next;
                before = (Instant::now(), 0);
                write(&what);
            }
            Err(RecvTimeoutError::Timeout) => {
                let (now, count) = (Instant::now(), moved.count());
                write(&text(&what, count, count.saturating_sub(before.1), now - before.0));
                before = (now, count);
            }
            Err(RecvTimeoutError::Disconnected) => return write(""),
        }
    }
}

/// What is going on, how much has moved so far, and how fast it does now.
fn text(what: &str, count: u64, of_late: u64, elapsed: Duration) -> String {
    if count == 0 {
        return what.to_owned();
    }
    let rate = of_late as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
    format!("{what}: {count} so far, {}", Unit::PerSecond.text(rate))
}

/// On a line that the next one takes the place of.
fn write(text: &str) {
    let _ = write!(io::stderr(), "\r{text}\x1b[K");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_how_much_and_how_fast() {
        let second = Duration::from_secs(1);
        assert_eq!(text("drain", 1_500_000, 1_200, second), "drain: 1500000 so far, 1.20k/s");
        assert_eq!(text("drain", 0, 0, second), "drain");
    }
}
