//! Authorization servers for a daemon to ask: good ones, and such as do what no server should.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};

use crate::raw::with_body;
use crate::{Client, Daemon};

/// What an authorization server was asked.
#[derive(Debug)]
pub struct Asked {
    /// The request line.
    pub line: String,
    /// The lines of the head below it.
    pub headers: Vec<String>,
    /// The body.
    pub body: String,
}

/// An authorization server that gives the same answer to whoever asks; its thread ends with the test program.
pub fn authorization_server(status: &str, answer: &str) -> (SocketAddr, Receiver<Asked>) {
    let response = response(status, "", answer);
    server(move |_| Some(response.clone()))
}

/// A server that answers with what `respond` makes of each question: bytes, or nothing and the connection stays open.
pub fn server(respond: impl Fn(&Asked) -> Option<Vec<u8>> + Send + 'static) -> (SocketAddr, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut left_open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection is accepted");
            let Some(asked) = read_request(&stream) else { continue };
            match respond(&asked) {
                // Who has read enough may hang up.
                Some(response) => drop(stream.write_all(&response)),
                None => left_open.push(stream),
            }
            // Not every test wants to know.
            let _ = sender.send(asked);
        }
    });
    (address, receiver)
}

/// A response with a body; `headers` are whole lines.
pub fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// `None` when the peer hangs up before it has asked.
fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let length =
        lines.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).expect("the daemon sends text");
    Some(Asked { line: lines.remove(0), headers: lines, body })
}

/// An answer that holds for an hour, with these authorizations.
pub fn answer(authorizations: &str) -> String {
    format!(
        "{{\"ttl\":3600,\"identity\":\"who\",\"identity_url\":\"http://who\",\"authorizations\":[{authorizations}]}}"
    )
}

/// An authorization for everything with the topics that match.
pub fn all_of(topic: &str) -> String {
    format!("{{\"topic\":\"{topic}\",\"channels\":[\".*\"],\"permissions\":[\"subscribe\",\"publish\"]}}")
}

/// A client that was authorized.
pub fn authorize(daemon: &Daemon) -> Client {
    let mut client = daemon.connect();
    client.send(with_body("AUTH", "secret"));
    client.expect_any_response();
    client
}
