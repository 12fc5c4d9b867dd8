//! What no nsqd can exceed, measured without any.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use super::{Run, channel_names};
use crate::bench::answerer::Answerer;
use crate::bench::burst::{Burst, Publish};
use crate::bench::figures::Figures;
use crate::bench::target::{Place, Target};
use crate::bench::task_answerer::TaskAnswerer;
use crate::bench::threads::Joined as _;
use crate::bench::usage::Usage;
use crate::bench::workload::{Publishing, Request};
use crate::failure::Failure;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// How much is kept in one piece, in bytes: less than what the allocator gives back at once.
const PIECE_BYTES: usize = 64 * 1024;

impl Run {
    /// The bytes of batches over loopback, read and thrown away or kept in memory.
    pub(super) fn limit(&self, is_kept: bool) -> Result<Figures, Failure> {
        let Self { topic, load, size, .. } = self;
        let mut figures = Figures::default();
        let mut burst = Burst::new(topic, Publish::Batch(load.batch), 1, *size, 0);
        let bursts = load.messages.div_ceil(load.batch as u64);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut socket = TcpStream::connect(listener.local_addr()?)?;
        let began = Instant::now();
        let (read, used) = thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let (socket, _) = listener.accept()?;
                let usage = Usage::of_this_thread();
                let before = usage.and_then(Usage::processor_time);
                let read = if is_kept { keep(socket)? } else { pass_over(socket)? };
                let after = usage.and_then(Usage::processor_time);
                Ok::<_, Failure>((read, after.zip(before).map(|(after, before)| after.since(before))))
            });
            for at in 0..bursts {
                burst.number(at * load.batch as u64);
                self.target.place.moved.add(load.batch as u64);
                socket.write_all(burst.bytes())?;
            }
            drop(socket);
            reading.joined()
        })?;
        let elapsed = began.elapsed();
        if read != bursts * burst.bytes().len() as u64 {
            return Err(Failure::Failed(format!("{read} bytes came, which are not all")));
        }
        let messages = bursts * load.batch as u64;
        figures.rate("copied", messages, elapsed);
        if let Some(used) = used {
            figures.time("CPU/message", used.div_f64(messages.max(1) as f64));
        }
        Ok(figures)
    }

    /// Publishes as always, to one who answers and does nothing else.
    pub(super) fn limit_each(&mut self, publishing: Publishing) -> Result<Figures, Failure> {
        self.limited(self.load.connections, |run| run.publish(publishing))
    }

    /// Makes requests as always, of one who answers and does nothing else.
    pub(super) fn limit_http(&mut self, request: Request) -> Result<Figures, Failure> {
        self.limited(self.load.connections, |run| run.http(run.target.place.tcp, request))
    }

    /// Publishes at a pace as always, through one who passes messages on and does nothing else.
    pub(super) fn limit_latency(&mut self, by_tasks: bool) -> Result<Figures, Failure> {
        let measure = |run: &Self| run.paced(&channel_names(1));
        if by_tasks {
            let answerer = TaskAnswerer::start()?;
            let outcome = self.measured_at(answerer.address(), answerer.usage(), measure);
            // Why it has failed says more than that it has.
            answerer.end()?;
            return outcome;
        }
        self.limited(1 + self.load.consumers, measure)
    }

    /// Measures, with so many connections, the least that can stand in the place of an nsqd.
    fn limited(
        &mut self,
        connections: usize,
        measure: impl FnOnce(&Self) -> Result<Figures, Failure>,
    ) -> Result<Figures, Failure> {
        let answerer = Answerer::start(connections)?;
        let outcome = self.measured_at(answerer.address(), answerer.usage(), measure);
        // Why it has ended says more than that it has.
        answerer.end()?;
        outcome
    }

    fn measured_at(
        &mut self,
        tcp: SocketAddr,
        usage: Option<Usage>,
        measure: impl FnOnce(&Self) -> Result<Figures, Failure>,
    ) -> Result<Figures, Failure> {
        let place = Place { tcp, ..self.target.place.clone() };
        self.target = Target::new(place, None, usage)?;
        measure(self)
    }
}

/// Reads to the end; how many bytes that was.
fn pass_over(mut socket: TcpStream) -> io::Result<u64> {
    let mut bytes = vec![0; READ_BYTES];
    let mut sum = 0;
    loop {
        match socket.read(&mut bytes)? {
            0 => return Ok(sum),
            count => sum += count as u64,
        }
    }
}

/// The same, and all of it is in memory then, which was never used before.
fn keep(socket: TcpStream) -> io::Result<u64> {
    let mut kept = Vec::new();
    loop {
        let mut bytes = Vec::with_capacity(PIECE_BYTES);
        match (&socket).take(PIECE_BYTES as u64).read_to_end(&mut bytes)? {
            0 => return Ok(kept.iter().map(|bytes: &Vec<u8>| bytes.len() as u64).sum()),
            _ => kept.push(bytes),
        }
    }
}
