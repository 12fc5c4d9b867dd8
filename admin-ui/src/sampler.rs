//! The one task that asks every node for its numbers: once an interval, however many look at them.
//!
//! Each node is asked on its own: one that hangs holds up neither the others nor the clock. One that takes long is asked less
//! often, so that asking takes at most a fifth of its time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nsq::api::admin::{Overview, Told};
use nsq::api::json::to_go_json;
use nsq::api::stats::Stats;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};
use tracing::{error, info, warn};

use crate::cluster::{
    AskError, Asking, Cluster, Failures, NobodyAnswered, Producer, Wanted, each_once, stats_target,
};
use crate::history::{History, file};
use crate::overview::{self, Recorder};

/// How often it is asked who the nodes are.
const PRODUCERS_EVERY: Duration = Duration::from_secs(5);

/// How often the history is saved.
const SAVE_EVERY: Duration = Duration::from_secs(300);

/// How many answers may wait to be looked at.
const ANSWERS_MAX: usize = 64;

/// How many updates a viewer may be behind before he is given everything anew.
const UPDATES_MAX: usize = 16;

/// How many times as long as an answer took a node is left alone.
const REST: u32 = 4;

/// How long somebody who comes right after the start waits for the first round of answers.
const FIRST_ROUND: Duration = Duration::from_secs(2);

/// Why the lock is never poisoned.
const NO_PANIC: &str = "no code panics while it holds the recorder";

/// What has been heard, for all who look.
#[derive(Debug)]
pub struct Sampled {
    /// Locked to add an answer or to make a picture, never across an await.
    recorder: Mutex<Recorder>,
    /// Who did not say who the nodes are. Locked for a look.
    failures: Mutex<Failures>,
    /// What changed, as JSON; made only while somebody listens.
    updates: broadcast::Sender<Bytes>,
    /// Whether every node has answered or failed once.
    begun: watch::Sender<bool>,
    /// What times are counted from.
    started: Instant,
}

/// How it is sampled.
#[derive(Debug)]
pub struct Sampling {
    /// The nodes.
    pub cluster: Arc<Cluster>,
    /// How often.
    pub interval: Duration,
    /// Where the history is kept, if it is.
    pub file: Option<PathBuf>,
}

impl Sampled {
    /// Nothing yet, but what was saved; from now on the nodes are asked so often.
    #[must_use]
    pub fn new(history: History, interval: Duration) -> Self {
        Self {
            recorder: Mutex::new(Recorder::new(history.sampled_every(interval))),
            failures: Mutex::default(),
            updates: broadcast::channel(UPDATES_MAX).0,
            begun: watch::channel(false).0,
            started: Instant::now(),
        }
    }

    /// Everything that is now; right after the start, as soon as there is something.
    pub async fn overview(&self, spark: usize) -> Told<Overview> {
        let mut begun = self.begun.subscribe();
        // If it takes longer, what there is will do.
        let _ = timeout(FIRST_ROUND, begun.wait_for(|begun| *begun)).await;
        self.overview_now(spark)
    }

    fn overview_now(&self, spark: usize) -> Told<Overview> {
        let failures = self.failures.lock().expect(NO_PANIC).clone();
        let body = self.recorder().overview(self.now_ms(), unix_ms(), spark);
        Told { body, message: failures.message(), warnings: failures.warnings() }
    }

    /// What changes from now on, each an event's JSON.
    pub fn updates(&self) -> broadcast::Receiver<Bytes> {
        self.updates.subscribe()
    }

    /// How many listen.
    #[must_use]
    pub fn viewers(&self) -> usize {
        self.updates.receiver_count()
    }

    /// Looks at the recorder, shortly.
    pub fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().expect(NO_PANIC)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Reads what was saved in that directory. What is damaged is set aside, and history begins anew.
///
/// # Errors
/// The directory cannot be made, or the file not be read.
pub fn load(directory: &Path) -> Result<History, String> {
    let failed = |why: String| format!("failed to use --data-path ({}) - {why}", directory.display());
    std::fs::create_dir_all(directory).map_err(|error| failed(error.to_string()))?;
    let path = file::path_in(directory);
    match file::load(&path) {
        Ok(history) => Ok(history.unwrap_or_default()),
        Err(file::FileError::Damaged) => {
            let aside = path.with_extension("history.bad");
            error!("HISTORY: {} is damaged; it is set aside as {}", path.display(), aside.display());
            std::fs::rename(&path, aside).map_err(|error| failed(error.to_string()))?;
            Ok(History::default())
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Samples until `stop` is ready, and saves the history then.
pub async fn run(sampled: Arc<Sampled>, sampling: Sampling, stop: impl Future<Output = ()>) {
    let (say, mut said) = mpsc::channel(ANSWERS_MAX);
    // In the middle of a second, so that a tick that is a little late still is of its own second.
    let until_middle = Duration::from_millis(1500 - u64::try_from(unix_ms().rem_euclid(1000)).unwrap_or(0));
    let mut ticks = interval_at(Instant::now() + until_middle, sampling.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut rounds = interval(PRODUCERS_EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut saves = interval(SAVE_EVERY);
    saves.reset();
    let mut sampler = Sampler {
        sampled,
        sampling,
        say,
        nodes: HashMap::new(),
        asks_who: false,
        knows_who: false,
        last: None,
        saving: None,
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = rounds.tick() => sampler.ask_who(),
            _ = ticks.tick() => sampler.tick(),
            _ = saves.tick() => sampler.save(),
            Some(heard) = said.recv() => sampler.hear(heard),
        }
    }
    // One that is under way is waited for: both write the same file.
    sampler.saved().await;
    sampler.save();
    sampler.saved().await;
}

struct Sampler {
    sampled: Arc<Sampled>,
    sampling: Sampling,
    say: mpsc::Sender<Heard>,
    /// Every node that is to be asked.
    nodes: HashMap<String, Asked>,
    /// Whether somebody has been asked who the nodes are, and has not answered yet.
    asks_who: bool,
    /// Whether it has ever been said who the nodes are.
    knows_who: bool,
    /// What those who listen know.
    last: Option<Overview>,
    /// The history being written.
    saving: Option<JoinHandle<()>>,
}

/// A node that is asked.
#[derive(Debug, Clone, Copy)]
struct Asked {
    turn: Turn,
    /// Since when nobody names it any more.
    gone_since: Option<Instant>,
}

/// When a node is asked next.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// It has not answered yet.
    Asked(Instant),
    /// From then on.
    From(Instant),
}

enum Heard {
    Who(Result<Vec<Producer>, NobodyAnswered>, Failures),
    Node(String, Result<Stats, AskError>),
}

impl Sampler {
    fn ask_who(&mut self) {
        if std::mem::replace(&mut self.asks_who, true) {
            return;
        }
        let (cluster, say) = (Arc::clone(&self.sampling.cluster), self.say.clone());
        tokio::spawn(async move {
            let mut failures = Failures::default();
            let producers = cluster.producers(Asking::ToSample, &mut failures).await;
            // Whoever asked may have stopped.
            let _ = say.send(Heard::Who(producers, failures)).await;
        });
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Who(who, failures) => self.hear_who(who, failures),
            Heard::Node(node, answer) => self.hear_node(&node, answer),
        }
    }

    fn hear_who(&mut self, who: Result<Vec<Producer>, NobodyAnswered>, mut failures: Failures) {
        self.asks_who = false;
        let is_direct = self.sampling.cluster.is_direct();
        let producers = match who {
            Ok(producers) => Some(producers),
            Err(why) => {
                failures.add(why.failures);
                // Asked directly, it is the nodes themselves that said nothing.
                is_direct.then(Vec::new)
            }
        };
        if let Some(producers) = producers {
            // A node that does not answer says no name; it has the one it is asked by, unless it is known from before.
            let failed = if is_direct && !self.knows_who { failures.warnings() } else { Vec::new() };
            let known = each_once(producers).into_iter().map(|one| (one.address, one.hostname, one.version));
            let unnamed = failed.into_iter().map(|one| (one.node, String::new(), String::new()));
            let kept = match is_direct {
                true if failures.is_empty() => Duration::ZERO,
                true => Duration::MAX,
                false => GONE_KEPT,
            };
            self.keep_nodes(known.chain(unnamed).take(NODES_MAX).collect(), kept);
            self.knows_who = true;
        } else {
            // Nobody says who the nodes are: those that are known are asked on.
            self.sampled.begun.send_if_modified(|begun| !std::mem::replace(begun, true));
        }
        *self.sampled.failures.lock().expect(NO_PANIC) = failures;
        self.ask_nodes(Instant::now());
        self.begin();
    }

    /// These are the nodes now. One that is no longer among them is `kept` for a while longer: an nsqd that died is gone from
    /// the nsqlookupds at once, and that is when somebody wants to see it.
    fn keep_nodes(&mut self, mut named: Vec<(String, String, String)>, kept: Duration) {
        let now = Instant::now();
        let mut old = std::mem::take(&mut self.nodes);
        for (address, ..) in &named {
            let turn = old.remove(address).map_or(Turn::From(now), |asked| asked.turn);
            self.nodes.insert(address.clone(), Asked { turn, gone_since: None });
        }
        for (address, asked) in old {
            let gone_since = asked.gone_since.unwrap_or(now);
            if now.saturating_duration_since(gone_since) < kept {
                named.push((address.clone(), String::new(), String::new()));
                self.nodes.insert(address, Asked { gone_since: Some(gone_since), ..asked });
            }
        }
        self.sampled.recorder().keep_nodes(named);
    }

    fn hear_node(&mut self, node: &str, answer: Result<Stats, AskError>) {
        let now_ms = self.sampled.now_ms();
        let Some(Asked { turn, .. }) = self.nodes.get_mut(node) else { return };
        if let Turn::Asked(since) = *turn {
            let rest = since.elapsed().saturating_mul(REST + 1).max(self.sampling.interval);
            *turn = Turn::From(since + rest);
        }
        match answer {
            Ok(stats) => self.sampled.recorder().observe(node, now_ms, stats),
            Err(error) => {
                // A node that goes on failing is asked no less often than the others.
                *turn = Turn::From(Instant::now());
                self.sampled.recorder().failed(node, now_ms, error.to_string());
            }
        }
        self.begin();
    }

    /// Says so once every node has answered or failed.
    fn begin(&self) {
        if self.knows_who && !*self.sampled.begun.borrow() {
            let mut recorder = self.sampled.recorder();
            if recorder.is_complete() {
                recorder.tick(self.sampled.now_ms(), unix_ms() / 1000);
                drop(recorder);
                self.sampled.begun.send_replace(true);
            }
        }
    }

    fn tick(&mut self) {
        // One tick is a little early and another a little late: whose turn comes sooner than half-way to the next is asked now.
        self.ask_nodes(Instant::now() + self.sampling.interval / 2);
        if !*self.sampled.begun.borrow() {
            return;
        }
        self.sampled.recorder().tick(self.sampled.now_ms(), unix_ms() / 1000);
        if self.sampled.viewers() == 0 {
            self.last = None;
            return;
        }
        let Told { body, message, warnings } = self.sampled.overview_now(0);
        let update = overview::update(self.last.as_ref(), &body);
        self.last = Some(body);
        let told = Told { body: update, message, warnings };
        // Whoever listened may be gone by now.
        let _ = self.sampled.updates.send(to_go_json(&told).into());
    }

    /// Asks those whose turn comes `by` then.
    fn ask_nodes(&mut self, by: Instant) {
        let now = Instant::now();
        for (node, Asked { turn, .. }) in &mut self.nodes {
            if matches!(turn, Turn::Asked(_)) || matches!(turn, Turn::From(from) if *from > by) {
                continue;
            }
            *turn = Turn::Asked(now);
            let (upstream, say) = (Arc::clone(&self.sampling.cluster.upstream), self.say.clone());
            let node = node.clone();
            tokio::spawn(async move {
                let wanted = Wanted { topic: None, channel: None, with_clients: true };
                let target = stats_target(wanted);
                let answer = upstream.stats(&node, &target, Asking::ToSample).await;
                let _ = say.send(Heard::Node(node, answer)).await;
            });
        }
    }

    /// Saves the history, beside all else; not while it is being saved.
    fn save(&mut self) {
        let Some(path) = self.sampling.file.clone() else { return };
        if self.saving.as_ref().is_some_and(|saving| !saving.is_finished()) {
            return;
        }
        let sampled = Arc::clone(&self.sampled);
        self.saving = Some(tokio::task::spawn_blocking(move || {
            // It is locked for a few series at a time.
            let saved =
                file::save(&path, |after, bytes| file::content(sampled.recorder().history(), after, bytes));
            match saved {
                Ok(()) => info!("HISTORY: saved to {}", path.display()),
                Err(why) => warn!("HISTORY: not saved to {} - {why}", path.display()),
            }
        }));
    }

    async fn saved(&mut self) {
        if let Some(saving) = self.saving.take() {
            // If it panicked, it has said so.
            let _ = saving.await;
        }
    }
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How long a node is asked that nobody names any more.
const GONE_KEPT: Duration = Duration::from_secs(300);

/// How many nodes are sampled.
const NODES_MAX: usize = 1_000;
