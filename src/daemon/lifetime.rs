//! How long a daemon runs: until it is told to stop, and until its parts have heard of it.

use tokio::sync::watch;
use tracing::{info, warn};

use super::logging::{Level, LogControl};
use super::signals::{Hangups, Termination};

/// Tells the parts of a daemon to stop, once.
#[derive(Debug)]
pub struct StopSwitch(watch::Sender<bool>);

impl StopSwitch {
    /// A switch that has not been used.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a switch that nobody holds would stop nothing")]
    pub fn new() -> Self {
        Self(watch::channel(false).0)
    }

    /// Completes when the switch is used or gone.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopped = self.0.subscribe();
        async move {
            // Were the switch gone, that would mean the same.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }
    }

    /// Uses the switch.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Waits for the signal to stop, and gives its name. Each SIGHUP meanwhile takes the log level that `reread` finds
/// in the configuration file.
pub async fn until_told_to_stop(
    mut termination: Termination,
    mut hangups: Hangups,
    log: &LogControl,
    reread: impl Fn() -> Result<Option<Level>, String>,
) -> &'static str {
    loop {
        tokio::select! {
            signal = termination.requested() => return signal,
            () = hangups.next() => match reread() {
                Ok(Some(level)) => {
                    log.set_level(level);
                    info!("SIGHUP received: the log level is that of the configuration file");
                }
                Ok(None) => info!("SIGHUP received: there is nothing to read again"),
                Err(why) => warn!("SIGHUP received: {why}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_switch_tells_those_before_and_after() {
        let switch = StopSwitch::new();
        let before = switch.stopping();
        switch.stop();
        before.await;
        switch.stopping().await;
    }

    #[tokio::test]
    async fn a_switch_that_is_gone_stops_too() {
        let switch = StopSwitch::new();
        let stopping = switch.stopping();
        drop(switch);
        stopping.await;
    }
}
