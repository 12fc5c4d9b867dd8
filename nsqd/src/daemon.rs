//! The daemon as a whole: from options to listeners, from a signal to the last byte on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nsq::api::info::Info;
use nsq::daemon::clock::Clock;
use nsq::daemon::host::host_name;
use nsq::daemon::lifetime::{StopSwitch, until_told_to_stop};
use nsq::daemon::listener::{ListenError, Listener, Listening};
use nsq::daemon::logging::LogControl;
use nsq::daemon::os_error::os_error_text;
use nsq::daemon::runtime;
use nsq::daemon::version::{OWN_VERSION, version_line};
use nsq::daemon::{http as http_server, signals};
use nsq::transport::tls::{TlsFilesError, TlsServer};
use nsq::wire::command::Limits;
use nsq::wire::identify::{IdentifyLimits, Offer};
use nsq::wire::lookup::Identity;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::auth::{AuthServers, AuthSettings};
use crate::certificates::Certificates;
use crate::data_dir::DataDirLock;
use crate::http::config::{LiveConfig, MinFreeDisk};
use crate::http::{HttpState, Limits as HttpLimits};
use crate::lookup::{Lookups, Settings as LookupSettings};
use crate::metrics::snapshot::StatsFilter;
use crate::metrics::statsd::{Form, Round};
use crate::metrics::statsd_push::Push;
use crate::node::{Durability, Node, NodeSettings};
use crate::options::{Address, Options, PROGRAM, TlsMinVersion, TlsRequired};
use crate::store::journal::{Journal, JournalSettings};
use crate::store::lazy::Lazy;
use crate::store::places::Places;
use crate::store::sled::SledLog;
use crate::store::watermark::{Mark, Room, Watermark};
use crate::store::worker::StoreOptions;
use crate::store::{JOURNAL_DIRECTORY, Log, LogError, SPILL_DIRECTORY};
use crate::tcp::{self, TcpSettings};
use crate::topology_file::{self, TopologyFileError};

/// The experiment in which messages go to consumers that are near first.
const TOPOLOGY_AWARE: &str = "topology-aware-consumption";

/// Why the daemon could not start, or could not end as it should: the text of its last log line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("failed to instantiate nsqd - {error}")]
    Listen {
        /// The flag that it came from, without its dashes.
        flag: &'static str,
        /// Why.
        error: ListenError,
    },
    /// The system gives no threads or no signals.
    #[error("failed to instantiate nsqd - {0}")]
    System(#[from] std::io::Error),
    /// The files of TLS changed since they were checked, and are of no use now.
    #[error("failed to instantiate nsqd - failed to build TLS config - {0}")]
    Tls(#[from] TlsFilesError),
    /// The file of authorities that may vouch for authorization servers cannot be used.
    #[error("failed to instantiate nsqd - failed to build client TLS config - {0}")]
    Authorities(#[source] TlsFilesError),
    /// The topology file cannot be used.
    #[error("failed to load topology file - {0}")]
    Topology(#[from] TopologyFileError),
    /// The store cannot be opened.
    #[error("failed to open the store in {} - {cause}", .path.display())]
    Store {
        /// Where it is.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// What was kept cannot be taken up, or could not be kept.
    #[error("{0}")]
    Node(#[from] crate::node::StartError),
}

impl StartError {
    /// What the operator can do about it, where that is not plain from the text.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Listen { flag, error } => Some(error.advice(PROGRAM.name, flag)),
            Self::Store { .. } => Some(
                "let the user that nsqd runs as write there, or choose another directory with --data-path=DIR".to_owned(),
            ),
            Self::Node(crate::node::StartError::Metadata(error)) => error.advice(),
            _ => None,
        }
    }
}

/// Runs the daemon until it is told to stop, in a data directory that is its own.
///
/// # Errors
/// If it cannot start, or could not write down what is to outlive it.
pub fn run(options: Options, data_dir: DataDirLock, log: LogControl) -> Result<(), StartError> {
    let runtime = runtime::build(PROGRAM.name)?;
    let outcome = runtime.block_on(async {
        let (termination, hangups) = signals::install()?;
        let (reread, level) = (options.clone(), log.clone());
        let (reloads, reloaded) = watch::channel(());
        let told = until_told_to_stop(termination, hangups, &level, || {
            reloads.send_replace(());
            reread.reread_log_level()
        });
        serve(options, log, reloaded, |_| {}, async { format!("{} received", told.await) }).await
    });
    // Sessions that still hang on a socket are not waited for.
    runtime.shutdown_background();
    drop(data_dir);
    outcome
}

/// The daemon itself, for whoever has a runtime of several threads, the data directory's lock and the signals: says
/// where it listens once it does, and runs until `stop` gives the reason to end. At each change of `reloads` it reads the
/// files of TLS again.
///
/// # Errors
/// If it cannot start, or could not write down what is to outlive it.
pub async fn serve(
    mut options: Options,
    log: LogControl,
    reloads: watch::Receiver<()>,
    listening: impl FnOnce(Listening),
    stop: impl Future<Output = String>,
) -> Result<(), StartError> {
    let clock = Clock::new();
    let data_dir = options.data_dir();
    info!(own_version = OWN_VERSION, "{}", version_line(PROGRAM.name));
    info!("ID: {}", options.node_id);
    if options.sync_topics && options.nsqlookupd_tcp_addresses.is_empty() {
        warn!("--sync-topics has nobody to ask: --lookupd-tcp-address names no nsqlookupd");
    }
    if !options.nsqlookupd_tcp_addresses.is_empty() {
        tokio::spawn(warn_if_nowhere(options.broadcast_address.clone()));
    }
    let auth_servers = AuthServers::new(auth_settings(&options)).map_err(StartError::Authorities)?;
    let declared = topology_file::read(&options.topology_file)?;
    let tcp_listener = listen("tcp-address", &options.tcp_address).await?;
    let http_listener = listen("http-address", &options.http_address).await?;
    let tls = Certificates::load(&options)?;
    let https_listener = match &tls {
        Some(_) if !options.https_address.is_empty() => {
            let listener = Listener::tcp(&options.https_address).await;
            Some(listener.map_err(|error| StartError::Listen { flag: "https-address", error })?)
        }
        _ => None,
    };
    let https_port = https_listener.as_ref().and_then(Listener::port).unwrap_or(0);
    let port = |listener: &Option<Listener>| listener.as_ref().and_then(Listener::port);
    let ports = Ports { tcp: port(&tcp_listener), http: port(&http_listener) };
    let addresses = Listening {
        tcp: tcp_listener.as_ref().map(Listener::address),
        http: http_listener.as_ref().map(Listener::address),
    };
    let info = info_of(&options, &clock, ports, http_listener.is_some());
    options.bound(ports.tcp, ports.http);
    let options = Arc::new(options);

    let mark = mark(&options, &data_dir);
    let node = tokio::task::block_in_place(|| open_node(&options, clock, &data_dir, &mark))?;
    let switch = StopSwitch::new();
    let background = [tokio::spawn(node.run_timers()), tokio::spawn(node.run_metadata())];
    // Kept to the end: the lookups follow it, whether there is HTTP to change it or not.
    let (lookupd_addresses, followed) = watch::channel(Some(options.nsqlookupd_tcp_addresses.clone()));
    let lookups = Lookups::start(lookup_settings(&options), Arc::clone(&node), followed);
    declared.iter().for_each(|topic| node.declare(topic));
    let mut servers = vec![tokio::spawn(lookups.run(switch.stopping()))];
    if let Some(listener) = tcp_listener {
        let settings = tcp_settings(&options, tls.as_ref().map(Certificates::newest), auth_servers);
        let context = Arc::new(tcp::Context::new(Arc::clone(&node), settings));
        servers.push(tokio::spawn(tcp::serve(listener, context, switch.stopping())));
    }
    let app = crate::http::app(http_state(
        &options,
        &node,
        info,
        LiveParts { log: log.clone(), lookupd_addresses: lookupd_addresses.clone(), mark: mark.clone() },
    ));
    if let (Some(listener), Some(tls)) = (https_listener, &tls) {
        servers.push(tokio::spawn(tls.clone().serve_https(listener, app.clone(), switch.stopping())));
    }
    if let Some(listener) = http_listener {
        let app = match options.tls_required {
            TlsRequired::Yes => crate::http::tls_required(app, https_port),
            TlsRequired::No | TlsRequired::ExceptHttp => app,
        };
        servers.push(tokio::spawn(http_server::serve("HTTP", listener, app, switch.stopping())));
    }
    if let Some(tls) = tls {
        servers.push(tokio::spawn(tls.follow(reloads, switch.stopping())));
    }
    if !options.statsd_address.is_empty() {
        let (push, node) = (statsd_push(&options), Arc::clone(&node));
        let look = statsd_look(Arc::clone(&options), node);
        let stopping = switch.stopping();
        servers.push(tokio::spawn(async move { push.run(look, stopping).await }));
    }
    listening(addresses);
    let why = stop.await;

    info!("{why}, stopping");
    node.begin_exit();
    switch.stop();
    for server in servers {
        // One that panicked has said so; the others and the data still count.
        let _ = server.await;
    }
    background.iter().for_each(tokio::task::JoinHandle::abort);
    // What is only in memory may have the room that was kept free.
    mark.lift();
    tokio::task::block_in_place(|| node.stop())?;
    info!("NSQ: bye");
    Ok(())
}

fn open_node(options: &Options, clock: Clock, data_dir: &Path, mark: &Mark) -> Result<Arc<Node>, StartError> {
    let durability = durability(options);
    let logs = open_logs(options, durability, data_dir, mark)?;
    let settings = NodeSettings {
        node_id: options.node_id,
        data_path: data_dir.to_owned(),
        durability,
        mem_queue_size: options.mem_queue_size as u64,
        channel_consumers_max: options.max_channel_consumers.try_into().unwrap_or(0),
        requeue_on_disconnect: options.requeue_on_disconnect,
        latency_percentiles: options.e2e_processing_latency_percentiles.clone(),
        latency_window: options.e2e_processing_latency_window_time,
        sync_timeout: options.sync_timeout,
        store: StoreOptions::default(),
        message_bytes_max: options.max_msg_size,
    };
    Ok(Node::start(settings, clock, logs)?)
}

/// The logs of both levels, where anything is kept in them.
fn open_logs(
    options: &Options,
    durability: Durability,
    data_dir: &Path,
    mark: &Mark,
) -> Result<Places<Box<dyn Log>>, StartError> {
    let journal_settings = JournalSettings {
        default_durability: durability,
        sync_every: options.sync_every,
        sync_timeout: options.sync_timeout,
        ..JournalSettings::default()
    };
    let watched = |log: Box<dyn Log>| Box::new(Watermark::new(log, mark.clone())) as Box<dyn Log>;
    let spill = open_log(data_dir.join(SPILL_DIRECTORY), |path| Ok(Box::new(SledLog::open(path)?)))?;
    let journal = open_log(data_dir.join(JOURNAL_DIRECTORY), move |path| {
        Ok(Box::new(Journal::open(path, journal_settings)?))
    })?;
    Ok(Places { spill: watched(spill), journal: watched(journal) })
}

/// What is to stay free of the file system that the data is on.
fn mark(options: &Options, data_dir: &Path) -> Mark {
    // -1 leaves it to the mark.
    let keep_free = u64::try_from(options.min_free_disk).ok();
    let data_dir = data_dir.to_owned();
    Mark::new(keep_free, move || Room::on(&data_dir))
}

fn open_log(
    path: PathBuf,
    open: impl Fn(&Path) -> Result<Box<dyn Log>, LogError> + Send + 'static,
) -> Result<Box<dyn Log>, StartError> {
    let (is_there, named) = (path.exists(), path.clone());
    let log = Lazy::new(is_there, move || open(&path)).map_err(|error| {
        let cause = match error {
            LogError::Io(error) => os_error_text(&error),
            damaged @ LogError::Damaged { .. } => damaged.to_string(),
        };
        StartError::Store { path: named, cause }
    })?;
    Ok(Box::new(log))
}

/// What the flags say that the acknowledgement of a publish promises (docs/durability.md).
fn durability(options: &Options) -> Durability {
    match (options.mem_queue_size, options.sync_every) {
        (0, 1) => Durability::Disk,
        (0, _) => Durability::Os,
        _ => Durability::Memory,
    }
}

/// The ports that are listened on; `None` for a Unix socket or nothing.
#[derive(Debug, Clone, Copy)]
struct Ports {
    tcp: Option<u16>,
    http: Option<u16>,
}

async fn listen(flag: &'static str, address: &Address) -> Result<Option<Listener>, StartError> {
    let listener = match address {
        Address::Off => return Ok(None),
        Address::Tcp(address) => Listener::tcp(address).await,
        Address::Unix(path) => Listener::unix(path),
    };
    listener.map(Some).map_err(|error| StartError::Listen { flag, error })
}

fn tcp_settings(
    options: &Options,
    tls: Option<watch::Receiver<TlsServer>>,
    auth_servers: Option<AuthServers>,
) -> TcpSettings {
    TcpSettings {
        limits: Limits {
            msg_size_max: options.max_msg_size,
            body_size_max: options.max_body_size,
            rdy_count_max: i64::try_from(options.max_rdy_count).unwrap_or(i64::MAX),
            req_timeout_max: options.max_req_timeout,
        },
        identify_limits: IdentifyLimits {
            heartbeat_interval_max: options.max_heartbeat_interval,
            output_buffer_timeout_min: options.min_output_buffer_timeout,
            output_buffer_timeout_max: options.max_output_buffer_timeout,
            output_buffer_size_max: options.max_output_buffer_size,
            msg_timeout_max: options.max_msg_timeout,
        },
        offer: Offer {
            version: crate::VERSION.to_owned(),
            rdy_count_max: i64::try_from(options.max_rdy_count).unwrap_or(i64::MAX),
            tls: tls.is_some(),
            snappy: options.snappy,
            deflate: options.deflate,
            deflate_level_max: options.max_deflate_level.into(),
            auth_required: !options.auth_http_addresses.is_empty(),
            topology_region: options.topology_region.clone(),
            topology_zone: options.topology_zone.clone(),
        },
        tls,
        tls_required: options.tls_required != TlsRequired::No,
        auth_servers,
        topology_aware: options.enable_experiment.iter().any(|experiment| experiment == TOPOLOGY_AWARE),
        output_buffer_timeout: options.output_buffer_timeout,
        msg_timeout: options.msg_timeout,
    }
}

fn auth_settings(options: &Options) -> AuthSettings {
    AuthSettings {
        addresses: options.auth_http_addresses.clone(),
        method: options.auth_http_request_method,
        connect_timeout: options.http_client_connect_timeout,
        request_timeout: options.http_client_request_timeout,
        authorities: options.tls_root_ca_file.clone(),
        only_tls_1_3: options.tls_min_version == TlsMinVersion::Tls13,
    }
}

/// What changes while the daemon runs.
struct LiveParts {
    log: LogControl,
    lookupd_addresses: watch::Sender<Option<Vec<String>>>,
    mark: Mark,
}

/// A mark as an option.
struct KeptFree(Mark);

impl MinFreeDisk for KeptFree {
    fn bytes(&self) -> i64 {
        self.0.keep_free().map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    fn set_bytes(&self, bytes: i64) {
        self.0.set_keep_free(u64::try_from(bytes).ok());
    }
}

fn http_state(options: &Arc<Options>, node: &Arc<Node>, info: Info, live: LiveParts) -> HttpState {
    let shown = Arc::clone(options);
    HttpState {
        node: Arc::clone(node),
        banner: version_line(PROGRAM.name),
        info,
        limits: HttpLimits {
            message_bytes_max: options.max_msg_size,
            body_bytes_max: options.max_body_size,
            delay_max: options.max_req_timeout,
        },
        config: LiveConfig {
            option: Box::new(move |key| shown.config_value(key)),
            log_level: Box::new(live.log),
            lookupd_addresses: live.lookupd_addresses,
            min_free_disk: Box::new(KeptFree(live.mark)),
        },
    }
}

fn info_of(options: &Options, clock: &Clock, ports: Ports, has_http: bool) -> Info {
    let port = |port: Option<u16>| port.map_or(-1, i32::from);
    let nanoseconds = |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    Info {
        version: crate::VERSION.to_owned(),
        broadcast_address: options.broadcast_address.clone(),
        hostname: host_name(),
        http_port: if has_http { port(ports.http) } else { 0 },
        tcp_port: port(ports.tcp),
        start_time: clock.start_unix_s(),
        max_heartbeat_interval: nanoseconds(options.max_heartbeat_interval),
        max_output_buffer_size: i64::try_from(options.max_output_buffer_size).unwrap_or(i64::MAX),
        max_output_buffer_timeout: nanoseconds(options.max_output_buffer_timeout),
        max_deflate_level: options.max_deflate_level.into(),
        topology_zone: options.topology_zone.clone(),
        topology_region: options.topology_region.clone(),
    }
}

/// Says so if what consumers are to connect to leads nowhere from here. Others may know it nevertheless, or not know one that
/// this host knows.
async fn warn_if_nowhere(broadcast_address: String) {
    let host = broadcast_address.trim_start_matches('[').trim_end_matches(']');
    if let Err(error) = tokio::net::lookup_host((host, 0)).await {
        warn!(
            "LOOKUP: the name {broadcast_address} leads nowhere on this host - {error}; consumers are told to connect to \
             it. Another one is set by --broadcast-address"
        );
    }
}

fn lookup_settings(options: &Options) -> LookupSettings {
    LookupSettings {
        identity: Identity {
            broadcast_address: options.broadcast_address.clone(),
            hostname: host_name(),
            http_port: options.broadcast_http_port.into(),
            tcp_port: options.broadcast_tcp_port.into(),
            topology_region: options.topology_region.clone(),
            topology_zone: options.topology_zone.clone(),
            version: crate::VERSION.to_owned(),
        },
        answer_bytes_max: options.max_body_size,
        http_connect_timeout: options.http_client_connect_timeout,
        http_request_timeout: options.http_client_request_timeout,
        sync_topics: options.sync_topics,
    }
}

fn statsd_push(options: &Options) -> Push {
    Push {
        address: options.statsd_address.clone(),
        interval: options.statsd_interval,
        packet_bytes: options.statsd_udp_packet_size,
        form: Form {
            prefix: options.statsd_prefix.clone(),
            exclude_ephemeral: options.statsd_exclude_ephemeral,
        },
    }
}

fn statsd_look(options: Arc<Options>, node: Arc<Node>) -> impl FnMut() -> Round {
    let look = move || Round {
        snapshot: node.snapshot(&StatsFilter { include_clients: false, ..StatsFilter::default() }),
        memory: options.statsd_mem_stats.then(crate::metrics::memory::read),
    };
    // With thousands of topics it takes a while, and connections do not wait for it.
    move || tokio::task::block_in_place(&look)
}
