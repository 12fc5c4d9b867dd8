//! `nsq salvage`: gets out of a data directory what can be got, as files that can be published again.
//!
//! [`outlet`] writes the files, [`line`](mod@line) is what a message looks like in them.

mod base64;
mod line;
mod outlet;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nsqd::inspect::SetAsideMessage;

use self::outlet::Outlet;
use crate::failure::{Failure, printable};
use crate::look::{Look, print};

/// Gets the messages out of the data directory of an nsqd that does not run, whole or damaged.
///
/// Everything with a valid checksum that somebody still needs is written, for each topic to a file TOPIC.ndjson with a JSON
/// object a line: topic, id, timestamp_ns, channels (each with channel and attempts, and due_ns where it is deferred; none
/// where the message waits for a channel), delay_ns where its delay has not begun, and body in base64. What was set
/// aside as damaged, or will be, goes to TOPIC.set-aside.ndjson, as far as messages in it are legible: it may have been
/// delivered from elsewhere, and is_checked says whether a checksum speaks for it. Nothing in the data directory is changed,
/// and no file is overwritten. Of `spill` a copy is made for the time of the reading, in TMPDIR.
///
/// The exit code is 0 when everything could be read, and 1 when something could not, which is said.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The directory that nsqd has as its --data-path.
    data_path: PathBuf,
    /// Where the files are written. It is made if it is not there, and must be empty.
    #[arg(long, value_name = "DIRECTORY")]
    to: PathBuf,
    /// Writes also TOPIC.raw: the bodies alone, each with the delimiter behind it, for `nsq pub` to read.
    #[arg(long)]
    raw: bool,
    /// What follows each body with --raw: a byte, or \n, \r, \t, \0, \\ or \xNN. A body with this byte in it is left
    /// out of the file, which is said.
    #[arg(
        long,
        value_name = "BYTE",
        default_value = "\\n",
        value_parser = crate::delimiter::parse,
        allow_hyphen_values = true
    )]
    delimiter: u8,
}

const EXAMPLES: &str = "\
Examples:
  nsq salvage /var/lib/nsqd --to ./salvaged
  nsq salvage /var/lib/nsqd --to ./salvaged --raw && nsq pub orders < ./salvaged/orders.raw
  nsq salvage /var/lib/nsqd --to ./salvaged --raw --delimiter '\\0'";

/// Gets out what can be got.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let path = &arguments.data_path;
    refuse_within(&arguments.to, path)?;
    let mut look = Look::begin()?;
    let mut directory = look.open(path)?;
    let mut outlet = Outlet::open(&arguments.to, arguments.raw.then_some(arguments.delimiter))?;
    for index in 0..directory.topics().len() {
        let read = directory.read(index, &mut |message| {
            look.tick(message.body.len() as u64)?;
            outlet.put(&message)
        });
        read.map_err(|error| look.failure(path, error))?;
    }
    let put = &mut |message: SetAsideMessage<'_>| outlet.put_set_aside(&message);
    let read = directory.read_set_aside(&mut || look.tick(0), put);
    read.map_err(|error| look.failure(path, error))?;
    let written = outlet.finish();
    look.end();
    let written = written?;
    print(&written)?;
    let damaged = directory.damaged();
    for found in &damaged {
        let bytes = found.bytes.as_ref();
        let place = bytes.map_or(String::new(), |bytes| format!(", bytes {} to {}", bytes.start, bytes.end));
        eprintln!("nsq: could not read {}{place}: {}", printable(&found.file), found.what);
    }
    let lost: u64 = damaged.iter().map(|found| found.messages).sum();
    if lost > 0 {
        eprintln!(
            "nsq: {lost} messages were there, at least; those that are legible all the same are in the .set-aside.ndjson files, \
             and no checksum speaks for them"
        );
    }
    if written.left_out > 0 {
        eprintln!(
            "nsq: {} bodies hold the delimiter and are in no .raw file; choose another --delimiter, or take them from the \
             .ndjson files",
            written.left_out
        );
    }
    if damaged.is_empty() && written.left_out == 0 { Ok(()) } else { Err(Failure::Told(ExitCode::FAILURE)) }
}

/// Refuses to write into what is only to be read.
fn refuse_within(to: &Path, data_path: &Path) -> Result<(), Failure> {
    let data_path = match data_path.canonicalize() {
        // That it is not there is told where it is opened.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    // What is not there yet comes into the first directory above it that is.
    let is_within = std::path::absolute(to)?
        .ancestors()
        .find_map(|above| above.canonicalize().ok())
        .is_some_and(|above| above.starts_with(&data_path));
    if is_within {
        return Err(Failure::Usage(
            "--to must not be within the data directory, which is not changed".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_into_what_is_read() {
        let here = std::env::current_dir().unwrap();
        let above = here.parent().unwrap();
        assert!(refuse_within(&here.join("no/such"), &here).is_err());
        assert!(refuse_within(&here, &here).is_err());
        assert!(refuse_within(&above.join("no-such"), &here).is_ok());
        assert!(refuse_within(above, &here).is_ok());
    }
}
