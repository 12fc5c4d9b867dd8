//! The thread that owns the disk, over logs in memory that fail on purpose.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::task::Poll;

use nsqd_broker::storage::{Progress, StoredBatch};

use super::*;
use crate::store::faulty::{Call, FaultyLog};
use crate::store::memory::MemoryLog;
use crate::store::suite::{ONE, TWO, batch, image};
use crate::store::watermark::{Room, Watermark};

/// Holds the worker at the first call it makes, until it is told to go on: what is submitted meanwhile is
/// one group.
struct Gate {
    log: Box<dyn Log>,
    reached: std::sync::mpsc::Sender<()>,
    go: Receiver<()>,
}

impl Gate {
    fn pass(&mut self) -> &mut dyn Log {
        let _ = self.reached.send(());
        let _ = self.go.recv();
        &mut *self.log
    }
}

impl Log for Gate {
    fn load(&mut self) -> Result<Vec<crate::store::SavedTopic>, LogError> {
        self.log.load()
    }
    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<(), LogError> {
        self.pass().append(topic, batch)
    }
    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        self.pass().read(topic, first)
    }
    fn drop_batch(&mut self, topic: TopicNumber, first: Position) -> Result<(), LogError> {
        self.log.drop_batch(topic, first)
    }
    fn save(&mut self, topic: TopicNumber, image: &nsqd_broker::storage::TopicImage) -> Result<(), LogError> {
        self.log.save(topic, image)
    }
    fn advance(&mut self, topic: TopicNumber, progress: &Progress) -> Result<(), LogError> {
        self.log.advance(topic, progress)
    }
    fn delete(&mut self, topic: TopicNumber) -> Result<(), LogError> {
        self.log.delete(topic)
    }
    fn sync(&mut self) -> Result<(), LogError> {
        self.log.sync()
    }
}

/// A store whose worker stands in its first append until the gate is opened.
struct Held {
    store: Store,
    events: Receiver<(TopicNumber, Event)>,
    reached: Receiver<()>,
    go: std::sync::mpsc::Sender<()>,
}

fn held(log: impl Log + 'static, options: StoreOptions) -> Held {
    let (reached_tx, reached) = channel();
    let (go, go_rx) = channel();
    let (store, events) = start(Gate { log: Box::new(log), reached: reached_tx, go: go_rx }, options);
    Held { store, events, reached, go }
}

impl Held {
    /// Lets the worker run, from here on without stopping.
    fn release(self) -> (Store, Receiver<(TopicNumber, Event)>) {
        (self.store, self.events)
    }
}

fn start(log: impl Log + 'static, options: StoreOptions) -> (Store, Receiver<(TopicNumber, Event)>) {
    let (sender, events) = channel();
    let deliver = move |topic, all: Vec<Event>| {
        for event in all {
            let _ = sender.send((topic, event));
        }
    };
    (Store::start(Box::new(log), "store", deliver, options).unwrap(), events)
}

fn append(first: Position) -> Request {
    Request::Append(batch(first, 1, 100))
}

fn appended(first: Position) -> Event {
    Event::Appended { first }
}

fn failed(first: Position) -> Event {
    Event::AppendFailed { first }
}

/// What was answered to `topic` by a store that was stopped.
fn answers(events: &Receiver<(TopicNumber, Event)>, topic: TopicNumber) -> Vec<Event> {
    events.try_iter().filter(|(to, _)| *to == topic).map(|(_, event)| event).collect()
}

/// What a store that owns `log` answers to topic ONE when `requests` are one group.
fn check(log: impl Log + 'static, requests: Vec<Request>, expected: &[Event]) -> Result<(), LogError> {
    let held = held(log, StoreOptions::default());
    held.store.submit(TWO, append(0));
    held.reached.recv().unwrap();
    for request in requests {
        held.store.submit(ONE, request);
    }
    let (store, events) = held.release();
    let outcome = store.stop();
    assert_eq!(answers(&events, ONE), expected);
    outcome
}

#[test]
fn a_batch_is_answered_after_it_is_synced() {
    let disk = MemoryLog::default();
    let log = FaultyLog::new(disk.clone(), |_, call| call == Call::Sync);
    let expected = [failed(1), failed(2)];
    assert!(check(log, vec![append(1), append(2)], &expected).is_err());
    let expected = [appended(1), appended(2)];
    assert!(check(MemoryLog::default(), vec![append(1), append(2)], &expected).is_ok());
}

#[test]
fn a_failed_batch_fails_those_behind_it() {
    let disk = MemoryLog::default();
    let log = FaultyLog::failing_at(disk.clone(), 3);
    let expected = [appended(1), failed(2), failed(3)];
    assert!(check(log, vec![append(1), append(2), append(3)], &expected).is_err());
    assert_eq!(disk.batch_count(), 2);
}

#[test]
fn a_batch_that_is_dropped_in_the_same_group_is_never_written() {
    let disk = MemoryLog::default();
    let log = FaultyLog::new(disk.clone(), |calls_before, call| calls_before > 2 && call == Call::Append);
    let requests = vec![append(1), append(2), Request::Drop { first: 1 }, Request::Drop { first: 2 }];
    check(log, requests, &[appended(1), appended(2)]).unwrap();
    assert_eq!(disk.batch_count(), 1);
}

#[test]
fn a_batch_that_is_read_before_it_is_dropped_is_written() {
    let requests = vec![append(1), Request::Read { first: 1 }, Request::Drop { first: 1 }];
    check(MemoryLog::default(), requests, &[Event::Read(batch(1, 1, 100)), appended(1)]).unwrap();
}

#[test]
fn a_read_behind_a_failed_write_is_not_a_loss() {
    let log = FaultyLog::failing_at(MemoryLog::default(), 2);
    let requests = vec![append(1), Request::Read { first: 1 }];
    assert!(check(log, requests, &[Event::ReadFailed { first: 1 }, failed(1)]).is_err());
}

#[test]
fn of_several_states_only_the_last_is_written() {
    let mut disk = MemoryLog::default();
    let saves = std::sync::Arc::new(AtomicU64::new(0));
    let counted = saves.clone();
    let log = FaultyLog::new(disk.clone(), move |_, call| {
        counted.fetch_add(u64::from(call == Call::Save), Ordering::Relaxed);
        false
    });
    let states = ["a", "b", "c"].map(|name| Request::Save(image(name)));
    check(log, states.into(), &[]).unwrap();
    assert_eq!(saves.load(Ordering::Relaxed), 1);
    assert_eq!(disk.load().unwrap()[0].image, image("c"));
}

/// So long that states are not written for the time that has passed.
const FOR_LONG: Duration = Duration::from_secs(3600);

#[test]
fn states_are_written_with_what_presses() {
    let (told, calls) = channel();
    let log = FaultyLog::new(MemoryLog::default(), move |_, call| told.send(call).is_err());
    let (store, events) = start(log, StoreOptions { gather_for: FOR_LONG, ..StoreOptions::default() });
    store.submit(ONE, Request::Save(image("a")));
    store.submit(TWO, Request::Save(image("b")));
    store.submit(ONE, append(1));
    assert_eq!(events.recv().unwrap(), (ONE, appended(1)));
    assert_eq!(Vec::from_iter(calls.try_iter()), [Call::Save, Call::Save, Call::Append, Call::Sync]);
    store.stop().unwrap();
}

#[test]
fn states_that_wait_are_written_at_the_end() {
    let mut disk = MemoryLog::default();
    let options = StoreOptions { gather_for: FOR_LONG, ..StoreOptions::default() };
    let (store, _events) = start(disk.clone(), options);
    store.submit(ONE, Request::Save(image("a")));
    store.stop().unwrap();
    assert_eq!(disk.load().unwrap()[0].image, image("a"));
}

#[test]
fn states_of_which_one_is_refused_are_written_with_the_next_group() {
    let mut disk = MemoryLog::default();
    let log = FaultyLog::failing_at(disk.clone(), 1);
    let (store, events) = start(log, StoreOptions { gather_for: FOR_LONG, ..StoreOptions::default() });
    store.submit(ONE, Request::Save(image("a")));
    store.submit(TWO, Request::Save(image("b")));
    for answer in [failed(1), appended(1)] {
        store.submit(ONE, append(1));
        assert_eq!(events.recv().unwrap(), (ONE, answer));
    }
    store.stop().unwrap();
    assert_eq!(disk.load().unwrap().len(), 2);
}

#[test]
fn a_deleted_topic_leaves_nothing() {
    let mut disk = MemoryLog::default();
    let requests = vec![Request::Save(image("a")), append(1), Request::Delete];
    check(disk.clone(), requests, &[appended(1)]).unwrap();
    assert_eq!((disk.load().unwrap().len(), disk.batch_count()), (0, 1));
}

/// As a topic does: batch 1 may have been in the group that failed.
fn ask_again_if_failed(store: &Store, events: &Receiver<(TopicNumber, Event)>) {
    if events.recv().unwrap() == (ONE, failed(1)) {
        store.submit(ONE, append(1));
    }
}

#[test]
fn a_state_that_failed_is_written_with_the_next_group() {
    let mut disk = MemoryLog::default();
    let (store, events) = start(FaultyLog::failing_at(disk.clone(), 0), StoreOptions::default());
    store.submit(ONE, Request::Save(image("a")));
    store.submit(ONE, append(1));
    ask_again_if_failed(&store, &events);
    store.stop().unwrap();
    assert_eq!(disk.load().unwrap()[0].image, image("a"));
}

#[test]
fn progress_that_failed_is_written_with_the_next_group() {
    let mut disk = MemoryLog::default();
    let mut failed = false;
    let is_first = move |_, call| call == Call::Advance && !std::mem::replace(&mut failed, true);
    let (store, events) = start(FaultyLog::new(disk.clone(), is_first), StoreOptions::default());
    store.submit(ONE, Request::Save(image("a")));
    store.submit(ONE, Request::Advance(Progress { end: 7, ..Progress::default() }));
    store.submit(ONE, append(1));
    ask_again_if_failed(&store, &events);
    store.stop().unwrap();
    assert_eq!(disk.load().unwrap()[0].image.end, 7);
}

#[test]
fn after_any_call_that_failed_everything_asked_for_again_is_there() {
    for call in 0..12 {
        let mut disk = MemoryLog::default();
        let (store, events) = start(FaultyLog::failing_at(disk.clone(), call), StoreOptions::default());
        store.submit(ONE, Request::Save(image("a")));
        for first in 0..4 {
            store.submit(ONE, append(first));
        }
        let mut written = 0;
        while written < 4 {
            match events.recv().unwrap().1 {
                Event::Appended { .. } => written += 1,
                Event::AppendFailed { first } => store.submit(ONE, append(first)),
                other => panic!("{other:?}"),
            }
        }
        store.submit(ONE, Request::Drop { first: 2 });
        store.submit(ONE, Request::Save(image("b")));
        let _ = store.stop();
        let topics = disk.load().unwrap();
        let firsts: Vec<_> = topics[0].batches.iter().map(|batch| batch.first).collect();
        assert_eq!((&topics[0].image, &*firsts), (&image("b"), &[0, 1, 3][..]), "call {call} failed");
    }
}

#[test]
fn health_is_what_became_of_the_last_write() {
    let log =
        FaultyLog::new(MemoryLog::default(), |calls_before, call| call == Call::Append && calls_before == 0);
    let (store, events) = start(log, StoreOptions::default());
    assert_eq!(store.health(), Ok(()));
    store.submit(ONE, append(1));
    assert_eq!(events.recv().unwrap(), (ONE, failed(1)));
    assert_eq!(store.health(), Err("Append was told to fail".to_owned()));
    store.submit(ONE, append(1));
    assert_eq!(events.recv().unwrap(), (ONE, appended(1)));
    assert_eq!(store.health(), Ok(()));
}

#[test]
fn a_state_that_is_written_does_not_say_that_batches_are() {
    let log = FaultyLog::new(MemoryLog::default(), |_, call| call == Call::Append);
    let (store, events) = start(log, StoreOptions::default());
    store.submit(ONE, append(1));
    assert_eq!(events.recv().unwrap(), (ONE, failed(1)));
    store.submit(ONE, Request::Save(image("a")));
    store.submit(TWO, Request::Drop { first: 7 });
    let _ = store.stop();
    assert_eq!(store.health(), Err("Append was told to fail".to_owned()));
}

/// A store that tries again at once, on a disk that fails some calls for a while.
struct FailingForAWhile {
    store: Store,
    events: Receiver<(TopicNumber, Event)>,
    is_failing: std::sync::Arc<AtomicBool>,
    calls: Receiver<Call>,
}

impl FailingForAWhile {
    fn at(call: Call) -> Self {
        let is_failing = std::sync::Arc::new(AtomicBool::new(true));
        let (told, calls) = channel();
        let fails = is_failing.clone();
        let log = FaultyLog::new(MemoryLog::default(), move |_, called| {
            let _ = told.send(called);
            called == call && fails.load(Ordering::Relaxed)
        });
        let options = StoreOptions { retry_after: Duration::ZERO, ..StoreOptions::default() };
        let (store, events) = start(log, options);
        Self { store, events, is_failing, calls }
    }

    /// The disk works from now on, and the worker finds that out.
    fn expect_healed(&self) {
        self.is_failing.store(false, Ordering::Relaxed);
        while self.calls.recv().unwrap() != Call::Probe {}
        self.store.stop().unwrap();
        assert_eq!(self.store.health(), Ok(()));
    }
}

#[test]
fn a_state_that_failed_is_written_again_although_nothing_comes() {
    let disk = FailingForAWhile::at(Call::Save);
    disk.store.submit(ONE, Request::Save(image("a")));
    // The second call says that the first has failed.
    for _ in 0..2 {
        while disk.calls.recv().unwrap() != Call::Save {}
    }
    disk.expect_healed();
}

#[test]
fn where_no_refused_batch_is_left_it_is_tried_whether_one_would_be_taken() {
    let disk = FailingForAWhile::at(Call::Append);
    disk.store.submit(ONE, append(1));
    assert_eq!(disk.events.recv().unwrap(), (ONE, failed(1)));
    // As long as a topic is to ask again, the answer to that is what counts.
    assert!(disk.calls.try_iter().all(|call| call != Call::Probe));
    disk.store.submit(ONE, Request::Drop { first: 1 });
    disk.expect_healed();
}

#[test]
fn too_little_room_is_known_before_anything_is_refused() {
    let free = Arc::new(AtomicU64::new(9));
    let seen = Arc::clone(&free);
    let look = move || Ok(Room { free: seen.load(Ordering::Relaxed), total: 1_000 });
    let mark = Mark::new(Some(10), look);
    let (store, _events) = start(Watermark::new(MemoryLog::default(), mark.clone()), StoreOptions::default());
    let reason = "the disk is nearly full: 9 bytes are free and 10 are kept so (--min-free-disk)";
    assert_eq!(store.health(), Err(reason.to_owned()));
    mark.set_keep_free(Some(9));
    assert_eq!(store.health(), Ok(()));
}

#[test]
fn a_read_does_not_wait_for_the_batches_before_it() {
    let mut disk = MemoryLog::default();
    disk.append(ONE, &batch(0, 1, 100)).unwrap();
    let held = held(disk, StoreOptions::default());
    for first in 1..100 {
        held.store.submit(ONE, append(first));
    }
    held.reached.recv().unwrap();
    held.store.submit(ONE, Request::Read { first: 0 });
    held.go.send(()).unwrap();
    held.go.send(()).unwrap();
    assert_eq!(held.events.recv().unwrap(), (ONE, Event::Read(batch(0, 1, 100))));
    let (store, _events) = held.release();
    store.stop().unwrap();
}

#[test]
fn a_read_of_a_batch_that_waits_is_answered_with_it() {
    let requests = vec![append(1), append(2), Request::Read { first: 2 }];
    let expected = [Event::Read(batch(2, 1, 100)), appended(1), appended(2)];
    check(MemoryLog::default(), requests, &expected).unwrap();
}

#[test]
fn a_read_that_failed_may_be_asked_for_again_and_one_that_is_gone_is_lost() {
    let mut disk = MemoryLog::default();
    disk.append(ONE, &batch(0, 1, 100)).unwrap();
    let (store, events) = start(FaultyLog::failing_at(disk, 0), StoreOptions::default());
    store.submit(ONE, Request::Read { first: 0 });
    assert_eq!(events.recv().unwrap().1, Event::ReadFailed { first: 0 });
    store.submit(ONE, Request::Read { first: 0 });
    assert_eq!(events.recv().unwrap().1, Event::Read(batch(0, 1, 100)));
    store.submit(ONE, Request::Read { first: 9 });
    assert_eq!(events.recv().unwrap().1, Event::Lost { first: 9 });
}

#[tokio::test]
async fn room_is_there_again_when_the_batches_are_written() {
    let options = StoreOptions { pending_bytes_max: 150, ..StoreOptions::default() };
    let held = held(MemoryLog::default(), options);
    assert!(held.store.has_room());
    held.store.submit(ONE, append(1));
    held.store.room().await;
    held.store.submit(ONE, append(2));
    assert_eq!((held.store.pending_bytes(), held.store.has_room()), (200, false));
    let mut room = Box::pin(held.store.room());
    assert_eq!(poll_once(room.as_mut()).await, Poll::Pending);
    held.go.send(()).unwrap();
    held.go.send(()).unwrap();
    room.await;
    let (store, _events) = held.release();
    store.room().await;
}

/// Polls `future` once.
async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

#[test]
fn after_stop_nothing_is_answered_and_a_second_stop_is_no_error() {
    let (store, events) = start(MemoryLog::default(), StoreOptions::default());
    store.stop().unwrap();
    store.submit(ONE, append(1));
    store.stop().unwrap();
    assert!(events.recv().is_err());
}

#[test]
fn a_topic_that_panics_leaves_the_others_the_disk() {
    let (sender, events) = channel();
    let deliver = move |topic, events| {
        assert_ne!(topic, ONE, "this panic is expected");
        let _ = sender.send(events);
    };
    let store =
        Store::start(Box::new(MemoryLog::default()), "store", deliver, StoreOptions::default()).unwrap();
    store.submit(ONE, append(1));
    store.submit(TWO, append(2));
    assert_eq!(events.recv().unwrap(), [appended(2)]);
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    let (store, events) = start(MemoryLog::default(), StoreOptions::default());
    store.submit(ONE, append(1));
    drop(store);
    assert_eq!(events.iter().count(), 1);
}

#[test]
fn reads_without_end_do_not_keep_a_batch_from_being_written() {
    let mut disk = MemoryLog::default();
    disk.append(ONE, &batch(0, 1, 100)).unwrap();
    let store = std::sync::Arc::new(std::sync::OnceLock::<Store>::new());
    let (sender, events) = channel();
    let reader = store.clone();
    // Each read that is answered asks for the next, until the batch is written.
    let written = std::sync::atomic::AtomicBool::new(false);
    let deliver = move |_, events: Vec<Event>| {
        if events.contains(&appended(1)) {
            written.store(true, Ordering::Relaxed);
            let _ = sender.send(());
        } else if !written.load(Ordering::Relaxed) {
            reader.wait().submit(ONE, Request::Read { first: 0 });
        }
    };
    let started = Store::start(Box::new(disk), "store", deliver, StoreOptions::default()).unwrap();
    let store = store.get_or_init(|| started);
    store.submit(ONE, Request::Read { first: 0 });
    store.submit(ONE, append(1));
    events.recv().unwrap();
    store.stop().unwrap();
}

#[test]
fn a_stop_tells_of_a_batch_that_was_refused_before_it_and_not_asked_for_again() {
    for is_needed in [true, false] {
        let mut appends = 0;
        let log = FaultyLog::new(MemoryLog::default(), move |_, call| {
            appends += u32::from(call == Call::Append);
            call == Call::Append && appends == 1
        });
        let (store, events) = start(log, StoreOptions::default());
        store.submit(ONE, append(1));
        assert_eq!(events.recv().unwrap(), (ONE, failed(1)));
        if !is_needed {
            store.submit(ONE, Request::Drop { first: 1 });
        }
        store.submit(TWO, append(2));
        assert_eq!(events.recv().unwrap(), (TWO, appended(2)));
        assert_eq!(store.stop().is_err(), is_needed);
    }
}

#[test]
fn a_stop_tells_of_a_batch_that_was_not_written_whatever_came_after_it() {
    let mut appends = 0;
    let log = FaultyLog::new(MemoryLog::default(), move |_, call| {
        appends += u32::from(call == Call::Append);
        call == Call::Append && appends == 2
    });
    let held = held(log, StoreOptions { group_bytes_max: 1, ..StoreOptions::default() });
    held.store.submit(TWO, append(0));
    held.reached.recv().unwrap();
    held.store.submit(ONE, append(1));
    held.store.submit(ONE, append(2));
    held.store.handle.shared.queue.close();
    let (store, events) = held.release();
    assert!(store.stop().is_err());
    assert_eq!(answers(&events, ONE), [failed(1), appended(2)]);
}

/// A log that is due until it was called as often as there are outcomes.
struct Due {
    outcomes: Vec<Result<(), LogError>>,
    called: std::sync::mpsc::Sender<usize>,
}

impl Log for Due {
    fn load(&mut self) -> Result<Vec<crate::store::SavedTopic>, LogError> {
        Ok(Vec::new())
    }
    fn append(&mut self, _: TopicNumber, _: &StoredBatch) -> Result<(), LogError> {
        Ok(())
    }
    fn read(&mut self, topic: TopicNumber, first: Position) -> Result<StoredBatch, LogError> {
        Err(LogError::Damaged { topic, first })
    }
    fn drop_batch(&mut self, _: TopicNumber, _: Position) -> Result<(), LogError> {
        Ok(())
    }
    fn save(&mut self, _: TopicNumber, _: &nsqd_broker::storage::TopicImage) -> Result<(), LogError> {
        Ok(())
    }
    fn advance(&mut self, _: TopicNumber, _: &nsqd_broker::storage::Progress) -> Result<(), LogError> {
        Ok(())
    }
    fn delete(&mut self, _: TopicNumber) -> Result<(), LogError> {
        Ok(())
    }
    fn sync(&mut self) -> Result<(), LogError> {
        Ok(())
    }
    fn due(&self) -> Option<Instant> {
        let _ = self.called.send(self.outcomes.len());
        (!self.outcomes.is_empty()).then(Instant::now)
    }
    fn handle_due(&mut self) -> Result<(), LogError> {
        self.outcomes.pop().unwrap_or(Ok(()))
    }
}

/// The health of a store whose log was called with each of `outcomes`, the last first.
fn health_after(outcomes: Vec<Result<(), LogError>>) -> Result<(), String> {
    let (called, calls) = channel();
    // Nothing else is tried meanwhile.
    let options = StoreOptions { retry_after: Duration::MAX, ..StoreOptions::default() };
    let (store, _events) = start(Due { outcomes, called }, options);
    // It is asked again when the outcome was noted.
    while calls.recv().unwrap() > 0 {}
    store.stop().unwrap();
    store.health()
}

#[test]
fn a_log_that_is_due_is_called_although_nothing_comes_and_health_says_how_it_went() {
    let refused = || Err(std::io::Error::other("refused").into());
    assert_eq!(health_after(vec![Ok(())]), Ok(()));
    assert_eq!(health_after(vec![refused(), Ok(())]), Err("refused".to_owned()));
    assert_eq!(health_after(vec![Ok(()), refused()]), Ok(()));
}
