//! The log: one line an event, on stderr, in NSQ's format or as JSON, at a level that can change at run time.
//!
//! The rest of the program logs through `tracing`'s macros and knows nothing of this module. Events of this
//! project's crates pass from the chosen level on, those of its dependencies only as warnings or worse.
//! Spans are not shown: a line carries its own fields.

mod level;
mod line;
mod prefix;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use jiff::ZonedDateTime;
use tracing::{Event, Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::Registry,
};

pub(crate) use self::level::LEVEL_WORDS;
use self::line::Line;
pub use self::{
    level::{Level, UnknownLevel},
    line::LogFormat,
    prefix::Prefix,
};

/// What the log is like from the start. The level alone can change later.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Stands before each line of text.
    pub prefix: Prefix,
    /// Lines below this are not written.
    pub level: Level,
    /// How a line is written.
    pub format: LogFormat,
}

/// Makes the log and sends every event of the process to it, for as long as the process lives.
///
/// # Panics
/// If the process has a log already.
#[must_use]
pub fn start(settings: LogSettings) -> LogControl {
    let (subscriber, control) = subscriber(settings, io::stderr);
    tracing::subscriber::set_global_default(subscriber).expect("a process starts its log once");
    control
}

/// A log that writes to what `open` gives it for each line, and the means to change its level.
fn subscriber<W, O>(settings: LogSettings, open: O) -> (impl Subscriber + Send + Sync, LogControl)
where
    W: Write,
    O: Fn() -> W + Send + Sync + 'static,
{
    let control = LogControl { level: Arc::new(AtomicU8::new(settings.level as u8)) };
    let layer =
        LineLayer { prefix: settings.prefix, format: settings.format, control: control.clone(), open };
    (Registry::default().with(layer), control)
}

/// The level of a running log. Clones speak of the same log.
#[derive(Clone, Debug)]
pub struct LogControl {
    /// Always the number of a [`Level`].
    level: Arc<AtomicU8>,
}

impl LogControl {
    /// The level that is asked for now.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::from_number(self.level.load(Ordering::Relaxed).into()).expect("only levels are stored")
    }

    /// Asks for another level, at once and for the whole process.
    pub fn set_level(&self, level: Level) {
        self.level.store(level as u8, Ordering::Relaxed);
        // `tracing` remembers for each line of code whether anybody wants its events; it must ask again.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Writes the one line that says why a program ends, whatever the level, and gives the exit code to end with.
///
/// NSQ gives this line its usual prefix (`[nsqd] `) even where another was chosen, since it may come before
/// anything was read; so does this.
#[must_use]
pub fn fatal(program: &str, format: LogFormat, text: &str) -> ExitCode {
    let line =
        Line::message(text).render(format, &format!("[{program}] "), &ZonedDateTime::now(), Level::Fatal);
    write_whole(io::stderr(), &line);
    ExitCode::FAILURE
}

/// Turns events into lines.
struct LineLayer<O> {
    prefix: Prefix,
    format: LogFormat,
    control: LogControl,
    open: O,
}

impl<O> LineLayer<O> {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let level = self.control.level().filter();
        let allowed = if is_ours(metadata.target()) { level } else { level.min(LevelFilter::WARN) };
        metadata.is_event() && *metadata.level() <= allowed
    }
}

impl<S, W, O> Layer<S> for LineLayer<O>
where
    S: Subscriber,
    W: Write,
    O: Fn() -> W + Send + Sync + 'static,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.control.level().filter())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = Level::from(*event.metadata().level());
        let mut line = Line::of(event);
        if let Some(part) = self.prefix.part()
            && self.format == LogFormat::Json
        {
            line.put_first("part", part);
        }
        let line = line.render(self.format, &self.prefix.text(), &ZonedDateTime::now(), level);
        write_whole((self.open)(), &line);
    }
}

/// Whether events of that target come from a crate of this project: all their names begin alike.
fn is_ours(target: &str) -> bool {
    target.starts_with("nsq")
}

/// Writes a line in one call, so that lines of several threads do not mix. A log that cannot be written is no
/// reason to fail, and there is nowhere left to say so.
fn write_whole(mut out: impl Write, line: &str) {
    let _ = out.write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tracing::{debug, error, info, warn};

    /// What was written, shared with the log that writes it.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        /// The lines since the last look, from their level on.
        fn take(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            let text = String::from_utf8(bytes).unwrap();
            text.lines().map(|line| line.splitn(3, ' ').nth(2).unwrap().to_owned()).collect()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(level: Level) -> (Page, LogControl, tracing::subscriber::DefaultGuard) {
        log_with(Prefix::Text(String::new()), level, LogFormat::Text)
    }

    fn log_with(
        prefix: Prefix,
        level: Level,
        format: LogFormat,
    ) -> (Page, LogControl, tracing::subscriber::DefaultGuard) {
        let page = Page::default();
        let settings = LogSettings { prefix, level, format };
        let (subscriber, control) = subscriber(settings, {
            let page = page.clone();
            move || page.clone()
        });
        (page, control, tracing::subscriber::set_default(subscriber))
    }

    fn one_event_a_level() {
        debug!("d");
        info!("i");
        warn!("w");
        error!("e");
    }

    #[test]
    fn events_become_lines_with_their_fields() {
        let (page, _control, _guard) = log(Level::Info);
        let client_id = "evil\nid";
        info!(client_id, depth = 3_u64, ratio = 0.5, paused = true, error = %"gone", "client {} left", 7);
        let expected = r#"INFO: client 7 left client_id="evil\nid" depth=3 ratio=0.5 paused=true error=gone"#;
        assert_eq!(page.take(), [expected]);
    }

    #[test]
    fn the_level_can_change_while_the_program_runs() {
        let (page, control, _guard) = log(Level::Info);
        let expectations: [(Level, &[&str]); 6] = [
            (Level::Info, &["INFO: i", "WARNING: w", "ERROR: e"]),
            (Level::Debug, &["DEBUG: d", "INFO: i", "WARNING: w", "ERROR: e"]),
            (Level::Fatal, &[]),
            (Level::Error, &["ERROR: e"]),
            (Level::Warn, &["WARNING: w", "ERROR: e"]),
            (Level::Debug, &["DEBUG: d", "INFO: i", "WARNING: w", "ERROR: e"]),
        ];
        for (level, lines) in expectations {
            control.set_level(level);
            assert_eq!(control.level(), level);
            one_event_a_level();
            assert_eq!(page.take(), lines, "{level}");
        }
    }

    #[test]
    fn dependencies_are_heard_from_warnings_on() {
        let (page, control, _guard) = log(Level::Debug);
        debug!(target: "hyper::proto", "chatter");
        info!(target: "hyper::proto", "chatter");
        warn!(target: "hyper::proto", "trouble");
        debug!(target: "nsqd::tcp", "ours");
        assert_eq!(page.take(), ["WARNING: trouble", "DEBUG: ours"]);
        control.set_level(Level::Error);
        warn!(target: "hyper::proto", "trouble");
        assert!(page.take().is_empty());
    }
    #[test]
    fn a_line_of_json_names_the_part_where_there_are_several() {
        let parts = Prefix::Parts { names: &["nsqd"], otherwise: "nsq" };
        let (page, _control, _guard) = log_with(parts, Level::Info, LogFormat::Json);
        info!(depth = 3_u64, "one");
        let lines = String::from_utf8(std::mem::take(&mut *page.0.lock().unwrap())).unwrap();
        assert!(
            lines.ends_with("\"message\":\"one\",\"fields\":{\"part\":\"nsq\",\"depth\":3}}\n"),
            "{lines}"
        );
    }
}
