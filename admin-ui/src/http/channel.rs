//! `/api/topics/{topic}/{channel}`: a channel on all nodes, and its consumers.

use std::sync::Arc;

use axum::extract::State;
use nsq::daemon::http::{HttpError, Path, Reply};

use super::Site;
use super::told::{nobody_answered, now_s, told};
use super::visitor::Viewer;
use crate::cluster::{Failures, Wanted, merge};

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    _: Viewer,
    Path((topic, name)): Path<(String, String)>,
) -> Result<Reply, HttpError> {
    let mut failures = Failures::default();
    let whereabouts = site.cluster.whereabouts(&topic, &mut failures).await.map_err(nobody_answered)?;
    let whereabouts = whereabouts.ok_or_else(HttpError::topic_not_found)?;
    let mut nodes = Vec::new();
    if !whereabouts.producers.is_empty() {
        let wanted = Wanted { topic: Some(&topic), channel: Some(&name), with_clients: true };
        let answers = site.cluster.stats(whereabouts.producers, wanted, &mut failures).await;
        let now_s = now_s();
        for (producer, stats) in answers.map_err(nobody_answered)? {
            for on_node in stats.topics.into_iter().flatten().filter(|one| one.topic_name == topic) {
                let channels = merge::topic_of(&producer, on_node, now_s).channels.into_iter().flatten();
                nodes.extend(channels.filter(|channel| channel.channel_name == name));
            }
        }
    }
    if nodes.is_empty() && !whereabouts.channels.contains(&name) {
        return Err(HttpError::channel_not_found());
    }
    Ok(told(merge::channel(&topic, &name, nodes), &failures))
}
