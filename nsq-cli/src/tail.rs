//! `nsq tail`: prints the messages of topics as they come.
//!
//! A message is finished only after it was written. What was received and not printed is given back.

mod printer;

use std::io::{self, Write as _};
use std::time::Duration;

use nsq::client::{ConnectionOptions, Consumer, ConsumerOptions, Message};
use nsq::daemon::logging::{self, Level, LogFormat, LogSettings, Prefix};
use nsq::daemon::os_error::os_error_text;
use nsq::wire::MAGIC_V2;
use nsq::wire::name::{ChannelName, TopicName};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use self::printer::{Outcome, Printer};
use crate::failure::{Failure, causes, printable};
use crate::stop::Stop;
use crate::{pipe, values};

/// Prints the messages of topics as they come.
///
/// Each message is written to standard output as it is, and a line feed after it; all else goes to standard error. By
/// default every message published from now on is printed, whoever else consumes: tail has a channel of its own, which
/// goes away with it. On a channel that others use (--channel), what is printed here is taken away from them. A topic
/// that has no channel keeps its messages for the first that comes: where that is tail's, they are printed and gone.
///
/// As any ephemeral channel, tail's own holds what is not printed yet up to nsqd's --mem-queue-size, and throws away the
/// oldest of what exceeds that. With --mem-queue-size=0 it holds nothing beyond --max-in-flight, and nothing of a backlog
/// that tail finds. Where each message counts, name a channel that lasts with --channel.
///
/// A message counts as done only after it was written. Ctrl-C, or the end of what reads the output (`| head`), ends
/// tail; that is no failure.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The topics to print.
    #[arg(value_name = "TOPIC", required = true, value_parser = values::topic)]
    topics: Vec<TopicName>,
    /// The channel to consume [default: tailNNNNNN#ephemeral, with six digits by chance].
    #[arg(long, value_parser = values::channel)]
    channel: Option<ChannelName>,
    /// Ends after so many messages, those of all topics taken together; 0: never. What was on its way beyond them is given
    /// back, with one attempt more.
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 0)]
    count: u64,
    /// Writes the topic before each message: `topic | message`.
    #[arg(long)]
    print_topic: bool,
    /// How many messages of a topic may be on their way here; never more than --count asks for.
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    max_in_flight: u32,
    /// The TCP address of an nsqd to print from. May be repeated. [default: 127.0.0.1:4150]
    #[arg(long, value_name = "HOST:PORT", value_parser = values::address)]
    nsqd_tcp_address: Vec<String>,
    /// The HTTP address of an nsqlookupd that knows who has the topics. May be repeated.
    #[arg(
        long,
        value_name = "HOST:PORT",
        value_parser = values::address,
        conflicts_with = "nsqd_tcp_address"
    )]
    lookupd_http_address: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  nsq tail greetings
  nsq tail greetings orders --print-topic
  nsq tail orders -n 3 --lookupd-http-address lookup.example.com:4161
  nsq tail orders --channel archive > orders.ndjson";

const DEFAULT_NSQD: &str = "127.0.0.1:4150";

/// How long an nsqd may take to accept the first connection.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long messages that are being printed are waited for at the end.
const GRACE: Duration = Duration::from_secs(2);

/// How many received messages may wait to be printed, beyond those that the consumers hold.
const WAITING_MAX: usize = 64;

/// Prints until it is to stop.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    // What the client has to say: connections that were lost, an nsqlookupd that is silent.
    let prefix = Prefix::Text(String::new());
    let _log = logging::start(LogSettings { prefix, level: Level::Warn, format: LogFormat::Text });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(tail(arguments));
    // The threads that print and watch may hang on the output for ever.
    runtime.shutdown_background();
    outcome
}

async fn tail(arguments: Arguments) -> Result<(), Failure> {
    let mut stop = Stop::install()?;
    let options = options(&arguments);
    check(&options.nsqd).await?;
    let channel = arguments.channel.map_or_else(own_channel, Ok)?;
    announce(&arguments.topics, &channel, &options);

    let (print, waiting) = mpsc::channel(WAITING_MAX);
    let mut closers = Vec::new();
    let mut tasks = JoinSet::new();
    for topic in &arguments.topics {
        let consumer =
            Consumer::start(*topic, channel, options.clone()).map_err(|error| error.to_string())?;
        closers.push(consumer.closer());
        tasks.spawn(pass_on(*topic, consumer, print.clone()));
    }
    drop(print);
    let (say_end, ended) = oneshot::channel();
    let printer = Printer::new(arguments.count, arguments.print_topic);
    std::thread::spawn(move || {
        let outcome = printer.print_all(waiting, &mut io::stdout().lock());
        // Nobody listens any more when the wish to stop was first.
        let _ = say_end.send(outcome);
    });
    let outcome = tokio::select! {
        outcome = ended => outcome.unwrap_or(Outcome::AllPrinted),
        () = pipe::reader_is_gone() => Outcome::ReaderIsGone,
        () = stop.requested() => Outcome::AllPrinted,
    };
    for closer in closers {
        closer.close();
    }
    tokio::select! {
        _ = async { while tasks.join_next().await.is_some() {} } => {}
        () = stop.requested() => {}
    }
    match outcome {
        Outcome::AllPrinted | Outcome::ReaderIsGone => Ok(()),
        Outcome::Failed(error) => Err(Failure::Failed(format!("cannot write: {}", causes(&error)))),
    }
}

fn options(arguments: &Arguments) -> ConsumerOptions {
    let nsqd = if arguments.nsqd_tcp_address.is_empty() && arguments.lookupd_http_address.is_empty() {
        vec![DEFAULT_NSQD.to_owned()]
    } else {
        arguments.nsqd_tcp_address.clone()
    };
    let max_in_flight = match u32::try_from(arguments.count) {
        Ok(count) if count > 0 => arguments.max_in_flight.min(count),
        _ => arguments.max_in_flight,
    };
    ConsumerOptions {
        connection: ConnectionOptions {
            user_agent: crate::user_agent("tail"),
            ..ConnectionOptions::default()
        },
        nsqd,
        lookupd: arguments.lookupd_http_address.clone(),
        max_in_flight,
        grace: GRACE,
        ..ConsumerOptions::default()
    }
}

/// An nsqd that was named and is not there is a mistake, to be told at once.
async fn check(nsqd: &[String]) -> Result<(), Failure> {
    for address in nsqd {
        let hint = "is nsqd running there? `nsq up` starts one";
        let shown = printable(address);
        // The magic is what nsqd expects of whoever connects: without it its log would have an error.
        let greet = async { TcpStream::connect(address).await?.write_all(MAGIC_V2).await };
        match tokio::time::timeout(DIAL_TIMEOUT, greet).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let why = os_error_text(&error);
                return Err(Failure::Failed(format!("cannot connect to {shown}: {why}; {hint}")));
            }
            Err(_) => {
                return Err(Failure::Failed(format!(
                    "{shown} did not answer within {DIAL_TIMEOUT:?}; {hint}"
                )));
            }
        }
    }
    Ok(())
}

fn own_channel() -> Result<ChannelName, String> {
    values::channel(&format!("tail{:06}#ephemeral", fastrand::u32(0..1_000_000)))
}

fn announce(topics: &[TopicName], channel: &ChannelName, options: &ConsumerOptions) {
    let topics: Vec<&str> = topics.iter().map(TopicName::as_str).collect();
    let sources: Vec<String> = options.nsqd.iter().chain(&options.lookupd).map(|s| printable(s)).collect();
    let who = if options.lookupd.is_empty() { "nsqd" } else { "nsqlookupd" };
    // Where standard error is closed, nobody misses it.
    let _ = writeln!(
        io::stderr(),
        "consuming {} on channel {channel} ({who} {}); Ctrl-C ends it",
        topics.join(", "),
        sources.join(", ")
    );
}

/// Passes messages on to be printed, until the consumer closes or nobody prints any more.
async fn pass_on(topic: TopicName, mut consumer: Consumer, print: mpsc::Sender<(TopicName, Message)>) {
    while let Some(message) = consumer.recv().await {
        if let Err(mpsc::error::SendError((_, message))) = print.send((topic, message)).await {
            message.release();
            break;
        }
    }
    drop(print);
    consumer.close().await;
}
