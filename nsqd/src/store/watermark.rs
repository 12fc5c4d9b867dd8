//! A disk that is nearly full takes no more messages: what is finished could not be forgotten on one that is full.
//!
//! Only batches are refused. States, progress and removals are small, and they are what makes room again.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
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

/// How much room is to stay free, and whether it is: one for the logs on a file system, and for whoever asks.
#[derive(Clone)]
pub struct Mark(Arc<Shared>);

struct Shared {
    look: Box<dyn Fn() -> io::Result<Room> + Send + Sync>,
    /// Locked to read or set it, never while somebody looks.
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    /// How many bytes are to stay free; `None`: as is usual.
    keep_free: Option<u64>,
    /// From now on nothing is refused.
    lifted: bool,
    /// When somebody looked last and what room there was, where the file system said so.
    looked: Option<(Instant, Option<Room>)>,
}

impl Mark {
    /// `keep_free` bytes are to stay free, by what `look` says. `None` is 1 % of the file system, at most 256 MiB.
    pub fn new(keep_free: Option<u64>, look: impl Fn() -> io::Result<Room> + Send + Sync + 'static) -> Self {
        let state = Mutex::new(State { keep_free, lifted: false, looked: None });
        Self(Arc::new(Shared { look: Box::new(look), state }))
    }

    /// How many bytes are to stay free; `None`: as is usual.
    pub fn keep_free(&self) -> Option<u64> {
        self.state().keep_free
    }

    /// What is to stay free from now on.
    pub fn set_keep_free(&self, keep_free: Option<u64>) {
        self.state().keep_free = keep_free;
    }

    /// Takes what comes from now on, however little room there is: at a stop what is not taken is lost.
    pub fn lift(&self) {
        self.state().lifted = true;
    }

    /// Why no batch is taken now.
    ///
    /// # Errors
    ///
    /// Less is free than is to be kept so.
    pub fn check(&self) -> Result<(), String> {
        let State { keep_free, lifted, looked } = *self.state();
        if lifted {
            return Ok(());
        }
        let now = Instant::now();
        let known = looked.filter(|(at, _)| now.saturating_duration_since(*at) < LOOK_INTERVAL);
        let room = match known {
            Some((_, room)) => room,
            None => {
                let room = (self.0.look)().ok();
                self.state().looked = Some((now, room));
                room
            }
        };
        // Where the file system does not say, the write itself will tell.
        let Some(Room { free, total }) = room else { return Ok(()) };
        let keep_free = keep_free.unwrap_or_else(|| (total / KEPT_PART).min(KEPT_BYTES_MAX));
        match free < keep_free {
            true => Err(format!(
                "the disk is nearly full: {free} bytes are free and {keep_free} are kept so (--min-free-disk)"
            )),
            false => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nothing panics while it holds this lock")
    }
}

/// A log that takes no batch while less room is left beside it than is to stay free.
pub struct Watermark<L> {
    inner: L,
    mark: Mark,
}

impl<L: Log> Watermark<L> {
    /// Refuses batches while `mark` says why.
    pub fn new(inner: L, mark: Mark) -> Self {
        Self { inner, mark }
    }

    fn check(&self) -> Result<(), LogError> {
        self.mark.check().map_err(|reason| io::Error::new(io::ErrorKind::StorageFull, reason).into())
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

    fn save_all(&mut self, states: &[(TopicNumber, TopicImage)]) -> Result<(), LogError> {
        self.inner.save_all(states)
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

    fn probe(&mut self) -> Result<(), LogError> {
        self.check()?;
        self.inner.probe()
    }

    fn mark(&self) -> Option<Mark> {
        Some(self.mark.clone())
    }

    fn damage(&self) -> Damage {
        self.inner.damage()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::store::memory::MemoryLog;
    use crate::store::suite::{ONE, batch, image, log_suite};

    log_suite!({
        let disk = MemoryLog::default();
        move || {
            let mark = Mark::new(None, || Room::on(Path::new("/")));
            Box::new(Watermark::new(disk.clone(), mark)) as Box<dyn Log>
        }
    });

    fn mark(free: u64, total: u64, keep_free: Option<u64>) -> Mark {
        Mark::new(keep_free, move || Ok(Room { free, total }))
    }

    #[test]
    fn a_nearly_full_disk_takes_no_batch_and_all_that_makes_room() {
        let mut log = Watermark::new(MemoryLog::default(), mark(999, 100_000, None));
        log.save(ONE, &image("t")).unwrap();
        let reason =
            "the disk is nearly full: 999 bytes are free and 1000 are kept so (--min-free-disk)".to_owned();
        assert_eq!(log.append(ONE, &batch(0, 1, 100)).unwrap_err().to_string(), reason);
        assert_eq!(log.probe().unwrap_err().to_string(), reason);
        assert_eq!(log.mark().unwrap().check(), Err(reason));
        log.drop_batch(ONE, 7).unwrap();
        log.advance(ONE, &Progress::default()).unwrap();
        log.sync().unwrap();
    }

    #[test]
    fn a_hundredth_is_kept_free_or_256_mib_or_what_the_user_says() {
        let takes = |free, total, keep| {
            let mut log = Watermark::new(MemoryLog::default(), mark(free, total, keep));
            log.append(ONE, &batch(0, 1, 100)).is_ok()
        };
        assert!(takes(1_000, 100_000, None));
        assert!(takes(KEPT_BYTES_MAX, 1 << 40, None));
        assert!(!takes(KEPT_BYTES_MAX - 1, 1 << 40, None));
        assert!(!takes(4_999, 100_000, Some(5_000)));
        assert!(takes(0, 100_000, Some(0)));
    }

    #[test]
    fn it_is_tried_again_when_there_is_room() {
        let room = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&room);
        let mark = Mark::new(Some(10), move || Ok(Room { free: seen.load(Ordering::Relaxed), total: 1_000 }));
        assert!(mark.check().is_err());
        room.store(10, Ordering::Relaxed);
        mark.state().looked = None;
        assert!(mark.check().is_ok());
    }

    #[test]
    fn the_file_system_is_not_asked_for_each_batch() {
        let looks = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&looks);
        let mark = Mark::new(None, move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(Room { free: 1, total: 1 })
        });
        let began = Instant::now();
        for _ in 0..1_000 {
            mark.check().unwrap();
        }
        let most = 1 + began.elapsed().as_millis() / LOOK_INTERVAL.as_millis();
        assert!(u128::from(looks.load(Ordering::Relaxed)) <= most);
    }

    #[test]
    fn what_is_to_stay_free_changes_at_once_for_all_that_share_the_mark() {
        let mark = mark(5, 1_000, Some(0));
        let mut log = Watermark::new(MemoryLog::default(), mark.clone());
        log.append(ONE, &batch(0, 1, 100)).unwrap();
        mark.set_keep_free(None);
        assert_eq!(mark.keep_free(), None);
        assert!(log.append(ONE, &batch(1, 1, 100)).is_err());
    }

    #[test]
    fn nothing_is_refused_once_it_is_lifted() {
        let mark = mark(0, 1_000, Some(10));
        let mut log = Watermark::new(MemoryLog::default(), mark.clone());
        assert!(log.append(ONE, &batch(0, 1, 100)).is_err());
        mark.lift();
        log.append(ONE, &batch(0, 1, 100)).unwrap();
    }

    #[test]
    fn a_file_system_says_what_room_there_is() {
        let room = Room::on(Path::new("/")).unwrap();
        assert!(room.total > 0 && room.free <= room.total, "{room:?}");
    }
}
