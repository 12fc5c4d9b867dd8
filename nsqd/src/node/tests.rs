//! What goes on at once, or goes wrong, in a node.

use std::sync::mpsc::{Receiver, Sender, channel};

use nsqd_broker::storage::StoredBatch;

use super::*;
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
    let (reached_sender, reached) = channel();
    let (go, go_receiver) = channel();
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
            let (begun_sender, begun) = channel();
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
