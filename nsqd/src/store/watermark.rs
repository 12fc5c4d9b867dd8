//! A disk that is nearly full takes no more messages: what is finished could not be forgotten on one that is full.
//!
//! Only batches are refused. States, progress and removals are small, and they are what makes room again.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nsqd_broker::storage::{Position, Progress, StoredBatch, TopicImage};

use super::{Damage, Log, LogError, SavedTopic, TopicNumber};

/// What is kept free unless the user says otherwise: this part of the file system, at most so many bytes.
const KEPT_PART: u64 = 100;
const KEPT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How old an answer of the file system may be: asking costs as much as writing a few messages.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What an ordinary user may still use.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

impl Room {
    /// The room on the file system that `path` is on.
    ///
    /// # Errors
    ///
    /// The file system does not say.
    pub fn on(path: &Path) -> io::Result<Self> {
        let answer = rustix::fs::statvfs(path)?;
        Ok(Self {
            free: answer.f_bavail.saturating_mul(answer.f_frsize),
            total: answer.f_blocks.saturating_mul(answer.f_frsize),
        })
    }
}

/// Lets all watermarks that share it take what comes, however little room there is: at a stop what is not taken is lost.
#[derive(Debug, Clone, Default)]
pub struct Lift(Arc<AtomicBool>);

impl Lift {
    /// From now on nothing is refused.
    pub fn lift(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A log that takes no batch while less than some room is left beside it.
pub struct Watermark<L> {
    inner: L,
    /// How many bytes are to stay free; `None`: as is usual.
    keep_free: Option<u64>,
    look: Box<dyn FnMut() -> io::Result<Room> + Send>,
    lift: Lift,
    /// When somebody looked last, and whether there was room.
    looked: Option<(Instant, Result<(), String>)>,
}

impl<L: Log> Watermark<L> {
    /// Refuses what comes while less than `keep_free` bytes are free, by what `look` says. `None` is 1 % of the file
    /// system, at most 256 MiB.
    pub fn new(
        inner: L,
        keep_free: Option<u64>,
        look: impl FnMut() -> io::Result<Room> + Send + 'static,
        lift: Lift,
    ) -> Self {
        Self { inner, keep_free, look: Box::new(look), lift, looked: None }
    }

    fn check(&mut self) -> Result<(), LogError> {
        if self.lift.0.load(Ordering::Acquire) {
            return Ok(());
        }
        let now = Instant::now();
        let is_fresh = |(at, _): &&(Instant, _)| now.duration_since(*at) < LOOK_INTERVAL;
        let known = self.looked.as_ref().filter(is_fresh).map(|(_, room)| room.clone());
        let outcome = known.unwrap_or_else(|| {
            let outcome = self.look_again();
            self.looked = Some((now, outcome.clone()));
            outcome
        });
        outcome.map_err(|reason| io::Error::new(io::ErrorKind::StorageFull, reason).into())
    }

    fn look_again(&mut self) -> Result<(), String> {
        // Where the file system does not say, the write itself will tell.
        let Ok(Room { free, total }) = (self.look)() else { return Ok(()) };
        let keep_free = self.keep_free.unwrap_or_else(|| (total / KEPT_PART).min(KEPT_BYTES_MAX));
        match free < keep_free {
            true => Err(format!(
                "the disk is nearly full: {free} bytes are free and {keep_free} are kept so (--min-free-disk)"
            )),
            false => Ok(()),
        }
    }
}

impl<L: Log> Log for Watermark<L> {
    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<(), LogError> {
        self.check()?;
        self.inner.append(topic, batch)
    }

    fn load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        self.inner.load()
    }

    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        self.inner.read(topic, first)
    }

    fn drop_batch(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        self.inner.drop_batch(topic, first)
    }

    fn save(&mut self, topic: TopicNumber, image: &TopicImage) -> Result<(), LogError> {
        self.inner.save(topic, image)
    }

    fn advance(&mut self, topic: TopicNumber, progress: &Progress) -> Result<(), LogError> {
        self.inner.advance(topic, progress)
    }

    fn delete(&mut self, topic: TopicNumber) -> Result<(), LogError> {
        self.inner.delete(topic)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.inner.sync()
    }

    fn due(&self) -> Option<Instant> {
        self.inner.due()
    }

    fn handle_due(&mut self) -> Result<(), LogError> {
        self.inner.handle_due()
    }

    fn damage(&self) -> Damage {
        self.inner.damage()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryLog;
    use crate::store::suite::{ONE, batch, image, log_suite};

    log_suite!({
        let disk = MemoryLog::default();
        move || {
            Box::new(Watermark::new(disk.clone(), None, || Room::on(Path::new("/")), Lift::default()))
                as Box<dyn Log>
        }
    });

    fn log(free: u64, total: u64, keep_free: Option<u64>) -> Watermark<MemoryLog> {
        Watermark::new(MemoryLog::default(), keep_free, move || Ok(Room { free, total }), Lift::default())
    }

    #[test]
    fn a_nearly_full_disk_takes_no_batch_and_all_that_makes_room() {
        let mut log = log(999, 100_000, None);
        log.save(ONE, &image("t")).unwrap();
        let refused = log.append(ONE, &batch(0, 1, 100)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the disk is nearly full: 999 bytes are free and 1000 are kept so (--min-free-disk)"
        );
        log.drop_batch(ONE, 7).unwrap();
        log.advance(ONE, &Progress::default()).unwrap();
        log.sync().unwrap();
    }

    #[test]
    fn a_hundredth_is_kept_free_or_256_mib_or_what_the_user_says() {
        let takes = |free, total, keep| log(free, total, keep).append(ONE, &batch(0, 1, 100)).is_ok();
        assert!(takes(1_000, 100_000, None));
        assert!(takes(KEPT_BYTES_MAX, 1 << 40, None));
        assert!(!takes(KEPT_BYTES_MAX - 1, 1 << 40, None));
        assert!(!takes(4_999, 100_000, Some(5_000)));
        assert!(takes(0, 100_000, Some(0)));
    }

    #[test]
    fn it_is_tried_again_when_there_is_room() {
        let room = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let seen = std::sync::Arc::clone(&room);
        let look = move || Ok(Room { free: seen.load(std::sync::atomic::Ordering::Relaxed), total: 1_000 });
        let mut log = Watermark::new(MemoryLog::default(), Some(10), look, Lift::default());
        assert!(log.append(ONE, &batch(0, 1, 100)).is_err());
        room.store(10, std::sync::atomic::Ordering::Relaxed);
        log.looked = None;
        log.append(ONE, &batch(0, 1, 100)).unwrap();
    }

    #[test]
    fn nothing_is_refused_once_it_is_lifted() {
        let lift = Lift::default();
        let look = || Ok(Room { free: 0, total: 1_000 });
        let mut log = Watermark::new(MemoryLog::default(), Some(10), look, lift.clone());
        assert!(log.append(ONE, &batch(0, 1, 100)).is_err());
        lift.lift();
        log.append(ONE, &batch(0, 1, 100)).unwrap();
    }

    #[test]
    fn a_file_system_says_what_room_there_is() {
        let room = Room::on(Path::new("/")).unwrap();
        assert!(room.total > 0 && room.free <= room.total, "{room:?}");
    }
}
