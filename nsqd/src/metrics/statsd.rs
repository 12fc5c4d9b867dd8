//! Snapshots as statsd lines, and lines as datagrams (spec nsqd-operation.md, §11).

use nsq::api::stats::MemoryStats;
use nsq::wire::name::ChannelName;

use super::snapshot::{ChannelSnapshot, LatencySnapshot, NodeSnapshot, TopicSnapshot};

/// What of a snapshot is sent, and under which names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Begins every name; see [`expand_prefix`].
    pub prefix: String,
    /// Whether ephemeral topics and channels are left out.
    pub exclude_ephemeral: bool,
}

/// What one round sends: a snapshot, and the memory numbers unless they are switched off.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// Sorted by name.
    pub snapshot: NodeSnapshot,
    /// Absent when not wanted.
    pub memory: Option<MemoryStats>,
}

/// The prefix as it is used: each `%s` is this daemon's host and port, and it ends in a dot unless it is empty.
pub fn expand_prefix(prefix: &str, broadcast_address: &str, broadcast_http_port: u16) -> String {
    // A literal IPv6 address is bracketed before its colons go, as an address with a port is written.
    let host = match broadcast_address.contains(':') {
        true => format!("[{broadcast_address}]"),
        false => broadcast_address.to_owned(),
    };
    let key = format!("{host}:{broadcast_http_port}").replace(['.', ':'], "_");
    let mut expanded = prefix.replace("%s", &key);
    if !expanded.is_empty() && !expanded.ends_with('.') {
        expanded.push('.');
    }
    expanded
}

/// The lines of a round, each with its newline. Counters are differences to the round before, or to zero.
pub fn lines(form: &Form, round: &Round, before: Option<&Round>) -> Vec<String> {
    let mut lines = Lines { prefix: &form.prefix, lines: Vec::new() };
    let topics_before = before.and_then(|round| round.snapshot.topics.as_deref()).unwrap_or_default();
    for topic in round.snapshot.topics.iter().flatten() {
        if form.exclude_ephemeral && topic.name.is_ephemeral() {
            continue;
        }
        let topic_before = topics_before.iter().find(|before| before.name == topic.name);
        lines.topic(topic, topic_before);
        for channel in &topic.channels {
            if form.exclude_ephemeral && channel.name.is_ephemeral() {
                continue;
            }
            let channel_before = topic_before.and_then(|topic| find_channel(topic, channel.name));
            lines.channel(topic, channel, channel_before);
        }
    }
    if let Some(memory) = &round.memory {
        lines.memory(memory, before.and_then(|round| round.memory.as_ref()));
    }
    lines.lines
}

/// Lines packed into datagrams of at most `packet_bytes`. A line is never split; one that is longer alone
/// makes a datagram alone.
pub fn datagrams(lines: &[String], packet_bytes: usize) -> Vec<Vec<u8>> {
    let mut datagrams: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        match datagrams.last_mut() {
            Some(last) if last.len() + line.len() <= packet_bytes => last.extend_from_slice(line.as_bytes()),
            _ => datagrams.push(line.clone().into_bytes()),
        }
    }
    datagrams
}

struct Lines<'a> {
    prefix: &'a str,
    lines: Vec<String>,
}

impl Lines<'_> {
    fn topic(&mut self, topic: &TopicSnapshot, before: Option<&TopicSnapshot>) {
        let name = format!("topic.{}", topic.name);
        let (count, bytes) = before.map_or((0, 0), |topic| (topic.message_count, topic.message_bytes));
        self.counter(&name, "message_count", topic.message_count, count);
        self.counter(&name, "message_bytes", topic.message_bytes, bytes);
        self.gauge(&name, "depth", topic.depth);
        self.gauge(&name, "backend_depth", topic.backend_depth);
        self.latency(&name, &topic.latency);
    }

    fn channel(
        &mut self,
        topic: &TopicSnapshot,
        channel: &ChannelSnapshot,
        before: Option<&ChannelSnapshot>,
    ) {
        let name = format!("topic.{}.channel.{}", topic.name, channel.name);
        let before = |count: fn(&ChannelSnapshot) -> u64| before.map_or(0, count);
        self.counter(&name, "message_count", channel.message_count, before(|channel| channel.message_count));
        self.gauge(&name, "depth", channel.depth);
        self.gauge(&name, "backend_depth", channel.backend_depth);
        self.gauge(&name, "in_flight_count", channel.in_flight_count);
        self.gauge(&name, "deferred_count", channel.deferred_count);
        self.counter(&name, "requeue_count", channel.requeue_count, before(|channel| channel.requeue_count));
        self.counter(&name, "timeout_count", channel.timeout_count, before(|channel| channel.timeout_count));
        self.gauge(&name, "clients", channel.client_count);
        self.latency(&name, &channel.latency);
    }

    fn memory(&mut self, memory: &MemoryStats, before: Option<&MemoryStats>) {
        self.gauge("mem", "heap_objects", memory.heap_objects);
        self.gauge("mem", "heap_idle_bytes", memory.heap_idle_bytes);
        self.gauge("mem", "heap_in_use_bytes", memory.heap_in_use_bytes);
        self.gauge("mem", "heap_released_bytes", memory.heap_released_bytes);
        self.gauge("mem", "gc_pause_usec_100", memory.gc_pause_usec_100);
        self.gauge("mem", "gc_pause_usec_99", memory.gc_pause_usec_99);
        self.gauge("mem", "gc_pause_usec_95", memory.gc_pause_usec_95);
        self.gauge("mem", "next_gc_bytes", memory.next_gc_bytes);
        let runs_before = before.map_or(0, |memory| memory.gc_total_runs);
        self.counter("mem", "gc_runs", memory.gc_total_runs.into(), runs_before.into());
    }

    /// The name says the percentile as a whole number, halves to the even one: 0.995 and 1.0 are both 100.
    fn latency(&mut self, name: &str, latency: &LatencySnapshot) {
        for (quantile, value) in latency.percentiles.iter().flatten() {
            let percent = (quantile * 100.0).round_ties_even();
            self.gauge(name, &format!("e2e_processing_latency_{percent}"), *value as u64);
        }
    }

    /// A counter that has gone back, as that of a topic created anew, wraps to a negative difference.
    fn counter(&mut self, name: &str, what: &str, now: u64, before: u64) {
        let difference = now.wrapping_sub(before) as i64;
        self.lines.push(format!("{}{name}.{what}:{difference}|c\n", self.prefix));
    }

    fn gauge(&mut self, name: &str, what: &str, value: u64) {
        self.lines.push(format!("{}{name}.{what}:{value}|g\n", self.prefix));
    }
}

fn find_channel(topic: &TopicSnapshot, name: ChannelName) -> Option<&ChannelSnapshot> {
    topic.channels.iter().find(|channel| channel.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::sample;
    use crate::metrics::snapshot::StatsFilter;
    use nsq::wire::name::TopicName;

    fn round() -> Round {
        let mut snapshot = sample::snapshot();
        StatsFilter::default().apply(&mut snapshot);
        Round {
            snapshot,
            memory: Some(MemoryStats { heap_idle_bytes: 7, gc_total_runs: 3, ..MemoryStats::default() }),
        }
    }

    fn form(prefix: &str) -> Form {
        Form { prefix: prefix.to_owned(), exclude_ephemeral: false }
    }

    #[test]
    fn a_first_round_counts_from_zero() {
        let mut round = round();
        let topics = round.snapshot.topics.as_mut().unwrap();
        topics.truncate(1);
        topics[0].channels.remove(0);
        topics[0].latency.percentiles = Some(vec![(1.0, 901_171.0), (0.995, 5.9)]);
        topics[0].channels[0].latency.percentiles = Some(vec![(0.985, 1.0)]);
        assert_eq!(
            lines(&form("p."), &round, None).concat(),
            "p.topic.orders.message_count:9|c\n\
             p.topic.orders.message_bytes:23|c\n\
             p.topic.orders.depth:0|g\n\
             p.topic.orders.backend_depth:0|g\n\
             p.topic.orders.e2e_processing_latency_100:901171|g\n\
             p.topic.orders.e2e_processing_latency_100:5|g\n\
             p.topic.orders.channel.billing.message_count:9|c\n\
             p.topic.orders.channel.billing.depth:4|g\n\
             p.topic.orders.channel.billing.backend_depth:2|g\n\
             p.topic.orders.channel.billing.in_flight_count:2|g\n\
             p.topic.orders.channel.billing.deferred_count:2|g\n\
             p.topic.orders.channel.billing.requeue_count:1|c\n\
             p.topic.orders.channel.billing.timeout_count:0|c\n\
             p.topic.orders.channel.billing.clients:1|g\n\
             p.topic.orders.channel.billing.e2e_processing_latency_98:1|g\n\
             p.mem.heap_objects:0|g\n\
             p.mem.heap_idle_bytes:7|g\n\
             p.mem.heap_in_use_bytes:0|g\n\
             p.mem.heap_released_bytes:0|g\n\
             p.mem.gc_pause_usec_100:0|g\n\
             p.mem.gc_pause_usec_99:0|g\n\
             p.mem.gc_pause_usec_95:0|g\n\
             p.mem.next_gc_bytes:0|g\n\
             p.mem.gc_runs:3|c\n"
        );
    }

    #[test]
    fn later_rounds_count_the_difference() {
        let (before, mut now) = (round(), round());
        let topic = &mut now.snapshot.topics.as_mut().unwrap()[0];
        topic.message_count += 5;
        topic.message_bytes = 20;
        topic.channels[1].timeout_count += 2;
        let lines = lines(&form(""), &now, Some(&before)).concat();
        for line in [
            "topic.orders.message_count:5|c\n",
            "topic.orders.message_bytes:-3|c\n",
            "topic.orders.channel.billing.message_count:0|c\n",
            "topic.orders.channel.billing.timeout_count:2|c\n",
            "mem.gc_runs:0|c\n",
        ] {
            assert!(lines.contains(line), "{line}{lines}");
        }
    }

    #[test]
    fn ephemeral_topics_and_channels_can_be_left_out() {
        let mut round = round();
        round.memory = None;
        let topics = round.snapshot.topics.as_mut().unwrap();
        topics[0].channels[0].name = ChannelName::parse("c#ephemeral").unwrap();
        topics[1].name = TopicName::parse("t#ephemeral").unwrap();
        let all = lines(&form(""), &round, None).concat();
        assert!(
            all.contains("topic.orders.channel.c#ephemeral.depth") && all.contains("topic.t#ephemeral.depth")
        );
        let lasting = Form { exclude_ephemeral: true, ..form("") };
        let some = lines(&lasting, &round, None).concat();
        assert!(
            some.contains("topic.orders.channel.billing.depth") && !some.contains("#ephemeral"),
            "{some}"
        );
    }

    #[test]
    fn datagrams_hold_whole_lines_up_to_their_size() {
        let lines = ["aaaa\n", "bbbb\n", "cc\n", "dddddddddddddd\n", "e\n"].map(str::to_owned);
        let packed: Vec<_> =
            datagrams(&lines, 10).into_iter().map(|datagram| String::from_utf8(datagram).unwrap()).collect();
        assert_eq!(packed, ["aaaa\nbbbb\n", "cc\n", "dddddddddddddd\n", "e\n"]);
        assert!(datagrams(&[], 10).is_empty());
    }

    #[test]
    fn prefixes_name_the_host_and_end_in_a_dot() {
        assert_eq!(expand_prefix("nsq.%s", "h.example", 4151), "nsq.h_example_4151.");
        assert_eq!(expand_prefix("%s.%s.", "h", 1), "h_1.h_1.");
        assert_eq!(expand_prefix("plain", "h", 1), "plain.");
        assert_eq!(expand_prefix("%s", "::1", 1), "[__1]_1.");
        assert_eq!(expand_prefix("", "h", 1), "");
    }
}
