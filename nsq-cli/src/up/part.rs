//! A daemon that runs inside this process: on a thread of its own, with a runtime of its own whose threads bear its
//! name, so that the log can tell whose line it is.

use std::io;
use std::pin::Pin;
use std::thread;

use nsq::daemon::listener::Listening;
use nsq::daemon::os_error::os_error_text;
use nsq::daemon::runtime;
use tokio::sync::oneshot;

/// A running part. It ends when it is told to, or fails.
pub(super) struct Part {
    name: &'static str,
    /// `None` once it was asked for.
    listening: Option<oneshot::Receiver<Listening>>,
    stop: oneshot::Sender<String>,
    ended: oneshot::Receiver<Result<(), String>>,
    /// Whether the outcome was taken out of `ended`.
    is_over: bool,
}

/// How a part says where it listens.
pub(super) type Announce = Box<dyn FnOnce(Listening) + Send>;

/// Completes when a part is to stop, with the reason.
pub(super) type Stop = Pin<Box<dyn Future<Output = String> + Send>>;

impl Part {
    /// Starts a daemon.
    pub(super) fn start<F>(
        name: &'static str,
        run: impl FnOnce(Announce, Stop) -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = Result<(), String>>,
    {
        let (announce, listening) = oneshot::channel();
        let (stop, stopping) = oneshot::channel();
        let (say_end, ended) = oneshot::channel();
        // Whoever started the part may be gone: then nobody wants to know, and it is to stop.
        let announce: Announce = Box::new(move |listening| drop(announce.send(listening)));
        let stopping: Stop = Box::pin(async { stopping.await.unwrap_or_default() });
        let main = move || {
            let _ = say_end.send(on_runtime(name, run(announce, stopping)));
        };
        thread::Builder::new().name(name.to_owned()).spawn(main)?;
        Ok(Self { name, listening: Some(listening), stop, ended, is_over: false })
    }

    /// Where it listens, once it does.
    pub(super) async fn listening(&mut self) -> Result<Listening, String> {
        if let Some(listening) = self.listening.take()
            && let Ok(listening) = listening.await
        {
            return Ok(listening);
        }
        Err(self.failed().await)
    }

    /// Completes when it has ended though nobody told it to, with the reason. Cancel safe.
    pub(super) async fn failed(&mut self) -> String {
        let outcome = (&mut self.ended).await;
        self.is_over = true;
        self.judge(outcome).err().unwrap_or_else(|| format!("{} ended by itself", self.name))
    }

    /// Tells it to stop and waits until it has; an error where it could not end as it should.
    pub(super) async fn stop(mut self, why: &str) -> Result<(), String> {
        if self.is_over {
            return Ok(());
        }
        let (told, _) = oneshot::channel();
        // One that has ended by now does not hear it.
        let _ = std::mem::replace(&mut self.stop, told).send(why.to_owned());
        let outcome = (&mut self.ended).await;
        self.judge(outcome)
    }

    fn judge(&self, outcome: Result<Result<(), String>, oneshot::error::RecvError>) -> Result<(), String> {
        // A thread that panicked has said so, and has no outcome.
        outcome
            .unwrap_or_else(|_| Err("it panicked".to_owned()))
            .map_err(|why| format!("{}: {why}", self.name))
    }
}

fn on_runtime(name: &str, run: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let runtime = runtime::build(name).map_err(|error| os_error_text(&error))?;
    let outcome = runtime.block_on(run);
    // What still hangs on a socket is not waited for.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening() -> Listening {
        Listening { tcp: Some("127.0.0.1:1".to_owned()), http: None }
    }

    #[tokio::test]
    async fn a_part_runs_on_threads_of_its_name_until_it_is_told_to_stop() {
        let run = |announce: Announce, stop: Stop| async {
            announce(listening());
            let worker = tokio::spawn(async { thread::current().name().map(str::to_owned) });
            let names = (thread::current().name().map(str::to_owned), worker.await.unwrap());
            Err(format!("{names:?} {}", stop.await))
        };
        let mut part = Part::start("part", run).unwrap();
        assert_eq!(part.listening().await.unwrap(), listening());
        let outcome = part.stop("enough").await.unwrap_err();
        assert_eq!(outcome, r#"part: (Some("part"), Some("part")) enough"#);
    }

    #[tokio::test]
    async fn a_part_that_cannot_start_says_why() {
        let mut part = Part::start("part", |_, _| async { Err("port in use".to_owned()) }).unwrap();
        assert_eq!(part.listening().await.unwrap_err(), "part: port in use");
        part.stop("over").await.unwrap();
    }

    #[tokio::test]
    async fn a_part_that_ends_by_itself_is_noticed() {
        let run = |announce: Announce, _| async {
            announce(listening());
            Ok(())
        };
        let mut part = Part::start("part", run).unwrap();
        part.listening().await.unwrap();
        assert_eq!(part.failed().await, "part ended by itself");
    }
}
