//! The TCP server: the protocol V1, in which nsqd registers (spec nsqlookupd.md, §5).
//!
//! - `protocol`: what the bytes of a connection ask for; pure.
//! - `session`: one connection, one task: the only part that touches sockets and time.

mod protocol;
mod session;

use std::sync::Arc;
use std::time::Duration;

use nsq::daemon::accept::accept;
use nsq::daemon::lifetime::StopSwitch;
use nsq::daemon::listener::Listener;
use nsq::wire::lookup::Answer;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::directory::Directory;

/// How long sessions may take to end once serving is to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What every connection is served with.
struct Context {
    directory: Arc<Directory>,
    /// The response to `IDENTIFY`.
    answer: Vec<u8>,
}

/// Serves peers until `stop` is ready; then accepts no more, ends every connection and waits for that.
pub async fn serve(
    listener: Listener,
    directory: Arc<Directory>,
    answer: Answer,
    stop: impl Future<Output = ()>,
) {
    let context = Arc::new(Context { directory, answer: answer.to_json() });
    let sessions = StopSwitch::new();
    // Each session holds a sender: when none is left, all have ended.
    let (alive, mut all_ended) = mpsc::channel::<()>(1);
    accept("TCP", listener, stop, |stream, peer| {
        let (context, stopping, alive) = (Arc::clone(&context), sessions.stopping(), alive.clone());
        async move {
            session::serve(stream, &context, peer, stopping).await;
            drop(alive);
        }
    })
    .await;
    sessions.stop();
    drop(alive);
    // The patience is for a log that blocks; a session itself waits for nobody.
    let _ = timeout(STOP_GRACE, all_ended.recv()).await;
}
