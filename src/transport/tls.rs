//! TLS for a server, and for a [`client`]: what its files and options come to, and the handshake.
//!
//! rustls speaks 1.2 and 1.3. Of the certificates it knows nothing but what a handshake needs; [`common_name`] reads the
//! one thing more that somebody asks for.

pub mod client;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    self, CipherSuite, DigitallySignedStruct, DistinguishedName, ProtocolVersion, RootCertStore,
    ServerConfig, SignatureScheme, SupportedProtocolVersion,
};

use super::Duplex;
use super::deadline::Deadline;
use super::prefixed::Prefixed;
use super::read_ahead::ReadAhead;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The type of the record that a handshake begins with.
const HANDSHAKE_RECORD: u8 = 22;

/// What a server's TLS is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that vouch for it, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// What is asked of clients.
    pub clients: ClientCertificates,
    /// The authorities that may vouch for clients, in PEM; empty: those of the system.
    pub authorities: PathBuf,
    /// Whether clients must speak 1.3.
    pub only_tls_1_3: bool,
}

/// What is asked of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Nothing.
    NotAsked,
    /// Any certificate, whoever vouches for it.
    Required,
    /// A certificate that an authority vouches for.
    Verified,
}

/// Why files and options do not come to a TLS server.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesError {
    /// A file cannot be read.
    #[error("{}: {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The authorities cannot be used.
    #[error("failed to append certificate to pool")]
    Authorities,
    /// Certificate and key do not belong together, or are of no use.
    #[error("{0}")]
    Unusable(String),
}

/// Something else came where a handshake was due.
#[derive(Debug, thiserror::Error)]
#[error("tls: first record does not look like a TLS handshake")]
pub struct NotTls {
    /// What came: the beginning of it, at least one byte.
    pub first_bytes: Bytes,
}

/// A server that speaks TLS. It is cheap to clone.
#[derive(Clone)]
pub struct TlsServer {
    acceptor: TlsAcceptor,
}

/// What came of a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// `TLS1.2` or `TLS1.3`.
    pub version: &'static str,
    /// The number of the cipher suite that was agreed on.
    pub cipher_suite: u16,
    /// The common name of the client's certificate; empty if it has none.
    pub common_name: String,
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl TlsServer {
    /// Reads the files.
    ///
    /// # Errors
    /// They cannot be read, or do not come to a server.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsFilesError> {
        let provider = Arc::new(ring::default_provider());
        let certificates = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unreadable(&files.key, error))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions(files.only_tls_1_3))
            .map_err(unusable)?;
        let builder = match files.clients {
            ClientCertificates::NotAsked => builder.with_no_client_auth(),
            ClientCertificates::Required => builder.with_client_cert_verifier(Arc::new(AnyCertificate(
                provider.signature_verification_algorithms,
            ))),
            ClientCertificates::Verified => {
                let roots = Arc::new(authorities(&files.authorities)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|_| TlsFilesError::Authorities)?)
            }
        };
        let config = builder.with_single_cert(certificates, key).map_err(unusable)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Shakes hands. On failure the stream comes back, with whatever was read from it gone.
    ///
    /// # Errors
    /// The other end does not speak TLS ([`NotTls`] is in the error), or none that is wanted here, or takes longer than
    /// five seconds.
    pub async fn accept<S: Duplex + 'static>(
        &self,
        stream: S,
    ) -> Result<(Box<dyn Duplex>, Handshake), (io::Error, S)> {
        let mut stream = Deadline::new(stream, Instant::now() + HANDSHAKE_TIMEOUT);
        // Looked at before rustls does, which would answer with an alert that only TLS can read.
        let mut first = BytesMut::new();
        match stream.read_buf(&mut first).await {
            Ok(0) => return Err((io::Error::new(io::ErrorKind::UnexpectedEof, "EOF"), stream.into_inner())),
            Ok(_) if first[0] == HANDSHAKE_RECORD => {}
            Ok(_) => {
                let what = NotTls { first_bytes: first.freeze() };
                return Err((io::Error::new(io::ErrorKind::InvalidData, what), stream.into_inner()));
            }
            Err(error) => return Err((error, stream.into_inner())),
        }
        match self
            .acceptor
            .accept(Prefixed::new(first.freeze(), ReadAhead::new(stream)))
            .into_fallible()
            .await
        {
            Ok(mut stream) => {
                let (stream_below, connection) = stream.get_mut();
                stream_below.inner_mut().inner_mut().lift();
                let handshake = Handshake {
                    version: version_name(connection.protocol_version()),
                    cipher_suite: connection
                        .negotiated_cipher_suite()
                        .map_or(0, |suite| u16::from(suite.suite())),
                    common_name: connection
                        .peer_certificates()
                        .and_then(|chain| common_name(chain.first()?))
                        .unwrap_or_default(),
                };
                Ok((Box::new(stream), handshake))
            }
            Err((error, stream)) => Err((with_prefix(error), stream.into_inner().into_inner().into_inner())),
        }
    }
}

impl NotTls {
    /// It, where it is what the error is about.
    #[must_use]
    pub fn within(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl Handshake {
    /// The cipher suite as `/stats` of v1.3.0 names it: it knows few by name.
    #[must_use]
    pub fn cipher_suite_name(&self) -> String {
        match CipherSuite::from(self.cipher_suite) {
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => {
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".to_owned()
            }
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => {
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned()
            }
            _ => format!("Unknown {}", self.cipher_suite),
        }
    }
}

/// The common name of a certificate's subject.
#[must_use]
pub fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    use x509_cert::Certificate;
    use x509_cert::der::Decode;
    use x509_cert::der::asn1::{PrintableStringRef, TeletexStringRef, Utf8StringRef};
    use x509_cert::der::oid::db::rfc4519::CN;

    let certificate = Certificate::from_der(certificate).ok()?;
    let names = certificate.tbs_certificate.subject.0;
    let value =
        names.iter().flat_map(|name| name.0.iter()).rfind(|attribute| attribute.oid == CN)?.value.clone();
    let text = value.decode_as::<Utf8StringRef<'_>>().map(|text| text.as_str().to_owned());
    let text =
        text.or_else(|_| value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str().to_owned()));
    text.or_else(|_| value.decode_as::<TeletexStringRef<'_>>().map(|text| text.as_str().to_owned())).ok()
}

fn versions(only_tls_1_3: bool) -> &'static [&'static SupportedProtocolVersion] {
    static TLS_1_3: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
    if only_tls_1_3 { &TLS_1_3 } else { rustls::ALL_VERSIONS }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(path, error))?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| unreadable(path, error))?;
    if certificates.is_empty() { Err(unreadable(path, pem::Error::NoItemsFound)) } else { Ok(certificates) }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsFilesError> {
    let mut roots = RootCertStore::empty();
    let found = if path.as_os_str().is_empty() {
        rustls_native_certs::load_native_certs().certs
    } else {
        certificates(path)?
    };
    let (added, _) = roots.add_parsable_certificates(found);
    if added == 0 { Err(TlsFilesError::Authorities) } else { Ok(roots) }
}

fn unreadable(path: &Path, error: pem::Error) -> TlsFilesError {
    let cause = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "there is nothing of that kind in it".to_owned(),
        error => error.to_string(),
    };
    TlsFilesError::File { path: path.to_owned(), cause }
}

fn unusable(error: rustls::Error) -> TlsFilesError {
    TlsFilesError::Unusable(match error {
        rustls::Error::InconsistentKeys(_) => "tls: private key does not match public key".to_owned(),
        error => format!("tls: {error}"),
    })
}

fn version_name(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLS1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS1.3",
        _ => "",
    }
}

/// What failed in TLS is said to have failed there, as clients of NSQ are used to.
fn with_prefix(error: io::Error) -> io::Error {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(cause) => io::Error::new(error.kind(), format!("tls: {cause}")),
        None => error,
    }
}

/// Takes any certificate, as long as the client has its key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
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

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
    use rustls_pki_types::ServerName;
    use tempfile::TempDir;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::ClientConfig;

    /// An authority, and a directory for what it issues.
    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        directory: TempDir,
    }

    impl Authority {
        fn new() -> Self {
            let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, "an authority");
            let directory = tempfile::tempdir().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
            Self { issuer: Issuer::new(params, key), directory }
        }

        fn path(&self, file: &str) -> PathBuf {
            self.directory.path().join(file)
        }

        /// Writes `<name>.pem` and `<name>.key` with that common name.
        fn issue(&self, name: &str, valid_until: i32) {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.not_after = date_time_ymd(valid_until, 1, 1);
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap();
            std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        }

        fn files(&self, clients: ClientCertificates) -> TlsFiles {
            TlsFiles {
                certificate: self.path("server.pem"),
                key: self.path("server.key"),
                clients,
                authorities: self.path("ca.pem"),
                only_tls_1_3: false,
            }
        }

        fn server(&self, clients: ClientCertificates) -> TlsServer {
            self.issue("server", 4000);
            TlsServer::load(&self.files(clients)).unwrap()
        }

        /// What a client with that certificate connects with.
        fn connector(&self, client: Option<&str>) -> TlsConnector {
            let roots = authorities(&self.path("ca.pem")).unwrap();
            let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots);
            let config = match client {
                None => builder.with_no_client_auth(),
                Some(name) => {
                    let chain = certificates(&self.path(&format!("{name}.pem"))).unwrap();
                    let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                    builder.with_client_auth_cert(chain, key).unwrap()
                }
            };
            TlsConnector::from(Arc::new(config))
        }
    }

    type Accepted = Result<(Box<dyn Duplex>, Handshake), (io::Error, DuplexStream)>;

    /// What the server makes of a client.
    async fn accepted(server: &TlsServer, connector: TlsConnector) -> Accepted {
        let (client, server_end) = duplex(64 * 1024);
        let connecting = async move {
            let connected = connector.connect(ServerName::try_from("localhost").unwrap(), client).await;
            // In TLS 1.3 a client knows only after the handshake what became of its certificate.
            if let Ok(mut stream) = connected {
                let _ = stream.write_all(b"hello").await;
                let _ = stream.read_u8().await;
            }
        };
        let client = tokio::spawn(connecting);
        let accepted = server.accept(server_end).await;
        client.abort();
        accepted
    }

    #[tokio::test]
    async fn a_handshake_says_what_was_agreed_on_and_data_follows() {
        let authority = Authority::new();
        let server = authority.server(ClientCertificates::NotAsked);
        let (client, server_end) = duplex(64 * 1024);
        let connector = authority.connector(None);
        let client = tokio::spawn(async move {
            let name = ServerName::try_from("localhost").unwrap();
            let mut stream = connector.connect(name, client).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).await.unwrap();
            answer
        });
        let (mut stream, handshake) = server.accept(server_end).await.map_err(|(error, _)| error).unwrap();
        assert_eq!((handshake.version, handshake.common_name.as_str()), ("TLS1.3", ""));
        assert!(handshake.cipher_suite_name().starts_with("Unknown 486"), "{handshake:?}");
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        stream.write_all(b"OK").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(&client.await.unwrap(), b"OK");
    }

    #[tokio::test]
    async fn clients_show_the_certificates_that_are_asked_of_them() {
        use ClientCertificates::{NotAsked, Required, Verified};
        let (authority, other) = (Authority::new(), Authority::new());
        authority.issue("known", 4000);
        authority.issue("expired", 2001);
        other.issue("unknown", 4000);
        for file in ["unknown.pem", "unknown.key"] {
            std::fs::copy(other.path(file), authority.path(file)).unwrap();
        }
        for (clients, certificate, common_name) in [
            (NotAsked, None, Some("")),
            (NotAsked, Some("known"), Some("")),
            (Required, None, None),
            (Required, Some("unknown"), Some("unknown")),
            (Required, Some("expired"), Some("expired")),
            (Verified, None, None),
            (Verified, Some("known"), Some("known")),
            (Verified, Some("unknown"), None),
            (Verified, Some("expired"), None),
        ] {
            let server = authority.server(clients);
            let accepted = accepted(&server, authority.connector(certificate)).await;
            let named = accepted.ok().map(|(_, handshake)| handshake.common_name);
            assert_eq!(named.as_deref(), common_name, "{clients:?} {certificate:?}");
        }
    }

    #[tokio::test]
    async fn who_does_not_speak_tls_is_told_so_on_the_stream_as_it_was() {
        let server = Authority::new().server(ClientCertificates::NotAsked);
        let (mut client, server_end) = duplex(1024);
        client.write_all(b"PUB topic\n\0\0\0\x01x").await.unwrap();
        let Err((error, mut stream)) = server.accept(server_end).await else {
            panic!("that is no handshake")
        };
        assert_eq!(error.to_string(), "tls: first record does not look like a TLS handshake");
        assert_eq!(NotTls::within(&error).unwrap().first_bytes, "PUB topic\n\0\0\0\x01x");
        stream.write_all(b"no").await.unwrap();
        drop(stream);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, b"no", "nothing of TLS stands before it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_takes_too_long_fails() {
        let server = Authority::new().server(ClientCertificates::NotAsked);
        let (_client, server_end) = duplex(1024);
        let begun = Instant::now();
        let Err((error, _)) = server.accept(server_end).await else { panic!("nobody said anything") };
        assert_eq!(error.to_string(), "i/o timeout");
        assert_eq!(begun.elapsed().as_secs(), HANDSHAKE_TIMEOUT.as_secs());
    }

    #[test]
    fn files_that_are_of_no_use_are_named() {
        let authority = Authority::new();
        for name in ["server", "other"] {
            authority.issue(name, 4000);
        }
        std::fs::write(authority.path("empty"), "").unwrap();
        let files = authority.files(ClientCertificates::Verified);
        let shown = |files: TlsFiles| {
            let error = TlsServer::load(&files).unwrap_err().to_string();
            error.replace(&authority.directory.path().display().to_string(), "")
        };
        let empty = || authority.path("empty");
        assert!(
            shown(TlsFiles { certificate: authority.path("none"), ..files.clone() }).starts_with("/none: ")
        );
        let cause = shown(TlsFiles { certificate: empty(), ..files.clone() });
        assert_eq!(cause, "/empty: there is nothing of that kind in it");
        let cause = shown(TlsFiles { key: empty(), ..files.clone() });
        assert_eq!(cause, "/empty: there is nothing of that kind in it");
        let cause = shown(TlsFiles { key: authority.path("other.key"), ..files.clone() });
        assert_eq!(cause, "tls: private key does not match public key");
        assert!(TlsServer::load(&files).is_ok());
    }
}
