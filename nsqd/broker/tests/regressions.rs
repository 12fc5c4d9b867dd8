//! Bugs that the simulation has found, each in a few steps. What went wrong is checked by the world itself, after
//! every step.

mod world;

use nsq::wire::name::TopicName;
use nsqd_broker::TopicSettings;
use world::{DiskMood, MS, Sessions, World};

fn ephemeral(memory_messages_max: u64) -> TopicSettings {
    TopicSettings {
        name: TopicName::parse("topic#ephemeral").expect("a good name"),
        ..World::settings(memory_messages_max)
    }
}

#[test]
fn a_write_that_failed_but_was_done_is_dropped_in_the_end() {
    let mut world = World::new(World::settings(0), Sessions::AtOnce);
    let consumer = world.subscribe("a", 10);
    world.let_everything_settle();
    world.publish(1, 0, 0);
    world.disk.mood = DiskMood::Tears { done: 1 };
    world.use_disk(1);
    world.finish_all(consumer);
    world.let_everything_settle();
    assert!(world.disk.stored.is_empty());
}

#[test]
fn an_ephemeral_channel_keeps_no_more_than_it_may_of_requeued_and_new_messages_together() {
    let mut world = World::new(ephemeral(3), Sessions::AtOnce);
    let consumer = world.subscribe("a", 3);
    world.publish(3, 0, 0);
    world.unsubscribe(consumer);
    world.publish(3, 0, 0);
    assert_eq!(world.topic.stats(world.now()).channels[0].depth, 3);
}

#[test]
fn what_an_ephemeral_channel_dropped_does_not_stay_on_the_disk() {
    let mut world = World::new(World::settings(0), Sessions::AtOnce);
    world.subscribe("passing#ephemeral", 0);
    world.publish(1, 0, 0);
    world.let_everything_settle();
    assert!(world.disk.stored.is_empty());
}

#[test]
fn a_delay_is_saved_though_nobody_consumes() {
    let mut world = World::new(World::settings(0), Sessions::AtOnce);
    world.create_channel("a");
    world.publish(1, 0, 60_000);
    world.let_everything_settle();
    world.advance(3_000 * MS);
    world.let_everything_settle();
    world.crash(0);
    assert_eq!(world.topic.stats(world.now()).channels[0].deferred, 1);
}

#[test]
fn what_was_gathered_behind_a_write_that_failed_and_is_not_needed_any_more_is_written() {
    let mut world = World::new(World::settings(0), Sessions::AtOnce);
    let consumer = world.subscribe("a", 1);
    world.let_everything_settle();
    world.publish(1, 0, 0);
    world.publish(1, 0, 0);
    // The first is finished before anybody says that the disk refused it.
    world.finish_all(consumer);
    world.disk.mood = DiskMood::Refuses;
    world.use_disk(1);
    world.disk.mood = DiskMood::Works;
    world.let_disk_finish();
    assert!(world.topic.is_stored(world.topic.end()), "whoever published it waits");
}
