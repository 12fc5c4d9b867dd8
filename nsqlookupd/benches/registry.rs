//! What a big cluster costs: 200 nodes that all have the same 5,000 topics with 3 channels each.
//!
//! It also prints how much memory such a registry takes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use criterion::{Criterion, criterion_group, criterion_main};
use nsq::daemon::clock::Clock;
use nsq::wire::lookup::{Identity, Registration};
use nsq::wire::name::{ChannelName, TopicName};
use nsqlookupd::directory::Directory;
use nsqlookupd::http::app;
use nsqlookupd::registry::{ProducerId, Registry, Selection, Settings};

const NODES: usize = 200;
const TOPICS: usize = 5_000;
const CHANNELS: usize = 3;
const NOW: Duration = Duration::from_secs(1);

fn connect(registry: &mut Registry, node: usize) -> ProducerId {
    let identity = Identity {
        broadcast_address: format!("nsqd-{node}.example.org"),
        hostname: format!("nsqd-{node}"),
        http_port: 4151,
        tcp_port: 4150,
        version: "1.3.0".to_owned(),
        ..Identity::default()
    };
    registry.connect(NOW, format!("10.0.0.{node}:40000"), identity)
}

fn registrations() -> Vec<Registration> {
    let names = (0..TOPICS).flat_map(|topic| (0..CHANNELS).map(move |channel| (topic, channel)));
    names
        .map(|(topic, channel)| Registration {
            topic: TopicName::parse(format!("orders.region-{topic}")).expect("a valid name"),
            channel: ChannelName::parse(format!("worker-{channel}")),
        })
        .collect()
}

fn register_all(registry: &mut Registry, id: ProducerId, what: &[Registration]) {
    for registration in what {
        registry.register(id, registration).expect("the limits are higher");
    }
}

fn fill(registry: &mut Registry) {
    let what = registrations();
    for node in 0..NODES {
        let id = connect(registry, node);
        register_all(registry, id, &what);
    }
}

/// The resident memory of this process, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096
}

fn registry(c: &mut Criterion) {
    let before = resident_bytes();
    let mut registry = Registry::new(Settings::default());
    fill(&mut registry);
    println!("the registry takes {} MB", (resident_bytes() - before) / 1_000_000);

    let name = format!("orders.region-{}", TOPICS / 2);
    c.bench_function("registry/lookup", |b| {
        b.iter(|| black_box(registry.lookup(NOW, Selection::Named(&name))));
    });
    c.bench_function("registry/lookup of all topics", |b| {
        b.iter(|| black_box(registry.lookup(NOW, Selection::All)));
    });
    let what = registrations();
    c.bench_function("registry/a node registers everything again", |b| {
        let id = connect(&mut registry, NODES);
        b.iter(|| register_all(&mut registry, id, &what));
        registry.disconnect(id);
    });
    c.bench_function("registry/a node comes with everything and goes", |b| {
        b.iter(|| {
            let id = connect(&mut registry, NODES);
            register_all(&mut registry, id, &what);
            black_box(registry.disconnect(id));
        });
    });
}

fn http(c: &mut Criterion) {
    let directory = Arc::new(Directory::new(Clock::new(), Settings::default()));
    fill(&mut directory.write());
    let app = app(Arc::clone(&directory));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system has room for a runtime");
    let ask = |target: String| {
        runtime.block_on(async {
            let request = Request::get(target).body(Body::empty()).expect("a valid target");
            let response = app.handle(request, "127.0.0.1:1").await;
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
            body.expect("the body is complete").len()
        })
    };
    let mut group = c.benchmark_group("http");
    group.bench_function("lookup", |b| {
        let mut topic = 0;
        b.iter(|| {
            topic = (topic + 1) % TOPICS;
            ask(format!("/lookup?topic=orders.region-{topic}"))
        });
    });
    group.bench_function("topics", |b| b.iter(|| ask("/topics".to_owned())));
    group.sample_size(10);
    group.bench_function("nodes", |b| b.iter(|| ask("/nodes".to_owned())));
}

criterion_group!(benches, registry, http);
criterion_main!(benches);
