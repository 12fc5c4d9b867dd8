//! `nsq ping`: whether a daemon is well, for whoever can only run a program and look at its exit code.

use std::time::Duration;

use nsq::client::{HttpClient, HttpError};

use crate::failure::{Failure, causes, printable};
use crate::values;

/// Where the daemons listen unless they are told otherwise: the first that is there is asked.
const USUAL: [(&str, &str); 3] =
    [("127.0.0.1:4151", "nsqd"), ("127.0.0.1:4161", "nsqlookupd"), ("127.0.0.1:4171", "nsqadmin")];

/// Asks a daemon whether it is well, for health checks: the exit code is 0 if so, and 1 if not, with the reason.
///
/// A daemon is not well if it does not answer, or if its disk refuses what should be written.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The HTTP address of an nsqd, nsqlookupd or nsqadmin. [default: nsqd on 127.0.0.1:4151; where nothing listens there,
    /// nsqlookupd on 127.0.0.1:4161; nor there, nsqadmin on 127.0.0.1:4171]
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
    if let Some(address) = address {
        return HttpClient::new(address).ping().await.map_err(why);
    }
    for (address, _) in USUAL {
        match HttpClient::new(address).ping().await {
            Err(HttpError::Connect { .. }) => {}
            answer => return answer.map_err(why),
        }
    }
    let [first, second, third] = USUAL.map(|(address, name)| format!("{address} ({name})"));
    Err(format!("nothing listens on {first}, {second} or {third}"))
}

/// A daemon that says itself what is wrong is given its own words.
fn why(error: HttpError) -> String {
    match error {
        HttpError::Status { address, message, .. } => printable(&format!("{address}: {message}")),
        error => causes(&error),
    }
}
