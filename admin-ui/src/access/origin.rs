//! Whose pages may change things here.
//!
//! A browser names the page that a request comes from in `Origin`. A foreign page has a foreign name there; so has one whose
//! name was made to lead to this server (DNS rebinding). What is no browser sends no such header, and is not asked for it.

use std::net::IpAddr;

/// The hosts whose pages may.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<String>);

impl Origins {
    /// This server's own names, and those that the operator allows; a port or a scheme in them does not count.
    #[must_use]
    pub fn new(own: impl IntoIterator<Item = String>, allowed: &[String]) -> Self {
        let allowed = allowed.iter().map(|name| host_of(name).to_owned());
        let names = own.into_iter().chain(allowed).filter(|name| !name.is_empty());
        Self(names.map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether a page may. An IP literal, `localhost` and a name without dots cannot have been made to lead here by
    /// somebody outside.
    #[must_use]
    pub fn allow(&self, origin: &str) -> bool {
        let is_page = origin.contains("://");
        let host = host_of(origin).to_ascii_lowercase();
        let is_literal = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        is_page && !host.is_empty() && (is_literal || !host.contains('.') || self.0.contains(&host))
    }
}

/// The host in `scheme://host:port`.
fn host_of(origin: &str) -> &str {
    let rest = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or_default();
    if rest.starts_with('[') {
        return rest.find(']').map_or(rest, |end| &rest[..=end]);
    }
    match rest.rsplit_once(':') {
        Some((host, _)) if !host.contains(':') => host,
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_from_here_may_change_things() {
        let allowed = ["https://ops.example.com:8443".to_owned(), "Admin.Example.COM".to_owned()];
        let origins = Origins::new(["vm.internal.lan".to_owned()], &allowed);
        for (origin, may) in [
            ("http://127.0.0.1:4171", true),
            ("http://[::1]:4171", true),
            ("http://[::1]", true),
            ("http://localhost:4171", true),
            ("http://nsqadmin:4171", true),
            ("http://vm.internal.lan:4171", true),
            ("https://VM.internal.lan", true),
            ("https://ops.example.com", true),
            ("http://admin.example.com:1", true),
            ("http://evil.example.com", false),
            ("http://vm.internal.lan.evil.com", false),
            ("http://127.0.0.1.evil.com", false),
            ("http://localhost.evil.com:4171", false),
            ("null", false),
            ("", false),
            ("http://", false),
            ("http://:80", false),
        ] {
            assert_eq!(origins.allow(origin), may, "{origin}");
        }
    }
}
