//! That somebody wants it to end before its time: the daemon that is measured is killed, so that nobody waits for it any
//! longer, and its data goes away as it does at any other end. One that ran before is left alone; who waits for it looks here
//! now and then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;

/// Looked at by everybody who waits for something.
#[derive(Debug, Default)]
pub(super) struct Interrupt {
    is_requested: AtomicBool,
    /// The daemon that runs; never one that was waited for, whose id may be another's by now. Locked for as long as it
    /// takes to look or to kill.
    daemon: Mutex<Option<Pid>>,
}

impl Interrupt {
    /// Ends what runs, and lets nothing more begin.
    pub(super) fn request(&self) {
        // Before the lock: who starts a daemon has it seen here, or sees this.
        self.is_requested.store(true, Ordering::SeqCst);
        if let Some(daemon) = *self.daemon() {
            // It fails only where it has ended already.
            let _ = kill_process(daemon, Signal::KILL);
        }
    }

    /// A daemon was started.
    pub(super) fn handle_started(&self, daemon: Pid) {
        *self.daemon() = Some(daemon);
        if self.check().is_err() {
            let _ = kill_process(daemon, Signal::KILL);
        }
    }

    /// It will be waited for.
    pub(super) fn forget(&self) {
        *self.daemon() = None;
    }

    /// Fails once it was asked for.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.is_requested.load(Ordering::SeqCst) {
            Err(Failure::Failed("stopped".to_owned()))
        } else {
            Ok(())
        }
    }

    fn daemon(&self) -> MutexGuard<'_, Option<Pid>> {
        self.daemon.lock().expect("nobody panics while holding it")
    }
}
