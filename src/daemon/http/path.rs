//! Paths as text: cleaned of what is redundant, and escaped for a `Location`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The path without empty, `.` and `..` elements. A slash at its end stays, and a `.` there becomes one.
pub(super) fn clean(path: &str) -> String {
    let mut elements: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => drop(elements.pop()),
            _ => elements.push(element),
        }
    }
    let ends_in_slash = path.ends_with('/') || path.ends_with("/.");
    let end = if ends_in_slash && !elements.is_empty() { "/" } else { "" };
    format!("/{}{end}", elements.join("/"))
}

/// The path as it stands in a URL.
pub(super) fn escape(path: &str) -> String {
    utf8_percent_encode(path, PATH_ESCAPED).to_string()
}

/// What a path need not escape is what Go does not escape there.
const PATH_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redundant_elements_go() {
        for (path, cleaned) in [
            ("/", "/"),
            ("", "/"),
            ("//ping", "/ping"),
            ("/ping/", "/ping/"),
            ("/a/./b/../c", "/a/c"),
            ("/../../ping", "/ping"),
            ("/ping/.", "/ping/"),
            ("/ping/..", "/"),
            ("/a//b///", "/a/b/"),
            ("/..a/.b", "/..a/.b"),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn what_would_end_a_path_is_escaped() {
        assert_eq!(escape("/config/a b?c#d%é"), "/config/a%20b%3Fc%23d%25%C3%A9");
        assert_eq!(escape("/topics/a.b_c-d~$&+,:;=@"), "/topics/a.b_c-d~$&+,:;=@");
    }
}
