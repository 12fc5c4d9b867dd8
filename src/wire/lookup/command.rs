//! What nsqd asks of nsqlookupd.

use super::super::name::{ChannelName, TopicName};
use super::Identity;

/// A command of the protocol V1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Says who is connected. Comes once, and before any registration.
    Identify(Identity),
    /// Says that the client has this.
    Register(Registration),
    /// Says that the client has this no more. Without a channel it is all of the topic.
    Unregister(Registration),
    /// Says that the client is still there.
    Ping,
}

/// A topic, or a channel of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Registration {
    /// The topic.
    pub topic: TopicName,
    /// `None` where it is the topic itself.
    pub channel: Option<ChannelName>,
}

impl Command {
    /// Appends the command as it goes over the wire.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Identify(identity) => {
                let body = identity.to_json();
                // An identity is strings that came in frames or options: never near 2 GiB.
                let size = i32::try_from(body.len()).unwrap_or(i32::MAX);
                out.extend_from_slice(b"IDENTIFY\n");
                out.extend_from_slice(&size.to_be_bytes());
                out.extend_from_slice(&body);
            }
            Self::Register(registration) => registration.write_line("REGISTER", out),
            Self::Unregister(registration) => registration.write_line("UNREGISTER", out),
            Self::Ping => out.extend_from_slice(b"PING\n"),
        }
    }
}

impl Registration {
    fn write_line(&self, word: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(word.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.topic.as_bytes());
        if let Some(channel) = &self.channel {
            out.push(b' ');
            out.extend_from_slice(channel.as_bytes());
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_nsqd_v1_3_0_writes_them() {
        let topic = TopicName::parse("t").unwrap();
        let channel = ChannelName::parse("c#ephemeral").unwrap();
        let identity = Identity {
            broadcast_address: "bh".into(),
            hostname: "host1".into(),
            http_port: 24151,
            tcp_port: 24150,
            topology_region: "rr".into(),
            topology_zone: "zz".into(),
            version: "1.3.0".into(),
        };
        let mut wire = Vec::new();
        Command::Identify(identity).write_to(&mut wire);
        Command::Register(Registration { topic, channel: None }).write_to(&mut wire);
        Command::Register(Registration { topic, channel: Some(channel) }).write_to(&mut wire);
        Command::Unregister(Registration { topic, channel: Some(channel) }).write_to(&mut wire);
        Command::Ping.write_to(&mut wire);
        let identify = br#"{"broadcast_address":"bh","hostname":"host1","http_port":24151,"tcp_port":24150,"topology_region":"rr","topology_zone":"zz","version":"1.3.0"}"#;
        let size = (identify.len() as u32).to_be_bytes();
        let expected: [&[u8]; 4] = [
            b"IDENTIFY\n",
            &size,
            identify,
            b"REGISTER t\nREGISTER t c#ephemeral\nUNREGISTER t c#ephemeral\nPING\n",
        ];
        assert_eq!(wire, expected.concat());
    }
}
