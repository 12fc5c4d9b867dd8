//! What is wrong with a channel, and in which words. Pure.

use nsq::api::admin::{ChannelRow, Trouble};

/// What a row does not say by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signs<'a> {
    /// The node with the most messages of those where some wait and no consumer is connected, and how many wait there.
    pub(super) deserted: Option<(&'a str, i64)>,
    /// How many messages wait in the topic, because it is paused.
    pub(super) held: i64,
    /// On how many nodes it is paused, it or its topic.
    pub(super) paused_on: usize,
    /// Whether the depth has grown for five minutes.
    pub(super) is_rising: bool,
    /// A node that has the channel and does not answer, and for how many seconds.
    pub(super) silent: Option<(&'a str, u64)>,
}

/// Everything that is wrong, the worst first.
#[must_use]
pub(super) fn of(row: &ChannelRow, signs: Signs<'_>) -> Vec<Trouble> {
    let mut found = Vec::new();
    let mut say = |code: &str, reason: String| found.push(Trouble { code: code.to_owned(), reason });
    let waits = messages(row.depth);
    if row.channel.is_none() && row.depth > 0 && !row.topic_paused {
        say("no_channels", format!("{waits} and the topic has no channel"));
    }
    if row.channel.is_some() && row.depth > 0 && row.clients == 0 {
        say("no_consumers", format!("{waits} and no consumer is connected"));
    }
    // A consumer that does not find one of the nodes, or cannot reach it.
    if let Some((node, depth)) = signs.deserted.filter(|_| row.channel.is_some() && row.clients > 0) {
        say("no_consumers", format!("{} on {node}, where no consumer is connected", messages(depth)));
    }
    if row.depth > 0 && row.clients > 0 && row.ready == 0 {
        let consumers = if row.clients == 1 { "the only consumer has" } else { "all consumers have" };
        say("ready_zero", format!("{waits} and {consumers} RDY 0"));
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
    let what = match (row.paused, row.topic_paused) {
        (true, true) => "the channel and its topic are paused",
        (true, false) => "the channel is paused",
        (false, true) => "the topic is paused",
        (false, false) => return found,
    };
    let place = if signs.paused_on < row.nodes {
        format!(" on {} of {} nodes", signs.paused_on, row.nodes)
    } else {
        String::new()
    };
    let held =
        if signs.held > 0 { format!("; {} in the topic", messages(signs.held)) } else { String::new() };
    say("paused", format!("{what}{place}{held}"));
    found
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
        ChannelRow { channel: Some("c".to_owned()), clients: 1, ready: 1, nodes: 2, ..ChannelRow::default() }
    }

    fn said(row: &ChannelRow, signs: Signs<'_>) -> Vec<String> {
        let one = |trouble: Trouble| format!("{}: {}", trouble.code, trouble.reason);
        of(row, signs).into_iter().map(one).collect()
    }

    #[test]
    fn trouble_is_said_in_plain_words() {
        let none = Signs { paused_on: 2, ..Signs::default() };
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
                none,
                &["no_channels: 1 message waits and the topic has no channel"],
            ),
            (
                ChannelRow { depth: 2, clients: 2, ready: 0, ..row() },
                none,
                &["ready_zero: 2 messages wait and all consumers have RDY 0"],
            ),
            (
                ChannelRow { depth: 1_000_000, timeouts_per_min: Some(1.2), paused: true, ..row() },
                Signs { is_rising: true, silent: Some(("n:1", 7)), ..none },
                &[
                    "rising: the depth has grown for 5 minutes, to 1,000,000",
                    "timeouts: 1 message timed out in the last minute",
                    "node_silent: n:1 has not answered for 7 s; its last numbers are shown",
                    "paused: the channel is paused",
                ],
            ),
            (ChannelRow { topic_paused: true, ..row() }, none, &["paused: the topic is paused"]),
            (
                ChannelRow { topic_paused: true, ..row() },
                Signs { paused_on: 1, held: 281, ..none },
                &["paused: the topic is paused on 1 of 2 nodes; 281 messages wait in the topic"],
            ),
            (
                ChannelRow { depth: 7, ..row() },
                Signs { deserted: Some(("n:1", 5)), ..none },
                &["no_consumers: 5 messages wait on n:1, where no consumer is connected"],
            ),
            (
                ChannelRow { depth: 7, clients: 0, ..row() },
                Signs { deserted: Some(("n:1", 5)), ..none },
                &["no_consumers: 7 messages wait and no consumer is connected"],
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
    }
}
