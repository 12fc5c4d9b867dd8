//! Everything nsqadmin can be told: one entry an option, and the struct the rest of the server works with.

mod base_path;
#[cfg(test)]
mod tests;

use std::{ffi::OsString, io::BufRead, path::PathBuf, time::Duration};

use nsq::daemon::{
    logging::{Level, LogFormat, LogSettings},
    options::{Entry, Kind, Program, Stop, VERBOSE, VERSION, Value, flag, options},
};
use nsq::exchange::Url;
use nsq::transport::tls::client::TlsClientFiles;

use crate::access::Hash;
use crate::cidr::Cidr;

/// nsqadmin and all it can be told.
pub const PROGRAM: Program = Program {
    name: "nsqadmin",
    about: "The page and the API to see what is in a cluster, and to mend it.",
    without_field: &[VERSION, VERBOSE, HASH_PASSWORD],
    sections: Options::SECTIONS,
};

/// `--hash-password`, which `main` answers.
pub const HASH_PASSWORD: Entry = flag("hash-password").no_key().default("false").described(
    Kind::Bool,
    "Reads a password from standard input, prints its hash for `--auth-file`, and exits.",
);

options! {
    /// What the server needs to know, each field with the option it comes from.
    ///
    /// The comment of a field is also the option's help.
    pub struct Options {
        "Basics" {
            /// The configuration file, in TOML. What it says is overridden by flags.
            pub config: PathBuf = flag("config").no_key(),
            /// Log lines below this level are not written: debug, info, warn, error or fatal.
            pub log_level: Level = flag("log-level").default("info"),
            /// What stands before each log line.
            pub log_prefix: String = flag("log-prefix").default("[nsqadmin] "),
            /// How log lines are written: text, or json for one object a line.
            pub log_format: LogFormat = flag("log-format").default("text"),
        }
        "The server" {
            /// Where browsers and other HTTP clients connect: `host:port`.
            pub http_address: String = flag("http-address").default("0.0.0.0:4171"),
            /// The path that everything lies below, behind a proxy that serves more than this.
            pub base_path: String = flag("base-path").default("/"),
            /// The directory whose files are served below `/static/` instead of the built-in ones.
            pub dev_static_dir: PathBuf = flag("dev-static-dir"),
        }
        "The cluster" {
            /// An nsqlookupd, `host:port` of its HTTP. May be repeated.
            pub nsqlookupd_http_addresses: Vec<String> =
                flag("lookupd-http-address").key("nsqlookupd_http_addresses"),
            /// An nsqd, `host:port` of its HTTP, where there is no nsqlookupd. May be repeated.
            pub nsqd_http_addresses: Vec<String> = flag("nsqd-http-address").key("nsqd_http_addresses"),
            /// How long connecting to a node may take; 0 for any time.
            pub http_client_connect_timeout: Duration = flag("http-client-connect-timeout").default("2s"),
            /// How long a request to a node may take, connecting included; 0 for any time.
            pub http_client_request_timeout: Duration = flag("http-client-request-timeout").default("5s"),
            /// Whether nodes that speak HTTPS are believed whoever vouches for them.
            pub http_client_tls_insecure_skip_verify: bool =
                flag("http-client-tls-insecure-skip-verify").default("false"),
            /// The authorities that may vouch for nodes that speak HTTPS, in PEM; those of the system if empty.
            pub http_client_tls_root_ca_file: PathBuf = flag("http-client-tls-root-ca-file"),
            /// The certificate that is shown to nodes that speak HTTPS, in PEM.
            pub http_client_tls_cert: PathBuf = flag("http-client-tls-cert"),
            /// The key of that certificate, in PEM.
            pub http_client_tls_key: PathBuf = flag("http-client-tls-key"),
        }
        "History" {
            /// How often each node is asked for its numbers, at most; 0 for never, and then there is no history.
            pub sample_interval: Duration = flag("sample-interval").default("1s"),
            /// The directory that the history is kept in over a restart; if empty it is not kept.
            pub data_path: PathBuf = flag("data-path"),
        }
        "Who may do what" {
            /// The addresses that may use `/config`, as a CIDR; all if empty. With --auth-file only an admin there.
            pub allow_config_from_cidr: String = flag("allow-config-from-cidr").default("127.0.0.1/8"),
            /// The header in which a proxy names the user; it is believed.
            pub acl_http_header: String = flag("acl-http-header").default("X-Forwarded-User"),
            /// A user, as that header names him, who may change things; if none is given, all may. May be repeated.
            pub admin_users: Vec<String> = flag("admin-user").key("admin_users"),
            /// The file of users who may log in; if it is given, nobody else sees anything.
            pub auth_file: PathBuf = flag("auth-file"),
            /// A host whose pages may change things here, besides this server's own names. May be repeated.
            pub allowed_origins: Vec<String> = flag("allowed-origin").key("allowed_origins"),
            /// Where each change is reported, by a POST: a URL.
            pub notification_http_endpoint: String = flag("notification-http-endpoint"),
        }
        "Graphite" {
            /// Where Graphite is, a URL: for `/render` and `/api/graphite`. The page draws what nsqadmin sampled itself.
            pub graphite_url: String = flag("graphite-url"),
            /// Whether `/render` is relayed to Graphite.
            pub proxy_graphite: bool = flag("proxy-graphite").default("false"),
            /// The prefix that nsqd gives its keys; `%s` stands for the host.
            pub statsd_prefix: String = flag("statsd-prefix").default("nsq.%s"),
            /// How statsd names a counter.
            pub statsd_counter_format: String =
                flag("statsd-counter-format").default("stats.counters.%s.count"),
            /// How statsd names a gauge.
            pub statsd_gauge_format: String = flag("statsd-gauge-format").default("stats.gauges.%s"),
            /// How often nsqd tells statsd its numbers; it must be the same there.
            pub statsd_interval: Duration = flag("statsd-interval").default("1m0s"),
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
    /// Reads a command line, the program's own name not included, and the file it names, and checks it as a whole.
    ///
    /// # Errors
    /// If the server is not to run with it.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Stop> {
        let typed = PROGRAM.read(arguments)?;
        if *typed.value(HASH_PASSWORD.flag) == Value::Bool(true) {
            return Err(hash_password(std::io::stdin().lock()));
        }
        let fatal = |why| Stop::Fatal(format!("failed to instantiate nsqadmin - {why}"));
        let mut options = Self::from_typed(&typed).map_err(fatal)?;
        options.check().map_err(fatal)?;
        Ok(options)
    }

    fn check(&mut self) -> Result<(), String> {
        self.base_path = base_path::clean(&self.base_path)?;
        match (self.nsqd_http_addresses.is_empty(), self.nsqlookupd_http_addresses.is_empty()) {
            (true, true) => return Err("--nsqd-http-address or --lookupd-http-address required".to_owned()),
            (false, false) => {
                return Err("use --nsqd-http-address or --lookupd-http-address not both".to_owned());
            }
            _ => {}
        }
        let is_given = |path: &PathBuf| !path.as_os_str().is_empty();
        match (is_given(&self.http_client_tls_cert), is_given(&self.http_client_tls_key)) {
            (true, false) => {
                return Err("--http-client-tls-key must be specified with --http-client-tls-cert".to_owned());
            }
            (false, true) => {
                return Err("--http-client-tls-cert must be specified with --http-client-tls-key".to_owned());
            }
            _ => {}
        }
        self.allowed_config_range()?;
        if self.proxy_graphite {
            Url::parse(&self.graphite_url)
                .map_err(|why| format!("failed to parse --graphite-url ({}) - {why}", self.graphite_url))?;
        }
        if !self.notification_http_endpoint.is_empty() {
            let url = &self.notification_http_endpoint;
            Url::parse(url)
                .map_err(|why| format!("failed to parse --notification-http-endpoint ({url}) - {why}"))?;
        }
        Ok(())
    }

    /// Who may use `/config`; `None` for everybody.
    ///
    /// # Errors
    /// What was given is no range of addresses.
    pub fn allowed_config_range(&self) -> Result<Option<Cidr>, String> {
        let given = &self.allow_config_from_cidr;
        if given.is_empty() {
            return Ok(None);
        }
        let failed = |why| format!("failed to parse --allow-config-from-cidr ({given}) - {why}");
        given.parse().map(Some).map_err(failed)
    }

    /// What the log is to be like.
    #[must_use]
    pub fn log_settings(&self) -> LogSettings {
        LogSettings { prefix: self.log_prefix.clone().into(), level: self.log_level, format: self.log_format }
    }

    /// The log level the configuration file asks for now; `None` if there is no file, or it says nothing of it.
    ///
    /// # Errors
    /// If the file cannot be read or its value makes no sense.
    pub fn reread_log_level(&self) -> Result<Option<Level>, String> {
        if self.config.as_os_str().is_empty() {
            return Ok(None);
        }
        PROGRAM.reread(&self.config, "log-level")
    }

    /// What speaking HTTPS to a node takes.
    #[must_use]
    pub fn tls_files(&self) -> TlsClientFiles {
        TlsClientFiles {
            authorities: self.http_client_tls_root_ca_file.clone(),
            certificate: self.http_client_tls_cert.clone(),
            key: self.http_client_tls_key.clone(),
            trusts_anybody: self.http_client_tls_insecure_skip_verify,
            only_tls_1_3: false,
        }
    }
}

/// The answer to `--hash-password`: the first line of the input is the password.
fn hash_password(mut input: impl BufRead) -> Stop {
    let mut password = String::new();
    let read = input.read_line(&mut password);
    let password = password.trim_end_matches(['\r', '\n']);
    match (read, Hash::of(password)) {
        (Ok(_), Some(hash)) if !password.is_empty() => Stop::Answer(hash.to_string()),
        _ => Stop::Fatal("there is no password on standard input".to_owned()),
    }
}
