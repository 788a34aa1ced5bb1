//! Prometheus' text format, version 0.0.4. Pure.

use std::fmt::{Display, Write as _};

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Before every name.
pub(super) const PREFIX: &str = "bresse_watchdog_";

/// A label and its value.
pub(super) type Label<'a> = (&'static str, &'a str);

#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    Gauge,
    Counter,
    Histogram,
}

impl Type {
    fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// What is exposed, family by family.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
    family: &'static str,
}

impl Exposition {
    /// All samples until the next call are of this family. `help` is one line.
    pub(super) fn family(&mut self, family: &'static str, kind: Type, help: &'static str) {
        self.family = family;
        let _ = writeln!(self.text, "# HELP {PREFIX}{family} {help}");
        let _ = writeln!(self.text, "# TYPE {PREFIX}{family} {}", kind.word());
    }

    pub(super) fn sample(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.part("", labels, value);
    }

    /// One sample for each of `words`: 1 for the one that holds, 0 for the others.
    pub(super) fn one_of(&mut self, labels: &[Label<'_>], label: &'static str, words: &[&str], holds: &str) {
        for word in words {
            self.sample(&[labels, &[(label, word)]].concat(), u8::from(*word == holds));
        }
    }

    /// A sample of a part of the family: `_bucket`, say.
    pub(super) fn part(&mut self, part: &'static str, labels: &[Label<'_>], value: impl Display) {
        let _ = write!(self.text, "{PREFIX}{}{part}", self.family);
        for (index, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"{}\"", if index == 0 { '{' } else { ',' }, escaped(value));
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_line_or_its_quotes() {
        let mut exposition = Exposition::default();
        exposition.family("age_seconds", Type::Gauge, "How old.");
        exposition.sample(&[("checker", "a\\\"} 1\nb"), ("provider", "é")], 0.5);
        exposition.sample(&[], 3);
        assert_eq!(
            exposition.finish(),
            "# HELP bresse_watchdog_age_seconds How old.\n# TYPE bresse_watchdog_age_seconds gauge\n\
             bresse_watchdog_age_seconds{checker=\"a\\\\\\\"} 1\\nb\",provider=\"é\"} 0.5\n\
             bresse_watchdog_age_seconds 3\n"
        );
    }
}
