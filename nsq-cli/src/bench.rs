//! `nsq bench`: measures an nsqd, and another one beside it.
//!
//! A workload is carried out on a daemon that was started for it, first on the one, then on the other, as often as there
//! are rounds. [`workload`] says what there is to measure, [`mod@run`] does it with publishers and consumers that check what
//! they move, and [`report`] shows it. The generator shares the machine with the daemon, so that it is made to cost
//! little: threads with blocking sockets, and buffers that were made before.

mod burst;
mod connection;
mod consumer;
mod daemon;
mod directory;
mod figures;
mod histogram;
mod http_publisher;
mod interrupt;
mod layer;
mod pace;
mod publisher;
mod report;
mod run;
mod seen;
mod target;
mod threads;
mod usage;
mod workload;

use std::io::{self, IsTerminal as _, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nsq::wire::name::TopicName;
use tokio::sync::oneshot;

use self::daemon::Daemon;
use self::figures::Figures;
use self::interrupt::Interrupt;
use self::report::{Outcome, Report};
use self::run::Run;
use self::target::{Place, Target};
use self::workload::{Spec, Workload};
use crate::failure::Failure;
use crate::stop::Stop;
use crate::values;

/// Measures an nsqd, and another one beside it.
///
/// Each run has an nsqd of its own, on free ports and with a temporary data directory, with nsqd's defaults but for
/// the flags that the workload wants; with --peer the two take turns. The medians of the rounds are printed, and ours as a
/// multiple of the peer's.
///
/// What is published is confirmed, and counted by nsqd; what is consumed comes once, all of it. A run where that is not
/// so ends everything with exit code 1. Processor time is what the system counts for nsqd, in ticks; see it against how
/// long the run took.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to measure [default: mpub pub pub-each drain pubsub fanout].
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<Workload>,
    /// The program nsqd [default: the one beside this program].
    #[arg(long, value_name = "PATH", conflicts_with = "nsqd_tcp_address")]
    nsqd: Option<PathBuf>,
    /// Another program nsqd, to be compared with.
    #[arg(long, value_name = "PATH", conflicts_with = "nsqd_tcp_address")]
    peer: Option<PathBuf>,
    /// Measures an nsqd that runs already, as it is, instead of one that is started.
    #[arg(long, value_name = "HOST:PORT", value_parser = values::address)]
    nsqd_tcp_address: Option<String>,
    /// Its HTTP address, by which it is asked what it counts; without it that is not checked.
    #[arg(long, value_name = "HOST:PORT", value_parser = values::address, requires = "nsqd_tcp_address")]
    nsqd_http_address: Option<String>,
    /// Its process, which must be on this machine; without it no processor time and no memory is shown.
    #[arg(long, value_name = "ID", requires = "nsqd_tcp_address")]
    nsqd_pid: Option<u32>,
    /// How often each workload is carried out on each nsqd.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The size of a message, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = size)]
    size: usize,
    /// How many messages are published, instead of the workload's own number. The last batches are whole.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// How long is published at most where nothing is consumed, whatever the number of messages.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::positive_duration)]
    time_max: Duration,
    /// How many messages an MPUB has.
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    batch: Option<usize>,
    /// How many connections publish.
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    connections: Option<usize>,
    /// How many channels there are, where there are any.
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    channels: Option<usize>,
    /// How many messages a second are published where there is a pace.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// A further flag for each nsqd that is started, without its dashes: sync-timeout=1s. May be repeated.
    #[arg(long, value_name = "KEY[=VALUE]")]
    nsqd_opt: Vec<String>,
    /// The certificate for mpub-tls, in PEM. Nobody verifies it.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Where data directories are made [default: the system's directory for temporary files, which may be memory].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How long nsqd may be silent where it should not.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = values::positive_duration)]
    patience: Duration,
    /// Prints JSON, with the values of each round.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  nsq bench
  nsq bench mpub drain --nsqd target/release/nsqd --peer /usr/local/bin/nsqd --rounds 5
  nsq bench spill queue0 --data-dir /var/tmp
  nsq bench mpub mpub-tls --tls-cert server.pem --tls-key server.key
  nsq bench pubsub --nsqd-tcp-address 127.0.0.1:4150 --nsqd-http-address 127.0.0.1:4151";

/// The sizes of a body: from its number to nsqd's default limit, in bytes.
const SIZES: std::ops::RangeInclusive<usize> = seen::NUMBER_BYTES..=1024 * 1024;

fn size(text: &str) -> Result<usize, String> {
    let size = text.parse().map_err(|_| "not a number".to_owned())?;
    let (least, most) = (SIZES.start(), SIZES.end());
    if SIZES.contains(&size) { Ok(size) } else { Err(format!("must be {least} to {most}")) }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be more than 0".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a number".to_owned()),
    }
}

/// How long the daemon may take to be gone, once it is to end before its time.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Measures, until SIGINT or SIGTERM.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let interrupt = Arc::new(Interrupt::default());
    let (say_end, mut ended) = oneshot::channel();
    let measuring = Arc::clone(&interrupt);
    runtime.block_on(async {
        let mut stop = Stop::install()?;
        // Whoever does not wait for the end any more does not hear of it.
        thread::spawn(move || drop(say_end.send(measure_all(&arguments, &measuring))));
        tokio::select! {
            outcome = &mut ended => outcome.unwrap_or_else(|_| Err("it ended without an outcome".to_owned().into())),
            () = stop.requested() => {
                interrupt.request();
                // What it comes to then is of no interest.
                let _ = tokio::time::timeout(STOP_TIMEOUT, ended).await;
                Err(Failure::Failed("stopped".to_owned()))
            }
        }
    })
}

fn measure_all(arguments: &Arguments, interrupt: &Arc<Interrupt>) -> Result<(), Failure> {
    let sides = sides(arguments)?;
    let mut report = Report { sides: sides.iter().map(Side::name).collect(), ..Report::default() };
    let workloads =
        if arguments.workloads.is_empty() { Workload::USUAL.to_vec() } else { arguments.workloads.clone() };
    let progress = Progress { is_terminal: io::stderr().is_terminal() };
    for workload in workloads {
        let spec = spec(workload, arguments);
        let mut rounds = vec![Vec::new(); sides.len()];
        for round in 1..=arguments.rounds {
            for (side, rounds) in sides.iter().zip(&mut rounds) {
                let name = workload.name();
                progress.say(&format!("{name}: round {round} of {}, {}", arguments.rounds, side.name()));
                interrupt.check()?;
                let figures = side.measure(&spec, arguments, interrupt);
                rounds
                    .push(figures.map_err(|failure| failure.within(&format!("{name} on {}", side.name())))?);
            }
        }
        report.results.push(Outcome { workload: workload.name(), rounds });
    }
    progress.say("");
    if arguments.nsqd_tcp_address.is_none() || arguments.nsqd_pid.is_some() {
        let tick = usage::tick().as_millis();
        report.notes.push(format!(
            "Processor time is counted in ticks of {tick} ms; messages are of {} bytes.",
            arguments.size
        ));
    }
    let text = if arguments.json { format!("{:#}\n", report.json()) } else { report.table() };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn spec(workload: Workload, arguments: &Arguments) -> Spec {
    let mut spec = workload.spec();
    let load = &mut spec.load;
    load.messages = arguments.messages.unwrap_or(load.messages);
    load.connections = arguments.connections.unwrap_or(load.connections);
    load.channels = arguments.channels.unwrap_or(load.channels);
    load.batch = arguments.batch.unwrap_or(load.batch);
    load.rate = arguments.rate.unwrap_or(load.rate);
    spec
}

/// What is measured.
enum Side {
    /// A program, to be started for each run.
    Program { name: &'static str, path: PathBuf },
    /// What runs already.
    Running { address: SocketAddr },
}

fn sides(arguments: &Arguments) -> Result<Vec<Side>, Failure> {
    if let Some(address) = &arguments.nsqd_tcp_address {
        let mut found = address.to_socket_addrs().map_err(|error| format!("{address}: {error}"))?;
        let address = found.next().ok_or_else(|| format!("{address} has no address"))?;
        return Ok(vec![Side::Running { address }]);
    }
    let path = match &arguments.nsqd {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("nsqd"),
    };
    let peer = arguments.peer.iter().map(|path| Side::Program { name: "peer", path: path.clone() });
    Ok(std::iter::once(Side::Program { name: "nsqd", path }).chain(peer).collect())
}

impl Side {
    fn name(&self) -> String {
        match self {
            Self::Program { name, .. } => (*name).to_owned(),
            Self::Running { address } => address.to_string(),
        }
    }

    /// Carries the workload out once.
    fn measure(
        &self,
        spec: &Spec,
        arguments: &Arguments,
        interrupt: &Arc<Interrupt>,
    ) -> Result<Figures, Failure> {
        match self {
            Self::Program { path, .. } => {
                let parent = arguments.data_dir.clone().unwrap_or_else(std::env::temp_dir);
                let daemon = Daemon::start(path, flags(spec, arguments)?, &parent, interrupt)?;
                let target = daemon.target(arguments.patience)?;
                measure(target, Some(daemon), spec, arguments)
            }
            Self::Running { .. } if spec.wants_own_daemon() => Err(Failure::Usage(
                "this workload wants an nsqd that is started for it: --nsqd says which".to_owned(),
            )),
            Self::Running { address } => {
                let place = Place { tcp: *address, patience: arguments.patience };
                let target = Target::new(place, arguments.nsqd_http_address.clone(), arguments.nsqd_pid)?;
                measure(target, None, spec, arguments)
            }
        }
    }
}

fn measure(
    target: Target,
    daemon: Option<Daemon>,
    spec: &Spec,
    arguments: &Arguments,
) -> Result<Figures, Failure> {
    let topic = new_topic()?;
    let Arguments { size, time_max, .. } = *arguments;
    let mut run = Run { target, daemon, topic, load: spec.load, size, time_max };
    let figures = run.measure(spec)?;
    if run.daemon.is_none() {
        run.target.delete_topic(&topic)?;
    }
    Ok(figures)
}

/// A topic that nobody else uses.
fn new_topic() -> Result<TopicName, Failure> {
    let name = format!("bench_{}_{:x}", std::process::id(), fastrand::u32(..));
    Ok(TopicName::parse(&name).ok_or_else(|| format!("{name} is no topic"))?)
}

fn flags(spec: &Spec, arguments: &Arguments) -> Result<Vec<String>, Failure> {
    let mut flags = spec.flags();
    if spec.is_tls() {
        let (Some(certificate), Some(key)) = (&arguments.tls_cert, &arguments.tls_key) else {
            return Err(Failure::Usage("TLS wants --tls-cert and --tls-key".to_owned()));
        };
        flags.push(format!("--tls-cert={}", certificate.display()));
        flags.push(format!("--tls-key={}", key.display()));
    }
    flags.extend(arguments.nsqd_opt.iter().map(|option| format!("--{option}")));
    Ok(flags)
}

/// What a person who waits is told.
struct Progress {
    is_terminal: bool,
}

impl Progress {
    /// On a line that the next one takes the place of.
    fn say(&self, text: &str) {
        if self.is_terminal {
            // It is only for show.
            let _ = write!(io::stderr(), "\r{text}\x1b[K");
        }
    }
}
