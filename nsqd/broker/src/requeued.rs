//! The messages of a channel that are to be delivered again, in the order they came back, and the oldest of them.

use std::collections::VecDeque;

use crate::log::Held;

#[derive(Debug, Default)]
pub(crate) struct Requeued {
    queue: VecDeque<Held>,
    /// How many were ever taken from the front: the serial number of the message there.
    taken: u64,
    /// The serial numbers of those that are older than all behind them, so that the first is the oldest. A message is
    /// added and taken away once, whatever comes between: the oldest costs nothing to find.
    oldest: VecDeque<u64>,
}

impl Requeued {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The one that came back first.
    pub(crate) fn front(&self) -> Option<Held> {
        self.queue.front().copied()
    }

    /// The one that was published first.
    pub(crate) fn oldest(&self) -> Option<Held> {
        self.oldest.front().map(|serial| self.queue[(serial - self.taken) as usize])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.queue.iter()
    }

    pub(crate) fn push_back(&mut self, held: Held) {
        while let Some(last) = self.oldest.back() {
            if self.queue[(last - self.taken) as usize].position() < held.position() {
                break;
            }
            self.oldest.pop_back();
        }
        self.oldest.push_back(self.taken + self.queue.len() as u64);
        self.queue.push_back(held);
    }

    pub(crate) fn pop_front(&mut self) -> Option<Held> {
        let held = self.queue.pop_front()?;
        if self.oldest.front() == Some(&self.taken) {
            self.oldest.pop_front();
        }
        self.taken += 1;
        Some(held)
    }

    /// Takes all of them out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Held> + use<> {
        std::mem::take(self).queue.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_known_whatever_comes_and_goes() {
        let mut requeued = Requeued::default();
        let mut naive: VecDeque<u64> = VecDeque::new();
        let mut seed = 7_u64;
        for step in 0..10_000_u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if (seed >> 33) % 16 < if step % 512 < 256 { 9 } else { 7 } {
                // No position twice, in no order.
                let position = step.reverse_bits() >> 40 << 16 | step;
                requeued.push_back(Held { batch: position, index: 0, attempts: 1 });
                naive.push_back(position);
            } else {
                assert_eq!(requeued.pop_front().map(|held| held.batch), naive.pop_front());
            }
            assert_eq!(requeued.oldest().map(|held| held.batch), naive.iter().min().copied());
        }
        assert_eq!(requeued.drain().count(), naive.len());
        assert_eq!(requeued.oldest(), None);
    }
}
