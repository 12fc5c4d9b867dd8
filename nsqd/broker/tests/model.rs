//! Any sequence of commands leaves the topic as a naive model says it is.

mod world;

use proptest::prelude::*;
use world::{DiskMood, MS, Sessions, World};

#[derive(Debug, Clone)]
enum Op {
    Publish { count: usize, body_bytes: usize, delay_ms: u64 },
    Subscribe { channel: usize, ready: u64 },
    SetReady { consumer: usize, ready: u64 },
    Unsubscribe { consumer: usize },
    Finish { consumer: usize, n: usize },
    FinishAll { consumer: usize },
    Requeue { consumer: usize, n: usize, delay_ms: u64 },
    Touch { consumer: usize, n: usize },
    Advance { ms: u64 },
    CreateChannel { channel: usize },
    DeleteChannel { channel: usize },
    ExpectChannels,
    ChannelsKnown { channels: usize },
    PauseTopic { paused: bool },
    PauseChannel { channel: usize, paused: bool },
    EmptyTopic,
    EmptyChannel { channel: usize },
    Disk { count: usize },
    DiskMood { works: bool },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let channel = 0..3_usize;
    let consumer = 0..8_usize;
    let delay = prop_oneof![3 => Just(0_u64), 1 => 1..5_000_u64];
    prop_oneof![
        12 => (1..40_usize, prop_oneof![9 => 0..600_usize, 1 => 9_000..40_000_usize], delay.clone())
            .prop_map(|(count, body_bytes, delay_ms)| Op::Publish { count, body_bytes, delay_ms }),
        6 => (channel.clone(), 0..20_u64).prop_map(|(channel, ready)| Op::Subscribe { channel, ready }),
        6 => (consumer.clone(), 0..30_u64).prop_map(|(consumer, ready)| Op::SetReady { consumer, ready }),
        2 => consumer.clone().prop_map(|consumer| Op::Unsubscribe { consumer }),
        10 => (consumer.clone(), 0..50_usize).prop_map(|(consumer, n)| Op::Finish { consumer, n }),
        5 => consumer.clone().prop_map(|consumer| Op::FinishAll { consumer }),
        8 => (consumer.clone(), 0..50_usize, delay)
            .prop_map(|(consumer, n, delay_ms)| Op::Requeue { consumer, n, delay_ms }),
        3 => (consumer, 0..50_usize).prop_map(|(consumer, n)| Op::Touch { consumer, n }),
        5 => prop_oneof![1..10_u64, 1_000..130_000_u64].prop_map(|ms| Op::Advance { ms }),
        2 => channel.clone().prop_map(|channel| Op::CreateChannel { channel }),
        1 => channel.clone().prop_map(|channel| Op::DeleteChannel { channel }),
        1 => Just(Op::ExpectChannels),
        2 => (0..4_usize).prop_map(|channels| Op::ChannelsKnown { channels }),
        2 => any::<bool>().prop_map(|paused| Op::PauseTopic { paused }),
        2 => (channel.clone(), any::<bool>())
            .prop_map(|(channel, paused)| Op::PauseChannel { channel, paused }),
        1 => Just(Op::EmptyTopic),
        1 => channel.prop_map(|channel| Op::EmptyChannel { channel }),
        8 => (1..20_usize).prop_map(|count| Op::Disk { count }),
        2 => any::<bool>().prop_map(|works| Op::DiskMood { works }),
        1 => Just(Op::Restart),
    ]
}

const CHANNELS: [&str; 3] = ["a", "b", "c"];

fn apply(world: &mut World, op: Op) {
    let name = |channel: usize| CHANNELS[channel];
    let consumer_of = |world: &World, n: usize| {
        let count = world.consumers.len().max(1);
        world.consumers.keys().nth(n % count).copied().unwrap_or(usize::MAX)
    };
    match op {
        Op::Publish { count, body_bytes, delay_ms } => world.publish(count, body_bytes, delay_ms),
        Op::Subscribe { channel, ready } => {
            world.subscribe(name(channel), ready);
        }
        Op::SetReady { consumer, ready } => world.set_ready(consumer_of(world, consumer), ready),
        Op::Unsubscribe { consumer } => world.unsubscribe(consumer_of(world, consumer)),
        Op::Finish { consumer, n } => world.finish(consumer_of(world, consumer), n),
        Op::FinishAll { consumer } => world.finish_all(consumer_of(world, consumer)),
        Op::Requeue { consumer, n, delay_ms } => world.requeue(consumer_of(world, consumer), n, delay_ms),
        Op::Touch { consumer, n } => world.touch(consumer_of(world, consumer), n),
        Op::Advance { ms } => world.advance(ms * MS),
        Op::CreateChannel { channel } => world.create_channel(name(channel)),
        Op::DeleteChannel { channel } => world.delete_channel(name(channel)),
        Op::ExpectChannels => world.expect_channels(),
        Op::ChannelsKnown { channels } => world.channels_known(&CHANNELS[..channels]),
        Op::PauseTopic { paused } => world.pause_topic(paused),
        Op::PauseChannel { channel, paused } => world.pause_channel(name(channel), paused),
        Op::EmptyTopic => world.empty_topic(),
        Op::EmptyChannel { channel } => world.empty_channel(name(channel)),
        Op::Disk { count } => world.use_disk(count),
        Op::DiskMood { works } => {
            world.disk.mood = if works { DiskMood::Works } else { DiskMood::Refuses };
        }
        Op::Restart => world.restart(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_topic_is_what_the_naive_model_says(
        memory in prop_oneof![Just(0_u64), Just(10), Just(100), Just(10_000)],
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        let mut world = World::new(World::settings(memory), Sessions::AtOnce);
        for op in ops {
            apply(&mut world, op);
        }
        world.drain();
    }
}
