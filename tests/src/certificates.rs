//! An authority and the certificates that it issues, made where they are needed.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{
    ALL_VERSIONS, ClientConfig, ConfigBuilder, RootCertStore, SupportedProtocolVersion, version,
};

/// An authority, with a directory of PEM files: `ca.pem`, and `NAME.pem` and `NAME.key` of those it vouches for.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    /// A new one, which has issued the certificate `server` for localhost.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of the tests");
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("an authority can sign for itself");
        let directory = TempDir::with_prefix("authority-").expect("the temporary directory is writable");
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).expect("it is writable");
        let authority = Self { issuer: Issuer::new(params, key), directory };
        authority.issue("server");
        authority
    }

    /// Where a file of it is.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Issues a certificate with this common name; one of the same name is replaced.
    pub fn issue(&self, name: &str) {
        self.issue_for(name, 1975..4096);
    }

    /// The same, valid from the beginning of the first of these years to the end of the last.
    pub fn issue_for(&self, name: &str, years: Range<i32>) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a good name");
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority can sign");
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).expect("it is writable");
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).expect("it is writable");
    }

    /// The flags that make a daemon speak TLS with the certificate `server`.
    pub fn flags(&self) -> Vec<String> {
        vec![
            format!("--tls-cert={}", self.path("server.pem").display()),
            format!("--tls-key={}", self.path("server.key").display()),
            format!("--tls-root-ca-file={}", self.path("ca.pem").display()),
            "--https-address=127.0.0.1:0".to_owned(),
        ]
    }

    /// What a client connects with that speaks TLS 1.2 and nothing newer.
    pub fn client_of_tls_1_2(&self) -> Arc<ClientConfig> {
        Arc::new(self.trusting(&[&version::TLS12]).with_no_client_auth())
    }

    /// What a client connects with: it trusts this authority, and shows a certificate of `identity`'s, if any.
    pub fn client(&self, identity: Option<(&Authority, &str)>) -> Arc<ClientConfig> {
        let builder = self.trusting(ALL_VERSIONS);
        Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some((authority, name)) => {
                let chain = CertificateDer::from_pem_file(authority.path(&format!("{name}.pem")));
                let key = PrivateKeyDer::from_pem_file(authority.path(&format!("{name}.key")));
                builder
                    .with_client_auth_cert(vec![chain.expect("it was issued")], key.expect("it was issued"))
                    .expect("certificate and key belong together")
            }
        })
    }

    fn trusting(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.path("ca.pem")).expect("the authority has a certificate");
        roots.add(ca).expect("it is in order");
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("there are versions")
            .with_root_certificates(roots)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
