//! The command `nsq`: reads the command line and hands it to the subcommand, one file each.
//!
//! A subcommand's file has its options, as a struct whose comments are the help, and what it does; what it decides is in
//! pure parts beneath. The subcommands do not know each other. That this is a library is for its documentation, which
//! would otherwise take the place of the library `nsq`'s.

mod bench;
mod delimiter;
mod failure;
mod look;
mod ping;
mod pipe;
mod publish;
mod salvage;
mod stat;
mod stop;
mod tail;
mod up;
mod values;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::failure::Failure;

/// NSQ from the command line: a cluster in one process, and what goes in and out of one.
#[derive(Debug, Parser)]
#[command(name = "nsq", version = VERSION, after_help = EXAMPLES, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
    Pub(publish::Arguments),
    Tail(tail::Arguments),
    Stat(stat::Arguments),
    Ping(ping::Arguments),
    Bench(bench::Arguments),
    Verify(verify::Arguments),
    Salvage(salvage::Arguments),
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), ", for NSQ 1.3.0");

const EXAMPLES: &str = "\
Try:
  nsq up                                start a cluster, with its data in ./data
  nsq pub greetings hello               publish a message
  nsq tail greetings                    print what is published
  nsq stat                              watch all topics and channels
  nsq verify ./data                     check the data of an nsqd that is stopped

`nsq COMMAND --help` says more. Exit codes: 0 done, 1 failed, 2 the command line makes no sense.";

/// Does what the command line of the process asks for, and gives the exit code.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up(arguments) => up::run(arguments),
        Command::Pub(arguments) => publish::run(arguments),
        Command::Tail(arguments) => tail::run(arguments),
        Command::Stat(arguments) => stat::run(arguments),
        Command::Ping(arguments) => ping::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Salvage(arguments) => salvage::run(arguments),
    };
    outcome.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

/// What a subcommand calls itself in nsqd's statistics.
fn user_agent(subcommand: &str) -> String {
    format!("nsq-{subcommand}/{} {}", env!("CARGO_PKG_VERSION"), nsq::client::USER_AGENT)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
