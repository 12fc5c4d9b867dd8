//! What a client may do, as an authorization server answered (spec nsqd-tcp.md, §9).
//!
//! Pure: bytes of an answer in, yes or no out. An answer that is understood only in part is refused as a whole, and
//! what it may cost in memory and in time for each question has named limits.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use nsq::api::json::to_go_json;
use nsq::wire::go_json::{self, Object, assign};
use nsq::wire::name::{ChannelName, TopicName};
use regex::bytes::{RegexSet, RegexSetBuilder};

use super::pattern::translate;

/// How many patterns one answer may have, those for topics and those for channels together.
const PATTERNS_MAX: usize = 10_000;

/// How long all patterns of an answer together may be, in bytes.
const PATTERNS_BYTES_MAX: usize = 256 * 1024;

/// How large the compiled patterns for topics may be, and those for channels, in bytes.
const COMPILED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a client may be allowed to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// To consume it.
    Subscribe,
    /// To publish to it.
    Publish,
}

/// Why an answer is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is no JSON, or values have the wrong type.
    #[error("the answer is not the JSON it should be - {0}")]
    Json(String),
    /// It holds for no time.
    #[error("invalid TTL {0} (must be >0)")]
    Ttl(i64),
    /// There is no such permission.
    #[error("unknown permission {0:?}")]
    Permission(String),
    /// It has too many patterns, or too long ones.
    #[error("more than {PATTERNS_MAX} patterns, or longer than {PATTERNS_BYTES_MAX} bytes together")]
    TooMany,
    /// A pattern cannot be put into our syntax.
    #[error("cannot use the pattern {pattern:?} - {cause}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A pattern is none, or all together are too large.
    #[error("cannot use the patterns - {0}")]
    Patterns(String),
}

/// Everything a client may do, for a time.
pub struct Authorizations {
    identity: String,
    identity_url: String,
    time_to_live: Duration,
    rules: Vec<Rule>,
    /// The pattern of each rule's topics, in the order of the rules.
    topics: RegexSet,
    /// The patterns of all rules' channels, one rule's after the other's.
    channels: RegexSet,
}

struct Rule {
    may_subscribe: bool,
    may_publish: bool,
    /// Which of all patterns for channels are this rule's.
    channels: Range<usize>,
}

impl fmt::Debug for Authorizations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizations").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Authorizations {
    /// Reads an answer.
    ///
    /// # Errors
    /// Something in it is not understood, or it costs too much.
    pub fn parse(body: &[u8]) -> Result<Self, AnswerError> {
        let answer: Answer = go_json::read(body).map_err(|error| AnswerError::Json(error.to_string()))?;
        let patterns = |rule: &RuleText| rule.channels.len() + 1;
        let pattern_bytes =
            |rule: &RuleText| rule.topic.len() + rule.channels.iter().map(String::len).sum::<usize>();
        if answer.rules.iter().map(patterns).sum::<usize>() > PATTERNS_MAX
            || answer.rules.iter().map(pattern_bytes).sum::<usize>() > PATTERNS_BYTES_MAX
        {
            return Err(AnswerError::TooMany);
        }
        let mut channels_before = 0;
        let mut rules = Vec::with_capacity(answer.rules.len());
        for rule in &answer.rules {
            let known = |word: &&String| !matches!(word.as_str(), SUBSCRIBE | PUBLISH);
            if let Some(unknown) = rule.permissions.iter().find(known) {
                return Err(AnswerError::Permission(unknown.clone()));
            }
            let allows = |word: &str| rule.permissions.iter().any(|permission| permission == word);
            let channels = channels_before..channels_before + rule.channels.len();
            channels_before = channels.end;
            rules.push(Rule { may_subscribe: allows(SUBSCRIBE), may_publish: allows(PUBLISH), channels });
        }
        let topics = compile(answer.rules.iter().map(|rule| &rule.topic))?;
        let channels = compile(answer.rules.iter().flat_map(|rule| &rule.channels))?;
        let seconds = u64::try_from(answer.ttl).ok().filter(|seconds| *seconds > 0);
        Ok(Self {
            identity: answer.identity,
            identity_url: answer.identity_url,
            time_to_live: Duration::from_secs(seconds.ok_or(AnswerError::Ttl(answer.ttl))?),
            rules,
            topics,
            channels,
        })
    }

    /// Whom the server takes the client for.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Where to read about that identity.
    pub fn identity_url(&self) -> &str {
        &self.identity_url
    }

    /// How long this holds, from when it was asked for.
    pub fn time_to_live(&self) -> Duration {
        self.time_to_live
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether one of them allows it. Who publishes speaks of no channel, and a pattern must match that too.
    pub fn allow(&self, permission: Permission, topic: &TopicName, channel: Option<&ChannelName>) -> bool {
        let topics = self.topics.matches(topic.as_bytes());
        if !topics.matched_any() {
            return false;
        }
        let channels = self.channels.matches(channel.map(ChannelName::as_bytes).unwrap_or_default());
        self.rules.iter().enumerate().any(|(number, rule)| {
            let is_permitted = match permission {
                Permission::Subscribe => rule.may_subscribe,
                Permission::Publish => rule.may_publish,
            };
            is_permitted
                && topics.matched(number)
                && rule.channels.clone().any(|channel| channels.matched(channel))
        })
    }

    /// What the client is told after its `AUTH`.
    pub fn to_json(&self) -> Vec<u8> {
        to_go_json(&Told {
            identity: &self.identity,
            identity_url: &self.identity_url,
            permission_count: self.rules.len(),
        })
    }
}

const SUBSCRIBE: &str = "subscribe";
const PUBLISH: &str = "publish";

fn compile<'p>(patterns: impl Iterator<Item = &'p String>) -> Result<RegexSet, AnswerError> {
    let translated = patterns.map(|pattern| {
        let refused =
            |cause: &str| AnswerError::Pattern { pattern: pattern.clone(), cause: cause.to_owned() };
        translate(pattern).map_err(refused)
    });
    let translated = translated.collect::<Result<Vec<_>, _>>()?;
    // Names are ASCII: what is not needs no tables.
    let built = RegexSetBuilder::new(translated).unicode(false).size_limit(COMPILED_BYTES_MAX).build();
    built.map_err(|error| AnswerError::Patterns(error.to_string()))
}

#[derive(serde::Serialize)]
struct Told<'a> {
    identity: &'a str,
    identity_url: &'a str,
    permission_count: usize,
}

/// An answer as it was written.
#[derive(Debug, Default)]
struct Answer {
    ttl: i64,
    identity: String,
    identity_url: String,
    rules: Vec<RuleText>,
}

#[derive(Debug, Default)]
struct RuleText {
    topic: String,
    channels: Vec<String>,
    permissions: Vec<String>,
}

impl Object for Answer {
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "ttl" => assign(&mut self.ttl, value),
            "identity" => assign(&mut self.identity, value),
            "identity_url" => assign(&mut self.identity_url, value),
            "authorizations" => assign(&mut self.rules, value),
            _ => Some(()),
        }
    }
}

impl Object for RuleText {
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "topic" => assign(&mut self.topic, value),
            "channels" => assign(&mut self.channels, value),
            "permissions" => assign(&mut self.permissions, value),
            _ => Some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn answer(rules: &str) -> String {
        format!(r#"{{"ttl":60,"identity":"who","identity_url":"http://who","authorizations":[{rules}]}}"#)
    }

    fn rule(topic: &str, channels: &str, permissions: &str) -> String {
        format!(r#"{{"topic":"{topic}","channels":[{channels}],"permissions":[{permissions}]}}"#)
    }

    fn parse(rules: &[String]) -> Authorizations {
        Authorizations::parse(answer(&rules.join(",")).as_bytes()).unwrap()
    }

    fn allows(authorizations: &Authorizations, permission: Permission, topic: &str, channel: &str) -> bool {
        let topic = TopicName::parse(topic).unwrap();
        authorizations.allow(permission, &topic, ChannelName::parse(channel).as_ref())
    }

    #[test]
    fn one_authorization_must_allow_all_of_it() {
        use Permission::{Publish, Subscribe};
        let authorizations = parse(&[
            rule("^reads$", r#""^c""#, r#""subscribe""#),
            rule("^writes$", r#"".*""#, r#""publish""#),
            rule("^named$", r#""ch.+""#, r#""publish","subscribe""#),
            rule("^none$", "", r#""publish","subscribe""#),
        ]);
        for (permission, topic, channel, expected) in [
            (Subscribe, "reads", "c1", true),
            (Subscribe, "reads", "d", false),
            (Publish, "reads", "", false),
            (Publish, "writes", "", true),
            // The channel is another authorization's.
            (Subscribe, "writes", "c1", false),
            (Publish, "named", "", false),
            (Subscribe, "named", "chan", true),
            (Publish, "none", "", false),
            (Subscribe, "none", "c", false),
            (Publish, "other", "", false),
        ] {
            let allowed = allows(&authorizations, permission, topic, channel);
            assert_eq!(allowed, expected, "{permission:?} {topic} {channel}");
        }
    }

    #[test]
    fn an_answer_is_read_as_go_reads_it() {
        let written = br#"{"TTL":1,"Identity":null,"unknown":[1],"authorizations":[null,{"Topic":"t","channels":[null],"permissions":["publish"]}]}"#;
        let authorizations = Authorizations::parse(written).unwrap();
        assert_eq!(authorizations.time_to_live(), Duration::from_secs(1));
        assert!(allows(&authorizations, Permission::Publish, "t", ""));
        let told = br#"{"identity":"","identity_url":"","permission_count":2}"#;
        assert_eq!(authorizations.to_json(), told);
        assert!(Authorizations::parse(br#"{"ttl":1}"#).unwrap().is_empty());
        assert!(Authorizations::parse(br#"{"ttl":1,"authorizations":null}"#).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_understood_is_refused_as_a_whole() {
        let good = rule("t", r#"".*""#, r#""publish""#);
        for body in [
            "".to_owned(),
            "no".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            answer(&good) + "x",
            answer(&good).replace("60", "0"),
            answer(&good).replace("60", "-1"),
            answer(&good).replace("60", "1.5"),
            answer(&good).replace("60", "99999999999999999999"),
            answer(&good).replace("publish", "Publish"),
            answer(&good).replace(".*", "("),
            answer(&good).replace("\"t\"", "\"[\""),
            answer(&good).replace("\"t\"", "7"),
        ] {
            assert!(Authorizations::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn what_an_answer_costs_is_bounded() {
        let many = vec![rule("t", r#"".*""#, ""); PATTERNS_MAX / 2 + 1];
        let long = vec![rule(&"t".repeat(1000), "", ""); PATTERNS_BYTES_MAX / 1000 + 1];
        let empty = vec![rule("", &vec![r#""""#; PATTERNS_MAX].join(","), "")];
        let large = vec![rule("((a{100}){100}){100}", "", "")];
        let deep = vec![rule(&"(".repeat(10_000), "", "")];
        for rules in [many, long, empty, large, deep] {
            assert!(Authorizations::parse(answer(&rules.join(",")).as_bytes()).is_err());
        }
        assert!(!parse(&vec![rule("^some_prefix_[a-z]+$", "", r#""publish""#); 1_000]).is_empty());
    }

    #[test]
    fn a_pattern_that_would_take_others_for_ever_takes_no_time() {
        let authorizations = parse(&[rule("^(a+)+$", r#"".*""#, r#""publish""#)]);
        assert!(!allows(&authorizations, Permission::Publish, &("a".repeat(63) + "b"), ""));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Authorizations::parse(&body);
        }

        #[test]
        fn no_pattern_makes_it_panic(pattern in r"[\[\]{}\\()^$*+?|&~:,0-9a-zQEé.-]{0,40}") {
            let rule = to_go_json(&BTreeMap::from([("topic", &pattern)]));
            let body = answer(&String::from_utf8(rule).unwrap());
            if let Ok(authorizations) = Authorizations::parse(body.as_bytes()) {
                assert!(!allows(&authorizations, Permission::Publish, "topic", ""), "it permits nothing");
            }
        }
    }

    #[test]
    fn a_very_long_time_to_live_is_taken() {
        let body = answer(&rule("t", "", "")).replace("60", &i64::MAX.to_string());
        assert_eq!(Authorizations::parse(body.as_bytes()).unwrap().time_to_live().as_secs(), i64::MAX as u64);
    }
}
