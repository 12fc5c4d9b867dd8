//! The files that are written: for each topic one with a line a message and, where that is wanted, one with bodies alone.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use nsqd::inspect::{Message, SetAsideMessage};

use super::line;
use crate::failure::Failure;

/// How many files are open at a time; the others are opened again when they get more.
const OPEN_MAX: usize = 32;

pub(super) struct Outlet {
    directory: PathBuf,
    /// What follows each body; `None` where bodies alone are not wanted.
    delimiter: Option<u8>,
    /// By the name of the file without its extension.
    streams: BTreeMap<String, Stream>,
    open: Vec<String>,
    left_out: u64,
}

/// The files of one name.
#[derive(Default)]
struct Stream {
    messages: u64,
    writers: Option<Writers>,
}

struct Writers {
    lines: BufWriter<File>,
    bodies: Option<BufWriter<File>>,
}

/// What was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// How many messages are in each file.
    files: Vec<(PathBuf, u64)>,
    /// Bodies with the delimiter in them.
    pub(super) left_out: u64,
}

impl Outlet {
    /// Takes an empty directory, or makes it.
    pub(super) fn open(directory: &Path, delimiter: Option<u8>) -> Result<Self, Failure> {
        fs::create_dir_all(directory)?;
        if fs::read_dir(directory)?.next().is_some() {
            let directory = directory.display();
            return Err(Failure::Failed(format!(
                "{directory} is not empty; choose another directory with --to"
            )));
        }
        let (streams, open) = (BTreeMap::new(), Vec::new());
        Ok(Self { directory: directory.to_owned(), delimiter, streams, open, left_out: 0 })
    }

    /// Writes a message that somebody needs.
    pub(super) fn put(&mut self, message: &Message<'_>) -> io::Result<()> {
        self.write(&message.topic.to_string(), &line::of(message).to_string(), message.body)
    }

    /// Writes a message that was set aside. Where its topic has no name that is known, a name takes its place that no
    /// topic has.
    pub(super) fn put_set_aside(&mut self, message: &SetAsideMessage<'_>) -> io::Result<()> {
        let number = message.topic_number;
        let topic = message.topic.map_or_else(|| format!("#{number}"), |topic| topic.to_string());
        let line = line::of_set_aside(message).to_string();
        self.write(&format!("{topic}.set-aside"), &line, message.body)
    }

    fn write(&mut self, name: &str, line: &str, body: &[u8]) -> io::Result<()> {
        let delimiter = self.delimiter;
        let stream = self.stream(name)?;
        stream.messages += 1;
        let Some(writers) = &mut stream.writers else { return Ok(()) };
        writers.lines.write_all(line.as_bytes())?;
        writers.lines.write_all(b"\n")?;
        if let (Some(bodies), Some(delimiter)) = (&mut writers.bodies, delimiter) {
            if body.contains(&delimiter) {
                self.left_out += 1;
            } else {
                bodies.write_all(body)?;
                bodies.write_all(&[delimiter])?;
            }
        }
        Ok(())
    }

    /// The stream of that name, with its files open.
    fn stream(&mut self, name: &str) -> io::Result<&mut Stream> {
        if self.streams.get(name).is_none_or(|stream| stream.writers.is_none()) {
            if self.open.len() >= OPEN_MAX
                && let Some(stream) = self.streams.get_mut(&self.open.remove(0))
                && let Some(writers) = stream.writers.take()
            {
                writers.close()?;
            }
            let is_new = !self.streams.contains_key(name);
            let file = |extension: &str| {
                let path = self.directory.join(format!("{name}.{extension}"));
                let mut options = File::options();
                let file = options.append(true).create_new(is_new).open(&path);
                let said = |error| io::Error::other(format!("cannot write {}: {error}", path.display()));
                Ok::<_, io::Error>(BufWriter::new(file.map_err(said)?))
            };
            let bodies = self.delimiter.map(|_| file("raw")).transpose()?;
            let writers = Some(Writers { lines: file("ndjson")?, bodies });
            self.streams.entry(name.to_owned()).or_default().writers = writers;
            self.open.push(name.to_owned());
        }
        Ok(self.streams.entry(name.to_owned()).or_default())
    }

    /// Closes the files; they are on the disk when this returns.
    pub(super) fn finish(self) -> io::Result<Written> {
        let mut files = Vec::new();
        for (name, stream) in self.streams {
            if let Some(writers) = stream.writers {
                writers.close()?;
            }
            files.push((self.directory.join(format!("{name}.ndjson")), stream.messages));
        }
        Ok(Written { files, left_out: self.left_out })
    }
}

impl Writers {
    fn close(self) -> io::Result<()> {
        for writer in [Some(self.lines), self.bodies].into_iter().flatten() {
            writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        }
        Ok(())
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (file, messages) in &self.files {
            let noun = if *messages == 1 { "message" } else { "messages" };
            writeln!(f, "{}: {messages} {noun}", file.display())?;
        }
        if self.files.is_empty() {
            writeln!(f, "there is no message that anybody needs")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use nsq::wire::message::MessageId;
    use nsq::wire::name::TopicName;

    use super::*;

    fn message<'a>(topic: &str, body: &'a [u8]) -> Message<'a> {
        Message {
            topic: TopicName::parse(topic).unwrap(),
            id: MessageId::from_u64(1),
            timestamp_ns: 5,
            recipients: Vec::new(),
            delay_ns: None,
            body,
        }
    }

    #[test]
    fn each_topic_has_its_files_however_many_there_are() {
        let home = tempfile::tempdir().unwrap();
        let to = home.path().join("made/here");
        let mut outlet = Outlet::open(&to, Some(b',')).unwrap();
        for body in ["one", "t,wo"] {
            for number in 0..OPEN_MAX + 5 {
                outlet.put(&message(&format!("t{number}"), body.as_bytes())).unwrap();
            }
        }
        let written = outlet.finish().unwrap();
        assert_eq!((written.files.len(), written.left_out), (OPEN_MAX + 5, OPEN_MAX as u64 + 5));
        assert!(written.files.iter().all(|(_, messages)| *messages == 2));
        assert_eq!(fs::read(to.join("t3.raw")).unwrap(), b"one,");
        assert_eq!(fs::read_to_string(to.join("t3.ndjson")).unwrap().lines().count(), 2);
        let refused = Outlet::open(&to, None).map(drop);
        assert!(matches!(refused, Err(Failure::Failed(text)) if text.contains("is not empty")));
    }
}
