//! What a daemon owes: the messages that it acknowledged, less those whose FIN it was sent.
//!
//! One entry a message and channel. A daemon may be killed several times before it is settled with.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

/// How old a FIN may be that a kill undoes.
pub const UNDONE_MAX: Duration = Duration::from_millis(200);

/// A topic by its place among those of a trial.
pub type Topic = usize;

/// A channel by its place among all those of a trial.
pub type Channel = usize;

/// What a consumer saw and did until its connection ended.
#[derive(Debug, Default)]
pub struct Consumed {
    /// Its channel.
    pub channel: Channel,
    /// The numbers that came, as often as they came.
    pub arrived: Vec<u64>,
    /// Bodies that were not what they must be, as text.
    pub wrong: Vec<String>,
    /// The messages whose FIN was sent, and when the daemon was seen to have taken it.
    pub finished: HashMap<u64, Option<Instant>>,
}

/// Counts of one trial or several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many trials.
    pub trials: u64,
    /// How often the daemon was killed under load.
    pub kills: u64,
    /// Messages whose publish was answered with OK.
    pub acknowledged: u64,
    /// The same once for each channel, where no FIN was sent before the last kill.
    pub owed: u64,
    /// What was owed and never came.
    pub lost: u64,
    /// Bodies that were not what they must be.
    pub wrong: u64,
    /// Finished before a kill, and came after it.
    pub repeated: u64,
    /// Of these, finished longer before the kill than [`UNDONE_MAX`].
    pub repeated_late: u64,
    /// The longest that such a FIN was there before the kill.
    pub oldest_repeated: Duration,
    /// Came more than once after the last kill, though the first was finished.
    pub doubled: u64,
    /// Came, though their publish was not answered.
    pub unacknowledged: u64,
}

/// The account of one data directory.
#[derive(Debug)]
pub struct Ledger {
    /// The topic of each channel.
    channels: Vec<Topic>,
    acknowledged: HashMap<u64, Topic>,
    /// What was finished before a kill, and how long before the daemon had surely taken the FIN.
    finished: Vec<HashMap<u64, Duration>>,
    repeated: Vec<HashMap<u64, Duration>>,
    wrong: Vec<String>,
    kills: u64,
}

impl Ledger {
    /// An empty account of channels that belong to these topics.
    pub fn new(channels: Vec<Topic>) -> Self {
        let count = channels.len();
        Self {
            channels,
            acknowledged: HashMap::new(),
            finished: vec![HashMap::new(); count],
            repeated: vec![HashMap::new(); count],
            wrong: Vec::new(),
            kills: 0,
        }
    }

    /// How many messages were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Notes messages whose publish was answered with OK.
    pub fn note_acknowledged(&mut self, messages: impl IntoIterator<Item = (u64, Topic)>) {
        self.acknowledged.extend(messages);
    }

    /// Notes what all consumers did until the daemon was killed at this time.
    pub fn note_killed(&mut self, consumed: Vec<Consumed>, killed_at: Instant) {
        self.kills += 1;
        // All that came is looked at first: two consumers may share a channel.
        for consumed in &consumed {
            self.note_arrived(consumed);
        }
        for consumed in consumed {
            let finished = &mut self.finished[consumed.channel];
            finished.extend(consumed.finished.into_iter().map(|(number, taken)| {
                (number, taken.map_or(Duration::ZERO, |taken| killed_at.saturating_duration_since(taken)))
            }));
        }
    }

    /// Settles with a daemon that has given all it had.
    pub fn settle(mut self, drained: &[Consumed]) -> (Figures, Evidence) {
        let mut figures = Figures { trials: 1, kills: self.kills, ..Figures::default() };
        figures.acknowledged = self.acknowledged.len() as u64;
        let mut evidence = Evidence::default();
        for consumed in drained {
            let arrived: HashSet<u64> = consumed.arrived.iter().copied().collect();
            figures.doubled += (consumed.arrived.len() - arrived.len()) as u64;
            figures.unacknowledged +=
                arrived.iter().filter(|number| !self.acknowledged.contains_key(number)).count() as u64;
            let channel = consumed.channel;
            let owed = self.acknowledged.iter().filter(|(number, topic)| {
                **topic == self.channels[channel] && !self.finished[channel].contains_key(number)
            });
            for (number, _) in owed {
                figures.owed += 1;
                if !arrived.contains(number) {
                    figures.lost += 1;
                    evidence.lost.push((channel, *number));
                }
            }
            self.note_arrived(consumed);
        }
        for repeated in &self.repeated {
            figures.repeated += repeated.len() as u64;
            figures.repeated_late += repeated.values().filter(|age| **age > UNDONE_MAX).count() as u64;
            figures.oldest_repeated =
                repeated.values().copied().max().unwrap_or_default().max(figures.oldest_repeated);
        }
        figures.wrong = self.wrong.len() as u64;
        evidence.lost.sort_unstable();
        evidence.wrong = self.wrong;
        (figures, evidence)
    }

    fn note_arrived(&mut self, consumed: &Consumed) {
        self.wrong.extend(consumed.wrong.iter().cloned());
        // What comes again is owed again.
        let finished = &mut self.finished[consumed.channel];
        let again = consumed.arrived.iter().filter_map(|number| finished.remove_entry(number));
        for (number, age) in again {
            let oldest = self.repeated[consumed.channel].entry(number).or_default();
            *oldest = age.max(*oldest);
        }
    }
}

/// What a trial that fails shows.
#[derive(Debug, Default)]
pub struct Evidence {
    /// What was lost, with its channel.
    pub lost: Vec<(Channel, u64)>,
    /// Bodies that were not what they must be.
    pub wrong: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trials, kills, acknowledged, owed, lost, wrong, .. } = self;
        let Self { repeated, repeated_late, oldest_repeated, doubled, unacknowledged, .. } = self;
        write!(
            formatter,
            "trials {trials}, kills {kills}, acknowledged {acknowledged}, owed {owed}, lost {lost}, \
             wrong bodies {wrong}, repeated {repeated} (finished more than {UNDONE_MAX:?} before: {repeated_late}, \
             the oldest {oldest_repeated:.2?}), doubled {doubled}, unacknowledged {unacknowledged}"
        )
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.trials += other.trials;
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.owed += other.owed;
        self.lost += other.lost;
        self.wrong += other.wrong;
        self.repeated += other.repeated;
        self.repeated_late += other.repeated_late;
        self.oldest_repeated = self.oldest_repeated.max(other.oldest_repeated);
        self.doubled += other.doubled;
        self.unacknowledged += other.unacknowledged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_and_not_finished_is_owed() {
        let now = Instant::now();
        let old = now.checked_sub(Duration::from_secs(1)).unwrap();
        let mut ledger = Ledger::new(vec![0, 0, 1]);
        ledger.note_acknowledged([(1, 0), (2, 0), (3, 0), (4, 1)]);
        let finished = HashMap::from([(1, Some(old)), (2, Some(now)), (3, None)]);
        let first = Consumed { arrived: vec![1, 2, 3], finished, ..Consumed::default() };
        ledger.note_killed(vec![first], now);
        let drained = [
            Consumed { arrived: vec![1, 2, 5], ..Consumed::default() },
            Consumed {
                channel: 1,
                arrived: vec![1, 2, 2],
                wrong: vec!["x".to_owned()],
                ..Consumed::default()
            },
            Consumed { channel: 2, ..Consumed::default() },
        ];
        let (figures, evidence) = ledger.settle(&drained);
        let expected = Figures {
            trials: 1,
            kills: 1,
            acknowledged: 4,
            owed: 4,
            lost: 2,
            wrong: 1,
            repeated: 2,
            repeated_late: 1,
            oldest_repeated: Duration::from_secs(1),
            doubled: 1,
            unacknowledged: 1,
        };
        assert_eq!(figures, expected);
        assert_eq!(evidence.lost, [(1, 3), (2, 4)]);
    }

    #[test]
    fn what_came_again_after_a_kill_is_owed_until_it_is_finished_again() {
        let now = Instant::now();
        let mut ledger = Ledger::new(vec![0]);
        ledger.note_acknowledged([(1, 0), (2, 0)]);
        let finished = HashMap::from([(1, None), (2, None)]);
        ledger.note_killed(vec![Consumed { arrived: vec![1, 2], finished, ..Consumed::default() }], now);
        let finished = HashMap::from([(1, None)]);
        ledger.note_killed(vec![Consumed { arrived: vec![1, 2], finished, ..Consumed::default() }], now);
        let (figures, evidence) = ledger.settle(&[Consumed::default()]);
        assert_eq!((figures.repeated, figures.owed, figures.lost, figures.kills), (2, 1, 1, 2));
        assert_eq!(evidence.lost, [(0, 2)]);
    }
}
