//! Facts and verdicts → service × provider: from where each service works, from where it does not, from where nobody
//! knows, and what that looks like. Pure.
//!
//! A provider with several checkers has one vote. Only fresh voices vote: the last result of a checker that is silent,
//! blind, late or not heard yet is not known to be true any more. Nor is an OK from before the trouble began a vote:
//! that checker has not looked since.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::config::{Checker, Config};
use crate::engine::Engine;
use crate::ledger::{Facts, Outcome, Service};
use crate::time::{Time, as_optional_rfc3339, as_rfc3339};
use crate::verdict::{State, Watch, judge};

/// All services from all providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matrix {
    #[serde(serialize_with = "as_rfc3339")]
    pub as_of: Time,
    /// Up to when every mailbox was read; null before that.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub heard_until: Option<Time>,
    /// As they first appear in the configuration.
    pub providers: Vec<String>,
    /// As they first appear in the configuration.
    pub services: Vec<ServiceRow>,
}

/// One service from all providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceRow {
    pub name: String,
    pub verdict: Picture,
    /// The providers with a voice that says bad.
    pub from: Vec<String>,
    /// The checker that sees nothing work, when the verdict is `checker_fault`.
    pub checker: Option<String>,
    /// So many providers must say bad before the service looks down, as configured.
    pub quorum: usize,
    /// One for each provider with a checker that tests it.
    pub cells: Vec<Cell>,
}

/// What a service looks like, judged by the votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    /// Somebody fresh says OK, and nobody says bad.
    Ok,
    /// Enough providers say bad: it is the service itself.
    ServiceDown,
    /// Some say bad and others, after that, say OK: the way between them.
    SeenDownFrom,
    /// Nothing works as seen by one checker, and others contradict it.
    CheckerFault,
    /// Too few fresh voices: nobody else has looked since it began, or nobody fresh says anything.
    Unconfirmed,
}

impl Picture {
    /// The word in JSON, CSV and the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ServiceDown => "service_down",
            Self::SeenDownFrom => "seen_down_from",
            Self::CheckerFault => "checker_fault",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// One service from one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    pub provider: String,
    /// What its fresh voices say: `OK`, `NOK`, `MISSING`, `MIXED` when they differ; `UNKNOWN` without one.
    pub result: &'static str,
    pub vote: Option<Vote>,
    /// Since when all of them say OK, or the first of them says bad.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub since: Option<Time>,
    /// How long ago the newest run of a fresh voice was.
    pub age_s: Option<i64>,
    /// How many of the voices are fresh.
    pub fresh: usize,
    pub voices: Vec<Voice>,
}

/// What a provider, or a checker, has to say about what a service looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    Good,
    Bad,
    /// A provider whose checkers contradict each other speaks for neither side.
    Split,
}

impl Vote {
    /// The word in JSON and CSV.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Split => "split",
        }
    }
}

/// One service as one checker last saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Voice {
    pub checker: String,
    pub state: State,
    /// As in the last-seen table.
    pub result: &'static str,
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub since: Option<Time>,
    /// How long ago the run was that said so.
    pub age_s: Option<i64>,
    pub fresh: bool,
    /// None for one that is not fresh, and for an OK from before the trouble began.
    pub vote: Option<Vote>,
}

/// A checker with what is known of it at the moment of the matrix.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    pub checker: &'a Checker,
    pub facts: &'a Facts,
    pub state: State,
}

impl<'a> Heard<'a> {
    pub fn new(checker: &'a Checker, facts: &'a Facts, watch: Watch, now: Time) -> Self {
        Self { checker, facts, state: judge(facts, watch, now).state }
    }

    /// A checker as the engine knows it; None when it does not.
    pub fn of(engine: &'a Engine, checker: &'a Checker, now: Time) -> Option<Self> {
        let facts = engine.facts().get(&checker.name)?;
        Some(Self::new(checker, facts, engine.watch_of(facts), now))
    }

    /// Every configured checker as the engine knows it.
    pub fn all(engine: &'a Engine, now: Time) -> Vec<Self> {
        engine.config().checkers.iter().filter_map(|checker| Self::of(engine, checker, now)).collect()
    }
}

impl Matrix {
    /// The matrix as the engine knows it at `as_of`.
    pub fn of(engine: &Engine, as_of: Time) -> Self {
        let heard_until = engine.mailboxes().values().map(|mailbox| mailbox.heard_until).min().flatten();
        Self::new(engine.config(), &Heard::all(engine, as_of), heard_until, as_of)
    }

    pub fn new(config: &Config, heard: &[Heard<'_>], heard_until: Option<Time>, as_of: Time) -> Self {
        let ballots = ballots(heard, |_| true);
        let tests = config.checkers.iter().flat_map(|checker| &checker.tests);
        let services = in_order(tests.map(|test| test.service.as_str()));
        let row = |service: &&str| {
            let ballot = ballots.get(*service)?;
            let faulty = ballot.lone_complainer().filter(|alone| alone.sees_nothing_work(&ballots));
            Some(ballot.row(service, config.quorum.of(service), faulty, as_of))
        };
        let providers = config.checkers.iter().map(|checker| checker.provider.as_str());
        Self {
            as_of,
            heard_until,
            providers: in_order(providers).into_iter().map(str::to_owned).collect(),
            services: services.iter().filter_map(row).collect(),
        }
    }
}

impl ServiceRow {
    /// The row of one service, without the price of the others: `testing` gives the checkers that test any of some.
    pub fn of<'a>(
        service: &str,
        quorum: usize,
        testing: impl Fn(&BTreeSet<&str>) -> Vec<Heard<'a>>,
        as_of: Time,
    ) -> Self {
        let heard = testing(&BTreeSet::from([service]));
        let ballot = ballots(&heard, |name| name == service).remove(service).unwrap_or_default();
        let faulty = ballot.lone_complainer().filter(|alone| {
            let tested: BTreeSet<&str> = alone.services().collect();
            // The others need not be asked when it sees anything work.
            alone.all_bad()
                && alone.sees_nothing_work(&ballots(&testing(&tested), |name| tested.contains(name)))
        });
        ballot.row(service, quorum, faulty, as_of)
    }

    /// Every voice with its provider.
    pub fn voices(&self) -> impl Iterator<Item = (&str, &Voice)> {
        self.cells.iter().flat_map(|cell| cell.voices.iter().map(|voice| (cell.provider.as_str(), voice)))
    }
}

impl Heard<'_> {
    fn services(&self) -> impl Iterator<Item = &str> {
        self.checker.tests.iter().map(|test| test.service.as_str())
    }

    /// What it says of a service, as far as that is still known to be true.
    fn fresh(&self, service: &str) -> Option<&Service> {
        let known = self.facts.services.get(service)?;
        (self.state == State::Ok && known.outcome() != Outcome::Unread).then_some(known)
    }

    fn all_bad(&self) -> bool {
        let bad = |service: &str| self.fresh(service).is_some_and(|known| known.outcome().is_bad());
        // One failing service alone cannot be told from a path that fails.
        self.checker.tests.len() > 1 && self.services().all(bad)
    }

    /// Everything is bad as seen from here, nobody agrees with any of it, and somebody contradicts.
    fn sees_nothing_work(&self, ballots: &BTreeMap<&str, Ballot<'_>>) -> bool {
        let own = || self.services().filter_map(|service| ballots.get(service));
        let alone = |ballot: &Ballot<'_>| {
            ballot.lone_complainer().is_some_and(|one| one.checker.name == self.checker.name)
        };
        self.all_bad() && own().all(alone) && own().any(Ballot::has_good)
    }
}

/// What everybody who tests a service has to say of it.
#[derive(Default)]
struct Ballot<'a> {
    spoken: Vec<Spoken<'a>>,
    /// When the youngest of the complaints began. An OK of a run before that contradicts nobody.
    onset: Option<Time>,
}

#[derive(Clone, Copy)]
struct Spoken<'a> {
    heard: Heard<'a>,
    /// The last result, fresh or not.
    known: Option<&'a Service>,
    /// The same, if it is fresh.
    fresh: Option<&'a Service>,
}

impl Spoken<'_> {
    fn is_bad(&self) -> bool {
        self.fresh.is_some_and(|fresh| fresh.outcome().is_bad())
    }
}

/// One for each service that is wanted and tested.
fn ballots<'a>(heard: &'a [Heard<'a>], wanted: impl Fn(&str) -> bool) -> BTreeMap<&'a str, Ballot<'a>> {
    let mut ballots: BTreeMap<&str, Ballot<'_>> = BTreeMap::new();
    for one in heard {
        for test in one.checker.tests.iter().filter(|test| wanted(&test.service)) {
            let service = test.service.as_str();
            let spoken =
                Spoken { heard: *one, known: one.facts.services.get(service), fresh: one.fresh(service) };
            ballots.entry(service).or_default().add(spoken);
        }
    }
    ballots
}

impl<'a> Ballot<'a> {
    fn add(&mut self, spoken: Spoken<'a>) {
        if spoken.is_bad() {
            self.onset = self.onset.max(spoken.fresh.map(Service::since));
        }
        self.spoken.push(spoken);
    }

    fn vote(&self, spoken: &Spoken<'_>) -> Option<Vote> {
        let fresh = spoken.fresh?;
        if fresh.outcome().is_bad() {
            return Some(Vote::Bad);
        }
        self.onset.is_none_or(|onset| fresh.at() >= onset).then_some(Vote::Good)
    }

    fn has_good(&self) -> bool {
        self.spoken.iter().any(|spoken| self.vote(spoken) == Some(Vote::Good))
    }

    /// The only checker that says bad.
    fn lone_complainer(&self) -> Option<Heard<'a>> {
        let mut bad = self.spoken.iter().filter(|spoken| spoken.is_bad());
        let only = bad.next()?;
        bad.next().is_none().then_some(only.heard)
    }

    fn row(&self, service: &str, quorum: usize, faulty: Option<Heard<'_>>, as_of: Time) -> ServiceRow {
        let provider = |spoken: &Spoken<'a>| spoken.heard.checker.provider.as_str();
        let mut here: BTreeMap<&str, Vec<&Spoken<'_>>> = BTreeMap::new();
        for spoken in &self.spoken {
            here.entry(provider(spoken)).or_default().push(spoken);
        }
        let providers = in_order(self.spoken.iter().map(provider));
        let cell = |name: &&str| here.get(name).map(|spoken| self.cell(name, spoken, as_of));
        let cells: Vec<Cell> = providers.iter().filter_map(cell).collect();
        let complains = |cell: &&Cell| matches!(cell.vote, Some(Vote::Bad | Vote::Split));
        ServiceRow {
            name: service.to_owned(),
            verdict: if faulty.is_some() { Picture::CheckerFault } else { picture(&cells, quorum) },
            from: cells.iter().filter(complains).map(|cell| cell.provider.clone()).collect(),
            checker: faulty.map(|heard| heard.checker.name.clone()),
            quorum,
            cells,
        }
    }

    fn cell(&self, provider: &str, here: &[&Spoken<'_>], as_of: Time) -> Cell {
        let fresh = || here.iter().filter_map(|spoken| spoken.fresh);
        let (bad, good): (Vec<&Service>, Vec<&Service>) = fresh().partition(|known| known.outcome().is_bad());
        let votes: Vec<Vote> = here.iter().filter_map(|spoken| self.vote(spoken)).collect();
        Cell {
            provider: provider.to_owned(),
            result: match (bad.as_slice(), good.as_slice()) {
                ([], []) => Outcome::Unread.word(),
                ([], _) => Outcome::Ok.word(),
                (_, []) if bad.iter().all(|known| known.outcome() == Outcome::Missing) => {
                    Outcome::Missing.word()
                }
                (_, []) => Outcome::Nok.word(),
                _ => "MIXED",
            },
            vote: match (votes.contains(&Vote::Bad), votes.contains(&Vote::Good)) {
                (true, true) => Some(Vote::Split),
                (true, false) => Some(Vote::Bad),
                (false, true) => Some(Vote::Good),
                (false, false) => None,
            },
            since: bad
                .iter()
                .map(|known| known.since())
                .min()
                .or(good.iter().map(|known| known.since()).max()),
            age_s: fresh().map(|known| (as_of - known.at()).num_seconds()).min(),
            fresh: fresh().count(),
            voices: here.iter().map(|spoken| self.voice(spoken, as_of)).collect(),
        }
    }

    fn voice(&self, spoken: &Spoken<'_>, as_of: Time) -> Voice {
        let Heard { checker, state, .. } = spoken.heard;
        let known = spoken.known.filter(|_| matches!(state, State::Ok | State::Late));
        Voice {
            checker: checker.name.clone(),
            state,
            result: known.map_or(Outcome::Unread.word(), |known| known.outcome().word()),
            since: known.map(Service::since),
            age_s: known.map(|known| (as_of - known.at()).num_seconds()),
            fresh: spoken.fresh.is_some(),
            vote: self.vote(spoken),
        }
    }
}

/// With fewer fresh providers than the quorum all of them are enough; but one alone cannot confirm itself, unless the
/// quorum is 1.
fn picture(cells: &[Cell], quorum: usize) -> Picture {
    let count = |vote: Vote| cells.iter().filter(|cell| cell.vote == Some(vote)).count();
    let (good, bad, split) = (count(Vote::Good), count(Vote::Bad), count(Vote::Split));
    let fresh = cells.iter().filter(|cell| cell.fresh > 0).count();
    if bad + split == 0 {
        return if fresh > 0 { Picture::Ok } else { Picture::Unconfirmed };
    }
    if bad >= quorum.min(fresh.max(2)) {
        Picture::ServiceDown
    } else if good + split > 0 {
        Picture::SeenDownFrom
    } else {
        Picture::Unconfirmed
    }
}

/// Each once, in the order of their first appearance.
fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

#[cfg(test)]
mod tests;
