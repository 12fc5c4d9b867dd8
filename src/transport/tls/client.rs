//! TLS for a client: whom it trusts, and the handshake.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{TlsFilesError, authorities, unusable, versions, with_prefix};
use crate::transport::Duplex;

/// A client that speaks TLS, and shows no certificate. It is cheap to clone.
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
    /// A client that trusts the authorities of a file in PEM; with an empty path those of the system, if it has any.
    ///
    /// # Errors
    /// The file cannot be read, or holds none.
    pub fn load(authorities_file: &Path, only_tls_1_3: bool) -> Result<Self, TlsFilesError> {
        let roots = match authorities(authorities_file) {
            // A system without authorities is one where nobody is trusted, which is told to whoever asks for trust.
            Err(TlsFilesError::Authorities) if authorities_file.as_os_str().is_empty() => {
                RootCertStore::empty()
            }
            roots => roots?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions(only_tls_1_3))
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_no_client_auth();
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
