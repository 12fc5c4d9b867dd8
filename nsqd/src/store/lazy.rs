//! A log that is made when something is first to be kept: a daemon whose topics are all of one level needs no other.

use std::time::Instant;

use nsqd_broker::storage::{Position, Progress, StoredBatch, TopicImage};

use super::{Damage, Log, LogError, SavedTopic, TopicNumber};

/// A log that may not be there yet.
pub struct Lazy<L> {
    log: Option<L>,
    make: Box<dyn FnMut() -> Result<L, LogError> + Send>,
}

impl<L: Log> Lazy<L> {
    /// A log that `make` opens or makes: at once where something `is_there`.
    ///
    /// # Errors
    ///
    /// What is there cannot be opened.
    pub fn new(
        is_there: bool,
        mut make: impl FnMut() -> Result<L, LogError> + Send + 'static,
    ) -> Result<Self, LogError> {
        let log = if is_there { Some(make()?) } else { None };
        Ok(Self { log, make: Box::new(make) })
    }

    /// The log, which is made where it is not there.
    fn needed(&mut self) -> Result<&mut L, LogError> {
        let log = match self.log.take() {
            Some(log) => log,
            None => {
                let mut log = (self.make)()?;
                log.load()?;
                log
            }
        };
        Ok(self.log.insert(log))
    }
}

impl<L: Log> Log for Lazy<L> {
    fn load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        self.log.as_mut().map_or(Ok(Vec::new()), L::load)
    }

    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<(), LogError> {
        self.needed()?.append(topic, batch)
    }

    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        self.log.as_mut().map_or(Err(LogError::Damaged { topic, first }), |log| log.read(topic, first))
    }

    fn drop_batch(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        self.log.as_mut().map_or(Ok(()), |log| log.drop_batch(topic, first))
    }

    fn save(&mut self, topic: TopicNumber, image: &TopicImage) -> Result<(), LogError> {
        self.needed()?.save(topic, image)
    }

    fn save_all(&mut self, states: &[(TopicNumber, TopicImage)]) -> Result<(), LogError> {
        self.needed()?.save_all(states)
    }

    fn advance(&mut self, topic: TopicNumber, progress: &Progress) -> Result<(), LogError> {
        self.log.as_mut().map_or(Ok(()), |log| log.advance(topic, progress))
    }

    fn delete(&mut self, topic: TopicNumber) -> Result<(), LogError> {
        self.log.as_mut().map_or(Ok(()), |log| log.delete(topic))
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.log.as_mut().map_or(Ok(()), L::sync)
    }

    fn due(&self) -> Option<Instant> {
        self.log.as_ref().and_then(L::due)
    }

    fn handle_due(&mut self) -> Result<(), LogError> {
        self.log.as_mut().map_or(Ok(()), L::handle_due)
    }

    /// What failed may be that it could not be made.
    fn probe(&mut self) -> Result<(), LogError> {
        self.needed()?.probe()
    }

    fn damage(&self) -> Damage {
        self.log.as_ref().map_or_else(Damage::default, L::damage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryLog;
    use crate::store::suite::{ONE, image, log_suite};

    log_suite!({
        let disk = MemoryLog::default();
        let mut opened = false;
        move || {
            let disk = disk.clone();
            let log = Lazy::new(std::mem::replace(&mut opened, true), move || Ok(disk.clone()));
            Box::new(log.unwrap()) as Box<dyn Log>
        }
    });

    #[test]
    fn nothing_is_made_before_something_is_to_be_kept() {
        let (sender, made) = std::sync::mpsc::channel();
        let make = move || {
            sender.send(()).unwrap();
            Ok(MemoryLog::default())
        };
        let mut log = Lazy::new(false, make).unwrap();
        assert_eq!(log.load().unwrap(), []);
        log.drop_batch(ONE, 0).unwrap();
        log.delete(ONE).unwrap();
        log.sync().unwrap();
        assert!(made.try_recv().is_err());
        log.save(ONE, &image("t")).unwrap();
        log.save(ONE, &image("t")).unwrap();
        assert_eq!(made.try_iter().count(), 1);
    }
}
