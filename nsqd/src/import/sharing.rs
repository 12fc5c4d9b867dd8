//! Where in the topic's one log a message goes that some of the channels have.
//!
//! A channel is a cursor over the log's queue. Its cursor can stand where the queue holds, from there on, nothing but
//! messages that the channel has; what it has before that is named one by one, and so is what is kept aside from the
//! queue. The fewer are named the better: what is named costs memory as long as it waits.

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Into the queue. For channels that do not have it, what they had in the queue is named from now on.
    Queue,
    /// Aside, named for the channels that have it.
    Aside,
}

/// What the channels have in the queue so far.
#[derive(Debug)]
pub(super) struct Sharing {
    /// For each channel, how many messages at the end of the queue it has without a gap.
    runs: Vec<u64>,
    /// How often a message was named to keep these runs.
    named: u64,
}

impl Sharing {
    pub(super) fn new(channels: usize) -> Self {
        Self { runs: vec![0; channels], named: 0 }
    }

    /// Where the next message goes, which these channels have, in the order of their numbers.
    ///
    /// It goes aside as long as fewer messages were named than would be if it went into the queue: so never twice as
    /// many are named as must be. v1.3.0 leaves channels that have the same from some message on, but for some that
    /// were given back or were in flight, and stand at the end.
    pub(super) fn place(&mut self, channels: &[usize]) -> Place {
        let is_member = |channel: &usize| channels.binary_search(channel).is_ok();
        let lost: u64 = (0..self.runs.len())
            .filter(|channel| !is_member(channel))
            .map(|channel| self.runs[channel])
            .sum();
        if self.named < lost {
            self.named += channels.len() as u64;
            return Place::Aside;
        }
        for (channel, run) in self.runs.iter_mut().enumerate() {
            *run = if is_member(&channel) { *run + 1 } else { 0 };
        }
        if lost > 0 {
            self.named = 0;
        }
        Place::Queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where messages go that are had by these channels.
    fn places(channels: usize, messages: &[&[usize]]) -> String {
        let mut sharing = Sharing::new(channels);
        let letter = |channels: &&[usize]| match sharing.place(channels) {
            Place::Queue => 'q',
            Place::Aside => 'a',
        };
        messages.iter().map(letter).collect()
    }

    #[test]
    fn what_is_the_end_of_anothers_is_a_queue() {
        assert_eq!(places(3, &[&[0], &[0], &[0, 2], &[0, 2], &[0, 1, 2], &[0, 1, 2]]), "qqqqqq");
    }

    #[test]
    fn what_only_some_have_at_the_end_goes_aside() {
        assert_eq!(places(2, &[&[0], &[0, 1], &[0, 1], &[1], &[0], &[0, 1]]), "qqqaaq");
    }

    #[test]
    fn a_long_queue_is_not_kept_aside_for_a_short_one() {
        assert_eq!(places(2, &[&[0, 1], &[0], &[0], &[0], &[0]]), "qaqqq");
    }

    #[test]
    fn one_channel_has_a_queue_in_any_case() {
        assert_eq!(places(1, &[&[0], &[0], &[0]]), "qqq");
    }
}
