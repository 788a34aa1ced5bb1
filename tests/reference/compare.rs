//! What must hold after every event, each with the sentence it comes from, and what must be the same however the mails
//! are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bresse_watchdog::incident::{Member, Subject};
use bresse_watchdog::verdict::State;
use bresse_watchdog::view::{CheckerLine, LastSeen};
use chrono::TimeDelta;

use crate::model::{Expected, Known, Span};
use crate::stage::{Showing, Stage, Verdict, at, second};

/// What stands after a look: the open alarms, and the table.
#[derive(Debug)]
pub(crate) struct Standing {
    at: i64,
    tokens: BTreeSet<String>,
    table: Vec<String>,
    /// Which of a run's mails came first, whose silence was noticed first, and what one of the silent said of a service before
    /// that, is another matter when history is read backwards.
    forwards: Option<Forwards>,
}

#[derive(Debug, PartialEq, Eq)]
struct Forwards {
    silences: BTreeSet<String>,
    since: Vec<Vec<Option<i64>>>,
}

impl Standing {
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let forwards = self.forwards.as_ref().zip(other.forwards.as_ref());
        (self.at, &self.tokens, &self.table) == (other.at, &other.tokens, &other.table)
            && forwards.is_none_or(|(one, two)| one == two)
    }
}

impl Stage<'_> {
    /// "Blind is always said": one alarm when the mailbox was not read for `blind_after`, and none before.
    pub(crate) fn blindness_is_said(&self, now: i64) -> Verdict {
        let Some(last_look) = self.model.last_look else { return Ok(()) };
        let said = self.open.keys().any(|(_, token)| token == "MONITOR_Mailbox");
        let after = self.world.blind_after;
        if said && now < last_look + after {
            return Err("blindness is said too early".into());
        }
        if !said && now > last_look.max(self.trying_since) + after {
            return Err("blindness is not said".into());
        }
        Ok(())
    }

    /// "What was silent stays silent while blind", and an old OK is never shown as OK.
    pub(crate) fn nothing_is_fine_while_blind(&self, now: i64) -> Verdict {
        let Some(last_look) = self.model.last_look else { return Ok(()) };
        let blind = now - last_look > self.world.blind_after;
        for line in LastSeen::of(&self.engine, at(now)).checkers {
            let was_silent = self.silent_since.contains_key(&line.name);
            if was_silent != (line.state == State::Silent) {
                return Err(format!("{} is {} between two looks", line.name, line.state.word()));
            }
            if blind && [State::Ok, State::Late].contains(&line.state) {
                return Err(format!("{} is {} while blind", line.name, line.state.word()));
            }
            if !blind && line.state == State::Blind {
                return Err(format!("{} is blind too early", line.name));
            }
            if blind && line.services.iter().any(|service| service.result != "UNKNOWN") {
                return Err(format!("{} shows an old result while blind", line.name));
            }
        }
        Ok(())
    }

    /// "If none were received, the mailbox was down: every checker gets one more deadline from the first good look."
    fn grace_is_right(&mut self, start: i64, took: i64) -> Verdict {
        let was_down = self.model.was_down(start, self.failing_since.take());
        let graced =
            self.engine.facts().values().any(|facts| facts.grace_from.is_some_and(|g| g >= at(start)));
        // Who is silent already gets no grace, and who is new needs none.
        let anybody = self.engine.facts().values().any(|facts| {
            facts.silent.is_none_or(|silent| silent.judged >= at(start))
                && facts.watched_since.is_some_and(|since| since < at(start))
        });
        if anybody && !was_down.allows(graced) {
            return Err(format!("the mailbox was down: expected {was_down:?}, judged {graced}"));
        }
        let excusable = self.engine.facts().iter().any(|(name, facts)| {
            !self.silent_since.contains_key(name)
                && facts.watched_since.is_some_and(|since| since < at(start))
        });
        self.model.looked(start, took, graced);
        if !graced && !excusable && was_down.allows(true) {
            self.model.perhaps_graced(start);
        }
        Ok(())
    }

    pub(crate) fn compare(&mut self, start: i64, took: i64, were_open: &BTreeSet<String>) -> Verdict {
        let end = start + took;
        self.grace_is_right(start, took)?;
        let mut services: BTreeMap<String, Vec<Known>> = BTreeMap::new();
        let table = LastSeen::of(&self.engine, at(end)).checkers;
        for checker in self.model.fleet.clone() {
            let line = table.iter().find(|line| line.name == checker.name);
            let line = line.ok_or_else(|| format!("{} has no line", checker.name))?;
            let silent = line.state == State::Silent;
            let exact = self.model.clock_is_clear(&checker);
            if !silent && self.model.must_be_silent(&checker) {
                return Err(format!("{} is {} long after its last mail", checker.name, line.state.word()));
            }
            let expected = self.model.expected(&checker);
            if exact {
                line_fits(line, &expected, silent)?;
            }
            for (service, expected) in &expected.services {
                let witness = (checker.name.clone(), service.clone());
                let held = were_open.contains(service) && self.witnesses.contains(&witness);
                if !silent {
                    // Where the rules leave it open, what the product chose is taken over.
                    let is_open = self.open.keys().any(|(_, token)| token == service);
                    match expected.alarmed {
                        Known::Yes => self.witnesses.insert(witness),
                        Known::Maybe if is_open => self.witnesses.insert(witness),
                        // It was bad often enough, and a late mail made it less often: it is not well for that.
                        Known::No if held && !shows_ok(line, service) => false,
                        Known::Maybe | Known::No => self.witnesses.remove(&witness),
                    };
                }
                let known = match (exact, silent, expected.alarmed) {
                    (false, ..) => Known::Maybe,
                    (true, false, Known::No) if held && !shows_ok(line, service) => Known::Maybe,
                    (true, false, known) => known,
                    (true, true, Known::Yes) if held => Known::Yes,
                    (true, true, Known::No) if !held => Known::No,
                    (true, true, _) => Known::Maybe,
                };
                services.entry(service.clone()).or_default().push(known);
            }
            let heard_at = line.heard_at.map(second).map(|at| Span { from: at, to: at });
            if !silent {
                self.model.silent.remove(&checker.name);
                self.silent_since.remove(&checker.name);
            } else if !self.model.silent.contains_key(&checker.name) {
                let base = self.model.base(&checker, heard_at);
                self.model.silent.insert(checker.name.clone(), base);
                self.silent_since.insert(checker.name.clone(), start);
            }
        }
        self.services_are_alarmed(&services)?;
        self.silences_are_alarmed(start)?;
        self.own_alarms_end_with_their_cause()?;
        self.silences_are_grouped(start)?;
        self.the_next_deadline_is_watched(end)?;
        if self.open.keys().any(|(_, token)| token == "MONITOR_Mailbox") {
            return Err("blindness is not recovered by a good look".into());
        }
        Ok(())
    }

    /// "At a deadline the mailbox is looked at once more before anything is said": the engine asks for it in time.
    fn the_next_deadline_is_watched(&self, now: i64) -> Verdict {
        let verdicts = self.model.fleet.iter().filter_map(|one| self.engine.verdict(&one.name, at(now)));
        let next = verdicts
            .filter(|verdict| verdict.state != State::Silent)
            .filter_map(|verdict| verdict.silent_after)
            .filter(|deadline| *deadline > at(now))
            .min();
        let wake = self.engine.next_wake();
        match next {
            Some(deadline) if wake.is_none_or(|wake| wake > deadline + TimeDelta::seconds(1)) => {
                Err(format!("a deadline at {} and no wake before {wake:?}", second(deadline)))
            }
            _ => Ok(()),
        }
    }

    /// "No alarm without its evidence", and no evidence without its alarm.
    fn services_are_alarmed(&self, expected: &BTreeMap<String, Vec<Known>>) -> Verdict {
        let open: Vec<&String> = self.open.keys().map(|(_, token)| token).collect();
        for (service, knowns) in expected {
            let is_open = open.iter().filter(|token| **token == service).count();
            if is_open > 1 {
                return Err(format!("{service} is open in two incidents"));
            }
            let must = knowns.contains(&Known::Yes);
            let must_not = knowns.iter().all(|known| *known == Known::No);
            if must && is_open == 0 {
                return Err(format!("{service} is bad and not alarmed"));
            }
            if must_not && is_open > 0 {
                return Err(format!("{service} is alarmed without evidence"));
            }
        }
        Ok(())
    }

    /// Every silence is in one open incident with an alarm; every open incident of silence has somebody silent.
    fn silences_are_alarmed(&self, now: i64) -> Verdict {
        let mut covered: BTreeMap<String, u32> = BTreeMap::new();
        let mut tokens = BTreeSet::new();
        let incidents = self.engine.open_incidents().filter(|one| one.subject == Subject::Silence);
        for incident in incidents {
            let id = incident.id();
            let alarms: Vec<(&String, &String)> = self
                .open
                .iter()
                .filter(|((of, _), _)| *of == id)
                .map(|((_, token), text)| (token, text))
                .collect();
            if alarms.is_empty() {
                return Err(format!("an open incident without alarm: {incident:?}"));
            }
            for (token, _) in &alarms {
                if !tokens.insert((*token).clone()) {
                    return Err(format!("{token} is open in two incidents at once"));
                }
            }
            let silent =
                incident.members.iter().filter(|(_, member)| member.end.is_none()).map(|(name, _)| name);
            let silent: Vec<&String> = silent.filter(|name| self.silent_since.contains_key(*name)).collect();
            if silent.is_empty() {
                return Err(format!("an open incident and nobody silent: {incident:?}"));
            }
            for name in silent {
                *covered.entry(name.clone()).or_default() += 1;
                let named = alarms.iter().any(|(_, text)| text.contains(name.as_str()));
                let patience = self.model.fleet.iter().map(|one| one.cycle + one.margin).max().unwrap_or(0);
                if !named && now > self.silent_since[name] + patience {
                    return Err(format!("{name} is silent since {} and unnamed", self.silent_since[name]));
                }
            }
        }
        for name in self.silent_since.keys() {
            if covered.get(name) != Some(&1) {
                return Err(format!("{name} is silent, in {:?} incidents", covered.get(name)));
            }
        }
        Ok(())
    }

    /// "Every announced TOKEN gets its `.OK`" when its checker is heard again, and none before.
    fn own_alarms_end_with_their_cause(&mut self) -> Verdict {
        let recovered = std::mem::take(&mut self.recovered);
        for name in self.model.fleet.iter().map(|checker| &checker.name) {
            let own = format!("{name}_Checker");
            let silent = self.silent_since.contains_key(name);
            if !silent && self.open.keys().any(|(_, token)| *token == own) {
                return Err(format!("{name} is heard again and {own} stands"));
            }
            if silent && recovered.contains(&own) {
                return Err(format!("{name} is silent and {own} was recovered"));
            }
        }
        Ok(())
    }

    /// "Silences whose heard_at lie within one cycle + margin of each other are one incident."
    fn silences_are_grouped(&self, now: i64) -> Verdict {
        let window = |name: &str| {
            let checker = self.model.fleet.iter().find(|checker| checker.name == name);
            checker.map_or(0, |checker| checker.cycle + checker.margin)
        };
        let incidents: Vec<_> =
            self.engine.open_incidents().filter(|one| one.subject == Subject::Silence).collect();
        let new = incidents.iter().filter(|incident| second(incident.opened) >= now && incident.alarms == 1);
        let members: Vec<_> = new
            .flat_map(|incident| {
                incident.members.iter().map(|(name, member)| (incident.number, name, member))
            })
            .filter(|(_, name, _)| self.silent_since.get(*name) == Some(&now))
            .collect();
        for (one, name, member) in &members {
            for (two, other, its) in &members {
                let apart = (member.since - its.since).num_seconds().abs();
                if one != two && apart <= window(name).min(window(other)) {
                    return Err(format!("{name} and {other} fell silent together, in two incidents"));
                }
            }
        }
        for incident in incidents {
            for (name, member) in &incident.members {
                let near = |(other, its): (&String, &Member)| {
                    let apart = (member.since - its.since).num_seconds().abs();
                    other != name && apart <= window(name).max(window(other))
                };
                let configured = incident.members.keys().all(|name| window(name) > 0);
                // Through whom they belonged together may be an incident of his own when others have recovered.
                let all_stay =
                    !incident.apart && incident.members.values().all(|member| member.end.is_none());
                let several = incident.members.len() > 1;
                if configured && all_stay && several && !incident.members.iter().any(near) {
                    return Err(format!("{name} is in an incident with others: {incident:?}"));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn standing(&self, now: i64) -> Standing {
        let table = LastSeen::of(&self.engine, at(now)).checkers;
        let line = |line: &CheckerLine| {
            let mut text =
                format!("{} {} heard {:?}", line.name, line.state.word(), line.heard_at.map(second));
            for service in &line.services {
                let _ = write!(text, " {}={}", service.name, service.result);
            }
            text
        };
        let since =
            |line: &CheckerLine| line.services.iter().map(|service| service.since.map(second)).collect();
        let services = |silent: bool| -> BTreeSet<&str> {
            let lines = table.iter().filter(|line| (line.state == State::Silent) == silent);
            lines.flat_map(|line| line.services.iter().map(|service| service.name.as_str())).collect()
        };
        let services: BTreeSet<&str> = services(false).difference(&services(true)).copied().collect();
        let open = self.open.keys().map(|(_, token)| token.clone());
        let (tokens, silences) = open.partition(|token| services.contains(token.as_str()));
        let forwards = Forwards { silences, since: table.iter().map(since).collect() };
        Standing {
            at: now,
            tokens,
            table: table.iter().map(line).collect(),
            forwards: (self.showing != Showing::NewestFirst).then_some(forwards),
        }
    }
}

fn shows_ok(line: &CheckerLine, service: &str) -> bool {
    line.services.iter().any(|one| one.name == service && one.result == "OK")
}

fn line_fits(line: &CheckerLine, expected: &Expected, silent: bool) -> Verdict {
    let name = &line.name;
    let heard_at = line.heard_at.map(second);
    let fits = match (heard_at, expected.heard_at) {
        (None, None) => true,
        (Some(at), Some(span)) => span.contains(at),
        _ => false,
    };
    if !fits {
        return Err(format!("{name} heard at {heard_at:?}, expected {:?}", expected.heard_at));
    }
    if !expected.silent.allows(silent) {
        return Err(format!("{name} is {}, silent is {:?}", line.state.word(), expected.silent));
    }
    if !silent && !expected.states.contains(line.state.word()) {
        return Err(format!("{name} is {}, expected {:?}", line.state.word(), expected.states));
    }
    for service in &line.services {
        let unknown = silent || line.state == State::Waiting;
        let fits = match unknown {
            true => service.result == "UNKNOWN",
            false => expected.services[&service.name].results.contains(service.result),
        };
        if !fits {
            let expected = &expected.services[&service.name];
            return Err(format!("{name} {} is {}, expected {expected:?}", service.name, service.result));
        }
    }
    Ok(())
}
