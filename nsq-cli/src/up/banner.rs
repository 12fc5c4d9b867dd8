//! What is said once everything listens: a line for the log, and for a person at a terminal what to try.

use std::fmt::Write as _;
use std::path::PathBuf;

use nsq::daemon::listener::Listening;

/// What runs.
#[derive(Debug, Default)]
pub(super) struct Banner {
    pub(super) nsqd: Option<Listening>,
    pub(super) nsqlookupd: Option<Listening>,
    pub(super) nsqadmin: Option<Listening>,
    pub(super) data_path: PathBuf,
}

impl Banner {
    /// One line for the log.
    pub(super) fn line(&self) -> String {
        let mut line = "everything listens:".to_owned();
        for (part, listening) in self.parts() {
            let _ = write!(line, " {part}");
            for (protocol, address) in [("TCP", &listening.tcp), ("HTTP", &listening.http)] {
                if let Some(address) = address {
                    let _ = write!(line, " {protocol} {address}");
                }
            }
            line.push(';');
        }
        line.pop();
        line
    }

    /// What a newcomer can do now. `program` is how this program was called.
    pub(super) fn text(&self, program: &str) -> String {
        let mut text = String::from("\n");
        for (part, listening) in self.parts() {
            let ports: Vec<String> = [("TCP", &listening.tcp), ("HTTP", &listening.http)]
                .into_iter()
                .filter_map(|(protocol, address)| Some(format!("{protocol} {}", port(address)?)))
                .collect();
            let _ = writeln!(text, "  {part:<10}  {}", ports.join(", "));
        }
        if let Some(nsqd) = &self.nsqd {
            let _ = writeln!(text, "  data        {}", self.data_path.display());
            let (tcp, http) = (port(&nsqd.tcp), port(&nsqd.http));
            let tcp_flag = flag("nsqd-tcp-address", tcp, 4150);
            let lookupd = self.nsqlookupd.as_ref().and_then(|lookupd| port(&lookupd.http));
            let http_flag = match lookupd {
                Some(lookupd) => flag("lookupd-http-address", Some(lookupd), 4161),
                None => flag("nsqd-http-address", http, 4151),
            };
            let mut tries = Vec::new();
            if let Some(http) = http {
                tries.push(("publish", format!("curl -d hello 'localhost:{http}/pub?topic=greetings'")));
            }
            tries.push(("publish", format!("{program} pub greetings 'hello again'{tcp_flag}")));
            tries.push(("print", format!("{program} tail greetings{tcp_flag}")));
            tries.push(("watch", format!("{program} stat{http_flag}")));
            if let Some(admin) = self.nsqadmin.as_ref().and_then(|part| port(&part.http)) {
                tries.push(("look", format!("http://localhost:{admin} in a browser")));
            }
            text.push_str("\n  Try in a second terminal:\n\n");
            for (what, command) in tries {
                let _ = writeln!(text, "    {what:<8}  {command}");
            }
        }
        text.push_str("\n  Ctrl-C stops it in order; nothing is lost. The log goes on below.\n\n");
        text
    }

    fn parts(&self) -> impl Iterator<Item = (&'static str, &Listening)> {
        let parts = [("nsqd", &self.nsqd), ("nsqlookupd", &self.nsqlookupd), ("nsqadmin", &self.nsqadmin)];
        parts.into_iter().filter_map(|(name, listening)| Some((name, listening.as_ref()?)))
    }
}

/// The flag that names a port of this machine, where it is not the one that is taken without a flag.
fn flag(name: &str, port: Option<&str>, standard: u16) -> String {
    match port {
        Some(port) if port != standard.to_string() => format!(" --{name}=127.0.0.1:{port}"),
        _ => String::new(),
    }
}

fn port(address: &Option<String>) -> Option<&str> {
    address.as_deref()?.rsplit_once(':').map(|(_, port)| port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(nsqd: Option<(u16, u16)>, nsqlookupd: Option<(u16, u16)>) -> Banner {
        let listening =
            |(tcp, http)| Listening { tcp: Some(format!("[::]:{tcp}")), http: Some(format!("[::]:{http}")) };
        Banner {
            nsqd: nsqd.map(listening),
            nsqlookupd: nsqlookupd.map(listening),
            nsqadmin: None,
            data_path: PathBuf::from("data"),
        }
    }

    #[test]
    fn the_log_says_who_listens_where() {
        assert_eq!(
            banner(Some((1, 2)), Some((3, 4))).line(),
            "everything listens: nsqd TCP [::]:1 HTTP [::]:2; nsqlookupd TCP [::]:3 HTTP [::]:4"
        );
        assert_eq!(
            banner(None, Some((3, 4))).line(),
            "everything listens: nsqlookupd TCP [::]:3 HTTP [::]:4"
        );
    }

    #[test]
    fn on_standard_ports_no_flag_is_needed() {
        let text = banner(Some((4150, 4151)), Some((4160, 4161))).text("nsq");
        for line in [
            "  nsqd        TCP 4150, HTTP 4151\n  nsqlookupd  TCP 4160, HTTP 4161\n  data        data\n",
            "    publish   curl -d hello 'localhost:4151/pub?topic=greetings'\n",
            "    publish   nsq pub greetings 'hello again'\n",
            "    print     nsq tail greetings\n",
            "    watch     nsq stat\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn other_ports_are_named_in_what_to_try() {
        let text = banner(Some((1, 2)), Some((3, 4))).text("target/release/nsq");
        assert!(
            text.contains("target/release/nsq tail greetings --nsqd-tcp-address=127.0.0.1:1\n"),
            "{text}"
        );
        assert!(text.contains("stat --lookupd-http-address=127.0.0.1:4\n"), "{text}");
        let text = banner(Some((1, 2)), None).text("nsq");
        assert!(text.contains("stat --nsqd-http-address=127.0.0.1:2\n"), "{text}");
    }

    #[test]
    fn without_nsqd_there_is_nothing_to_try() {
        let text = banner(None, Some((3, 4))).text("nsq");
        assert!(!text.contains("Try") && text.contains("nsqlookupd  TCP 3, HTTP 4"), "{text}");
    }
}
