//! `/api/topics`: the names of all topics.

use std::sync::Arc;

use axum::extract::State;
use nsq::api::admin::{InactiveTopics, Topics};
use nsq::daemon::http::{HttpError, Query, Reply};

use super::Site;
use super::told::{nobody_answered, told};
use super::visitor::Viewer;
use crate::cluster::Failures;

pub(super) async fn list(State(site): State<Arc<Site>>, _: Viewer, query: Query) -> Result<Reply, HttpError> {
    let mut failures = Failures::default();
    if query.first("inactive") == Some("true") {
        let topics = site.cluster.inactive_topics(&mut failures).await.map_err(nobody_answered)?;
        let channels = |channels: Vec<String>| (!channels.is_empty()).then_some(channels);
        let topics = topics.into_iter().map(|(topic, all)| (topic, channels(all))).collect();
        return Ok(told(InactiveTopics { topics }, &failures));
    }
    let topics = site.cluster.topics(&mut failures).await.map_err(nobody_answered)?;
    Ok(told(Topics { topics: (!topics.is_empty()).then_some(topics) }, &failures))
}
