//! The server's entry point: reads its options, starts the log, runs, and turns the outcome into an exit code.

use std::process::ExitCode;

use nsq::daemon::logging::{self, fatal};
use nsqadmin::options::{Options, PROGRAM};

fn main() -> ExitCode {
    let options = match Options::read(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(stop) => return stop.report(&PROGRAM),
    };
    let log_format = options.log_format;
    let log = logging::start(options.log_settings());
    match nsqadmin::run(options, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
            fatal(PROGRAM.name, log_format, &format!("{error}{advice}"))
        }
    }
}
