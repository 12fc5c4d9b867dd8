//! The daemon's certificate: read at start and again when that is asked for, and what speaks TLS with it over HTTP.

use nsq::daemon::http::{App, is_plain_http, refuse_plain_http, serve_within};
use nsq::daemon::listener::Listener;
use nsq::transport::tls::{NotTls, TlsFiles, TlsFilesError, TlsServer};
use tokio::sync::watch;

use crate::options::{Options, TlsMinVersion};

/// What speaks TLS now, and the files that it came from.
#[derive(Clone)]
pub(crate) struct Certificates {
    files: TlsFiles,
    newest: watch::Sender<TlsServer>,
}

impl Certificates {
    /// Reads the files that the options name; nothing if they name none.
    pub(crate) fn load(options: &Options) -> Result<Option<Self>, TlsFilesError> {
        let Some(files) = options.tls_files() else { return Ok(None) };
        let newest = watch::Sender::new(TlsServer::load(&files)?);
        if let TlsMinVersion::Tls10 | TlsMinVersion::Tls11 = options.tls_min_version {
            tracing::info!("TLS: 1.2 is the oldest version that is spoken");
        }
        Ok(Some(Self { files, newest }))
    }

    /// What speaks TLS with those who connect from now on.
    pub(crate) fn newest(&self) -> watch::Receiver<TlsServer> {
        self.newest.subscribe()
    }

    /// Reads the files again at each change of `reloads`, until `stop` is ready. Files that are of no use change nothing;
    /// connections that stand go on as they are.
    pub(crate) async fn follow(self, mut reloads: watch::Receiver<()>, stop: impl Future<Output = ()>) {
        let reloading = async {
            while reloads.changed().await.is_ok() {
                match TlsServer::load(&self.files) {
                    Ok(server) => {
                        self.newest.send_replace(server);
                        tracing::info!("TLS: certificate and key were read again");
                    }
                    Err(why) => tracing::error!(
                        "TLS: the certificate in use stays, for the new one is of no use - {why}"
                    ),
                }
            }
            // Nobody is left who could ask.
            std::future::pending().await
        };
        tokio::select! {
            () = reloading => {}
            () = stop => {}
        }
    }

    /// Serves `app` over TLS until `stop` is ready.
    pub(crate) async fn serve_https(self, listener: Listener, app: App, stop: impl Future<Output = ()>) {
        let newest = self.newest();
        let wrap = move |stream| {
            let server = newest.borrow().clone();
            async move {
                match server.accept(stream).await {
                    Ok((stream, _)) => Some(stream),
                    Err((error, stream)) => {
                        tracing::info!("HTTPS: no handshake - {error}");
                        if NotTls::within(&error).is_some_and(|what| is_plain_http(&what.first_bytes)) {
                            refuse_plain_http(stream).await;
                        }
                        None
                    }
                }
            }
        };
        serve_within("HTTPS", listener, app, stop, wrap).await;
    }
}
