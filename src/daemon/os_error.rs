//! What the operating system said, in the words operators know from NSQ's logs.

use std::io;

/// The error's text as NSQ prints it: `no such file or directory`, not
/// `No such file or directory (os error 2)`. Other errors keep their own text.
#[must_use]
pub fn os_error_text(error: &io::Error) -> String {
    let text = error.to_string();
    let Some(code) = error.raw_os_error() else { return text };
    let text = text.trim_end_matches(&format!(" (os error {code})"));
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_read_as_in_nsq() {
        let missing = std::fs::File::open("/no/such/file").unwrap_err();
        assert_eq!(os_error_text(&missing), "no such file or directory");
    }

    #[test]
    fn other_errors_keep_their_text() {
        assert_eq!(os_error_text(&io::Error::other("Torn (page)")), "Torn (page)");
    }
}
