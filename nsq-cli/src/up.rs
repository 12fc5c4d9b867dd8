//! `nsq up`: a cluster in one process. Each daemon is a part with threads of its own; nothing but this module knows
//! that they share a process.

mod banner;
mod broadcast;
mod options;
mod part;

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use nsq::daemon::listener::Listening;
use nsq::daemon::logging::{self, Level, LogControl, LogFormat, LogSettings, Prefix, fatal};
use nsq::daemon::os_error::os_error_text;
use nsq::daemon::signals::{self, Hangups, Termination};
use nsqd::data_dir::DataDirLock;
use tokio::sync::watch;
use tracing::info;

use self::banner::Banner;
use self::part::Part;
use crate::failure::Failure;

/// Runs nsqd, nsqlookupd and nsqadmin in one process, on the standard ports.
///
/// nsqd takes messages on port 4150 (TCP) and 4151 (HTTP) and registers with nsqlookupd, which consumers ask on port
/// 4161 (HTTP); nsqd registers on 4160. nsqadmin shows what is in them to a browser on port 4171. SIGTERM and SIGINT
/// (Ctrl-C) stop first nsqadmin, then nsqd, then nsqlookupd; nothing is lost. So does closing the terminal it runs in.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where nsqd keeps messages; made if it is missing. `nsqd --data-path=DIR` can take it over.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data_path: PathBuf,
    /// A part that is not to run. May be repeated.
    #[arg(long, value_name = "PART")]
    without: Vec<PartName>,
    /// The address that all ports are opened on; 127.0.0.1 for this machine alone.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    bind: String,
    /// What other programs reach this machine by [default: the host's name if it leads here, else 127.0.0.1; the bound
    /// address where that is a certain one].
    #[arg(long, value_name = "HOST")]
    broadcast_address: Option<String>,
    /// Any flag of nsqd, without its dashes: mem-queue-size=0. May be repeated. `--nsqd-opt help` lists them.
    #[arg(long, value_name = "KEY[=VALUE]")]
    nsqd_opt: Vec<String>,
    /// Any flag of nsqlookupd, without its dashes. May be repeated. `--nsqlookupd-opt help` lists them.
    #[arg(long, value_name = "KEY[=VALUE]")]
    nsqlookupd_opt: Vec<String>,
    /// Any flag of nsqadmin, without its dashes. May be repeated. `--nsqadmin-opt help` lists them.
    #[arg(long, value_name = "KEY[=VALUE]")]
    nsqadmin_opt: Vec<String>,
    /// Log lines below this level are not written: debug, info, warn, error or fatal.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: Level,
    /// How log lines are written: text, or json for one object a line.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
}

/// The daemons that can run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PartName {
    Nsqd,
    Nsqlookupd,
    Nsqadmin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

const EXAMPLES: &str = "\
Examples:
  nsq up
  nsq up --data-path=/var/lib/nsq --nsqd-opt mem-queue-size=0 --nsqd-opt msg-timeout=30s
  nsq up --without nsqlookupd --nsqd-opt lookupd-tcp-address=lookup.example.com:4160
  nsq up --bind 127.0.0.1 --nsqd-opt tcp-address=127.0.0.1:5150 --nsqd-opt http-address=127.0.0.1:5151";

/// The names of the threads whose lines are a daemon's.
const PARTS: Prefix = Prefix::Parts { names: &[NSQD, NSQLOOKUPD, NSQADMIN], otherwise: PROGRAM };

const PROGRAM: &str = "nsq";
const NSQD: &str = "nsqd";
const NSQLOOKUPD: &str = "nsqlookupd";
const NSQADMIN: &str = "nsqadmin";

/// Runs until it is told to stop or a part fails.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let format = match arguments.log_format {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
    };
    let told = |text: &str| Failure::Told(fatal(PROGRAM, format, text));
    let is_out = |part| arguments.without.contains(part);
    if [PartName::Nsqd, PartName::Nsqlookupd, PartName::Nsqadmin].iter().all(is_out) {
        let why = "without nsqd, nsqlookupd and nsqadmin there is nothing to run";
        return Err(Failure::Usage(why.to_owned()));
    }
    let broadcast = broadcast::choose(arguments.broadcast_address.as_deref(), &arguments.bind);
    let plan = Plan::new(&arguments, &broadcast.address, told)?;
    let log = logging::start(LogSettings { prefix: PARTS, level: arguments.log_level, format });
    info!("{}", broadcast.why);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(|error| os_error_text(&error)).and_then(|runtime| {
        runtime.block_on(async {
            let (termination, hangups) = signals::install().map_err(|error| os_error_text(&error))?;
            run_parts(plan, &log, termination, hangups).await
        })
    });
    outcome.map_err(|why| told(&why))
}

/// What is to run, all options read.
struct Plan {
    nsqlookupd: Option<nsqlookupd::options::Options>,
    nsqd: Option<(nsqd::options::Options, DataDirLock)>,
    nsqadmin: Option<nsqadmin::options::Options>,
    data_path: PathBuf,
}

impl Plan {
    fn new(
        arguments: &Arguments,
        broadcast_address: &str,
        told: impl Fn(&str) -> Failure,
    ) -> Result<Self, Failure> {
        let runs = |part| !arguments.without.contains(&part);
        let parts = options::Common { bind: &arguments.bind, broadcast_address };
        let data_path = arguments.data_path.clone();
        let mut plan = Self { nsqlookupd: None, nsqd: None, nsqadmin: None, data_path };
        if runs(PartName::Nsqlookupd) {
            let program = &nsqlookupd::options::PROGRAM;
            let flags = parts.nsqlookupd(&arguments.nsqlookupd_opt).map_err(Failure::Usage)?;
            let read = nsqlookupd::options::Options::read(flags);
            plan.nsqlookupd = Some(read.map_err(|stop| answered(stop.report(program)))?);
        }
        if runs(PartName::Nsqd) {
            let program = &nsqd::options::PROGRAM;
            let flags = parts.nsqd(&arguments.data_path, &arguments.nsqd_opt).map_err(Failure::Usage)?;
            std::fs::create_dir_all(&arguments.data_path).map_err(|error| {
                let path = arguments.data_path.display();
                told(&format!("cannot make the data directory {path} - {}", os_error_text(&error)))
            })?;
            let claim =
                |path: &std::path::Path| DataDirLock::acquire(path).map_err(|error| error.with_advice());
            let read = nsqd::options::Options::read_with(flags, claim);
            plan.nsqd = Some(read.map_err(|stop| answered(stop.report(program)))?);
        }
        if runs(PartName::Nsqadmin) {
            let program = &nsqadmin::options::PROGRAM;
            let of_whom = match (runs(PartName::Nsqlookupd), runs(PartName::Nsqd)) {
                (true, _) => Some(options::Watched::Nsqlookupd),
                (false, true) => Some(options::Watched::Nsqd),
                (false, false) => None,
            };
            let flags = parts.nsqadmin(&arguments.data_path, of_whom, &arguments.nsqadmin_opt);
            let read = nsqadmin::options::Options::read(flags.map_err(Failure::Usage)?);
            plan.nsqadmin = Some(read.map_err(|stop| answered(stop.report(program)))?);
        }
        Ok(plan)
    }
}

/// A daemon's options said why it does not run, or what they are.
fn answered(code: ExitCode) -> Failure {
    Failure::Told(code)
}

/// The parts that run. nsqd uses nsqlookupd, and nsqadmin both: each starts after what it uses, and stops before it.
#[derive(Default)]
struct Running {
    nsqadmin: Option<Part>,
    nsqd: Option<Part>,
    nsqlookupd: Option<Part>,
}

async fn run_parts(
    plan: Plan,
    log: &LogControl,
    termination: Termination,
    hangups: Hangups,
) -> Result<(), String> {
    let mut running = Running::default();
    let (reloads, reloaded) = watch::channel(());
    let reload = || reloads.send_replace(());
    let why = match running.start(plan, log, reloaded).await {
        Ok(banner) => {
            say(&banner).await;
            tokio::select! {
                signal = until_told_to_stop(termination, hangups, has_terminal(), reload) => {
                    Ok(format!("{signal} received"))
                }
                why = running.failed() => Err(why),
            }
        }
        Err(why) => Err(why),
    };
    let reason = why.as_ref().map_or("another part failed", String::as_str);
    if let Ok(signal) = &why {
        info!("{signal}, stopping");
    }
    let stopped = running.stop(reason).await;
    why.and(stopped)
}

/// Waits for the signal to stop, and gives its name.
///
/// SIGHUP says that the terminal is gone, where there was one: then nobody would know of a cluster that went on. Where
/// there was none it asks for what can be read again: certificates, for there is no configuration file of the whole.
async fn until_told_to_stop(
    mut termination: Termination,
    mut hangups: Hangups,
    has_terminal: bool,
    reload: impl Fn(),
) -> &'static str {
    loop {
        tokio::select! {
            signal = termination.requested() => return signal,
            () = hangups.next() => {
                if has_terminal {
                    return "SIGHUP";
                }
                info!("SIGHUP received: certificates, if there are any, are read again");
                reload();
            }
        }
    }
}

fn has_terminal() -> bool {
    io::stdout().is_terminal() || io::stderr().is_terminal()
}

impl Running {
    /// Starts what is planned, one after the other, each listening before the next.
    async fn start(
        &mut self,
        plan: Plan,
        log: &LogControl,
        reloads: watch::Receiver<()>,
    ) -> Result<Banner, String> {
        let mut banner = Banner { data_path: plan.data_path, ..Banner::default() };
        if let Some(options) = plan.nsqlookupd {
            let run = |listening, stop| async move {
                nsqlookupd::serve(options, listening, stop).await.map_err(|error| {
                    let hint = matches!(error, nsqlookupd::StartError::Listen { .. }).then_some(NSQLOOKUPD);
                    with_advice(error.to_string(), hint)
                })
            };
            let part = self.nsqlookupd.insert(Part::start(NSQLOOKUPD, run).map_err(|e| os_error_text(&e))?);
            banner.nsqlookupd = Some(part.listening().await?);
        }
        if let Some((mut options, data_dir)) = plan.nsqd {
            if let Some(address) = banner.nsqlookupd.as_ref().and_then(|part| reachable(&part.tcp)) {
                options.nsqlookupd_tcp_addresses.insert(0, address);
            }
            let level = log.clone();
            let run = |listening, stop| async move {
                let outcome = nsqd::serve(options, level, reloads, listening, stop).await.map_err(|error| {
                    let hint = matches!(error, nsqd::StartError::Listen { .. }).then_some(NSQD);
                    with_advice(error.to_string(), hint)
                });
                drop(data_dir);
                outcome
            };
            let part = self.nsqd.insert(Part::start(NSQD, run).map_err(|e| os_error_text(&e))?);
            banner.nsqd = Some(part.listening().await?);
        }
        if let Some(mut options) = plan.nsqadmin {
            // Where they listen is known only now: until here the first address stood for that.
            let http = |part: &Option<Listening>| part.as_ref().and_then(|part| reachable(&part.http));
            if let Some(address) = http(&banner.nsqlookupd) {
                put_first(&mut options.nsqlookupd_http_addresses, address);
            } else if let Some(address) = http(&banner.nsqd) {
                put_first(&mut options.nsqd_http_addresses, address);
            }
            let log = log.clone();
            let run = |listening, stop| async move {
                nsqadmin::serve(options, log, listening, stop).await.map_err(|error| {
                    let hint = matches!(error, nsqadmin::StartError::Listen(_)).then_some(NSQADMIN);
                    with_advice(error.to_string(), hint)
                })
            };
            let part = self.nsqadmin.insert(Part::start(NSQADMIN, run).map_err(|e| os_error_text(&e))?);
            banner.nsqadmin = Some(part.listening().await?);
        }
        Ok(banner)
    }

    /// Completes when a part has ended though nobody told it to.
    async fn failed(&mut self) -> String {
        tokio::select! {
            why = failed(&mut self.nsqadmin) => why,
            why = failed(&mut self.nsqd) => why,
            why = failed(&mut self.nsqlookupd) => why,
        }
    }

    /// Stops the parts in order, and says what the first of them has to say that could not end as it should.
    async fn stop(self, why: &str) -> Result<(), String> {
        let mut outcome = Ok(());
        for part in [self.nsqadmin, self.nsqd, self.nsqlookupd].into_iter().flatten() {
            outcome = outcome.and(part.stop(why).await);
        }
        outcome
    }
}

async fn failed(part: &mut Option<Part>) -> String {
    match part {
        Some(part) => part.failed().await,
        None => std::future::pending().await,
    }
}

/// What to do about it, where an address is taken.
fn with_advice(why: String, cannot_listen: Option<&str>) -> String {
    let Some(part) = cannot_listen else { return why };
    let tcp = match part {
        // It has none.
        NSQADMIN => String::new(),
        part => format!("--{part}-opt tcp-address=HOST:PORT, "),
    };
    format!(
        "{why}; if another {part} runs, stop it, or choose another port ({tcp}--{part}-opt http-address=HOST:PORT), or \
         leave this part out (--without {part})"
    )
}

/// Where an address is reached from this machine; `None` for a Unix socket or nothing.
fn reachable(address: &Option<String>) -> Option<String> {
    let mut address: SocketAddr = address.as_deref()?.parse().ok()?;
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    Some(address.to_string())
}

fn put_first(addresses: &mut [String], address: String) {
    if let Some(first) = addresses.first_mut() {
        *first = address;
    }
}

/// How long the greeting waits for the parts to have logged that they found each other: it is to stand below that.
const GREETING_DELAY: Duration = Duration::from_millis(300);

/// Says in the log that all is up, and to a person at a terminal what to do with it.
async fn say(banner: &Banner) {
    info!("{}", banner.line());
    let mut stdout = io::stdout();
    if stdout.is_terminal() {
        tokio::time::sleep(GREETING_DELAY).await;
        let program = std::env::args().next().unwrap_or_else(|| PROGRAM.to_owned());
        // It is only a greeting.
        let _ = write!(stdout, "{}", banner.text(&program));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nsqlookupd_is_reached_where_it_listens() {
        for (tcp, reached) in [
            ("0.0.0.0:4160", Some("127.0.0.1:4160")),
            ("[::]:4160", Some("127.0.0.1:4160")),
            ("192.0.2.1:1", Some("192.0.2.1:1")),
            ("[::1]:1", Some("[::1]:1")),
            ("/run/socket", None),
        ] {
            let listening = Listening { tcp: Some(tcp.to_owned()), http: None };
            assert_eq!(reachable(&listening.tcp).as_deref(), reached);
        }
    }

    #[test]
    fn a_taken_address_comes_with_advice() {
        assert_eq!(with_advice("broken".to_owned(), None), "broken");
        let text = with_advice("listen failed".to_owned(), Some("nsqd"));
        assert!(text.starts_with("listen failed; if another nsqd runs"), "{text}");
        assert!(
            text.contains("--nsqd-opt tcp-address=HOST:PORT") && text.contains("--without nsqd"),
            "{text}"
        );
    }
}
