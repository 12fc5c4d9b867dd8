//! Commands that are written at once, made before anything is measured: only the numbers in the bodies change.

use std::ops::Range;
use std::time::Duration;

use nsq::wire::encode;
use nsq::wire::name::TopicName;

use super::layer::Layer;
use super::seen::NUMBER_BYTES;

/// Bytes to be written at once.
#[derive(Debug)]
pub(super) struct Burst {
    bytes: Vec<u8>,
    /// Where the numbers of the messages are; empty where they cannot be changed any more.
    places: Vec<usize>,
    messages: usize,
    commands: usize,
}

/// What commands the messages are published by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publish {
    /// A PUB each.
    One,
    /// An MPUB of so many.
    Batch(usize),
    /// A DPUB each, with a delay that depends on its place, see [`delay`].
    Deferred,
}

/// Delays are spread over this range, in milliseconds. nsqd of v1.3.0 looks at a new channel's only after up to 5 seconds,
/// which is not what is to be measured.
const DELAYS_MS: Range<u64> = 6_000..9_000;

/// The delay of a message that is published as [`Publish::Deferred`] in a burst of so many.
pub(super) fn delay(number: u64, messages: u64) -> Duration {
    let spread = DELAYS_MS.end - DELAYS_MS.start;
    Duration::from_millis(DELAYS_MS.start + (number % messages) * spread / messages)
}

impl Burst {
    /// One of so many commands.
    pub(super) fn new(topic: &TopicName, publish: Publish, commands: usize, size: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let messages = match publish {
            Publish::Batch(messages) => messages * commands,
            Publish::One | Publish::Deferred => commands,
        };
        let bodies: Vec<Vec<u8>> = (0..messages).map(|_| body(size, &mut random)).collect();
        let mut burst = Self { bytes: Vec::new(), places: Vec::new(), messages, commands };
        match publish {
            Publish::Batch(each) => {
                for bodies in bodies.chunks(each) {
                    encode::multi_publish(&mut burst.bytes, topic, bodies);
                    let end = burst.bytes.len();
                    burst.places.extend((1..=bodies.len()).rev().map(|behind| end - behind * (4 + size) + 4));
                }
            }
            Publish::One => {
                for body in &bodies {
                    encode::publish(&mut burst.bytes, topic, body);
                    burst.places.push(burst.bytes.len() - size);
                }
            }
            Publish::Deferred => {
                for (number, body) in (0..).zip(&bodies) {
                    let delay = delay(number, messages as u64);
                    encode::deferred_publish(&mut burst.bytes, topic, delay, body);
                    burst.places.push(burst.bytes.len() - size);
                }
            }
        }
        burst
    }

    /// As the layer wants it; numbered from `first`, in case that is the last chance.
    pub(super) fn encoded(mut self, layer: Layer, first: u64) -> Self {
        self.number(first);
        if layer.is_compressed() {
            self.places.clear();
        }
        Self { bytes: layer.encode(self.bytes), ..self }
    }

    /// Numbers the messages from `first`, where they still can be.
    pub(super) fn number(&mut self, first: u64) {
        for (place, number) in self.places.iter().zip(first..) {
            self.bytes[*place..place + NUMBER_BYTES].copy_from_slice(&number.to_le_bytes());
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first so many commands, of those that are of one length each.
    pub(super) fn first(&self, commands: usize) -> &[u8] {
        &self.bytes[..self.bytes.len() / self.commands * commands]
    }

    pub(super) fn messages(&self) -> usize {
        self.messages
    }
}

/// A body with room for its number, and text behind it that compresses as such text does: to about half.
fn body(size: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    const KEYS: [&str; 8] = ["user", "order", "item", "price", "city", "state", "time", "note"];
    const WORDS: [&str; 16] = [
        "open", "paid", "sent", "closed", "berlin", "lagos", "lima", "osaka", "large", "small", "blue",
        "green", "late", "early", "left", "right",
    ];
    let mut body = vec![0; NUMBER_BYTES];
    while body.len() < size {
        let (key, word) = (KEYS[random.usize(..KEYS.len())], WORDS[random.usize(..WORDS.len())]);
        body.extend_from_slice(format!("\"{key}\":\"{word}-{:x}\",", random.u32(..)).as_bytes());
    }
    body.truncate(size);
    body
}

#[cfg(test)]
mod tests {
    use super::super::seen;
    use super::*;

    fn topic() -> TopicName {
        TopicName::parse("t").unwrap()
    }

    #[test]
    fn numbers_go_on_through_commands_and_bodies_keep_their_size() {
        for publish in [Publish::Batch(2), Publish::One, Publish::Deferred] {
            let mut burst = Burst::new(&topic(), publish, 3, 50, 1);
            burst.number(1 << 40);
            let numbers: Vec<u64> =
                burst.places.iter().map(|at| seen::number(&burst.bytes[*at..at + 50]).unwrap()).collect();
            let expected: Vec<u64> = ((1 << 40)..).take(burst.messages()).collect();
            assert_eq!(numbers, expected);
            let again = Burst::new(&topic(), publish, 3, 50, 1);
            assert_eq!(burst.bytes.len(), again.bytes.len());
        }
    }

    #[test]
    fn a_body_compresses_to_about_half() {
        let burst = Burst::new(&topic(), Publish::Batch(200), 1, 200, 1);
        let plain = burst.bytes.len();
        let snappy = burst.encoded(Layer::Snappy, 0).bytes.len();
        assert!(snappy * 10 > plain * 3 && snappy * 10 < plain * 7, "{snappy} of {plain}");
    }

    #[test]
    fn delays_are_spread() {
        assert_eq!(delay(0, 100), Duration::from_secs(6));
        assert_eq!(delay(150, 100), Duration::from_millis(7_500));
    }
}
