//! The command `nsq`, as its users meet it: one file a subcommand.

mod bench;
mod ping;
mod publish;
mod salvage;
mod stat;
mod tail;
mod terminal;
mod up;
mod verify;

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Stdio};

use nsq_tests::process::{Ended, Process, Signal, program};
use rustix::process::{Pid, kill_process};

/// Runs `nsq` until it ends by itself.
fn nsq(arguments: &[&str]) -> Ended {
    Process::start_program("nsq", arguments).wait()
}

/// What a run of `nsq` came to.
struct Run {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: String,
}

/// Runs `nsq` with this as its standard input.
fn nsq_with_input<A: AsRef<OsStr>>(arguments: &[A], input: &[u8]) -> Run {
    let mut child = start(arguments);
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_vec();
    // It may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("our own child can be waited for");
    writer.join().expect("writing does not panic");
    Run {
        status: output.status,
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Starts `nsq` with its input and outputs in the test's hands.
fn start<A: AsRef<OsStr>>(arguments: &[A]) -> Child {
    let mut command = Command::new(program("nsq"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("the process is ours and not yet waited for");
}

#[test]
fn without_a_command_the_help_is_shown() {
    let ended = nsq(&[]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.log.iter().any(|line| line.contains("nsq up")), "{:?}", ended.log);
    for command in ["up", "pub", "tail", "stat", "ping", "bench", "verify", "salvage"] {
        let ended = nsq(&[command, "--help"]);
        assert_eq!(ended.status.code(), Some(0));
        assert!(ended.output.contains("Examples:"), "{}", ended.output);
    }
    assert!(nsq(&["--version"]).output.starts_with("nsq "));
}
