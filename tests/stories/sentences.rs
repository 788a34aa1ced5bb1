//! The sentences a story may be written in. Each pattern also stands in `fixtures/stories/README.md`.

use std::collections::BTreeMap;

use bresse_watchdog::config::duration;
use bresse_watchdog::outbox::Kind;
use chrono::TimeDelta;

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    Nobody,
    Checker { name: String, provider: String },
    Mailbox { name: String },
    Remove { who: String },
    Set { table: String, setting: String },
    ReportEvery { who: String, every: TimeDelta },
    ReportOnce { who: String },
    Say { who: String, text: String },
    Stop { who: String },
    Result { service: String, who: String, saying: Saying },
    OneMailPerResult { who: String },
    RunsTake { who: String, length: TimeDelta },
    RunsTwice { who: String },
    Dryrun { who: String, said: bool },
    Take { who: String, delay: TimeDelta },
    Fate { who: String, fate: Fate },
    Release { who: String },
    Lose { who: String },
    MoveOutOfJunk { who: String },
    SendThrough { who: String, host: String },
    Clock { who: String, ahead: TimeDelta },
    Sign { who: String, signing: Signing },
    Forged { who: String, text: String, sender: String },
    Arrives { kind: Stranger, who: String },
    Unreadable { mailbox: Option<String>, error: String },
    Down { mailbox: Option<String> },
    Works { mailbox: Option<String> },
    LoginRefused { error: String },
    Holds { used: String, limit: String },
    CertificateEnds { left: TimeDelta },
    WatchdogsClock { ahead: TimeDelta },
    WatchdogStops,
    WatchdogStarts,
    Takes { person: String, token: String, length: TimeDelta },
    Resolves { person: String, token: String },
    Drills { person: String },
    Presses { person: String, channel: String, token: String },
}

/// What a checker's runs say of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Saying {
    Ok,
    Nok,
    Nothing,
    Both,
}

/// Whether a checker's mails are signed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Signing {
    No,
    Rightly,
    WithAnotherKey,
}

/// What becomes of a checker's mails.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    Straight,
    Lost,
    Held {
        at: String,
    },
    Junk,
    /// A delivery report with these words comes back instead.
    Bounced {
        words: String,
    },
}

/// A mail that no checker made, or not now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stranger {
    OutOfOffice,
    Forward,
    DeliveryReport,
    /// A queue still tries.
    Warning,
    SecondCopy,
    /// Somebody who can read the mails sends it as a new one.
    Replay,
}

/// What the watchdog is expected to say or to know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expectation {
    Letter(Kind, Letter),
    /// `saying`: what `explain` shows of it.
    State {
        who: String,
        state: String,
        reason: Reason,
        saying: Vec<String>,
    },
    Result {
        service: String,
        who: String,
        result: String,
    },
    /// What an incident whose alarm stands is put down to.
    Cause {
        token: String,
        reason: String,
    },
    /// These alarms stand, and no others.
    Standing {
        tokens: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Letter {
    pub(crate) token: String,
    pub(crate) naming: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) saying: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reason {
    Any,
    None,
    Is(String),
}

type Words<'a> = BTreeMap<&'static str, &'a str>;
type Reading = fn(&Words<'_>) -> Result<Act, String>;

/// `{name}` stands for one word or several, `report(s)` for report or reports, `is/are` for either.
pub(crate) const SENTENCES: &[(&str, Reading)] = &[
    ("site none", |_| Ok(Act::Nobody)),
    ("checker {name} of {provider}", |w| {
        Ok(Act::Checker { name: w.text("name"), provider: w.text("provider") })
    }),
    ("mailbox {name}", |w| Ok(Act::Mailbox { name: w.text("name") })),
    ("remove {who}", |w| Ok(Act::Remove { who: w.text("who") })),
    ("set {table}: {setting}", |w| Ok(Act::Set { table: w.text("table"), setting: w.text("setting") })),
    ("the watchdog stops", |_| Ok(Act::WatchdogStops)),
    ("the watchdog starts", |_| Ok(Act::WatchdogStarts)),
    ("the clock of the watchdog is {duration} fast", |w| Ok(Act::WatchdogsClock { ahead: w.duration()? })),
    ("the clock of the watchdog is {duration} slow", |w| Ok(Act::WatchdogsClock { ahead: -w.duration()? })),
    ("the clock of the watchdog is right", |_| Ok(Act::WatchdogsClock { ahead: TimeDelta::zero() })),
    ("{person} takes {token} for {duration}", |w| {
        let (person, token) = (w.text("person"), w.text("token"));
        Ok(Act::Takes { person, token, length: w.duration()? })
    }),
    ("{person} resolves {token}", |w| Ok(Act::Resolves { person: w.text("person"), token: w.text("token") })),
    ("{person} begins a drill", |w| Ok(Act::Drills { person: w.text("person") })),
    ("{person} presses the link of {channel} in {token}", |w| {
        let (person, channel, token) = (w.text("person"), w.text("channel"), w.text("token"));
        Ok(Act::Presses { person, channel, token })
    }),
    ("{who} report(s) every {duration}", |w| {
        Ok(Act::ReportEvery { who: w.text("who"), every: w.duration()? })
    }),
    ("{who} report(s) once", |w| Ok(Act::ReportOnce { who: w.text("who") })),
    ("{who} leave(s) out DRYRUN", |w| Ok(Act::Dryrun { who: w.text("who"), said: false })),
    ("{who} begin(s) with DRYRUN", |w| Ok(Act::Dryrun { who: w.text("who"), said: true })),
    ("{who} make(s) every run twice", |w| Ok(Act::RunsTwice { who: w.text("who") })),
    ("runs of {who} take {duration}", |w| Ok(Act::RunsTake { who: w.text("who"), length: w.duration()? })),
    ("{who} send(s) one mail per result", |w| Ok(Act::OneMailPerResult { who: w.text("who") })),
    ("mails of {who} are moved out of Junk", |w| Ok(Act::MoveOutOfJunk { who: w.text("who") })),
    ("{who} send(s) through {host}", |w| Ok(Act::SendThrough { who: w.text("who"), host: w.text("host") })),
    ("{who} send(s) {quoted text}", |w| Ok(Act::Say { who: w.text("who"), text: w.quoted("quoted text")? })),
    ("{who} stop(s)", |w| Ok(Act::Stop { who: w.text("who") })),
    ("{service} fails for {who}", |w| w.result(Saying::Nok)),
    ("{service} works for {who}", |w| w.result(Saying::Ok)),
    ("{service} is left out by {who}", |w| w.result(Saying::Nothing)),
    ("{service} is both OK and NOK for {who}", |w| w.result(Saying::Both)),
    ("mails of {who} take {duration}", |w| Ok(Act::Take { who: w.text("who"), delay: w.duration()? })),
    ("mails of {who} are lost", |w| w.fate(Fate::Lost)),
    ("mails of {who} are held at {host}", |w| w.fate(Fate::Held { at: w.text("host") })),
    ("mails of {who} go into Junk", |w| w.fate(Fate::Junk)),
    ("mails of {who} bounce: {words}", |w| w.fate(Fate::Bounced { words: w.text("words") })),
    ("mails of {who} go straight again", |w| w.fate(Fate::Straight)),
    ("held mails of {who} are released", |w| Ok(Act::Release { who: w.text("who") })),
    ("held mails of {who} are lost", |w| Ok(Act::Lose { who: w.text("who") })),
    ("the clock of {who} is {duration} fast", |w| {
        Ok(Act::Clock { who: w.text("who"), ahead: w.duration()? })
    }),
    ("the clock of {who} is {duration} slow", |w| {
        Ok(Act::Clock { who: w.text("who"), ahead: -w.duration()? })
    }),
    ("the clock of {who} is right", |w| Ok(Act::Clock { who: w.text("who"), ahead: TimeDelta::zero() })),
    ("{who} sign(s) with another key", |w| {
        Ok(Act::Sign { who: w.text("who"), signing: Signing::WithAnotherKey })
    }),
    ("{who} sign(s)", |w| Ok(Act::Sign { who: w.text("who"), signing: Signing::Rightly })),
    ("somebody at {sender} writes {quoted text} as {who}", |w| {
        let (who, text, sender) = (w.text("who"), w.quoted("quoted text")?, w.text("sender"));
        Ok(Act::Forged { who, text, sender })
    }),
    ("an out-of-office reply to {who} arrives", |w| w.arrives(Stranger::OutOfOffice)),
    ("a person's forward of a report of {who} arrives", |w| w.arrives(Stranger::Forward)),
    ("a delivery report about a mail to {who} arrives", |w| w.arrives(Stranger::DeliveryReport)),
    ("a warning that a mail to {who} still waits arrives", |w| w.arrives(Stranger::Warning)),
    ("the last mail of {who} arrives a second time", |w| w.arrives(Stranger::SecondCopy)),
    ("the last mail of {who} is sent once more", |w| w.arrives(Stranger::Replay)),
    ("the mailbox cannot be read: {error}", |w| {
        Ok(Act::Unreadable { mailbox: None, error: w.text("error") })
    }),
    ("the login is refused: {error}", |w| Ok(Act::LoginRefused { error: w.text("error") })),
    ("the mailbox holds {used} of {limit}", |w| {
        Ok(Act::Holds { used: w.text("used"), limit: w.text("limit") })
    }),
    ("the certificate of the mailbox ends in {duration}", |w| {
        Ok(Act::CertificateEnds { left: w.duration()? })
    }),
    ("the mailbox is down", |_| Ok(Act::Down { mailbox: None })),
    ("the mailbox works again", |_| Ok(Act::Works { mailbox: None })),
    ("the mailbox {name} cannot be read: {error}", |w| {
        Ok(Act::Unreadable { mailbox: Some(w.text("name")), error: w.text("error") })
    }),
    ("the mailbox {name} is down", |w| Ok(Act::Down { mailbox: Some(w.text("name")) })),
    ("the mailbox {name} works again", |w| Ok(Act::Works { mailbox: Some(w.text("name")) })),
];

trait Captured {
    fn text(&self, name: &'static str) -> String;

    fn quoted(&self, name: &'static str) -> Result<String, String> {
        let text = self.text(name);
        let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inner.map(str::to_owned).ok_or_else(|| format!("{text} must stand in quotes"))
    }

    fn duration(&self) -> Result<TimeDelta, String> {
        let text = self.text("duration");
        duration::parse(&text).map_err(|error| format!("{text}: {error}"))
    }

    fn result(&self, saying: Saying) -> Result<Act, String> {
        Ok(Act::Result { service: self.text("service"), who: self.text("who"), saying })
    }

    fn fate(&self, fate: Fate) -> Result<Act, String> {
        Ok(Act::Fate { who: self.text("who"), fate })
    }

    fn arrives(&self, kind: Stranger) -> Result<Act, String> {
        Ok(Act::Arrives { kind, who: self.text("who") })
    }
}

impl Captured for Words<'_> {
    fn text(&self, name: &'static str) -> String {
        self.get(name).copied().unwrap_or_default().to_owned()
    }
}

/// Reads a sentence about what happens.
///
/// # Errors
/// When there is no such sentence, or something in it is not what it should be.
pub(crate) fn act(sentence: &str) -> Result<Act, String> {
    for (pattern, reading) in SENTENCES {
        if let Some(words) = matched(pattern, sentence) {
            return reading(&words);
        }
    }
    Err("no story can be told with these words (fixtures/stories/README.md lists all sentences)".to_owned())
}

/// The words for the places of the pattern. A place takes as few words as it can, and at least one.
fn matched<'t>(pattern: &'static str, text: &'t str) -> Option<Words<'t>> {
    let (text, mut words) = (text.trim(), Words::new());
    let Some(place) = pattern.strip_prefix('{') else {
        let (expected, rest) = pattern.split_once(' ').unwrap_or((pattern, ""));
        let (word, others) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if !is_word(expected, word) {
            return None;
        }
        let over = rest.is_empty() && others.trim().is_empty();
        return if over { Some(words) } else { matched(rest, others) };
    };
    let (name, rest) = place.split_once('}')?;
    let ends = text.char_indices().filter(|(_, c)| c.is_whitespace() || *c == ':').map(|(end, _)| end);
    for end in ends.chain([text.len()]).filter(|end| *end > 0) {
        let (taken, after) = text.split_at(end);
        let after = match rest.strip_prefix(": ") {
            Some(rest) => after.strip_prefix(':').and_then(|after| matched(rest, after)),
            None if rest.is_empty() => after.is_empty().then(Words::new),
            None => matched(rest.trim_start(), after),
        };
        if let Some(after) = after {
            words = after;
            words.insert(name, taken.trim());
            return Some(words);
        }
    }
    None
}

fn is_word(expected: &str, word: &str) -> bool {
    match expected.strip_suffix("(s)") {
        Some(stem) => word == stem || word.strip_suffix('s') == Some(stem),
        None => !word.is_empty() && expected.split('/').any(|expected| expected == word),
    }
}

/// Of a checker.
const STATES: [&str; 5] = ["waiting", "ok", "late", "silent", "blind"];
/// Of a service, as a checker sees it.
const RESULTS: [&str; 4] = ["OK", "NOK", "MISSING", "UNKNOWN"];

/// Reads a sentence about what the watchdog says or knows.
///
/// # Errors
/// When there is no such sentence.
pub(crate) fn expectation(sentence: &str) -> Result<Expectation, String> {
    for (word, kind) in [("alarm ", Kind::Alarm), ("recovery ", Kind::Recovery), ("notice ", Kind::Notice)] {
        if let Some(letter) = sentence.strip_prefix(word) {
            return Ok(Expectation::Letter(kind, letter_of(letter)?));
        }
    }
    if sentence == "no alarm stands" {
        return Ok(Expectation::Standing { tokens: vec![] });
    }
    if let Some(words) = matched("the alarm(s) {tokens} stand(s)", sentence) {
        let tokens = list(&words.text("tokens"));
        return Ok(Expectation::Standing { tokens });
    }
    if let Some(words) = matched("{token} is put down to {reason}", sentence) {
        return Ok(Expectation::Cause { token: words.text("token"), reason: words.text("reason") });
    }
    let (sentence, saying) = split_at_word(sentence, "saying");
    let saying = quotes(saying)?;
    let (sentence, reason) = match split_at_word(sentence, "because") {
        (before, Some(reason)) => (before, Reason::Is(reason.trim().to_owned())),
        (before, None) => match split_at_word(before, "without a reason") {
            (before, Some(_)) => (before, Reason::None),
            (before, None) => (before, Reason::Any),
        },
    };
    if let Some(words) = matched("{who} is/are {state}", sentence)
        && STATES.contains(&words.text("state").as_str())
    {
        let (who, state) = (words.text("who"), words.text("state"));
        return Ok(Expectation::State { who, state, reason, saying });
    }
    if let Some(words) = matched("{service} of {who} is/are {result}", sentence)
        && RESULTS.contains(&words.text("result").as_str())
    {
        let (service, who, result) = (words.text("service"), words.text("who"), words.text("result"));
        return Ok(Expectation::Result { service, who, result });
    }
    Err("nothing can be expected in these words (fixtures/stories/README.md lists all sentences)".to_owned())
}

/// `TOKEN naming WHO because REASON saying "…" and "…"`.
fn letter_of(text: &str) -> Result<Letter, String> {
    let (text, saying) = split_at_word(text, "saying");
    let (text, reason) = split_at_word(text, "because");
    let (token, naming) = split_at_word(text, "naming");
    if token.is_empty() || token.contains(" and ") {
        return Err("a mail has one token".to_owned());
    }
    Ok(Letter {
        token: token.to_owned(),
        naming: naming.map(str::to_owned),
        reason: reason.map(str::to_owned),
        saying: quotes(saying)?,
    })
}

/// `"…" and "…"`, without the quotes.
fn quotes(saying: Option<&str>) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = saying.unwrap_or_default().split('"').collect();
    if parts.len().is_multiple_of(2) || (saying.is_some() && parts.len() < 3) {
        return Err("what must be said stands in quotes".to_owned());
    }
    Ok(parts.iter().skip(1).step_by(2).map(|quote| (*quote).to_owned()).collect())
}

fn split_at_word<'t>(text: &'t str, word: &str) -> (&'t str, Option<&'t str>) {
    match text.split_once(&format!(" {word}")) {
        Some((before, after)) => (before.trim(), Some(after.trim())),
        None => (text.trim(), None),
    }
}

/// `a, b and c`.
pub(crate) fn list(text: &str) -> Vec<String> {
    text.replace(" and ", ", ").split(',').map(|part| part.trim().to_owned()).collect()
}

impl Act {
    /// Whose act it is; empty when it is not one of checkers.
    pub(crate) fn who(&self) -> &str {
        match self {
            Self::ReportEvery { who, .. }
            | Self::ReportOnce { who }
            | Self::Say { who, .. }
            | Self::Stop { who }
            | Self::Result { who, .. }
            | Self::OneMailPerResult { who }
            | Self::RunsTake { who, .. }
            | Self::RunsTwice { who }
            | Self::Dryrun { who, .. }
            | Self::Take { who, .. }
            | Self::Fate { who, .. }
            | Self::Release { who }
            | Self::Lose { who }
            | Self::MoveOutOfJunk { who }
            | Self::SendThrough { who, .. }
            | Self::Sign { who, .. }
            | Self::Clock { who, .. } => who,
            _ => "",
        }
    }

    /// Whether `watchdog.toml` is another one afterwards.
    pub(crate) fn changes_the_site(&self) -> bool {
        matches!(
            self,
            Self::Nobody
                | Self::Checker { .. }
                | Self::Mailbox { .. }
                | Self::Remove { .. }
                | Self::Set { .. }
        )
    }
}

impl Expectation {
    /// Of whom something is expected.
    pub(crate) fn who(&self) -> Option<&str> {
        match self {
            Self::State { who, .. } | Self::Result { who, .. } => Some(who),
            _ => None,
        }
    }

    /// Not a letter, but what is so at a moment.
    pub(crate) fn is_about_a_moment(&self) -> bool {
        !matches!(self, Self::Letter(..))
    }
}

impl Reason {
    pub(crate) fn admits(&self, known: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::None => known.is_none(),
            Self::Is(wanted) => known == Some(wanted),
        }
    }
}
