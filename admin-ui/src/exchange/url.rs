//! A URL that can be asked: the little of it that a request needs.

use std::fmt;

use percent_encoding::percent_decode_str;

/// Where a request goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether it is asked over TLS.
    pub is_https: bool,
    /// Without brackets, also where it is an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query; always begins with `/`.
    pub target: String,
    /// `user:password`, unescaped; empty for none.
    pub user_info: String,
}

/// Why a text is no URL that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(pub(super) &'static str);

/// Without what may be a secret.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Without its user and its query, which may hold secrets.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority())
    }
}

impl Url {
    /// Reads `http://host/path` or `https://user:password@host:port/path?query`.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError("the URL has no scheme"))?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(UrlError("the URL is neither http nor https")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user_info, authority) = authority.rsplit_once('@').unwrap_or(("", authority));
        let user_info = percent_decode_str(user_info).decode_utf8_lossy().into_owned();
        let (host, port) = host_and_port(authority)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { is_https, host, port: port.unwrap_or(if is_https { 443 } else { 80 }), target, user_info })
    }

    /// A target of the node whose HTTP port is at `host:port`.
    ///
    /// # Errors
    /// That is no address.
    pub fn of_node(address: &str, target: String) -> Result<Self, UrlError> {
        let (host, port) = host_and_port(address)?;
        let port = port.ok_or(UrlError("the address has no port"))?;
        Ok(Self { is_https: false, host, port, target, user_info: String::new() })
    }

    /// The same over HTTPS at this port.
    #[must_use]
    pub fn with_https_port(&self, port: u16) -> Self {
        Self { is_https: true, port, ..self.clone() }
    }

    /// `host:port` as it is dialled and sent.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port {
        "" | ":" => None,
        port => {
            let number = port.strip_prefix(':').and_then(|number| number.parse().ok());
            Some(number.ok_or(UrlError("the port is not a number to 65535"))?)
        }
    };
    if host.is_empty() { Err(UrlError("the URL has no host")) } else { Ok((host.to_owned(), port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, https, authority, target, user) in [
            ("http://h", false, "h:80", "/", ""),
            ("https://h/a?b=c#d", true, "h:443", "/a?b=c", ""),
            ("HTTP://h:81?x", false, "h:81", "/?x", ""),
            ("http://me:p%40ss@[::1]:8/x", false, "[::1]:8", "/x", "me:p@ss"),
        ] {
            let url = Url::parse(text).unwrap();
            let parts = (url.is_https, url.authority(), url.target.as_str(), url.user_info.as_str());
            assert_eq!(parts, (https, authority.to_owned(), target, user), "{text}");
        }
        for text in ["", "h", "ftp://h", "http://", "http://h:x", "http://h:70000", "http://:1"] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let url = Url::parse("https://me:secret@h/path?token=1").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://h:443/path https://h:443/path");
    }
}
