//! Servers of all kinds, asked over loopback.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;

const GOOD: &str =
    r#"{"ttl":60,"authorizations":[{"topic":"t","channels":[".*"],"permissions":["publish"]}]}"#;

/// A server on loopback.
struct Server {
    address: String,
    /// The first line of each request, and its body.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    /// Answers each request with what `answer` makes of its first line and the server's own address.
    async fn start(answer: impl Fn(&str, &str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (own_address, noted) = (address.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (line, body) = read_request(&mut stream).await;
                let answer = answer(&line, &own_address);
                noted.lock().unwrap().push((line, body));
                // Who has read enough hangs up.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { address, asked }
    }

    async fn saying(answer: String) -> Self {
        Self::start(move |_, _| answer.clone()).await
    }

    fn lines(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(line, _)| line.clone()).collect()
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    // What is no text ends a request too: whoever speaks TLS to a plain server sees what it says to that.
    let mut more = reader.read_line(&mut first).await.is_ok();
    while more {
        let mut line = String::new();
        more = reader.read_line(&mut line).await.is_ok() && !line.trim_end().is_empty();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    (first.trim_end().trim_end_matches(" HTTP/1.1").to_owned(), String::from_utf8(body).unwrap())
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

fn settings(addresses: &[&str], method: AuthMethod) -> AuthSettings {
    AuthSettings {
        addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        method,
        connect_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_secs(5),
        authorities: PathBuf::new(),
        only_tls_1_3: false,
    }
}

fn servers(addresses: &[&str], method: AuthMethod) -> AuthServers {
    AuthServers::new(settings(addresses, method)).unwrap().unwrap()
}

async fn ask(servers: &AuthServers) -> Result<Authorizations, String> {
    let question = Question { common_name: "", remote_ip: "127.0.0.1", secret: b"s", tls: false };
    servers.ask(&question).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn only_a_good_answer_of_status_200_counts() {
    for (what, answer, cause) in [
        ("200", response("200 OK", "", GOOD), None),
        ("201", response("201 Created", "", GOOD), Some("got response 201")),
        ("500", response("500 Internal Server Error", "", "broken"), Some("\"broken\"")),
        ("403", response("403 Forbidden", "", "no"), Some("got response 403")),
        ("no port", response("403 Forbidden", "", r#"{"https_port":0}"#), Some("got response 403")),
        ("a redirect to nowhere", response("302 Found", "", GOOD), Some("got response 302")),
        (
            "a redirect to nobody",
            response("302 Found", "Location: http://127.0.0.1:1/\r\n", ""),
            Some("redirected to 127.0.0.1:1 - connection refused"),
        ),
        (
            "a redirect with a password",
            response("302 Found", "Location: http://me:hidden@127.0.0.1:1/\r\n", ""),
            Some("a user name in a URL is not supported"),
        ),
        ("a redirect to nonsense", response("302 Found", "Location: ftp://x\r\n", ""), Some("neither http")),
        ("nonsense", "220 mail at your service\r\n".to_owned(), Some("no complete answer")),
        ("nothing", String::new(), Some("no complete answer")),
        ("half", response("200 OK", "", GOOD)[..60].to_owned(), Some("no complete answer")),
        ("too much", response("200 OK", "", &" ".repeat(10 << 20)), Some("larger than 1048576 bytes")),
        (
            "too much head",
            response("200 OK", &format!("x: {}\r\n", "y".repeat(1 << 20)), GOOD),
            Some("no complete"),
        ),
        (
            "no end of head",
            "HTTP/1.1 200 OK\r\n".to_owned() + &"x: y\r\n".repeat(1 << 18),
            Some("no complete"),
        ),
        ("no JSON", response("200 OK", "", "hello"), Some("not the JSON it should be")),
    ] {
        let server = Server::saying(answer).await;
        let asked = ask(&servers(&[&server.address], AuthMethod::Get)).await;
        match cause {
            None => assert!(asked.is_ok(), "{what}: {asked:?}"),
            Some(cause) => {
                let error = asked.map(|_| ()).unwrap_err();
                assert!(error.starts_with("failed to auth against 127.0.0.1:"), "{what}: {error}");
                assert!(error.contains(cause), "{what}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_is_followed_as_often_as_a_client_of_go_would() {
    let server = Server::start(|line, address| match line.rsplit_once("/go/").map(|(_, left)| left) {
        Some("0") => response("200 OK", "", GOOD),
        Some(left) => {
            let location = format!("Location: http://{address}/go/{}\r\n", left.parse::<u32>().unwrap() - 1);
            response("302 Found", &location, "elsewhere")
        }
        None => response("307 Temporary Redirect", "Location: /go/8\r\n", ""),
    })
    .await;
    assert!(ask(&servers(&[&server.address], AuthMethod::Get)).await.is_ok());
    assert_eq!(server.lines().len(), 10);
    let ring = Server::saying(response("301 Moved Permanently", "Location: /auth\r\n", "")).await;
    let error = ask(&servers(&[&ring.address], AuthMethod::Get)).await.unwrap_err();
    assert!(error.contains("no end after 10 redirects"), "{error}");
    assert_eq!(ring.lines().len(), 10);
}

#[tokio::test]
async fn a_post_stays_one_only_where_the_redirect_says_so() {
    for (status, expected) in [
        ("308 Permanent Redirect", [("POST /auth", true), ("POST /there", true)]),
        ("303 See Other", [("POST /auth", true), ("GET /there", false)]),
    ] {
        let server = Server::start(move |line, _| match line.ends_with("/there") {
            true => response("200 OK", "", GOOD),
            false => response(status, "Location: there\r\n", ""),
        })
        .await;
        assert!(ask(&servers(&[&server.address], AuthMethod::Post)).await.is_ok());
        let asked = server.asked.lock().unwrap();
        let asked: Vec<_> = asked.iter().map(|(line, body)| (line.as_str(), !body.is_empty())).collect();
        assert_eq!(asked, expected, "{status}");
    }
}

#[tokio::test]
async fn the_query_follows_whatever_url_was_given() {
    let server = Server::saying(response("200 OK", "", GOOD)).await;
    let url = format!("http://{}/mine?a=b", server.address);
    assert!(ask(&servers(&[&url], AuthMethod::Get)).await.is_ok());
    let expected = "GET /mine?a=b?common_name=&remote_ip=127.0.0.1&secret=s&tls=false";
    assert_eq!(server.lines(), [expected]);
}

#[tokio::test]
async fn the_first_good_answer_of_several_servers_counts() {
    let (good, bad) = (
        Server::saying(response("200 OK", "", GOOD)).await,
        Server::saying(response("500 Internal Server Error", "", "")).await,
    );
    let both = servers(&[&bad.address, &good.address, "127.0.0.1:1"], AuthMethod::Get);
    for _ in 0..50 {
        assert!(ask(&both).await.is_ok());
    }
    assert!(bad.lines().len() > 5 && bad.lines().len() < 50, "any of them is the first");
    let none = ask(&servers(&[&bad.address, "127.0.0.1:1", "no port"], AuthMethod::Get)).await.unwrap_err();
    assert_eq!(none.matches("failed to auth against").count(), 3, "{none}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_costs_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let error = ask(&servers(&[&address], AuthMethod::Get)).await.unwrap_err();
    assert!(error.ends_with("no answer within 5s") || error.ends_with("no connection within 2s"), "{error}");
}

#[tokio::test]
async fn a_user_name_in_a_url_is_refused() {
    let error = ask(&servers(&["http://me:hidden@127.0.0.1:1/"], AuthMethod::Get)).await.unwrap_err();
    assert!(error.ends_with("a user name in a URL is not supported"), "{error}");
}

#[tokio::test]
async fn what_is_logged_holds_no_secret() {
    let question = Question { common_name: "", remote_ip: "", secret: b"hidden", tls: false };
    for address in ["127.0.0.1:1", "http://127.0.0.1:1/\u{7f}", "http:// /", "ftp://x", "https://127.0.0.1:1"]
    {
        let error = servers(&[address], AuthMethod::Get).ask(&question).await.unwrap_err();
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
}

/// An authority's file, and a server with a certificate of it for `localhost`, which gives a good answer.
async fn secure_server(directory: &std::path::Path) -> (PathBuf, u16) {
    use nsq::transport::tls::{ClientCertificates, TlsFiles, TlsServer};
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an authority");
    let authorities = directory.join("ca.pem");
    std::fs::write(&authorities, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let issued = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer);
    let files = TlsFiles {
        certificate: directory.join("server.pem"),
        key: directory.join("server.key"),
        clients: ClientCertificates::NotAsked,
        authorities: PathBuf::new(),
        only_tls_1_3: false,
    };
    std::fs::write(&files.certificate, issued.unwrap().pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    let tls = TlsServer::load(&files).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not trust this server hangs up.
            if let Ok((mut stream, _)) = tls.accept(stream).await {
                read_request(&mut stream).await;
                stream.write_all(response("200 OK", "", GOOD).as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    });
    (authorities, port)
}

#[tokio::test]
async fn a_server_is_asked_over_https_if_an_authority_vouches_for_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let (authorities, port) = secure_server(directory.path()).await;
    let plain = Server::saying(response("403 Forbidden", "", &format!(r#"{{"https_port":{port}}}"#))).await;
    let plain_port = plain.address.rsplit_once(':').unwrap().1.to_owned();
    let moved =
        Server::saying(response("302 Found", &format!("Location: https://localhost:{port}/\r\n"), "")).await;
    for (address, trusted, cause) in [
        (format!("https://localhost:{port}/auth"), true, None),
        (format!("http://localhost:{plain_port}/auth"), true, None),
        (moved.address.clone(), true, None),
        (format!("https://localhost:{port}/auth"), false, Some("no secure connection, ")),
        (format!("https://127.0.0.1:{port}/auth"), true, Some("no secure connection, ")),
        (format!("https://{}/auth", plain.address), true, Some("no secure connection, ")),
        (format!("http://localhost:{port}/auth"), true, Some("no complete answer")),
    ] {
        for method in [AuthMethod::Get, AuthMethod::Post] {
            let settings = AuthSettings {
                authorities: if trusted { authorities.clone() } else { PathBuf::new() },
                ..settings(&[&address], method)
            };
            let asked = ask(&AuthServers::new(settings).unwrap().unwrap()).await.map(|_| ());
            match cause {
                None => assert_eq!(asked, Ok(()), "{address}"),
                Some(cause) => {
                    assert!(asked.clone().is_err_and(|error| error.contains(cause)), "{address}: {asked:?}")
                }
            }
        }
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_is_of_no_use_is_told_at_once() {
    let of_no_use =
        |path: &str| AuthSettings { authorities: path.into(), ..settings(&["a:1"], AuthMethod::Get) };
    for path in ["/no/such/file", "Cargo.toml"] {
        assert!(AuthServers::new(of_no_use(path)).is_err(), "{path}");
    }
    assert!(
        AuthServers::new(AuthSettings { addresses: Vec::new(), ..of_no_use("/no/such/file") })
            .unwrap()
            .is_none()
    );
}
