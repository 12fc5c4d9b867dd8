//! The command lines that the parts would have been started with.
//!
//! What the whole decides comes first, what the user gave for the part after it, so that the user wins; but for what
//! only the whole can decide, which is refused. The parts' own options read the result, so that values and errors are
//! those of the daemons.

use std::ffi::OsString;
use std::path::Path;

use nsq::daemon::options::Program;

use super::{NSQADMIN, NSQD, NSQLOOKUPD};

/// Flags that are the whole's: there is one log, and one data directory.
const OF_THE_WHOLE: [(&str, &str); 4] = [
    ("data-path", "--data-path"),
    ("log-level", "--log-level"),
    ("log-format", "--log-format"),
    ("log-prefix", "nothing: each line names its part"),
];

/// Answered by each part itself, for it is no option of the configuration.
const HELP: &str = "help";

/// Which part nsqadmin asks about the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watched {
    Nsqlookupd,
    Nsqd,
}

/// What the parts have in common.
pub(super) struct Common<'a> {
    pub(super) bind: &'a str,
    pub(super) broadcast_address: &'a str,
}

impl Common<'_> {
    /// The flags of nsqd.
    pub(super) fn nsqd(&self, data_path: &Path, given: &[String]) -> Result<Vec<OsString>, String> {
        let mut data = OsString::from("--data-path=");
        data.push(data_path);
        let mut flags = vec![data];
        flags.extend(self.addresses(4150, 4151));
        flags.extend(flags_of(&nsqd::options::PROGRAM, NSQD, given)?);
        Ok(flags)
    }

    /// The flags of nsqlookupd.
    pub(super) fn nsqlookupd(&self, given: &[String]) -> Result<Vec<OsString>, String> {
        let mut flags = self.addresses(4160, 4161).to_vec();
        flags.extend(flags_of(&nsqlookupd::options::PROGRAM, NSQLOOKUPD, given)?);
        Ok(flags)
    }

    /// The flags of nsqadmin. Where the part that it watches will listen is not known yet: the first address stands for it.
    /// Its history has a directory beside nsqd's files.
    pub(super) fn nsqadmin(
        &self,
        data_path: &Path,
        watched: Option<Watched>,
        given: &[String],
    ) -> Result<Vec<OsString>, String> {
        let mut data = OsString::from("--data-path=");
        data.push(data_path.join(NSQADMIN));
        let mut flags = vec![data, OsString::from(format!("--http-address={}:4171", self.host()))];
        match watched {
            Some(Watched::Nsqlookupd) => flags.push("--lookupd-http-address=127.0.0.1:4161".into()),
            Some(Watched::Nsqd) => flags.push("--nsqd-http-address=127.0.0.1:4151".into()),
            None => {}
        }
        flags.extend(flags_of(&nsqadmin::options::PROGRAM, NSQADMIN, given)?);
        Ok(flags)
    }

    /// An IPv6 address is told from its port by brackets.
    fn host(&self) -> String {
        let is_bare = self.bind.contains(':') && !self.bind.starts_with('[');
        if is_bare { format!("[{}]", self.bind) } else { self.bind.to_owned() }
    }

    fn addresses(&self, tcp: u16, http: u16) -> [OsString; 3] {
        let host = self.host();
        [
            format!("--tcp-address={host}:{tcp}"),
            format!("--http-address={host}:{http}"),
            format!("--broadcast-address={}", self.broadcast_address),
        ]
        .map(OsString::from)
    }
}

/// `KEY=VALUE` as a flag, for each.
fn flags_of(program: &Program, part: &str, given: &[String]) -> Result<Vec<OsString>, String> {
    given.iter().map(|option| flag_of(program, part, option).map(OsString::from)).collect()
}

fn flag_of(program: &Program, part: &str, option: &str) -> Result<String, String> {
    let option = option.trim_start_matches('-');
    let (key, value) = match option.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (option, None),
    };
    if let Some((_, instead)) = OF_THE_WHOLE.iter().find(|(flag, _)| *flag == key) {
        return Err(format!("--{part}-opt {key}: that is decided for all parts by {instead}"));
    }
    if key == HELP {
        return Ok(format!("--{HELP}"));
    }
    let Some(entry) = program.entry(key) else {
        return Err(format!(
            "--{part}-opt {option}: {part} has no option '{key}'; --{part}-opt {HELP} lists what it has"
        ));
    };
    if value.is_none() && entry.kind.bare().is_none() {
        return Err(format!("--{part}-opt {option}: a value is missing, KEY=VALUE"));
    }
    Ok(format!("--{option}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: Common<'_> = Common { bind: "::1", broadcast_address: "here" };

    fn nsqd(given: &[&str]) -> Result<Vec<String>, String> {
        let given: Vec<String> = given.iter().map(|option| (*option).to_owned()).collect();
        let flags = COMMON.nsqd(Path::new("d"), &given)?;
        Ok(flags.into_iter().map(|flag| flag.into_string().unwrap()).collect())
    }

    #[test]
    fn what_the_user_gave_comes_last_and_so_wins() {
        let flags = nsqd(&["tcp-address=127.0.0.1:0", "--mem-queue-size=0", "deflate"]).unwrap();
        let expected = [
            "--data-path=d",
            "--tcp-address=[::1]:4150",
            "--http-address=[::1]:4151",
            "--broadcast-address=here",
            "--tcp-address=127.0.0.1:0",
            "--mem-queue-size=0",
            "--deflate",
        ];
        assert_eq!(flags, expected);
    }

    #[test]
    fn a_value_that_is_missing_is_not_taken_from_the_next_option() {
        let refused = nsqd(&["mem-queue-size", "deflate"]).unwrap_err();
        assert_eq!(refused, "--nsqd-opt mem-queue-size: a value is missing, KEY=VALUE");
    }

    #[test]
    fn what_a_part_does_not_have_is_refused() {
        for (given, key) in [("foo=1", "foo"), ("--foo", "foo"), ("=1", ""), ("", "")] {
            let refused = nsqd(&[given]).unwrap_err();
            assert!(refused.contains(&format!("nsqd has no option '{key}'")), "{refused}");
        }
        assert_eq!(nsqd(&["help"]).unwrap().last().map(String::as_str), Some("--help"));
    }

    #[test]
    fn what_is_the_wholes_is_refused() {
        let refused = nsqd(&["data-path=x"]).unwrap_err();
        assert_eq!(refused, "--nsqd-opt data-path: that is decided for all parts by --data-path");
        let refused = COMMON.nsqlookupd(&["log-level=debug".to_owned()]).unwrap_err();
        assert_eq!(refused, "--nsqlookupd-opt log-level: that is decided for all parts by --log-level");
    }

    #[test]
    fn nsqadmin_is_told_whom_to_ask() {
        for (watched, asked) in [
            (Some(Watched::Nsqlookupd), Some("--lookupd-http-address=127.0.0.1:4161")),
            (Some(Watched::Nsqd), Some("--nsqd-http-address=127.0.0.1:4151")),
            (None, None),
        ] {
            let flags = COMMON.nsqadmin(Path::new("d"), watched, &["base-path=/x".to_owned()]).unwrap();
            let flags: Vec<&str> = flags.iter().map(|flag| flag.to_str().unwrap()).collect();
            let expected = ["--data-path=d/nsqadmin", "--http-address=[::1]:4171"];
            let expected = expected.into_iter().chain(asked).chain(["--base-path=/x"]);
            assert_eq!(flags, expected.collect::<Vec<_>>());
        }
    }
}
