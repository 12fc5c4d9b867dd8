//! What the operator may tell a running daemon.
//!
//! | signal | means |
//! | --- | --- |
//! | SIGTERM, SIGINT | stop in an orderly way |
//! | SIGHUP | reload what can be reloaded |
//! | SIGUSR1 | nothing, as in NSQ |
//! | SIGQUIT | untouched: the process dies at once |
//!
//! This module knows the signals and not what is done about them.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Takes over the signals of the process. From here on none of them kills it.
///
/// # Errors
/// If the operating system refuses a handler.
///
/// # Panics
/// Outside a tokio runtime with its I/O driver on.
pub fn install() -> io::Result<(Termination, Hangups)> {
    let termination = Termination {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        // Listening is what keeps the default action, which is death, from happening.
        _ignored: signal(SignalKind::user_defined1())?,
    };
    Ok((termination, Hangups(signal(SignalKind::hangup())?)))
}

/// The request to stop. Made by [`install`].
#[derive(Debug)]
pub struct Termination {
    interrupt: Signal,
    terminate: Signal,
    _ignored: Signal,
}

impl Termination {
    /// Completes at the next SIGTERM or SIGINT, with its name. Cancel safe.
    pub async fn requested(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// The requests to reload, one for each SIGHUP; several while nobody looks count as one. Made by [`install`].
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Completes at the next SIGHUP. Cancel safe.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Sends the signal to this very process, through the shell: there is no safe call for it in `std`.
    fn send(name: &str) {
        let me = std::process::id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -$0 $1", name, &me]).status().unwrap().success());
    }

    // One test, not four: the handlers belong to the process, and so does every signal.
    #[tokio::test]
    async fn each_signal_says_what_it_means_and_none_kills() {
        let (mut termination, mut hangups) = install().unwrap();
        send("USR1");
        send("HUP");
        hangups.next().await;
        send("TERM");
        assert_eq!(termination.requested().await, "SIGTERM");
        send("INT");
        assert_eq!(termination.requested().await, "SIGINT");
    }
}
