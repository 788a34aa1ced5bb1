//! Random short worlds: who checks what, which mails come when, and when the watchdog looks. All times are seconds.

use std::collections::BTreeMap;
use std::fmt;

use bresse_watchdog::report::Said;
use fastrand::Rng;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checker {
    pub(crate) name: String,
    pub(crate) provider: String,
    pub(crate) tests: Vec<(String, i64)>,
    pub(crate) cycle: i64,
    pub(crate) margin: i64,
    pub(crate) missed_cycles: u32,
    pub(crate) nok_after: u32,
}

impl Checker {
    pub(crate) fn timeouts(&self) -> i64 {
        self.tests.iter().map(|(_, timeout)| timeout).sum()
    }

    /// From here on only the mail path can excuse it.
    pub(crate) fn late_after(&self) -> i64 {
        self.cycle * i64::from(self.missed_cycles) + self.timeouts()
    }

    pub(crate) fn deadline(&self) -> i64 {
        self.late_after() + self.margin
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) checker: String,
    /// When its run truly began, which numbers the run.
    pub(crate) run: i64,
    /// When it truly left.
    pub(crate) left: i64,
    /// What the checker's clock said then.
    pub(crate) sent: i64,
    pub(crate) received: i64,
    /// The relays wrote down when they had it.
    pub(crate) chain: bool,
    pub(crate) dryrun: bool,
    pub(crate) results: BTreeMap<String, Said>,
    /// False for an automatic reply that quotes tokens.
    pub(crate) heard: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Event {
    Arrives(Mail),
    /// A complete look that began at `at` and ended `took` later.
    Look {
        at: i64,
        took: i64,
    },
    Fails {
        at: i64,
    },
    Restart {
        at: i64,
    },
    Configure {
        at: i64,
        fleet: Vec<Checker>,
    },
}

impl Event {
    pub(crate) fn at(&self) -> i64 {
        match self {
            Self::Arrives(mail) => mail.received,
            Self::Look { at, .. }
            | Self::Fails { at }
            | Self::Restart { at }
            | Self::Configure { at, .. } => *at,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) fleet: Vec<Checker>,
    pub(crate) blind_after: i64,
    /// In the order of time.
    pub(crate) events: Vec<Event>,
    /// Checkers whose clock was set while they were watched: no date of theirs can be trusted.
    pub(crate) stepped: Vec<String>,
}

const SERVICES: [&str; 4] = ["SQL", "SHOP", "Boutique en ligne", "DNS"];
const PROVIDERS: [&str; 3] = ["free", "orange", "sfr"];

fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(0..100) < percent
}

fn checker(rng: &mut Rng, number: usize, cycle: i64) -> Checker {
    let cycle = if chance(rng, 70) { cycle } else { rng.i64(60..=600) };
    let mut names = SERVICES.to_vec();
    rng.shuffle(&mut names);
    names.truncate(rng.usize(0..=3));
    let tests = names.iter().map(|name| ((*name).to_owned(), rng.i64(2..=cycle / 8))).collect();
    Checker {
        name: format!("bresse{number}"),
        provider: PROVIDERS[rng.usize(0..3)].into(),
        tests,
        cycle,
        margin: [20, 60, 60, 120][rng.usize(0..4)],
        missed_cycles: if chance(rng, 80) { 1 } else { 2 },
        nok_after: if chance(rng, 80) { 1 } else { rng.u32(2..=3) },
    }
}

/// A span in which the watchdog cannot read.
struct Outage {
    from: i64,
    to: i64,
    /// The mailbox itself was down until then: what was sent to it comes later.
    down_until: Option<i64>,
}

fn outages(rng: &mut Rng, horizon: i64) -> Vec<Outage> {
    let mut from = rng.i64(100..horizon.max(101));
    let mut all = vec![];
    while from < horizon && chance(rng, 60) {
        let to = from + rng.i64(60..1500);
        let down_until = chance(rng, 50).then(|| to - rng.i64(0..40));
        all.push(Outage { from, to, down_until });
        from = to + rng.i64(60..1500);
    }
    all
}

/// How one checker lives: when it writes, what its clock shows, how its mails travel.
struct Life {
    first: i64,
    last: i64,
    /// Dead in between.
    dead: (i64, i64),
    whole_runs: bool,
    chain: bool,
    offset: i64,
    step: Option<(i64, i64)>,
    /// Mails that leave in this span wait until its end.
    queue: Option<(i64, i64)>,
    /// In this span the service of this place fails.
    failing: (i64, i64, usize),
}

impl Life {
    fn new(rng: &mut Rng, checker: &Checker, horizon: i64) -> Self {
        let somewhere = |rng: &mut Rng| rng.i64(-checker.cycle..horizon);
        let death = somewhere(rng);
        let failing = somewhere(rng);
        let first = match rng.u32(0..10) {
            0 => horizon + 1,
            1 => somewhere(rng),
            _ => -rng.i64(1..8) * checker.cycle + rng.i64(0..checker.cycle),
        };
        let offset = match rng.u32(0..4) {
            0 => rng.i64(-4..=4) * 3600,
            1 => rng.i64(-200..=200),
            _ => 0,
        };
        Self {
            first,
            last: if chance(rng, 25) { somewhere(rng) } else { horizon },
            dead: if chance(rng, 35) { (death, death + rng.i64(1..10) * checker.cycle) } else { (0, 0) },
            whole_runs: chance(rng, 55),
            chain: chance(rng, 60),
            offset,
            step: chance(rng, 8)
                .then(|| (somewhere(rng), [-7200, -3600, -120, 120, 3600, 7200][rng.usize(0..6)])),
            queue: chance(rng, 30).then(|| {
                let from = somewhere(rng);
                (from, from + rng.i64(30..6 * checker.cycle))
            }),
            failing: (failing, failing + rng.i64(1..6) * checker.cycle, rng.usize(0..4)),
        }
    }

    fn alive(&self, at: i64) -> bool {
        !(self.dead.0 <= at && at < self.dead.1)
    }

    fn result(&self, rng: &mut Rng, at: i64, place: usize) -> Option<Said> {
        let (from, to, failing) = self.failing;
        match rng.u32(0..100) {
            0..3 => None,
            3..5 => Some(Said::Both),
            5..7 => Some(Said::Nok),
            _ if place == failing && from <= at && at < to => Some(Said::Nok),
            _ => Some(Said::Ok),
        }
    }

    fn mail(&self, rng: &mut Rng, checker: &Checker, run: i64, left: i64) -> Mail {
        let delay = match rng.u32(0..100) {
            0..6 => rng.i64(0..=checker.margin),
            6..8 => checker.margin + 1,
            8..12 => rng.i64(checker.margin + 10..checker.margin * 8),
            _ => rng.i64(0..=4),
        };
        let stepped = self.step.filter(|(at, _)| *at <= left).map_or(0, |(_, by)| by);
        let released =
            self.queue.filter(|(from, to)| (*from..*to).contains(&left)).map_or(left, |(_, to)| to);
        Mail {
            checker: checker.name.clone(),
            run,
            left,
            sent: left + self.offset + stepped,
            received: released + delay,
            chain: self.chain,
            dryrun: false,
            results: BTreeMap::new(),
            heard: true,
        }
    }

    fn run(&self, rng: &mut Rng, checker: &Checker, start: i64) -> Vec<Mail> {
        let mut now = start;
        let mut dryrun = self.mail(rng, checker, start, start);
        dryrun.dryrun = true;
        let mut mails = vec![];
        for (place, (service, timeout)) in checker.tests.iter().enumerate() {
            now += rng.i64(1..=*timeout);
            let Some(said) = self.result(rng, start, place) else { continue };
            if self.whole_runs {
                dryrun.results.insert(service.clone(), said);
                continue;
            }
            let mut mail = self.mail(rng, checker, start, now);
            mail.results.insert(service.clone(), said);
            mails.push(mail);
        }
        mails.push(dryrun);
        mails
    }

    fn mails(&self, rng: &mut Rng, checker: &Checker, horizon: i64) -> Vec<Mail> {
        let mut all = vec![];
        let mut start = self.first;
        while start < self.last.min(horizon) {
            let run = if self.alive(start) { self.run(rng, checker, start) } else { vec![] };
            for mail in run {
                match rng.u32(0..100) {
                    // Lost.
                    0..2 => continue,
                    // Delivered twice.
                    2..5 => all.push(Mail { received: mail.received + rng.i64(0..40), ..mail.clone() }),
                    // Somebody's out-of-office notice quotes an alarm.
                    5..7 => {
                        let results =
                            checker.tests.iter().map(|(name, _)| (name.clone(), Said::Nok)).collect();
                        all.push(Mail { heard: false, results, ..mail.clone() });
                    }
                    _ => {}
                }
                all.push(mail);
            }
            start += checker.cycle + rng.i64(-2..=2);
        }
        all
    }
}

fn looks(rng: &mut Rng, horizon: i64, outages: &[Outage]) -> Vec<Event> {
    let mut events = vec![];
    let mut at = 0;
    while at < horizon {
        match outages.iter().find(|outage| outage.from <= at && at < outage.to) {
            Some(_) => events.push(Event::Fails { at }),
            None => events.push(Event::Look { at, took: rng.i64(0..=2) }),
        }
        at += if chance(rng, 70) { rng.i64(10..70) } else { rng.i64(1..160) };
    }
    events
}

fn reconfigured(rng: &mut Rng, fleet: &[Checker]) -> Vec<Checker> {
    let mut fleet = fleet.to_vec();
    let chosen = rng.usize(0..fleet.len());
    match rng.u32(0..3) {
        0 if fleet.len() > 1 => {
            fleet.remove(chosen);
        }
        1 => fleet.push(checker(rng, 9, 120)),
        _ => fleet[chosen].cycle = rng.i64(60..=600),
    }
    fleet
}

impl World {
    pub(crate) fn random(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let cycle = [60, 90, 120, 300, 600][rng.usize(0..5)];
        let horizon = cycle * rng.i64(4..16);
        let fleet: Vec<Checker> = (1..=rng.usize(1..=5)).map(|number| checker(rng, number, cycle)).collect();
        let outages = outages(rng, horizon);
        let mut events = looks(rng, horizon, &outages);
        for _ in 0..rng.usize(0..4) {
            events.push(Event::Restart { at: rng.i64(0..horizon) });
        }
        let mut writers = fleet.clone();
        if chance(rng, 25) {
            let fleet = reconfigured(rng, &fleet);
            writers.extend(fleet.iter().find(|checker| checker.name == "bresse9").cloned());
            events.push(Event::Configure { at: rng.i64(0..horizon), fleet });
        }
        let mut stepped = vec![];
        for checker in &writers {
            let life = Life::new(rng, checker, horizon);
            if life.step.is_some() {
                stepped.push(checker.name.clone());
            }
            for mut mail in life.mails(rng, checker, horizon) {
                for outage in &outages {
                    if let Some(up) =
                        outage.down_until.filter(|up| (outage.from..*up).contains(&mail.received))
                    {
                        mail.received = up + rng.i64(0..60);
                    }
                }
                events.push(Event::Arrives(mail));
            }
        }
        // What arrives in the second of a look is found by it.
        events.sort_by_key(|event| (event.at(), !matches!(event, Event::Arrives(_))));
        Self { fleet, blind_after: [120, 180][rng.usize(0..2)], events, stepped }
    }
}

impl fmt::Display for World {
    /// The story, one line per event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "blind after {} s; clocks set: {:?}", self.blind_after, self.stepped)?;
        for checker in &self.fleet {
            writeln!(
                f,
                "{checker:?} late after {} silent after {}",
                checker.late_after(),
                checker.deadline()
            )?;
        }
        for event in &self.events {
            match event {
                Event::Arrives(mail) => {
                    let dryrun = if mail.dryrun { "DRYRUN " } else { "" };
                    let kind = if mail.heard { "" } else { " (auto-reply)" };
                    writeln!(
                        f,
                        "{:>6} mail of {} run {} left {} sent {} chain {}: {dryrun}{:?}{kind}",
                        mail.received, mail.checker, mail.run, mail.left, mail.sent, mail.chain, mail.results
                    )?;
                }
                other => writeln!(f, "{:>6} {other:?}", other.at())?,
            }
        }
        Ok(())
    }
}
