//! `/api/nodes/{node}`: one nsqd with all it has.

use std::sync::Arc;

use axum::extract::State;
use nsq::api::admin::{NodeDetail, Topic};
use nsq::daemon::http::{HttpError, Path, Reply};

use super::Site;
use super::told::{nobody_answered, node_not_found, now_s, told};
use super::visitor::Viewer;
use crate::cluster::{Asking, Failures, Wanted, merge};

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    _: Viewer,
    Path(node): Path<String>,
) -> Result<Reply, HttpError> {
    let mut failures = Failures::default();
    let producers =
        site.cluster.producers(Asking::ForAViewer, &mut failures).await.map_err(nobody_answered)?;
    let producer =
        producers.into_iter().find(|producer| producer.address == node).ok_or_else(node_not_found)?;
    let wanted = Wanted { topic: None, channel: None, with_clients: true };
    let answers = site.cluster.stats(vec![producer], wanted, &mut failures).await.map_err(nobody_answered)?;
    let now_s = now_s();
    let topics: Vec<Topic> = answers
        .into_iter()
        .flat_map(|(producer, stats)| {
            let topics = stats.topics.into_iter().flatten();
            topics.map(|topic| merge::topic_of(&producer, topic, now_s)).collect::<Vec<_>>()
        })
        .collect();
    let clients = |topic: &Topic| -> u64 {
        let channels = topic.channels.iter().flatten();
        channels.map(|channel| channel.clients.as_ref().map_or(0, Vec::len) as u64).sum()
    };
    let body = NodeDetail {
        node,
        total_messages: topics.iter().fold(0, |sum, topic| sum.saturating_add(topic.message_count)),
        total_clients: topics.iter().map(clients).sum(),
        topics: (!topics.is_empty()).then_some(topics),
    };
    Ok(told(body, &failures))
}
