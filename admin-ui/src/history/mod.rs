//! What was: a day of depths and rates for the cluster, each node, each topic and each channel. Pure.
//!
//! A series takes at most 25.7 kB ([`SERIES_BYTES_MAX`]), and there are at most [`SERIES_MAX`]. A cluster of 10 nodes with
//! 1,000 channels of 1,000 topics has 2,011 of them: a channel has one for all its nodes together. That is 52 MB after a
//! day; a test says so. Saving and reading it takes a few megabytes beside that ([`mod@file`]).

pub mod file;
mod ring;
mod series;
mod value;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

pub use self::ring::{MEASURES, Measure, Ring};
pub use self::series::{RINGS, Series};
pub use self::value::Value;

/// How many series there may be.
pub const SERIES_MAX: usize = 10_000;

/// How many bytes a series takes at most, its name apart.
pub const SERIES_BYTES_MAX: usize = 25_700;

/// After how many seconds without a point a series is forgotten.
const FORGET_AFTER_S: i64 = 24 * 60 * 60;

/// How often what is to be forgotten is looked for, in seconds.
const FORGET_EVERY_S: i64 = 60;

/// What a series is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// All nodes together.
    Cluster,
    /// A node, by its `host:port`.
    Node(String),
    /// A topic on all nodes.
    Topic(String),
    /// A channel on all nodes: topic and channel.
    Channel(String, String),
}

/// All series.
#[derive(Debug)]
pub struct History {
    series: BTreeMap<Subject, Series>,
    /// How often something is added.
    interval_s: i64,
    /// Subjects without a series, because there are too many.
    left_out: usize,
    forgot_at_s: i64,
}

impl Default for History {
    fn default() -> Self {
        Self { series: BTreeMap::new(), interval_s: 1, left_out: 0, forgot_at_s: 0 }
    }
}

impl History {
    /// From now on something is added so often.
    #[must_use]
    pub fn sampled_every(self, interval: Duration) -> Self {
        let whole = interval.as_secs().saturating_add(u64::from(interval.subsec_nanos() > 0));
        Self { interval_s: i64::try_from(whole).unwrap_or(i64::MAX).max(1), ..self }
    }

    /// The last step of that length of which all is known by then, in Unix seconds: one that began later may still change.
    #[must_use]
    pub fn last_step(&self, step_s: i64, now_s: i64) -> i64 {
        let later = (self.interval_s.saturating_add(step_s - 1) / step_s).saturating_add(1);
        now_s.div_euclid(step_s).saturating_sub(later)
    }

    /// Adds what is known at a time, in Unix seconds. Subjects that come first have room first, and what is no topic takes that of
    /// one where there is no other.
    pub fn push(
        &mut self,
        now_s: i64,
        numbers: impl IntoIterator<Item = (Subject, [Option<f64>; MEASURES])>,
    ) {
        self.left_out = 0;
        for (subject, numbers) in numbers {
            if let Some(series) = self.series.get_mut(&subject) {
                series.push(now_s, numbers, self.interval_s);
            } else if self.make_room(&subject) {
                self.series.entry(subject).or_default().push(now_s, numbers, self.interval_s);
            } else {
                self.left_out += 1;
            }
        }
        // Where there is no room, what has ended makes it sooner.
        if now_s.saturating_sub(self.forgot_at_s) >= FORGET_EVERY_S || now_s < self.forgot_at_s {
            let kept_s = if self.left_out > 0 { FORGET_EVERY_S } else { FORGET_AFTER_S };
            self.series.retain(|_, series| now_s.saturating_sub(series.newest_s()) <= kept_s);
            self.forgot_at_s = now_s;
        }
    }

    /// Whether there is room for a series about that: if there is none, the last topic's is given up for anything else.
    fn make_room(&mut self, subject: &Subject) -> bool {
        if self.series.len() < SERIES_MAX {
            return true;
        }
        if matches!(subject, Subject::Topic(_)) {
            return false;
        }
        let topics = Subject::Topic(String::new())..Subject::Channel(String::new(), String::new());
        let last = self.series.range(topics).next_back().map(|(topic, _)| topic.clone());
        last.is_some_and(|topic| self.series.remove(&topic).is_some())
    }

    /// The series about something.
    #[must_use]
    pub fn series(&self, subject: &Subject) -> Option<&Series> {
        self.series.get(subject)
    }

    /// Those after that subject, or all, in their order.
    pub fn after(&self, subject: Option<&Subject>) -> impl Iterator<Item = (&Subject, &Series)> {
        let from = subject.map_or(Bound::Unbounded, Bound::Excluded);
        self.series.range((from, Bound::Unbounded))
    }

    /// Takes back a series that was saved.
    pub fn restore(&mut self, subject: Subject, series: Series) {
        if self.series.len() < SERIES_MAX {
            self.series.insert(subject, series);
        }
    }

    /// How many subjects have no series, because there are too many.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> [Option<f64>; MEASURES] {
        [Some(1.0); MEASURES]
    }

    #[test]
    fn a_day_of_a_large_cluster_has_a_stated_size() {
        // One series is filled as far as it goes; all are alike.
        let mut series = Series::default();
        for second in 0..90_000 {
            series.push(second, numbers(), 1);
        }
        assert!(series.bytes() <= SERIES_BYTES_MAX, "{}", series.bytes());
        let subjects = 1_000 + 1_000 + 10 + 1;
        assert!(subjects * SERIES_BYTES_MAX <= 52_000_000);
    }

    #[test]
    fn topics_make_room_for_all_else() {
        let mut history = History::default();
        let topic = |number: usize| (Subject::Topic(format!("{number:05}")), numbers());
        let channel = |number: usize| (Subject::Channel("t".to_owned(), number.to_string()), numbers());
        history.push(1_000, (0..SERIES_MAX).map(topic));
        history.push(1_001, (0..3).map(channel).chain((0..SERIES_MAX).map(topic)));
        assert_eq!((history.series.len(), history.left_out()), (SERIES_MAX, 3));
        assert!((0..3).all(|number| history.series(&channel(number).0).is_some()));
        let is_kept = |number| history.series(&topic(number).0).is_some();
        assert!(is_kept(SERIES_MAX - 4) && !is_kept(SERIES_MAX - 3));
        // Where there is no topic left, nothing makes room.
        history.push(1_002, (0..SERIES_MAX + 1).map(channel));
        assert_eq!((history.series.len(), history.left_out()), (SERIES_MAX, 1));
    }

    #[test]
    fn subjects_are_bounded_and_forgotten() {
        let mut history = History::default();
        let topic = |number: usize| (Subject::Topic(number.to_string()), numbers());
        history.push(1_000, (0..SERIES_MAX + 5).map(topic));
        assert_eq!((history.series.len(), history.left_out()), (SERIES_MAX, 5));
        // Those that go on have no room for others, until some end.
        history.push(1_061, (5..SERIES_MAX + 5).map(topic));
        history.push(1_062, (5..SERIES_MAX + 5).map(topic));
        assert_eq!((history.series.len(), history.left_out()), (SERIES_MAX, 0));
        assert!(history.series(&Subject::Topic("0".to_owned())).is_none());
        history.push(1_063 + FORGET_AFTER_S, [topic(7)]);
        assert_eq!(history.series.len(), 1);
    }
}
