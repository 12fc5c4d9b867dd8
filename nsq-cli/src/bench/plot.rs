//! What was measured as a picture, in SVG: for each workload how many times better ours did than the peer. Pure.
//!
//! Whether more or less is better depends on what a figure is of; here more is better always. The scale is
//! logarithmic, so that 1.2 times and 10 times can both be seen, and twice as good is as long as half as good.

use std::fmt::Write as _;

use super::figures::Unit;
use super::report::{Outcome, Report, Row};

/// The columns, in pixels from the left.
const WIDTH: u32 = 1140;
const NAME_LEFT: u32 = 24;
const LABEL_RIGHT: u32 = 492;
const BARS_LEFT: u32 = 504;
const BARS_RIGHT: u32 = 864;
const FACTOR_RIGHT: u32 = 946;
const OURS_RIGHT: u32 = 1031;
const PEER_RIGHT: u32 = 1116;

/// The rows, in pixels from the top; a group is a workload.
const HEAD_HEIGHT: u32 = 166;
const BAR_HEIGHT: u32 = 13;
const BAR_ROW_HEIGHT: u32 = 19;
const GROUP_ROWS_MIN: u32 = 2;
const GROUP_PADDING: u32 = 8;
const FOOT_HEIGHT: u32 = 48;

/// The scale ends at the powers of two around what there is to show, but for these bounds.
const EXPONENT_LEAST: (f64, f64) = (-5.0, -1.0);
const EXPONENT_MOST: (f64, f64) = (2.0, 6.0);

/// What a bar is of, and its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Throughput,
    Processor,
    Time,
    Memory,
}

impl Subject {
    const ALL: [Self; 4] = [Self::Throughput, Self::Processor, Self::Time, Self::Memory];

    fn of(row: &Row) -> Self {
        match row.unit {
            Unit::PerSecond => Self::Throughput,
            Unit::Bytes => Self::Memory,
            Unit::Seconds | Unit::Share if row.name.contains("CPU") => Self::Processor,
            Unit::Seconds | Unit::Share => Self::Time,
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Throughput => "#2563eb",
            Self::Processor => "#ea580c",
            Self::Time => "#0d9488",
            Self::Memory => "#7c3aed",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Throughput => "throughput (ours / peer)",
            Self::Processor => "server CPU (peer / ours)",
            Self::Time => "latency or time (peer / ours)",
            Self::Memory => "memory (peer / ours)",
        }
    }
}

/// One bar: how many times better, and the figures behind it.
struct Bar {
    label: &'static str,
    subject: Subject,
    /// More than 0; `None` where one of the two has no such figure.
    factor: Option<f64>,
    values: [String; 2],
}

/// The bars of a workload.
struct Group<'a> {
    name: &'a str,
    about: &'a str,
    bars: Vec<Bar>,
}

/// The picture of a report on two sides.
pub(super) fn svg(report: &Report) -> String {
    let groups: Vec<Group<'_>> = report.results.iter().filter_map(group).collect();
    let scale = Scale::of(&groups);
    let bottom = HEAD_HEIGHT + groups.iter().map(Group::height).sum::<u32>();
    let mut drawing = Drawing::new(bottom + FOOT_HEIGHT);
    head(&mut drawing, report);
    scale.draw(&mut drawing, bottom);
    let mut top = HEAD_HEIGHT;
    for group in &groups {
        group.draw(&mut drawing, &scale, top);
        top += group.height();
    }
    drawing.text((NAME_LEFT, bottom + 20), Style::Small, &report.about.circumstances());
    let note = "Measured with nsq bench, which counts and checks what it moves in every run.";
    drawing.text((NAME_LEFT, bottom + 36), Style::Small, note);
    drawing.end()
}

/// `None` where there is nothing to compare.
fn group(outcome: &Outcome) -> Option<Group<'_>> {
    let rows = outcome.rows();
    let key = |name: &&str| rows.iter().find(|row| row.name == *name);
    let bars: Vec<Bar> = outcome.key_figures.iter().filter_map(|name| Some(bar(key(name)?))).collect();
    (!bars.is_empty()).then_some(Group { name: &outcome.workload, about: &outcome.about, bars })
}

fn bar(row: &Row) -> Bar {
    let is_more_better = row.unit == Unit::PerSecond;
    let factor = row.ratio().map(|ratio| if is_more_better { ratio } else { 1.0 / ratio });
    let value = |side: usize| {
        let median = row.medians.get(side).copied().flatten();
        median.map_or_else(|| "-".to_owned(), |value| row.unit.text(value))
    };
    Bar {
        label: row.name,
        subject: Subject::of(row),
        factor: factor.filter(|factor| factor.is_finite() && *factor > 0.0),
        values: [value(0), value(1)],
    }
}

fn head(drawing: &mut Drawing, report: &Report) {
    drawing.text((NAME_LEFT, 36), Style::Title, "nsqd against peer: how many times better");
    for (number, (side, version)) in (0..).zip(report.sides.iter().zip(&report.about.versions)) {
        drawing.text((NAME_LEFT, 60 + 18 * number), Style::Plain, &format!("{side}: {version}"));
    }
    let mut left = NAME_LEFT;
    for subject in Subject::ALL {
        drawing.rectangle((left, 98), (BAR_HEIGHT, BAR_HEIGHT), subject.colour(), 1.0);
        drawing.text((left + 19, 109), Style::Small, subject.text());
        left += 218;
    }
    let middle = HEAD_HEIGHT - 12;
    drawing.text((NAME_LEFT, middle), Style::Strong, "workload");
    for (right, text) in [(FACTOR_RIGHT, "better by"), (OURS_RIGHT, "nsqd"), (PEER_RIGHT, "peer")] {
        drawing.text_before((right, middle), Style::Strong, text);
    }
}

impl Group<'_> {
    fn height(&self) -> u32 {
        let rows = u32::try_from(self.bars.len()).unwrap_or(u32::MAX).max(GROUP_ROWS_MIN);
        rows * BAR_ROW_HEIGHT + 2 * GROUP_PADDING
    }

    fn draw(&self, drawing: &mut Drawing, scale: &Scale, top: u32) {
        drawing.line((NAME_LEFT, top), (PEER_RIGHT, top), "#e5e7eb");
        let first = top + GROUP_PADDING;
        drawing.text((NAME_LEFT, first + 12), Style::Strong, self.name);
        drawing.text((NAME_LEFT, first + 28), Style::Small, self.about);
        for (number, bar) in (0..).zip(&self.bars) {
            bar.draw(drawing, scale, first + number * BAR_ROW_HEIGHT);
        }
    }
}

impl Bar {
    fn draw(&self, drawing: &mut Drawing, scale: &Scale, top: u32) {
        let base = top + 12;
        drawing.text_before((LABEL_RIGHT, base), Style::Small, self.label);
        let [ours, peer] = &self.values;
        drawing.text_before((OURS_RIGHT, base), Style::Plain, ours);
        drawing.text_before((PEER_RIGHT, base), Style::Plain, peer);
        let Some(factor) = self.factor else {
            drawing.text_before((FACTOR_RIGHT, base), Style::Strong, "-");
            return;
        };
        // What is worse is pale, and told in red.
        let (style, opacity) = if factor < 1.0 { (Style::Worse, 0.45) } else { (Style::Strong, 1.0) };
        drawing.text_before((FACTOR_RIGHT, base), style, &times(factor));
        let (from, to) = (scale.place(factor.min(1.0)), scale.place(factor.max(1.0)));
        // Where both did the same there is still something to see.
        let width = (to - from).max(2);
        drawing.rectangle((from, top + 2), (width, BAR_HEIGHT), self.subject.colour(), opacity);
        if scale.is_beyond(factor) {
            drawing.text_before((to - 4, base), Style::Beyond, "\u{2192}");
        }
    }
}

/// `2.4x`, in as many digits as say something.
fn times(factor: f64) -> String {
    let digits = if factor >= 9.95 {
        0
    } else if factor >= 1.995 {
        1
    } else {
        2
    };
    format!("{factor:.digits$}x")
}

/// Where on the picture a factor stands.
struct Scale {
    /// The powers of two at both ends.
    least: f64,
    most: f64,
}

impl Scale {
    fn of(groups: &[Group<'_>]) -> Self {
        let factors = groups.iter().flat_map(|group| &group.bars).filter_map(|bar| bar.factor);
        let (mut least, mut most) = (0.0_f64, 0.0_f64);
        for exponent in factors.map(f64::log2) {
            least = least.min(exponent.floor());
            most = most.max(exponent.ceil());
        }
        let ((low, high), (low_most, high_most)) = (EXPONENT_LEAST, EXPONENT_MOST);
        Self { least: least.clamp(low, high), most: most.clamp(low_most, high_most) }
    }

    /// At the end where it is beyond it.
    fn place(&self, factor: f64) -> u32 {
        let part = (factor.log2() - self.least) / (self.most - self.least);
        let width = f64::from(BARS_RIGHT - BARS_LEFT);
        BARS_LEFT + (width * part.clamp(0.0, 1.0)).round() as u32
    }

    /// Whether it does not fit at the better end.
    fn is_beyond(&self, factor: f64) -> bool {
        factor.log2() > self.most
    }

    /// A line at each power of two, and which side is the better one.
    fn draw(&self, drawing: &mut Drawing, bottom: u32) {
        let top = HEAD_HEIGHT - 6;
        for exponent in self.least as i32..=self.most as i32 {
            let factor = f64::from(exponent).exp2();
            let place = self.place(factor);
            let text = if exponent < 0 { format!("1/{}", (1.0 / factor)) } else { format!("{factor}x") };
            drawing.line((place, top), (place, bottom), if exponent == 0 { "#374151" } else { "#e5e7eb" });
            drawing.text_around((place, top - 6), Style::Small, &text);
        }
        let one = self.place(1.0);
        drawing.text_before((one - 8, top - 24), Style::Small, "\u{2190} worse");
        drawing.text((one + 8, top - 24), Style::Small, "nsqd is better \u{2192}");
    }
}

/// How text looks.
#[derive(Debug, Clone, Copy)]
enum Style {
    Title,
    Strong,
    Worse,
    /// On a bar that should be longer.
    Beyond,
    Plain,
    Small,
}

impl Style {
    fn attributes(self) -> &'static str {
        match self {
            Self::Title => r##"font-size="20" font-weight="bold" fill="#111827""##,
            Self::Strong => r##"font-size="13" font-weight="bold" fill="#111827""##,
            Self::Worse => r##"font-size="13" font-weight="bold" fill="#b91c1c""##,
            Self::Beyond => r##"font-size="12" font-weight="bold" fill="#ffffff""##,
            Self::Plain => r##"font-size="12.5" fill="#111827""##,
            Self::Small => r##"font-size="11.5" fill="#4b5563""##,
        }
    }
}

/// SVG that grows.
struct Drawing {
    text: String,
}

impl Drawing {
    fn new(height: u32) -> Self {
        let text = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="Helvetica, Arial, 'Liberation Sans', sans-serif">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
"##
        );
        Self { text }
    }

    fn text(&mut self, place: (u32, u32), style: Style, text: &str) {
        self.anchored(place, "start", style, text);
    }

    /// Text that ends there.
    fn text_before(&mut self, place: (u32, u32), style: Style, text: &str) {
        self.anchored(place, "end", style, text);
    }

    /// Text that has its middle there.
    fn text_around(&mut self, place: (u32, u32), style: Style, text: &str) {
        self.anchored(place, "middle", style, text);
    }

    fn anchored(&mut self, (x, y): (u32, u32), anchor: &str, style: Style, text: &str) {
        let (attributes, text) = (style.attributes(), escaped(text));
        self.push(&format!(r#"<text x="{x}" y="{y}" text-anchor="{anchor}" {attributes}>{text}</text>"#));
    }

    fn rectangle(&mut self, (x, y): (u32, u32), (width, height): (u32, u32), colour: &str, opacity: f64) {
        self.push(&format!(
            r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}" fill-opacity="{opacity}"/>"#
        ));
    }

    fn line(&mut self, (x1, y1): (u32, u32), (x2, y2): (u32, u32), colour: &str) {
        self.push(&format!(r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}"/>"#));
    }

    fn push(&mut self, element: &str) {
        let _ = writeln!(self.text, "{element}");
    }

    fn end(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

/// As text in XML. A version is what a program said.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::figures::Figures;
    use super::super::report::About;
    use super::super::workload::Workload;
    use super::*;

    /// A report on everything, with figures that differ by so much.
    fn report(times: u64) -> Report {
        let run = |names: &'static [&'static str], rate, time| {
            let mut figures = Figures::default();
            for name in names {
                match *name {
                    "published" | "delivered" => figures.rate(name, rate, Duration::from_secs(1)),
                    name if name.starts_with("memory") => figures.bytes(name, time),
                    name => figures.time(name, Duration::from_micros(time)),
                }
            }
            figures
        };
        let outcome = |workload: &Workload| {
            let key_figures = workload.spec().kind.key_figures();
            let sides = [run(key_figures, 1_000 * times, 100), run(key_figures, 1_000, 100 * times)];
            let rounds = sides.map(|figures| vec![figures]).to_vec();
            Outcome { workload: workload.name(), about: workload.about(), key_figures, rounds }
        };
        Report {
            sides: ["nsqd", "peer"].map(str::to_owned).to_vec(),
            results: Workload::all().iter().map(outcome).collect(),
            about: About {
                date: "2026-11-26".to_owned(),
                versions: ["one <&> its flags", "another"].map(str::to_owned).to_vec(),
                ..About::default()
            },
        }
    }

    fn factors(svg: &str, factor: &str) -> usize {
        svg.matches(&format!(">{factor}</text>")).count()
    }

    #[test]
    fn every_workload_that_can_be_compared_is_named() {
        let svg = svg(&report(3));
        for workload in Workload::all().iter().filter(|workload| !workload.spec().is_limit()) {
            assert!(svg.contains(&format!(">{}</text>", workload.name())), "{workload:?}");
            assert!(svg.contains(&format!(">{}</text>", escaped(&workload.about()))), "{workload:?}");
        }
        assert!(!svg.contains(">limit</text>") && !svg.contains(">limit-each</text>"));
        assert!(svg.contains("2026-11-26") && svg.contains("nsqd: one") && svg.contains("peer: another"));
    }

    #[test]
    fn it_is_well_formed() {
        let svg = svg(&report(3));
        let inside = svg.strip_prefix("<svg ").unwrap().strip_suffix("</svg>\n").unwrap();
        for line in inside.lines().skip(1) {
            let text = line.strip_prefix("<text ").and_then(|line| line.strip_suffix("</text>"));
            match text.map(|line| line.split_once('>').unwrap()) {
                Some((_, text)) => assert!(!text.contains(['<', '>']), "{line}"),
                None => assert!(line.starts_with('<') && line.ends_with("/>"), "{line}"),
            }
        }
        assert!(svg.contains("one &lt;&amp;&gt; its flags"));
    }

    #[test]
    fn more_is_better_whatever_it_is_of() {
        let bars: usize =
            Workload::all().iter().map(|workload| workload.spec().kind.key_figures().len()).sum();
        assert_eq!(factors(&svg(&report(3)), "3.0x"), bars);
        assert_eq!(factors(&svg(&report(1)), "1.00x"), bars);
        assert_eq!(factors(&svg(&report(3)), "\u{2192}"), 0);
        assert_eq!(factors(&svg(&report(1_000)), "\u{2192}"), bars);
        assert_eq!(times(0.123), "0.12x");
        assert_eq!(times(12.3), "12x");
    }

    #[test]
    fn twice_as_good_is_as_long_as_half_as_good() {
        let scale = Scale { least: -2.0, most: 2.0 };
        let one = scale.place(1.0);
        assert_eq!(scale.place(2.0) - one, one - scale.place(0.5));
        assert_eq!((scale.place(1e9), scale.place(1e-9)), (BARS_RIGHT, BARS_LEFT));
    }
}
