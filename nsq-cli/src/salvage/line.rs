//! A message as one line of JSON.

use nsqd::inspect::{Message, SetAsideMessage};
use serde_json::{Value, json};

use super::base64::encode;

/// A message that somebody still needs.
pub(super) fn of(message: &Message<'_>) -> Value {
    let channels = message.recipients.iter().map(|recipient| {
        let mut channel = json!({"channel": recipient.channel.to_string(), "attempts": recipient.attempts});
        if let Some(due_ns) = recipient.due_unix_ns {
            channel["due_ns"] = due_ns.into();
        }
        channel
    });
    let mut line = json!({
        "topic": message.topic.to_string(),
        "id": message.id.to_string(),
        "timestamp_ns": message.timestamp_ns,
        "channels": channels.collect::<Vec<_>>(),
        "body": encode(message.body),
    });
    if let Some(delay_ns) = message.delay_ns {
        line["delay_ns"] = delay_ns.into();
    }
    line
}

/// A message from what was set aside: nobody knows who has had it.
pub(super) fn of_set_aside(message: &SetAsideMessage<'_>) -> Value {
    json!({
        "topic": message.topic.map(|topic| topic.to_string()),
        "id": message.id.to_string(),
        "timestamp_ns": message.timestamp_ns,
        "file": message.file,
        "is_checked": message.is_checked,
        "body": encode(message.body),
    })
}

#[cfg(test)]
mod tests {
    use nsq::wire::message::MessageId;
    use nsq::wire::name::{ChannelName, TopicName};
    use nsqd::inspect::Recipient;

    use super::*;

    #[test]
    fn a_line_says_who_needs_the_message_and_when() {
        let recipient = |name, attempts, due_unix_ns| Recipient {
            channel: ChannelName::parse(name).unwrap(),
            attempts,
            due_unix_ns,
        };
        let mut message = Message {
            topic: TopicName::parse("orders").unwrap(),
            id: MessageId::from_u64(255),
            timestamp_ns: 1_700_000_000_000_000_000,
            recipients: vec![recipient("a", 2, None), recipient("b", 0, Some(5))],
            delay_ns: None,
            body: b"\0hello",
        };
        assert_eq!(
            of(&message).to_string(),
            r#"{"body":"AGhlbGxv","channels":[{"attempts":2,"channel":"a"},{"attempts":0,"channel":"b","due_ns":5}],"id":"00000000000000ff","timestamp_ns":1700000000000000000,"topic":"orders"}"#
        );
        message.delay_ns = Some(9);
        assert_eq!(of(&message)["delay_ns"], 9);
    }
}
