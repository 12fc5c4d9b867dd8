//! The threads on which a daemon serves its connections.

use std::io;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// Says how many threads there are to be, in place of what is chosen here. tokio reads it.
const THREADS_VARIABLE: &str = "TOKIO_WORKER_THREADS";

/// A runtime whose threads bear this name.
///
/// Half of the processors get a thread. The clients are often on the same machine, the disk has threads of its own, and every
/// thread more is one that is woken for a few messages: on 2 processors shared with the clients, one thread delivers a fifth
/// more than two, and takes a quarter less of the processors for it (docs/performance.md).
///
/// # Errors
/// The system gives no threads.
pub fn build(name: &str) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if std::env::var_os(THREADS_VARIABLE).is_none() {
        builder.worker_threads(threads(available_parallelism().map_or(1, usize::from)));
    }
    builder.enable_all().thread_name(name).build()
}

fn threads(processors: usize) -> usize {
    (processors / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_processors_get_a_thread_and_at_least_one_does() {
        let counts = [1, 2, 3, 4, 16].map(|processors| (processors, threads(processors)));
        assert_eq!(counts, [(1, 1), (2, 1), (3, 1), (4, 2), (16, 8)]);
    }

    #[test]
    fn the_threads_bear_the_name() {
        let runtime = build("part").unwrap();
        let name = runtime.block_on(async {
            let task = tokio::spawn(async { std::thread::current().name().map(str::to_owned) });
            task.await.unwrap()
        });
        assert_eq!(name.as_deref(), Some("part"));
    }
}
