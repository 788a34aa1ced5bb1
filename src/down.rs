//! Last-seen table and matrix → what machines may act on: which providers, services and checkers are down. Pure.
//!
//! An alarm wakes a person, who thinks; a load balancer acts. So down is here only what nobody contradicts, and what is not
//! known (the watchdog is blind, the mail path is down) stays as it was known last: a watchdog that sees nothing must not
//! take everything out of service.

use crate::engine::Engine;
use crate::matrix::{Heard, Matrix, Picture, ServiceRow};
use crate::reason::Reason;
use crate::verdict::State;
use crate::view::{CheckerLine, LastSeen};

/// The group that all providers and services belong to.
pub const ALL: &str = "all";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Provider,
    Service,
    Checker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Up,
    Down,
    /// Nobody can say now.
    Unknown {
        /// It was down when that was last known.
        was_down: bool,
    },
}

/// What an unknown standing is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Doubt {
    /// As it was known last.
    #[default]
    Last,
    Up,
    Down,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub kind: Kind,
    pub name: String,
    pub standing: Standing,
    /// Why it is not up, to be put behind its name; empty when it is.
    pub why: String,
}

impl Line {
    pub fn is_down(&self, doubt: Doubt) -> bool {
        match (self.standing, doubt) {
            (Standing::Up, _) | (Standing::Unknown { .. }, Doubt::Up) => false,
            (Standing::Down, _) | (Standing::Unknown { .. }, Doubt::Down) => true,
            (Standing::Unknown { was_down }, Doubt::Last) => was_down,
        }
    }
}

/// Every provider, service and checker of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Board {
    lines: Vec<Line>,
}

impl Board {
    /// What the engine's table and matrix of one moment say.
    pub fn of(engine: &Engine, seen: &LastSeen, matrix: &Matrix) -> Self {
        let last = as_known_last(engine, matrix);
        let provider = |name: &String| provider_line(name, seen, matrix, &last);
        let service = |row: &ServiceRow| service_line(row, &last);
        let lines = matrix.providers.iter().map(provider).chain(matrix.services.iter().map(service));
        Self { lines: lines.chain(seen.checkers.iter().map(checker_line)).collect() }
    }

    /// The members of `all`, of a provider's or of a service's group; None when there is no such group.
    pub fn group(&self, name: &str) -> Option<Vec<&Line>> {
        let member = |line: &&Line| line.kind != Kind::Checker && (name == ALL || line.name == name);
        let members: Vec<&Line> = self.lines.iter().filter(member).collect();
        (!members.is_empty()).then_some(members)
    }

    /// The checkers and services that are down, or were when that was last known.
    pub fn dead(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.kind != Kind::Provider && line.is_down(Doubt::Last))
    }
}

/// The matrix as if everybody still said what they said last.
fn as_known_last(engine: &Engine, matrix: &Matrix) -> Matrix {
    let mut heard = Heard::all(engine, matrix.as_of);
    heard.iter_mut().for_each(|one| one.state = State::Ok);
    Matrix::new(engine.config(), &heard, matrix.heard_until, matrix.as_of)
}

/// Whether it is down for everybody; None when nobody can say.
fn service_is_down(row: &ServiceRow) -> Option<bool> {
    match row.verdict {
        Picture::ServiceDown => Some(true),
        Picture::Ok | Picture::SeenDownFrom | Picture::CheckerFault => Some(false),
        // Where nobody else has anything to say, one voice is all there is.
        Picture::Unconfirmed if row.from.is_empty() => None,
        Picture::Unconfirmed => (row.cells.iter().filter(|cell| cell.fresh > 0).count() == 1).then_some(true),
    }
}

fn service_line(row: &ServiceRow, last: &Matrix) -> Line {
    let before = last.services.iter().find(|known| known.name == row.name);
    let (standing, why) = match service_is_down(row) {
        Some(false) => (Standing::Up, String::new()),
        Some(true) => (Standing::Down, format!("does not work, seen from {}", row.from.join(", "))),
        None => {
            let was_down = before.and_then(service_is_down).unwrap_or_default();
            (Standing::Unknown { was_down }, unknown(was_down))
        }
    };
    Line { kind: Kind::Service, name: row.name.clone(), standing, why }
}

fn unknown(was_down: bool) -> String {
    match was_down {
        true => "was down when it was last seen; nobody can say now".to_owned(),
        false => "nobody can say now".to_owned(),
    }
}

fn provider_line(name: &str, seen: &LastSeen, matrix: &Matrix, last: &Matrix) -> Line {
    let own: Vec<&CheckerLine> = seen.checkers.iter().filter(|line| line.provider == name).collect();
    let all = |one: fn(&CheckerLine) -> bool| !own.is_empty() && own.iter().all(|line| one(line));
    let not_from_here = seen_down_from(name, matrix);
    let (standing, why) = if all(is_cut_off) {
        let checkers: Vec<&str> = own.iter().map(|line| line.name.as_str()).collect();
        (Standing::Down, format!("no checker of it is heard: {}", checkers.join(", ")))
    } else if !not_from_here.is_empty() {
        (Standing::Down, format!("from here these do not work: {}", not_from_here.join(", ")))
    } else if all(|line| !matches!(line.state, State::Ok | State::Late)) {
        let was_down = !seen_down_from(name, last).is_empty();
        (Standing::Unknown { was_down }, unknown(was_down))
    } else {
        (Standing::Up, String::new())
    };
    Line { kind: Kind::Provider, name: name.to_owned(), standing, why }
}

/// Silent for a reason that lies with it, and not with the mail path or with what all have in common.
fn is_cut_off(line: &CheckerLine) -> bool {
    line.state == State::Silent && matches!(line.reason, Some(Reason::CheckerDead | Reason::ProviderDown))
}

/// The services that work, but not from this provider.
fn seen_down_from<'a>(provider: &str, matrix: &'a Matrix) -> Vec<&'a str> {
    let here = |row: &&ServiceRow| {
        row.verdict == Picture::SeenDownFrom && row.from.iter().any(|from| from == provider)
    };
    matrix.services.iter().filter(here).map(|row| row.name.as_str()).collect()
}

fn checker_line(line: &CheckerLine) -> Line {
    let reason = line.reason.map_or("", Reason::word);
    let (standing, why) = match line.state {
        State::Silent if reason.is_empty() => (Standing::Down, "is silent".to_owned()),
        State::Silent => (Standing::Down, format!("is silent: {reason}")),
        State::Ok | State::Late | State::Waiting => (Standing::Up, String::new()),
        // Who was silent before is silent while blind.
        State::Blind => (Standing::Unknown { was_down: false }, unknown(false)),
    };
    Line { kind: Kind::Checker, name: line.name.clone(), standing, why }
}
