//! `nsq pub`: publishes a message, or standard input record by record.
//!
//! Records are pipelined, and each is confirmed before the end is a success.

mod outlet;
mod pace;
mod progress;
mod records;

use std::collections::VecDeque;
use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nsq::client::{ConnectionOptions, ProducerOptions, PublishError};
use nsq::daemon::os_error::os_error_text;
use nsq::wire::frame::FrameError;
use nsq::wire::name::TopicName;
use tokio::sync::mpsc;

use self::outlet::{Outlet, Tally};
use self::pace::Pace;
use self::progress::Progress;
use self::records::{Records, TooLarge};
use crate::failure::{Failure, causes};
use crate::stop::Stop;
use crate::values;

/// Publishes a message, or standard input record by record.
///
/// With BODY one message is published. Without it standard input is cut into records at the delimiter, and each is
/// published as a message; empty ones are left out, and what follows the last delimiter is a record too.
///
/// The exit code is 0 only when every record was confirmed by nsqd. After a failure nothing more is read, and it is
/// said how many records were confirmed. SIGINT (Ctrl-C) and SIGTERM end the reading: what was read is confirmed, and
/// that is no failure.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The topic to publish to.
    #[arg(value_parser = values::topic)]
    topic: TopicName,
    /// The message. Without it, standard input is read.
    body: Option<OsString>,
    /// The TCP address of an nsqd. May be repeated: each of them gets every record.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4150", value_parser = values::address)]
    nsqd_tcp_address: Vec<String>,
    /// Every record goes to one nsqd only: the first that can be reached, until it fails. A record may come twice when
    /// a connection is lost.
    #[arg(long)]
    failover: bool,
    /// What separates records: a byte, or \n, \r, \t, \0, \\ or \xNN.
    #[arg(
        long,
        value_name = "BYTE",
        default_value = "\\n",
        value_parser = crate::delimiter::parse,
        conflicts_with = "body",
        allow_hyphen_values = true
    )]
    delimiter: u8,
    /// No more than so many records a second.
    #[arg(long, value_name = "NUMBER", value_parser = pace::parse)]
    rate: Option<f64>,
    /// Has nsqd deliver each message only after this time: 250ms, 1h30m.
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    defer: Option<Duration>,
    /// The largest message, in bytes; nsqd has an option of this name too, which should say the same.
    #[arg(long, value_name = "BYTES", default_value_t = 1024 * 1024)]
    max_msg_size: usize,
}

const EXAMPLES: &str = "\
Examples:
  nsq pub greetings hello
  seq 1000 | nsq pub numbers --rate 10
  find . -print0 | nsq pub files --delimiter '\\0'
  nsq pub reminders 'stand up' --defer 45m
  nsq pub events < events.ndjson --nsqd-tcp-address a:4150 --nsqd-tcp-address b:4150 --failover";

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// How many reads may wait to be looked at.
const READS_MAX: usize = 4;

/// How often a record is tried again with `--failover`.
const FAILOVER_RETRIES: u32 = 3;

/// Publishes.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(publish(arguments));
    // The thread that reads may hang on a terminal for ever.
    runtime.shutdown_background();
    outcome
}

async fn publish(arguments: Arguments) -> Result<(), Failure> {
    let mut stop = Stop::install()?;
    let Arguments { topic, max_msg_size, .. } = arguments;
    let groups = if arguments.failover {
        vec![arguments.nsqd_tcp_address]
    } else {
        arguments.nsqd_tcp_address.into_iter().map(|address| vec![address]).collect()
    };
    let options = ProducerOptions {
        connection: ConnectionOptions {
            user_agent: crate::user_agent("pub"),
            ..ConnectionOptions::default()
        },
        retries: if arguments.failover { FAILOVER_RETRIES } else { 0 },
        ..ProducerOptions::default()
    };
    let is_one = arguments.body.is_some();
    let mut input = match arguments.body {
        Some(body) => Input::body(body, max_msg_size)?,
        None => Input::stdin(Records::new(arguments.delimiter, max_msg_size)),
    };
    let mut outlet = Outlet::start(topic, arguments.defer, groups, &options)?;
    let pace = Pace::new(arguments.rate, Instant::now());
    let mut progress = Progress::start(!is_one && !io::stdin().is_terminal());
    let read = send_all(&mut input, &mut outlet, pace, &mut progress, &mut stop).await;
    let waited = confirm_all(&mut outlet, &mut progress, &mut stop).await;
    progress.end();
    let tally = std::mem::take(&mut outlet.tally);
    if outlet.is_idle() {
        outlet.close().await;
    }
    judge(&tally, is_one)?;
    waited?;
    let counted = records(tally.confirmed);
    if let Err(why) = read {
        let place = tally.sent + 1;
        return Err(Failure::Failed(match why {
            Unreadable::TooLarge => format!(
                "record {place} is larger than {max_msg_size} bytes (--max-msg-size says how large it may be, and so does \
                 nsqd's option of that name); {counted} confirmed"
            ),
            Unreadable::Stopped => {
                format!(
                    "stopped: {counted} confirmed; record {place} and those behind it were read and not sent"
                )
            }
            Unreadable::Io(error) => {
                format!("cannot read standard input: {}; {counted} confirmed", os_error_text(&error))
            }
        }));
    }
    progress.say(&format!("{counted} published to {topic}"));
    Ok(())
}

// ---- in ----------------------------------------------------------------------------------------------

/// Where records come from.
struct Input {
    /// What standard input says; `None` when it has ended.
    chunks: Option<mpsc::Receiver<io::Result<Bytes>>>,
    records: Records,
    /// Records that were read and not sent.
    waiting: VecDeque<Bytes>,
    /// Set exactly when there is something that cannot be read, behind all that waits.
    unreadable: Option<Unreadable>,
}

enum Unreadable {
    TooLarge,
    Io(io::Error),
    /// There is more, and somebody does not want it to be sent.
    Stopped,
}

impl Input {
    fn body(body: OsString, bytes_max: usize) -> Result<Self, Failure> {
        let body = Bytes::from(body.into_vec());
        if body.is_empty() {
            return Err(Failure::Usage("an empty message cannot be published".to_owned()));
        }
        let unreadable = (body.len() > bytes_max).then_some(Unreadable::TooLarge);
        let waiting = if unreadable.is_none() { VecDeque::from([body]) } else { VecDeque::new() };
        Ok(Self { chunks: None, records: Records::new(0, 0), waiting, unreadable })
    }

    fn stdin(records: Records) -> Self {
        let (say, chunks) = mpsc::channel(READS_MAX);
        std::thread::spawn(move || read_all(&say));
        Self { chunks: Some(chunks), records, waiting: VecDeque::new(), unreadable: None }
    }

    /// Whether nothing more will wait.
    fn has_ended(&self) -> bool {
        self.chunks.is_none()
    }

    /// Whether whole records were read that are not sent.
    fn has_more(&mut self) -> bool {
        !self.waiting.is_empty() || self.chunks.as_mut().is_some_and(|chunks| chunks.try_recv().is_ok())
    }

    /// Waits until more waits, or it has ended. Cancel safe.
    async fn read(&mut self) {
        let Some(chunks) = &mut self.chunks else { return };
        match chunks.recv().await {
            Some(Ok(chunk)) => {
                let waiting = &mut self.waiting;
                let Err(TooLarge) = self.records.push(&chunk, |record| waiting.push_back(record)) else {
                    return;
                };
                self.unreadable = Some(Unreadable::TooLarge);
            }
            Some(Err(error)) => self.unreadable = Some(Unreadable::Io(error)),
            None => self.waiting.extend(self.records.finish()),
        }
        self.chunks = None;
    }
}

/// Reads standard input to its end, or until nobody wants more of it.
fn read_all(say: &mpsc::Sender<io::Result<Bytes>>) {
    let mut stdin = io::stdin().lock();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match stdin.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = read.is_err();
        if say.blocking_send(read).is_err() || is_last {
            return;
        }
    }
}

// ---- out ---------------------------------------------------------------------------------------------

/// Sends what comes in until its end, a failure, or the wish to stop.
async fn send_all(
    input: &mut Input,
    outlet: &mut Outlet,
    mut pace: Pace,
    progress: &mut Progress,
    stop: &mut Stop,
) -> Result<(), Unreadable> {
    while outlet.tally.first_failure.is_none() {
        while outlet.has_room() && pace.next() <= Instant::now() {
            let Some(record) = input.waiting.pop_front() else { break };
            outlet.send(record).await;
            pace.handle_sent(Instant::now());
        }
        if input.waiting.is_empty() && input.has_ended() {
            return input.unreadable.take().map_or(Ok(()), Err);
        }
        let is_early = outlet.has_room() && !input.waiting.is_empty();
        tokio::select! {
            biased;
            () = stop.requested() => {
                return if input.has_more() { Err(Unreadable::Stopped) } else { Ok(()) };
            }
            () = progress.due() => progress.show(outlet.tally.confirmed),
            () = outlet.settle(), if !outlet.is_idle() => {}
            () = input.read(), if input.waiting.is_empty() => {}
            () = tokio::time::sleep_until(pace.next().into()), if is_early => {}
        }
    }
    Ok(())
}

/// Waits for what is on its way. Whoever asks once more to stop does not want to wait.
async fn confirm_all(outlet: &mut Outlet, progress: &mut Progress, stop: &mut Stop) -> Result<(), Failure> {
    while !outlet.is_idle() {
        tokio::select! {
            biased;
            () = stop.requested() => {
                let Tally { confirmed, .. } = outlet.tally;
                let unknown = outlet.tally.unknown();
                return Err(Failure::Failed(format!(
                    "stopped: {} confirmed, {unknown} on their way may or may not have been published", records(confirmed)
                )));
            }
            () = progress.due() => progress.show(outlet.tally.confirmed),
            () = outlet.settle() => {}
        }
    }
    Ok(())
}

/// Whether it was the wrong port.
fn speaks_http(error: &PublishError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(FrameError::Http) = error.downcast_ref() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What is to be said where records failed.
fn judge(tally: &Tally, is_one: bool) -> Result<(), Failure> {
    let Some(failed) = &tally.first_failure else { return Ok(()) };
    let why = causes(&failed.error);
    let address = crate::failure::printable(&failed.address);
    let hint = match &failed.error {
        error if speaks_http(error) => "",
        PublishError::Unreachable(_) => "; is nsqd running there? `nsq up` starts one",
        PublishError::Lost(_) => "; it may have been published all the same",
        _ => "",
    };
    if is_one {
        return Err(Failure::Failed(format!("not published to {address}: {why}{hint}")));
    }
    let others = match tally.failed - 1 {
        0 => String::new(),
        count => format!(", {count} more failed"),
    };
    Err(Failure::Failed(format!(
        "record {} was not published to {address}: {why}{hint}; {} confirmed{others}",
        failed.number,
        records(tally.confirmed)
    )))
}

/// `1 record`, `2 records`.
fn records(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nsq::client::{ConnectionError, ServerError};

    use super::outlet::Failed;
    use super::*;

    fn judged(error: PublishError, failed: u64, is_one: bool) -> String {
        let first_failure = Some(Failed { number: 3, address: "h:1".to_owned(), error });
        let tally = Tally { sent: 10, confirmed: 2, failed, first_failure };
        match judge(&tally, is_one) {
            Err(Failure::Failed(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_failure_says_which_record_and_how_many_are_safe() {
        let refused =
            || PublishError::Refused(ServerError::parse(b"E_BAD_MESSAGE PUB message too big 2 > 1"));
        assert_eq!(
            judged(refused(), 1, false),
            "record 3 was not published to h:1: nsqd refused the message: E_BAD_MESSAGE PUB message too big 2 > 1; 2 \
             records confirmed"
        );
        let lost = PublishError::Lost(Arc::new(ConnectionError::ClosedByServer));
        let text = judged(lost, 4, false);
        assert!(
            text.contains("it may have been published all the same; 2 records confirmed, 3 more failed"),
            "{text}"
        );
        assert!(judged(refused(), 1, true).starts_with("not published to h:1: "));
    }
}
