//! What a person who waits is told, on standard error and only there where it is a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often the line is written anew, and how long something must take to have one.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Progress {
    is_terminal: bool,
    is_wanted: bool,
    shown: Option<Shown>,
    next: Instant,
}

/// What the line says.
struct Shown {
    confirmed: u64,
    at: Instant,
}

impl Progress {
    /// Begins to count the time. Where nothing is shown there is no line, whatever happens.
    pub(super) fn start(is_wanted: bool) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { is_terminal, is_wanted, shown: None, next: Instant::now() + INTERVAL }
    }

    /// Completes when the line is to be written anew. Cancel safe.
    pub(super) async fn due(&self) {
        if !(self.is_terminal && self.is_wanted) {
            std::future::pending().await
        }
        tokio::time::sleep_until(self.next.into()).await;
    }

    /// Writes the line.
    pub(super) fn show(&mut self, confirmed: u64) {
        let now = Instant::now();
        let (before, elapsed) = match &self.shown {
            Some(shown) => (shown.confirmed, now - shown.at),
            None => (0, INTERVAL),
        };
        let rate = confirmed.saturating_sub(before) as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        // It is only for show.
        let _ = write!(io::stderr(), "\r{confirmed} records confirmed, {rate:.0} a second\x1b[K");
        self.shown = Some(Shown { confirmed, at: now });
        self.next = now + INTERVAL;
    }

    /// Takes the line away.
    pub(super) fn end(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// Says something to a person, if there is one.
    pub(super) fn say(&self, text: &str) {
        if self.is_terminal {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}
