//! `nsq verify`: whether the data directory of a stopped nsqd is whole, and what the next start would deliver.

mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use self::report::Report;
use crate::failure::Failure;
use crate::look::{Look, print};

/// Checks the data directory of an nsqd that does not run.
///
/// Every message is read and its checksum compared. Printed are the topics, how many messages of each are kept and what
/// the next start would deliver to each channel; what is damaged, and where; and what was set aside before. Nothing in
/// the directory is changed. Of the part where the level `memory` keeps its messages, `spill`, a copy is made for the time
/// of the check, in TMPDIR.
///
/// The exit code is 0 when everything is whole, and 1 when something is damaged. What was set aside before does no harm any
/// more, and is not counted as damage.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The directory that nsqd has as its --data-path.
    data_path: PathBuf,
    /// Prints one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  nsq verify /var/lib/nsqd
  nsq verify ./data --json | jq '.topics[] | {topic, messages}'";

/// Checks.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut look = Look::begin()?;
    let path = &arguments.data_path;
    let mut directory = look.open(path)?;
    let checked = directory.check(&mut |bytes| look.tick(bytes));
    checked.map_err(|error| look.failure(path, error))?;
    look.end();
    let report = Report::of(&directory, path, look.now_unix_ns);
    if arguments.json {
        print(&format_args!("{}\n", report.to_json()))?;
    } else {
        print(&report)?;
    }
    if report.is_whole() { Ok(()) } else { Err(Failure::Told(ExitCode::FAILURE)) }
}
