//! How the messages a consumer is willing to have in flight are spread over its connections.
//!
//! Pure: connections are numbers, the time is an argument. Each connection gets its share of the limit as its ready
//! count. Where there are more connections than the limit, ready counts of 1 go round: whoever has one and gets no
//! message gives it up soon ([`IDLE_TURN`]), whoever is busy after a while ([`BUSY_TURN`]), so that no nsqd starves.
//!
//! What a connection may have in flight beyond its share, because the share became smaller, is kept back from the
//! others: messages until they are settled, and a ready count that was lowered until nsqd must have read of that
//! ([`READ_TIME`]), for nsqd does not confirm it. So no change lets more be in flight than the limit.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How long a connection that gets no message keeps a ready count that others wait for.
pub(super) const IDLE_TURN: Duration = Duration::from_millis(100);

/// How long a connection that gets messages keeps a ready count that others wait for.
pub(super) const BUSY_TURN: Duration = Duration::from_secs(2);

/// How long after a ready count was lowered nsqd may still act on the one before.
pub(super) const READ_TIME: Duration = Duration::from_millis(50);

/// A connection, as its consumer counts them.
pub(super) type Key = u64;

#[derive(Debug)]
pub(super) struct Distribution {
    /// How many messages may be in flight in all.
    limit: u32,
    members: BTreeMap<Key, Member>,
    /// All members; those at the front, as many as the limit allows, have their turn.
    order: VecDeque<Key>,
    /// Whether somebody may have more in flight than its share.
    is_exceeded: bool,
    /// Whether a ready count may have changed that nobody was told of.
    is_changed: bool,
    /// When the first turn ends or the first lowered ready count is read. Never late, but it may be early, where a
    /// turn was prolonged.
    next_timeout: Option<Instant>,
}

#[derive(Debug)]
struct Member {
    /// The largest ready count nsqd allows.
    ready_max: u32,
    in_flight: u32,
    ready: u32,
    /// A larger ready count, that nsqd may still act on until then.
    lowered: Option<(u32, Instant)>,
    /// The ready count that was given out last.
    told: u32,
    /// When its turn began: set exactly while it has a ready count that others wait for.
    turn: Option<Instant>,
    /// Whether a message came since its turn began.
    is_busy: bool,
}

impl Member {
    fn turn_end(&self) -> Option<Instant> {
        self.turn.map(|began| began + if self.is_busy { BUSY_TURN } else { IDLE_TURN })
    }

    /// When its turn ends or its lowered ready count is read.
    fn timeout(&self) -> Option<Instant> {
        [self.turn_end(), self.lowered.map(|(_, until)| until)].into_iter().flatten().min()
    }

    /// How many messages it may have in flight, whatever is decided now.
    fn claim(&self) -> u32 {
        let lowered = self.lowered.map_or(0, |(count, _)| count);
        self.in_flight.max(self.ready).max(lowered)
    }
}

impl Distribution {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            members: BTreeMap::new(),
            order: VecDeque::new(),
            is_exceeded: false,
            is_changed: false,
            next_timeout: None,
        }
    }

    /// A connection was made; nsqd allows it a ready count of at most `ready_max`.
    pub(super) fn join(&mut self, key: Key, ready_max: u32, now: Instant) {
        let member =
            Member { ready_max, in_flight: 0, ready: 0, lowered: None, told: 0, turn: None, is_busy: false };
        if self.members.insert(key, member).is_none() {
            self.order.push_back(key);
        }
        self.balance(now);
    }

    /// A connection was lost, and what it had in flight with it.
    pub(super) fn leave(&mut self, key: Key, now: Instant) {
        self.members.remove(&key);
        self.order.retain(|member| *member != key);
        self.balance(now);
    }

    /// From now on so many messages may be in flight in all.
    pub(super) fn set_limit(&mut self, limit: u32, now: Instant) {
        if self.limit != limit {
            self.limit = limit;
            self.balance(now);
        }
    }

    /// A message came.
    pub(super) fn handle_delivered(&mut self, key: Key) {
        if let Some(member) = self.members.get_mut(&key) {
            member.in_flight += 1;
            member.is_busy = true;
        }
    }

    /// A message was finished, or given back.
    pub(super) fn handle_settled(&mut self, key: Key, now: Instant) {
        if let Some(member) = self.members.get_mut(&key) {
            member.in_flight = member.in_flight.saturating_sub(1);
        }
        if self.is_exceeded {
            self.balance(now);
        }
    }

    /// Ends the turns that have lasted long enough, and the wait for nsqd to read of lowered ready counts.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.next_timeout.is_none_or(|timeout| timeout > now) {
            return;
        }
        let has_ended = |key: &Key| {
            let end = self.members.get(key).and_then(Member::turn_end);
            end.is_some_and(|end| end <= now)
        };
        let (ended, others): (Vec<Key>, Vec<Key>) = self.order.iter().partition(|key| has_ended(key));
        for key in &ended {
            if let Some(member) = self.members.get_mut(key) {
                member.turn = None;
            }
        }
        self.order = others.into_iter().chain(ended).collect();
        self.balance(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next_timeout
    }

    /// A connection whose ready count has changed since this was asked last.
    pub(super) fn poll_changed(&mut self) -> Option<Key> {
        if !self.is_changed {
            return None;
        }
        let changed = self.members.iter_mut().find(|(_, member)| member.ready != member.told);
        self.is_changed = changed.is_some();
        let (key, member) = changed?;
        member.told = member.ready;
        Some(*key)
    }

    /// The ready count of a connection.
    pub(super) fn ready(&self, key: Key) -> u32 {
        self.members.get(&key).map_or(0, |member| member.ready)
    }

    /// Whether some connections must wait for their turn.
    fn is_crowded(&self) -> bool {
        self.turns() < self.members.len()
    }

    /// How many connections have their turn at the same time.
    fn turns(&self) -> usize {
        self.members.len().min(usize::try_from(self.limit).unwrap_or(usize::MAX))
    }

    fn balance(&mut self, now: Instant) {
        let (turns, is_crowded) = (self.turns(), self.is_crowded());
        let shares: Vec<u32> = (0..self.order.len()).map(|place| share(self.limit, turns, place)).collect();
        let mut exceeding = 0;
        for (key, share) in self.order.iter().zip(&shares) {
            let Some(member) = self.members.get_mut(key) else { continue };
            member.lowered = member.lowered.filter(|(_, until)| *until > now);
            exceeding += member.claim().saturating_sub(*share);
        }
        self.is_exceeded = exceeding > 0;
        // Who came last waits first.
        for (key, share) in self.order.iter().zip(&shares).rev() {
            let Some(member) = self.members.get_mut(key) else { continue };
            let claim = member.claim();
            let kept_back = share.saturating_sub(claim).min(exceeding);
            exceeding -= kept_back;
            let ready = (share - kept_back).min(member.ready_max);
            if ready < member.ready {
                member.lowered = Some((claim, now + READ_TIME));
            }
            member.ready = ready;
            if !is_crowded || ready == 0 {
                member.turn = None;
            } else if member.turn.is_none() {
                member.turn = Some(now);
                member.is_busy = member.in_flight > 0;
            }
        }
        self.is_changed = true;
        self.next_timeout = self.members.values().filter_map(Member::timeout).min();
    }
}

/// What the connection at this place gets of `limit`, when `turns` connections share it.
fn share(limit: u32, turns: usize, place: usize) -> u32 {
    if place >= turns {
        return 0;
    }
    let turns = u32::try_from(turns).expect("there are never more turns than the limit, which fits");
    let takes_one_more = u32::try_from(place).is_ok_and(|place| place < limit % turns);
    limit / turns + u32::from(takes_one_more)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn with(limit: u32, members: u64, now: Instant) -> Distribution {
        let mut distribution = Distribution::new(limit);
        for key in 0..members {
            // Long enough ago that all counts are read.
            distribution.join(key, 2500, now - READ_TIME);
        }
        distribution.handle_timeout(now);
        distribution
    }

    fn counts(distribution: &Distribution) -> Vec<u32> {
        distribution.members.values().map(|member| member.ready).collect()
    }

    #[test]
    fn the_limit_is_shared() {
        for (limit, members, expected) in [
            (200, 1, vec![200]),
            (200, 3, vec![67, 67, 66]),
            (3, 3, vec![1, 1, 1]),
            (2, 3, vec![1, 1, 0]),
            (0, 2, vec![0, 0]),
            (5, 0, vec![]),
        ] {
            assert_eq!(counts(&with(limit, members, Instant::now())), expected, "{limit} for {members}");
        }
    }

    #[test]
    fn nobody_gets_more_than_its_nsqd_allows() {
        let mut distribution = Distribution::new(10_000);
        distribution.join(0, 2500, Instant::now());
        assert_eq!(distribution.ready(0), 2500);
    }

    #[test]
    fn only_changes_are_given_out() {
        let now = Instant::now();
        let mut distribution = with(4, 1, now);
        let changed = |distribution: &mut Distribution| {
            std::iter::from_fn(|| distribution.poll_changed()).collect::<Vec<_>>()
        };
        assert_eq!(changed(&mut distribution), [0]);
        assert_eq!(changed(&mut distribution), [0; 0]);
        distribution.join(1, 2500, now);
        assert_eq!(changed(&mut distribution), [0]);
        distribution.handle_timeout(now + READ_TIME);
        assert_eq!(changed(&mut distribution), [1]);
        distribution.leave(1, now + READ_TIME);
        assert_eq!(changed(&mut distribution), [0]);
    }

    #[test]
    fn a_newcomer_waits_for_what_others_have_in_flight() {
        let now = Instant::now();
        let mut distribution = with(4, 1, now);
        for _ in 0..4 {
            distribution.handle_delivered(0);
        }
        distribution.join(1, 2500, now);
        distribution.handle_timeout(now + READ_TIME);
        assert_eq!(counts(&distribution), [2, 0]);
        for newcomer in [1, 2] {
            distribution.handle_settled(0, now + READ_TIME);
            assert_eq!(counts(&distribution), [2, newcomer]);
        }
    }

    #[test]
    fn a_newcomer_waits_until_a_lowered_ready_count_is_read() {
        let now = Instant::now();
        let mut distribution = with(4, 1, now);
        distribution.join(1, 2500, now);
        assert_eq!(counts(&distribution), [2, 0]);
        assert_eq!(distribution.poll_timeout(), Some(now + READ_TIME));
        distribution.handle_timeout(now + READ_TIME);
        assert_eq!(counts(&distribution), [2, 2]);
        assert_eq!(distribution.poll_timeout(), None);
    }

    #[test]
    fn an_idle_connection_passes_its_turn_on_soon_and_a_busy_one_later() {
        let start = Instant::now();
        let mut distribution = with(1, 2, start);
        assert_eq!(counts(&distribution), [1, 0]);
        let end = start - READ_TIME + IDLE_TURN;
        assert_eq!(distribution.poll_timeout(), Some(end));
        distribution.handle_timeout(end);
        assert_eq!(counts(&distribution), [0, 0]);
        let second = end + READ_TIME;
        distribution.handle_timeout(second);
        assert_eq!(counts(&distribution), [0, 1]);
        distribution.handle_delivered(1);
        distribution.handle_settled(1, second);
        distribution.handle_timeout(second + IDLE_TURN);
        assert_eq!(counts(&distribution), [0, 1]);
        assert_eq!(distribution.poll_timeout(), Some(second + BUSY_TURN));
        for now in [second + BUSY_TURN, second + BUSY_TURN + READ_TIME] {
            distribution.handle_timeout(now);
        }
        assert_eq!(counts(&distribution), [1, 0]);
    }

    #[test]
    fn a_turn_begins_when_the_last_ones_message_is_settled() {
        let start = Instant::now();
        let mut distribution = with(1, 2, start);
        distribution.handle_delivered(0);
        for now in [start + BUSY_TURN, start + BUSY_TURN + READ_TIME] {
            distribution.handle_timeout(now);
            assert_eq!(counts(&distribution), [0, 0]);
        }
        assert_eq!(distribution.poll_timeout(), None, "nobody's time runs");
        let settled = start + 2 * BUSY_TURN;
        distribution.handle_settled(0, settled);
        assert_eq!(counts(&distribution), [0, 1]);
        assert_eq!(distribution.poll_timeout(), Some(settled + IDLE_TURN));
    }

    #[test]
    fn a_smaller_limit_and_back_is_the_same_as_before() {
        let mut now = Instant::now();
        let mut distribution = with(5, 1, now);
        distribution.join(1, 2500, now);
        for (limit, expected) in [(5, [3, 2]), (0, [0, 0]), (1, [1, 0]), (5, [3, 2])] {
            distribution.set_limit(limit, now);
            now += READ_TIME;
            distribution.handle_timeout(now);
            assert_eq!(counts(&distribution), expected);
        }
        assert_eq!(distribution.poll_timeout(), None);
    }

    #[derive(Debug, Clone)]
    enum Operation {
        Join,
        Leave(usize),
        Limit(u32),
        Deliver(usize),
        Settle(usize),
        Pass(u64),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            Just(Operation::Join),
            any::<usize>().prop_map(Operation::Leave),
            (0_u32..12).prop_map(Operation::Limit),
            any::<usize>().prop_map(Operation::Deliver),
            any::<usize>().prop_map(Operation::Deliver),
            any::<usize>().prop_map(Operation::Settle),
            (0_u64..3000).prop_map(Operation::Pass),
        ]
    }

    proptest! {
        #[test]
        fn what_may_be_in_flight_never_grows_beyond_the_limit(operations in prop::collection::vec(operation(), 0..200)) {
            let mut now = Instant::now();
            let mut limit = 5;
            let mut distribution = Distribution::new(limit);
            let mut keys: Vec<Key> = Vec::new();
            for (step, operation) in operations.into_iter().enumerate() {
                let claimed = |distribution: &Distribution| {
                    distribution.members.values().map(Member::claim).sum::<u32>()
                };
                let before = claimed(&distribution);
                let pick = |index: usize| keys.get(index % keys.len().max(1)).copied();
                match operation {
                    Operation::Join => {
                        keys.push(step as Key);
                        distribution.join(step as Key, 4, now);
                    }
                    Operation::Leave(index) => if let Some(key) = pick(index) {
                        keys.retain(|other| *other != key);
                        distribution.leave(key, now);
                    },
                    Operation::Limit(new) => {
                        limit = new;
                        distribution.set_limit(limit, now);
                    }
                    // A server sends for as long as its client is ready, as far as it has read.
                    Operation::Deliver(index) => if let Some(key) = pick(index)
                        && distribution.members[&key].in_flight < distribution.members[&key].claim() {
                        distribution.handle_delivered(key);
                    },
                    Operation::Settle(index) => if let Some(key) = pick(index)
                        && distribution.members[&key].in_flight > 0 {
                        distribution.handle_settled(key, now);
                    },
                    Operation::Pass(milliseconds) => {
                        now += Duration::from_millis(milliseconds);
                        distribution.handle_timeout(now);
                    }
                }
                let after = claimed(&distribution);
                prop_assert!(after <= limit.max(before), "{} of {}: {:?}", after, limit, distribution);
                prop_assert!(distribution.members.values().all(|member| member.ready <= member.ready_max));
                prop_assert_eq!(distribution.order.len(), keys.len());
            }
            // When nothing is in flight any more, and all counts are read, nothing is kept back.
            for key in keys {
                while distribution.members[&key].in_flight > 0 {
                    distribution.handle_settled(key, now);
                }
            }
            distribution.handle_timeout(now + READ_TIME);
            if !distribution.is_crowded() {
                let all: u32 = (0..distribution.turns()).map(|place| share(limit, distribution.turns(), place).min(4)).sum();
                prop_assert_eq!(distribution.members.values().map(|member| member.ready).sum::<u32>(), all);
            }
        }

        #[test]
        fn everybody_has_a_turn(limit in 1_u32..6, members in 1_u64..12) {
            let mut now = Instant::now();
            let mut distribution = with(limit, members, now);
            let mut served = HashSet::new();
            for _ in 0..members {
                served.extend((0..members).filter(|key| distribution.ready(*key) > 0));
                for pause in [IDLE_TURN, READ_TIME] {
                    now += pause;
                    distribution.handle_timeout(now);
                }
            }
            prop_assert_eq!(served.len() as u64, members);
        }
    }
}
