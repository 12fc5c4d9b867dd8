//! Where peers connect: a TCP port or a Unix socket, bound before anything is served.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use super::os_error::os_error_text;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// After how long, and how often, a silent connection is probed by the system.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A socket that accepts connections.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket; its file is removed by [`close`](Listener::close).
    Unix(UnixListener),
}

/// Where a daemon listens, as its log says it; `None` where it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// For the clients of its protocol.
    pub tcp: Option<String>,
    /// For HTTP requests.
    pub http: Option<String>,
}

/// A connection that was accepted.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `ip:port`; `@` behind a Unix socket.
    pub address: String,
    /// The IP address alone; empty behind a Unix socket.
    pub host: String,
}

/// Why nobody can connect. The text is NSQ's.
#[derive(Debug, thiserror::Error)]
#[error("listen ({address}) failed - {cause}")]
pub struct ListenError {
    address: String,
    cause: String,
    taken: Option<Taken>,
}

/// What somebody else has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Port,
    /// The name of a Unix socket: its file is there.
    File,
}

impl ListenError {
    /// What the operator of this program can do about it, where the address was that of this flag.
    #[must_use]
    pub fn advice(&self, program: &str, flag: &str) -> String {
        match self.taken {
            Some(Taken::Port) => {
                format!(
                    "if another {program} runs, stop it, or choose another address with --{flag}=HOST:PORT"
                )
            }
            Some(Taken::File) => {
                format!(
                    "if no {program} runs that made the file, remove it, or choose another with --{flag}=PATH"
                )
            }
            None => format!("choose another address with --{flag}=HOST:PORT"),
        }
    }
}

impl Listener {
    /// Listens on `host:port`. Without a host, or on the IPv4 wildcard, both families are served where the system
    /// has both.
    ///
    /// # Errors
    /// The address names nothing here, or is taken.
    pub async fn tcp(address: &str) -> Result<Self, ListenError> {
        let failed = |cause, taken| ListenError { address: address.to_owned(), cause, taken };
        let candidates = candidates(address).await.map_err(|cause| failed(cause, None))?;
        let (mut cause, mut taken) = (format!("listen tcp {address}: no such host"), None);
        for candidate in candidates {
            match bind(candidate) {
                Ok(listener) => return Ok(Self::Tcp(listener)),
                Err(error) => {
                    cause = format!("listen tcp {address}: bind: {}", os_error_text(&error));
                    taken = is_in_use(&error).then_some(Taken::Port);
                }
            }
        }
        Err(failed(cause, taken))
    }

    /// Listens on a new Unix socket.
    ///
    /// # Errors
    /// There is something at that path, or nothing can be made there.
    pub fn unix(path: &Path) -> Result<Self, ListenError> {
        UnixListener::bind(path).map(Self::Unix).map_err(|error| ListenError {
            address: path.display().to_string(),
            cause: format!("listen unix {}: bind: {}", path.display(), os_error_text(&error)),
            taken: is_in_use(&error).then_some(Taken::File),
        })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// The system has no room for another, or the connection failed at once.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
                socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                // A listener for both families shows IPv4 peers as IPv6 ones.
                let ip = address.ip().to_canonical();
                let address = SocketAddr::new(ip, address.port()).to_string();
                Ok((Stream::Tcp(stream), Peer { address, host: ip.to_string() }))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                // The other end has no name as a rule.
                Ok((Stream::Unix(stream), Peer { address: "@".to_owned(), host: String::new() }))
            }
        }
    }

    /// Where it listens, as the log says it.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map(|address| address.to_string()).unwrap_or_default()
            }
            Self::Unix(_) => self.path().map(|path| path.display().to_string()).unwrap_or_default(),
        }
    }

    /// The port it listens on; `None` for a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            Self::Unix(_) => None,
        }
    }

    /// Accepts no more; a Unix socket's file is removed.
    pub fn close(self) {
        let path = self.path();
        drop(self);
        let Some(path) = path else { return };
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!("failed to remove the unix socket {} - {}", path.display(), os_error_text(&error));
        }
    }

    fn path(&self) -> Option<PathBuf> {
        let Self::Unix(listener) = self else { return None };
        listener.local_addr().ok()?.as_pathname().map(Path::to_path_buf)
    }
}

/// The socket addresses to try, in order.
async fn candidates(address: &str) -> Result<Vec<SocketAddr>, String> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    if host.is_empty() || host == "0.0.0.0" {
        let port: u16 = if port.is_empty() { Ok(0) } else { port.parse() }
            .map_err(|_| format!("listen tcp: address {port}: invalid port"))?;
        return Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]);
    }
    let found = tokio::net::lookup_host(address).await;
    found.map(Iterator::collect).map_err(|error| format!("listen tcp: lookup {host}: {error}"))
}

fn is_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket2::SockRef::from(&socket).set_only_v6(false)?;
    }
    // A restart must not wait for the connections of the daemon before it to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
