//! `/api/history`: what was.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use nsq::api::admin::HistoryBody;
use nsq::daemon::http::{HttpError, Query, Reply};

use super::Site;
use super::overview::number;
use super::told::{node_not_found, now_s, told};
use super::visitor::Viewer;
use crate::cluster::Failures;
use crate::history::{MEASURES, Measure, RINGS, Subject};

/// `kind=cluster|node|topic|channel` (`cluster` if it is left out) with `node=`, `topic=`, `channel=`, and
/// `range=5m|1h|24h` (`5m`); with `since=SECONDS` only what is later than that time.
pub(super) async fn show(State(site): State<Arc<Site>>, _: Viewer, query: Query) -> Result<Reply, HttpError> {
    let bad = |code: &'static str| HttpError::new(StatusCode::BAD_REQUEST, code);
    let step = match query.first("range").unwrap_or("5m") {
        "5m" => RINGS[0].0,
        "1h" => RINGS[1].0,
        "24h" => RINGS[2].0,
        _ => return Err(bad("INVALID_ARG_RANGE")),
    };
    let since = number(&query, "since")?.and_then(|since| i64::try_from(since).ok());
    let named = |key: &str| query.first(key).unwrap_or_default().to_owned();
    let kind = query.first("kind").unwrap_or("cluster");
    let (subject, missing) = match kind {
        "cluster" => (Subject::Cluster, HttpError::not_found()),
        "node" => (Subject::Node(named("node")), node_not_found()),
        "topic" => (Subject::Topic(named("topic")), HttpError::topic_not_found()),
        "channel" => (Subject::Channel(named("topic"), named("channel")), HttpError::channel_not_found()),
        _ => return Err(bad("INVALID_ARG_KIND")),
    };
    let sampled = site.sampled()?;
    let mut body = HistoryBody { kind: kind.to_owned(), step, ..HistoryBody::default() };
    match &subject {
        Subject::Cluster => {}
        Subject::Node(node) => body.node = node.clone(),
        Subject::Topic(topic) => body.topic = topic.clone(),
        Subject::Channel(topic, channel) => {
            (body.topic, body.channel) = (topic.clone(), channel.clone());
        }
    }
    {
        let recorder = sampled.recorder();
        let history = recorder.history();
        let ring = history.series(&subject).and_then(|series| series.ring(step)).ok_or(missing)?;
        // What has ended, or was saved before a restart, is not of now.
        let (first, points) = ring.until(history.last_step(step, now_s()));
        let count = i64::try_from(points.len()).unwrap_or(i64::MAX);
        let known = since.map_or(0, |since| since.div_euclid(step).saturating_add(1).saturating_sub(first));
        // What is known of a time to come was told before the clock was set back: it is told anew.
        let known = if known > count { 0 } else { known.max(0) };
        body.start = first.saturating_add(known).saturating_mul(step);
        let mut columns: [Vec<Option<f64>>; MEASURES] =
            std::array::from_fn(|_| Vec::with_capacity(points.len()));
        for point in points.skip(usize::try_from(known).unwrap_or(0)) {
            for (column, value) in columns.iter_mut().zip(point) {
                column.push(value.get());
            }
        }
        let mut take = |measure: Measure| std::mem::take(&mut columns[measure as usize]);
        body.depth = take(Measure::Depth);
        body.in_flight = take(Measure::InFlight);
        body.rate_in = take(Measure::In);
        body.rate_out = take(Measure::Out);
        body.requeue_rate = take(Measure::Requeued);
        body.timeout_rate = take(Measure::TimedOut);
    }
    Ok(told(body, &Failures::default()))
}
