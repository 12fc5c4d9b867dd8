//! Taking a topic away from one nsqd: it is hidden first, so that nobody connects while it is deleted there.

use nsq_tests::stats::eventually;
use nsq_tests::{Daemon, Lookupd, cluster};

/// A service and two nsqd that have the topic `t`.
fn pair(flags: &[&str]) -> (Lookupd, Daemon, Daemon) {
    let service = cluster::lookupd(flags);
    let (one, other) = (cluster::nsqd(&[&service], &[]), cluster::nsqd(&[&service], &[]));
    for daemon in [&one, &other] {
        daemon.act("/topic/create?topic=t");
    }
    service.wait_for_producers("t", &[&one, &other]);
    (service, one, other)
}

fn bury(service: &Lookupd, daemon: &Daemon) {
    service.act(&format!("/topic/tombstone?topic=t&node={}", daemon.http));
}

#[test]
fn a_tombstone_hides_one_nsqd_and_expires() {
    let (service, one, other) = pair(&["--tombstone-lifetime=2s"]);
    bury(&service, &one);
    service.wait_for_producers("t", &[&other]);
    service.wait_for_producers("t", &[&one, &other]);
}

#[test]
fn a_topic_is_deleted_on_one_nsqd_while_it_is_hidden_there() {
    let (service, one, other) = pair(&[]);
    bury(&service, &one);
    assert_eq!(service.producers("t"), [other.tcp.to_string()]);
    one.act("/topic/delete?topic=t");
    eventually("one less", || service.debug_count("topic:t:"), |count| *count == 1);
    assert_eq!(service.producers("t"), [other.tcp.to_string()]);
    // Made again, it is a new one: the tombstone went with the old.
    one.publish("t", "x");
    service.wait_for_producers("t", &[&one, &other]);
}

#[test]
fn a_topic_that_is_made_again_at_once_is_a_new_one() {
    let (service, one, other) = pair(&[]);
    bury(&service, &one);
    service.wait_for_producers("t", &[&other]);
    one.act("/topic/delete?topic=t");
    one.act("/topic/create?topic=t");
    service.wait_for_producers("t", &[&one, &other]);
}

#[test]
fn a_tombstone_does_not_outlive_the_nsqds_connection() {
    let (service, one, other) = pair(&[]);
    bury(&service, &one);
    assert_eq!(service.producers("t"), [other.tcp.to_string()]);
    let one = one.stop().start_in_place();
    service.wait_for_producers("t", &[&one, &other]);
}

#[test]
fn a_tombstone_is_for_one_topic_and_no_other() {
    let (service, one, other) = pair(&[]);
    one.act("/topic/create?topic=u");
    service.wait_for_producers("u", &[&one]);
    bury(&service, &one);
    assert_eq!(service.producers("t"), [other.tcp.to_string()]);
    assert_eq!(service.producers("u"), [one.tcp.to_string()]);
    assert_eq!(service.nodes().len(), 2);
}
