//! `nsq stat`: what all nsqd of a cluster count, again and again.
//!
//! [`source`] asks, [`counts`] adds up and measures rates, [`table`] and [`channel`] make lines of that, and [`screen`]
//! or standard output shows them. A daemon that does not answer is named; it ends nothing.

mod channel;
mod counts;
mod number;
mod screen;
mod silence;
mod source;
mod table;
mod view;

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use nsq::wire::name::{ChannelName, TopicName};
use tokio::signal::unix::{SignalKind, signal};

use self::source::Source;
use self::view::{Lines, Show, Subject, Watch};
use crate::failure::Failure;
use crate::stop::Stop;
use crate::{pipe, values};

/// Shows what all nsqd of a cluster count: depths, rates, what is in flight.
///
/// Without --topic and --channel all topics and channels are listed. With both, one line a poll is printed, in the
/// columns of nsq_stat. On a terminal the display is renewed in place, the deepest channels first, and as much is shown
/// as there is room for; elsewhere lines are printed, with a header before every 25.
///
/// The numbers are sums over all nsqd. Rates (a second) are measured between two polls: in/s is what the topic gave to
/// the channel, out/s what left its queue for consumers. An nsqd or nsqlookupd that does not answer is named, and the
/// others are shown; when none answers that is a failure where lines are printed, unless some did before.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only this topic.
    #[arg(long, value_parser = values::topic)]
    topic: Option<TopicName>,
    /// Only channels of this name.
    #[arg(long, value_parser = values::channel)]
    channel: Option<ChannelName>,
    /// The time from one poll to the next.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = values::positive_duration)]
    interval: Duration,
    /// Ends after so many polls. With --topic and --channel: after so many lines, for which there is one poll more.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The HTTP address of an nsqd. May be repeated.
    #[arg(long, value_name = "HOST:PORT", value_parser = values::address)]
    nsqd_http_address: Vec<String>,
    /// The HTTP address of an nsqlookupd that knows all nsqd. May be repeated. [default: nsqlookupd on 127.0.0.1:4161, or
    /// nsqd on 127.0.0.1:4151 where that does not answer]
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_parser = values::address,
        conflicts_with = "nsqd_http_address"
    )]
    lookupd_http_address: Vec<String>,
    /// How long each may take to answer.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = values::positive_duration)]
    timeout: Duration,
}

const EXAMPLES: &str = "\
Examples:
  nsq stat
  nsq stat --topic orders --lookupd-http-address lookup.example.com:4161
  nsq stat --topic orders --channel billing --interval 10s >> billing.log
  nsq stat --count 1 --nsqd-http-address a:4151 --nsqd-http-address b:4151";

/// Shows until it is to stop.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(stat(arguments));
    runtime.shutdown_background();
    outcome
}

async fn stat(arguments: Arguments) -> Result<(), Failure> {
    let mut stop = Stop::install()?;
    let source = match (arguments.nsqd_http_address, arguments.lookupd_http_address) {
        (nsqd, _) if !nsqd.is_empty() => Source::Nsqd(nsqd),
        (_, lookupd) if !lookupd.is_empty() => Source::Lookupd(lookupd),
        _ => Source::Local,
    };
    let subject = match (arguments.topic, arguments.channel) {
        (Some(topic), Some(channel)) => Subject::Channel(topic, channel),
        (topic, channel) => Subject::All { topic, channel },
    };
    let polls = Polls {
        source,
        topic: arguments.topic,
        timeout: arguments.timeout,
        interval: arguments.interval,
        // Of the one channel the first poll shows nothing yet.
        count: arguments.count.map(|count| count.saturating_add(subject.silent_polls())),
    };
    let watched = async {
        if io::stdout().is_terminal() {
            polls.watch(&mut Watch::new(subject, arguments.interval)).await
        } else {
            polls.watch(&mut Lines::new(subject)).await
        }
    };
    tokio::select! {
        outcome = watched => outcome,
        () = stop.requested() => Ok(()),
        () = pipe::reader_is_gone() => Ok(()),
    }
}

/// Whom to ask, and when.
struct Polls {
    source: Source,
    topic: Option<TopicName>,
    timeout: Duration,
    interval: Duration,
    count: Option<u64>,
}

impl Polls {
    async fn watch(&self, show: &mut impl Show) -> Result<(), Failure> {
        let mut resized = signal(SignalKind::window_change())?;
        let mut done = 0;
        loop {
            let began = Instant::now();
            let poll = self.source.poll(self.topic.as_ref(), self.timeout).await;
            show.handle_poll(poll)?;
            done += 1;
            if self.count.is_some_and(|count| done >= count) {
                return Ok(());
            }
            let next = tokio::time::sleep_until((began + self.interval).into());
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut next => break,
                    _ = resized.recv() => show.handle_resize()?,
                }
            }
        }
    }
}
