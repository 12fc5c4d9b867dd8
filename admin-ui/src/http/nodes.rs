//! `/api/nodes`: all nsqds.

use std::sync::Arc;

use axum::extract::State;
use nsq::api::admin::Nodes;
use nsq::daemon::http::{HttpError, Reply};

use super::Site;
use super::told::{nobody_answered, told};
use super::visitor::Viewer;
use crate::cluster::{Asking, Failures, Version};

pub(super) async fn list(State(site): State<Arc<Site>>, _: Viewer) -> Result<Reply, HttpError> {
    let mut failures = Failures::default();
    let producers =
        site.cluster.producers(Asking::ForAViewer, &mut failures).await.map_err(nobody_answered)?;
    let newest = producers.iter().map(|producer| Version::parse(&producer.version)).max().unwrap_or_default();
    let nodes: Vec<_> = producers.into_iter().map(|producer| producer.node(&newest)).collect();
    Ok(told(Nodes { nodes: (!nodes.is_empty()).then_some(nodes) }, &failures))
}
