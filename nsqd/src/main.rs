//! The daemon's entry point: reads its options, starts the log, runs, and turns the outcome into an exit code.

use std::path::Path;
use std::process::ExitCode;

use nsq::daemon::logging::{self, fatal};
use nsqd::data_dir::DataDirLock;
use nsqd::options::{Options, PROGRAM};

fn main() -> ExitCode {
    let claim = |data_path: &Path| DataDirLock::acquire(data_path).map_err(|error| error.with_advice());
    let (options, lock) = match Options::read_with(std::env::args_os().skip(1), claim) {
        Ok(read) => read,
        Err(stop) => return stop.report(&PROGRAM),
    };
    let log_format = options.log_format;
    let log = logging::start(options.log_settings());
    match nsqd::run(options, lock, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
            fatal(PROGRAM.name, log_format, &format!("{error}{advice}"))
        }
    }
}
