//! What is shown. In a terminal the table stays at the bottom and is redrawn in place, the story scrolls by above it,
//! and nothing is taken from the scroll-back. Elsewhere there are plain lines only.

use std::fmt::Write as _;
use std::io::{self, Stdout, Write};

use chrono::TimeDelta;

use crate::time::{Time, span};
use crate::verdict::State;
use crate::view::{CheckerLine, LastSeen};

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const ERASE_BELOW: &str = "\x1b[J";

/// Where nobody says how large the screen is.
const USUAL_SIZE: Size = Size { columns: 80, rows: 24 };
/// From so many columns on there is room for the gauge.
const WIDE_COLUMNS: usize = 104;
/// The gauge of a checker's age, up to its deadline.
const GAUGE_CELLS: usize = 21;

/// What the screen can do and its user wants.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Redraw the table in place.
    pub live: bool,
    pub colour: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// A state has a colour beside its word, never instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Bold,
    Faint,
    Good,
    Warning,
    Bad,
    Blind,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "1;31",
            Self::Blind => "35",
        }
    }

    fn of(state: State) -> Self {
        match state {
            State::Waiting => Self::Faint,
            State::Ok => Self::Good,
            State::Late => Self::Warning,
            State::Silent => Self::Bad,
            State::Blind => Self::Blind,
        }
    }
}

/// One line in pieces, each with its tone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Tone, String)>);

impl Line {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self(vec![(tone, text.into())])
    }

    pub(super) fn with(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    /// Without the padding of its last column.
    fn trimmed(mut self) -> Self {
        if let Some((_, last)) = self.0.last_mut() {
            last.truncate(last.trim_end_matches(' ').len());
        }
        self
    }

    fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// Cut off at `width`: a line that wraps would take two rows.
    fn cut(&self, width: usize) -> Self {
        let mut left = width;
        let mut cut = |(tone, text): &(Tone, String)| {
            let text: String = text.chars().take(left).collect();
            left -= text.chars().count();
            (*tone, text)
        };
        Self(self.0.iter().map(&mut cut).collect())
    }

    fn text(&self, colour: bool) -> String {
        let mut text = String::new();
        for (tone, piece) in &self.0 {
            let _ = match tone {
                Tone::Plain => write!(text, "{piece}"),
                _ if !colour => write!(text, "{piece}"),
                tone => write!(text, "\x1b[{}m{piece}\x1b[0m", tone.code()),
            };
        }
        text
    }
}

/// Standard output.
pub(super) struct Screen {
    out: Stdout,
    look: Look,
    /// The lines at the bottom that are redrawn in place.
    shown: Vec<Line>,
}

impl Screen {
    pub(super) fn open(look: Look) -> io::Result<Self> {
        let mut screen = Self { out: io::stdout(), look, shown: Vec::new() };
        if look.live {
            screen.write(HIDE_CURSOR)?;
        }
        Ok(screen)
    }

    /// One line of the story, above the table.
    pub(super) fn say(&mut self, line: &Line) -> io::Result<()> {
        let text = format!("{}{}\n{}", self.erase(), line.text(self.look.colour), self.table());
        self.write(&text)
    }

    /// Redraws the table. Does nothing where it cannot be redrawn.
    pub(super) fn show(&mut self, seen: &LastSeen, below: &str) -> io::Result<()> {
        if !self.look.live {
            return Ok(());
        }
        let size = size();
        let erase = self.erase();
        self.shown = vec![Line::default()];
        self.shown.extend(lines(seen, size.columns));
        self.shown.push(Line::new(Tone::Faint, below));
        // A row more than the screen has would scroll away and could not be erased.
        self.shown.truncate(size.rows.saturating_sub(1));
        // A terminal that is exactly as wide as the line may go to the next row.
        self.shown = self.shown.iter().map(|line| line.cut(size.columns.saturating_sub(1))).collect();
        let text = format!("{erase}{}", self.table());
        self.write(&text)
    }

    /// Prints the table among the lines. Does nothing where it is always in sight.
    pub(super) fn print(&mut self, seen: &LastSeen) -> io::Result<()> {
        if self.look.live {
            return Ok(());
        }
        let mut text = String::new();
        for line in lines(seen, USUAL_SIZE.columns) {
            let _ = writeln!(text, "    {}", line.text(self.look.colour));
        }
        self.write(&text)
    }

    /// From now on nothing is redrawn; what is shown stays.
    pub(super) fn freeze(&mut self) -> io::Result<()> {
        if self.look.live {
            self.look.live = false;
            self.shown.clear();
            // The echo of a Ctrl-C stands at the beginning of the row.
            self.write(&format!("\r{ERASE_BELOW}{SHOW_CURSOR}"))?;
        }
        Ok(())
    }

    fn table(&self) -> String {
        self.shown.iter().fold(String::new(), |text, line| text + &line.text(self.look.colour) + "\n")
    }

    /// Back to the first row of the table. A terminal that became narrower has wrapped its lines.
    fn erase(&self) -> String {
        if self.shown.is_empty() {
            return String::new();
        }
        let columns = size().columns;
        let rows: usize = self.shown.iter().map(|line| line.width().div_ceil(columns).max(1)).sum();
        format!("\r\x1b[{rows}A{ERASE_BELOW}")
    }

    /// In one piece, so that nothing flickers.
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is there any more to be told of an error.
        let _ = self.freeze();
    }
}

fn size() -> Size {
    let asked = rustix::termios::tcgetwinsize(io::stdout()).ok();
    // Serial lines and some containers say 0.
    asked
        .filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or(USUAL_SIZE, |size| Size { columns: size.ws_col.into(), rows: size.ws_row.into() })
}

/// The last-seen table for a screen of this width.
fn lines(seen: &LastSeen, columns: usize) -> Vec<Line> {
    let wide = columns >= WIDE_COLUMNS;
    let mut header = format!("{:<9}{:<10}{:<9}{:<10}{:>4}  ", "CHECKER", "PROVIDER", "STATE", "HEARD", "AGE");
    if wide {
        header.push_str(&format!("{:<width$}", scale(seen), width = GAUGE_CELLS + 4));
    }
    if let Some(first) = seen.checkers.first() {
        first.services.iter().for_each(|service| header.push_str(&format!("{:<16}", service.name)));
    }
    let mut lines = vec![Line::new(Tone::Bold, header).trimmed()];
    lines.extend(seen.checkers.iter().map(|checker| row(checker, seen.as_of, wide)));
    lines
}

fn row(checker: &CheckerLine, as_of: Time, wide: bool) -> Line {
    let heard = checker.heard_at.map_or("never".to_owned(), |time| time.format("%H:%M:%S").to_string());
    let age = checker.age_s.map_or("-".to_owned(), |age| span(TimeDelta::seconds(age)));
    let tone = Tone::of(checker.state);
    let mut line = Line::new(Tone::Plain, format!("{:<9}{:<10}", checker.name, checker.provider))
        .with(tone, format!("{:<9}", checker.state.word()))
        .with(Tone::Plain, format!("{heard:<10}{age:>4}  "));
    if wide {
        line = line.with(tone, format!("[{}]  ", gauge(checker, as_of)));
    }
    for service in &checker.services {
        let tone = match service.result {
            "OK" => Tone::Good,
            "UNKNOWN" => Tone::Faint,
            _ => Tone::Bad,
        };
        line = line.with(tone, format!("{:<16}", service.result));
    }
    line.trimmed()
}

/// What the gauge runs to.
fn scale(seen: &LastSeen) -> String {
    seen.checkers
        .first()
        .map_or(String::new(), |checker| format!("SILENT AFTER {}", span(checker.deadline_s)))
}

/// How much of its deadline a checker has used up.
fn gauge(checker: &CheckerLine, as_of: Time) -> String {
    let deadline_ms = usize::try_from(checker.deadline_s.num_milliseconds()).unwrap_or_default().max(1);
    let age = checker.heard_at.map_or(TimeDelta::zero(), |heard| as_of - heard);
    let age_ms = usize::try_from(age.num_milliseconds()).unwrap_or_default();
    let used = (age_ms.saturating_mul(GAUGE_CELLS) / deadline_ms).min(GAUGE_CELLS);
    format!("{}{}", "#".repeat(used), ".".repeat(GAUGE_CELLS - used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::ServiceLine;
    use chrono::{TimeZone, Utc};

    fn seen(age_s: i64, state: State) -> LastSeen {
        let as_of = Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap();
        let heard = Some(as_of - TimeDelta::seconds(age_s));
        let service =
            |name: &str, result| ServiceLine { name: name.into(), result, since: None, critical: false };
        let checker = CheckerLine {
            name: "bresse7".into(),
            provider: "azure-eu".into(),
            state,
            reason: None,
            last_received: heard,
            last_sent: heard,
            heard_at: heard,
            age_s: Some(age_s),
            deadline_s: TimeDelta::seconds(7),
            late_s: TimeDelta::seconds(6),
            services: vec![service("MSSQL1_Service", "OK"), service("ESHOP_Service", "NOK")],
            findings: vec![],
            complaint: None,
        };
        LastSeen {
            as_of,
            heard_until: Some(as_of),
            checkers: vec![checker],
            mailboxes: vec![],
            canary: None,
            chains: vec![],
            undelivered: 0,
            provisional: false,
            other_mails: Default::default(),
            junk_unread: Default::default(),
            unreadable: false,
        }
    }

    #[test]
    fn the_table_fits_its_screen_and_says_every_state_in_words() {
        for columns in [80, WIDE_COLUMNS, 120] {
            for line in lines(&seen(6, State::Late), columns) {
                assert!(line.width() < columns, "{columns}: {}", line.text(false));
            }
        }
        let row = lines(&seen(6, State::Late), 80).pop().unwrap();
        assert_eq!(row.text(false), "bresse7  azure-eu  late     02:59:54   6 s  OK              NOK");
        assert!(row.text(true).contains("\x1b[1;31mNOK"));
    }

    #[test]
    fn the_gauge_is_full_at_the_deadline_and_never_fuller() {
        let shown = |age_s| lines(&seen(age_s, State::Ok), 120).pop().unwrap().text(false);
        assert!(shown(0).contains("[.....................]"));
        assert!(shown(6).contains("[##################...]"));
        assert!(shown(7).contains("[#####################]"));
        assert!(shown(900).contains("[#####################]"));
        assert!(shown(-3).contains("[.....................]"), "the clock was set back");
    }

    #[test]
    fn a_line_is_cut_where_the_screen_ends() {
        let line = Line::new(Tone::Bad, "abc").with(Tone::Good, "défg");
        assert_eq!(line.cut(5).text(false), "abcdé");
        assert_eq!(line.cut(5).text(true), "\x1b[1;31mabc\x1b[0m\x1b[32mdé\x1b[0m");
        assert_eq!(line.cut(99), line);
    }
}
