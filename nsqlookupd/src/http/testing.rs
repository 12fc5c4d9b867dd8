//! The API over a directory of its own, asked without a socket.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use nsq::api::error::ErrorBody;
use nsq::daemon::clock::Clock;
use nsq::daemon::http::App;
use nsq::wire::lookup::{Identity, Registration};
use nsq::wire::name::{ChannelName, TopicName};

use super::app;
use crate::directory::Directory;
use crate::registry::{ProducerId, Settings};

pub(super) struct Server {
    app: App,
    directory: Arc<Directory>,
}

impl Server {
    pub(super) fn new() -> Self {
        let directory = Arc::new(Directory::new(Clock::new(), Settings::default()));
        Self { app: app(Arc::clone(&directory)), directory }
    }

    /// The status, with the code of a refusal or the body of a success.
    pub(super) async fn ask(&self, request: Request<Body>) -> String {
        let response = self.app.handle(request, "127.0.0.1:1").await;
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let text = match status {
            200 => String::from_utf8(body.into()).unwrap(),
            _ => serde_json::from_slice::<ErrorBody>(&body).unwrap().message,
        };
        format!("{status} {text}")
    }

    pub(super) fn connect(&self, remote_address: &str, broadcast_address: &str) -> ProducerId {
        let identity = Identity {
            broadcast_address: broadcast_address.to_owned(),
            tcp_port: 4150,
            http_port: 4151,
            version: "1.3.0".to_owned(),
            ..Identity::default()
        };
        self.directory.write().connect(self.directory.now(), remote_address.to_owned(), identity)
    }

    pub(super) fn register(&self, id: ProducerId, topic: &str, channel: Option<&str>) {
        let topic = TopicName::parse(topic).unwrap();
        let channel = channel.map(|channel| ChannelName::parse(channel).unwrap());
        self.directory.write().register(id, &Registration { topic, channel }).unwrap();
    }
}

pub(super) fn get(target: &str) -> Request<Body> {
    Request::get(target).body(Body::empty()).unwrap()
}

pub(super) fn post(target: &str) -> Request<Body> {
    Request::post(target).body(Body::from("topic=form")).unwrap()
}
