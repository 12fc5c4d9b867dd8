//! What is shown of each poll: on a terminal in place, elsewhere line by line.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use nsq::daemon::clock::Clock;
use nsq::daemon::go_duration::GoDuration;
use nsq::wire::name::{ChannelName, TopicName};

use super::counts::{Counts, Memory, Rates, Row};
use super::screen::{self, Screen};
use super::silence::{self, Silence};
use super::source::Poll;
use super::{channel, table};
use crate::failure::Failure;

/// What it is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    /// One channel, in the columns of `nsq_stat`.
    Channel(TopicName, ChannelName),
    /// All topics and channels, of these names if there are any.
    All { topic: Option<TopicName>, channel: Option<ChannelName> },
}

/// Shows polls.
pub(super) trait Show {
    fn handle_poll(&mut self, poll: Poll) -> Result<(), Failure>;

    /// The terminal has another size.
    fn handle_resize(&mut self) -> Result<(), Failure>;
}

/// How many lines there are from one header to the next.
const HEADER_EVERY: usize = 25;

/// How many lines of the past a screen may show.
const PAST_MAX: usize = 500;

/// How many lines of a screen may be about those that do not answer.
const SILENT_LINES_MAX: usize = 4;

impl Subject {
    /// How many polls there are before the first that shows something.
    pub(super) fn silent_polls(&self) -> u64 {
        match self {
            Self::Channel(..) => 1,
            Self::All { .. } => 0,
        }
    }

    fn is_about(&self, row: &Row) -> bool {
        let (topic, channel) = match self {
            Self::Channel(topic, channel) => (Some(topic), Some(channel)),
            Self::All { topic, channel } => (topic.as_ref(), channel.as_ref()),
        };
        topic.is_none_or(|topic| topic.as_str() == row.key.topic)
            && channel.is_none_or(|channel| Some(channel.as_str()) == row.key.channel.as_deref())
    }

    /// What is to be said where there is nothing to show.
    fn nothing(&self, nodes: usize) -> String {
        let nsqd = match nodes {
            0 => return "no nsqd is known there".to_owned(),
            1 => "the nsqd that was asked".to_owned(),
            count => format!("the {count} nsqd that were asked"),
        };
        match self {
            Self::Channel(topic, channel) | Self::All { topic: Some(topic), channel: Some(channel) } => {
                format!("no channel {channel} of topic {topic} on {nsqd}")
            }
            Self::All { topic: Some(topic), channel: None } => format!("no topic {topic} on {nsqd}"),
            Self::All { topic: None, channel: Some(channel) } => format!("no channel {channel} on {nsqd}"),
            Self::All { topic: None, channel: None } => {
                format!("no topics yet on {nsqd}; publish something: nsq pub greetings hello")
            }
        }
    }
}

/// What came of writing. That nobody reads any more ends everything, and is no failure.
fn written(outcome: io::Result<()>) -> Result<(), Failure> {
    outcome.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Told(ExitCode::SUCCESS),
        _ => Failure::from(error),
    })
}

// ---- lines -------------------------------------------------------------------------------------------

/// Prints lines, for a file or another program; what is not a number goes to standard error.
pub(super) struct Lines {
    subject: Subject,
    memory: Memory,
    silence: Silence,
    asked: String,
    /// How many polls or lines there were, headers not counted.
    printed: usize,
    has_answer: bool,
}

impl Lines {
    pub(super) fn new(subject: Subject) -> Self {
        let (memory, silence) = (Memory::default(), Silence::default());
        Self { subject, memory, silence, asked: String::new(), printed: 0, has_answer: false }
    }

    /// Says something beside the numbers.
    fn say(text: &str) {
        // Where standard error is closed, nobody misses it.
        let _ = writeln!(io::stderr(), "nsq: {text}");
    }

    /// Those of one channel: nothing at the first poll, from which rates are measured.
    fn channel_lines(&mut self, rows: &[Row]) -> Vec<String> {
        let mut lines = Vec::new();
        if self.printed.is_multiple_of(HEADER_EVERY) {
            lines.extend(channel::HEADER.map(str::to_owned));
        }
        self.printed += 1;
        lines.extend(rows.iter().filter_map(|row| Some(channel::line(&row.counts, row.rates?))));
        lines
    }

    fn table_lines(&mut self, rows: &[Row]) -> Vec<String> {
        let time = Clock::new().start_time();
        let mut lines = Vec::new();
        for row in rows {
            if self.printed.is_multiple_of(HEADER_EVERY) {
                lines.push(table::full_header());
            }
            self.printed += 1;
            lines.push(table::full_line(row, &time));
        }
        lines
    }
}

impl Show for Lines {
    fn handle_poll(&mut self, poll: Poll) -> Result<(), Failure> {
        if poll.is_failure() && !self.has_answer {
            let silent: Vec<&str> = poll.silent.iter().map(String::as_str).collect();
            let hint = "is NSQ running there? `nsq up` starts it";
            return Err(Failure::Failed(format!("nobody answers: {}; {hint}", silent.join("; "))));
        }
        if self.asked != poll.asked {
            Self::say(&format!("asking {}", poll.asked));
            self.asked.clone_from(&poll.asked);
        }
        self.silence.handle(&poll.silent).iter().for_each(|news| Self::say(news));
        let nodes = poll.samples.len();
        let mut rows = self.memory.handle_samples(poll.samples);
        rows.retain(|row| self.subject.is_about(row));
        if rows.is_empty() && !self.has_answer {
            let nothing = self.subject.nothing(nodes);
            if matches!(self.subject, Subject::Channel(..)) {
                return Err(Failure::Failed(nothing));
            }
            Self::say(&nothing);
        }
        self.has_answer = true;
        let lines = match self.subject {
            Subject::Channel(..) => self.channel_lines(&rows),
            Subject::All { .. } => self.table_lines(&rows),
        };
        let mut text = lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        let mut out = io::stdout().lock();
        written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
    }

    fn handle_resize(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

// ---- a screen ----------------------------------------------------------------------------------------

/// Shows the latest on a terminal, in place.
pub(super) struct Watch {
    subject: Subject,
    interval: Duration,
    memory: Memory,
    screen: Screen,
    latest: Latest,
    /// Of one channel: what it was at each poll, the newest last.
    past: VecDeque<(Counts, Rates)>,
}

/// What is on the screen.
#[derive(Default)]
struct Latest {
    title: String,
    silent: Vec<String>,
    rows: Vec<Row>,
    /// What is said where there is nothing to show.
    nothing: String,
}

impl Watch {
    pub(super) fn new(subject: Subject, interval: Duration) -> Self {
        let (memory, screen, latest) = (Memory::default(), Screen::default(), Latest::default());
        Self { subject, interval, memory, screen, latest, past: VecDeque::new() }
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let size = screen::size();
        let mut lines = self.frame(size.width, size.height);
        for line in &mut lines {
            line.truncate(size.width);
        }
        written(self.screen.draw(&lines, &mut io::stdout().lock()))
    }

    fn frame(&self, width: usize, height: usize) -> Vec<String> {
        let mut lines = vec![self.latest.title.clone()];
        lines.extend(self.latest.silent.iter().cloned());
        lines.push(String::new());
        let room = height.saturating_sub(lines.len());
        if self.latest.rows.is_empty() && self.past.is_empty() {
            lines.push(self.latest.nothing.clone());
        } else if matches!(self.subject, Subject::Channel(..)) {
            let past = room.saturating_sub(channel::HEADER.len()).min(self.past.len());
            lines.extend(channel::fit(self.past.iter().skip(self.past.len() - past), width));
        } else {
            lines.extend(table::fit(self.latest.rows.clone(), width, room));
        }
        lines.truncate(height);
        lines
    }

    fn title(&self, asked: &str, nodes: usize) -> String {
        let time = Clock::new().start_time();
        let time_of_day = time.get(11..19).unwrap_or_default();
        let every = GoDuration::from(self.interval);
        let about = match &self.subject {
            Subject::Channel(topic, channel)
            | Subject::All { topic: Some(topic), channel: Some(channel) } => format!("{topic}/{channel}  "),
            Subject::All { topic: Some(topic), channel: None } => format!("{topic}  "),
            Subject::All { topic: None, channel: Some(channel) } => format!("*/{channel}  "),
            Subject::All { topic: None, channel: None } => String::new(),
        };
        format!("{time_of_day}  every {every}  {about}{nodes} nsqd  asking {asked}")
    }
}

impl Show for Watch {
    fn handle_poll(&mut self, poll: Poll) -> Result<(), Failure> {
        let nodes = poll.samples.len();
        let nothing = if poll.is_failure() {
            "nobody answers; trying again (`nsq up` starts a cluster)".to_owned()
        } else {
            self.subject.nothing(nodes)
        };
        let title = self.title(&poll.asked, nodes);
        let silent = silence::lines(&poll.silent, SILENT_LINES_MAX);
        let mut rows = self.memory.handle_samples(poll.samples);
        rows.retain(|row| self.subject.is_about(row));
        if matches!(self.subject, Subject::Channel(..)) {
            self.past.extend(rows.iter().filter_map(|row| Some((row.counts, row.rates?))));
            let excess = self.past.len().saturating_sub(PAST_MAX);
            self.past.drain(..excess);
        }
        self.latest = Latest { title, silent, rows, nothing };
        self.draw()
    }

    fn handle_resize(&mut self) -> Result<(), Failure> {
        written(self.screen.clear(&mut io::stdout().lock()))?;
        self.draw()
    }
}
