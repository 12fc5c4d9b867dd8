//! `nsq bench`: measures an nsqd, and another one beside it.
//!
//! A workload is carried out on a daemon that was started for it, first on the one, then on the other, as often as there
//! are rounds. [`workload`] says what there is to measure, [`mod@run`] does it with publishers and consumers that check what
//! they move, and [`report`] and [`plot`] show it. The generator shares the machine with the daemon, so that it is made to
//! cost little: threads with blocking sockets, and buffers that were made before.

mod answerer;
mod arguments;
mod burst;
mod connection;
mod consumer;
mod conversation;
mod daemon;
mod directory;
mod figures;
mod histogram;
mod http_connection;
mod http_publisher;
mod idle;
mod interrupt;
mod layer;
mod machine;
mod moved;
mod open_files;
mod pace;
mod plot;
mod progress;
mod publisher;
mod report;
mod run;
mod seen;
mod side;
mod target;
mod task_answerer;
mod threads;
mod turns;
mod usage;
mod workload;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nsq::daemon::os_error::os_error_text;
use tokio::sync::oneshot;

pub(crate) use self::arguments::Arguments;
use self::interrupt::Interrupt;
use self::progress::Progress;
use self::report::{About, Outcome, Report};
use self::side::{Common, Side};
use self::workload::{Spec, Workload};
use crate::failure::Failure;
use crate::stop::Stop;

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

/// Measures everything that was asked for, and shows what was complete when it ended.
fn measure_all(arguments: &Arguments, interrupt: &Arc<Interrupt>) -> Result<(), Failure> {
    open_files::raise();
    let moved = Arc::default();
    let common = Common { arguments, interrupt, moved: &moved };
    let sides = side::sides(arguments)?;
    let workloads = chosen(&sides, arguments)?;
    let plot = arguments.plot.as_deref().map(|path| Ok::<_, Failure>((path, open(path)?))).transpose()?;
    let wants_nsqd = workloads.iter().any(|(_, spec)| !spec.is_limit());
    let version = |side: &Side| if wants_nsqd { side.version(&common) } else { Ok("not asked".to_owned()) };
    let versions = sides.iter().map(version).collect::<Result<_, _>>()?;
    let about = About {
        date: machine::today(),
        machine: machine::processors(),
        versions,
        rounds: arguments.rounds,
        options: arguments.options(),
        notes: notes(arguments),
    };
    let mut report = Report { sides: sides.iter().map(Side::name).collect(), results: Vec::new(), about };
    let outcome = measure_each(&sides, &workloads, &common, &mut report);
    if !report.results.is_empty() {
        let text = if arguments.json { format!("{:#}\n", report.json()) } else { report.table() };
        io::stdout().write_all(text.as_bytes())?;
        if let Some((path, mut file)) = plot {
            let written = file.set_len(0).and_then(|()| file.write_all(plot::svg(&report).as_bytes()));
            written.map_err(|error| cannot_write(path, &error))?;
        }
    }
    outcome
}

/// What to measure, all of which can be.
fn chosen(sides: &[Side], arguments: &Arguments) -> Result<Vec<(Workload, Spec)>, Failure> {
    let chosen = arguments.chosen().into_iter().map(|workload| (workload, arguments.spec(workload)));
    let chosen: Vec<_> = chosen.collect();
    for (workload, spec) in &chosen {
        let can_be = open_files::expect(spec.sockets());
        can_be.map_err(|failure| failure.within(&workload.name()))?;
        sides.iter().try_for_each(|side| side.expect(spec, arguments, &workload.name()))?;
    }
    Ok(chosen)
}

fn measure_each(
    sides: &[Side],
    workloads: &[(Workload, Spec)],
    common: &Common<'_>,
    report: &mut Report,
) -> Result<(), Failure> {
    let progress = Progress::start(common.moved);
    for (number, (workload, spec)) in (1..).zip(workloads) {
        let name = workload.name();
        let mut rounds = vec![Vec::new(); sides.len()];
        // A limit is nobody's: it is measured once, and stands in the first column.
        let measured = if spec.is_limit() { 1 } else { sides.len() };
        for round in 1..=common.arguments.rounds {
            for (side, rounds) in sides.iter().zip(&mut rounds).take(measured) {
                let (count, of) = (workloads.len(), common.arguments.rounds);
                let side = (!spec.is_limit()).then_some(side);
                let (on, beside) = side.map_or_else(Default::default, |side| {
                    (format!(" on {}", side.name()), format!(", {}", side.name()))
                });
                progress.begin(format!("{number}/{count} {name}, round {round}/{of}{beside}"));
                common.interrupt.check()?;
                let figures = match side {
                    Some(side) => side.measure(spec, common),
                    None => side::measure_limit(spec, common),
                };
                rounds.push(figures.map_err(|failure| failure.within(&format!("{name}{on}")))?);
            }
        }
        let key_figures = spec.kind.key_figures();
        report.results.push(Outcome { workload: name, about: workload.about(), key_figures, rounds });
    }
    Ok(())
}

fn notes(arguments: &Arguments) -> Vec<String> {
    let mut notes = Vec::new();
    if arguments.all && !arguments.starts() {
        notes.push("Left out is what wants an nsqd that is started for it (--nsqd).".to_owned());
    } else if arguments.all && arguments.tls_cert.is_none() {
        notes.push("Left out is TLS, which wants a certificate (--tls-cert, --tls-key).".to_owned());
    }
    notes
}

/// Opened before anything is measured, so that hours do not end in a directory that is not there; what is in it stays
/// until there is something else to see.
fn open(path: &Path) -> Result<File, Failure> {
    let opened = File::options().write(true).create(true).truncate(false).open(path);
    opened.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("cannot write {}: {}", path.display(), os_error_text(error)))
}
