//! `nsq ping`: whether a daemon is well, for whoever can only run a program and look at its exit code.

use std::time::Duration;

use nsq::client::{HttpClient, HttpError};

use crate::failure::{Failure, causes, printable};
use crate::values;

/// Where the daemons listen unless they are told otherwise: nsqd, and where there is none, nsqlookupd.
const NSQD: &str = "127.0.0.1:4151";
const NSQLOOKUPD: &str = "127.0.0.1:4161";

/// Asks a daemon whether it is well, for health checks: the exit code is 0 if so, and 1 if not, with the reason.
///
/// A daemon is not well if it does not answer, or if its disk refuses what should be written.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The HTTP address of an nsqd or nsqlookupd. [default: nsqd on 127.0.0.1:4151, or nsqlookupd on 127.0.0.1:4161 where
    /// nothing listens there]
    #[arg(long, value_name = "HOST:PORT", value_parser = values::address)]
    http_address: Option<String>,
    /// How long it may take to answer.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = values::positive_duration)]
    timeout: Duration,
}

const EXAMPLES: &str = "\
Examples:
  nsq ping
  nsq ping --http-address queue.example.com:4151 && echo well";

/// Succeeds if the daemon is well.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Arguments { http_address, timeout } = arguments;
    let answered = runtime.block_on(async { tokio::time::timeout(timeout, ping(http_address)).await });
    let outcome = answered.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}")));
    // Looking a name up is not waited for any longer.
    runtime.shutdown_background();
    outcome.map_err(Failure::Failed)
}

async fn ping(address: Option<String>) -> Result<(), String> {
    let Some(address) = address else {
        return match HttpClient::new(NSQD).ping().await {
            Err(HttpError::Connect { .. }) => match HttpClient::new(NSQLOOKUPD).ping().await {
                Err(HttpError::Connect { .. }) => {
                    Err(format!("nothing listens on {NSQD} (nsqd) or {NSQLOOKUPD} (nsqlookupd)"))
                }
                answer => answer.map_err(why),
            },
            answer => answer.map_err(why),
        };
    };
    HttpClient::new(address).ping().await.map_err(why)
}

/// A daemon that says itself what is wrong is given its own words.
fn why(error: HttpError) -> String {
    match error {
        HttpError::Status { address, message, .. } => printable(&format!("{address}: {message}")),
        error => causes(&error),
    }
}
