//! What is done to a cluster: which nodes are asked for what, and what each of them said.
//!
//! A step asks its nodes at the same time; steps follow each other. Nobody's failure ends a step or what comes after it:
//! the whole says who did not do his part.

use std::sync::Arc;

use bytes::Bytes;
use nsq::api::admin::Outcome;

use crate::cluster::query::ask_all;
use crate::cluster::{
    AskError, Asking, Cluster, Failure, Failures, NobodyAnswered, Service, Whereabouts, each_once, escape,
};

/// What is done to a topic or a channel that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Hands no more messages on.
    Pause,
    /// Hands messages on again.
    Unpause,
    /// Drops what waits.
    Empty,
}

impl Change {
    /// The change of that name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pause, Self::Unpause, Self::Empty].into_iter().find(|change| change.word() == word)
    }

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Empty => "empty",
        }
    }
}

/// What became of an action.
#[derive(Debug, Default)]
pub struct Work {
    /// What each node said.
    pub outcomes: Vec<Outcome>,
    /// Those who did not do their part.
    pub failures: Failures,
}

/// Why nothing was done.
#[derive(Debug)]
pub enum Refused {
    /// Nobody knows the topic.
    TopicNotFound,
    /// Nobody knows the channel.
    ChannelNotFound,
    /// No such node is known.
    NodeNotFound,
    /// Nobody could be asked.
    NobodyAnswered(NobodyAnswered),
}

impl From<NobodyAnswered> for Refused {
    fn from(why: NobodyAnswered) -> Self {
        Self::NobodyAnswered(why)
    }
}

/// Test messages.
#[derive(Debug, Clone)]
pub struct Messages {
    /// What each says.
    pub body: Bytes,
    /// How many.
    pub count: usize,
    /// After how many milliseconds they are delivered.
    pub defer_ms: u64,
    /// The node that takes them; any that has the topic if none is named.
    pub node: Option<String>,
}

/// Makes a topic known, and maybe a channel of it, to all nsqlookupds; and the channel on each node that has the topic.
/// On the `node` that is named, and on all where nsqds are asked directly, both are made at once.
///
/// # Errors
/// The node is not known.
pub async fn create(
    cluster: &Cluster,
    topic: &str,
    channel: Option<&str>,
    node: Option<&str>,
) -> Result<Work, Refused> {
    let mut work = Work::default();
    let mut nodes = Vec::new();
    if cluster.is_direct() || node.is_some() {
        let producers = cluster.producers(Asking::ForAViewer, &mut work.failures).await?;
        nodes.extend(producers.into_iter().map(|producer| producer.address));
        if let Some(node) = node {
            nodes.retain(|address| address == node);
            if nodes.is_empty() {
                return Err(Refused::NodeNotFound);
            }
        }
    }
    let lookupds = cluster.lookupd_addresses();
    let of_topic = format!("topic={}", escape(topic));
    work.step(cluster, Service::Nsqlookupd, lookupds.clone(), "/topic/create", &of_topic).await;
    work.step(cluster, Service::Nsqd, nodes.clone(), "/topic/create", &of_topic).await;
    if let Some(channel) = channel {
        let of_channel = format!("{of_topic}&channel={}", escape(channel));
        work.step(cluster, Service::Nsqlookupd, lookupds, "/channel/create", &of_channel).await;
        if !cluster.is_direct() {
            let found = cluster.whereabouts(topic, &mut work.failures).await?.unwrap_or_default();
            let having = addresses(found).into_iter().filter(|address| !nodes.contains(address));
            nodes = having.chain(nodes.clone()).collect();
        }
        work.step(cluster, Service::Nsqd, nodes, "/channel/create", &of_channel).await;
    }
    Ok(work)
}

/// Deletes a topic, at the nsqlookupds and on each node that has it.
///
/// # Errors
/// Nobody knows it.
pub async fn delete_topic(cluster: &Cluster, topic: &str) -> Result<Work, Refused> {
    let mut work = Work::default();
    let found = work.find(cluster, topic).await?;
    let of_topic = format!("topic={}", escape(topic));
    work.step(cluster, Service::Nsqlookupd, cluster.lookupd_addresses(), "/topic/delete", &of_topic).await;
    work.step(cluster, Service::Nsqd, addresses(found), "/topic/delete", &of_topic).await;
    work.settle(Refused::TopicNotFound)
}

/// Deletes a channel, at the nsqlookupds and on each node that has its topic.
///
/// # Errors
/// Nobody knows it.
pub async fn delete_channel(cluster: &Cluster, topic: &str, channel: &str) -> Result<Work, Refused> {
    let mut work = Work::default();
    let found = work.find(cluster, topic).await?;
    let query = format!("topic={}&channel={}", escape(topic), escape(channel));
    work.step(cluster, Service::Nsqlookupd, cluster.lookupd_addresses(), "/channel/delete", &query).await;
    work.step(cluster, Service::Nsqd, addresses(found), "/channel/delete", &query).await;
    work.settle(Refused::ChannelNotFound)
}

/// Changes a topic, or a channel of it, on each node that has it.
///
/// # Errors
/// Nobody knows it.
pub async fn change(
    cluster: &Cluster,
    change: Change,
    topic: &str,
    channel: Option<&str>,
) -> Result<Work, Refused> {
    let mut work = Work::default();
    let nodes = addresses(work.find(cluster, topic).await?);
    let (kind, query, missing) = match channel {
        None => ("topic", format!("topic={}", escape(topic)), Refused::TopicNotFound),
        Some(channel) => (
            "channel",
            format!("topic={}&channel={}", escape(topic), escape(channel)),
            Refused::ChannelNotFound,
        ),
    };
    work.step(cluster, Service::Nsqd, nodes, &format!("/{kind}/{}", change.word()), &query).await;
    work.settle(missing)
}

/// Tells consumers to pass a node over for a topic, and deletes the topic there with all its messages.
///
/// # Errors
/// The node is not known.
pub async fn tombstone(cluster: &Cluster, topic: &str, node: &str) -> Result<Work, Refused> {
    let mut work = Work::default();
    // Nobody can be made to ask a host that is none of the cluster's.
    let producers = cluster.producers(Asking::ForAViewer, &mut work.failures).await?;
    if !producers.iter().any(|producer| producer.address == node) {
        return Err(Refused::NodeNotFound);
    }
    let of_topic = format!("topic={}", escape(topic));
    let query = format!("{of_topic}&node={}", escape(node));
    work.step(cluster, Service::Nsqlookupd, cluster.lookupd_addresses(), "/topic/tombstone", &query).await;
    work.step(cluster, Service::Nsqd, vec![node.to_owned()], "/topic/delete", &of_topic).await;
    work.settle(Refused::TopicNotFound)
}

/// Publishes test messages to one node.
///
/// # Errors
/// Nobody knows the topic, or the node.
pub async fn publish(cluster: &Cluster, topic: &str, messages: Messages) -> Result<Work, Refused> {
    let mut work = Work::default();
    let node = match messages.node {
        // A topic is made by its first message: any node will do.
        Some(node) => {
            let producers = cluster.producers(Asking::ForAViewer, &mut work.failures).await?;
            let known = producers.into_iter().find(|producer| producer.address == node);
            known.ok_or(Refused::NodeNotFound)?.address
        }
        None => {
            let found = addresses(work.find(cluster, topic).await?);
            found.into_iter().next().ok_or(Refused::TopicNotFound)?
        }
    };
    let topic = format!("topic={}", escape(topic));
    if messages.count == 1 || messages.defer_ms > 0 {
        let query = format!("{topic}&defer={}", messages.defer_ms);
        for _ in 0..messages.count {
            work.ask(cluster, Service::Nsqd, vec![node.clone()], "/pub", &query, &messages.body).await;
            // What one is refused for, or waits for in vain, the next one would be.
            if work.outcomes.last().is_some_and(|outcome| !outcome.ok) {
                break;
            }
        }
        // One line says enough, of as many as there were.
        let published = work.outcomes.iter().filter(|outcome| outcome.ok).count();
        work.outcomes.dedup_by(|a, b| a == b);
        for outcome in work.outcomes.iter_mut().filter(|outcome| outcome.ok && published > 1) {
            outcome.request = format!("/pub, {published} times");
        }
        return Ok(work);
    }
    let bodies = vec![messages.body; messages.count];
    let mut batch = Vec::new();
    nsq::wire::encode::batch(&mut batch, &bodies);
    let query = format!("{topic}&binary=true");
    work.ask(cluster, Service::Nsqd, vec![node], "/mpub", &query, &Bytes::from(batch)).await;
    Ok(work)
}

impl Work {
    async fn find(&mut self, cluster: &Cluster, topic: &str) -> Result<Whereabouts, Refused> {
        cluster.whereabouts(topic, &mut self.failures).await?.ok_or(Refused::TopicNotFound)
    }

    async fn step(
        &mut self,
        cluster: &Cluster,
        service: Service,
        hosts: Vec<String>,
        path: &str,
        query: &str,
    ) {
        self.ask(cluster, service, hosts, path, query, &Bytes::new()).await;
    }

    async fn ask(
        &mut self,
        cluster: &Cluster,
        service: Service,
        hosts: Vec<String>,
        path: &str,
        query: &str,
        body: &Bytes,
    ) {
        let target = format!("{path}?{query}");
        let asked = ask_all(service, hosts, |host: &String| {
            let (upstream, host) = (Arc::clone(&cluster.upstream), host.clone());
            let (target, body) = (target.clone(), body.clone());
            async move { upstream.post(service, &host, &target, body).await }
        });
        let mut failed = Vec::new();
        for (host, answer) in asked.await.into_inner() {
            let reason = answer.as_ref().err().map(AskError::to_string).unwrap_or_default();
            if let Err(error) = &answer {
                // That there is nothing to do it to is for `settle` to judge.
                if !error.is_not_found() {
                    failed.push(Failure::new(service, &host, error));
                }
            }
            let was_missing = answer.as_ref().is_err_and(AskError::is_not_found);
            self.outcomes.push(Outcome {
                node: host,
                service: service.to_string(),
                request: path.to_owned(),
                ok: answer.is_ok(),
                reason: if was_missing { MISSING.to_owned() } else { reason },
            });
        }
        self.failures.add(failed);
    }

    /// Where some had nothing to do it to, those are no failures, as long as anybody had.
    fn settle(self, missing: Refused) -> Result<Self, Refused> {
        let is_missing = |outcome: &Outcome| !outcome.ok && outcome.reason == MISSING;
        let nobody_had_it = !self.outcomes.is_empty() && self.outcomes.iter().all(is_missing);
        if nobody_had_it { Err(missing) } else { Ok(self) }
    }
}

fn addresses(whereabouts: Whereabouts) -> Vec<String> {
    each_once(whereabouts.producers).into_iter().map(|producer| producer.address).collect()
}

/// What a node is said to have answered that had nothing to do it to.
const MISSING: &str = "it had none";
