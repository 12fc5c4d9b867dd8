//! Go's command-line syntax, put into the one form that cannot be misread.
//!
//! Pure. `-flag=v`, `--flag=v` and `--flag v` all become `--flag=v`; a flag that may stand alone never takes the
//! next argument. The first argument that is no flag ends the reading, and what follows is ignored. Whether
//! a value makes sense is not asked here, and an unknown flag is passed on for the parser to refuse.

use super::entry::Entry;

/// What is wrong with the form of a command line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadSyntax {
    #[error("bad flag syntax: {0}")]
    Flag(String),
    #[error("flag needs an argument: --{0}")]
    MissingValue(String),
}

/// Puts `arguments`, the program's own name not among them, into `--flag` and `--flag=value`.
pub(super) fn normalise<'a>(
    arguments: impl IntoIterator<Item = String>,
    entry: impl Fn(&str) -> Option<&'a Entry>,
) -> Result<Vec<String>, BadSyntax> {
    let mut arguments = arguments.into_iter();
    let mut normal = Vec::new();
    while let Some(argument) = arguments.next() {
        let Some(body) = argument.strip_prefix('-') else { break };
        let body = body.strip_prefix('-').unwrap_or(body);
        if body.is_empty() {
            // `-` is an argument that is no flag; `--` says that none follow.
            break;
        }
        if body.starts_with(['-', '=']) {
            return Err(BadSyntax::Flag(argument));
        }
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let Some(entry) = entry(name) else {
            // Asking for help counts as an unknown flag to Go as well: nothing behind either is looked at.
            normal.push(format!("--{}", if name == "h" { "help" } else { name }));
            break;
        };
        let value = match value {
            None if entry.kind.bare().is_none() => {
                Some(arguments.next().ok_or_else(|| BadSyntax::MissingValue(name.to_owned()))?)
            }
            value => value,
        };
        normal.push(match value {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        });
    }
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::options::{entry::flag, value::Kind};
    use proptest::prelude::*;

    static ENTRIES: [Entry; 2] = [flag("size"), flag("quick").described(Kind::Bool, "")];

    fn normal(arguments: &[&str]) -> Result<Vec<String>, BadSyntax> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        normalise(arguments, |name| ENTRIES.iter().find(|entry| entry.flag == name))
    }

    #[test]
    fn every_form_of_a_flag_becomes_one() {
        for (arguments, expected) in [
            (&["-size=5"][..], &["--size=5"][..]),
            (&["--size=5"], &["--size=5"]),
            (&["-size", "5"], &["--size=5"]),
            (&["--size", "5", "--size", "6"], &["--size=5", "--size=6"]),
            (&["--size", "--quick"], &["--size=--quick"]),
            (&["--size", "-1"], &["--size=-1"]),
            (&["--size="], &["--size="]),
            (&["--size=a=b"], &["--size=a=b"]),
            (&["--size", ""], &["--size="]),
            (&["-quick"], &["--quick"]),
            (&["--quick=false"], &["--quick=false"]),
        ] {
            assert_eq!(normal(arguments).unwrap(), expected, "{arguments:?}");
        }
    }

    #[test]
    fn reading_ends_at_the_first_argument_that_is_no_flag() {
        for arguments in [
            &["--quick", "false", "--size=5"][..],
            &["--quick", "--", "--size=5"],
            &["--quick", "-", "--size=5"],
            &["--quick", "", "--size=5"],
            &["--quick", "x", "---"],
        ] {
            assert_eq!(normal(arguments).unwrap(), ["--quick"], "{arguments:?}");
        }
    }

    #[test]
    fn unknown_flags_and_help_end_the_list() {
        assert_eq!(normal(&["--quick", "--bogus=1", "---"]).unwrap(), ["--quick", "--bogus"]);
        for help in ["-h", "--h", "-help", "--help", "-h=x", "--help=false"] {
            assert_eq!(normal(&[help, "--size"]).unwrap(), ["--help"], "{help}");
        }
    }

    #[test]
    fn malformed_flags_are_refused() {
        assert_eq!(normal(&["---x"]), Err(BadSyntax::Flag("---x".into())));
        assert_eq!(normal(&["-=x"]), Err(BadSyntax::Flag("-=x".into())));
        assert_eq!(normal(&["--quick", "--size"]), Err(BadSyntax::MissingValue("size".into())));
    }

    proptest! {
        #[test]
        fn what_is_normal_stays_as_it_is(arguments in proptest::collection::vec("-{0,2}(size|quick)(=[a-z=-]{0,3})?", 0..6)) {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            if let Ok(once) = normal(&arguments) {
                let again: Vec<&str> = once.iter().map(String::as_str).collect();
                prop_assert_eq!(normal(&again).unwrap(), once.clone());
            }
        }
    }
}
