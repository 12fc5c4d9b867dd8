//! Everything that changes the cluster. Who may is asked first, and then what is wanted.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use bytes::Bytes;
use nsq::api::admin::{AdminAction, Done};
use nsq::daemon::http::{HttpError, Path, Reply};
use nsq::wire::name::{ChannelName, TopicName};
use serde::Deserialize;
use tracing::info;

use super::told::{nobody_answered, node_not_found, told};
use super::visitor::{Admin, Caller, Operator};
use super::{Site, payload};
use crate::access::Role;
use crate::actions::{self, Change, Messages, Refused, Work};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Creation {
    topic: Option<String>,
    channel: Option<String>,
    /// The node to make it on, besides the nsqlookupds. v1.3.0 has no such key.
    node: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wish {
    action: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tombstone {
    topic: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Publication {
    body: String,
    count: Option<usize>,
    defer: Option<u64>,
    node: Option<String>,
}

pub(super) async fn create(
    State(site): State<Arc<Site>>,
    Operator(caller): Operator,
    body: Body,
) -> Result<Reply, HttpError> {
    let wanted: Creation = payload::read(body).await?;
    let topic = wanted.topic.unwrap_or_default();
    if TopicName::parse(&topic).is_none() {
        return Err(bad_request("INVALID_TOPIC"));
    }
    let channel = wanted.channel.filter(|channel| !channel.is_empty());
    if channel.as_deref().is_some_and(|channel| ChannelName::parse(channel).is_none()) {
        return Err(bad_request("INVALID_CHANNEL"));
    }
    let node = wanted.node.filter(|node| !node.is_empty());
    let work = actions::create(&site.cluster, &topic, channel.as_deref(), node.as_deref()).await;
    let mut notices = vec![caller.action("create_topic", &topic, "", "")];
    if let Some(channel) = &channel {
        notices.push(caller.action("create_channel", &topic, channel, ""));
    }
    site.done(&caller, notices, work)
}

pub(super) async fn change_topic(
    State(site): State<Arc<Site>>,
    Operator(caller): Operator,
    Path(topic): Path<String>,
    body: Body,
) -> Result<Reply, HttpError> {
    change(&site, &caller, &topic, None, body).await
}

pub(super) async fn change_channel(
    State(site): State<Arc<Site>>,
    Operator(caller): Operator,
    Path((topic, channel)): Path<(String, String)>,
    body: Body,
) -> Result<Reply, HttpError> {
    change(&site, &caller, &topic, Some(&channel), body).await
}

async fn change(
    site: &Site,
    caller: &Caller,
    topic: &str,
    channel: Option<&str>,
    body: Body,
) -> Result<Reply, HttpError> {
    let wish: Wish = payload::read(body).await?;
    let change = Change::parse(wish.action.as_deref().unwrap_or_default());
    let change = change.ok_or_else(|| bad_request("INVALID_ACTION"))?;
    if change == Change::Empty && caller.visitor.role < Role::Admin {
        return Err(HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN"));
    }
    let work = actions::change(&site.cluster, change, topic, channel).await;
    let kind = if channel.is_some() { "channel" } else { "topic" };
    let name = format!("{}_{kind}", change.word());
    let notice = caller.action(&name, topic, channel.unwrap_or_default(), "");
    site.done(caller, vec![notice], work)
}

pub(super) async fn delete_topic(
    State(site): State<Arc<Site>>,
    Admin(caller): Admin,
    Path(topic): Path<String>,
) -> Result<Reply, HttpError> {
    let work = actions::delete_topic(&site.cluster, &topic).await;
    site.done(&caller, vec![caller.action("delete_topic", &topic, "", "")], work)
}

pub(super) async fn delete_channel(
    State(site): State<Arc<Site>>,
    Admin(caller): Admin,
    Path((topic, channel)): Path<(String, String)>,
) -> Result<Reply, HttpError> {
    let work = actions::delete_channel(&site.cluster, &topic, &channel).await;
    site.done(&caller, vec![caller.action("delete_channel", &topic, &channel, "")], work)
}

pub(super) async fn tombstone(
    State(site): State<Arc<Site>>,
    Admin(caller): Admin,
    Path(node): Path<String>,
    body: Body,
) -> Result<Reply, HttpError> {
    let wanted: Tombstone = payload::read(body).await.map_err(|_| bad_request("INVALID_BODY"))?;
    let topic = wanted.topic.unwrap_or_default();
    if TopicName::parse(&topic).is_none() {
        return Err(bad_request("INVALID_TOPIC"));
    }
    let work = actions::tombstone(&site.cluster, &topic, &node).await;
    site.done(&caller, vec![caller.action("tombstone_topic_producer", &topic, "", &node)], work)
}

/// `POST /api/messages/{topic}`, which v1.3.0 does not have. (Below `/api/topics/{topic}/` there are channels, whatever
/// they are called.) It is logged, and no notification: those who are notified know the eleven actions of v1.3.0.
pub(super) async fn publish(
    State(site): State<Arc<Site>>,
    Operator(caller): Operator,
    Path(topic): Path<String>,
    body: Body,
) -> Result<Reply, HttpError> {
    let wanted: Publication = payload::read(body).await?;
    if TopicName::parse(&topic).is_none() {
        return Err(bad_request("INVALID_TOPIC"));
    }
    let (count, defer_ms) = (wanted.count.unwrap_or(1), wanted.defer.unwrap_or(0));
    let bytes = wanted.body.len().saturating_mul(count);
    let count_max = if defer_ms > 0 { DEFERRED_MAX } else { MESSAGES_MAX };
    if count == 0 || count > count_max || bytes > MESSAGES_BYTES_MAX {
        return Err(bad_request("INVALID_COUNT"));
    }
    if wanted.body.is_empty() {
        return Err(bad_request("INVALID_BODY"));
    }
    info!("ADMIN: {:?} publishes {count} messages to {topic}", caller.visitor.name);
    let messages = Messages {
        body: Bytes::from(wanted.body),
        count,
        defer_ms,
        node: wanted.node.filter(|node| !node.is_empty()),
    };
    let work = actions::publish(&site.cluster, &topic, messages).await.map_err(refused)?;
    Ok(told(Done { outcomes: work.outcomes }, &work.failures))
}

impl Site {
    /// Logs what was done and tells of it; what was refused was not done, and is told of only to whoever wanted it.
    fn done(
        &self,
        caller: &Caller,
        notices: Vec<AdminAction>,
        work: Result<Work, Refused>,
    ) -> Result<Reply, HttpError> {
        let work = work.map_err(refused)?;
        for notice in notices {
            info!(
                "ADMIN: {} topic={} channel={} node={} user={:?} role={} from={} failed={}",
                notice.action,
                notice.topic,
                notice.channel,
                notice.node,
                notice.user,
                caller.visitor.role,
                notice.remote_ip,
                !work.failures.is_empty(),
            );
            self.notifier.tell(notice);
        }
        Ok(told(Done { outcomes: work.outcomes }, &work.failures))
    }
}

fn refused(why: Refused) -> HttpError {
    match why {
        Refused::TopicNotFound => HttpError::topic_not_found(),
        Refused::ChannelNotFound => HttpError::channel_not_found(),
        Refused::NodeNotFound => node_not_found(),
        Refused::NobodyAnswered(why) => nobody_answered(why),
    }
}

fn bad_request(code: &'static str) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, code)
}

/// How many test messages are published at once.
const MESSAGES_MAX: usize = 10_000;
/// How many deferred ones: each is a request of its own.
const DEFERRED_MAX: usize = 100;
/// How many bytes they have together: what nsqd takes by default.
const MESSAGES_BYTES_MAX: usize = 5 * 1024 * 1024;
