//! An HTTP server that answers every request alike and keeps what it was asked; or one that accepts and never answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::PATIENCE;

/// A running server. Its thread ends with the test program.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    requests: Receiver<Asked>,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Method and target.
    pub line: String,
    /// Header lines as they came.
    pub headers: Vec<String>,
    /// The body.
    pub body: String,
}

impl Asked {
    /// The value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.headers.iter().filter_map(|line| line.split_once(": "));
        pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

impl Endpoint {
    /// Answers with this status line (`200 OK`) and body.
    pub fn answering(status: &'static str, body: &'static str) -> Self {
        let (say, requests) = channel();
        let address = serve(move |stream| {
            if let Some(asked) = read(&stream) {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                let _ = (&stream).write_all(answer.as_bytes());
                let _ = Sender::send(&say, asked);
            }
        });
        Self { address, requests }
    }

    /// Accepts connections, and says nothing.
    pub fn silent() -> Self {
        let (say, requests) = channel();
        let address = serve(move |stream| {
            if let Some(asked) = read(&stream) {
                let _ = Sender::send(&say, asked);
            }
            // The connection stays as long as the test program.
            std::mem::forget(stream);
        });
        Self { address, requests }
    }

    /// The next request.
    ///
    /// # Panics
    /// When none comes.
    pub fn next(&self) -> Asked {
        self.requests.recv_timeout(PATIENCE).expect("a request comes")
    }
}

fn serve(answer: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || listener.incoming().flatten().for_each(answer));
    address
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim_end() {
            "" => break,
            header => headers.push(header.to_owned()),
        }
    }
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut asked = Asked { line, headers, body: String::new() };
    let length = asked.header("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    asked.body = String::from_utf8_lossy(&body).into_owned();
    Some(asked)
}
