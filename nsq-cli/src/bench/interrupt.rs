//! That somebody wants it to end before its time: the daemon that is measured is killed, so that nobody waits for it any
//! longer, and its data goes away as it does at any other end.

use std::sync::{Mutex, MutexGuard};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;

/// Locked for as long as it takes to look or to kill.
#[derive(Debug, Default)]
pub(super) struct Interrupt {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_requested: bool,
    /// The daemon that runs; never one that was waited for, whose id may be another's by now.
    daemon: Option<Pid>,
}

impl Interrupt {
    /// Ends what runs, and lets nothing more begin.
    pub(super) fn request(&self) {
        let mut state = self.locked();
        state.is_requested = true;
        if let Some(daemon) = state.daemon {
            // It fails only where it has ended already.
            let _ = kill_process(daemon, Signal::KILL);
        }
    }

    /// A daemon was started.
    pub(super) fn handle_started(&self, daemon: Pid) {
        let mut state = self.locked();
        state.daemon = Some(daemon);
        if state.is_requested {
            let _ = kill_process(daemon, Signal::KILL);
        }
    }

    /// It will be waited for.
    pub(super) fn forget(&self) {
        self.locked().daemon = None;
    }

    /// Fails once it was asked for.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.locked().is_requested { Err(Failure::Failed("stopped".to_owned())) } else { Ok(()) }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}
