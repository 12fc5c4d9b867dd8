//! Which file belongs to which queue, and what of it is to be read, in order.

use std::collections::BTreeMap;

use nsq::wire::name::TopicName;

use super::diskqueue::Positions;
use super::file_name::{Kind, Owner, QueueFile};

/// The queues of each topic, by name.
pub(super) type Plan = BTreeMap<TopicName, BTreeMap<Owner, QueuePlan>>;

/// The files of one queue.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct QueuePlan {
    /// Where it is written what is to be read.
    pub(super) positions: Option<String>,
    /// Files with messages, by number. One that was set aside comes before one of the same number.
    data: BTreeMap<(u64, Condition), String>,
    leftovers: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    SetAside,
    Good,
}

/// A file with messages, and what to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) reading: Reading,
    /// How long the file was when its positions were written, in bytes; 0 where they do not say it.
    pub(super) bytes_min: u64,
}

/// Which of a file's messages are still to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// None: v1.3.0 had read it through, and did not come to remove it.
    Done,
    /// Those from this byte on.
    From(u64),
    /// Those from the first on that v1.3.0 refused because it was too long: so it came to set the file aside. Mostly
    /// that happens without any cause, once all messages have been read.
    FromRefused,
}

/// Sorts files by the queues they belong to.
pub(super) fn plan(files: impl IntoIterator<Item = (QueueFile, String)>) -> Plan {
    let mut plan = Plan::new();
    for (file, name) in files {
        let queue = plan.entry(file.topic).or_default().entry(file.owner).or_default();
        match file.kind {
            Kind::Data(number) => {
                queue.data.insert((number, Condition::Good), name);
            }
            Kind::SetAside(number) => {
                queue.data.insert((number, Condition::SetAside), name);
            }
            Kind::Positions => queue.positions = Some(name),
            Kind::Leftover => queue.leftovers.push(name),
        }
    }
    plan
}

impl QueuePlan {
    /// The files with messages, in the order in which they are read.
    ///
    /// Without positions all are to be delivered: v1.3.0 was killed before it first wrote them. With positions
    /// everything from there on is, to the end of the last file, for only what v1.3.0 had synced is in them.
    pub(super) fn parts(&self, positions: Option<Positions>) -> Vec<Part> {
        let reading = |number, condition| match (condition, positions) {
            (Condition::SetAside, _) => Reading::FromRefused,
            (Condition::Good, None) => Reading::From(0),
            (Condition::Good, Some(Positions { read, .. })) if number < read.file => Reading::Done,
            (Condition::Good, Some(Positions { read, .. })) if number == read.file => Reading::From(read.at),
            (Condition::Good, Some(_)) => Reading::From(0),
        };
        let bytes_min = |number, condition| match positions {
            Some(Positions { write, .. }) if condition == Condition::Good && number == write.file => write.at,
            _ => 0,
        };
        let part = |(&(number, condition), name): (&(u64, Condition), &String)| Part {
            name: name.clone(),
            reading: reading(number, condition),
            bytes_min: bytes_min(number, condition),
        };
        self.data.iter().map(part).collect()
    }

    /// All files of the queue.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.data.values().chain(&self.leftovers).chain(&self.positions)
    }
}

#[cfg(test)]
mod tests {
    use nsq::wire::name::ChannelName;

    use super::*;
    use crate::import::diskqueue::Place;

    fn planned(names: &[&str]) -> Plan {
        plan(names.iter().map(|name| (QueueFile::parse(name).unwrap(), (*name).to_owned())))
    }

    fn parts(queue: &QueuePlan, positions: Option<Positions>) -> Vec<(String, Reading)> {
        queue.parts(positions).into_iter().map(|part| (part.name, part.reading)).collect()
    }

    #[test]
    fn each_queue_has_its_files_in_the_order_of_their_numbers() {
        let plan = planned(&[
            "b.diskqueue.000010.dat",
            "a:c.diskqueue.000000.dat",
            "b.diskqueue.000009.dat.bad",
            "b.diskqueue.000009.dat",
            "b.diskqueue.meta.dat.1.tmp",
            "b.diskqueue.meta.dat",
        ]);
        let queues =
            |topic: &str| plan[&TopicName::parse(topic).unwrap()].keys().copied().collect::<Vec<Owner>>();
        assert_eq!((queues("a"), queues("b")), (vec![ChannelName::parse("c")], vec![None]));
        let b = &plan[&TopicName::parse("b").unwrap()][&None];
        let names: Vec<&str> = b.names().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "b.diskqueue.000009.dat.bad",
                "b.diskqueue.000009.dat",
                "b.diskqueue.000010.dat",
                "b.diskqueue.meta.dat.1.tmp",
                "b.diskqueue.meta.dat",
            ]
        );
    }

    #[test]
    fn everything_from_the_read_position_on_is_to_be_delivered() {
        let names = ["t.diskqueue.000001.dat", "t.diskqueue.000002.dat", "t.diskqueue.000003.dat"];
        let [bad, one, two, three] =
            ["1.dat.bad", "1.dat", "2.dat", "3.dat"].map(|n| format!("t.diskqueue.00000{n}"));
        let plan = planned(&[&names[..], &["t.diskqueue.000001.dat.bad"]].concat());
        let queue = &plan[&TopicName::parse("t").unwrap()][&None];
        let positions = Positions { read: Place { file: 2, at: 7 }, write: Place { file: 2, at: 99 } };
        let expected = [
            (bad.clone(), Reading::FromRefused),
            (one.clone(), Reading::Done),
            (two.clone(), Reading::From(7)),
            (three.clone(), Reading::From(0)),
        ];
        assert_eq!(parts(queue, Some(positions)), expected);
        let all = Reading::From(0);
        assert_eq!(parts(queue, None), [(bad, Reading::FromRefused), (one, all), (two, all), (three, all)]);
    }
}
