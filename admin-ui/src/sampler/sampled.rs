//! What the sampler has heard, for all who look, and what is told to those who keep looking: made once, whoever they are.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nsq::api::admin::{Overview, Told};
use nsq::api::json::to_go_json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::{Instant, timeout};

use super::event::Event;
use super::page::Page;
use crate::cluster::{Failure, Failures, Service};
use crate::history::History;
use crate::overview::{self, Recorder};

/// How many may watch at the same time.
const VIEWERS_MAX: usize = 256;

/// How many updates a viewer may be behind before he is given everything anew.
const UPDATES_MAX: usize = 16;

/// How many depths each row has for its sparkline in what a viewer is given first.
const WATCHED_SPARK: usize = 60;

/// How long somebody who comes right after the start waits for the first round of answers.
const FIRST_ROUND: Duration = Duration::from_secs(2);

/// Why the locks are never poisoned.
const NO_PANIC: &str = "no code panics while it holds what was sampled";

/// What has been heard.
#[derive(Debug)]
pub struct Sampled {
    /// Locked to add an answer or to make a picture, never across an await.
    recorder: Mutex<Recorder>,
    /// Who did not say who the nodes are. Locked for a look.
    failures: Mutex<Failures>,
    /// What was shown since the last tick, and what those who watch know; `None` if nothing was. Locked while somebody begins to
    /// look and while all are told, before the recorder: so nobody misses an update or is told one twice.
    shown: Mutex<Option<Shown>>,
    /// What changed, as events; made only while somebody watches.
    updates: broadcast::Sender<Event>,
    /// Room for those who watch.
    seats: Arc<Semaphore>,
    /// Whether every node has answered or failed once.
    pub(super) begun: watch::Sender<bool>,
    /// What times are counted from.
    started: Instant,
}

/// What those who look know.
#[derive(Debug)]
struct Shown {
    /// What the next update will differ from.
    told: Told<Overview>,
    /// That as an event, with sparklines; made for the first who comes, for all who come until the next update.
    event: Option<Event>,
    /// That as an answer, without sparklines; made as seldom.
    page: Option<Page>,
}

impl Sampled {
    /// Nothing yet, but what was saved; from now on the nodes are asked so often.
    #[must_use]
    pub fn new(history: History, interval: Duration) -> Self {
        Self {
            recorder: Mutex::new(Recorder::new(history.sampled_every(interval))),
            failures: Mutex::default(),
            shown: Mutex::default(),
            updates: broadcast::channel(UPDATES_MAX).0,
            seats: Arc::new(Semaphore::new(VIEWERS_MAX)),
            begun: watch::channel(false).0,
            started: Instant::now(),
        }
    }

    /// Everything that was known at the last tick, without sparklines: made once until the next, for all who ask.
    pub async fn page(&self) -> Page {
        self.wait_for_first_round().await;
        let mut shown = self.shown.lock().expect(NO_PANIC);
        let Shown { told, page, .. } = shown.get_or_insert_with(|| self.shown_now());
        page.get_or_insert_with(|| Page::new(to_go_json(&*told))).clone()
    }

    /// Everything that is now; right after the start, as soon as there is something.
    pub async fn overview(&self, spark: usize) -> Told<Overview> {
        self.wait_for_first_round().await;
        self.overview_now(spark)
    }

    /// Begins to tell somebody: what all who watch know, as an event, and the events that come after it.
    pub async fn watch(&self) -> (Event, broadcast::Receiver<Event>) {
        self.wait_for_first_round().await;
        let mut shown = self.shown.lock().expect(NO_PANIC);
        let updates = self.updates.subscribe();
        let Shown { told, event, .. } = shown.get_or_insert_with(|| self.shown_now());
        let event = event.get_or_insert_with(|| {
            let mut told = told.clone();
            self.recorder().add_sparks(&mut told.body, WATCHED_SPARK);
            Event::new("overview", &to_go_json(&told))
        });
        (event.clone(), updates)
    }

    /// Adds what is known now to what was.
    pub(super) fn tick(&self) {
        self.recorder().tick(self.now_ms(), unix_ms());
    }

    /// Tells all who watch what has changed since they were last told.
    pub(super) fn tell(&self) {
        let mut shown = self.shown.lock().expect(NO_PANIC);
        if self.updates.receiver_count() == 0 {
            *shown = None;
            return;
        }
        let now = self.shown_now();
        let before = shown.as_ref().map(|shown| &shown.told.body);
        let update = Told {
            body: overview::update(before, &now.told.body),
            message: now.told.message.clone(),
            warnings: now.told.warnings.clone(),
        };
        *shown = Some(now);
        // Whoever watched may be gone by now.
        let _ = self.updates.send(Event::new("update", &to_go_json(&update)));
    }

    /// A place among those who watch, for as long as it is held; `None` if all are taken.
    #[must_use]
    pub fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.seats).try_acquire_owned().ok()
    }

    /// Looks at the recorder, shortly.
    pub fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().expect(NO_PANIC)
    }

    pub(super) fn set_failures(&self, failures: Failures) {
        *self.failures.lock().expect(NO_PANIC) = failures;
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn shown_now(&self) -> Shown {
        Shown { told: self.overview_now(0), event: None, page: None }
    }

    fn overview_now(&self, spark: usize) -> Told<Overview> {
        let mut failures = self.failures.lock().expect(NO_PANIC).clone();
        let recorder = self.recorder();
        let body = recorder.overview(self.now_ms(), unix_ms(), spark);
        let unheard = recorder.unheard().map(|(node, reason)| Failure {
            service: Service::Nsqd,
            host: node.to_owned(),
            reason: reason.to_owned(),
        });
        failures.add(unheard.filter(|failure| !failures.name(&failure.host)).collect());
        drop(recorder);
        Told { body, message: failures.message(), warnings: failures.warnings() }
    }

    async fn wait_for_first_round(&self) {
        let mut begun = self.begun.subscribe();
        // If it takes longer, what there is will do.
        let _ = timeout(FIRST_ROUND, begun.wait_for(|begun| *begun)).await;
    }
}

pub(super) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nsq::api::stats::{ChannelStats, Stats, TopicStats};

    fn hear(sampled: &Sampled, node: &str, depth: i64) {
        let channel = ChannelStats { channel_name: "c".to_owned(), depth, ..ChannelStats::default() };
        let topic =
            TopicStats { topic_name: "t".to_owned(), channels: vec![channel], ..TopicStats::default() };
        let stats = Stats { topics: Some(vec![topic]), ..Stats::default() };
        sampled.recorder().observe(node, sampled.now_ms(), stats);
    }

    fn data(event: &Event) -> serde_json::Value {
        let text = std::str::from_utf8(&event.plain).unwrap();
        serde_json::from_str(text.split_once("data: ").unwrap().1).unwrap()
    }

    #[tokio::test]
    async fn whoever_comes_between_two_updates_is_given_what_the_others_know() {
        let sampled = Sampled::new(History::default(), Duration::from_secs(1));
        sampled.begun.send_replace(true);
        sampled.recorder().keep_nodes([("n:1".to_owned(), String::new(), String::new())]);
        hear(&sampled, "n:1", 1);
        sampled.tick();
        let (first, mut updates) = sampled.watch().await;
        assert_eq!(data(&first)["channels"][0]["spark"], serde_json::json!([1]));
        // A depth that is gone again by the next update would be in no update.
        hear(&sampled, "n:1", 7);
        let (second, _late) = sampled.watch().await;
        assert_eq!(second.plain, first.plain);
        hear(&sampled, "n:1", 1);
        sampled.tell();
        assert_eq!(data(&updates.recv().await.unwrap())["channels"], serde_json::json!([]));
        hear(&sampled, "n:1", 5);
        sampled.tell();
        let update = data(&updates.recv().await.unwrap());
        assert_eq!(update["channels"][0]["depth"], 5);
        // So is whoever asks once.
        let page = sampled.page().await;
        hear(&sampled, "n:1", 9);
        assert_eq!(sampled.page().await.plain, page.plain);
        let asked: serde_json::Value = serde_json::from_slice(&page.plain).unwrap();
        assert_eq!((&asked["at"], &asked["channels"][0]["depth"]), (&update["at"], &5.into()));
        let (third, _later) = sampled.watch().await;
        assert_eq!(data(&third)["channels"][0]["depth"], 5);
        assert_eq!(data(&third)["at"], update["at"]);
        sampled.tell();
        let asked: serde_json::Value = serde_json::from_slice(&sampled.page().await.plain).unwrap();
        assert_eq!(asked["channels"][0]["depth"], 9);
    }
}
