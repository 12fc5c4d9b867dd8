//! Whether anybody still reads standard output.

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::oneshot;

/// Completes when what reads standard output has closed it: then there is no reason to wait for the next message to
/// find that out. Never, where the output is no pipe.
pub(crate) async fn reader_is_gone() {
    let (say, gone) = oneshot::channel();
    std::thread::spawn(move || {
        if wait_for_end() {
            // The command may be ending for another reason.
            let _ = say.send(());
        }
    });
    if gone.await.is_err() {
        // Nothing can be said: writing will find out.
        std::future::pending().await
    }
}

/// Blocks until the output has no reader any more; false where the system cannot tell.
fn wait_for_end() -> bool {
    let stdout = std::io::stdout();
    loop {
        // Nothing is asked for: errors and the end are told all the same.
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut watched, None) {
            Ok(_) => return watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
