//! Plain HTTP where TLS is spoken: how it is told apart, and what is said to it. Knows nothing of TLS.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::serve::{LINGER, hang_up};

/// How the requests begin that v1.3.0 recognizes.
const BEGINNINGS: [&[u8]; 5] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"];

const REFUSAL: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Whether a connection that begins so speaks plain HTTP.
#[must_use]
pub fn is_plain_http(first_bytes: &[u8]) -> bool {
    BEGINNINGS.iter().any(|beginning| first_bytes.starts_with(beginning))
}

/// Tells who speaks plain HTTP that only HTTPS is spoken here, and hangs up.
pub async fn refuse_plain_http<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) {
    // The answer to the first bytes of a connection always has room; who is gone already misses it.
    if io.write_all(REFUSAL).await.is_ok() {
        hang_up(io, LINGER).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[test]
    fn only_requests_are_taken_for_requests() {
        for request in ["GET / HTTP/1.1", "HEAD /ping", "POST /pub", "PUT /config/x", "OPTIONS *"] {
            assert!(is_plain_http(request.as_bytes()), "{request}");
        }
        for other in ["", "GET", "get /", "  V2", "\x16\x03\x01\x02", "PUT topic"] {
            assert!(!is_plain_http(other.as_bytes()), "{other}");
        }
    }

    #[tokio::test]
    async fn the_refusal_is_all_that_is_said() {
        let (mut client, server) = duplex(1024);
        client.write_all(b"the rest of a request").await.unwrap();
        let refusing = tokio::spawn(refuse_plain_http(server));
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, REFUSAL);
        drop(client);
        refusing.await.unwrap();
    }
}
