//! Connections that each wait for an answer before they say the next thing, all served by one thread.
//!
//! A thread for each of them would be woken for each answer, and that takes more of the machine than nsqd does.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::target::{LOOK_INTERVAL, Place};
use crate::failure::Failure;

/// How many sockets that have something are told at once.
const EVENTS_MAX: usize = 64;

/// Who says something, and waits for the answer.
pub(super) trait Caller {
    /// Where the answers come from.
    fn socket(&self) -> &TcpStream;

    /// Says the next thing; `false` where nothing is left to be said.
    fn say(&mut self) -> Result<bool, Failure>;

    /// Takes all that has come, for it is told only once, or waits for some. Returns whether the answer is complete.
    fn hear(&mut self) -> Result<bool, Failure>;
}

/// Has them all say what they have to say, or until `deadline`; all is answered then. Where one is not answered, that is
/// noticed once the others are done.
pub(super) fn take_turns(
    callers: &mut [impl Caller],
    place: &Place,
    deadline: Option<Instant>,
) -> Result<(), Failure> {
    let mut poll = Poll::new()?;
    let mut waiting = 0;
    for (number, caller) in callers.iter_mut().enumerate() {
        if caller.say()? {
            let socket = caller.socket().as_raw_fd();
            poll.registry().register(&mut SourceFd(&socket), Token(number), Interest::READABLE)?;
            waiting += 1;
        }
    }
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut heard = Instant::now();
    while waiting > 0 {
        place.interrupt.check()?;
        match poll.poll(&mut events, Some(place.patience.min(LOOK_INTERVAL))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        let now = Instant::now();
        match events.is_empty() {
            true if now >= heard + place.patience => {
                return Err(Failure::Failed("nsqd does not answer".to_owned()));
            }
            true => continue,
            false => heard = now,
        }
        for event in &events {
            // What is told may have been heard already; then the answer to what was said since is waited for.
            let caller = &mut callers[event.token().0];
            if !caller.hear()? {
                continue;
            }
            let is_over = deadline.is_some_and(|deadline| now >= deadline);
            if is_over || !caller.say()? {
                poll.registry().deregister(&mut SourceFd(&caller.socket().as_raw_fd()))?;
                waiting -= 1;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Says a byte at a time.
    struct Counter {
        socket: TcpStream,
        left: u8,
        heard: Vec<u8>,
    }

    impl Caller for Counter {
        fn socket(&self) -> &TcpStream {
            &self.socket
        }

        fn say(&mut self) -> Result<bool, Failure> {
            if self.left == 0 {
                return Ok(false);
            }
            self.socket.write_all(&[self.left])?;
            self.left -= 1;
            Ok(true)
        }

        fn hear(&mut self) -> Result<bool, Failure> {
            let mut answer = [0; 2];
            let length = self.socket.read(&mut answer)?;
            self.heard.extend(&answer[..length]);
            // Each answer has two bytes.
            Ok(self.heard.len().is_multiple_of(2))
        }
    }

    /// Callers, and whoever answers each byte with it and another one; not the last of them if it `hangs`.
    fn callers(count: u8, hangs: bool) -> Vec<Counter> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let callers = (0..count).map(|number| {
            let socket = TcpStream::connect(address).unwrap();
            let (mut answering, _) = listener.accept().unwrap();
            thread::spawn(move || {
                let mut said = [0];
                while answering.read(&mut said).unwrap_or(0) > 0 {
                    if !hangs || number + 1 < count {
                        answering.write_all(&[said[0]]).unwrap();
                        answering.write_all(&[100]).unwrap();
                    }
                }
            });
            Counter { socket, left: number, heard: Vec::new() }
        });
        callers.collect()
    }

    #[test]
    fn each_says_all_it_has_and_hears_each_answer() {
        let mut callers = callers(4, false);
        take_turns(&mut callers, &Place::nowhere(), None).unwrap();
        let heard: Vec<_> = callers.iter().map(|caller| caller.heard.clone()).collect();
        assert_eq!(heard, [vec![], vec![1, 100], vec![2, 100, 1, 100], vec![3, 100, 2, 100, 1, 100]]);
    }

    #[test]
    fn where_the_time_is_over_what_was_said_is_still_answered() {
        let mut callers = callers(4, false);
        take_turns(&mut callers, &Place::nowhere(), Some(Instant::now())).unwrap();
        let heard: Vec<_> = callers.iter().map(|caller| caller.heard.clone()).collect();
        assert_eq!(heard, [vec![], vec![1, 100], vec![2, 100], vec![3, 100]]);
    }

    #[test]
    fn who_is_not_answered_gives_up() {
        let place = Place { patience: Duration::from_millis(20), ..Place::nowhere() };
        let Err(Failure::Failed(why)) = take_turns(&mut callers(2, true), &place, None) else {
            panic!("nobody answers")
        };
        assert_eq!(why, "nsqd does not answer");
    }
}
