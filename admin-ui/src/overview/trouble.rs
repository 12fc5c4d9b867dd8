//! What is wrong with a channel, and in which words. Pure.

use nsq::api::admin::{ChannelRow, Trouble};

/// What a row does not say by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signs<'a> {
    /// Whether the depth has grown for five minutes.
    pub(super) is_rising: bool,
    /// A node that has what the row is about, had use for it, and does not answer, and for how many seconds.
    pub(super) silent: Option<(&'a str, u64)>,
    /// What waits in the topic where it has no channel and is not paused.
    pub(super) bare: Stranded<'a>,
    /// Whether the topic has channels on other nodes.
    pub(super) has_channels: bool,
    /// What waits where no consumer is connected.
    pub(super) left: Stranded<'a>,
    /// What waits where all consumers have had RDY 0 for a while.
    pub(super) unready: Stranded<'a>,
    /// On how many nodes the channel is paused.
    pub(super) paused_on: usize,
    /// On how many nodes the topic is paused.
    pub(super) topic_paused_on: usize,
}

/// Messages that wait on some of the nodes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stranded<'a> {
    depth: i64,
    /// The node with the most of them, and how many those are.
    most: Option<(&'a str, i64)>,
    nodes: usize,
}

impl<'a> Stranded<'a> {
    /// So many wait on that node.
    pub(super) fn add(&mut self, node: &'a str, depth: i64) {
        self.depth = self.depth.saturating_add(depth);
        self.nodes += 1;
        if self.most.is_none_or(|(_, most)| depth > most) {
            self.most = Some((node, depth));
        }
    }

    /// Whether none wait.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// How many wait, and where; `None` if none do.
    fn told(&self) -> Option<String> {
        let (node, _) = self.most?;
        let waits = messages(self.depth);
        Some(match self.nodes - 1 {
            0 => format!("{waits} on {node}"),
            1 => format!("{waits} on {node} and another node"),
            others => format!("{waits} on {node} and {others} other nodes"),
        })
    }
}

/// Everything that is wrong, the worst first.
#[must_use]
pub(super) fn of(row: &ChannelRow, signs: Signs<'_>) -> Vec<Trouble> {
    let mut found = Vec::new();
    let mut say = |code: &str, reason: String| found.push(Trouble { code: code.to_owned(), reason });
    let waits = messages(row.depth);
    if let Some(waits) = signs.bare.told() {
        // The channels of other nodes do not help these.
        say(
            "no_channels",
            match signs.has_channels {
                true => format!("{waits}, where the topic has no channel"),
                false => format!("{} and the topic has no channel", messages(signs.bare.depth)),
            },
        );
    }
    if row.channel.is_some() && row.depth > 0 && row.clients == 0 {
        say("no_consumers", format!("{waits} and no consumer is connected"));
    } else if let Some(waits) = signs.left.told() {
        // Consumers of other nodes do not help these.
        say("no_consumers", format!("{waits}, where no consumer is connected"));
    }
    if row.depth > 0 && row.clients > 0 && row.ready == 0 {
        let consumers = if row.clients == 1 { "the only consumer has" } else { "all consumers have" };
        say("ready_zero", format!("{waits} and {consumers} RDY 0"));
    } else if let Some(waits) = signs.unready.told() {
        say("ready_zero", format!("{waits}, where all consumers have had RDY 0 for a minute"));
    }
    if signs.is_rising {
        say("rising", format!("the depth has grown for 5 minutes, to {}", grouped(row.depth)));
    }
    if let Some(count) = row.timeouts_per_min.map(f64::round).filter(|count| *count >= 1.0) {
        // It is at least 1, and what a float cannot hold no counter reaches.
        let count = count as i64;
        let noun = if count == 1 { "message" } else { "messages" };
        say("timeouts", format!("{} {noun} timed out in the last minute", grouped(count)));
    }
    if let Some((node, seconds)) = signs.silent {
        say("node_silent", format!("{node} has not answered for {seconds} s; its last numbers are shown"));
    }
    if let Some(reason) = paused(row, signs) {
        say("paused", reason);
    }
    found
}

fn paused(row: &ChannelRow, signs: Signs<'_>) -> Option<String> {
    let on = |count: usize| match count == row.nodes {
        true => String::new(),
        false => format!(" on {count} of {} nodes", row.nodes),
    };
    let (channel, topic) = (on(signs.paused_on), on(signs.topic_paused_on));
    match (row.paused, row.topic_paused) {
        (true, true) if channel.is_empty() && topic.is_empty() => {
            Some("the channel and its topic are paused".to_owned())
        }
        (true, true) => Some(format!("the channel is paused{channel}, and its topic{topic}")),
        (true, false) => Some(format!("the channel is paused{channel}")),
        (false, true) if row.channel.is_none() && row.depth > 0 => {
            Some(format!("{} in the topic, which is paused{topic}", messages(row.depth)))
        }
        (false, true) => Some(format!("the topic is paused{topic}")),
        (false, false) => None,
    }
}

/// Whether somebody should look: what is only paused was wanted so.
#[must_use]
pub(super) fn is_loud(trouble: &[Trouble]) -> bool {
    trouble.iter().any(|trouble| trouble.code != "paused")
}

/// How bad it is: the lower, the worse. A row without trouble comes last.
#[must_use]
pub(super) fn rank(trouble: &[Trouble]) -> usize {
    let worst = trouble.first().map(|trouble| trouble.code.as_str());
    let order = ["no_channels", "no_consumers", "ready_zero", "rising", "timeouts", "node_silent", "paused"];
    order.iter().position(|code| Some(*code) == worst).unwrap_or(order.len())
}

fn messages(count: i64) -> String {
    if count == 1 { "1 message waits".to_owned() } else { format!("{} messages wait", grouped(count)) }
}

/// With a comma at each thousand.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> ChannelRow {
        ChannelRow { channel: Some("c".to_owned()), clients: 1, ready: 1, nodes: 1, ..ChannelRow::default() }
    }

    fn stranded<'a>(nodes: &[(&'a str, i64)]) -> Stranded<'a> {
        let mut stranded = Stranded::default();
        nodes.iter().for_each(|(node, depth)| stranded.add(node, *depth));
        stranded
    }

    fn said(row: &ChannelRow, signs: Signs<'_>) -> Vec<String> {
        let one = |trouble: Trouble| format!("{}: {}", trouble.code, trouble.reason);
        of(row, signs).into_iter().map(one).collect()
    }

    #[test]
    fn trouble_is_said_in_plain_words() {
        let none = Signs::default();
        for (row, signs, expected) in [
            (row(), none, &[][..]),
            (ChannelRow { depth: 1_000, ..row() }, none, &[]),
            (ChannelRow { clients: 0, ..row() }, none, &[]),
            (
                ChannelRow { depth: 12_345, clients: 0, ready: 0, ..row() },
                none,
                &["no_consumers: 12,345 messages wait and no consumer is connected"],
            ),
            (
                ChannelRow { depth: 1, channel: None, clients: 0, ..row() },
                Signs { bare: stranded(&[("a:1", 1)]), ..none },
                &["no_channels: 1 message waits and the topic has no channel"],
            ),
            (
                ChannelRow { depth: 7, channel: None, clients: 0, nodes: 3, ..row() },
                Signs { bare: stranded(&[("b:1", 7)]), has_channels: true, ..none },
                &["no_channels: 7 messages wait on b:1, where the topic has no channel"],
            ),
            (
                ChannelRow { depth: 2, clients: 2, ready: 0, ..row() },
                none,
                &["ready_zero: 2 messages wait and all consumers have RDY 0"],
            ),
            (
                ChannelRow { depth: 1_000_000, timeouts_per_min: Some(1.2), paused: true, ..row() },
                Signs { is_rising: true, silent: Some(("n:1", 7)), paused_on: 1, ..none },
                &[
                    "rising: the depth has grown for 5 minutes, to 1,000,000",
                    "timeouts: 1 message timed out in the last minute",
                    "node_silent: n:1 has not answered for 7 s; its last numbers are shown",
                    "paused: the channel is paused",
                ],
            ),
            (
                ChannelRow { topic_paused: true, ..row() },
                Signs { topic_paused_on: 1, ..none },
                &["paused: the topic is paused"],
            ),
            (
                ChannelRow { channel: None, topic_paused: true, depth: 281, ..row() },
                Signs { topic_paused_on: 1, ..none },
                &["paused: 281 messages wait in the topic, which is paused"],
            ),
            (
                ChannelRow { paused: true, topic_paused: true, nodes: 2, ..row() },
                Signs { paused_on: 1, topic_paused_on: 2, ..none },
                &["paused: the channel is paused on 1 of 2 nodes, and its topic"],
            ),
            (
                ChannelRow { depth: 9, nodes: 3, ..row() },
                Signs { left: stranded(&[("a:1", 1), ("b:1", 3)]), unready: stranded(&[("c:1", 5)]), ..none },
                &[
                    "no_consumers: 4 messages wait on b:1 and another node, where no consumer is connected",
                    "ready_zero: 5 messages wait on c:1, where all consumers have had RDY 0 for a minute",
                ],
            ),
        ] {
            assert_eq!(said(&row, signs), expected);
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let rank_of = |row: &ChannelRow, signs: Signs<'_>| rank(&of(row, signs));
        let none = Signs::default();
        let ranks = [
            rank_of(&ChannelRow { depth: 1, clients: 0, ..row() }, none),
            rank_of(&ChannelRow { depth: 1, ready: 0, ..row() }, none),
            rank_of(&row(), Signs { is_rising: true, ..none }),
            rank_of(&ChannelRow { timeouts_per_min: Some(9.0), ..row() }, none),
            rank_of(&row(), Signs { silent: Some(("n", 1)), ..none }),
            rank_of(&ChannelRow { paused: true, ..row() }, none),
            rank_of(&row(), none),
        ];
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        let loud = |row: &ChannelRow| is_loud(&of(row, none));
        let paused = ChannelRow { paused: true, ..row() };
        assert!(!loud(&row()) && !loud(&paused));
        assert!(loud(&ChannelRow { depth: 1, clients: 0, ..paused }));
    }
}
