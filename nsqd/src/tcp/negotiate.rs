//! From a plain connection to the layers that were agreed on, each of which answers with `OK` (spec nsqd-tcp.md, §4).

use std::io;

use bytes::Bytes;
use nsq::transport::Duplex;
use nsq::transport::compressed::Compressed;
use nsq::transport::deflate::Deflate;
use nsq::transport::prefixed::Prefixed;
use nsq::transport::snappy::Snappy;
use nsq::transport::tls::{Handshake, TlsServer};
use nsq::wire::frame;
use nsq::wire::identify::{Agreement, Compression};
use tokio::io::AsyncWriteExt;

/// What became of a connection.
pub(super) enum Upgraded<S> {
    /// It has its layers, and said so.
    Done {
        /// What to read from and write to from now on.
        stream: Box<dyn Duplex>,
        /// What TLS came to, if there is TLS.
        handshake: Option<Handshake>,
    },
    /// The client does not speak TLS as it should: it is to be told so on the plain connection.
    HandshakeFailed(S, io::Error),
    /// The connection failed.
    Broken(io::Error),
}

/// Puts the layers around `stream`, of which `input` has been read already.
pub(super) async fn upgrade<S: Duplex + 'static>(
    stream: S,
    input: Bytes,
    agreement: Agreement,
    tls: Option<&TlsServer>,
) -> Upgraded<S> {
    let stream = Prefixed::new(input, stream);
    let (stream, handshake): (Box<dyn Duplex>, _) = match tls.filter(|_| agreement.tls) {
        None => (Box::new(stream), None),
        Some(tls) => match tls.accept(stream).await {
            Ok((mut stream, handshake)) => match say_ok(&mut stream).await {
                Ok(()) => (stream, Some(handshake)),
                Err(error) => return Upgraded::Broken(error),
            },
            Err((error, stream)) => return Upgraded::HandshakeFailed(stream.into_inner(), error),
        },
    };
    let mut stream: Box<dyn Duplex> = match agreement.compression {
        None => return Upgraded::Done { stream, handshake },
        Some(Compression::Snappy) => Box::new(Compressed::new(stream, Snappy::new())),
        Some(Compression::Deflate { level }) => Box::new(Compressed::new(stream, Deflate::new(level))),
    };
    match say_ok(&mut stream).await {
        Ok(()) => Upgraded::Done { stream, handshake },
        Err(error) => Upgraded::Broken(error),
    }
}

async fn say_ok(stream: &mut Box<dyn Duplex>) -> io::Result<()> {
    let mut answer = Vec::new();
    frame::encode_response(&mut answer, frame::OK);
    stream.write_all(&answer).await?;
    stream.flush().await
}
