//! Whom to ask what is counted, and asking them: all at once, each for itself.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::{Duration, Instant};

use nsq::api::stats::Stats;
use nsq::client::{HttpClient, HttpError, LookupClient, Node};
use nsq::daemon::os_error::os_error_text;
use nsq::wire::name::TopicName;
use tokio::task::JoinSet;

use crate::failure::{causes, printable};

/// Who knows.
#[derive(Debug)]
pub(super) enum Source {
    /// These nsqd.
    Nsqd(Vec<String>),
    /// All nsqd that these nsqlookupd name.
    Lookupd(Vec<String>),
    /// Whoever is on this machine: nsqlookupd, or else nsqd.
    Local,
}

const LOCAL_LOOKUPD: &str = "127.0.0.1:4161";
const LOCAL_NSQD: &str = "127.0.0.1:4151";

/// No more nsqd are asked, whatever nsqlookupd says.
const NODES_MAX: usize = 1000;

/// How many are asked at a time.
const ASKED_MAX: usize = 32;

/// What was learnt in one round.
#[derive(Debug, Default)]
pub(super) struct Poll {
    /// Who was asked, in words: `nsqlookupd 127.0.0.1:4161`.
    pub(super) asked: String,
    /// Those that answered, by address.
    pub(super) samples: Vec<Sample>,
    /// What did not answer, and why: `nsqd b:4151: connection refused`.
    pub(super) silent: BTreeSet<String>,
}

/// The answer of an nsqd.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) address: String,
    pub(super) at: Instant,
    pub(super) stats: Stats,
}

impl Poll {
    /// Whether nobody that was asked answered.
    pub(super) fn is_failure(&self) -> bool {
        self.samples.is_empty() && !self.silent.is_empty()
    }
}

impl Source {
    /// Asks once; of one topic alone, if there is one.
    pub(super) async fn poll(&self, topic: Option<&TopicName>, timeout: Duration) -> Poll {
        let mut poll = Poll::default();
        match self {
            Self::Nsqd(addresses) => {
                poll.asked = format!("nsqd {}", printable(&addresses.join(", ")));
                poll.ask_nsqd(addresses.iter().cloned().collect(), topic, timeout).await;
            }
            Self::Lookupd(addresses) => {
                poll.asked = format!("nsqlookupd {}", printable(&addresses.join(", ")));
                let nodes = poll.ask_lookupd(addresses, timeout).await;
                poll.ask_nsqd(nodes, topic, timeout).await;
            }
            Self::Local => poll.ask_local(topic, timeout).await,
        }
        poll
    }
}

impl Poll {
    async fn ask_local(&mut self, topic: Option<&TopicName>, timeout: Duration) {
        let nodes = self.ask_lookupd(&[LOCAL_LOOKUPD.to_owned()], timeout).await;
        if !nodes.is_empty() {
            self.asked = format!("nsqlookupd {LOCAL_LOOKUPD}");
            return self.ask_nsqd(nodes, topic, timeout).await;
        }
        let knows_nobody = self.silent.is_empty();
        self.ask_nsqd(BTreeSet::from([LOCAL_NSQD.to_owned()]), topic, timeout).await;
        if !self.samples.is_empty() {
            // That nsqlookupd is not there, or does not know this one, is what was to be found out.
            self.silent.clear();
            self.asked = format!("nsqd {LOCAL_NSQD}");
        } else if knows_nobody {
            self.silent.clear();
            self.asked = format!("nsqlookupd {LOCAL_LOOKUPD}");
        } else {
            self.asked = format!("nsqlookupd {LOCAL_LOOKUPD} and nsqd {LOCAL_NSQD}");
        }
    }

    /// The HTTP addresses of all nsqd that these name.
    async fn ask_lookupd(&mut self, addresses: &[String], timeout: Duration) -> BTreeSet<String> {
        let clients = addresses.iter().map(|address| LookupClient::new(address).with_timeout(timeout));
        let ask = |client: LookupClient| async move {
            let nodes = client.nodes().await.map_err(|error| why(&error));
            (client.address().to_owned(), nodes)
        };
        let mut found = BTreeSet::new();
        for (address, nodes) in ask_all(clients, ask).await {
            match nodes {
                Ok(nodes) => found.extend(nodes.iter().filter_map(Node::http_address)),
                Err(why) => self.note("nsqlookupd", &address, &why),
            }
        }
        if found.len() > NODES_MAX {
            let more = found.len() - NODES_MAX;
            self.silent.insert(format!("{more} more nsqd are not asked: {NODES_MAX} at most"));
            found = found.into_iter().take(NODES_MAX).collect();
        }
        found
    }

    async fn ask_nsqd(&mut self, addresses: BTreeSet<String>, topic: Option<&TopicName>, timeout: Duration) {
        let topic = topic.copied();
        let clients =
            addresses.into_iter().map(|address| HttpClient::new(address).with_timeout(timeout).watching());
        let ask = |client: HttpClient| async move {
            let stats = match &topic {
                Some(topic) => client.topic_stats(topic, false).await,
                None => client.counts().await,
            };
            (
                client.address().to_owned(),
                stats.map(|stats| (Instant::now(), stats)).map_err(|error| why(&error)),
            )
        };
        for (address, answer) in ask_all(clients, ask).await {
            match answer {
                Ok((at, stats)) => self.samples.push(Sample { address, at, stats }),
                Err(why) => self.note("nsqd", &address, &why),
            }
        }
        self.samples.sort_by(|a, b| a.address.cmp(&b.address));
    }

    fn note(&mut self, who: &str, address: &str, why: &str) {
        self.silent.insert(format!("{who} {}: {why}", printable(address)));
    }
}

/// What went wrong, without the address that stands before it anyway.
fn why(error: &HttpError) -> String {
    match error {
        HttpError::Connect { source, .. } => os_error_text(source),
        HttpError::Timeout { timeout, .. } => format!("no answer within {timeout:?}"),
        other => causes(other),
    }
}

/// Asks all, a bounded number at a time.
async fn ask_all<C, F, T>(clients: impl IntoIterator<Item = C>, ask: impl Fn(C) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut clients = clients.into_iter();
    let mut asked = JoinSet::new();
    for client in clients.by_ref().take(ASKED_MAX) {
        asked.spawn(ask(client));
    }
    let mut answers = Vec::new();
    while let Some(answer) = asked.join_next().await {
        // A question that panicked has said so, and has no answer.
        answers.extend(answer);
        if let Some(client) = clients.next() {
            asked.spawn(ask(client));
        }
    }
    answers
}
