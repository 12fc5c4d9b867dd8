//! Everything nsqd can be told: one entry an option, and the struct the rest of the daemon works with.
//!
//! [`Options::read`] takes a command line through both stages: what was typed, checked as a whole, and then what
//! the program needs. An `Options` it returned is safe to run.

mod address;
mod check;
#[cfg(test)]
mod tests;
mod words;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use md5::{Digest, Md5};
use nsq::daemon::{
    host::host_name,
    logging::{Level, LogFormat, LogSettings},
    options::{ConfigValue, Entry, Kind, Program, Stop, VERBOSE, VERSION, flag, options},
};
use nsq::transport::tls::{ClientCertificates, TlsFiles};

pub use self::{
    address::Address,
    words::{AuthMethod, TlsMinVersion, TlsRequired},
};

/// nsqd and all it can be told.
pub const PROGRAM: Program = Program {
    name: "nsqd",
    about: "The daemon that receives, queues and delivers messages.",
    without_field: &[VERSION, VERBOSE, WORKER_ID],
    sections: Options::SECTIONS,
};

const WORKER_ID: Entry =
    flag("worker-id").no_key().default("false").no_effect().described(Kind::Bool, "Use `--node-id` instead.");

options! {
    /// What the daemon needs to know, each field with the option it comes from.
    ///
    /// The comment of a field is also the option's help.
    pub struct Options {
        "Basics" {
            /// The configuration file, in TOML. What it says is overridden by flags.
            pub config: PathBuf = flag("config").no_key(),
            /// Where queues are kept; the directory must exist. Empty is the current directory.
            pub data_path: PathBuf = flag("data-path"),
            /// The part of message ids that is this daemon's own, 0 to 1023. No two daemons of a cluster should share
            /// it.
            pub node_id: u16 = flag("node-id").key("id").computed("a hash of the host's name", default_node_id),
            /// Log lines below this level are not written: debug, info, warn, error or fatal.
            pub log_level: Level = flag("log-level").default("info"),
            /// What stands before each log line.
            pub log_prefix: String = flag("log-prefix").default("[nsqd] "),
            /// How log lines are written: text, or json for one object a line.
            pub log_format: LogFormat = flag("log-format").default("text"),
        }
        "Addresses" {
            /// Where TCP clients connect: `host:port`, or the path of a unix socket.
            pub tcp_address: Address = flag("tcp-address").default("0.0.0.0:4150"),
            /// Where HTTP clients connect: `host:port`, or the path of a unix socket. Empty for no HTTP.
            pub http_address: Address = flag("http-address").default("0.0.0.0:4151"),
            /// Where HTTPS clients connect: `host:port`. Used with a certificate and a key only; empty for no HTTPS.
            pub https_address: String = flag("https-address").default("0.0.0.0:4152"),
            /// The host name this daemon is announced by.
            pub broadcast_address: String =
                flag("broadcast-address").computed("the host's name", host_name),
            /// The TCP port this daemon is announced with; 0 for the one it listens on.
            pub broadcast_tcp_port: u16 = flag("broadcast-tcp-port").default("0"),
            /// The HTTP port this daemon is announced with; 0 for the one it listens on.
            pub broadcast_http_port: u16 = flag("broadcast-http-port").default("0"),
        }
        "Discovery" {
            /// An nsqlookupd to register with, as `host:port` of its TCP address. Repeat it for each.
            pub nsqlookupd_tcp_addresses: Vec<String> =
                flag("lookupd-tcp-address").key("nsqlookupd_tcp_addresses"),
            /// How long connecting to an nsqlookupd or an authorisation server over HTTP may take.
            pub http_client_connect_timeout: Duration =
                flag("http-client-connect-timeout").default("2s"),
            /// How long such a server may take to answer.
            pub http_client_request_timeout: Duration =
                flag("http-client-request-timeout").default("5s"),
            /// Whether topics that other nodes have, as every nsqlookupd knows, are made here too, with their channels:
            /// consumers then connect before the first message. Ephemeral ones are not.
            pub sync_topics: bool = flag("sync-topics").default("false"),
            /// A file in TOML that names topics and channels to be there from the start, see docs/discovery.md.
            pub topology_file: PathBuf = flag("topology-file"),
        }
        "Authorisation" {
            /// A server that says what a client may do: `host:port` or a URL. Repeat it for each.
            pub auth_http_addresses: Vec<String> =
                flag("auth-http-address").key("auth_http_addresses"),
            /// How such a server is asked: get or post.
            pub auth_http_request_method: AuthMethod =
                flag("auth-http-request-method").default("get"),
        }
        "Queues" {
            /// How many waiting messages of a topic stay in memory; older ones go to disk. With 0 every message is
            /// written to the journal before it is acknowledged, and outlives the process however that ends; with
            /// --sync-every=1 as well it is on the disk, and outlives a loss of power. For one topic,
            /// `POST /topic/create?topic=NAME&durability=memory|os|disk` chooses the same (docs/durability.md).
            pub mem_queue_size: usize = flag("mem-queue-size").default("10000"),
            /// The size at which NSQ begins another queue file, in bytes.
            pub max_bytes_per_file: i64 = flag("max-bytes-per-file").default("104857600").no_effect(),
            /// With --mem-queue-size=0, and for topics made with durability=os or disk: after how many messages, of all
            /// topics together, the journal is synced to the disk. With 1, and of topics made with durability=disk, no
            /// message is acknowledged before it is.
            pub sync_every: u64 = flag("sync-every").default("2500"),
            /// With --mem-queue-size=0, and for topics made with durability=os or disk: how long a message may wait to be
            /// synced to the disk. Otherwise: how often positions, attempts and due times are saved while they change.
            pub sync_timeout: Duration = flag("sync-timeout").default("2s"),
            /// How many bytes of the file system are to stay free: with less, no message is taken that needs the disk.
            /// -1 is 1 % of it, at most 256 MiB. PUT /config/min_free_disk changes it until the next start.
            pub min_free_disk: i64 = flag("min-free-disk").default("-1"),
            /// How many workers look for expired messages in NSQ; here nothing scans.
            pub queue_scan_worker_pool_max: i64 = flag("queue-scan-worker-pool-max").default("4").no_effect(),
            /// How many channels such a worker looks at in a turn.
            pub queue_scan_selection_count: i64 = flag("queue-scan-selection-count").default("20").no_effect(),
        }
        "Messages" {
            /// How long a consumer may take over a message before it is queued again, unless it asks otherwise.
            pub msg_timeout: Duration = flag("msg-timeout").default("60s"),
            /// The longest time a consumer may ask for, and the longest a message can be touched.
            pub max_msg_timeout: Duration = flag("max-msg-timeout").default("15m"),
            /// The largest message, in bytes.
            pub max_msg_size: usize = flag("max-msg-size").default("1048576"),
            /// The largest body of one command, in bytes: several messages published at once.
            pub max_body_size: usize = flag("max-body-size").default("5242880"),
            /// The longest delay a message can be requeued or published with.
            pub max_req_timeout: Duration = flag("max-req-timeout").default("1h"),
            /// Whether messages in flight to a consumer that is gone are queued again at once; if not, they wait for
            /// their timeout, as in NSQ.
            pub requeue_on_disconnect: bool = flag("requeue-on-disconnect").default("true"),
        }
        "Clients" {
            /// The longest time between heartbeats a client may ask for.
            pub max_heartbeat_interval: Duration = flag("max-heartbeat-interval").default("60s"),
            /// The largest ready count of a consumer.
            pub max_rdy_count: u64 = flag("max-rdy-count").default("2500"),
            /// The largest output buffer a client may ask for, in bytes.
            pub max_output_buffer_size: usize = flag("max-output-buffer-size").default("65536"),
            /// The longest time in an output buffer a client may ask for.
            pub max_output_buffer_timeout: Duration = flag("max-output-buffer-timeout").default("30s"),
            /// The shortest time in an output buffer a client may ask for.
            pub min_output_buffer_timeout: Duration = flag("min-output-buffer-timeout").default("25ms"),
            /// The longest a message waits in an output buffer, unless the client asks otherwise.
            pub output_buffer_timeout: Duration = flag("output-buffer-timeout").default("250ms"),
            /// How many consumers a channel may have; 0 or less for any number.
            pub max_channel_consumers: i64 = flag("max-channel-consumers").default("0"),
        }
        "Statistics" {
            /// Where statsd listens, as `host:port` of its UDP address. Empty for no statsd.
            pub statsd_address: String = flag("statsd-address"),
            /// What names sent to statsd begin with; `%s` becomes this host and its HTTP port.
            pub statsd_prefix: String = flag("statsd-prefix").default("nsq.%s"),
            /// How often statistics are sent; more than 1s.
            pub statsd_interval: Duration = flag("statsd-interval").default("60s"),
            /// Whether memory figures are sent too.
            pub statsd_mem_stats: bool = flag("statsd-mem-stats").default("true"),
            /// The largest datagram sent to statsd, in bytes.
            pub statsd_udp_packet_size: usize = flag("statsd-udp-packet-size").default("508"),
            /// Whether ephemeral topics and channels are left out.
            pub statsd_exclude_ephemeral: bool = flag("statsd-exclude-ephemeral").default("false"),
            /// A percentile of the time from publishing to finishing to keep track of, above 0 and up to 1. Repeat it,
            /// or separate several by commas.
            pub e2e_processing_latency_percentiles: Vec<f64> =
                flag("e2e-processing-latency-percentile").key("e2e_processing_latency_percentiles"),
            /// How far back these percentiles look.
            pub e2e_processing_latency_window_time: Duration =
                flag("e2e-processing-latency-window-time").default("10m"),
        }
        "TLS" {
            /// The certificate file.
            pub tls_cert: PathBuf = flag("tls-cert"),
            /// The key file.
            pub tls_key: PathBuf = flag("tls-key"),
            /// What is asked of clients: `require` a certificate, or `require-verify` one of a known authority.
            pub tls_client_auth_policy: String = flag("tls-client-auth-policy"),
            /// The file of authorities that may vouch for clients.
            pub tls_root_ca_file: PathBuf = flag("tls-root-ca-file"),
            /// Whether clients must speak TLS: true, false, or tcp-https for all but HTTP.
            pub tls_required: TlsRequired = flag("tls-required").default("false"),
            /// The oldest version clients may speak: tls1.0, tls1.1, tls1.2 or tls1.3. The first two mean tls1.2: older
            /// ones are not spoken here.
            pub tls_min_version: TlsMinVersion = flag("tls-min-version").default("tls1.0"),
        }
        "Compression" {
            /// Whether clients may ask for deflate.
            pub deflate: bool = flag("deflate").default("true"),
            /// The highest deflate level a client may ask for, 1 to 9.
            pub max_deflate_level: u8 = flag("max-deflate-level").default("6"),
            /// Whether clients may ask for snappy.
            pub snappy: bool = flag("snappy").default("true"),
        }
        "Topology" {
            /// The region this daemon is in.
            pub topology_region: String = flag("topology-region"),
            /// The zone of the region this daemon is in.
            pub topology_zone: String = flag("topology-zone"),
            /// An experiment to take part in: with `topology-aware-consumption`, of the consumers that wait those of this
            /// zone get messages first, then those of this region. Repeat it for each.
            pub enable_experiment: Vec<String> = flag("enable-experiment"),
        }
    }
}

impl Default for Options {
    /// What holds when nothing is said.
    fn default() -> Self {
        Self::from_typed(&PROGRAM.defaults()).expect("defaults are in range, which a test asserts")
    }
}

impl Options {
    /// Reads a command line, the program's own name not included, and the file it names.
    ///
    /// # Errors
    /// If the daemon is not to run with it.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Stop> {
        Self::read_with(arguments, |_| Ok(())).map(|(options, ())| options)
    }

    /// As [`read`](Self::read), but claims the data directory between the two stages: it is the first thing that
    /// NSQ tells of when it cannot start. Returns what `claim` returned, too.
    ///
    /// # Errors
    /// If the daemon is not to run with it, or the directory cannot be claimed.
    pub fn read_with<T>(
        arguments: impl IntoIterator<Item = OsString>,
        claim: impl FnOnce(&Path) -> Result<T, String>,
    ) -> Result<(Self, T), Stop> {
        let fatal = |why| Stop::Fatal(format!("failed to instantiate nsqd - {why}"));
        let typed = PROGRAM.read(arguments)?;
        let data_path: PathBuf = typed.field("data-path").map_err(fatal)?;
        let claimed = claim(&directory(&data_path)).map_err(fatal)?;
        let mut options = check::check(&typed).and_then(|()| Self::from_typed(&typed)).map_err(fatal)?;
        // Who asks for certificates asks for TLS.
        if !options.tls_client_auth_policy.is_empty() && options.tls_required == TlsRequired::No {
            options.tls_required = TlsRequired::Yes;
        }
        Ok((options, claimed))
    }

    /// What `GET /config/<key>` answers; `None` if there is no such key.
    #[must_use]
    pub fn config_value(&self, key: &str) -> Option<ConfigValue> {
        let entry = PROGRAM.entries().find(|entry| entry.file_key().is_some_and(|name| name == key))?;
        self.value(entry.flag).map(ConfigValue::from)
    }

    /// Puts in what is known only once the listeners are bound: the ports to be announced where none was given,
    /// and the host in the statsd prefix. A port is `None` for a unix socket or no listener.
    pub fn bound(&mut self, tcp_port: Option<u16>, http_port: Option<u16>) {
        if self.broadcast_tcp_port == 0 {
            self.broadcast_tcp_port = tcp_port.unwrap_or(0);
        }
        if self.broadcast_http_port == 0 {
            self.broadcast_http_port = http_port.unwrap_or(0);
        }
        self.statsd_prefix =
            statsd_prefix(&self.statsd_prefix, &self.broadcast_address, self.broadcast_http_port);
    }

    /// What TLS is made of; `None` where there is to be none.
    #[must_use]
    pub fn tls_files(&self) -> Option<TlsFiles> {
        tls_files(
            self.tls_cert.clone(),
            self.tls_key.clone(),
            &self.tls_client_auth_policy,
            self.tls_root_ca_file.clone(),
            self.tls_min_version,
        )
    }

    /// The directory queues are kept in.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        directory(&self.data_path)
    }

    /// What the log is to be like.
    #[must_use]
    pub fn log_settings(&self) -> LogSettings {
        LogSettings { prefix: self.log_prefix.clone().into(), level: self.log_level, format: self.log_format }
    }

    /// The log level the configuration file asks for now; `None` without a file, or if it does not say.
    ///
    /// # Errors
    /// If the file cannot be read or asks for a level that does not exist.
    pub fn reread_log_level(&self) -> Result<Option<Level>, String> {
        if self.config.as_os_str().is_empty() {
            return Ok(None);
        }
        PROGRAM.reread(&self.config, "log-level")
    }
}

/// What TLS is made of; `None` where no file is named.
fn tls_files(
    certificate: PathBuf,
    key: PathBuf,
    policy: &str,
    authorities: PathBuf,
    min_version: TlsMinVersion,
) -> Option<TlsFiles> {
    let is_named = |path: &Path| !path.as_os_str().is_empty();
    let clients = match policy {
        "require" => ClientCertificates::Required,
        "require-verify" => ClientCertificates::Verified,
        _ => ClientCertificates::NotAsked,
    };
    let only_tls_1_3 = min_version == TlsMinVersion::Tls13;
    let has_files = is_named(&certificate) || is_named(&key);
    has_files.then_some(TlsFiles { certificate, key, clients, authorities, only_tls_1_3 })
}

/// An empty path names nothing; `.` names the current directory.
fn directory(data_path: &Path) -> PathBuf {
    if data_path.as_os_str().is_empty() { PathBuf::from(".") } else { data_path.to_owned() }
}

/// Names each `%s` by the host and its HTTP port, as statsd can take them, and ends with a point.
fn statsd_prefix(template: &str, host: &str, port: u16) -> String {
    if template.is_empty() {
        return String::new();
    }
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut prefix = template.replace("%s", &address.replace(['.', ':'], "_"));
    if !prefix.ends_with('.') {
        prefix.push('.');
    }
    prefix
}

/// The same number NSQ derives from the host's name, so that ids keep their owner when it is replaced.
fn default_node_id() -> String {
    node_id_of(&host_name()).to_string()
}

fn node_id_of(host: &str) -> u32 {
    crc32fast::hash(&Md5::digest(host)) % 1024
}
