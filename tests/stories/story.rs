//! Story files as text: titles, the site, and lines with their times. `fixtures/stories/README.md` is the grammar.

use chrono::{TimeDelta, TimeZone, Utc};

use bresse_watchdog::time::Time;

use crate::sentences::{Act, Expectation, act, expectation};

/// One story, as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) file: String,
    pub(crate) title: String,
    /// Of the title.
    pub(crate) line: usize,
    /// What holds before the first moment.
    pub(crate) before: Vec<Scripted<Act>>,
    pub(crate) acts: Vec<Timed<Act>>,
    pub(crate) expected: Vec<Timed<Expectation>>,
    /// Nothing is played after it.
    pub(crate) end: Time,
}

#[derive(Debug, Clone)]
pub(crate) struct Scripted<T> {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) what: T,
}

#[derive(Debug, Clone)]
pub(crate) struct Timed<T> {
    pub(crate) when: When,
    pub(crate) said: Scripted<T>,
}

/// A second, or, where no seconds were written, a minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When {
    pub(crate) from: Time,
    lasts: TimeDelta,
}

impl When {
    pub(crate) fn holds(self, time: Time) -> bool {
        self.from <= time && time < self.from + self.lasts
    }
}

/// What stands in front of every time, and for how long a story without an end goes on after its last line.
const DAY: (i32, u32, u32) = (2026, 11, 20);
const EPILOGUE: TimeDelta = TimeDelta::minutes(15);
const HOURS_MAX: u32 = 24 * 14;

pub(crate) fn midnight() -> Time {
    let (year, month, day) = DAY;
    Utc.with_ymd_and_hms(year, month, day, 0, 0, 0).unwrap()
}

/// As the stories write it.
pub(crate) fn shown(time: Time) -> String {
    let seconds = (time - midnight()).num_seconds();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// All stories of a file.
///
/// # Errors
/// Every mistake, each with its line.
pub(crate) fn stories(file: &str, text: &str) -> Result<Vec<Story>, String> {
    let mut mistakes = Vec::new();
    let mut stories: Vec<Story> = Vec::new();
    for (line, text) in logical_lines(text) {
        let told = match (text.strip_prefix("title "), stories.last_mut()) {
            (Some(title), _) => {
                stories.push(Story::titled(file, title.trim(), line));
                Ok(())
            }
            (None, None) => Err("a story begins with its title".to_owned()),
            (None, Some(story)) => story.read(line, &text),
        };
        if let Err(mistake) = told {
            mistakes.push(format!("{file}:{line}: {mistake}\n    {text}"));
        }
    }
    for story in &mut stories {
        story.end = story.end.max(story.last_moment() + EPILOGUE);
        if story.expected.is_empty() {
            mistakes.push(format!("{file}:{}: nothing is expected (=>)", story.line));
        }
    }
    if mistakes.is_empty() { Ok(stories) } else { Err(mistakes.join("\n")) }
}

/// Without empty lines and comments. A line that begins with blanks goes on from the one before it.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words = line.trim();
        if words.is_empty() || words.starts_with('#') {
            continue;
        }
        match lines.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some((_, before)) => {
                before.push(' ');
                before.push_str(words);
            }
            None => lines.push((number + 1, words.to_owned())),
        }
    }
    lines
}

impl Story {
    fn titled(file: &str, title: &str, line: usize) -> Self {
        Self {
            file: file.to_owned(),
            title: title.to_owned(),
            line,
            before: vec![],
            acts: vec![],
            expected: vec![],
            end: midnight(),
        }
    }

    fn read(&mut self, line: usize, text: &str) -> Result<(), String> {
        let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        if first == "why" {
            return Ok(());
        }
        if !first.starts_with(|c: char| c.is_ascii_digit()) {
            if !self.acts.is_empty() || !self.expected.is_empty() {
                return Err("after the first time every line begins with one".to_owned());
            }
            let what = act(text)?;
            self.before.push(Scripted { line, text: text.to_owned(), what });
            return Ok(());
        }
        let when = time(first)?;
        if when.from < self.last_moment() {
            return Err(format!("the line before it is later, {}", shown(self.last_moment())));
        }
        if rest == "end" {
            self.end = when.from;
        } else if let Some(wanted) = rest.strip_prefix("=>") {
            let what = expectation(wanted.trim())?;
            let said = Scripted { line, text: text.to_owned(), what };
            self.expected.push(Timed { when, said });
        } else {
            self.acts.push(Timed { when, said: Scripted { line, text: text.to_owned(), what: act(rest)? } });
        }
        Ok(())
    }

    fn last_moment(&self) -> Time {
        let acts = self.acts.last().map(|line| line.when.from);
        let expected = self.expected.last().map(|line| line.when.from);
        acts.max(expected).unwrap_or_else(midnight)
    }
}

/// `03:10` or `03:10:42`, counted from midnight; hours may go beyond 23.
fn time(text: &str) -> Result<When, String> {
    let mistake = || format!("{text} is no time; write 03:10 or 03:10:42");
    let parts: Vec<u32> = text.split(':').map(str::parse).collect::<Result<_, _>>().map_err(|_| mistake())?;
    let (hours, minutes, seconds) = match parts.as_slice() {
        [hours, minutes] => (*hours, *minutes, None),
        [hours, minutes, seconds] => (*hours, *minutes, Some(*seconds)),
        _ => return Err(mistake()),
    };
    if hours > HOURS_MAX || minutes > 59 || seconds.is_some_and(|seconds| seconds > 59) {
        return Err(mistake());
    }
    let length = i64::from(hours * 3600 + minutes * 60 + seconds.unwrap_or(0));
    let lasts = if seconds.is_some() { TimeDelta::seconds(1) } else { TimeDelta::minutes(1) };
    Ok(When { from: midnight() + TimeDelta::seconds(length), lasts })
}

/// A quotation in a failure's words.
pub(crate) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("      | {line}")).collect::<Vec<_>>().join("\n")
}
