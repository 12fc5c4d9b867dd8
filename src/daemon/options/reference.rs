//! The options of a program as a table for its documents, made from the entries.

use std::fmt::Write as _;

use super::{Effect, Entry, Program};

impl Program {
    /// Markdown: a heading for the program and one table for each section.
    #[must_use]
    pub fn reference(&self) -> String {
        let mut text = format!("## {}\n\n{}\n", self.name, self.about);
        let program = ("Program", self.without_field);
        let sections = self.sections.iter().map(|section| (section.heading, section.entries));
        for (heading, entries) in std::iter::once(program).chain(sections) {
            text.push_str(&format!("\n### {heading}\n\n| Flag | Key | Value | Default | |\n"));
            text.push_str("| --- | --- | --- | --- | --- |\n");
            for entry in entries {
                write_row(&mut text, entry);
            }
        }
        text
    }
}

fn write_row(text: &mut String, entry: &Entry) {
    let key = entry.file_key().map_or_else(|| "–".to_owned(), |key| format!("`{key}`"));
    let default = match entry.default_shown() {
        "" => "–".to_owned(),
        // Code spans keep the trailing space of a log prefix only between other characters.
        default if default.contains(' ') && !default.starts_with('[') => default.to_owned(),
        default => format!("`{default}`"),
    };
    let mark = match entry.effect {
        Effect::Full => "",
        Effect::None => "*",
    };
    let help = entry.explanation().replace('|', "\\|");
    // Writing to a `String` cannot fail.
    let _ =
        writeln!(text, "| `--{}`{mark} | {key} | {} | {default} | {help} |", entry.flag, entry.kind.name());
}
