//! Message ids: unique, growing, and shaped like those of v1.3.0 (spec nsqd-tcp.md, §5).

/// `2^20` ns ticks between 1970 and the epoch of the ids.
const EPOCH_TICKS: u64 = 1_288_834_974_288;
const TICK_SHIFT: u32 = 20;
const NODE_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;

/// Makes a topic's ids: ticks of about a millisecond, the node's id, a sequence number.
#[derive(Debug)]
pub(crate) struct IdGenerator {
    node_id: u64,
    /// Ticks and sequence number of the newest id as one number, so that the next is this plus one.
    last: u64,
}

impl IdGenerator {
    /// Ids of the node `node_id` (0 to 1023), all larger than `last_id` (0: none was given yet).
    pub(crate) fn new(node_id: u16, last_id: u64) -> Self {
        let sequence = last_id & ((1 << SEQUENCE_BITS) - 1);
        let ticks = last_id >> (NODE_BITS + SEQUENCE_BITS);
        Self {
            node_id: u64::from(node_id) & ((1 << NODE_BITS) - 1),
            last: (ticks << SEQUENCE_BITS) | sequence,
        }
    }

    /// The next id. Where the clock stood still or went back, or a tick's 4096 ids are used up, it borrows
    /// from the next tick instead of waiting for it.
    pub(crate) fn next(&mut self, unix_ns: i64) -> u64 {
        let ticks = (u64::try_from(unix_ns).unwrap_or(0) >> TICK_SHIFT).saturating_sub(EPOCH_TICKS);
        self.last = (self.last + 1).max(ticks << SEQUENCE_BITS);
        self.last()
    }

    /// The newest id, as a number.
    pub(crate) fn last(&self) -> u64 {
        let (ticks, sequence) = (self.last >> SEQUENCE_BITS, self.last & ((1 << SEQUENCE_BITS) - 1));
        (ticks << (NODE_BITS + SEQUENCE_BITS)) | (self.node_id << SEQUENCE_BITS) | sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_those_of_the_original() {
        // A record that v1.3.0 wrote on node 5: time stamp and id (spec nsqd-operation.md, §6.2).
        let unix_ns = 0x18ea_be2f_b5cb_bcfd;
        assert_eq!(IdGenerator::new(5, 0).next(unix_ns), 0x18a5_d57e_4300_5000);
    }

    #[test]
    fn ids_grow_whatever_the_clock_does() {
        let mut ids = IdGenerator::new(1023, 0);
        let start = 1_800_000_000_000_000_000;
        let mut last = ids.next(start);
        for step in 0..20_000_i64 {
            let unix_ns = if step % 3 == 0 { start - step * 1_000_000_000 } else { start + step };
            let next = ids.next(unix_ns);
            assert!(next > last, "step {step}");
            last = next;
        }
        let mut later = IdGenerator::new(1023, last);
        assert!(later.next(0) > last, "ids go on after a restart with a clock set back");
    }
}
