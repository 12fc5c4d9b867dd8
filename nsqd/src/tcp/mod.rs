//! The TCP server: the V2 protocol for clients (spec nsqd-tcp.md).
//!
//! - [`session`]: one connection, one task, one loop: the only part that touches sockets and time.
//! - [`protocol`]: what a connection's commands mean; pure.
//! - [`execute`]: joins them to the node.
//! - [`outbox`]: what is to be sent.

mod execute;
mod outbox;
mod protocol;
mod session;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nsq::wire::command::Limits;
use nsq::wire::identify::{IdentifyLimits, Offer, Settings};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::node::Node;
use protocol::Terms;

/// How often a silent connection is probed by the system.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How long accepting pauses when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection is served with.
pub struct Context {
    node: Arc<Node>,
    limits: Limits,
    terms: Terms,
    output_buffer_timeout: Duration,
    msg_timeout: Duration,
}

/// What the server's options say about connections.
#[derive(Debug, Clone)]
pub struct TcpSettings {
    /// What a command may be.
    pub limits: Limits,
    /// What a client may ask for.
    pub identify_limits: IdentifyLimits,
    /// What the server says of itself.
    pub offer: Offer,
    /// How long a message may wait to be sent, unless the client says otherwise.
    pub output_buffer_timeout: Duration,
    /// How long a client may keep a message, unless it says otherwise.
    pub msg_timeout: Duration,
}

/// The other end of a connection.
#[derive(Debug, Clone)]
struct Peer {
    /// `ip:port`; `@` behind a Unix socket.
    address: String,
    /// The address alone; empty behind a Unix socket.
    host: String,
}

/// Where clients connect.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Context {
    /// What connections to `node` are served with.
    pub fn new(node: Arc<Node>, settings: TcpSettings) -> Self {
        Self {
            node,
            limits: settings.limits,
            terms: Terms { limits: settings.identify_limits, offer: settings.offer },
            output_buffer_timeout: settings.output_buffer_timeout,
            msg_timeout: settings.msg_timeout,
        }
    }

    fn settings_of(&self, host: &str) -> Settings {
        Settings::before_identify(host, self.output_buffer_timeout, self.msg_timeout)
    }
}

/// Serves clients until `shutdown` is ready: then no more are accepted. Those that are connected end when the node
/// closes them.
pub async fn serve(listener: Listener, context: Arc<Context>, shutdown: impl Future<Output = ()>) {
    let accepting = async {
        match &listener {
            Listener::Tcp(listener) => accept_all(|| accept_tcp(listener), &context).await,
            Listener::Unix(listener) => accept_all(|| accept_unix(listener), &context).await,
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shutdown => {}
    }
}

async fn accept_all<S, F>(mut accept: impl FnMut() -> F, context: &Arc<Context>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = io::Result<(S, Peer)>>,
{
    loop {
        match accept().await {
            Ok((stream, peer)) => {
                tracing::info!(client = %peer.address, "TCP: new client({})", peer.address);
                let context = Arc::clone(context);
                tokio::spawn(async move { session::serve(stream, &context, peer).await });
            }
            // A connection that failed before it was accepted is nobody's fault.
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!("TCP: cannot accept connections for now - {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<(TcpStream, Peer)> {
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let keepalive =
        socket2::TcpKeepalive::new().with_time(KEEPALIVE_INTERVAL).with_interval(KEEPALIVE_INTERVAL);
    socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    // Behind a listener for both families, IPv4 peers are shown as such.
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    Ok((stream, Peer { address: address.to_string(), host: address.ip().to_string() }))
}

async fn accept_unix(listener: &UnixListener) -> io::Result<(tokio::net::UnixStream, Peer)> {
    let (stream, _) = listener.accept().await?;
    Ok((stream, Peer { address: "@".to_owned(), host: String::new() }))
}
