//! One HTTP request and its answer, over a stream that is there. Knows nothing of who is asked, or what.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// The largest head of an answer that is read, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConverseError {
    /// It is not HTTP, or broke off.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// There is more of it than is read.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// Asks, and reads an answer whose body has so many bytes at most.
///
/// # Errors
/// There is no complete answer, or it is larger.
pub(crate) async fn converse<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    body_bytes_max: usize,
) -> Result<Response<Bytes>, ConverseError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let client = hyper::client::conn::http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).clone();
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await?;
    // Both go on together and end together: there is no task that could be left over.
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, body_bytes_max).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => ConverseError::Http(*error),
            // A limited body has no third kind of error.
            Err(_) => ConverseError::TooLarge(body_bytes_max),
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end first, and the answer be complete nevertheless; errors arrive there too.
        _ = connection => answer.await,
    }
}
