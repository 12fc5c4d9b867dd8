//! The newest points of a series, at even distances; the oldest make room.

use std::collections::VecDeque;

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

    /// Adds the point of a step. Steps that were left out are unknown; one that is not newer is left out itself, but for
    /// clocks that were set back by more than all there is: then all begins anew.
    pub fn push(&mut self, step: i64, point: Point) {
        let passed = step.saturating_sub(self.newest);
        let most = i64::try_from(self.points_max).unwrap_or(i64::MAX);
        if self.points.is_empty() || passed > most || passed < -most {
            self.points.clear();
        } else if passed <= 0 {
            return;
        } else {
            for _ in 1..passed {
                self.add(UNKNOWN);
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

    /// The newest `count` numbers of a measure, newest first; unknown ones as `None`.
    pub fn latest(&self, measure: Measure, count: usize) -> impl Iterator<Item = Option<f64>> {
        self.points.iter().rev().take(count).map(move |point| point[measure as usize].get())
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
            ring.push(step, point(depth));
        }
        assert_eq!(depths(&ring), [Some(1.0), Some(2.0), None, Some(3.0)]);
        ring.push(13, point(9.0));
        ring.push(12, point(9.0));
        ring.push(14, point(4.0));
        assert_eq!(depths(&ring), [Some(2.0), None, Some(3.0), Some(4.0)]);
        assert_eq!(ring.newest(), 14);
        assert_eq!(ring.latest(Measure::Depth, 2).collect::<Vec<_>>(), [Some(4.0), Some(3.0)]);
        ring.push(1000, point(5.0));
        assert_eq!(depths(&ring), [Some(5.0)]);
        ring.push(7, point(6.0));
        assert_eq!((depths(&ring), ring.newest()), (vec![Some(6.0)], 7));
    }

    #[test]
    fn the_room_is_bounded() {
        let mut ring = Ring::new(300);
        for step in 0..10_000 {
            ring.push(step, point(1.0));
        }
        assert_eq!(ring.len(), 300);
        assert!(ring.bytes() <= size_of::<Ring>() + 300 * 12, "{}", ring.bytes());
    }
}
