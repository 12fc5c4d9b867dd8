//! What REGISTER, UNREGISTER, PING and a disconnect do: nsqlookupd.md §6.

use nsq_tests::stats::eventually;
use nsq_tests::{Lookupd, each};

#[test]
fn a_channel_brings_its_topic() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    client.command("REGISTER t c");
    client.command("REGISTER t c");
    client.command("REGISTER u");
    for (key, count) in
        [("client::", 1), ("topic:t:", 1), ("channel:t:c", 1), ("topic:u:", 1), ("topic:x:", 0)]
    {
        assert_eq!(lookupd.debug_count(key), count, "{key}");
    }
    assert_eq!(lookupd.found("t"), ["a".to_owned()].into());
}

#[test]
fn unregistering_a_channel_leaves_its_topic() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    client.command("REGISTER t c");
    client.command("REGISTER t e#ephemeral");
    client.command("UNREGISTER t c");
    client.command("UNREGISTER t e#ephemeral");
    assert_eq!(lookupd.found("t"), ["a".to_owned()].into());
    assert_eq!(lookupd.channels("t"), ["c".to_owned()].into(), "only the ephemeral one goes");
    assert_eq!(lookupd.debug_count("channel:t:c"), 0);
}

#[test]
fn an_ephemeral_name_stays_while_somebody_has_it() {
    let lookupd = Lookupd::start();
    let (mut one, mut other) = (lookupd.producer("a"), lookupd.producer("b"));
    for client in [&mut one, &mut other] {
        client.command("REGISTER t#ephemeral c#ephemeral");
    }
    one.command("UNREGISTER t#ephemeral c#ephemeral");
    one.command("UNREGISTER t#ephemeral");
    assert_eq!(lookupd.channels("t#ephemeral"), ["c#ephemeral".to_owned()].into());
    assert_eq!(lookupd.found("t#ephemeral"), ["b".to_owned()].into());
    other.command("UNREGISTER t#ephemeral c#ephemeral");
    other.command("UNREGISTER t#ephemeral");
    assert!(lookupd.channels("t#ephemeral").is_empty() && lookupd.topics().is_empty());
}

#[test]
fn unregistering_a_topic_leaves_its_channels() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    each(["t", "t#ephemeral"], |topic| {
        client_registers(&lookupd, topic);
    });
    client.command("REGISTER x c");
    client.command("REGISTER x d#ephemeral");
    client.command("UNREGISTER x");
    assert!(lookupd.found("x").is_empty());
    assert_eq!(lookupd.channels("x"), ["c", "d#ephemeral"].map(str::to_owned).into());
    assert_eq!(lookupd.debug_count("channel:x:c"), 0);
}

/// Registers and unregisters a topic with a channel: the channel stays, the topic only if it is lasting.
fn client_registers(lookupd: &Lookupd, topic: &str) {
    let mut client = lookupd.producer("b");
    client.command(&format!("REGISTER {topic} c"));
    client.command(&format!("UNREGISTER {topic}"));
    assert_eq!(lookupd.topics().contains(topic), topic == "t");
    assert_eq!(lookupd.channels(topic), ["c".to_owned()].into());
}

#[test]
fn unregistering_what_is_unknown_is_fine() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    client.command("UNREGISTER t");
    client.command("UNREGISTER t c");
    client.command("UNREGISTER t#ephemeral c#ephemeral");
    assert!(lookupd.topics().is_empty());
}

#[test]
fn an_ephemeral_name_that_nobody_has_goes_when_anybody_gives_it_up() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    lookupd.act("/channel/create?topic=t%23ephemeral&channel=c%23ephemeral");
    client.command("UNREGISTER t#ephemeral c#ephemeral");
    assert!(lookupd.channels("t#ephemeral").is_empty());
    client.command("UNREGISTER t#ephemeral");
    assert!(lookupd.topics().is_empty());
}

#[test]
fn a_disconnect_leaves_every_name() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    client.command("REGISTER t c");
    client.command("REGISTER e#ephemeral x#ephemeral");
    let mut refused = lookupd.producer("b");
    refused.command("REGISTER t");
    refused.send("FOO\n");
    refused.expect_fatal("E_INVALID invalid command FOO");
    drop(client);
    eventually("nobody", || lookupd.get("/debug").text().to_owned(), |text| text == "{}");
    assert_eq!(lookupd.topics(), ["e#ephemeral", "t"].map(str::to_owned).into());
    assert_eq!(lookupd.channels("e#ephemeral"), ["x#ephemeral".to_owned()].into());
    assert!(lookupd.found("t").is_empty() && lookupd.nodes().is_empty());
}

#[test]
fn who_says_nothing_is_hidden_until_it_pings() {
    let lookupd = Lookupd::with(&["--inactive-producer-timeout=300ms"]);
    let mut client = lookupd.producer("a");
    client.command("REGISTER t c");
    eventually("an empty lookup", || lookupd.found("t"), |found| found.is_empty());
    assert!(lookupd.nodes().is_empty());
    assert_eq!(lookupd.topics(), ["t".to_owned()].into(), "the topic is not hidden");
    assert_eq!(lookupd.channels("t"), ["c".to_owned()].into(), "nor is the channel");
    assert_eq!(lookupd.debug_count("topic:t:"), 1);
    client.command("REGISTER t");
    assert!(lookupd.nodes().is_empty(), "only a ping counts");
    let mut pinged = || {
        client.command("PING");
        lookupd.found("t")
    };
    // On a busy machine the look-up itself may come too late.
    assert!((0..20).any(|_| pinged().contains("a")));
}

#[test]
fn a_ping_moves_the_last_update() {
    let lookupd = Lookupd::start();
    let mut client = lookupd.producer("a");
    let last_update =
        || lookupd.get("/debug").json()["client::"][0]["last_update"].as_i64().expect("it is a number");
    let before = last_update();
    assert!(before > 1_700_000_000_000_000_000, "{before} is no Unix time in nanoseconds");
    client.command("PING");
    assert!(last_update() > before);
}
