//! The nodes of a cluster: who they are, and what they say, all asked at the same time.

mod failures;
pub mod merge;
mod named;
mod producer;
pub mod query;
mod upstream;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nsq::api::info::Info;
use nsq::api::lookup;
use nsq::api::stats::Stats;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::watch;

pub use self::failures::{Failure, Failures, NobodyAnswered};
use self::producer::http_address;
pub use self::producer::{Producer, each_once, merged};
use self::query::ask_all;
pub use self::upstream::{AskError, Asking, Service, Upstream};
pub use self::version::Version;

/// How the nodes of a cluster are found, and asked.
#[derive(Debug)]
pub struct Cluster {
    /// How each is asked.
    pub upstream: Arc<Upstream>,
    /// Where the nsqlookupds are; `None` once a `null` was put.
    pub lookupds: watch::Sender<Option<Vec<String>>>,
    /// Where the nsqds are, where there is no nsqlookupd.
    nsqds: Vec<String>,
}

/// What of an nsqd's statistics is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Only this topic.
    pub topic: Option<&'a str>,
    /// Only this channel of it.
    pub channel: Option<&'a str>,
    /// Consumers too.
    pub with_clients: bool,
}

/// Who has a topic.
#[derive(Debug, Default)]
pub struct Whereabouts {
    /// The nsqds that have it.
    pub producers: Vec<Producer>,
    /// The channels that the nsqlookupds know of it.
    pub channels: BTreeSet<String>,
}

/// What an nsqlookupd is asked: which channels a topic has.
struct ChannelsOf {
    topic: String,
    lookupd: String,
}

impl AsRef<str> for ChannelsOf {
    /// Who is asked.
    fn as_ref(&self) -> &str {
        &self.lookupd
    }
}

impl Cluster {
    /// The cluster that these know, or that is these.
    #[must_use]
    pub fn new(upstream: Upstream, lookupds: Vec<String>, nsqds: Vec<String>) -> Self {
        Self { upstream: Arc::new(upstream), lookupds: watch::channel(Some(lookupds)).0, nsqds }
    }

    /// Whether nsqds are asked directly.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        !self.nsqds.is_empty()
    }

    /// The nsqlookupds.
    #[must_use]
    pub fn lookupd_addresses(&self) -> Vec<String> {
        self.lookupds.borrow().clone().unwrap_or_default()
    }

    /// The names of all topics.
    ///
    /// # Errors
    /// Nobody answered.
    pub async fn topics(&self, failures: &mut Failures) -> Result<Vec<String>, NobodyAnswered> {
        let mut names = BTreeSet::new();
        if self.is_direct() {
            let wanted = Wanted { topic: None, channel: None, with_clients: false };
            let target = stats_target(wanted);
            let answers = self.ask_nsqds(&target).await.answers(failures)?;
            names.extend(answers.into_iter().flat_map(|(_, stats)| topic_names(stats)));
        } else {
            let answers = self.ask_lookupds::<lookup::Topics>("/topics").await.answers(failures)?;
            names.extend(named::topics(answers.into_iter().flat_map(|(_, answer)| answer.topics)));
        }
        Ok(names.into_iter().collect())
    }

    /// The topics that nobody has, and the channels they are to have.
    ///
    /// # Errors
    /// Nobody answered.
    pub async fn inactive_topics(
        &self,
        failures: &mut Failures,
    ) -> Result<BTreeMap<String, Vec<String>>, NobodyAnswered> {
        if self.is_direct() {
            return Ok(BTreeMap::new());
        }
        let known = self.topics(failures).await?;
        let mut active = BTreeSet::new();
        for producer in self.producers(Asking::ForAViewer, failures).await? {
            let topics = producer.topics.into_iter().filter(|(_, is_tombstoned)| !is_tombstoned);
            active.extend(topics.map(|(topic, _)| topic));
        }
        let mut inactive: BTreeMap<String, BTreeSet<String>> = known
            .into_iter()
            .filter(|topic| !active.contains(topic))
            .map(|topic| (topic, BTreeSet::new()))
            .collect();
        if inactive.is_empty() {
            return Ok(BTreeMap::new());
        }
        let lookupds = self.lookupd_addresses();
        let ask_each = |topic: &String| {
            let topic = topic.clone();
            lookupds.iter().map(move |lookupd| ChannelsOf { topic: topic.clone(), lookupd: lookupd.clone() })
        };
        let questions: Vec<ChannelsOf> = inactive.keys().flat_map(ask_each).collect();
        let asked = ask_all(Service::Nsqlookupd, questions, |ChannelsOf { topic, lookupd }| {
            let target = format!("/channels?topic={}", escape(topic));
            let (upstream, lookupd) = (Arc::clone(&self.upstream), lookupd.clone());
            async move { upstream.get(Service::Nsqlookupd, &lookupd, &target, Asking::ForAViewer).await }
        });
        let answers: Vec<(ChannelsOf, lookup::Channels)> = asked.await.answers(failures)?;
        for (ChannelsOf { topic, .. }, answer) in answers {
            inactive.entry(topic).or_default().extend(named::channels(answer.channels));
        }
        Ok(inactive.into_iter().map(|(topic, channels)| (topic, channels.into_iter().collect())).collect())
    }

    /// All nsqds.
    ///
    /// # Errors
    /// Nobody answered.
    pub async fn producers(
        &self,
        asking: Asking,
        failures: &mut Failures,
    ) -> Result<Vec<Producer>, NobodyAnswered> {
        if self.is_direct() {
            let wanted = Wanted { topic: None, channel: None, with_clients: false };
            return self.described(wanted, asking, failures).await.map(of_descriptions);
        }
        let upstream = &self.upstream;
        let answers = ask_all(Service::Nsqlookupd, self.lookupd_addresses(), |host| {
            let (upstream, host) = (Arc::clone(upstream), host.clone());
            async move { upstream.get::<lookup::Nodes>(Service::Nsqlookupd, &host, "/nodes", asking).await }
        });
        let answers = answers.await.answers(failures)?;
        Ok(merged(answers.into_iter().flat_map(|(lookupd, answer)| {
            answer.producers.into_iter().map(move |node| Producer::of_node(&lookupd, node))
        })))
    }

    /// Who has a topic; `None` if nobody knows it.
    ///
    /// # Errors
    /// Nobody answered.
    pub async fn whereabouts(
        &self,
        topic: &str,
        failures: &mut Failures,
    ) -> Result<Option<Whereabouts>, NobodyAnswered> {
        if self.is_direct() {
            let wanted = Wanted { topic: Some(topic), channel: None, with_clients: false };
            let described = self.described(wanted, Asking::ForAViewer, failures).await?;
            let has = |topics: &[String]| topics.iter().any(|name| name == topic);
            let having = described.into_iter().filter(|(_, (_, topics))| has(topics));
            let producers = of_descriptions(having.collect());
            let whereabouts = Whereabouts { producers, channels: BTreeSet::new() };
            return Ok((!whereabouts.producers.is_empty()).then_some(whereabouts));
        }
        let target = format!("/lookup?topic={}", escape(topic));
        let answers = self.ask_lookupds::<lookup::Lookup>(&target).await;
        let Some(answers) = answers.found(failures)? else { return Ok(None) };
        let (mut producers, mut channels) = (Vec::new(), BTreeSet::new());
        for (lookupd, answer) in answers {
            let described = answer.producers.into_iter();
            producers.extend(described.map(|producer| Producer::of_lookup(&lookupd, producer)));
            channels.extend(named::channels(answer.channels));
        }
        Ok(Some(Whereabouts { producers: merged(producers), channels }))
    }

    /// The statistics of these nsqds.
    ///
    /// # Errors
    /// Nobody answered, also where there is nobody to ask.
    pub async fn stats(
        &self,
        producers: Vec<Producer>,
        wanted: Wanted<'_>,
        failures: &mut Failures,
    ) -> Result<Vec<(Producer, Stats)>, NobodyAnswered> {
        let target = stats_target(wanted);
        let upstream = &self.upstream;
        let asked = ask_all(Service::Nsqd, each_once(producers), |producer: &Producer| {
            let (upstream, host, target) = (Arc::clone(upstream), producer.address.clone(), target.clone());
            async move { upstream.stats(&host, &target, Asking::ForAViewer).await }
        });
        asked.await.answers(failures)
    }

    /// Each nsqd's description of itself, where nsqds are asked directly: the address asked, and the names of its topics.
    async fn described(
        &self,
        wanted: Wanted<'_>,
        asking: Asking,
        failures: &mut Failures,
    ) -> Result<Vec<(String, (Info, Vec<String>))>, NobodyAnswered> {
        let target = stats_target(wanted);
        let upstream = &self.upstream;
        let asked = ask_all(Service::Nsqd, self.nsqds.clone(), |host: &String| {
            let (upstream, host, target) = (Arc::clone(upstream), host.clone(), target.clone());
            async move {
                let info = upstream.get::<Info>(Service::Nsqd, &host, "/info", asking);
                let stats = upstream.stats(&host, &target, asking);
                let (info, stats) = tokio::try_join!(info, stats)?;
                Ok((info, topic_names(stats)))
            }
        });
        let described = asked.await.answers(failures)?;
        let broadcast = |info: &Info| http_address(&info.broadcast_address, info.http_port.into());
        self.upstream.note_broadcast(
            // What another was given by is never taken for its own.
            described
                .iter()
                .map(|(given, (info, _))| (given.clone(), broadcast(info)))
                .filter(|(given, broadcast)| given == broadcast || !self.nsqds.contains(broadcast)),
        );
        Ok(described)
    }

    async fn ask_nsqds(&self, target: &str) -> query::Asked<String, Stats> {
        let upstream = &self.upstream;
        ask_all(Service::Nsqd, self.nsqds.clone(), |host: &String| {
            let (upstream, host, target) = (Arc::clone(upstream), host.clone(), target.to_owned());
            async move { upstream.stats(&host, &target, Asking::ForAViewer).await }
        })
        .await
    }

    async fn ask_lookupds<T>(&self, target: &str) -> query::Asked<String, T>
    where
        T: serde::de::DeserializeOwned + Send + 'static,
    {
        let upstream = &self.upstream;
        ask_all(Service::Nsqlookupd, self.lookupd_addresses(), |host: &String| {
            let (upstream, host, target) = (Arc::clone(upstream), host.clone(), target.to_owned());
            async move { upstream.get(Service::Nsqlookupd, &host, &target, Asking::ForAViewer).await }
        })
        .await
    }
}

/// The path and query for these statistics. The memory figures, for which v1.3.0 stops its world, are never wanted.
#[must_use]
pub fn stats_target(wanted: Wanted<'_>) -> String {
    let mut target = String::from("/stats?format=json&include_mem=false");
    if let Some(topic) = wanted.topic {
        target.push_str(&format!("&topic={}", escape(topic)));
    }
    if let Some(channel) = wanted.channel {
        target.push_str(&format!("&channel={}", escape(channel)));
    }
    if !wanted.with_clients {
        target.push_str("&include_clients=false");
    }
    target
}

fn topic_names(stats: Stats) -> Vec<String> {
    stats.topics.unwrap_or_default().into_iter().map(|topic| topic.topic_name).collect()
}

fn of_descriptions(described: Vec<(String, (Info, Vec<String>))>) -> Vec<Producer> {
    described.into_iter().map(|(host, (info, topics))| Producer::of_info(host, info, topics)).collect()
}

/// A value as it stands in a query.
#[must_use]
pub fn escape(value: &str) -> String {
    utf8_percent_encode(value, VALUE_ESCAPED).to_string()
}

/// Letters, digits and these stand for themselves.
const VALUE_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
