//! The places where these daemons and the originals (v1.3.0) are meant to differ: the list of expectations
//! that `NSQD_PEER=1`, set when `NSQD` or `NSQLOOKUPD` names the original, turns to the original's side.
//!
//! Each of the two daemons may be the original alone: what `NSQD_PEER=1` says holds for those that are named.

use std::fs;
use std::time::Duration;

use crate::process::Signal;
use crate::stats::eventually;

/// Whether the nsqd under test is the original.
pub fn is_original() -> bool {
    original("nsqd")
}

/// Whether the nsqlookupd under test is the original.
pub fn lookupd_is_original() -> bool {
    original("nsqlookupd")
}

/// Whether the nsqadmin under test is the original: `NSQADMIN_PEER=1` says so of the one that `NSQADMIN` names. What is behind
/// it may be either.
pub fn admin_is_original() -> bool {
    let is_set = std::env::var_os("NSQADMIN_PEER").is_some_and(|value| value == "1");
    is_set && std::env::var_os("NSQADMIN").is_some()
}

/// Whether the program of this name is the original.
fn original(program: &str) -> bool {
    let is_set = std::env::var_os("NSQD_PEER").is_some_and(|value| value == "1");
    is_set && std::env::var_os(program.to_uppercase()).is_some()
}

/// Messages in flight on a lost connection go back to the queue at once; in the original they wait for
/// their timeout.
pub fn lost_connection_requeues_at_once() -> bool {
    !is_original()
}

/// How late a timeout or a delay may fire. The original scans, and looks at a new channel after up to 5 s.
pub fn lateness_max() -> Duration {
    Duration::from_millis(if is_original() { 7_000 } else { 1_500 })
}

/// A message is flushed as soon as nothing more is ready, whatever the output buffer's timeout. In the
/// original it waits for the timeout, and with the timeout off for the next heartbeat.
pub fn flushes_when_nothing_more_is_ready() -> bool {
    !is_original()
}

/// A delay outlives a restart and an overflow of the memory queue; the original delivers at once.
pub fn delays_are_kept() -> bool {
    !is_original()
}

/// Messages come in publish order, requeued ones apart; the original mixes memory and disk.
pub fn keeps_publish_order() -> bool {
    !is_original()
}

/// The keys that stand last in a topic's statistics, with the comma before them; the original has none of its own.
pub fn own_keys_of_topics_in_stats() -> &'static str {
    if is_original() { "" } else { r#","durability":"memory","oldest_age_ms":1"# }
}

/// The same of a channel's.
pub fn own_keys_of_channels_in_stats() -> &'static str {
    if is_original() { "" } else { r#","oldest_age_ms":1"# }
}

/// `global_msg_count`, and its siblings for the zone and the region, count every delivery; the original leaves out
/// those of messages that it read from the disk.
pub fn deliveries_from_the_disk_count() -> bool {
    !is_original()
}

/// With `--mem-queue-size=0` a kill loses nothing acknowledged; the original loses what was in flight or
/// deferred, and all before its first sync, and gives now and then a body that nobody published.
pub fn survives_kill_without_memory_queue() -> bool {
    !is_original()
}

/// A message is in flight once, and its FIN is taken. What the original has twice in its files after a kill can be in
/// flight twice, and the second answer to it fails.
pub fn takes_every_answer_after_a_kill() -> bool {
    !is_original()
}

/// Of a hundred messages, how many a consumer with this sample rate gets; the original gives one more.
pub fn sampled_percentage(sample_rate: u32) -> u32 {
    sample_rate + u32::from(is_original())
}

/// SIGHUP reloads; it kills the original of either program.
pub fn survives_hangup(program: &str) -> bool {
    !original(program)
}

/// Option values that crash the original later are refused at start.
pub fn refuses_values_that_cannot_work() -> bool {
    !is_original()
}

/// `/debug/setblockrate` and `/debug/freememory` work in the original and say 500; a 200 is as good.
pub fn debug_action_statuses() -> &'static [u16] {
    &[200, 500]
}

/// Ephemeral topics never touch the store, whatever their channels are called; in the original a lasting
/// channel of one has a disk queue.
pub fn ephemeral_topics_use_no_disk() -> bool {
    !is_original()
}

/// A client that takes nothing for a heartbeat interval is parted from. The original sends it nothing more, and keeps the
/// connection and the channel's record of it for as long as the client sends commands.
pub fn parts_from_who_takes_nothing() -> bool {
    !is_original()
}

/// A stop closes connections that never sent the magic too; the original waits for them, for ever.
pub fn stops_without_waiting_for_a_magic(program: &str) -> bool {
    !original(program)
}

/// A daemon that listens can be stopped in order. The original listens a moment before it handles signals, and
/// one that comes too soon kills it: this waits for the thread that its runtime starts to receive them, the
/// only one that blocks some but neither SIGINT nor SIGTERM.
pub fn wait_until_signals_are_handled(program: &str, process_id: u32) {
    if original(program) {
        wait_for_signal_handler(process_id);
    }
}

/// Waits for the thread of a program in Go that receives signals.
pub fn wait_for_signal_handler(process_id: u32) {
    let stop_signals = 1 << (2 - 1) | 1 << (15 - 1);
    let blocked = || -> Vec<u64> {
        let tasks = fs::read_dir(format!("/proc/{process_id}/task")).expect("the process runs");
        let statuses = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
        let mask = |status: String| {
            let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:").map(str::to_owned));
            u64::from_str_radix(line?.trim(), 16).ok()
        };
        statuses.filter_map(mask).collect()
    };
    let receives = |blocked: &u64| *blocked != 0 && blocked & stop_signals == 0;
    eventually("a thread that receives signals", blocked, |masks| masks.iter().any(receives));
}

/// The signal that surely stops a daemon in order. The original handles SIGINT first and SIGTERM a moment later.
pub fn stop_signal(program: &str) -> Signal {
    if original(program) { Signal::INT } else { Signal::TERM }
}

/// In the configuration file a truth value may be a number: 1 is true. In the original 1 is false.
pub fn numbers_in_the_file_are_truth_values() -> bool {
    !is_original()
}

/// nsqd sees at once that a lookup service is gone, and connects to it again by itself. The original sees it with the
/// next command it has for it, which is lost, and connects with the one after; an idle one every 15 s.
pub fn notices_a_lost_service() -> bool {
    !is_original()
}

/// nsqd tells a lookup service of each topic and channel once; the original may tell it again, and of a topic too
/// that comes with its channel.
pub fn registers_once() -> bool {
    !is_original()
}

/// A stop takes back at the lookup services what was told; the original just hangs up.
pub fn unregisters_on_a_stop() -> bool {
    !is_original()
}

/// nsqlookupd's lists come in the order of names; the original's in any.
pub fn lists_are_sorted() -> bool {
    !lookupd_is_original()
}

/// A body size of IDENTIFY that is negative crashes the original nsqlookupd, and one that is huge makes it reserve
/// so much memory; here both are errors.
pub fn registration_sizes_are_bounded() -> bool {
    !lookupd_is_original()
}

/// nsqlookupd refuses a line that has no end; the original reads on for ever.
pub fn registration_lines_are_bounded() -> bool {
    !lookupd_is_original()
}

/// `/topic/tombstone?topic=*` hides a node from all its topics; in the original from an arbitrary one of them.
pub fn all_topics_are_tombstoned_at_once() -> bool {
    !lookupd_is_original()
}

/// Profiles in Go's format are the original's alone.
pub fn has_go_profiles(program: &str) -> bool {
    original(program)
}

/// `--max-body-size` holds for `/mpub` whatever way the body comes; the original does not count chunks.
pub fn chunked_batches_are_bounded() -> bool {
    !is_original()
}

/// The command that makes a topic waits until the lookup services have said which channels it has; here the topic
/// waits, and nobody else.
pub fn new_topics_wait_for_lookups() -> bool {
    is_original()
}

/// What an authorization server answers has limits, in bytes, in patterns, and in what the patterns become; the original
/// reads all there is.
pub fn authorization_answers_are_bounded() -> bool {
    !is_original()
}

/// A connection ends at once when its client is gone while an authorization server is waited for; in the original it ends
/// with the answer.
pub fn parts_from_who_is_gone_while_authorizing() -> bool {
    !is_original()
}

/// A stop closes connections that wait for an authorization server too; the original waits for its answer.
pub fn stops_without_waiting_for_authorization() -> bool {
    !is_original()
}

/// nsqadmin answers 404 for a topic or a channel that is not there; the original 502, 500, or a warning.
pub fn admin_knows_what_is_not_there() -> bool {
    !admin_is_original()
}

/// nsqadmin shows each node's own numbers beside the sums; in the original's answer for a topic the first node's channels
/// are the sums.
pub fn admin_keeps_each_nodes_numbers() -> bool {
    !admin_is_original()
}

/// A topic that nobody has is shown as empty; the original says 502.
pub fn admin_shows_topics_without_nodes() -> bool {
    !admin_is_original()
}

/// In direct mode topics and channels are made; the original says that they were, and does nothing, or 502.
pub fn admin_creates_in_direct_mode() -> bool {
    !admin_is_original()
}

/// A notification endpoint that is dead harms nothing; the original crashes.
pub fn admin_survives_a_dead_endpoint() -> bool {
    !admin_is_original()
}

/// nsqadmin tells of an action only if it was not refused; the original tells of pausing and emptying before it tries.
pub fn admin_tells_of_what_was_refused() -> bool {
    admin_is_original()
}

/// A node is tombstoned only if it is one of the cluster's, and one that is not there any more is a warning; the original
/// asks any host that is named, and says 502 if it does not answer.
pub fn admin_tombstones_known_nodes_only() -> bool {
    !admin_is_original()
}

/// Writes from foreign pages are refused, there is a login, an overview, a history: all that v1.3.0 does not have.
pub fn admin_has_extensions() -> bool {
    !admin_is_original()
}

/// What nsqadmin says of bad JSON, where the original repeats its decoder.
pub fn bad_json_text() -> &'static str {
    if admin_is_original() {
        "invalid character 'o' in literal null (expecting 'u')"
    } else {
        "expected ident at line 1 column 2"
    }
}
