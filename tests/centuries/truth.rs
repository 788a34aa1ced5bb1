//! What truly happened, and what must therefore hold: each invariant is a function with its sentence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bresse_watchdog::engine::Engine;
use bresse_watchdog::incident::{Incident, Subject};
use bresse_watchdog::outbox::{Kind, Message};

use crate::known::Known;
use crate::mails::Mail;
use crate::server::KEPT;
use crate::site::{CHANNELS, MINUTE, Ms, SECOND, SERVICES, Site};
use crate::world::World;

pub(crate) type Held = Result<(), String>;

/// A look that was asked for ends within this.
const LOOK_MAX: Ms = 5 * SECOND;
/// A refused message is tried again after an hour.
const CHANNEL_IDLE_MAX: Ms = 75 * MINUTE;

/// What a person was told of one token of one incident.
#[derive(Debug, Default)]
struct Told {
    perhaps: bool,
    alarmed: bool,
    recovered: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Truth {
    known: Vec<Known>,
    by_name: BTreeMap<String, usize>,
    /// By the moment after which each checker is certainly silent.
    overdue: BTreeSet<(Ms, usize)>,
    due: Vec<Option<Ms>>,
    /// In the inbox, and no complete look at it is stored yet; the number of the first.
    unread: VecDeque<Mail>,
    unread_from: u64,
    /// How far a look has seen.
    marked: u64,
    /// Those before this one were deleted.
    gone: u64,
    /// Reports that a stored look found.
    pub(crate) found: BTreeSet<u64>,
    /// The last complete look that is stored.
    pub(crate) looked: Option<Ms>,
    /// The first and the last try after it that are known to have failed.
    failed: Option<(Ms, Ms)>,
    /// Some history was still to be read by a look after it.
    glimpsed: bool,
    newest_receipt: Ms,
    /// When everybody was last given a grace, perhaps.
    graced: Option<Ms>,
    /// The last one that was taken in by this process.
    pub(crate) seen: Option<Ms>,
    /// Members of incidents that were examined.
    examined: BTreeSet<(u64, String)>,
    told: BTreeMap<[String; 4], Told>,
    accepted: BTreeMap<u64, String>,
    /// Messages that may be sent twice: the watchdog cannot know that they were taken.
    in_doubt: BTreeSet<u64>,
    /// Taken by the far side, and its answer is not stored.
    unstored: BTreeSet<u64>,
    pub(crate) again: u64,
    last_accepted: [Ms; CHANNELS.len()],
}

/// How the watchdog is, when something is examined.
pub(crate) struct Moment<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) site: &'a Site,
    pub(crate) other: &'a Site,
    pub(crate) now: Ms,
    /// It has been running, awake, and able to read since then.
    pub(crate) well_since: Ms,
    /// It has been running and awake since then.
    pub(crate) awake_since: Ms,
    /// Its clock is, or was lately, so far off.
    pub(crate) off: Ms,
}

impl Moment<'_> {
    fn deadlines(&self, place: usize) -> (Ms, Ms) {
        let (one, other) = (self.site.watched[place].deadline(), self.other.watched[place].deadline());
        (one.min(other), one.max(other))
    }
}

impl Truth {
    pub(crate) fn new(site: &Site) -> Self {
        let names = site.watched.iter().enumerate().map(|(place, watched)| (watched.name.clone(), place));
        Self {
            known: vec![Known::default(); site.watched.len()],
            due: vec![None; site.watched.len()],
            by_name: names.collect(),
            ..Self::default()
        }
    }

    /// Something that anybody may read lies in the inbox.
    pub(crate) fn arrived(&mut self, mail: Mail, longest: Ms) {
        self.unread.push_back(mail);
        if !mail.auto_reply {
            let known = &mut self.known[mail.checker];
            if known.received.is_none_or(|before| before < mail.received) {
                known.received = Some(mail.received);
                known.silent = false;
                self.expect(mail.checker, mail.received, longest);
            }
        }
    }

    /// The process died: what the far side took and the store does not know is sent again.
    pub(crate) fn died(&mut self) {
        self.in_doubt.append(&mut self.unstored);
    }

    /// The far side's answers that the core has heard of are stored.
    pub(crate) fn committed(&mut self, waiting: impl Fn(u64) -> bool) {
        self.unstored.retain(|id| waiting(*id));
    }

    /// From `base` on its age counts, at the latest.
    fn expect(&mut self, place: usize, base: Ms, longest: Ms) {
        let due = base + longest;
        if self.due[place].is_some_and(|before| before >= due) {
            return;
        }
        if let Some(before) = self.due[place].replace(due) {
            self.overdue.remove(&(before, place));
        }
        self.overdue.insert((due, place));
    }

    /// What lies in the inbox at this moment, which a look begins to read.
    pub(crate) fn mark(&mut self) -> u64 {
        while self.unread_from < self.gone || self.unread.len() > KEPT {
            let Some(mail) = self.unread.pop_front() else { break };
            self.unread_from += 1;
            if self.unread_from <= self.marked && !mail.auto_reply {
                self.known[mail.checker].hear_perhaps(&mail);
                self.known[mail.checker].unsettle();
            }
        }
        self.marked = self.unread_from + self.unread.len() as u64;
        self.marked
    }

    /// Nothing lies in the inbox any more, but a look that is under way may have seen what lay there up to `mark`.
    pub(crate) fn emptied(&mut self, mark: u64) {
        self.known.iter_mut().for_each(Known::unsettle);
        let kept = usize::try_from(mark.saturating_sub(self.unread_from)).unwrap();
        self.unread.truncate(kept);
        self.gone = self.unread_from + self.unread.len() as u64;
        self.marked = self.marked.min(self.gone);
    }

    /// A complete look that began at `started` is stored, with all that lay in the inbox up to `mark`.
    pub(crate) fn looked(&mut self, started: Ms, mark: u64, world: &World, moment: &Moment<'_>) {
        let (mut proof, mut came_in) = (false, false);
        let down = self.looked.is_some_and(|before| started - before > moment.site.blind_after + 2 * SECOND);
        let in_time = if down { self.in_time(moment) } else { vec![] };
        while self.unread_from < mark {
            let Some(mail) = self.unread.pop_front() else { break };
            self.unread_from += 1;
            proof |= self.proves(&mail, started, moment);
            came_in |= mail.received < self.revived_after(started, moment);
            self.newest_receipt = self.newest_receipt.max(mail.received);
            if !mail.auto_reply {
                self.found.insert(mail.id);
                self.hear(&mail, world, moment.site);
            }
        }
        let gap = self
            .looked
            .is_none_or(|before| started - before > moment.site.blind_after - moment.off - 2 * SECOND);
        // Of a mailbox numbered anew the newest mails alone say whether it was down: the proof may lie below them.
        let excused = gap && (!proof || self.glimpsed);
        self.excuse(started, came_in, &in_time, moment);
        if excused {
            self.graced = Some(started);
        }
        for place in 0..self.known.len() {
            if self.known[place].watched.is_none() {
                self.known[place].watched = Some(started);
                if self.known[place].received.is_none() {
                    self.expect(place, started, moment.deadlines(place).1);
                }
            }
            // The mailbox may have been down, and then everybody gets one more deadline.
            if excused && !self.known[place].silent {
                self.expect(place, started, moment.deadlines(place).1);
            }
        }
        self.known.iter_mut().for_each(Known::settle);
        self.looked = Some(started);
        self.failed = None;
        self.glimpsed = false;
    }

    /// What came earlier did not come to a mailbox that was down until just now.
    fn revived_after(&self, started: Ms, moment: &Moment<'_>) -> Ms {
        let failed = self.failed.map_or(started, |(_, last)| last + 2 * SECOND);
        failed.max(started - moment.site.blind_after + 10 * SECOND)
    }

    /// "No alarm right after the mailbox was down": everybody whose deadline was not over before gets one more. Certain
    /// only where every try failed, nothing came in, all was read at once, and no clock misleads.
    fn excuse(&mut self, started: Ms, came_in: bool, in_time: &[usize], moment: &Moment<'_>) {
        let down = self.failed.is_some() && !came_in;
        let first = self.graced.is_none_or(|graced| self.newest_receipt > graced + 2 * SECOND);
        if down && first && !self.glimpsed && moment.off == 0 {
            in_time.iter().for_each(|place| self.known[*place].excused = Some(started));
        }
    }

    /// Whose deadline was certainly not over at the last complete look.
    fn in_time(&self, moment: &Moment<'_>) -> Vec<usize> {
        let Some(before) = self.looked else { return vec![] };
        let in_time = |place: &usize| {
            let known = &self.known[*place];
            let base = known.lived.max(known.watched).max(known.excused);
            base.is_some_and(|base| base + moment.deadlines(*place).0 > before + 2 * SECOND)
        };
        (0..self.known.len()).filter(in_time).collect()
    }

    /// The newest of them are stored, and judged: the rest is history that is still being read.
    pub(crate) fn glimpsed(&mut self, mark: u64, world: &World, site: &Site) {
        self.glimpsed = true;
        let count = usize::try_from(mark.saturating_sub(self.unread_from)).unwrap();
        let mails: Vec<Mail> =
            self.unread.iter().take(count).filter(|mail| !mail.auto_reply).copied().collect();
        mails.iter().for_each(|mail| self.hear(mail, world, site));
    }

    /// A failed try is stored.
    pub(crate) fn failed(&mut self, now: Ms) {
        self.failed = Some((self.failed.map_or(now, |(first, _)| first), now));
    }

    /// It came while nobody could read, and long enough before somebody could again.
    fn proves(&self, mail: &Mail, started: Ms, moment: &Moment<'_>) -> bool {
        let failed = self.failed.map(|(first, _)| first);
        let after = self.looked.max(failed).unwrap_or_default() + SECOND + moment.off;
        (after..started - moment.site.blind_after - 10 * SECOND - moment.off).contains(&mail.received)
    }

    fn hear(&mut self, mail: &Mail, world: &World, site: &Site) {
        self.known[mail.checker].hear(mail, world, &site.watched[mail.checker]);
    }

    /// Everything that must hold whenever the watchdog has stored what it decided.
    pub(crate) fn holds(&mut self, world: &World, moment: &Moment<'_>) -> Held {
        self.silences_are_alarmed(moment)?;
        self.alarms_have_their_evidence(world, moment)?;
        self.blindness_is_said(moment)?;
        self.channels_that_work_are_used(world, moment)
    }

    /// "No silence longer than its deadline goes without an alarm whenever the mailbox was readable": within one poll of the
    /// deadline where it was readable just then, and with the next complete look where it was not.
    fn silences_are_alarmed(&mut self, moment: &Moment<'_>) -> Held {
        let patience = moment.off + SECOND;
        while let Some((due, place)) = self.overdue.first().copied() {
            let judged = self.looked.is_some_and(|looked| looked > due + patience);
            // A look is asked for at the deadline itself: nobody waits for the next poll.
            let in_time = moment.well_since + MINUTE < due && moment.now > due + patience + LOOK_MAX;
            if !judged && !in_time {
                return Ok(());
            }
            let name = &moment.site.watched[place].name;
            let alarmed = moment
                .engine
                .open_incidents()
                .any(|one| one.subject == Subject::Silence && one.has(name) && one.token().is_some());
            if !alarmed {
                let facts = moment.engine.facts().get(name);
                return Err(format!(
                    "{name} is silent for longer than its deadline, since {due}, and it is not alarmed (judged {judged}, \
                     looked {:?}): {facts:?}",
                    self.looked
                ));
            }
            self.overdue.remove(&(due, place));
            self.due[place] = None;
            self.known[place].silent = true;
        }
        Ok(())
    }

    /// "No alarm without its evidence."
    fn alarms_have_their_evidence(&mut self, world: &World, moment: &Moment<'_>) -> Held {
        let engine = moment.engine;
        for incident in engine.open_incidents() {
            for (name, _) in incident.present() {
                let seen = (incident.number, name.to_owned());
                let Some(place) = self.by_name.get(name).copied() else { continue };
                if !self.examined.contains(&seen) {
                    if self.known[place].dates_are_understood(world.clock_set[place]) {
                        self.is_evident(incident, place, world, moment)?;
                    }
                    self.examined.insert(seen);
                }
            }
        }
        let open: BTreeSet<u64> = engine.open_incidents().map(|incident| incident.number).collect();
        self.examined.retain(|(number, _)| open.contains(number));
        Ok(())
    }

    fn is_evident(&self, incident: &Incident, place: usize, world: &World, moment: &Moment<'_>) -> Held {
        let (known, name) = (&self.known[place], &moment.site.watched[place].name);
        match &incident.subject {
            Subject::Silence => {
                let lived = known.lived.or(known.watched).max(known.excused).unwrap_or_default();
                let silent = moment.now - lived;
                if silent + moment.off + SECOND < moment.deadlines(place).0 {
                    return Err(format!(
                        "{name} is alarmed as silent {silent} ms after it was heard or excused: {incident:?}\n{:#?}",
                        known.shown()
                    ));
                }
            }
            Subject::Service(service) if !world.is_split(place) => {
                let service = SERVICES.iter().position(|one| one == service).unwrap();
                if !known.newest[service].is_some_and(|(_, bad)| bad) {
                    let newest = known.newest[service];
                    return Err(format!(
                        "{name} said nothing bad of a service, but {newest:?}: {incident:?}\n{:#?}",
                        known.shown()
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// "Blind is always said", and not before anybody is.
    fn blindness_is_said(&mut self, moment: &Moment<'_>) -> Held {
        let said = moment.engine.open_incidents().find(|one| matches!(one.subject, Subject::Mailbox(_)));
        let after = moment.site.blind_after;
        let from = self.seen.unwrap_or_default().max(moment.awake_since);
        if said.is_none() && moment.now - from > after + LOOK_MAX + moment.off {
            return Err(format!("nobody could read for {} ms, and that is not said", moment.now - from));
        }
        let looked = self.seen.max(self.looked);
        if let Some(incident) = said.filter(|one| self.examined.insert((one.number, String::new())))
            && let Some(looked) = looked
            && moment.now - looked + moment.off + SECOND < after
        {
            return Err(format!("blindness is said too early: {incident:?}"));
        }
        Ok(())
    }

    /// "At least once": what is composed goes out while its channel works.
    fn channels_that_work_are_used(&self, world: &World, moment: &Moment<'_>) -> Held {
        for message in moment.engine.outbox().iter() {
            let place = CHANNELS.iter().position(|name| *name == message.channel).unwrap();
            let since = world.far_well_since[place].max(moment.awake_since);
            let works = world.far[place] == crate::world::Far::Takes && moment.now - since > CHANNEL_IDLE_MAX;
            let waits = moment.now - crate::mails::ms(message.created);
            if works && waits > 2 * MINUTE + 2 * moment.off {
                return Err(format!("a message waits for {waits} ms: {message:?}"));
            }
        }
        Ok(())
    }

    /// A message is given out: from now on the watchdog cannot know that nobody has it.
    pub(crate) fn given_out(&mut self, message: &Message) {
        if message.kind == Kind::Alarm {
            self.told.entry(key(message)).or_default().perhaps = true;
        }
    }

    /// The far side took a message. "At most once on the healthy path. An alarm has `.NOK` in its subject, and nothing else
    /// contains `NOK`. Nobody hears of an end who may not have heard of the beginning, nor of an end twice."
    pub(crate) fn accepted(&mut self, message: &Message, now: Ms, answered: bool) -> Held {
        let text = || format!("{}\n{}", message.subject, message.body);
        let alarm = message.kind == Kind::Alarm;
        if alarm != message.subject.starts_with(&format!("{}.NOK", message.token)) {
            return Err(format!("a wrong subject: {}", message.subject));
        }
        if !alarm && text().to_lowercase().contains("nok") {
            return Err(format!("what is no alarm contains NOK: {}", text()));
        }
        if let Some(before) = self.accepted.insert(message.id, message.token.clone()) {
            self.again += 1;
            if !self.in_doubt.contains(&message.id) {
                return Err(format!("said twice: {}", message.subject));
            }
            if before != message.token {
                return Err(format!("one number for two messages: {before} and {}", message.subject));
            }
        }
        self.unstored.insert(message.id);
        if !answered {
            self.in_doubt.insert(message.id);
        }
        let place = CHANNELS.iter().position(|name| *name == message.channel).unwrap();
        self.last_accepted[place] = now;
        let doubt = self.in_doubt.contains(&message.id);
        let told = self.told.entry(key(message)).or_default();
        match message.kind {
            Kind::Alarm => *told = Told { perhaps: true, alarmed: true, recovered: false },
            Kind::Notice => {}
            Kind::Recovery => {
                if !told.perhaps {
                    return Err(format!("a recovery of what was not alarmed: {}", message.subject));
                }
                if told.recovered && !doubt {
                    return Err(format!("recovered twice: {}", message.subject));
                }
                told.recovered = true;
            }
        }
        Ok(())
    }

    /// When all has been well for long: "every announced alarm is recovered", and nothing is left to say.
    pub(crate) fn ends_well(&self, engine: &Engine) -> Held {
        if let Some((key, _)) = self.told.iter().find(|(_, told)| told.alarmed && !told.recovered) {
            return Err(format!("never recovered: {key:?}"));
        }
        if let Some(message) = engine.outbox().iter().next() {
            return Err(format!("never delivered: {message:?}"));
        }
        for incident in engine.open_incidents() {
            // A channel to which nothing is to be sent cannot show that it works.
            let idle = match &incident.subject {
                Subject::Channel(name) => {
                    let place = CHANNELS.iter().position(|one| one == name).unwrap();
                    self.last_accepted[place] < crate::mails::ms(incident.opened)
                }
                _ => false,
            };
            if !idle {
                return Err(format!("never over: {incident:?}"));
            }
        }
        Ok(())
    }
}

/// Whom it tells of what.
fn key(message: &Message) -> [String; 4] {
    [&message.channel, &message.recipient, &message.incident, &message.token].map(String::clone)
}
