//! Clean stops, crashes, and what must be there after each.

use std::collections::{BTreeMap, BTreeSet};

use nsqd_broker::Topic;
use nsqd_broker::storage::TopicImage;

use super::channel::ModelChannel;
use super::{BEGIN_UNIX_NS, DiskMood, MS, Number, World};

/// How long a process takes to start: its ids are larger than those of the one before.
const START_NS: u64 = 5 * MS;

/// How exactly due times are kept.
const DUE_TOLERANCE_NS: u64 = MS;

/// What the disk holds of a topic, in the model's terms.
struct Kept {
    paused: bool,
    backlog: BTreeMap<Number, Option<u64>>,
    channels: BTreeMap<String, ModelChannel>,
}

impl World {
    /// A clean stop and a start: nothing is lost, what was in flight is ready again.
    pub(crate) fn restart(&mut self) {
        if self.is_ephemeral() {
            return;
        }
        self.let_everything_settle();
        self.topic.request_save_all(self.now());
        self.settle();
        self.let_disk_finish();
        for channel in self.channels.values_mut() {
            channel.take_back_all();
        }
        self.channels.retain(|_, channel| !channel.may_drop);
        let kept = self.kept();
        assert_eq!(self.paused, kept.paused);
        assert_eq!(self.backlog, kept.backlog);
        assert_eq!(self.channels.keys().collect::<Vec<_>>(), kept.channels.keys().collect::<Vec<_>>());
        for (name, channel) in &self.channels {
            let kept = &kept.channels[name];
            assert_eq!(channel.paused, kept.paused, "{name}");
            assert_eq!(channel.ready, kept.ready, "{name}");
            assert_eq!(channel.deferred.len(), kept.deferred.len(), "{name}");
            for (number, message) in &channel.deferred {
                let kept = &kept.deferred[number];
                assert_eq!(message.attempts, kept.attempts);
                assert!(message.due_ns.abs_diff(kept.due_ns) <= DUE_TOLERANCE_NS);
            }
        }
        self.start_from(kept);
    }

    /// The process dies, and starts on what the disk has. Of the requests that waited, the first `prefix` made it.
    pub(crate) fn crash(&mut self, prefix: usize) {
        if self.is_ephemeral() {
            return;
        }
        let is_saved_in_time = self.is_saved_in_time();
        self.disk.crash(prefix);
        if self.disk.image.is_none() {
            assert!(self.disk.stored.is_empty(), "a topic is saved before its first batch");
            self.disk.image = Some((0, self.first_image()));
        }
        let kept = self.kept();
        self.check_nothing_lost(&kept);
        self.check_nothing_old(&kept);
        self.check_delays_kept(&kept);
        if is_saved_in_time {
            self.check_only_recent_changes_undone(&kept);
        }
        self.start_from(kept);
    }

    /// What the disk has and a channel had not finished comes back, there or in the topic.
    fn check_nothing_lost(&self, kept: &Kept) {
        let on_disk: BTreeSet<Number> =
            self.disk.messages().into_values().map(|(number, _)| number).collect();
        for (name, after) in &kept.channels {
            let Some(before) = self.channels.get(name).filter(|channel| !channel.may_drop) else { continue };
            let there: BTreeSet<Number> = after.unfinished().map(|(number, _)| number).collect();
            let waiting = self.backlog.keys().map(|number| (*number, 0));
            for (number, _) in before.unfinished().chain(waiting) {
                let is_kept = there.contains(&number) || kept.backlog.contains_key(&number);
                assert!(is_kept || !on_disk.contains(&number), "message {number} was on the disk: {name}");
                assert!(is_kept || !self.safe.contains(&number), "message {number} was safe: {name}");
            }
        }
        if kept.channels.is_empty() && self.channels.is_empty() {
            for number in self.backlog.keys().filter(|number| on_disk.contains(number)) {
                assert!(kept.backlog.contains_key(number), "message {number} was on the disk");
            }
        }
    }

    /// What was finished before the state was saved stays finished, and nothing was delivered more often than it was.
    fn check_nothing_old(&self, kept: &Kept) {
        let saved_at = self.disk.image.as_ref().map_or(0, |(step, _)| *step);
        for (name, after) in &kept.channels {
            let Some(before) = self.channels.get(name) else { continue };
            let attempts_before: BTreeMap<Number, u16> = before.unfinished().collect();
            for (number, attempts) in after.unfinished() {
                assert!(
                    before.finished.get(&number).is_none_or(|finished| finished.step >= saved_at),
                    "message {number} was finished on {name} before the state was saved"
                );
                assert!(attempts_before.get(&number).is_none_or(|before| attempts <= *before));
            }
        }
    }

    /// Whether every change that is older than the interval at which states are saved has reached the disk: that
    /// is so without memory, while the disk keeps up and the timer rings when it should.
    fn is_saved_in_time(&self) -> bool {
        let monotonic_ns = self.now().monotonic_ns;
        let timer_is_late = self.topic.poll_timeout().is_some_and(|at| at <= monotonic_ns);
        self.settings.memory_messages_max == 0 && self.disk.is_idle() && !timer_is_late
    }

    /// A message that was published with a delay, and whose publisher was told that it is safe, comes at its time.
    fn check_delays_kept(&self, kept: &Kept) {
        for (name, after) in &kept.channels {
            let Some(before) = self.channels.get(name) else { continue };
            let safe = before.deferred.iter().filter(|(number, _)| self.safe.contains(number));
            for (number, message) in safe.filter(|(_, message)| message.attempts == 0) {
                let due_ns = after.deferred.get(number).map(|message| message.due_ns);
                let waits = kept.backlog.contains_key(number);
                assert!(
                    waits || due_ns.is_some_and(|due| due.abs_diff(message.due_ns) <= DUE_TOLERANCE_NS),
                    "message {number} of {name} is safe, and its time is forgotten"
                );
            }
        }
    }

    /// What changed longer ago than the interval at which states are saved stays so: what was finished is, and what was
    /// deferred comes at its time.
    fn check_only_recent_changes_undone(&self, kept: &Kept) {
        let interval_ns = self.settings.save_interval.as_nanos() as u64;
        let is_old = |at_ns: u64| at_ns + interval_ns < self.now_ns;
        for (name, after) in &kept.channels {
            let Some(before) = self.channels.get(name) else { continue };
            for (number, _) in after.unfinished() {
                let finished = before.finished.get(&number);
                assert!(
                    finished.is_none_or(|finished| !is_old(finished.at_ns)),
                    "message {number} was finished on {name} long ago"
                );
            }
            for (number, message) in before.deferred.iter().filter(|(_, message)| is_old(message.since_ns)) {
                let due_ns = after.deferred.get(number).map(|message| message.due_ns);
                let is_gone = !after.unfinished().any(|(other, _)| other == *number);
                assert!(
                    is_gone || due_ns.is_some_and(|due| due.abs_diff(message.due_ns) <= DUE_TOLERANCE_NS),
                    "message {number} of {name} was deferred long ago, and its time is forgotten"
                );
                assert!(
                    !kept.backlog.contains_key(number),
                    "message {number} of {name} has its delay once more"
                );
            }
        }
    }

    /// What the disk holds, found out the naive way.
    fn kept(&self) -> Kept {
        let (_, image) = self.disk.image.as_ref().expect("a topic is saved when it is made");
        let stored = self.disk.messages();
        let mut backlog: BTreeMap<Number, Option<u64>> = BTreeMap::new();
        for (number, aside) in stored.range(image.released..).map(|(_, message)| *message) {
            if !aside {
                backlog.insert(number, None);
            }
        }
        // Deferred messages whose delay nobody kept are due at once.
        for (number, aside) in stored.range(image.end..).map(|(_, message)| *message) {
            if aside {
                backlog.insert(number, Some(0));
            }
        }
        for waiting in &image.waiting {
            if let Some((number, _)) = stored.get(&waiting.position) {
                backlog.insert(*number, Some(waiting.delay_ns));
            }
        }
        let mut channels = BTreeMap::new();
        for saved in &image.channels {
            let mut channel = ModelChannel { paused: saved.paused, ..ModelChannel::default() };
            for (number, aside) in
                stored.range(saved.cursor.min(image.released)..image.released).map(|(_, m)| *m)
            {
                if !aside {
                    channel.ready.insert(number, 0);
                }
            }
            // Since the whole was saved, what was finished is what is said to be.
            let passed = saved.finished_below.min(image.released)..saved.cursor.min(image.released);
            for (position, (number, aside)) in stored.range(passed) {
                let is_finished = saved.finished.iter().any(|range| range.contains(position));
                let is_named = saved.unfinished.iter().any(|message| message.position == *position);
                if !aside && !is_finished && !is_named {
                    channel.ready.insert(*number, 1);
                }
            }
            for message in &saved.unfinished {
                let Some((number, _)) = stored.get(&message.position) else { continue };
                match message.due_unix_ns {
                    None => drop(channel.ready.insert(*number, message.attempts)),
                    Some(due) => {
                        let due_ns = u64::try_from(due - BEGIN_UNIX_NS).expect("after the world began");
                        channel.defer(*number, self.now_ns, due_ns, message.attempts);
                    }
                }
            }
            channels.insert(saved.name.as_str().to_owned(), channel);
        }
        Kept { paused: image.paused, backlog, channels }
    }

    fn start_from(&mut self, kept: Kept) {
        self.now_ns += START_NS;
        self.started_ns = self.now_ns;
        self.disk.mood = DiskMood::Works;
        self.consumers.clear();
        self.unsafe_yet.clear();
        let (_, image) = self.disk.image.as_ref().expect("a topic is saved when it is made");
        self.expects_channels = image.expects_channels();
        let mut before = std::mem::take(&mut self.channels);
        Kept { paused: self.paused, backlog: self.backlog, channels: self.channels } = kept;
        for (name, channel) in &mut self.channels {
            channel.undefer(self.now_ns);
            // What was finished may be on the disk still, and come back after the next crash but not after a save.
            let finished = before.remove(name).map(|before| before.finished).unwrap_or_default();
            channel.finished = finished;
            for number in channel.unfinished().map(|(number, _)| number).collect::<Vec<_>>() {
                channel.finished.remove(&number);
            }
        }
        self.release_backlog();
        for channel in self.channels.values_mut() {
            channel.undefer(self.now_ns);
        }
        self.given_to_disk = self.disk.messages().into_values().map(|(number, _)| number).collect();
        let (_, image) = self.disk.image.as_ref().expect("a topic is saved when it is made");
        self.topic = Topic::restore(self.settings.clone(), self.now(), image, &self.disk.summaries());
        self.settle();
    }

    /// What the disk holds of a topic of which nothing was saved: nothing.
    fn first_image(&self) -> TopicImage {
        TopicImage {
            name: self.settings.name,
            durability: None,
            paused: false,
            end: 0,
            released: 0,
            last_id: 0,
            waiting: Vec::new(),
            channels: Vec::new(),
        }
    }
}
