//! What `nsq bench` is asked for on the command line.

use std::path::PathBuf;
use std::time::Duration;

use super::seen::NUMBER_BYTES;
use super::workload::{Load, Spec, Workload};
use crate::values;

/// Measures an nsqd, and another one beside it.
///
/// Nothing is started unless --nsqd or --peer says what: then each run has an nsqd of its own, on free ports and with a
/// temporary data directory, with nsqd's defaults but for the flags that the workload wants, and with --peer the two take
/// turns. Otherwise the nsqd is measured that runs on 127.0.0.1, or where --nsqd-tcp-address says, with topics of its own
/// that are deleted in the end. The medians of the rounds are printed, and ours as a multiple of the peer's.
///
/// What is published is confirmed, and counted by nsqd; what is consumed comes once, all of it. A run where that is not
/// so ends everything with exit code 1, and what was complete before is printed. Processor time is what the system counts
/// for nsqd. All connections have the settings that go-nsq's have by default.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to measure [default: mpub pub pub-each drain pubsub fanout].
    #[arg(value_name = "WORKLOAD")]
    pub(super) workloads: Vec<Workload>,
    /// Measures everything, but for TLS where there is no --tls-cert.
    #[arg(long, conflicts_with = "workloads")]
    pub(super) all: bool,
    /// The program nsqd [default with --peer: the one beside this program].
    #[arg(long, value_name = "PATH", conflicts_with = "nsqd_tcp_address")]
    pub(super) nsqd: Option<PathBuf>,
    /// Another program nsqd, to be compared with.
    #[arg(long, value_name = "PATH", conflicts_with = "nsqd_tcp_address")]
    pub(super) peer: Option<PathBuf>,
    /// Measures an nsqd that runs already, as it is, instead of one that is started [default: 127.0.0.1:4150, with
    /// 127.0.0.1:4151 for HTTP].
    #[arg(long, value_name = "HOST:PORT", value_parser = values::address)]
    pub(super) nsqd_tcp_address: Option<String>,
    /// Its HTTP address, by which it is asked what it counts; without it that is not checked, and no topic deleted.
    #[arg(long, value_name = "HOST:PORT", value_parser = values::address, requires = "nsqd_tcp_address")]
    pub(super) nsqd_http_address: Option<String>,
    /// Its process, which must be on this machine; without it no processor time and no memory is shown.
    #[arg(long, value_name = "ID", conflicts_with_all = ["nsqd", "peer"])]
    pub(super) nsqd_pid: Option<u32>,
    /// How often each workload is carried out on each nsqd.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,
    /// The size of a message, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = size)]
    pub(super) size: usize,
    /// How many messages are published, instead of the workload's own number. The last batches are whole.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) messages: Option<u64>,
    /// How long is published at most where nothing is consumed, whatever the number of messages.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::positive_duration)]
    pub(super) time_max: Duration,
    /// How many messages an MPUB or a POST /mpub has.
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    pub(super) batch: Option<usize>,
    /// How many connections publish.
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    pub(super) connections: Option<usize>,
    /// How many channels there are, where there are any.
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    pub(super) channels: Option<usize>,
    /// How many consumers each channel has, as in: idle-consumers --consumers 10000.
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    pub(super) consumers: Option<usize>,
    /// How many topics are made, where that is what is measured, as in: topics --topics 10000.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) topics: Option<u64>,
    /// How many messages may be on their way to a consumer, which is go-nsq's max_in_flight [default: 200 for latency, as
    /// NSQ's own programs have it; else 2500].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=2500))]
    pub(super) ready: Option<u32>,
    /// How long is looked at what does nothing [default: 10s for topics, 30s for idle-consumers].
    #[arg(long, value_name = "DURATION", value_parser = values::positive_duration)]
    pub(super) idle_time: Option<Duration>,
    /// How many messages a second are published where there is a pace.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rate: Option<u32>,
    /// A further flag for each nsqd that is started, without its dashes: sync-timeout=1s. May be repeated.
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub(super) nsqd_opt: Vec<String>,
    /// The certificate for mpub-tls, in PEM. Nobody verifies it.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Where data directories are made [default: the system's directory for temporary files, which may be memory].
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// How long nsqd may be silent where it should not.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = values::positive_duration)]
    pub(super) patience: Duration,
    /// Prints JSON, with the values of each round.
    #[arg(long)]
    pub(super) json: bool,
    /// Draws a chart of how many times better ours was than the peer. It is SVG, which browsers show; PNG is not made, but
    /// a browser makes it: chromium --headless --screenshot=chart.png chart.svg
    #[arg(long, value_name = "FILE.svg", value_parser = svg_file, requires = "peer")]
    pub(super) plot: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  nsq bench --nsqd target/release/nsqd
  nsq bench mpub drain --nsqd target/release/nsqd --peer /usr/local/bin/nsqd --rounds 5
  nsq bench --all --peer /usr/local/bin/nsqd --plot chart.svg
  nsq bench spill queue0 --nsqd target/release/nsqd --data-dir /var/tmp
  nsq bench mpub mpub-tls --nsqd target/release/nsqd --tls-cert server.pem --tls-key server.key
  nsq bench pubsub --nsqd-tcp-address 127.0.0.1:4150 --nsqd-http-address 127.0.0.1:4151";

/// The sizes of a body: from its number to nsqd's default limit, in bytes.
const SIZES: std::ops::RangeInclusive<usize> = NUMBER_BYTES..=1024 * 1024;

fn size(text: &str) -> Result<usize, String> {
    let size = text.parse().map_err(|_| "not a number".to_owned())?;
    let (least, most) = (SIZES.start(), SIZES.end());
    if SIZES.contains(&size) { Ok(size) } else { Err(format!("must be {least} to {most}")) }
}

fn svg_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.extension().is_some_and(|extension| extension == "svg") {
        Ok(path)
    } else {
        Err("only SVG is drawn: the name must end in .svg".to_owned())
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be more than 0".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a number".to_owned()),
    }
}

impl Arguments {
    /// Whether daemons are started.
    pub(super) fn starts(&self) -> bool {
        self.nsqd.is_some() || self.peer.is_some()
    }

    /// What to measure.
    pub(super) fn chosen(&self) -> Vec<Workload> {
        if self.all {
            let has_certificate = self.tls_cert.is_some();
            let can_be = |workload: &Workload| {
                let spec = workload.spec();
                (has_certificate || !spec.is_tls()) && (self.starts() || !spec.wants_own_daemon())
            };
            Workload::all().iter().copied().filter(can_be).collect()
        } else if self.workloads.is_empty() {
            Workload::USUAL.to_vec()
        } else {
            self.workloads.clone()
        }
    }

    /// A workload as it is asked for.
    pub(super) fn spec(&self, workload: Workload) -> Spec {
        let spec = workload.spec();
        let usual = spec.load;
        let load = Load {
            messages: self.messages.unwrap_or(usual.messages),
            topics: self.topics.unwrap_or(usual.topics),
            connections: self.connections.unwrap_or(usual.connections),
            batch: self.batch.unwrap_or(usual.batch),
            channels: self.channels.unwrap_or(usual.channels),
            consumers: self.consumers.unwrap_or(usual.consumers),
            ready: self.ready.unwrap_or(usual.ready),
            rate: self.rate.unwrap_or(usual.rate),
            idle_time: self.idle_time.unwrap_or(usual.idle_time),
        };
        Spec { load, ..spec }
    }

    /// What is not as usual, as it stands on the command line.
    pub(super) fn options(&self) -> Vec<String> {
        let mut options = vec![format!("--size={}", self.size)];
        let mut add =
            |name, value: Option<u64>| options.extend(value.map(|value| format!("--{name}={value}")));
        add("messages", self.messages);
        add("topics", self.topics);
        add("connections", self.connections.map(|count| count as u64));
        add("batch", self.batch.map(|count| count as u64));
        add("channels", self.channels.map(|count| count as u64));
        add("consumers", self.consumers.map(|count| count as u64));
        add("ready", self.ready.map(u64::from));
        add("rate", self.rate.map(u64::from));
        options.extend(self.idle_time.map(|time| format!("--idle-time={time:?}")));
        options.extend(self.nsqd_opt.iter().map(|option| format!("--nsqd-opt={option}")));
        options
    }
}
