//! Connections from a listener, each served by a task of its own.

use std::future::Future;
use std::io;
use std::time::Duration;

use super::listener::{Listener, Peer, Stream};

/// How long accepting pauses when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Starts `session` for each peer that connects, until `stop` is ready: then no more are accepted. Those that are
/// connected are not this function's business. `name` is what the log calls this listener (`TCP`).
pub async fn accept<S>(
    name: &str,
    listener: Listener,
    stop: impl Future<Output = ()>,
    session: impl Fn(Stream, Peer) -> S,
) where
    S: Future<Output = ()> + Send + 'static,
{
    tracing::info!("{name}: listening on {}", listener.address());
    tokio::select! {
        () = accept_all(name, &listener, session) => {}
        () = stop => {}
    }
    tracing::info!("{name}: closing {}", listener.address());
    listener.close();
}

async fn accept_all<S>(name: &str, listener: &Listener, session: impl Fn(Stream, Peer) -> S)
where
    S: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tracing::info!(client = %peer.address, "{name}: new client({})", peer.address);
                tokio::spawn(session(stream, peer));
            }
            // A connection that failed before it was accepted is nobody's fault.
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!("{name}: cannot accept connections for now - {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
