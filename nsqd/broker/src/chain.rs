//! Doubly linked lists threaded through numbered entries: an entry joins and leaves in constant time.

/// "No entry" in a link.
const NONE: u32 = u32::MAX;

/// The links of all entries that may be members of chains of one sort, by entry number.
/// An entry is a member of at most one chain at a time.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<Link>);

#[derive(Debug, Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
}

/// One list: its ends. The members' links are in [`Links`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl Chain {
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    pub(crate) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Makes `entry`, which is in no chain of these links, the last of this one.
    pub(crate) fn push(&mut self, links: &mut Links, entry: u32) {
        let index = entry as usize;
        if links.0.len() <= index {
            links.0.resize(index + 1, Link { previous: NONE, next: NONE });
        }
        links.0[index] = Link { previous: self.last, next: NONE };
        match self.last {
            NONE => self.first = entry,
            last => links.0[last as usize].next = entry,
        }
        self.last = entry;
    }

    /// Takes `entry`, a member of this chain, out.
    pub(crate) fn remove(&mut self, links: &mut Links, entry: u32) {
        let Link { previous, next } = links.0[entry as usize];
        match previous {
            NONE => self.first = next,
            previous => links.0[previous as usize].next = next,
        }
        match next {
            NONE => self.last = previous,
            next => links.0[next as usize].previous = previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(mut chain: Chain, links: &mut Links) -> Vec<u32> {
        let mut found = Vec::new();
        while let Some(first) = chain.first() {
            found.push(first);
            chain.remove(links, first);
        }
        found
    }

    #[test]
    fn members_leave_from_any_place_and_keep_their_order() {
        for leaving in 0..5 {
            let (mut links, mut chain) = (Links::default(), Chain::default());
            for entry in 0..5 {
                chain.push(&mut links, entry);
            }
            chain.remove(&mut links, leaving);
            chain.push(&mut links, leaving);
            let mut expected: Vec<u32> = (0..5).filter(|entry| *entry != leaving).collect();
            expected.push(leaving);
            assert_eq!(members(chain, &mut links), expected);
        }
    }
}
