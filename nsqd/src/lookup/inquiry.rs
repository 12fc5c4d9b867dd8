//! What the lookup services are asked over HTTP, all of them at the same time.
//!
//! One that does not answer costs its time-out and a line in the log, and is not asked again for a while; what the others
//! say counts.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nsq::client::{HttpError, LookupClient, Node};
use nsq::wire::name::{ChannelName, TopicName};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::peer::Reach;

/// How many channels of one topic are taken from the services.
const CHANNELS_MAX: usize = 1_000;

/// How long a service that took too long is not asked.
const SILENT_FOR: Duration = Duration::from_secs(10);

/// How long a service may take, and how much it may say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For connecting.
    pub(super) connect: Duration,
    /// For the answer.
    pub(super) request: Duration,
    /// The longest answer that is read, in bytes.
    pub(super) answer_bytes_max: usize,
}

/// The services that can be asked.
#[derive(Debug, Clone)]
pub(super) struct Inquiry {
    /// Where each is.
    pub(super) services: Vec<watch::Receiver<Reach>>,
    patience: Patience,
    /// Where this daemon takes clients, as it says.
    ourselves: Option<String>,
    /// Until when services that took too long are not asked, by address. Locked for a look or an insertion.
    silent: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Inquiry {
    /// No services yet.
    pub(super) fn new(patience: Patience, ourselves: Option<String>) -> Self {
        Self { services: Vec::new(), patience, ourselves, silent: Arc::default() }
    }

    /// The channels that the services know of a topic, ephemeral ones aside: those live and die with their consumers.
    pub(super) async fn channels(&self, topic: &TopicName) -> BTreeSet<ChannelName> {
        let clients = self.clients().await;
        if clients.is_empty() && !self.services.is_empty() {
            tracing::error!(
                topic = %topic,
                "no available nsqlookupd to query for channels to pre-create for topic {topic}"
            );
        }
        let topic = *topic;
        let ask = move |client: LookupClient| async move { client.channels(&topic).await };
        let answers = self.all(clients, ask).await;
        lasting_channels(answers.into_iter().flatten())
    }

    /// The topics that the services know, ephemeral ones aside.
    pub(super) async fn topics(&self) -> BTreeSet<TopicName> {
        let ask = |client: LookupClient| async move { client.topics().await };
        let names = self.all(self.clients().await, ask).await.into_iter().flatten();
        names.filter_map(|name| TopicName::parse(&name)).filter(|topic| !topic.is_ephemeral()).collect()
    }

    /// The channels of a topic as in [`channels`](Self::channels), if the services know somebody else alive who has it.
    pub(super) async fn channels_if_alive(&self, topic: &TopicName) -> Option<BTreeSet<ChannelName>> {
        let topic = *topic;
        let ask = move |client: LookupClient| async move {
            match client.lookup(&topic).await {
                Err(error) if error.is_not_found() => Ok(Default::default()),
                answer => answer,
            }
        };
        let answers = self.all(self.clients().await, ask).await;
        let is_other = |node: &Node| node.tcp_address() != self.ourselves;
        let is_alive = answers.iter().any(|answer| answer.producers.iter().any(is_other));
        is_alive.then(|| lasting_channels(answers.into_iter().flat_map(|answer| answer.channels)))
    }

    /// A client of each service that is there. One that has not been tried yet is waited for.
    async fn clients(&self) -> Vec<LookupClient> {
        let Patience { connect, request, answer_bytes_max } = self.patience;
        let mut clients = Vec::new();
        // One after the other, but they all connect at the same time: the second has had the first's time too.
        for service in &self.services {
            let mut service = service.clone();
            let tried = timeout(connect, service.wait_for(|reach| *reach != Reach::Untried)).await;
            if let Ok(Ok(reach)) = tried
                && let Reach::At(address) = &*reach
                && !self.is_silent(address)
            {
                let client = LookupClient::new(address.clone()).with_timeouts(connect, request);
                clients.push(client.with_answer_max(answer_bytes_max));
            }
        }
        clients
    }

    /// Asks all at the same time; those who do not answer are logged and left out.
    async fn all<T, F>(&self, clients: Vec<LookupClient>, ask: impl Fn(LookupClient) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, HttpError>> + Send + 'static,
    {
        let mut asked: JoinSet<_> = clients.into_iter().map(ask).collect();
        let mut answers = Vec::new();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(answer)) => answers.push(answer),
                Ok(Err(error)) => {
                    tracing::warn!("LOOKUP: {error}");
                    if let HttpError::Timeout { address, .. } | HttpError::ConnectTimeout { address, .. } =
                        error
                    {
                        self.lock_silent().insert(address, Instant::now() + SILENT_FOR);
                    }
                }
                // It panicked, and has said so.
                Err(_) => {}
            }
        }
        answers
    }

    fn is_silent(&self, address: &str) -> bool {
        let mut silent = self.lock_silent();
        silent.retain(|_, until| *until > Instant::now());
        silent.contains_key(address)
    }

    fn lock_silent(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lasting_channels(names: impl Iterator<Item = String>) -> BTreeSet<ChannelName> {
    let names = names.filter_map(|name| ChannelName::parse(&name)).filter(|channel| !channel.is_ephemeral());
    names.take(CHANNELS_MAX).collect()
}
