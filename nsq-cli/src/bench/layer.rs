//! What a connection may be wrapped into, from the generator's side: TLS, Snappy, Deflate.
//!
//! What is sent is compressed before the measured time wherever it can be: [`Layer::encode`] makes bytes that may follow
//! any other such bytes, so that they can be sent again and again. TLS has to encrypt when it sends.

use std::sync::Arc;

use nsq::transport::compressed::{Codec, PLAIN_BYTES_MAX};
use nsq::transport::deflate::Deflate;
use nsq::transport::snappy::Snappy;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use crate::failure::Failure;

/// What a connection is wrapped into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Plain,
    Tls,
    Snappy,
    Deflate,
}

/// The level of Deflate: that of a client that does not ask for one.
const DEFLATE_LEVEL: u32 = 6;

impl Layer {
    /// The key in IDENTIFY that asks for it, and in the answer that agrees to it.
    pub(super) fn key(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Tls => Some("tls_v1"),
            Self::Snappy => Some("snappy"),
            Self::Deflate => Some("deflate"),
        }
    }

    /// Whether bytes must be the ones that were encoded: what is compressed cannot be written over.
    pub(super) fn is_compressed(self) -> bool {
        self.codec().is_some()
    }

    /// What to give to the socket, or to TLS.
    pub(super) fn encode(self, plain: Vec<u8>) -> Vec<u8> {
        let Some(mut codec) = self.codec() else { return plain };
        let mut encoded = Vec::new();
        for piece in plain.chunks(PLAIN_BYTES_MAX) {
            codec.encode(piece, &mut encoded);
        }
        // To a byte, and without a look back to what other bytes were.
        codec.flush(&mut encoded);
        encoded
    }

    /// What decodes the other direction.
    pub(super) fn codec(self) -> Option<Box<dyn Codec + Send>> {
        match self {
            Self::Plain | Self::Tls => None,
            Self::Snappy => Some(Box::new(Snappy::new())),
            Self::Deflate => Some(Box::new(Deflate::new(DEFLATE_LEVEL))),
        }
    }
}

/// The client's end of TLS. Who the server is does not matter here: it is measured, and told nothing.
pub(super) fn tls() -> Result<ClientConnection, Failure> {
    let why = |error: Error| format!("tls: {error}");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(why)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(|error| format!("tls: {error}"))?;
    Ok(ClientConnection::new(Arc::new(config), name).map_err(why)?)
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn what_was_encoded_apart_is_one_stream_in_any_order() {
        for layer in [Layer::Snappy, Layer::Deflate] {
            let parts = [vec![b'a'; 200_000], b"text that looks back: text".to_vec()];
            let encoded = parts.clone().map(|part| layer.encode(part));
            let mut stream = BytesMut::from(&[&encoded[1][..], &encoded[0], &encoded[1]].concat()[..]);
            let (mut codec, mut plain) = (layer.codec().unwrap(), BytesMut::new());
            loop {
                let before = (stream.len(), plain.len());
                codec.decode(&mut stream, &mut plain).unwrap();
                if before == (stream.len(), plain.len()) {
                    break;
                }
            }
            assert!(plain == [&parts[1][..], &parts[0], &parts[1]].concat()[..], "{layer:?}");
        }
    }
}
