//! The server as a whole: from options to the listener, from a signal to the end of the last request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nsq::daemon::host::host_name;
use nsq::daemon::http as http_server;
use nsq::daemon::lifetime::{StopSwitch, until_told_to_stop};
use nsq::daemon::listener::{ListenError, Listener, Listening};
use nsq::daemon::logging::LogControl;
use nsq::daemon::os_error::os_error_text;
use nsq::daemon::version::{OWN_VERSION, version_line};
use nsq::daemon::{runtime, signals};
use nsq::exchange::{Exchange, Url};
use nsq::transport::tls::TlsFilesError;
use nsq::transport::tls::client::TlsClient;
use tracing::info;

use crate::access::{Access, Origins, Users};
use crate::cluster::{Cluster, Upstream};
use crate::history::file;
use crate::http::{self, Site};
use crate::notify::Notifier;
use crate::options::{Options, PROGRAM};
use crate::sampler::{self, Sampled, Sampling};

/// Why the server could not start: the text of its last log line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("failed to instantiate nsqadmin - {0}")]
    Listen(#[from] ListenError),
    /// The system gives no threads or no signals.
    #[error("failed to instantiate nsqadmin - {0}")]
    System(#[from] std::io::Error),
    /// What the options name cannot be used.
    #[error("failed to instantiate nsqadmin - {0}")]
    Options(String),
}

impl StartError {
    /// What the operator can do about it, where that is not plain from the text.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Listen(error) => Some(error.advice(PROGRAM.name, "http-address")),
            Self::System(_) | Self::Options(_) => None,
        }
    }
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// If it cannot start.
pub fn run(options: Options, log: LogControl) -> Result<(), StartError> {
    let runtime = runtime::build(PROGRAM.name)?;
    let outcome = runtime.block_on(async {
        let (termination, hangups) = signals::install()?;
        let reread = options.clone();
        let told = until_told_to_stop(termination, hangups, &log, || reread.reread_log_level());
        serve(options, log.clone(), |_| {}, async { format!("{} received", told.await) }).await
    });
    // What still hangs on a socket is not waited for.
    runtime.shutdown_background();
    outcome
}

/// The server itself, for whoever has a runtime and the signals: says where it listens once it does, and runs until
/// `stop` gives the reason to end.
///
/// # Errors
/// If it cannot start.
pub async fn serve(
    options: Options,
    log: LogControl,
    listening: impl FnOnce(Listening),
    stop: impl Future<Output = String>,
) -> Result<(), StartError> {
    info!(own_version = OWN_VERSION, "{}", version_line(PROGRAM.name));
    let config_range = options.allowed_config_range().map_err(StartError::Options)?;
    let exchange = exchange(&options)?;
    resolve(&options.nsqlookupd_http_addresses).await?;
    let listener = Listener::tcp(&options.http_address).await?;
    let address = listener.address();

    let cluster = Cluster::new(
        Upstream::new(exchange.clone()),
        options.nsqlookupd_http_addresses.clone(),
        options.nsqd_http_addresses.clone(),
    );
    let cluster = Arc::new(cluster);
    let directory = Some(&options.data_path).filter(|path| !path.as_os_str().is_empty());
    let history = directory.map(|path| sampler::load(path)).transpose().map_err(StartError::Options)?;
    let sampled = Arc::new(Sampled::new(history.unwrap_or_default(), options.sample_interval));
    let sampling = Sampling {
        cluster: Arc::clone(&cluster),
        interval: options.sample_interval,
        file: directory.map(|path| file::path_in(path)),
    };
    let is_sampling = !options.sample_interval.is_zero();
    // Streams end before the server waits for its requests.
    let switch = StopSwitch::new();
    let site = Site {
        cluster,
        sampled: is_sampling.then(|| Arc::clone(&sampled)),
        switch: StopSwitch::new(),
        access: access(&options)?,
        notifier: notifier(&options, &exchange)?,
        exchange,
        config_range,
        log_level: Box::new(log),
        options,
    };
    let site = Arc::new(site);
    let app = http::app(Arc::clone(&site));
    let server = tokio::spawn(http_server::serve("HTTP", listener, app, switch.stopping()));
    let sampler = is_sampling.then(|| tokio::spawn(sampler::run(sampled, sampling, switch.stopping())));
    listening(Listening { tcp: None, http: Some(address) });
    let why = stop.await;
    info!("{why}, stopping");
    site.switch.stop();
    switch.stop();
    // What panicked has said so; the other still stops in order.
    let _ = server.await;
    if let Some(sampler) = sampler {
        let _ = sampler.await;
    }
    Ok(())
}

fn access(options: &Options) -> Result<Access, StartError> {
    let has_file = !options.auth_file.as_os_str().is_empty();
    let users = has_file.then(|| Users::load(&options.auth_file)).transpose().map_err(StartError::Options)?;
    let bound = options.http_address.rsplit_once(':').map_or("", |(host, _)| host).to_owned();
    let origins = Origins::new([host_name(), bound], &options.allowed_origins);
    Ok(Access::new(options.admin_users.clone(), users, origins))
}

fn notifier(options: &Options, exchange: &Exchange) -> Result<Notifier, StartError> {
    if options.notification_http_endpoint.is_empty() {
        return Ok(Notifier::default());
    }
    let url = Url::parse(&options.notification_http_endpoint);
    let endpoint = url.map_err(|why| StartError::Options(why.to_string()))?;
    Ok(Notifier::start(exchange.clone(), endpoint))
}

/// The names of nsqlookupds must lead somewhere, as in v1.3.0: one that is mistyped is told at once.
async fn resolve(addresses: &[String]) -> Result<(), StartError> {
    for address in addresses {
        let found = tokio::net::lookup_host(address.as_str()).await;
        let cause = match found.map(|mut addresses| addresses.next().is_some()) {
            Ok(true) => continue,
            Ok(false) => "no such host".to_owned(),
            Err(error) => os_error_text(&error),
        };
        let text = format!("failed to resolve --lookupd-http-address ({address}) - {cause}");
        return Err(StartError::Options(text));
    }
    Ok(())
}

fn exchange(options: &Options) -> Result<Exchange, StartError> {
    let files = options.tls_files();
    let tls = TlsClient::load_files(&files).map_err(|error| {
        let shown = |path: &Path| path.display().to_string();
        let (cert, key, root) = (shown(&files.certificate), shown(&files.key), shown(&files.authorities));
        StartError::Options(match &error {
            TlsFilesError::Authorities => format!("failed to AppendCertsFromPEM {root}"),
            TlsFilesError::File { path, cause } if *path == files.authorities => {
                format!("failed to read TLS root CA file {root} - {cause}")
            }
            TlsFilesError::File { .. } | TlsFilesError::Unusable(_) => {
                format!("failed to LoadX509KeyPair {cert}, {key} - {error}")
            }
        })
    })?;
    // In v1.3.0 no time means any time.
    let patience = |limit: Duration| if limit.is_zero() { Duration::MAX } else { limit };
    Ok(Exchange {
        connect_timeout: patience(options.http_client_connect_timeout),
        request_timeout: patience(options.http_client_request_timeout),
        tls,
    })
}
