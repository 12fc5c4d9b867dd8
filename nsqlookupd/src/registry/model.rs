//! The registry against the plainest thing that does the same: one map from place to producers, searched for everything.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SETTINGS: Settings = Settings {
    inactive_producer_timeout: Duration::from_secs(3),
    tombstone_lifetime: Duration::from_secs(2),
    names_max: 9,
    registrations_per_producer_max: 6,
};
const TOPICS: [&str; 4] = ["a", "a-b", "b", "e#ephemeral"];
const CHANNELS: [&str; 3] = ["c", "d", "x#ephemeral"];

/// What happens. Producers are chosen by a number among those that are connected.
#[derive(Debug, Clone)]
enum Step {
    Connect { port: i64 },
    Disconnect(usize),
    Ping(usize),
    Register(usize, usize, Option<usize>),
    Unregister(usize, usize, Option<usize>),
    List(usize, Option<usize>),
    DeleteTopic(Option<usize>),
    DeleteChannel(usize, usize),
    Tombstone(Option<usize>, i64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (topic, channel) = (0..TOPICS.len(), 0..CHANNELS.len());
    let maybe_topic = proptest::option::of(topic.clone());
    let maybe_channel = proptest::option::of(channel.clone());
    let who = 0..8_usize;
    prop_oneof![
        2 => (1..4_i64).prop_map(|port| Step::Connect { port }),
        1 => who.clone().prop_map(Step::Disconnect),
        1 => who.clone().prop_map(Step::Ping),
        6 => (who.clone(), topic.clone(), maybe_channel.clone()).prop_map(|(w, t, c)| Step::Register(w, t, c)),
        3 => (who, topic.clone(), maybe_channel.clone()).prop_map(|(w, t, c)| Step::Unregister(w, t, c)),
        1 => (topic.clone(), maybe_channel).prop_map(|(t, c)| Step::List(t, c)),
        1 => maybe_topic.clone().prop_map(Step::DeleteTopic),
        1 => (topic, channel).prop_map(|(t, c)| Step::DeleteChannel(t, c)),
        1 => (maybe_topic, 1..4_i64).prop_map(|(t, port)| Step::Tombstone(t, port)),
        1 => (0..4_u64).prop_map(Step::Wait),
    ]
}

/// A place is a topic (`None` for everybody who is connected) and perhaps a channel.
type Place = (String, Option<String>);

#[derive(Default)]
struct Model {
    now: Duration,
    /// In the order of connecting.
    connected: Vec<(ProducerId, String, Duration)>,
    places: BTreeMap<Place, BTreeMap<ProducerId, Option<Duration>>>,
}

impl Model {
    fn registrations(&self, id: ProducerId) -> usize {
        self.places.values().filter(|ids| ids.contains_key(&id)).count()
    }

    fn list(&mut self, topic: &str, channel: Option<&str>) -> bool {
        let places = places_of(topic, channel);
        let new = places.iter().filter(|place| !self.places.contains_key(*place)).count();
        if new > 0 && self.places.len() + new > SETTINGS.names_max {
            return false;
        }
        for place in places {
            self.places.entry(place).or_default();
        }
        true
    }

    fn register(&mut self, id: ProducerId, topic: &str, channel: Option<&str>) -> Option<usize> {
        let places = places_of(topic, channel);
        let has = |place| self.places.get(place).is_some_and(|ids| ids.contains_key(&id));
        let new = places.iter().filter(|place| !has(place)).count();
        if new == 0 {
            return Some(0);
        }
        if self.registrations(id) + new > SETTINGS.registrations_per_producer_max
            || !self.list(topic, channel)
        {
            return None;
        }
        for place in places {
            self.places.entry(place).or_default().entry(id).or_default();
        }
        Some(new)
    }

    fn unregister(&mut self, id: ProducerId, topic: &str, channel: Option<&str>) -> usize {
        let before = self.registrations(id);
        for (place, ids) in &mut self.places {
            let is_meant =
                place.0 == topic && channel.is_none_or(|channel| place.1.as_deref() == Some(channel));
            if is_meant {
                ids.remove(&id);
            }
        }
        let place = (topic.to_owned(), channel.map(str::to_owned));
        let is_ephemeral = channel.unwrap_or(topic).ends_with("#ephemeral");
        if is_ephemeral && self.places.get(&place).is_some_and(BTreeMap::is_empty) {
            self.places.remove(&place);
        }
        before - self.registrations(id)
    }

    fn active(&self) -> impl Iterator<Item = &(ProducerId, String, Duration)> {
        self.connected.iter().filter(|(_, _, last)| self.now - *last <= SETTINGS.inactive_producer_timeout)
    }

    fn hides(&self, tombstone: Option<Duration>) -> bool {
        tombstone.is_some_and(|at| self.now - at < SETTINGS.tombstone_lifetime)
    }

    /// The tombstones of the producer's topics that are meant.
    fn topics_of(&self, id: ProducerId, meant: Option<&str>) -> Vec<(String, bool)> {
        let topics = self
            .places
            .iter()
            .filter(|(place, _)| place.1.is_none() && meant.is_none_or(|meant| meant == place.0));
        topics.filter_map(|(place, ids)| Some((place.0.clone(), self.hides(*ids.get(&id)?)))).collect()
    }

    fn channels(&self, meant: Option<&str>) -> Vec<String> {
        let places = self.places.keys().filter(|place| meant.is_none_or(|meant| meant == place.0));
        places.filter_map(|place| place.1.clone()).collect()
    }
}

fn places_of(topic: &str, channel: Option<&str>) -> Vec<Place> {
    let topic_place = (topic.to_owned(), None);
    let channel_place = channel.map(|channel| (topic.to_owned(), Some(channel.to_owned())));
    std::iter::once(topic_place).chain(channel_place).collect()
}

fn selection(topic: Option<usize>) -> Selection<'static> {
    topic.map_or(Selection::All, |topic| Selection::Named(TOPICS[topic]))
}

fn registration(topic: usize, channel: Option<usize>) -> Registration {
    Registration {
        topic: TopicName::parse(TOPICS[topic]).unwrap(),
        channel: channel.map(|channel| ChannelName::parse(CHANNELS[channel]).unwrap()),
    }
}

fn apply(step: Step, registry: &mut Registry, model: &mut Model) {
    let count = model.connected.len();
    let chosen = |who: usize| (count > 0).then(|| who % count);
    match step {
        Step::Connect { port } => {
            let identity = Identity {
                broadcast_address: "h".into(),
                http_port: port,
                tcp_port: 1,
                version: "v".into(),
                ..Identity::default()
            };
            let id = registry.connect(model.now, format!("peer {count}"), identity);
            model.connected.push((id, format!("h:{port}"), model.now));
        }
        Step::Disconnect(who) => {
            let Some(who) = chosen(who) else { return };
            let (id, _, _) = model.connected.remove(who);
            let expected = 1 + model.registrations(id);
            for ids in model.places.values_mut() {
                ids.remove(&id);
            }
            assert_eq!(registry.disconnect(id).len(), expected);
            assert_eq!(registry.disconnect(id), []);
        }
        Step::Ping(who) => {
            let Some(who) = chosen(who) else { return };
            let (id, _, last) = &mut model.connected[who];
            assert_eq!(registry.ping(model.now, *id), model.now - std::mem::replace(last, model.now));
        }
        Step::Register(who, topic, channel) => {
            let Some(who) = chosen(who) else { return };
            let id = model.connected[who].0;
            let expected = model.register(id, TOPICS[topic], channel.map(|channel| CHANNELS[channel]));
            let added = registry.register(id, &registration(topic, channel));
            assert_eq!(added.ok().map(|keys| keys.len()), expected);
        }
        Step::Unregister(who, topic, channel) => {
            let Some(who) = chosen(who) else { return };
            let id = model.connected[who].0;
            let expected = model.unregister(id, TOPICS[topic], channel.map(|channel| CHANNELS[channel]));
            assert_eq!(registry.unregister(id, &registration(topic, channel)).len(), expected);
        }
        Step::List(topic, channel) => {
            let Registration { topic: name, channel: channel_name } = registration(topic, channel);
            let expected = model.list(TOPICS[topic], channel.map(|channel| CHANNELS[channel]));
            assert_eq!(registry.list(&name, channel_name.as_ref()).is_ok(), expected);
        }
        Step::DeleteTopic(topic) => {
            let before = model.places.len();
            model.places.retain(|place, _| topic.is_some_and(|topic| place.0 != TOPICS[topic]));
            assert_eq!(registry.delete_topics(selection(topic)).len(), before - model.places.len());
        }
        Step::DeleteChannel(topic, channel) => {
            let place = (TOPICS[topic].to_owned(), Some(CHANNELS[channel].to_owned()));
            let name = registration(topic, Some(channel));
            let deleted = registry.delete_channel(&name.topic, &name.channel.unwrap());
            assert_eq!(deleted, model.places.remove(&place).is_some());
        }
        Step::Tombstone(topic, port) => {
            let node = format!("h:{port}");
            registry.tombstone(model.now, selection(topic), &node);
            let meant =
                |place: &Place| place.1.is_none() && topic.is_none_or(|topic| TOPICS[topic] == place.0);
            for (_, ids) in model.places.iter_mut().filter(|(place, _)| meant(place)) {
                for (id, _, _) in model.connected.iter().filter(|(_, address, _)| *address == node) {
                    ids.entry(*id).and_modify(|tombstone| *tombstone = Some(model.now));
                }
            }
        }
        Step::Wait(seconds) => model.now += Duration::from_secs(seconds),
    }
}

/// Everything that can be asked must be answered alike.
fn compare(registry: &Registry, model: &Model) {
    let now = model.now;
    let texts = |names: &mut dyn Iterator<Item = &Name>| -> Vec<String> {
        names.map(|name| name.to_string()).collect()
    };
    let topics: Vec<String> =
        model.places.keys().filter(|place| place.1.is_none()).map(|place| place.0.clone()).collect();
    assert_eq!(texts(&mut registry.topics()), topics);
    assert_eq!(registry.names, model.places.len());

    for meant in TOPICS.map(Some).into_iter().chain([None, Some("unknown"), Some("")]) {
        let selection = meant.map_or(Selection::All, Selection::Named);
        assert_eq!(texts(&mut registry.channels(selection)), model.channels(meant));
        let is_known = topics.iter().any(|topic| meant.is_none_or(|meant| meant == topic));
        let found = registry.lookup(now, selection);
        assert_eq!(found.is_some(), is_known);
        let Some(found) = found else { continue };
        assert_eq!(texts(&mut found.channels.iter()), model.channels(meant));
        let shown =
            model.active().filter(|(id, _, _)| model.topics_of(*id, meant).iter().any(|(_, hidden)| !hidden));
        let shown: Vec<String> = shown.map(|(_, node, _)| node.clone()).collect();
        assert_eq!(found.producers.iter().map(|peer| peer.node()).collect::<Vec<_>>(), shown);
    }

    let mut place = None;
    for (id, address, _) in model.active() {
        let node = registry.node_after(now, place).unwrap();
        assert_eq!((node.id, node.peer.node()), (*id, address.clone()));
        let topics: Vec<(String, bool)> =
            node.topics.iter().map(|(name, hidden)| (name.to_string(), *hidden)).collect();
        assert_eq!(topics, model.topics_of(*id, None));
        place = Some(node.id);
    }
    assert_eq!(registry.node_after(now, place), None);

    let mut entries = BTreeMap::new();
    let mut place: Option<Name> = None;
    while let Some(topic) = registry.topic_after(place.as_deref()) {
        let name = topic.name.to_string();
        let stamps = |found: &[Entry]| found.iter().map(|entry| entry.tombstoned_at).collect::<Vec<_>>();
        entries.insert((name.clone(), None), stamps(&topic.producers));
        for (channel, found) in &topic.channels {
            entries.insert((name.clone(), Some(channel.to_string())), stamps(found));
        }
        place = Some(topic.name);
    }
    entries.retain(|_, found| !found.is_empty());
    let expected: BTreeMap<Place, Vec<Option<Duration>>> = model
        .places
        .iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(place, ids)| (place.clone(), ids.values().copied().collect()))
        .collect();
    assert_eq!(entries, expected);
    assert_eq!(registry.clients().len(), model.connected.len());
}

proptest! {
    #[test]
    fn the_registry_does_what_the_model_does(steps in prop::collection::vec(step(), 1..120)) {
        let mut registry = Registry::new(SETTINGS);
        let mut model = Model::default();
        for step in steps {
            apply(step, &mut registry, &mut model);
            compare(&registry, &model);
        }
    }
}

#[test]
fn an_unregistered_ephemeral_topic_leaves_its_channels() {
    let mut registry = Registry::new(Settings::default());
    let id = registry.connect(Duration::ZERO, String::new(), Identity::default());
    registry.register(id, &registration(3, Some(0))).unwrap();
    let removed = registry.unregister(id, &registration(3, None));
    assert_eq!(removed.len(), 2);
    assert_eq!(registry.lookup(Duration::ZERO, Selection::Named(TOPICS[3])), None);
    assert_eq!(registry.channels(Selection::Named(TOPICS[3])).count(), 1);
    assert_eq!(registry.delete_topics(Selection::Named(TOPICS[3])).len(), 1);
}

#[test]
fn a_refusal_changes_nothing_and_what_is_there_stays_registrable() {
    let mut registry = Registry::new(Settings { registrations_per_producer_max: 2, ..SETTINGS });
    let id = registry.connect(Duration::ZERO, String::new(), Identity::default());
    registry.register(id, &registration(0, Some(0))).unwrap();
    assert_eq!(registry.register(id, &registration(0, Some(1))), Err(Full::Registrations { max: 2 }));
    assert_eq!(registry.register(id, &registration(0, Some(0))), Ok(Vec::new()));
    assert_eq!(registry.channels(Selection::All).count(), 1);
}
