//! An app on a listener: connections in, until told to stop.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::http::header::HOST;
use axum::http::{Request, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::app::{App, malformed};
use super::head_timeout::{HeadTimeout, Phase};
use crate::daemon::listener::{Listener, Stream};

/// Serves `app` until `stop` completes, then waits a little for the requests that are being answered.
/// `name` is what the log calls this listener (`HTTP`).
pub async fn serve(name: &str, listener: Listener, app: App, stop: impl Future<Output = ()>) {
    serve_within(name, listener, app, stop, |stream| std::future::ready(Some(stream))).await;
}

/// [`serve()`] over what `wrap` makes of each connection, such as TLS; a connection of which it makes nothing is closed.
pub async fn serve_within<W, F, IO>(
    name: &str,
    listener: Listener,
    app: App,
    stop: impl Future<Output = ()>,
    wrap: W,
) where
    W: Fn(Stream) -> F,
    F: Future<Output = Option<IO>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let address = listener.address();
    info!("{name}: listening on {address}");
    let (stop_connections, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let (app, stopped, wrapped) = (app.clone(), stopped.clone(), wrap(stream));
                    connections.spawn(async move {
                        if let Some(stream) = wrapped.await {
                            serve_connection(stream, &peer.address, &app, stopped).await;
                        }
                    });
                }
                Err(error) => {
                    warn!("{name}: failed to accept on {address} - {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    info!("{name}: closing {address}");
    listener.close();
    stop_connections.send_replace(true);
    let finished = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_GRACE, finished).await.is_err() {
        connections.shutdown().await;
    }
}

/// Serves one connection of the peer called `remote`, until it ends or `stop` becomes true; a request that is
/// being answered then is still answered.
pub async fn serve_connection<IO>(io: IO, remote: &str, app: &App, mut stop: watch::Receiver<bool>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let phase = Phase::default();
    let service = service_fn(|request: Request<Incoming>| {
        phase.head_was_read();
        let phase = phase.clone();
        Box::pin(async move {
            let response = match names_its_host(&request) {
                true => app.handle(request, remote).await,
                false => malformed("400 Bad Request: missing required Host header"),
            };
            phase.request_was_answered();
            Ok::<_, Infallible>(response)
        })
    });
    let io = TokioIo::new(HeadTimeout::new(io, phase.clone()));
    let mut connection = http1::Builder::new()
        .title_case_headers(true)
        .half_close(true)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(io, service);

    let mut stopping = false;
    let outcome = loop {
        tokio::select! {
            outcome = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break outcome,
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    if let Err(error) = outcome {
        debug!("HTTP connection of {remote} broke off - {error}");
    }
    let io = connection.into_parts().io.into_inner();
    hang_up(io, if stopping { Duration::ZERO } else { LINGER }).await;
}

/// HTTP/1.1 demands the header.
fn names_its_host(request: &Request<Incoming>) -> bool {
    request.version() < Version::HTTP_11 || request.headers().contains_key(HOST)
}

/// Ends the sending side and waits until the client has done the same, at most for `patience`: closing while
/// a client still sends would destroy the answer on its way.
pub(super) async fn hang_up<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO, patience: Duration) {
    let goodbye = async {
        io.shutdown().await?;
        let mut scrap = [0; 4096];
        while io.read(&mut scrap).await? > 0 {}
        io::Result::Ok(())
    };
    // What goes wrong here happens to a connection that is over.
    let _ = timeout(patience, goodbye).await;
}

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long running requests may take once serving is to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long a client that was answered early may go on sending.
pub(super) const LINGER: Duration = Duration::from_millis(500);
/// The pause after a failed accept; what is short then (file descriptors) must first be given back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::http::{HttpError, Reply, Routes, plain_text, read_body};
    use axum::body::Body;
    use axum::http::StatusCode;
    use std::net::SocketAddr;
    use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
    use tokio::sync::oneshot;

    fn app() -> App {
        Routes::new(())
            .get("/ping", || async { plain_text(StatusCode::OK, "OK") })
            .post("/ignore", || async { Reply::Empty })
            .post("/read", |body: Body| async move {
                read_body(body, 4)
                    .await
                    .map(Reply::Text)
                    .map_err(|_| HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_BIG"))
            })
            .app()
    }

    /// A server on a free port; it stops when the sender goes.
    async fn start() -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve("HTTP", Listener::Tcp(listener), app(), async {
            let _ = stopped.await;
        }));
        (address, stop, serving)
    }

    /// What the server answers until it closes the connection, without the dates.
    async fn answers(request: &[u8]) -> String {
        let (address, _stop, _serving) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        text.split("\r\n").filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\n")
    }

    #[tokio::test]
    async fn header_names_are_spelled_as_nsq_spells_them() {
        assert_eq!(
            answers(b"GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await,
            "HTTP/1.1 404 Not Found\nContent-Type: application/json; charset=utf-8\n\
             X-Nsq-Content-Type: nsq; version=1.0\nContent-Length: 23\nConnection: close\n\n{\"message\":\"NOT_FOUND\"}"
                .replace("Content-Length: 23\nConnection: close", "Connection: close\nContent-Length: 23")
        );
    }

    #[tokio::test]
    async fn requests_may_be_pipelined_and_an_unread_body_stands_between_them() {
        let text = answers(
            b"POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello\
              POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n\
              GET /ping HTTP/1.0\r\n\r\n",
        )
        .await;
        assert_eq!(text.matches(" 200 OK\n").count(), 3, "{text}");
        assert!(text.contains("\nabcdHTTP/1.0 200 OK"), "{text}");
    }

    #[tokio::test]
    async fn a_length_too_big_is_refused_before_the_client_is_asked_to_go_on() {
        let text =
            answers(b"POST /read HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99\r\n\r\n")
                .await;
        assert!(text.starts_with("HTTP/1.1 413 Request Entity Too Large\n"), "{text}");
        assert!(text.contains("\nConnection: close\n"), "{text}");
    }

    #[tokio::test]
    async fn a_client_is_asked_to_go_on_when_its_body_is_wanted() {
        let (address, _stop, _serving) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = b"POST /read HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"ab").await.unwrap();
        let mut status = [0; 15];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200 OK");
    }

    #[tokio::test]
    async fn an_early_answer_reaches_a_client_that_still_sends() {
        let mut request = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n".to_vec();
        request.resize(request.len() + 3_000_000, b'x');
        let text = answers(&request).await;
        assert!(text.starts_with("HTTP/1.1 413 Request Entity Too Large\n"), "{text}");
        assert!(text.contains("\nConnection: close\n"), "{text}");
    }

    #[tokio::test]
    async fn what_is_no_request_gets_a_400() {
        for bad in
            [&b"garbage\r\n\r\n"[..], b"GET /ping HTTP/1.1\r\n\r\n", b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"]
        {
            let text = answers(bad).await;
            assert!(text.starts_with("HTTP/1.1 400 Bad Request\n"), "{text}");
        }
        let mut long = b"GET /ping?".to_vec();
        long.resize(HEAD_BYTES_MAX + 1, b'x');
        assert!(answers(&long).await.starts_with("HTTP/1.1 431 "));
    }

    #[tokio::test]
    async fn a_stop_ends_idle_connections_and_the_server() {
        let (address, stop, serving) = start().await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut status = [0; 15];
        idle.read_exact(&mut status).await.unwrap();
        drop(stop);
        idle.read_to_end(&mut Vec::new()).await.unwrap();
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_unix_socket_is_served_and_removed() {
        let directory = std::env::temp_dir().join(format!("nsq-serve-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("http.sock");
        let listener = Listener::Unix(UnixListener::bind(&path).unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve("HTTP", listener, app(), async {
            let _ = stopped.await;
        }));
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"GET /ping HTTP/1.0\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.ends_with("\r\n\r\nOK"), "{text}");
        drop(stop);
        serving.await.unwrap();
        assert!(!path.exists());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
