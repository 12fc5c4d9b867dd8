//! Who does not answer: what of that is news. Pure.

use std::collections::BTreeSet;

/// Remembers who was silent.
#[derive(Debug, Default)]
pub(super) struct Silence {
    known: BTreeSet<String>,
}

impl Silence {
    /// What is to be said where each thing is said once. `silent` is who does not answer, and why.
    pub(super) fn handle(&mut self, silent: &BTreeSet<String>) -> Vec<String> {
        let mut news: Vec<String> = silent.difference(&self.known).cloned().collect();
        let who = |text: &String| text.split(": ").next().unwrap_or_default().to_owned();
        let still: BTreeSet<String> = silent.iter().map(who).collect();
        let back: BTreeSet<String> =
            self.known.iter().map(who).filter(|name| !still.contains(name)).collect();
        news.extend(back.into_iter().map(|name| format!("{name}: answers again")));
        self.known.clone_from(silent);
        news
    }
}

/// The same for a screen, where it stands for as long as it is true: at most `lines_max` lines.
pub(super) fn lines(silent: &BTreeSet<String>, lines_max: usize) -> Vec<String> {
    let shown = if silent.len() <= lines_max { silent.len() } else { lines_max.saturating_sub(1) };
    let mut lines: Vec<String> = silent.iter().take(shown).map(|text| format!("! {text}")).collect();
    if shown < silent.len() && lines_max > 0 {
        lines.push(format!("! and {} more", silent.len() - shown));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn each_thing_is_said_once() {
        let mut silence = Silence::default();
        let none: [&str; 0] = [];
        assert_eq!(silence.handle(&set(&[])), none);
        assert_eq!(silence.handle(&set(&["nsqd a:1: refused"])), ["nsqd a:1: refused"]);
        assert_eq!(silence.handle(&set(&["nsqd a:1: refused"])), none);
        assert_eq!(silence.handle(&set(&["nsqd a:1: no answer"])), ["nsqd a:1: no answer"]);
        assert_eq!(
            silence.handle(&set(&["nsqd b:1: refused"])),
            ["nsqd b:1: refused", "nsqd a:1: answers again"]
        );
        assert_eq!(silence.handle(&set(&[])), ["nsqd b:1: answers again"]);
    }

    #[test]
    fn a_screen_has_a_few_lines_for_it() {
        let silent = set(&["a", "b", "c", "d"]);
        assert_eq!(lines(&silent, 4), ["! a", "! b", "! c", "! d"]);
        assert_eq!(lines(&silent, 3), ["! a", "! b", "! and 2 more"]);
        assert_eq!(lines(&silent, 0), [""; 0]);
    }
}
