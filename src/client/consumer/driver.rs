//! The task of a consumer: one loop that asks nsqlookupd, starts a link to each nsqd, and keeps the flow's time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::link::{self, Ended, is_closing};
use super::polls::Polls;
use super::roster::Roster;
use super::shared::Shared;
use crate::client::error::Causes;
use crate::client::lookup::LookupClient;
use crate::wire::name::TopicName;

/// What a task of the driver's ends with.
enum Done {
    /// A link.
    Ended(Ended),
    /// A round of questions to nsqlookupd.
    Answered(Answers),
}

/// What all nsqlookupd together said.
struct Answers {
    /// The addresses of nsqd.
    nsqd: BTreeSet<String>,
    /// Whether all of them answered.
    is_complete: bool,
}

/// What a task is about, so that one that panicked can be told from the others.
enum Job {
    Link(String),
    Poll,
}

pub(super) struct Driver {
    shared: Arc<Shared>,
    roster: Roster,
    /// `None` without an nsqlookupd.
    polls: Option<Polls>,
    lookupd: Vec<LookupClient>,
    tasks: JoinSet<Done>,
    jobs: HashMap<Id, Job>,
    is_closing: bool,
    /// How many messages of links that ended while closing were not settled.
    unsettled: usize,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let options = &shared.options;
        let client = |address: &String| LookupClient::new(address).with_timeout(options.lookup_timeout);
        let lookupd: Vec<_> = options.lookupd.iter().map(client).collect();
        let polls = (!lookupd.is_empty()).then(|| Polls::new(options.lookup_interval, Instant::now()));
        let roster = Roster::new(options.nsqd.iter().cloned(), options.reconnect);
        let (tasks, jobs) = (JoinSet::new(), HashMap::new());
        Self { shared, roster, polls, lookupd, tasks, jobs, is_closing: false, unsettled: 0 }
    }

    /// Runs until the consumer is closed and all links have ended; then says how many messages were not settled.
    pub(super) async fn run(mut self, unsettled: watch::Sender<usize>) {
        while !self.is_closing || self.has_links() {
            self.start_tasks();
            let shared = Arc::clone(&self.shared);
            let wake = self.next_time();
            tokio::select! {
                Some(done) = self.tasks.join_next_with_id() => self.handle_done(done),
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now).into()), if wake.is_some() => {
                    shared.tell(|flow| flow.handle_timeout(Instant::now()));
                }
                () = shared.is_sooner() => {}
                () = is_closing(shared.closing.clone()), if !self.is_closing => self.is_closing = true,
            }
        }
        unsettled.send_replace(self.unsettled);
    }

    /// Starts what is due.
    fn start_tasks(&mut self) {
        if self.is_closing {
            return;
        }
        let now = Instant::now();
        if self.polls.as_ref().is_some_and(|polls| polls.poll_timeout() <= now) && !self.is_polling() {
            let (lookupd, topic) = (self.lookupd.clone(), self.shared.topic);
            let task = self.tasks.spawn(async move { Done::Answered(ask(lookupd, topic).await) });
            self.jobs.insert(task.id(), Job::Poll);
        }
        while let Some(address) = self.roster.poll_dial(now) {
            let (shared, nsqd) = (Arc::clone(&self.shared), address.clone());
            let task = self.tasks.spawn(async move { Done::Ended(link::run(shared, nsqd).await) });
            self.jobs.insert(task.id(), Job::Link(address));
        }
    }

    /// When there is something to do next, if nothing happens before.
    fn next_time(&self) -> Option<Instant> {
        let flow = self.shared.schedule();
        if self.is_closing {
            return flow;
        }
        let poll = self.polls.as_ref().filter(|_| !self.is_polling()).map(Polls::poll_timeout);
        [flow, self.roster.poll_timeout(), poll].into_iter().flatten().min()
    }

    fn handle_done(&mut self, done: Result<(Id, Done), JoinError>) {
        let (id, done) = match done {
            Ok((id, done)) => (id, Some(done)),
            Err(error) => (error.id(), None),
        };
        let now = Instant::now();
        match (self.jobs.remove(&id), done) {
            (Some(Job::Link(address)), Some(Done::Ended(ended))) => self.handle_ended(&address, &ended, now),
            (Some(Job::Link(address)), _) => {
                tracing::error!(nsqd = address, "the connection's task failed");
                self.roster.handle_ended(&address, false, now, fastrand::f64());
            }
            (Some(Job::Poll), done) => {
                if let Some(Done::Answered(answers)) = done {
                    self.roster.handle_named(answers.nsqd, answers.is_complete);
                }
                let knows_nsqd = !self.roster.is_empty();
                if let Some(polls) = &mut self.polls {
                    polls.handle_answered(knows_nsqd, now, fastrand::f64());
                }
            }
            (None, _) => {}
        }
    }

    fn handle_ended(&mut self, address: &str, ended: &Ended, now: Instant) {
        if let Err(error) = &ended.result {
            tracing::warn!(nsqd = address, "the connection ended: {}", Causes(error));
        }
        if self.is_closing || ended.result.is_ok() {
            self.unsettled += ended.unsettled;
        }
        self.roster.handle_ended(address, ended.was_useful, now, fastrand::f64());
    }

    fn has_links(&self) -> bool {
        self.jobs.values().any(|job| matches!(job, Job::Link(_)))
    }

    fn is_polling(&self) -> bool {
        self.jobs.values().any(|job| matches!(job, Job::Poll))
    }
}

/// Asks all nsqlookupd at the same time.
async fn ask(lookupd: Vec<LookupClient>, topic: TopicName) -> Answers {
    let mut questions = JoinSet::new();
    for client in lookupd {
        questions.spawn(async move { (client.lookup(&topic).await, client) });
    }
    let mut answers = Answers { nsqd: BTreeSet::new(), is_complete: true };
    while let Some(answer) = questions.join_next().await {
        match answer {
            Ok((Ok(found), _)) => {
                answers.nsqd.extend(found.producers.iter().filter_map(|node| node.tcp_address()));
            }
            // It knows nothing of the topic, which is an answer.
            Ok((Err(error), _)) if error.is_not_found() => {}
            Ok((Err(error), client)) => {
                tracing::warn!(lookupd = client.address(), "cannot look up {topic}: {}", Causes(&error));
                answers.is_complete = false;
            }
            Err(_) => answers.is_complete = false,
        }
    }
    answers
}
