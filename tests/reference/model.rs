//! The rules of the domain in the simplest form: at every look everything is computed anew from all mails seen so far.
//!
//! Where the rules leave room (how exactly a clock's usual difference is estimated, say) the model answers with a span or
//! with [`Known::Maybe`], and takes over what the product chose.

use std::collections::{BTreeMap, BTreeSet};

use bresse_watchdog::report::Said;

use crate::world::{Checker, Mail};

/// Mails travel so long when nothing is wrong, at most.
const JITTER: i64 = 5;
/// What is usual is learnt from no more than so many mails.
const LATEST: usize = 8;
/// After so many runs that came straight, a clock that was set is usual again.
const STRAIGHT_RUNS: usize = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Yes,
    No,
    Maybe,
}

impl Known {
    fn of(must: bool, must_not: bool) -> Self {
        match (must, must_not) {
            (true, _) => Self::Yes,
            (_, true) => Self::No,
            _ => Self::Maybe,
        }
    }

    pub(crate) fn allows(self, answer: bool) -> bool {
        self == Self::Maybe || (self == Self::Yes) == answer
    }
}

/// From the earliest to the latest moment that the rules allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Span {
    fn max(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.max(other.to) }
    }

    pub(crate) fn contains(self, at: i64) -> bool {
        (self.from..=self.to).contains(&at)
    }
}

/// What a table may say of one checker.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) heard_at: Option<Span>,
    pub(crate) silent: Known,
    /// The words that fit unless it is silent.
    pub(crate) states: BTreeSet<&'static str>,
    pub(crate) services: BTreeMap<String, ExpectedService>,
}

#[derive(Debug)]
pub(crate) struct ExpectedService {
    pub(crate) results: BTreeSet<&'static str>,
    pub(crate) alarmed: Known,
}

#[derive(Debug, Clone, Copy)]
struct Changed {
    at: i64,
    deadline: i64,
    late_after: i64,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) fleet: Vec<Checker>,
    pub(crate) stepped: Vec<String>,
    blind_after: i64,
    mails: Vec<Mail>,
    receipts: Vec<i64>,
    watched_since: BTreeMap<String, Span>,
    changed: BTreeMap<String, Changed>,
    pub(crate) last_look: Option<i64>,
    /// The first good look after the mailbox was down, for those who were not silent before.
    grace: BTreeMap<String, i64>,
    last_grace: Option<i64>,
    /// The last look before that.
    down_since: i64,
    /// Who was silent after the last look, and from when its age counted.
    pub(crate) silent: BTreeMap<String, Span>,
}

impl Model {
    pub(crate) fn new(fleet: Vec<Checker>, blind_after: i64, stepped: Vec<String>) -> Self {
        Self {
            fleet,
            stepped,
            blind_after,
            mails: vec![],
            receipts: vec![],
            watched_since: BTreeMap::new(),
            changed: BTreeMap::new(),
            last_look: None,
            grace: BTreeMap::new(),
            last_grace: None,
            down_since: 0,
            silent: BTreeMap::new(),
        }
    }

    /// "One removed from the configuration closes its incident. A changed cycle never re-judges the past."
    pub(crate) fn configure(&mut self, fleet: Vec<Checker>, at: i64) {
        for before in &self.fleet {
            match fleet.iter().find(|checker| checker.name == before.name) {
                None => {
                    self.silent.remove(&before.name);
                }
                Some(after) if after != before => {
                    let changed =
                        Changed { at, deadline: before.deadline(), late_after: before.late_after() };
                    self.changed.insert(before.name.clone(), changed);
                }
                Some(_) => {}
            }
        }
        self.fleet = fleet;
    }

    pub(crate) fn see(&mut self, mail: &Mail) {
        self.receipts.push(mail.received);
        let known = self.fleet.iter().any(|checker| checker.name == mail.checker);
        if mail.heard && known {
            self.mails.push(mail.clone());
        }
    }

    /// Whether the mailbox itself was down before the look at `at`: "if mails were received during the blind span, only the
    /// watchdog was cut off: judge. If none were, the mailbox was down: every checker gets one more deadline."
    pub(crate) fn was_down(&self, at: i64, first_failure: Option<i64>) -> Known {
        let first_failure = first_failure.unwrap_or(i64::MIN);
        let Some(before) = self.last_look.filter(|before| at - before > self.blind_after) else {
            return Known::No;
        };
        let within: Vec<i64> = self.receipts.iter().copied().filter(|r| *r > before && *r <= at).collect();
        // A mail from before the first failure, or one that a revived mailbox took, says little about the time between.
        let inside = within.iter().any(|r| *r > before.max(first_failure) && *r < at - self.blind_after);
        // "One more deadline", not one after each of many spans without a mail between them.
        let given =
            self.last_grace.is_some_and(|grace| !self.receipts.iter().any(|receipt| *receipt > grace));
        Known::of(within.is_empty() && !given, inside)
    }

    /// The grace after that look was given, if it was, to nobody: what it was for cannot be seen.
    pub(crate) fn perhaps_graced(&mut self, at: i64) {
        self.last_grace = Some(at);
    }

    pub(crate) fn looked(&mut self, at: i64, took: i64, was_down: bool) {
        let before = self.last_look.replace(at);
        if was_down {
            self.down_since = before.unwrap_or(at);
            self.last_grace = Some(at);
            let excused = self.fleet.iter().filter(|checker| !self.silent.contains_key(&checker.name));
            self.grace.extend(excused.map(|checker| (checker.name.clone(), at)));
        }
        for checker in &self.fleet {
            let now = Span { from: at, to: at + took };
            self.watched_since.entry(checker.name.clone()).or_insert(now);
        }
    }

    /// Whether a clock that was set is no riddle any more: every mail of the newest runs came straight, with one difference.
    pub(crate) fn clock_is_clear(&self, checker: &Checker) -> bool {
        if !self.stepped.contains(&checker.name) {
            return true;
        }
        let mut mails: Vec<&Mail> = self.mails.iter().filter(|mail| mail.checker == checker.name).collect();
        mails.sort_by_key(|mail| std::cmp::Reverse((mail.run, mail.left)));
        let difference = |mail: &Mail| mail.sent - mail.left;
        let newest = mails.first().map(|mail| difference(mail));
        let straight =
            |mail: &&&Mail| Some(difference(mail)) == newest && mail.received - mail.left <= JITTER;
        let runs: BTreeSet<i64> = mails.iter().take_while(straight).map(|mail| mail.run).collect();
        runs.len() >= STRAIGHT_RUNS
    }

    /// Whatever its clock shows, nobody has lived after his last mail was received.
    pub(crate) fn must_be_silent(&self, checker: &Checker) -> bool {
        let at = self.last_look.expect("a look");
        let mails = self.mails.iter().filter(|mail| mail.checker == checker.name);
        let received = mails.map(|mail| mail.received).max().map(|at| Span { from: at, to: at });
        at > self.silent_after(checker, self.base(checker, received)).to
    }

    pub(crate) fn expected(&self, checker: &Checker) -> Expected {
        let at = self.last_look.expect("a look");
        let mails: Vec<&Mail> = self.mails.iter().filter(|mail| mail.checker == checker.name).collect();
        let heard_at = mails.iter().map(|mail| heard_at(mail, &mails, checker.margin)).reduce(Span::max);
        let base = self.base(checker, heard_at);
        Expected {
            heard_at,
            silent: self.is_silent(checker, heard_at, base, at),
            states: self.states(checker, heard_at, base, at),
            services: self.services(checker, &mails, at),
        }
    }

    /// "Age counts from heard_at"; for one never seen, from when it was first watched for.
    pub(crate) fn base(&self, checker: &Checker, heard_at: Option<Span>) -> Span {
        let base = heard_at.unwrap_or_else(|| self.watched_since[&checker.name]);
        let grace = self.grace.get(&checker.name);
        grace.map_or(base, |grace| base.max(Span { from: *grace, to: *grace }))
    }

    /// The last moment at which one last heard at `base` is surely not, and may perhaps not be, silent.
    fn silent_after(&self, checker: &Checker, base: Span) -> Span {
        let deadline = checker.deadline();
        let plain = Span { from: base.from + deadline, to: base.to + deadline };
        let Some(changed) = self.changed.get(&checker.name).filter(|changed| base.from < changed.at) else {
            return plain;
        };
        let from_change = changed.at + deadline;
        let longest = deadline.max(changed.deadline);
        Span { from: (base.from + longest).min(from_change), to: (base.to + longest).max(from_change) }
    }

    /// "Silent when the age of what was last heard exceeds the deadline", until a newer mail proves that it lives.
    fn is_silent(&self, checker: &Checker, heard_at: Option<Span>, base: Span, at: i64) -> Known {
        let Some(counted_from) = self.silent.get(&checker.name) else {
            let after = self.silent_after(checker, base);
            return Known::of(at > after.to, at <= after.from);
        };
        let Some(heard_at) = heard_at else { return Known::Yes };
        let after = self.silent_after(checker, heard_at);
        let newer = heard_at.from > counted_from.to && at <= after.from;
        let nothing_newer = heard_at.to <= counted_from.from || at > after.to;
        Known::of(nothing_newer, newer)
    }

    fn states(
        &self,
        checker: &Checker,
        heard_at: Option<Span>,
        base: Span,
        at: i64,
    ) -> BTreeSet<&'static str> {
        if heard_at.is_none() {
            return ["waiting"].into();
        }
        let changed = self.changed.get(&checker.name).map(|changed| changed.late_after);
        let late_after: Vec<i64> = changed.into_iter().chain([checker.late_after()]).collect();
        let mut states = BTreeSet::new();
        if late_after.iter().any(|late_after| at - base.to <= *late_after) {
            states.insert("ok");
        }
        if late_after.iter().any(|late_after| at + 3 - base.from > *late_after) {
            states.insert("late");
        }
        states
    }

    fn services(&self, checker: &Checker, mails: &[&Mail], at: i64) -> BTreeMap<String, ExpectedService> {
        let runs = runs(mails, checker);
        let judged = |(service, _): &(String, i64)| {
            let mut ends = BTreeSet::from([Streak::default()]);
            for run in &runs {
                let told = run.tells(
                    service,
                    checker,
                    at,
                    self.grace.get(&checker.name).map(|up| (self.down_since, *up)),
                );
                ends = ends.iter().flat_map(|end| told.iter().map(|told| end.then(*told, checker))).collect();
            }
            let alarmed = ends.iter().filter(|end| end.alarmed).count();
            let results = ends.iter().map(|end| end.word()).collect();
            let alarmed = Known::of(alarmed == ends.len(), alarmed == 0);
            (service.clone(), ExpectedService { results, alarmed })
        };
        checker.tests.iter().map(judged).collect()
    }
}

/// "heard_at = received, except for a mail that was held on the way: then the moment it left the checker. Held: the chain
/// spans more than the margin, or received − sent exceeds that checker's usual difference (known from three mails on) by
/// more than the margin."
fn heard_at(mail: &Mail, all: &[&Mail], margin: i64) -> Span {
    let delay = mail.received - mail.left;
    let received = Span { from: mail.received, to: mail.received };
    if delay <= margin {
        return received;
    }
    let left = Span { from: mail.left - JITTER, to: mail.left + JITTER };
    if mail.chain {
        // A chain that is always longer than the margin may be a wrong clock on the way.
        let mut latest: Vec<&&Mail> = all.iter().collect();
        latest.sort_by_key(|mail| std::cmp::Reverse(mail.received));
        let mut latest = latest.into_iter().take(LATEST);
        let always = all.len() >= 3 && latest.all(|one| one.chain && one.received - one.left > margin);
        return Span { to: if always { mail.received } else { left.to }, ..left };
    }
    // Several mails of one run tell no more of what is usual than one.
    let all_runs: BTreeSet<i64> = all.iter().map(|one| one.run).collect();
    let held = all.iter().filter(|one| one.received - one.left > JITTER).count();
    if all.len() < 3 {
        received
    } else if all_runs.len() > 3 && held * 2 < all.len() && delay > margin + JITTER {
        left
    } else {
        Span { from: left.from, to: mail.received }
    }
}

/// All that came of one run.
struct Run {
    /// When it truly began.
    began: i64,
    dryrun: bool,
    whole: bool,
    said: BTreeMap<String, Said>,
    first_mail: Span,
}

/// "Results count in the order of the runs, not of arrival."
fn runs(mails: &[&Mail], checker: &Checker) -> Vec<Run> {
    let mut runs: BTreeMap<i64, Run> = BTreeMap::new();
    for mail in mails {
        // A queue that is being released still holds the rest of the run.
        let heard_at = Span { to: mail.received, ..heard_at(mail, mails, checker.margin) };
        let run = runs.entry(mail.run).or_insert_with(|| Run {
            began: mail.run,
            dryrun: false,
            whole: false,
            said: BTreeMap::new(),
            first_mail: heard_at,
        });
        run.dryrun |= mail.dryrun;
        run.whole |= mail.dryrun && !mail.results.is_empty();
        run.first_mail.from = run.first_mail.from.min(heard_at.from);
        run.first_mail.to = run.first_mail.to.min(heard_at.to);
        for (service, said) in &mail.results {
            run.said.entry(service.clone()).and_modify(|before| *before = before.and(*said)).or_insert(*said);
        }
    }
    runs.into_values().collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Ok,
    Nok,
    Missing,
}

impl Run {
    /// What this run may be taken to tell about a service at a look. More than one answer where the rules leave it open.
    fn tells(&self, service: &str, checker: &Checker, at: i64, grace: Option<(i64, i64)>) -> Vec<Told> {
        let said = self.said.get(service).map(|said| match said {
            Said::Ok => Told::Ok,
            Said::Nok | Said::Both => Told::Nok,
        });
        match said {
            Some(told) if self.dryrun => vec![told],
            // Its DRYRUN did not come: it may be taken for a part of the run before.
            Some(told) => vec![Told::Nothing, told, Told::Nok],
            None if self.whole => vec![Told::Missing],
            None if !self.dryrun => vec![Told::Nothing, Told::Missing],
            None => {
                let open = checker.timeouts() + checker.margin;
                let over = Span { from: self.first_mail.from + open, to: self.first_mail.to + open };
                // After the mailbox was down, "the senders' queues are still full".
                let excused =
                    |over: i64, began: i64| grace.is_some_and(|(down, up)| over >= down && began <= up);
                let until = grace.map_or(0, |(_, up)| up + checker.deadline());
                let surely = excused(over.from, self.first_mail.to);
                let from = if surely { over.from.max(until) } else { over.from };
                // What a run sent while the mailbox was down waits in a queue, and be its first mail the last in it.
                let perhaps = excused(over.to, self.began.min(self.first_mail.from) - JITTER);
                let to = if perhaps { over.to.max(until) } else { over.to };
                match (at < from, at > to) {
                    (true, _) => vec![Told::Nothing],
                    (_, true) => vec![Told::Missing],
                    _ => vec![Told::Nothing, Told::Missing],
                }
            }
        }
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Streak {
    newest: Option<Told>,
    bad: u32,
    alarmed: bool,
}

impl Streak {
    fn then(self, told: Told, checker: &Checker) -> Self {
        match told {
            Told::Nothing => self,
            Told::Ok => Self { newest: Some(told), bad: 0, alarmed: false },
            Told::Nok | Told::Missing => {
                let bad = (self.bad + 1).min(checker.nok_after);
                Self { newest: Some(told), bad, alarmed: bad >= checker.nok_after }
            }
        }
    }

    fn word(self) -> &'static str {
        match self.newest {
            None | Some(Told::Nothing) => "UNKNOWN",
            Some(Told::Ok) => "OK",
            Some(Told::Nok) => "NOK",
            Some(Told::Missing) => "MISSING",
        }
    }
}
