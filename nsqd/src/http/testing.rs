//! The API over a node of its own, asked without a socket.

use std::sync::Mutex;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use nsq::api::error::ErrorBody;
use nsq::api::info::Info;
use nsq::api::stats::Stats;
use nsq::daemon::http::App;
use nsq::daemon::logging::Level;
use nsq::daemon::options::ConfigValue;
use tokio::sync::watch;

use super::config::{LiveConfig, LogLevel, MinFreeDisk};
use super::{HttpState, Limits, app};
use crate::node::Node;

pub(super) const MESSAGE_BYTES_MAX: usize = 100;
pub(super) const BODY_BYTES_MAX: usize = 400;

pub(super) struct Server {
    app: App,
    lookupd_addresses: watch::Receiver<Option<Vec<String>>>,
    _data_path: tempfile::TempDir,
}

/// An answer, with its parts as text.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: String,
}

impl Server {
    pub(super) fn new() -> Self {
        let data_path = tempfile::tempdir().unwrap();
        let (sender, lookupd_addresses) = watch::channel(Some(Vec::new()));
        let state = HttpState {
            node: Node::in_memory(data_path.path()),
            banner: "nsqd v1.3.0 (built w/test)".to_owned(),
            info: Info::default(),
            limits: Limits {
                message_bytes_max: MESSAGE_BYTES_MAX,
                body_bytes_max: BODY_BYTES_MAX,
                delay_max: Duration::from_secs(3600),
            },
            config: LiveConfig {
                option: Box::new(option),
                log_level: Box::new(Mutex::new(Level::Info)),
                lookupd_addresses: sender,
                min_free_disk: Box::new(Mutex::new(-1)),
            },
        };
        Self { app: app(state), lookupd_addresses, _data_path: data_path }
    }

    pub(super) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.app.handle(request, "127.0.0.1:1").await;
        let status = response.status().as_u16();
        let content_type =
            response.headers().get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap()).to_owned();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer { status, content_type, body: String::from_utf8(body.into()).unwrap() }
    }

    pub(super) async fn stats(&self) -> Stats {
        let answer = self.ask(get("/stats?format=json")).await;
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The topics with the number of their messages, as `a=1 b=2`.
    pub(super) async fn topics(&self) -> String {
        let topics = self.stats().await.topics.unwrap();
        let counts: Vec<_> =
            topics.iter().map(|topic| format!("{}={}", topic.topic_name, topic.message_count)).collect();
        counts.join(" ")
    }

    pub(super) fn lookupd_addresses(&self) -> watch::Receiver<Option<Vec<String>>> {
        self.lookupd_addresses.clone()
    }
}

impl Answer {
    /// The status with the code of a refusal, or with the body of a success.
    pub(super) fn code(&self) -> String {
        let text = match self.status {
            200 => self.body.clone(),
            301 => String::new(),
            _ => serde_json::from_str::<ErrorBody>(&self.body).unwrap().message,
        };
        format!("{} {text}", self.status)
    }
}

pub(super) fn get(target: &str) -> Request<Body> {
    Request::get(target).body(Body::empty()).unwrap()
}

pub(super) fn post(target: &str, body: &str) -> Request<Body> {
    Request::post(target).body(Body::from(body.to_owned())).unwrap()
}

pub(super) fn put(target: &str, body: &str) -> Request<Body> {
    Request::put(target).body(Body::from(body.to_owned())).unwrap()
}

/// A `POST` whose length is not announced.
pub(super) fn chunked(target: &str, body: &str) -> Request<Body> {
    let unannounced = Body::from(body.to_owned()).map_frame(|frame| frame);
    Request::post(target).body(Body::new(unannounced)).unwrap()
}

fn option(key: &str) -> Option<ConfigValue> {
    Some(match key {
        "log_prefix" => ConfigValue::Text("[nsqd] ".to_owned()),
        "statsd_address" => ConfigValue::Text(String::new()),
        "msg_timeout" => ConfigValue::Json(60_000_000_000_i64.into()),
        _ => return None,
    })
}

impl MinFreeDisk for Mutex<i64> {
    fn bytes(&self) -> i64 {
        *self.lock().unwrap()
    }

    fn set_bytes(&self, bytes: i64) {
        *self.lock().unwrap() = bytes;
    }
}

impl LogLevel for Mutex<Level> {
    fn level(&self) -> Level {
        *self.lock().unwrap()
    }

    fn set_level(&self, level: Level) {
        *self.lock().unwrap() = level;
    }
}
