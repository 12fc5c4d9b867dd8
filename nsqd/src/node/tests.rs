//! What goes on at once, or goes wrong, in a node.

use std::sync::mpsc::{self, Receiver, Sender};

use nsqd_broker::storage::{Progress, StoredBatch};
use nsqd_broker::{ConsumerSettings, Locality};

use super::*;
use crate::store::faulty::{Call, FaultyLog};
use crate::store::memory::MemoryLog;
use crate::store::{SavedTopic, TopicNumber};

fn name(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn depth(node: &Node, topic: &str) -> u64 {
    let handle = node.topic(topic).unwrap();
    handle.with(|locked| locked.topic.stats(locked.now).depth).unwrap()
}

/// A disk that stands still at each append until it is told to go on.
struct Gate {
    disk: MemoryLog,
    reached: Sender<()>,
    go: Receiver<()>,
}

impl Log for Gate {
    fn load(&mut self) -> Result<Vec<SavedTopic>, LogError> {
        self.disk.load()
    }
    fn append(&mut self, topic: TopicNumber, batch: &StoredBatch) -> Result<(), LogError> {
        let _ = self.reached.send(());
        let _ = self.go.recv();
        self.disk.append(topic, batch)
    }
    fn read(&mut self, topic: TopicNumber, first: u64) -> Result<StoredBatch, LogError> {
        self.disk.read(topic, first)
    }
    fn drop_batch(&mut self, topic: TopicNumber, first: u64) -> Result<(), LogError> {
        self.disk.drop_batch(topic, first)
    }
    fn save(&mut self, topic: TopicNumber, image: &TopicImage) -> Result<(), LogError> {
        self.disk.save(topic, image)
    }
    fn advance(&mut self, topic: TopicNumber, progress: &Progress) -> Result<(), LogError> {
        self.disk.advance(topic, progress)
    }
    fn delete(&mut self, topic: TopicNumber) -> Result<(), LogError> {
        self.disk.delete(topic)
    }
    fn sync(&mut self) -> Result<(), LogError> {
        self.disk.sync()
    }
}

#[tokio::test]
async fn who_waits_for_the_disk_is_told_when_the_topic_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let (reached_sender, reached) = mpsc::channel();
    let (go, go_receiver) = mpsc::channel();
    let gate = Gate { disk: MemoryLog::default(), reached: reached_sender, go: go_receiver };
    let node = Node::on(gate, 0, directory.path());
    let publisher = {
        let node = Arc::clone(&node);
        tokio::spawn(async move { node.publish(name("t"), &[Bytes::from_static(b"m")], None).await })
    };
    tokio::task::spawn_blocking(move || reached.recv()).await.unwrap().unwrap();
    node.delete_topic("t").unwrap();
    go.send(()).unwrap();
    let published = tokio::time::timeout(Duration::from_secs(5), publisher).await;
    published.expect("the publisher is told").unwrap().unwrap();
}

#[tokio::test]
async fn what_the_disk_refuses_is_not_acknowledged_where_that_promises_it() {
    let directory = tempfile::tempdir().unwrap();
    for refused in [Call::Append, Call::Sync] {
        let disk = FaultyLog::new(MemoryLog::default(), move |_, call| call == refused);
        let node = Node::on(disk, 0, directory.path());
        let published = node.publish(name("t"), &[Bytes::from_static(b"m")], None).await;
        assert_eq!(published, Err(PublishError::Store(format!("{refused:?} was told to fail"))));
    }
}

#[tokio::test]
async fn messages_are_kept_even_if_the_metadata_cannot_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let disk = MemoryLog::default();
    let node = Node::on(disk.clone(), 100, directory.path());
    node.publish(name("t"), &[Bytes::from_static(b"m")], None).await.unwrap();
    directory.close().unwrap();
    assert!(matches!(node.stop(), Err(StartError::Metadata(_))));

    let directory = tempfile::tempdir().unwrap();
    let node = Node::on(disk, 100, directory.path());
    assert_eq!(depth(&node, "t"), 1);
}

#[tokio::test]
async fn nothing_is_acknowledged_that_the_stop_does_not_keep() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::in_memory(directory.path());
    node.create_topic(name("t"));
    let handle = node.topic("t").unwrap();
    // A publisher that has seen that the node runs, and gets the topic's lock only when it does no more.
    let publisher = handle
        .with(|_| {
            let publishing = Arc::clone(&node);
            let (begun_sender, begun) = mpsc::channel();
            let publisher = std::thread::spawn(move || {
                let mut publish = std::pin::pin!(publishing.publish(name("t"), &[], None));
                begun_sender.send(()).unwrap();
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                publish.as_mut().poll(&mut context)
            });
            begun.recv().unwrap();
            while Arc::strong_count(&handle) < 4 {
                std::thread::yield_now();
            }
            node.begin_exit();
            publisher
        })
        .unwrap();
    assert_eq!(publisher.join().unwrap(), std::task::Poll::Ready(Err(PublishError::Exiting)));
}

#[tokio::test]
async fn a_panic_under_the_lock_of_one_topic_does_not_end_it() {
    let directory = tempfile::tempdir().unwrap();
    let disk = MemoryLog::default();
    let node = Node::on(disk.clone(), 100, directory.path());
    node.publish(name("t"), &[Bytes::from_static(b"m")], None).await.unwrap();
    let handle = node.topic("t").unwrap();
    let panic =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handle.with(|_| panic!("on purpose"))));
    assert!(panic.is_err());
    node.publish(name("t"), &[Bytes::from_static(b"m")], None).await.unwrap();
    node.stop().unwrap();
    let node = Node::on(disk, 100, directory.path());
    assert_eq!(depth(&node, "t"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_do_not_wait_for_the_metadata_to_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::in_memory(directory.path());
    let client = node.add_client("127.0.0.1:1".to_owned(), "127.0.0.1");
    let settings = ConsumerSettings {
        msg_timeout: Duration::from_secs(60),
        locality: Locality::Elsewhere,
        sample_rate: 0,
    };
    let channel = ChannelName::parse("c").unwrap();
    let subscription = node.subscribe(&client, name("t"), channel, settings).unwrap();
    let take = || {
        let mut out = Vec::new();
        subscription.exchange(&[Answer::Ready(1)], Duration::MAX, 1, &mut out, |_, _, _| {});
        out
    };
    assert!(take().is_empty());

    let (release, released) = mpsc::channel();
    let stuck = node.hold_up_metadata(released);
    let background = [tokio::spawn(node.run_timers()), tokio::spawn(node.run_metadata())];
    node.metadata.request();
    let delay = Some(Duration::from_millis(50));
    node.publish(name("t"), &[Bytes::from_static(b"m")], delay).await.unwrap();
    let signalled = tokio::time::timeout(
        Duration::from_secs(5),
        std::future::poll_fn(|session| client.poll_signalled(session)),
    )
    .await;
    release.send(()).unwrap();
    stuck.join().unwrap();
    signalled.expect("the message is due");
    assert!(!take().is_empty());
    background.iter().for_each(tokio::task::JoinHandle::abort);
    subscription.end(&node);
}

#[tokio::test]
async fn an_ephemeral_topic_that_has_a_new_channel_meanwhile_stays() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::in_memory(directory.path());
    node.create_topic(name("t#ephemeral"));
    let handle = node.topic("t#ephemeral").unwrap();
    node.create_channel("t#ephemeral", ChannelName::parse("c").unwrap()).unwrap();
    // Somebody saw the last channel go just before that one was made.
    node.channel_deleted(&handle, true);
    assert!(node.topic("t#ephemeral").is_ok());
    node.delete_channel("t#ephemeral", "c").unwrap();
    assert!(node.topic("t#ephemeral").is_err());
}

#[tokio::test]
async fn the_metadata_that_is_written_last_is_the_newest() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::in_memory(directory.path());
    node.create_topic(name("t"));
    let (release, released) = mpsc::channel();
    let stuck = node.hold_up_metadata(released);
    let writer = Arc::clone(&node);
    let (begun_sender, begun) = mpsc::channel();
    let writing = std::thread::spawn(move || {
        begun_sender.send(()).unwrap();
        writer.write_metadata()
    });
    begun.recv().unwrap();
    // It has time to look at the topics too early, if it does.
    for _ in 0..1_000 {
        std::thread::yield_now();
    }
    node.on_topic("t", |locked| locked.topic.pause(locked.now, true)).unwrap();
    release.send(()).unwrap();
    stuck.join().unwrap();
    writing.join().unwrap().unwrap();
    let written = std::fs::read_to_string(directory.path().join("nsqd.dat")).unwrap();
    assert!(written.contains(r#""paused":true"#), "{written}");
}
