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
pub struct UrlError(&'static str);

impl UrlError {
    /// HTTP has no words for it.
    pub const UNUSABLE: Self = Self("the URL holds what no URL may");
}

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

    /// Where a redirect from here leads to.
    ///
    /// # Errors
    /// That is no URL.
    pub fn join(&self, location: &str) -> Result<Self, UrlError> {
        let location = location.split('#').next().unwrap_or_default();
        if location.split(['/', '?']).next().unwrap_or_default().contains(':') {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", if self.is_https { "https" } else { "http" }));
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let target = match location.as_bytes().first() {
            None => self.target.clone(),
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{path}{location}"),
            Some(_) => format!("{}/{location}", path.rsplit_once('/').map_or("", |(directory, _)| directory)),
        };
        Ok(Self { target, ..self.clone() })
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
    use proptest::prelude::*;

    use super::*;

    fn shown(url: Result<Url, UrlError>) -> String {
        url.map_or_else(
            |error| error.to_string(),
            |url| {
                format!("{} {} {}", if url.is_https { "https" } else { "http" }, url.authority(), url.target)
            },
        )
    }

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
        for (text, expected) in [
            ("http://h:/x?y=1?z=2#part", "http h:80 /x?y=1?z=2"),
            ("http://[::1]/x", "http [::1]:80 /x"),
            ("", "the URL has no scheme"),
            ("h", "the URL has no scheme"),
            ("ftp://h", "the URL is neither http nor https"),
            ("http://", "the URL has no host"),
            ("http://:1", "the URL has no host"),
            ("http://h:x", "the port is not a number to 65535"),
            ("http://h:70000", "the port is not a number to 65535"),
            ("http://[::1]x", "the port is not a number to 65535"),
        ] {
            assert_eq!(shown(Url::parse(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_redirect_is_followed_from_where_it_came() {
        let here = Url::parse("http://host:1/a/b?secret=s").unwrap();
        for (location, expected) in [
            ("https://other/x", "https other:443 /x"),
            ("//other:2/x", "http other:2 /x"),
            ("/x?y", "http host:1 /x?y"),
            ("x", "http host:1 /a/x"),
            ("?y", "http host:1 /a/b?y"),
            ("", "http host:1 /a/b?secret=s"),
            ("mailto:x", "the URL has no scheme"),
        ] {
            assert_eq!(shown(here.join(location)), expected, "{location}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"(http|https)?(:?//)?[\[\]:/?#@a-z0-9é.]{0,20}") {
            let here = Url::parse("http://host:1/a/b?c").unwrap();
            for url in [Url::parse(&text), here.join(&text)].into_iter().flatten() {
                assert!(url.target.starts_with('/') && !url.host.is_empty());
                assert_eq!(Url::parse(&format!("http://{}", url.authority())).map(|url| url.port), Ok(url.port));
            }
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let url = Url::parse("https://me:secret@h/path?token=1").unwrap();
        assert_eq!(format!("{url} {url:?}"), "https://h:443/path https://h:443/path");
    }
}
