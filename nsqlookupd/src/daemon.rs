//! The daemon as a whole: from options to listeners, from a signal to the end of the last connection.

use std::sync::Arc;

use nsq::daemon::clock::Clock;
use nsq::daemon::host::host_name;
use nsq::daemon::http as http_server;
use nsq::daemon::lifetime::{StopSwitch, until_told_to_stop};
use nsq::daemon::listener::{ListenError, Listener, Listening};
use nsq::daemon::logging::LogControl;
use nsq::daemon::version::{OWN_VERSION, version_line};
use nsq::daemon::{runtime, signals};
use nsq::wire::lookup::Answer;
use tracing::info;

use crate::directory::Directory;
use crate::options::{Options, PROGRAM};
use crate::{http, tcp};

/// Why the daemon could not start: the text of its last log line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("failed to instantiate nsqlookupd - {error}")]
    Listen {
        /// The flag that it came from, without its dashes.
        flag: &'static str,
        /// Why.
        error: ListenError,
    },
    /// The system gives no threads or no signals.
    #[error("failed to instantiate nsqlookupd - {0}")]
    System(#[from] std::io::Error),
}

impl StartError {
    /// What the operator can do about it, where that is not plain from the text.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Listen { flag, error } => Some(error.advice(PROGRAM.name, flag)),
            Self::System(_) => None,
        }
    }
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// If it cannot start.
pub fn run(options: Options, log: LogControl) -> Result<(), StartError> {
    let runtime = runtime::build(PROGRAM.name)?;
    let outcome = runtime.block_on(async {
        let (termination, hangups) = signals::install()?;
        let reread = options.clone();
        let told = until_told_to_stop(termination, hangups, &log, || reread.reread_log_level());
        serve(options, |_| {}, async { format!("{} received", told.await) }).await
    });
    // What still hangs on a socket is not waited for.
    runtime.shutdown_background();
    outcome
}

/// The daemon itself, for whoever has a runtime and the signals: says where it listens once it does, and runs until
/// `stop` gives the reason to end.
///
/// # Errors
/// If it cannot start.
pub async fn serve(
    options: Options,
    listening: impl FnOnce(Listening),
    stop: impl Future<Output = String>,
) -> Result<(), StartError> {
    info!(own_version = OWN_VERSION, "{}", version_line(PROGRAM.name));
    let tcp_listener = listen("tcp-address", &options.tcp_address).await?;
    let http_listener = listen("http-address", &options.http_address).await?;
    let addresses = Listening { tcp: Some(tcp_listener.address()), http: Some(http_listener.address()) };
    let answer = answer(&options, &tcp_listener, &http_listener);
    let directory = Arc::new(Directory::new(Clock::new(), options.registry_settings()));

    let switch = StopSwitch::new();
    let app = http::app(Arc::clone(&directory));
    let servers = [
        tokio::spawn(tcp::serve(tcp_listener, directory, answer, switch.stopping())),
        tokio::spawn(http_server::serve("HTTP", http_listener, app, switch.stopping())),
    ];
    listening(addresses);
    let why = stop.await;
    info!("{why}, stopping");
    switch.stop();
    for server in servers {
        // One that panicked has said so; the other still stops in order.
        let _ = server.await;
    }
    Ok(())
}

async fn listen(flag: &'static str, address: &str) -> Result<Listener, StartError> {
    Listener::tcp(address).await.map_err(|error| StartError::Listen { flag, error })
}

/// What every nsqd is told of this daemon.
fn answer(options: &Options, tcp: &Listener, http: &Listener) -> Answer {
    let port = |listener: &Listener| listener.port().map_or(0, i64::from);
    Answer {
        broadcast_address: options.broadcast_address.clone(),
        hostname: host_name(),
        http_port: port(http),
        tcp_port: port(tcp),
        version: crate::VERSION.to_owned(),
    }
}
