//! An import that is killed in the middle goes on at the next start: nothing is lost, nothing comes twice.

use nsq_tests::process::{Process, Signal};
use nsq_tests::{Daemon, differences};

use crate::queue_files::{Directory, fresh, ids, ids_of, queue_files, take};

const MESSAGES: u64 = 30_000;

#[test]
fn killing_it_at_some_moment_neither_loses_nor_doubles() {
    if differences::is_original() {
        return;
    }
    for moment in ["taking over 61 files", "moved to imported/", "taken over", "HTTP: listening"] {
        let mut old = Directory::new();
        old.declare("t", false, &[("all", false), ("late", false)]);
        old.write_queue("t:all", &fresh(0..MESSAGES), 1000, 0);
        old.write_queue("t:late", &fresh(0..MESSAGES), 1000, 1000);
        let Directory { directory, .. } = old;
        let arguments = [
            "--tcp-address=127.0.0.1:0".to_owned(),
            "--http-address=127.0.0.1:0".to_owned(),
            format!("--data-path={}", directory.path().display()),
        ];
        let process = Process::start(&arguments);
        process.wait_for_log(moment, |line| line.contains(moment));
        process.signal(Signal::KILL);
        process.wait();
        let daemon = Daemon::start_in(directory, Vec::new());
        assert_eq!(queue_files(daemon.directory()), Vec::<String>::new(), "{moment}");
        assert!(!daemon.directory().join("import-in-progress.json").exists(), "{moment}");
        for (channel, first) in [("all", 0), ("late", 1000)] {
            daemon.wait_for_channel("t", channel, "depth", MESSAGES - first);
            // The others follow one another as these do.
            let messages = take(&mut daemon.subscribe("t", channel), 500);
            assert_eq!(ids(&messages), ids_of(first..first + 500), "{moment}");
        }
    }
}
