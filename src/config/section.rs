//! Reading the tree: each read consumes a key, and what is left over at the end is unknown.
//!
//! All reads of a section come before the first `?`, so that every error is found and not only the first.

use std::collections::{BTreeMap, btree_map};
use std::fmt::Display;
use std::ops::RangeInclusive;

use chrono::TimeDelta;

use super::document;
use super::duration::{self, DurationError};
use super::node::{Content, Node, Table};
use super::report::{Nature, Origin, Place, Report, Reported, quoted};
use crate::text::composed;

/// One value and where it stands.
pub(super) struct Item<'r> {
    pub(super) report: &'r Report,
    pub(super) place: Place,
    content: Content,
}

impl<'r> Item<'r> {
    pub(super) fn wrong(&self, sentence: impl Into<String>) -> Reported {
        self.report.error(Nature::Value, &self.place, sentence)
    }

    pub(super) fn warn(&self, sentence: impl Into<String>) {
        self.report.warn(&self.place, sentence);
    }

    pub(super) fn not(&self, wanted: &str) -> Reported {
        self.wrong(not_wanted(wanted, &self.content))
    }

    /// An overlay knows only text. Where something else is wanted, its text is read as a TOML value.
    fn retyped(&self) -> Option<Content> {
        match &self.content {
            Content::Text(text) if self.is_overlay() => {
                document::parse_value(text, &self.place.origin, self.report)
            }
            _ => None,
        }
    }

    fn is_overlay(&self) -> bool {
        matches!(self.place.origin, Origin::Variable(_) | Origin::CommandLine)
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.content, Content::Text(_))
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.content, Content::Table(_))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.content, Content::List(_))
    }

    pub(super) fn text(&self) -> Result<&str, Reported> {
        match &self.content {
            Content::Text(text) => Ok(text),
            _ => Err(self.not("text in quotes")),
        }
    }

    /// A date or date and time, written bare or in quotes.
    pub(super) fn date(&self) -> Result<&str, Reported> {
        match &self.content {
            Content::Date(text) | Content::Text(text) => Ok(text),
            _ => Err(self.not("a date such as 2027-01-31")),
        }
    }

    pub(super) fn boolean(&self) -> Result<bool, Reported> {
        match self.retyped().as_ref().unwrap_or(&self.content) {
            Content::Boolean(value) => Ok(*value),
            _ => Err(self.not("true or false")),
        }
    }

    pub(super) fn integer<T>(&self, range: RangeInclusive<T>) -> Result<T, Reported>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let retyped = self.retyped();
        let Content::Integer(number) = retyped.as_ref().unwrap_or(&self.content) else {
            return Err(self.not("a number"));
        };
        let fitting = T::try_from(*number).ok().filter(|number| range.contains(number));
        fitting.ok_or_else(|| {
            self.wrong(format!("{number} is not between {} and {}", range.start(), range.end()))
        })
    }

    pub(super) fn duration(&self, range: RangeInclusive<TimeDelta>) -> Result<TimeDelta, Reported> {
        if let Content::Integer(number) = self.content {
            return Err(self.wrong(format!("{number} has no unit; write 90s, 5m or 1h30m, in quotes")));
        }
        let text = self.text()?;
        let outside = || {
            let (from, to) = (duration::display(*range.start()), duration::display(*range.end()));
            self.wrong(format!("{} is not between {from} and {to}", quoted(text)))
        };
        match duration::parse(text) {
            Ok(value) if range.contains(&value) => Ok(value),
            Ok(_) | Err(DurationError::TooLong) => Err(outside()),
            Err(error @ DurationError::Grammar) => Err(self.wrong(format!("{} is {error}", quoted(text)))),
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, Reported> {
        let text = self.text()?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        Err(self.wrong(match words.as_slice() {
            [only] => format!("{} is not known; the only one is \"{only}\"", quoted(text)),
            _ => format!("{} is not one of {}", quoted(text), words.join(", ")),
        }))
    }

    /// Reads each element; a list of another length is refused without reading it.
    pub(super) fn list<T>(
        self,
        length: RangeInclusive<usize>,
        mut read: impl FnMut(Self) -> Result<T, Reported>,
    ) -> Result<Vec<T>, Reported> {
        let elements = match self.retyped() {
            Some(Content::List(elements)) => elements,
            // MAILBOX__FOLDERS=INBOX is what a person writes.
            _ if self.is_overlay() && self.is_text() => return Ok(vec![read(self)?]),
            _ => match self.content {
                Content::List(elements) => elements,
                Content::Table(_) if !self.place.path.contains('.') => {
                    let sentence = format!("write [[{}]], in double brackets", self.place.path);
                    return Err(self.wrong(sentence));
                }
                ref other => return Err(self.wrong(not_wanted("a list in [ ]", other))),
            },
        };
        let (report, place) = (self.report, self.place);
        if !length.contains(&elements.len()) {
            let (given, from, to) = (elements.len(), length.start(), length.end());
            let sentence = format!("the list has {given} entries; {from} to {to} are allowed");
            return Err(report.error(Nature::Value, &place, sentence));
        }
        let results: Vec<_> = elements
            .into_iter()
            .enumerate()
            .map(|(index, Node { origin, content })| {
                let place = Place { origin, path: format!("{}[{index}]", place.path) };
                read(Item { report, place, content })
            })
            .collect();
        results.into_iter().collect()
    }

    /// A list as above, or its only element alone.
    pub(super) fn one_or_list<T>(
        self,
        length: RangeInclusive<usize>,
        mut read: impl FnMut(Self) -> Result<T, Reported>,
    ) -> Result<Vec<T>, Reported> {
        if self.is_text() && !self.is_overlay() { Ok(vec![read(self)?]) } else { self.list(length, read) }
    }

    /// Reads each entry of a table whose keys are the user's own.
    pub(super) fn entries<T>(
        self,
        length: RangeInclusive<usize>,
        mut read: impl FnMut(String, Self) -> Result<T, Reported>,
    ) -> Result<Vec<T>, Reported> {
        let content = self.retyped();
        let (report, place) = (self.report, self.place);
        let table = match content.unwrap_or(self.content) {
            Content::Table(table) => table,
            ref other => return Err(report.error(Nature::Value, &place, not_wanted("a table", other))),
        };
        if !length.contains(&table.len()) {
            let (given, from, to) = (table.len(), length.start(), length.end());
            let sentence = format!("the table has {given} entries; {from} to {to} are allowed");
            return Err(report.error(Nature::Value, &place, sentence));
        }
        let results: Vec<_> = table
            .into_iter()
            .map(|(key, Node { origin, content })| {
                let place = Place { origin, path: format!("{}.{}", place.path, shown_key(&key)) };
                read(key, Item { report, place, content })
            })
            .collect();
        results.into_iter().collect()
    }

    /// `title` is the table as it is written, `[mailbox]`.
    pub(super) fn section(self, title: &'static str) -> Result<Section<'r>, Reported> {
        match self.retyped().unwrap_or(self.content) {
            Content::Table(entries) => {
                Ok(Section { report: self.report, place: self.place, title, entries, known: BTreeMap::new() })
            }
            other => Err(self.report.error(Nature::Value, &self.place, not_wanted("a table", &other))),
        }
    }
}

fn not_wanted(wanted: &str, content: &Content) -> String {
    format!("must be {wanted}, not {}", content.kind())
}

/// One table while it is being read.
pub(super) struct Section<'r> {
    pub(super) report: &'r Report,
    pub(super) place: Place,
    title: &'static str,
    entries: Table,
    /// The keys that were asked for, with the origin of those that were there.
    known: BTreeMap<&'static str, Option<Origin>>,
}

impl<'r> Section<'r> {
    pub(super) fn root(entries: Table, report: &'r Report) -> Self {
        let place = Place { origin: Origin::File, path: String::new() };
        Self { report, place, title: "the file", entries, known: BTreeMap::new() }
    }

    /// Where a key stands or, if it is absent, would have to stand.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let dot = if self.place.path.is_empty() { "" } else { "." };
        let origin = match self.known.get(key) {
            Some(Some(origin)) => origin,
            _ => &self.place.origin,
        };
        Place { origin: origin.clone(), path: format!("{}{dot}{}", self.place.path, shown_key(key)) }
    }

    /// An error about a key in its relation to others.
    pub(super) fn wrong(&self, key: &str, sentence: impl Into<String>) -> Reported {
        self.report.error(Nature::Value, &self.place_of(key), sentence)
    }

    pub(super) fn missing(&self, key: &str, sentence: impl Into<String>) -> Reported {
        self.report.error(Nature::Shape, &self.place_of(key), sentence)
    }

    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Item<'r>) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        let node = self.entries.remove(key);
        self.known.insert(key, node.as_ref().map(|node| node.origin.clone()));
        let Some(Node { content, .. }) = node else {
            return Ok(None);
        };
        read(Item { report: self.report, place: self.place_of(key), content }).map(Some)
    }

    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Item<'r>) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        let value = self.optional(key, read)?;
        value.ok_or_else(|| self.absent(key))
    }

    /// The error about a required key that is not there.
    pub(super) fn absent(&self, key: &str) -> Reported {
        self.missing(key, format!("this required key is missing from {}", self.title))
    }

    /// A table that may be absent; it is then read as an empty one.
    pub(super) fn subsection(&mut self, key: &'static str, title: &'static str) -> Result<Self, Reported> {
        let found = self.optional(key, |item| item.section(title))?;
        let empty = Section {
            report: self.report,
            place: self.place_of(key),
            title,
            entries: Table::new(),
            known: BTreeMap::new(),
        };
        Ok(found.unwrap_or(empty))
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(&self) {
        let known: Vec<&str> = self.known.keys().copied().collect();
        for (key, node) in &self.entries {
            let place = Place { origin: node.origin.clone(), ..self.place_of(key) };
            let mut sentence =
                format!("unknown key {} in {}{}", quoted(key), self.title, nearest(key, &known));
            if matches!(node.origin, Origin::Variable(_)) && self.place.path.is_empty() {
                sentence.push_str("; two underscores stand between a table and its key");
            }
            self.report.error(Nature::Shape, &place, sentence);
        }
    }
}

/// `; the nearest known one is "host"`, or nothing when there is nothing to choose from.
pub(super) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a &'a str>) -> String {
    // The distance takes time in the product of both lengths, and what is longer than this resembles nothing.
    let text: String = text.chars().take(100).collect();
    let near = known.into_iter().min_by_key(|word| strsim::damerau_levenshtein(&text, word));
    near.map_or_else(String::new, |word| format!("; the nearest known one is \"{word}\""))
}

/// A key as it is shown in a path: bare where TOML allows it, else quoted.
fn shown_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare && key.len() <= 60 { key.to_owned() } else { quoted(key) }
}

/// Texts that may be used once only, and where each was used first.
#[derive(Default)]
pub(super) struct Unique {
    seen: BTreeMap<String, Place>,
}

impl Unique {
    /// Compared without regard to case, or to how an accent is encoded. `Err` is the place of the first use.
    pub(super) fn claim(&mut self, text: &str, place: &Place) -> Result<(), Place> {
        match self.seen.entry(composed(text).to_lowercase()) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(place.clone());
                Ok(())
            }
            btree_map::Entry::Occupied(entry) => Err(entry.get().clone()),
        }
    }

    /// As above, with the error that says so.
    pub(super) fn claim_item(&mut self, text: &str, item: &Item<'_>) -> Result<(), Reported> {
        self.claim(text, &item.place).map_err(|first| {
            let line = first.origin.reference();
            item.wrong(format!("{} is already used by {} {line}", quoted(text), first.path))
        })
    }
}
