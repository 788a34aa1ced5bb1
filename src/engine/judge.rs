//! After a complete look: which checkers fell silent or are heard again.

use chrono::TimeDelta;

use super::Engine;
use crate::incident::{End, Incident, Subject};
use crate::ledger::Silence;
use crate::time::Time;
use crate::verdict::{State, judge, silence_is_over};

impl Engine {
    /// Judges every checker something was read about, and every one whose deadline has passed. The look began at `looked`,
    /// by a clock that is certainly `ahead` of the server's.
    pub(super) fn judge(&mut self, looked: Time, ahead: TimeDelta, now: Time) {
        let heard_until = looked - ahead;
        for (name, facts) in self.facts.iter_mut().filter(|(_, facts)| facts.watched_since.is_none()) {
            facts.watched_since = Some(heard_until);
            self.touched.insert(name.clone());
            self.dirty.facts.insert(name.clone());
        }
        let mut names = std::mem::take(&mut self.touched);
        names.extend(self.timers.passed(self.by_servers(now)));
        names.iter().for_each(|name| self.settle_facts(name));
        // Who is heard again leaves before others join: nobody joins a silence that is over.
        names.iter().for_each(|name| self.judge_return(name, now));
        for name in &names {
            self.judge_silence(name, now);
            self.judge_services(name, now);
            self.judge_reports(name, now);
            self.judge_spoof(name, heard_until, now);
            self.set_timer(name, now);
        }
        self.settle(looked, now);
        names.extend(self.late.passed(heard_until));
        self.revise_causes(names, now);
        // Who is told may depend on what the incident turned out to be.
        let changed: Vec<u64> = self.dirty.incidents.iter().copied().collect();
        changed.into_iter().for_each(|number| self.follow(number, now));
    }

    /// The next moment at which this checker has to be judged although nothing was read.
    pub(super) fn set_timer(&mut self, name: &str, now: Time) {
        let Some(facts) = self.facts.get(name) else {
            self.timers.set(name, None);
            self.late.set(name, None);
            return;
        };
        let verdict = judge(facts, self.watch_of(facts), now);
        let silence = verdict.silent_after.filter(|_| verdict.state != State::Silent);
        let spoof = facts.spoofs_over_at().filter(|_| self.spoof_incident(name).is_some());
        let next = [silence, facts.next_close(), spoof].into_iter().flatten().min();
        self.timers.set(name, next);
        let late =
            verdict.base.filter(|_| silence.is_some()).map(|base| base + verdict.deadline.late_after());
        self.late.set(name, late);
    }

    fn settle_facts(&mut self, name: &str) {
        let Some(facts) = self.facts.get(name) else { return };
        // What a run seems to lack may stand in the part of the history that is not read yet.
        let watch = self.watch_of(facts);
        let mut settled = facts.clone();
        settled.settle(watch.heard_until.filter(|_| watch.history_known));
        self.newest_heard = self.newest_heard.max(settled.heard_at());
        if settled != *facts {
            self.facts.insert(name.to_owned(), settled);
            self.dirty.facts.insert(name.to_owned());
        }
    }

    fn judge_return(&mut self, name: &str, now: Time) {
        let Some(facts) = self.facts.get(name) else { return };
        let Some(heard_at) = facts.heard_at().filter(|_| silence_is_over(facts, self.watch_of(facts))) else {
            return;
        };
        let last_heard = facts.silent.and_then(|silence| silence.heard_at);
        self.set_silent(name, None);
        if let Some(from) = last_heard.filter(|_| self.fell_silent_with_others(name)) {
            if let Some(facts) = self.facts.get_mut(name) {
                facts.explain(from, heard_at);
            }
            self.settle_facts(name);
        }
        self.end_silence(name, End::Recovered(heard_at), now);
    }

    fn fell_silent_with_others(&self, name: &str) -> bool {
        self.open_incidents()
            .filter(|incident| incident.subject == Subject::Silence && incident.has(name))
            .any(|incident| !incident.apart && incident.fell_silent().count() > 1)
    }

    fn judge_silence(&mut self, name: &str, now: Time) {
        let Some(facts) = self.facts.get(name) else { return };
        if facts.silent.is_some_and(|silence| silence.resolved) {
            return;
        }
        if facts.silent.is_some() {
            self.rejoin(name, facts.silent, now);
        } else if judge(facts, self.watch_of(facts), now).state == State::Silent {
            let heard_at = facts.heard_at();
            let since = heard_at.or(facts.watched_since).unwrap_or(now);
            self.set_silent(name, Some(Silence { judged: now, heard_at, resolved: false }));
            self.join_silence(name, since, now);
        }
    }

    fn set_silent(&mut self, name: &str, silent: Option<Silence>) {
        if let Some(facts) = self.facts.get_mut(name) {
            facts.silent = silent;
            self.dirty.facts.insert(name.to_owned());
        }
    }

    /// A silent checker without an incident: its configuration was taken away and given back.
    fn rejoin(&mut self, name: &str, silent: Option<Silence>, now: Time) {
        let in_incident =
            || self.open_incidents().any(|one| one.subject == Subject::Silence && one.has(name));
        if let Some(silence) = silent
            && !in_incident()
        {
            self.join_silence(name, silence.heard_at.unwrap_or(silence.judged), now);
        }
    }

    fn join_silence(&mut self, name: &str, since: Time, now: Time) {
        let window = self.facts.get(name).map_or(TimeDelta::zero(), |facts| facts.deadline.together_within());
        let found =
            self.open_incidents().find(|incident| incident.admits(since, window)).map(|one| one.number);
        let number = match found {
            Some(number) => number,
            None => self.open(Incident::new(self.last_incident + 1, Subject::Silence, now), now),
        };
        if let Some(incident) = self.incidents.get_mut(&number) {
            incident.join(name, since, None);
            self.dirty.incidents.insert(number);
        }
    }

    /// Ends a checker's silence, and recovers the alarm that was about it alone.
    pub(super) fn end_silence(&mut self, name: &str, end: End, now: Time) {
        let open =
            self.open_incidents().find(|incident| incident.subject == Subject::Silence && incident.has(name));
        let Some(number) = open.map(|incident| incident.number) else { return };
        if let Some(incident) = self.incidents.get_mut(&number) {
            incident.leave(name, end);
            if incident.present().next().is_some() && matches!(end, End::Recovered(_)) {
                incident.recovering_since.get_or_insert(now);
            }
            self.dirty.incidents.insert(number);
        }
        self.revise_cause(number, now);
        self.recover_token(number, &format!("{name}_Checker"), now);
    }
}
