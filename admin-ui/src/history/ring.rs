//! The newest points of a series, at even distances; the oldest make room.

use std::collections::VecDeque;
use std::iter::repeat_n;

use super::value::Value;

/// What is known at one time, in the order of [`Measure`].
pub(super) type Point = [Value; MEASURES];

/// How many numbers a point has.
pub const MEASURES: usize = 6;

/// What the numbers of a point are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Messages that wait. Of a long step, the most.
    Depth,
    /// Messages that consumers have. Of a long step, the most.
    InFlight,
    /// Messages that came, a second.
    In,
    /// Messages that went, a second.
    Out,
    /// Messages that were put back, a second.
    Requeued,
    /// Messages whose consumer took too long, a second.
    TimedOut,
}

/// Nothing is known.
pub(super) const UNKNOWN: Point = [Value::NONE; MEASURES];

/// How many steps a clock may seem to go back without having been set: two of its readings may come in the wrong order.
const BACK_MAX: i64 = 2;

/// How many points room is made for at a time.
const GROWTH: usize = 60;

/// Points one step apart. The room they take grows with their number, and no further than the most there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// Oldest first; never more than `points_max`.
    points: VecDeque<Point>,
    points_max: usize,
    /// The number of the newest step: its time in Unix seconds, over the length of a step.
    newest: i64,
}

impl Ring {
    /// An empty one.
    #[must_use]
    pub fn new(points_max: usize) -> Self {
        Self { points: VecDeque::new(), points_max, newest: 0 }
    }

    /// Adds the point of a step. Steps that were passed over were as the last one, if there are no more than `held`, and
    /// are unknown otherwise. One that is hardly older is left out; one that is older by more comes from a clock that was set
    /// back, and what is later than it makes room.
    pub fn push(&mut self, step: i64, point: Point, held: i64) {
        let passed = step.saturating_sub(self.newest);
        let most = i64::try_from(self.points_max).unwrap_or(i64::MAX);
        if passed > most {
            self.points.clear();
        } else if passed < -BACK_MAX {
            let later = usize::try_from(passed.unsigned_abs()).unwrap_or(usize::MAX).saturating_add(1);
            self.points.truncate(self.points.len().saturating_sub(later));
        } else if let Some(last) = self.points.back().copied() {
            if passed <= 0 {
                return;
            }
            let between = if passed - 1 <= held { last } else { UNKNOWN };
            for _ in 1..passed {
                self.add(between);
            }
        }
        self.add(point);
        self.newest = step;
    }

    fn add(&mut self, point: Point) {
        if self.points.len() >= self.points_max {
            self.points.pop_front();
        }
        if self.points.len() == self.points.capacity() {
            self.points.reserve_exact(GROWTH.min(self.points_max - self.points.len()));
        }
        self.points.push_back(point);
    }

    /// Whether so many points are no more than it can have.
    #[must_use]
    pub fn has_room(&self, count: usize) -> bool {
        count <= self.points_max
    }

    /// The number of the newest step.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.newest
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// All points, oldest first.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = &Point> + ExactSizeIterator {
        self.points.iter()
    }

    /// The numbers of a measure at that step and before, `count` at most, newest first; unknown ones as `None`.
    pub fn latest(&self, measure: Measure, count: usize, step: i64) -> impl Iterator<Item = Option<f64>> {
        let missing = repeat_n(&UNKNOWN, self.missing(step));
        missing.chain(self.points.iter().rev()).take(count).map(move |point| point[measure as usize].get())
    }

    /// All points up to that step at least, oldest first, and the number of the first step. What is not there is unknown.
    pub fn until(&self, step: i64) -> (i64, impl ExactSizeIterator<Item = &Point>) {
        let missing = self.missing(step);
        let over = (self.points.len() + missing).saturating_sub(self.points_max).min(self.points.len());
        let all: Vec<&Point> = self.points.iter().skip(over).chain(repeat_n(&UNKNOWN, missing)).collect();
        let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let first = self.newest.max(step).saturating_sub(count).saturating_add(1);
        (first, all.into_iter())
    }

    /// How many steps after the newest there are up to that one, as far as there is room for them.
    fn missing(&self, step: i64) -> usize {
        let missing = usize::try_from(step.saturating_sub(self.newest)).unwrap_or(0);
        if self.points.is_empty() { 0 } else { missing.min(self.points_max) }
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.points.capacity() * size_of::<Point>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(depth: f64) -> Point {
        let mut point = UNKNOWN;
        point[Measure::Depth as usize] = Value::of(depth);
        point
    }

    fn depths(ring: &Ring) -> Vec<Option<f64>> {
        ring.points().map(|point| point[0].get()).collect()
    }

    #[test]
    fn the_oldest_points_make_room_and_gaps_are_unknown() {
        let mut ring = Ring::new(4);
        for (step, depth) in [(10, 1.0), (11, 2.0), (13, 3.0)] {
            ring.push(step, point(depth), 0);
        }
        assert_eq!(depths(&ring), [Some(1.0), Some(2.0), None, Some(3.0)]);
        ring.push(13, point(9.0), 0);
        ring.push(12, point(9.0), 0);
        ring.push(14, point(4.0), 0);
        assert_eq!(depths(&ring), [Some(2.0), None, Some(3.0), Some(4.0)]);
        assert_eq!(ring.newest(), 14);
        let latest = |count, step| ring.latest(Measure::Depth, count, step).collect::<Vec<_>>();
        assert_eq!(latest(2, 14), [Some(4.0), Some(3.0)]);
        assert_eq!(latest(3, 16), [None, None, Some(4.0)]);
        ring.push(1000, point(5.0), 0);
        assert_eq!(depths(&ring), [Some(5.0)]);
        ring.push(7, point(6.0), 0);
        assert_eq!((depths(&ring), ring.newest()), (vec![Some(6.0)], 7));
    }

    #[test]
    fn a_clock_that_was_set_back_goes_on_where_it_is() {
        let mut ring = Ring::new(10);
        (100..110).for_each(|step| ring.push(step, point(step as f64), 0));
        ring.push(104, point(1.0), 0);
        assert_eq!((depths(&ring).len(), ring.newest()), (5, 104));
        assert_eq!(depths(&ring)[3..], [Some(103.0), Some(1.0)]);
        ring.push(105, point(2.0), 0);
        assert_eq!((depths(&ring).len(), ring.newest()), (6, 105));
    }

    #[test]
    fn steps_between_two_samples_are_as_the_first() {
        let mut ring = Ring::new(10);
        ring.push(0, point(1.0), 2);
        ring.push(3, point(2.0), 2);
        assert_eq!(depths(&ring), [Some(1.0), Some(1.0), Some(1.0), Some(2.0)]);
        ring.push(7, point(3.0), 2);
        assert_eq!(depths(&ring)[3..], [Some(2.0), None, None, None, Some(3.0)]);
    }

    #[test]
    fn what_is_not_heard_of_any_more_ends_in_what_is_unknown() {
        let mut ring = Ring::new(4);
        let until = |ring: &Ring, step| {
            let (first, points) = ring.until(step);
            (first, points.map(|point| point[0].get()).collect::<Vec<_>>())
        };
        assert_eq!(until(&ring, 9).1, []);
        (1..4).for_each(|step| ring.push(step, point(step as f64), 0));
        assert_eq!(until(&ring, 2), (1, vec![Some(1.0), Some(2.0), Some(3.0)]));
        assert_eq!(until(&ring, 5), (2, vec![Some(2.0), Some(3.0), None, None]));
        // What ended long ago is unknown up to now, not just after its end.
        assert_eq!(until(&ring, 99), (96, vec![None; 4]));
    }

    #[test]
    fn the_room_is_bounded() {
        let mut ring = Ring::new(300);
        for step in 0..10_000 {
            ring.push(step, point(1.0), 0);
        }
        assert_eq!(ring.len(), 300);
        assert!(ring.bytes() <= size_of::<Ring>() + 300 * 12, "{}", ring.bytes());
    }
}
