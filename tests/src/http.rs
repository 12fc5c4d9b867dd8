//! An HTTP/1.1 client that keeps the spelling of headers and the bytes of bodies.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;

use crate::PATIENCE;
use crate::layers::Layered;

/// A request to be sent on a connection of its own.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<String>,
    body: Vec<u8>,
    chunked: bool,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status line without its end.
    pub status_line: String,
    /// The status.
    pub status: u16,
    /// Names as they were spelled, and values.
    pub headers: Vec<(String, String)>,
    /// The body, with chunks put together.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without body.
    pub fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, headers: Vec::new(), body: Vec::new(), chunked: false }
    }

    /// With this header line.
    #[must_use]
    pub fn header(mut self, line: &str) -> Self {
        self.headers.push(line.to_owned());
        self
    }

    /// With this body and its length.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// With the body sent in chunks, its length not told.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Sends it and reads the answer.
    ///
    /// # Panics
    /// When there is no complete answer.
    pub fn send(&self, address: SocketAddr) -> Response {
        let mut connection = Connection::open(address);
        connection.send(&self.bytes());
        connection.read_response(self.method == "HEAD")
    }

    /// Sends it over TLS and reads the answer.
    ///
    /// # Panics
    /// When there is no complete answer.
    pub fn send_tls(&self, address: SocketAddr, config: Arc<ClientConfig>) -> Response {
        let mut connection = Connection::open_tls(address, config);
        connection.send(&self.bytes());
        connection.read_response(self.method == "HEAD")
    }

    /// The request as it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: nsqd\r\n", self.method, self.target);
        for line in &self.headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        let has_length = self.headers.iter().any(|line| line.to_lowercase().starts_with("content-length:"));
        if self.chunked {
            head.push_str("Transfer-Encoding: chunked\r\n");
        } else if !has_length && (!self.body.is_empty() || self.method != "GET") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if self.chunked {
            for chunk in self.body.chunks(1 << 16) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        bytes
    }
}

/// A connection to the HTTP or HTTPS port, for what one request cannot show.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<Layered>,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the daemon listens");
        stream.set_nodelay(true).expect("the socket is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
        Self { stream: BufReader::new(Layered::new(stream)) }
    }

    /// Connects to the HTTPS port.
    pub fn open_tls(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let plain = Self::open(address).stream.into_inner();
        Self { stream: BufReader::new(plain.tls(config)) }
    }

    /// Sends bytes. A daemon that stops reading early is no failure: what it said is read afterwards.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes).and_then(|()| self.stream.get_mut().flush());
    }

    /// Tells the daemon that nothing more will come.
    pub fn finish_sending(&mut self) {
        let _ = self.stream.get_ref().socket.shutdown(Shutdown::Write);
    }

    /// Reads one answer.
    ///
    /// # Panics
    /// When there is no complete answer.
    pub fn read_response(&mut self, without_body: bool) -> Response {
        let status_line = self.line();
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("`{status_line}` is not a status line"));
        let headers = self.headers();
        let mut response = Response { status_line, status, headers, body: Vec::new() };
        let body = if without_body || status == 100 {
            Vec::new()
        } else if response.header("Transfer-Encoding") == Some("chunked") {
            self.chunks()
        } else if let Some(length) = response.header("Content-Length") {
            self.exactly(length.parse().expect("a length is a number"))
        } else {
            let mut rest = Vec::new();
            self.stream.read_to_end(&mut rest).expect("the body ends with the connection");
            rest
        };
        response.body = body;
        response
    }

    /// Reads one answer, if one comes before the connection ends.
    ///
    /// # Panics
    /// When neither happens in time.
    pub fn poll_response(&mut self) -> Option<Response> {
        let is_there = loop {
            match self.stream.fill_buf() {
                Ok(bytes) => break !bytes.is_empty(),
                // The tests were halted, and went on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A reset is an end too.
                Err(error) => {
                    assert!(error.kind() == ErrorKind::ConnectionReset, "waiting for an answer: {error}");
                    break false;
                }
            }
        };
        is_there.then(|| self.read_response(false))
    }

    /// The daemon must refuse the TLS handshake: nothing that was sent is answered. Gives what the alert said.
    pub fn expect_refusal(&mut self) -> String {
        self.stream.get_mut().expect_refusal()
    }

    /// The daemon must close without another byte.
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = self.stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{} before the end", rest.escape_ascii());
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return headers;
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("`{line}` is not a header"));
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let length = usize::from_str_radix(&self.line(), 16).expect("a chunk begins with its length");
            body.extend(self.exactly(length));
            assert_eq!(self.line(), "", "a chunk ends with an empty line");
            if length == 0 {
                return body;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer comes in time");
        assert!(line.ends_with("\r\n"), "the connection ended within the line `{line}`");
        line.truncate(line.len() - 2);
        line
    }

    fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("the body is complete");
        bytes
    }
}

/// How every answer that belongs to the API marks itself.
pub const VERSION_HEADER: (&str, &str) = ("X-Nsq-Content-Type", "nsq; version=1.0");

impl Response {
    /// The value of a header; the name must be spelled exactly so.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// Must carry the version header, as all of the API does.
    pub fn expect_version_header(&self) {
        assert_eq!(self.header(VERSION_HEADER.0), Some(VERSION_HEADER.1), "{self:?}");
    }

    /// Must be a 200 with the text OK.
    pub fn expect_ok(&self) {
        assert_eq!((self.status, self.text()), (200, "OK"));
        assert_eq!(self.header("Content-Type"), Some("text/plain; charset=utf-8"));
        self.expect_version_header();
    }

    /// Must be a 200 without body.
    pub fn expect_empty(&self) {
        assert_eq!((self.status, self.text()), (200, ""));
        assert_eq!(self.header("Content-Length"), Some("0"));
        assert_eq!(self.header("Content-Type"), None);
        self.expect_version_header();
    }

    /// Must be an error of the API with this status and code.
    pub fn expect_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.text()), (status, format!("{{\"message\":\"{code}\"}}").as_str()));
        assert_eq!(self.header("Content-Type"), Some("application/json; charset=utf-8"));
        self.expect_version_header();
    }

    /// Must be a 200 with JSON; gives its text.
    pub fn expect_json(&self) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("Content-Type"), Some("application/json; charset=utf-8"));
        self.expect_version_header();
        self.text()
    }
}
