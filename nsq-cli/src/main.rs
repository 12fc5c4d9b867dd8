//! The entry point of the command `nsq`; everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    nsq_cli::run()
}
