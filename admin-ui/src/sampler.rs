//! The one task that asks every node for its numbers: once an interval, however many look at them.
//!
//! Each node is asked on its own: one that hangs holds up neither the others nor the clock. One that takes long is asked less
//! often, so that asking takes at most a fifth of its time.

mod event;
mod page;
mod sampled;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nsq::api::stats::Stats;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use tracing::{error, info, warn};

use crate::cluster::{
    AskError, Asking, Cluster, Failures, NobodyAnswered, Producer, Wanted, each_once, stats_target,
};
use crate::history::{History, file};

pub use self::event::GZIP_HEAD;
pub use self::page::Page;
pub use self::sampled::Sampled;
use self::sampled::unix_ms;

/// How often it is asked who the nodes are.
const PRODUCERS_EVERY: Duration = Duration::from_secs(5);

/// How often the history is saved.
const SAVE_EVERY: Duration = Duration::from_secs(300);

/// How many answers may wait to be looked at.
const ANSWERS_MAX: usize = 64;

/// How many nodes are asked at the same time: with more than so many that hang, the others wait for them.
const ASKED_MAX: usize = 256;

/// How many times as long as an answer took a node is left alone.
const REST: u32 = 4;

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
        room: Arc::new(Semaphore::new(ASKED_MAX)),
        nodes: HashMap::new(),
        names: BTreeMap::new(),
        asks_who: false,
        knows_who: false,
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
    /// For nodes to be asked at the same time.
    room: Arc<Semaphore>,
    /// Every node that is to be asked.
    nodes: HashMap<String, Asked>,
    /// What nodes call themselves that are asked directly, by the address they are asked at; kept while they are silent.
    names: BTreeMap<String, String>,
    /// Whether somebody has been asked who the nodes are, and has not answered yet.
    asks_who: bool,
    /// Whether it has ever been said who the nodes are.
    knows_who: bool,
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
    /// At once: it never was.
    New,
    /// It has not answered yet.
    Asked,
    /// At the first tick from then on.
    From(Instant),
}

impl Turn {
    /// After an answer that took so long, or after there was none: a node that fails is asked no less often than the others,
    /// to hear when it no longer does.
    fn after(answer_took: Option<Duration>, now: Instant) -> Self {
        Self::From(answer_took.map_or(now, |took| now + took.saturating_mul(REST)))
    }

    fn is_due(self, now: Instant) -> bool {
        match self {
            Self::New => true,
            Self::Asked => false,
            Self::From(from) => from <= now,
        }
    }
}

enum Heard {
    Who(Result<Vec<Producer>, NobodyAnswered>, Failures),
    Node(String, Result<Stats, AskError>, Duration),
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
            Heard::Node(node, answer, took) => self.hear_node(&node, answer, took),
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
            let kept = if is_direct { Duration::ZERO } else { GONE_KEPT };
            let named = self.named(producers, &failures);
            self.keep_nodes(named, kept);
            self.knows_who = true;
        } else {
            // Nobody says who the nodes are: those that are known are asked on.
            self.sampled.begun.send_if_modified(|begun| !std::mem::replace(begun, true));
        }
        self.sampled.set_failures(failures);
        // The others are asked at the next tick.
        self.ask_nodes(|turn| matches!(turn, Turn::New));
        self.begin();
    }

    /// What is known of each node. One that is asked directly and does not answer has the name it had when it last did, or
    /// else the address it is asked at.
    fn named(&mut self, producers: Vec<Producer>, failures: &Failures) -> Vec<(String, String, String)> {
        let mut named: BTreeMap<String, (String, String)> = BTreeMap::new();
        // One that is asked at two addresses is known by both, so that it is one when it does not answer at either.
        for producer in producers.iter().filter(|producer| !producer.described_at.is_empty()) {
            self.names.insert(producer.described_at.clone(), producer.address.clone());
        }
        let mut producers = each_once(producers);
        producers.retain(|producer| producer.address.len() <= ADDRESS_BYTES_MAX);
        for producer in producers {
            named.insert(producer.address, (producer.hostname, producer.version));
        }
        if self.sampling.cluster.is_direct() {
            for asked in failures.warnings().into_iter().map(|warning| warning.node) {
                let name = self.names.get(&asked).cloned().unwrap_or(asked);
                named.entry(name).or_default();
            }
        }
        named.into_iter().take(NODES_MAX).map(|(name, (host, version))| (name, host, version)).collect()
    }

    /// These are the nodes now. One that is no longer among them is `kept` for a while longer: an nsqd that died is gone from
    /// the nsqlookupds at once, and that is when somebody wants to see it.
    fn keep_nodes(&mut self, mut named: Vec<(String, String, String)>, kept: Duration) {
        let now = Instant::now();
        let mut old = std::mem::take(&mut self.nodes);
        for (address, ..) in &named {
            let turn = old.remove(address).map_or(Turn::New, |asked| asked.turn);
            self.nodes.insert(address.clone(), Asked { turn, gone_since: None });
        }
        for (address, asked) in old {
            let gone_since = asked.gone_since.unwrap_or(now);
            if now.saturating_duration_since(gone_since) < kept && named.len() < NODES_MAX {
                named.push((address.clone(), String::new(), String::new()));
                self.nodes.insert(address, Asked { gone_since: Some(gone_since), ..asked });
            }
        }
        self.sampled.recorder().keep_nodes(named);
    }

    fn hear_node(&mut self, node: &str, answer: Result<Stats, AskError>, took: Duration) {
        let now_ms = self.sampled.now_ms();
        let Some(Asked { turn, .. }) = self.nodes.get_mut(node) else { return };
        *turn = Turn::after(answer.is_ok().then_some(took), Instant::now());
        match answer {
            Ok(stats) => self.sampled.recorder().observe(node, now_ms, stats),
            Err(error) => {
                let is_new = self.sampled.recorder().failed(node, now_ms, error.to_string());
                if is_new {
                    warn!("CI: nsqd {node} does not answer - {error}");
                }
            }
        }
        self.begin();
    }

    /// Says so once every node has answered or failed.
    fn begin(&self) {
        if self.knows_who && !*self.sampled.begun.borrow() {
            let is_complete = self.sampled.recorder().is_complete();
            if is_complete {
                self.sampled.tick();
                self.sampled.tell();
                self.sampled.begun.send_replace(true);
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.ask_nodes(|turn| turn.is_due(now));
        if *self.sampled.begun.borrow() {
            self.sampled.tick();
            self.sampled.tell();
        }
    }

    fn ask_nodes(&mut self, is_due: impl Fn(Turn) -> bool) {
        for (node, Asked { turn, .. }) in self.nodes.iter_mut().filter(|(_, asked)| is_due(asked.turn)) {
            *turn = Turn::Asked;
            let (upstream, say) = (Arc::clone(&self.sampling.cluster.upstream), self.say.clone());
            let (node, room) = (node.clone(), Arc::clone(&self.room));
            tokio::spawn(async move {
                // It is never closed.
                let _permit = room.acquire().await;
                // Waiting for room was no work of the node.
                let asked = Instant::now();
                let wanted = Wanted { topic: None, channel: None, with_clients: true };
                let target = stats_target(wanted);
                let answer = upstream.stats(&node, &target, Asking::ToSample).await;
                let _ = say.send(Heard::Node(node, answer, asked.elapsed())).await;
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

/// How long a node is asked that nobody names any more.
const GONE_KEPT: Duration = Duration::from_secs(300);

/// How many nodes are sampled.
const NODES_MAX: usize = 1_000;

/// The longest address that is sampled, in bytes: a name of the DNS has 253 at most.
const ADDRESS_BYTES_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_answers_fast_is_asked_at_each_tick_and_a_slow_one_rests() {
        let asked = Instant::now();
        let after = |ms: u64| asked + Duration::from_millis(ms);
        assert!(Turn::New.is_due(asked) && !Turn::Asked.is_due(after(60_000)));
        let took = |ms: u64| Some(Duration::from_millis(ms));
        // A tick may come a little sooner after the one before than an interval.
        let fast = Turn::after(took(2), after(2));
        assert!(fast.is_due(after(990)));
        let slow = Turn::after(took(500), after(500));
        assert!(!slow.is_due(after(2_000)) && slow.is_due(after(2_500)));
        assert!(Turn::after(None, after(5_000)).is_due(after(5_001)));
        // One that waited for room itself rests no longer for that.
        assert!(Turn::after(took(2), after(9_000)).is_due(after(9_010)));
    }
}
