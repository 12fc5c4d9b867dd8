//! TLS for a client: whom it trusts, and the handshake.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{TlsFilesError, authorities, certificates, unreadable, unusable, versions, with_prefix};
use crate::transport::Duplex;

/// What a client's TLS is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsClientFiles {
    /// The authorities that may vouch for servers, in PEM; empty: those of the system.
    pub authorities: PathBuf,
    /// The certificate that is shown to servers which ask for one, in PEM; empty: none.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// Whether any server is believed, whoever vouches for it.
    pub trusts_anybody: bool,
    /// Whether servers must speak 1.3.
    pub only_tls_1_3: bool,
}

/// A client that speaks TLS. It is cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}

impl TlsClient {
    /// A client that shows no certificate and trusts the authorities of a file in PEM; with an empty path those of the
    /// system, if it has any.
    ///
    /// # Errors
    /// The file cannot be read, or holds none.
    pub fn load(authorities_file: &Path, only_tls_1_3: bool) -> Result<Self, TlsFilesError> {
        let authorities = authorities_file.to_owned();
        Self::load_files(&TlsClientFiles { authorities, only_tls_1_3, ..TlsClientFiles::default() })
    }

    /// Reads the files.
    ///
    /// # Errors
    /// They cannot be read, or do not come to a client.
    pub fn load_files(files: &TlsClientFiles) -> Result<Self, TlsFilesError> {
        let roots = match authorities(&files.authorities) {
            // A system without authorities is one where nobody is trusted, which is told to whoever asks for trust.
            Err(TlsFilesError::Authorities) if files.authorities.as_os_str().is_empty() => {
                RootCertStore::empty()
            }
            roots => roots?,
        };
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(files.only_tls_1_3))
            .map_err(unusable)?;
        let builder = match files.trusts_anybody {
            true => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(algorithms))),
            false => builder.with_root_certificates(roots),
        };
        let config = if files.certificate.as_os_str().is_empty() {
            builder.with_no_client_auth()
        } else {
            let chain = certificates(&files.certificate)?;
            let key =
                PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unreadable(&files.key, error))?;
            builder.with_client_auth_cert(chain, key).map_err(unusable)?
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Shakes hands with the server of that name, or IP address. How long that may take is for the caller.
    ///
    /// # Errors
    /// The other end does not speak TLS, or cannot prove that it is the one.
    pub async fn connect<S: Duplex + 'static>(&self, host: &str, stream: S) -> io::Result<Box<dyn Duplex>> {
        let unusable = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let host = ServerName::try_from(host.to_owned()).map_err(unusable)?;
        let connected = self.connector.connect(host, stream).await.map_err(with_prefix)?;
        Ok(Box::new(connected))
    }
}

/// Believes any server, as long as it has the key of the certificate that it shows.
#[derive(Debug)]
struct AnyServer(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
