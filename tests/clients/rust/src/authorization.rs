//! A server that nsqd asks what a secret is good for. It knows nothing of NSQ but the form of the answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Permits a topic to whoever knows the secret, and nothing to others. Its thread ends with the program.
pub struct AuthorizationServer {
    pub address: String,
}

impl AuthorizationServer {
    /// The topic is a regular expression.
    pub fn start(address: &str, secret: &str, topic: &str) -> AuthorizationServer {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let known = format!("secret={secret}");
        let permitted = format!(
            "{{\"topic\":\"{topic}\",\"channels\":[\".*\"],\"permissions\":[\"subscribe\",\"publish\"]}}"
        );
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // Who hangs up before the answer gets none.
                let _ = stream.and_then(|stream| {
                    let permitted = if asked(&stream)?.contains(&known) { permitted.as_str() } else { "" };
                    answer(stream, permitted)
                });
            }
        });
        AuthorizationServer { address }
    }
}

/// The request line and the body, where the parameters may stand.
fn asked(stream: &TcpStream) -> io::Result<String> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    reader.take(length).read_to_string(&mut request)?;
    Ok(request)
}

fn answer(mut stream: TcpStream, permitted: &str) -> io::Result<()> {
    let body = format!("{{\"ttl\":3600,\"identity\":\"tester\",\"authorizations\":[{permitted}]}}");
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
