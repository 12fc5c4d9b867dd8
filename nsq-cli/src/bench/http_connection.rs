//! A connection for HTTP requests that costs little: it is kept, requests were made before, and of an answer only is looked
//! at what says how it went and where it ends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use memchr::memmem;
use nsq::daemon::os_error::os_error_text;

use crate::failure::{Failure, printable};

/// The longest answer that is waited for, in bytes.
const ANSWER_BYTES_MAX: usize = 4096;

/// A connection, with nothing on its way.
pub(super) struct HttpConnection {
    socket: TcpStream,
    answer: [u8; ANSWER_BYTES_MAX],
}

/// The bytes of a POST.
pub(super) fn post(address: SocketAddr, target: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {target} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

impl HttpConnection {
    pub(super) fn open(address: SocketAddr, patience: Duration) -> Result<Self, Failure> {
        let socket = TcpStream::connect(address).map_err(|error| failed(&error))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Self { socket, answer: [0; ANSWER_BYTES_MAX] })
    }

    /// Where the answers come from.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Sends a request, and waits for the end of its answer, which must be a 200.
    pub(super) fn ask(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.send(request)?;
        self.expect_ok()
    }

    pub(super) fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.socket.write_all(request).map_err(|error| failed(&error))
    }

    /// Waits for the end of the answer, which must be a 200.
    pub(super) fn expect_ok(&mut self) -> Result<(), Failure> {
        let mut length = 0;
        loop {
            let count = match self.socket.read(&mut self.answer[length..]) {
                // The system does not begin anew by itself where there is a time limit.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|error| failed(&error))?,
            };
            length += count;
            let so_far = &self.answer[..length];
            match end(so_far) {
                Some(end) if end == length && is_well(so_far) => return Ok(()),
                Some(end) if end <= length => return Err(refused(so_far)),
                // It closed the connection, or says more than there is to say.
                _ if count == 0 => return Err(refused(so_far)),
                _ => {}
            }
        }
    }
}

fn is_well(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 200 ")
}

/// Where the answer or the request ends that begins so; `None` where that is not known yet.
pub(super) fn end(message: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let head = memmem::find(message, b"\r\n\r\n")? + 4;
    let line = message[..head].split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    });
    // Without a length it ends with the connection; of a 200 that does not come.
    let length: usize = line.and_then(|value| str::from_utf8(value).ok()?.trim().parse().ok())?;
    Some(head.saturating_add(length))
}

fn refused(answer: &[u8]) -> Failure {
    Failure::Failed(format!("nsqd answered {} to a POST", printable(&String::from_utf8_lossy(answer))))
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot ask nsqd over HTTP: {}", os_error_text(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 2\r\n\r\nOK";
        assert_eq!(end(answer), Some(answer.len()));
        assert_eq!(end(&answer[..answer.len() - 1]), Some(answer.len()));
        assert_eq!(end(&answer[..40]), None);
        assert_eq!(end(b"HTTP/1.1 200 OK\r\nContent-Length: no\r\n\r\n"), None);
        assert!(is_well(answer) && !is_well(b"HTTP/1.1 500 Internal Server Error\r\n"));
    }

    #[test]
    fn a_request_says_how_long_its_body_is() {
        let request = post("127.0.0.1:1".parse().unwrap(), "/pub?topic=t", b"body");
        let expected = "POST /pub?topic=t HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(str::from_utf8(&request).unwrap(), expected);
    }
}
