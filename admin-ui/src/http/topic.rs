//! `/api/topics/{topic}`: a topic on all nodes, and its channels.

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
    Path(name): Path<String>,
) -> Result<Reply, HttpError> {
    let mut failures = Failures::default();
    let whereabouts = site.cluster.whereabouts(&name, &mut failures).await.map_err(nobody_answered)?;
    let producers = whereabouts.ok_or_else(HttpError::topic_not_found)?.producers;
    let mut nodes = Vec::new();
    // A topic that is known and that nobody has is empty; v1.3.0 takes it for a failure.
    if !producers.is_empty() {
        let wanted = Wanted { topic: Some(&name), channel: None, with_clients: false };
        let answers = site.cluster.stats(producers, wanted, &mut failures).await.map_err(nobody_answered)?;
        let now_s = now_s();
        for (producer, stats) in answers {
            let topics = stats.topics.into_iter().flatten().filter(|topic| topic.topic_name == name);
            nodes.extend(topics.map(|topic| merge::topic_of(&producer, topic, now_s)));
        }
    }
    Ok(told(merge::topic(&name, nodes), &failures))
}
