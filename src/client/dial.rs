//! Connecting to a `host:port` whose host may have several addresses.
//!
//! They are tried one after the other. One that does not answer at all must not use up the time that the caller has,
//! for the next may be the right one: a name in a container network may still have the address of a container that is
//! gone. How long all of it may take is for the caller.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};

/// How long an address is waited for when there are others.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);

/// Connects to `host:port`: to the first of the host's addresses that takes a connection.
///
/// # Errors
/// The name has no address, or none of them takes a connection.
pub async fn dial(address: &str) -> io::Result<TcpStream> {
    first_of(&lookup_host(address).await?.collect::<Vec<_>>()).await
}

/// The first of the addresses that takes a connection; the error is that of the last.
async fn first_of(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let nowhere = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let (last, others) = addresses.split_last().ok_or_else(nowhere)?;
    for address in others {
        if let Ok(Ok(stream)) = tokio::time::timeout(ATTEMPT_TIMEOUT, TcpStream::connect(address)).await {
            return Ok(stream);
        }
    }
    TcpStream::connect(last).await
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[tokio::test]
    async fn an_address_that_does_not_answer_does_not_hide_the_next() {
        let full = TcpSocket::new_v4().unwrap();
        full.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let full = full.listen(0).unwrap();
        let _only_one = TcpStream::connect(full.local_addr().unwrap()).await.unwrap();
        let good = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addresses = [full.local_addr().unwrap(), good.local_addr().unwrap()];
        let stream = first_of(&addresses).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
    }

    #[tokio::test]
    async fn the_last_error_is_told() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
        assert_eq!(first_of(&[free, free]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(first_of(&[]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(dial("no port").await.is_err());
    }
}
