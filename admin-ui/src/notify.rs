//! Each change, told to an HTTP endpoint: once, in the background. One that is dead or slow harms nothing here.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use nsq::api::admin::AdminAction;
use nsq::api::json::to_go_json;
use nsq::exchange::{Exchange, Url};
use tokio::sync::mpsc;
use tracing::{error, warn};

/// How many changes may wait to be told.
const WAITING_MAX: usize = 256;

/// Where changes are told. Clones tell the same one.
#[derive(Debug, Clone, Default)]
pub struct Notifier(Option<mpsc::Sender<AdminAction>>);

impl Notifier {
    /// Tells that endpoint, from a task that ends with the last clone.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(exchange: Exchange, endpoint: Url) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(tell_all(exchange, endpoint, receiver));
        Self(Some(sender))
    }

    /// Tells of a change. Where too many wait, this one is not told, which is logged.
    pub fn tell(&self, action: AdminAction) {
        let Some(queue) = &self.0 else { return };
        if let Err(error) = queue.try_send(action) {
            warn!("notification: {WAITING_MAX} wait already, one is left out - {error}");
        }
    }
}

async fn tell_all(exchange: Exchange, endpoint: Url, mut queue: mpsc::Receiver<AdminAction>) {
    while let Some(action) = queue.recv().await {
        let mut request = Request::new(Bytes::from(to_go_json(&action)));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match exchange.send(&endpoint, request).await {
            Ok(answer) if !answer.status.is_success() => {
                warn!("notification: {endpoint} answered {} to {}", answer.status, action.action);
            }
            Ok(_) => {}
            Err(why) => error!("notification: {endpoint} was not told of {} - {why}", action.action),
        }
    }
}
