//! `/api/counter`: how many messages each channel got on each node.

use std::sync::Arc;

use axum::extract::State;
use nsq::api::admin::{ChannelCount, Counter};
use nsq::daemon::http::{HttpError, Reply};

use super::Site;
use super::told::{nobody_answered, told};
use super::visitor::Viewer;
use crate::cluster::{Asking, Failures, Wanted};

pub(super) async fn show(State(site): State<Arc<Site>>, _: Viewer) -> Result<Reply, HttpError> {
    let mut failures = Failures::default();
    let producers =
        site.cluster.producers(Asking::ForAViewer, &mut failures).await.map_err(nobody_answered)?;
    let wanted = Wanted { topic: None, channel: None, with_clients: false };
    let answers = site.cluster.stats(producers, wanted, &mut failures).await.map_err(nobody_answered)?;
    let mut body = Counter::default();
    for (producer, stats) in answers {
        for topic in stats.topics.into_iter().flatten() {
            for channel in topic.channels {
                let node = producer.address.clone();
                let key = format!("{}:{}:{node}", topic.topic_name, channel.channel_name);
                let count = body.stats.entry(key).or_insert_with(|| ChannelCount {
                    node,
                    topic_name: topic.topic_name.clone(),
                    channel_name: channel.channel_name,
                    message_count: 0,
                });
                count.message_count = count.message_count.saturating_add(channel.message_count);
            }
        }
    }
    Ok(told(body, &failures))
}
