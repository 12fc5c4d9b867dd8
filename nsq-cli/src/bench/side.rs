//! What is measured: a program, to be started for each run, or an nsqd that runs already.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use nsq::daemon::os_error::os_error_text;
use nsq::wire::name::TopicName;

use super::arguments::Arguments;
use super::daemon::Daemon;
use super::figures::Figures;
use super::interrupt::Interrupt;
use super::moved::Moved;
use super::run::Run;
use super::target::{Place, Target};
use super::usage::Usage;
use super::workload::Spec;
use crate::failure::{Failure, printable};

/// Where an nsqd runs where nobody says anything else.
const TCP_ADDRESS: &str = "127.0.0.1:4150";
const HTTP_ADDRESS: &str = "127.0.0.1:4151";

/// What is said where it is not known yet where to connect to.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How a certificate is made that nobody has to trust.
const CERTIFICATE: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem \
                           -out cert.pem -subj /CN=localhost";

/// One of those that are compared.
pub(super) enum Side {
    Program { name: &'static str, path: PathBuf },
    Running { address: SocketAddr, http: Option<String> },
}

/// Carries a workload out once that wants no nsqd.
pub(super) fn measure_limit(spec: &Spec, common: &Common<'_>) -> Result<Figures, Failure> {
    let nobody = Target::new(common.place(NOWHERE), None, None)?;
    run(nobody, None, spec, common.arguments)?.measure(spec)
}

/// What all runs have in common.
pub(super) struct Common<'a> {
    pub arguments: &'a Arguments,
    pub interrupt: &'a Arc<Interrupt>,
    pub moved: &'a Arc<Moved>,
}

/// All of them, ours first.
pub(super) fn sides(arguments: &Arguments) -> Result<Vec<Side>, Failure> {
    if arguments.starts() {
        let path = match &arguments.nsqd {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("nsqd"),
        };
        let peer = arguments.peer.iter().map(|path| Side::Program { name: "peer", path: path.clone() });
        return Ok(std::iter::once(Side::Program { name: "nsqd", path }).chain(peer).collect());
    }
    let (tcp, http) = match &arguments.nsqd_tcp_address {
        Some(address) => (address.as_str(), arguments.nsqd_http_address.clone()),
        None => (TCP_ADDRESS, Some(HTTP_ADDRESS.to_owned())),
    };
    let mut found = tcp.to_socket_addrs().map_err(|error| format!("{tcp}: {}", os_error_text(&error)))?;
    let address = found.next().ok_or_else(|| format!("{tcp} has no address"))?;
    Ok(vec![Side::Running { address, http }])
}

impl Side {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Program { name, .. } => (*name).to_owned(),
            Self::Running { address, .. } => address.to_string(),
        }
    }

    /// The version that it says it is of.
    pub(super) fn version(&self, common: &Common<'_>) -> Result<String, Failure> {
        match self {
            Self::Program { path, .. } => program_version(path),
            Self::Running { .. } => {
                let version = self.running(common)?.version().map_err(|failure| {
                    failure.within(&format!("{} (--nsqd PATH starts an nsqd to measure)", self.name()))
                })?;
                Ok(version.map_or_else(|| "unknown".to_owned(), |version| format!("nsqd v{version}")))
            }
        }
    }

    /// Fails where a workload of that name cannot be carried out on it.
    pub(super) fn expect(&self, spec: &Spec, arguments: &Arguments, name: &str) -> Result<(), Failure> {
        match self {
            Self::Running { .. } if spec.wants_own_daemon() => {
                Err(Failure::Usage(format!("{name} wants an nsqd that is started for it: --nsqd says which")))
            }
            Self::Program { .. } if spec.is_tls() && arguments.tls_cert.is_none() => {
                Err(Failure::Usage(format!(
                    "{name} wants a certificate: --tls-cert and --tls-key. One that will do is made by\n  {CERTIFICATE}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Carries the workload out once.
    pub(super) fn measure(&self, spec: &Spec, common: &Common<'_>) -> Result<Figures, Failure> {
        let Common { arguments, interrupt, .. } = common;
        match self {
            Self::Program { path, .. } => {
                let parent = arguments.data_dir.clone().unwrap_or_else(std::env::temp_dir);
                let daemon = Daemon::start(path, flags(spec, arguments), &parent, interrupt)?;
                let target = daemon.target(&common.place(NOWHERE))?;
                run(target, Some(daemon), spec, arguments)?.measure(spec)
            }
            Self::Running { .. } => {
                let mut run = run(self.running(common)?, None, spec, arguments)?;
                let outcome = run.measure(spec);
                // However it went. Where that fails, too, the first failure says more.
                let deleted = run.target.delete_topics(run.topic.as_str());
                outcome.and_then(|figures| deleted.map(|()| figures))
            }
        }
    }

    /// What runs already.
    fn running(&self, common: &Common<'_>) -> Result<Target, Failure> {
        match self {
            Self::Running { address, http } => {
                let usage = common.arguments.nsqd_pid.map(Usage::Process);
                Target::new(common.place(*address), http.clone(), usage)
            }
            Self::Program { path, .. } => Err(format!("{} does not run yet", path.display()).into()),
        }
    }
}

impl Common<'_> {
    fn place(&self, tcp: SocketAddr) -> Place {
        let (moved, interrupt) = (Arc::clone(self.moved), Arc::clone(self.interrupt));
        Place { tcp, patience: self.arguments.patience, moved, interrupt }
    }
}

fn run(target: Target, daemon: Option<Daemon>, spec: &Spec, arguments: &Arguments) -> Result<Run, Failure> {
    let Arguments { size, time_max, .. } = *arguments;
    Ok(Run { target, daemon, topic: new_topic()?, load: spec.load, size, time_max })
}

/// A topic that nobody else uses.
fn new_topic() -> Result<TopicName, Failure> {
    let name = format!("bench_{}_{:x}", std::process::id(), fastrand::u32(..));
    Ok(TopicName::parse(&name).ok_or_else(|| format!("{name} is no topic"))?)
}

/// The first line that the program prints when it is asked.
fn program_version(path: &Path) -> Result<String, Failure> {
    let asked = Command::new(path).arg("--version").stdin(Stdio::null()).output();
    let output = asked.map_err(|error| {
        let (path, why) = (path.display(), os_error_text(&error));
        format!("cannot start {path}: {why} (--nsqd and --peer say what to start)")
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    match said.lines().next() {
        Some(line) if output.status.success() => Ok(printable(line)),
        _ => Err(format!("{} is no nsqd: it has no --version", path.display()).into()),
    }
}

/// All flags for a daemon that is started. That there is a certificate was checked before.
fn flags(spec: &Spec, arguments: &Arguments) -> Vec<String> {
    let mut flags = spec.flags();
    if spec.is_tls() {
        let path = |path: &PathBuf| path.display().to_string();
        flags.extend(arguments.tls_cert.as_ref().map(|file| format!("--tls-cert={}", path(file))));
        flags.extend(arguments.tls_key.as_ref().map(|file| format!("--tls-key={}", path(file))));
    }
    flags.extend(arguments.nsqd_opt.iter().map(|option| format!("--{option}")));
    flags
}
