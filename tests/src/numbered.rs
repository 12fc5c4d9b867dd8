//! Messages that are told apart by a number, and whose whole body follows from topic and number: a body that a
//! broken disk has changed, or that came to a wrong topic, is not taken for another.

use crate::random::mix;

/// The body of a topic's message: mostly some hundred bytes, now and then some thousand. It has no newline.
pub fn body(topic: &str, number: u64) -> Vec<u8> {
    let salt = mix(number);
    let length = match salt % 1_000 {
        0 => 40_000,
        1..20 => 3_000,
        _ => 20 + (salt >> 10) as usize % 300,
    };
    let filler = format!("{salt:016x}").repeat(length / 16 + 1);
    format!("{number} {topic} {filler}").into_bytes()
}

/// The number of the message; `None` where the body is not what it must be.
pub fn number(topic: &str, received: &[u8]) -> Option<u64> {
    let digits = received.split(|byte| *byte == b' ').next()?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (body(topic, number) == received).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_back_and_a_changed_body_is_seen() {
        let received = body("t", 7_777);
        assert_eq!(number("t", &received), Some(7_777));
        assert_eq!(number("u", &received), None);
        for at in 0..received.len() {
            let mut changed = received.clone();
            changed[at] ^= 1;
            assert_eq!(number("t", &changed), None, "{at}");
        }
        assert_eq!(number("t", &received[..received.len() - 1]), None);
    }
}
