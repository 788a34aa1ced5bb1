//! Plays a story: checkers write, mails travel, the watchdog looks, judges and alarms, in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use bresse_watchdog::config::Config;
use bresse_watchdog::engine::{Engine, History, Snapshot};
use bresse_watchdog::explanation::Known;
use bresse_watchdog::incident::Incident;
use bresse_watchdog::intake::{Key, take_in};
use bresse_watchdog::mail::RawMail;
use bresse_watchdog::orders::Order;
use bresse_watchdog::outbox::{Kind, Message, Sent};
use bresse_watchdog::reason::Reason;
use bresse_watchdog::report::Roster;
use bresse_watchdog::time::Time;
use bresse_watchdog::verdict::judge;
use bresse_watchdog::view::LastSeen;
use bresse_watchdog::words::Signature;
use chrono::TimeDelta;

use crate::post::{Checker, Draft, Fleet, stranger};
use crate::sentences::{Act, Expectation, Fate, Stranger, list};
use crate::site::Site;
use crate::story::{Story, Timed, indented, midnight, shown};

/// A look at least this often, as `poll` has it by default.
const POLL: TimeDelta = TimeDelta::seconds(60);
/// On a first start the newest mails are read first, so many at a time.
const WINDOW: usize = 5;
/// A restart reads back all that is stored, which takes its time.
const RESTART_EVERY: u32 = 3;
/// What is expected of a second holds at its end.
const END_OF_SECOND: TimeDelta = TimeDelta::milliseconds(999);
/// More steps than any story needs.
const STEPS_MAX: usize = 500_000;

/// How a story is shown to the watchdog. None of it may change what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Showing {
    Plain,
    /// The process dies and comes back before every third look, and finds what it had stored.
    Restarts,
    /// The mails of a look are read in the opposite order.
    Backwards,
}

/// What a story's expectation turned out to be.
pub(crate) struct Played {
    pub(crate) letters: Vec<Letter>,
    /// Expectations about states that did not hold, each with its line.
    pub(crate) wrong: Vec<(usize, String)>,
}

/// What was said to people.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) at: Time,
    pub(crate) token: String,
    pub(crate) kind: Kind,
    pub(crate) incident: String,
    pub(crate) subject: String,
    pub(crate) body: String,
    /// The configured checkers, in their order.
    pub(crate) checkers: Vec<String>,
}

/// A mail in a mailbox.
struct Arrived {
    at: Time,
    bytes: Vec<u8>,
    uid: u32,
}

struct Post {
    name: String,
    error: Option<String>,
    /// It takes no mail either.
    down: bool,
    unread: Vec<Arrived>,
    next_uid: u32,
}

pub(crate) struct Stage<'s> {
    story: &'s Story,
    showing: Showing,
    site: Site,
    config: Config,
    roster: Roster,
    fleet: Fleet,
    mailboxes: Vec<Post>,
    /// On their way: when they arrive, and an order among those of one moment.
    travelling: BTreeMap<(Time, u32), Vec<u8>>,
    travelled: u32,
    engine: Option<Engine>,
    /// What a store holds.
    disk: Snapshot,
    known: BTreeSet<Key>,
    next_poll: Time,
    looks: u32,
    now: Time,
    played: Played,
}

type Step = Result<(), String>;

impl<'s> Stage<'s> {
    /// # Errors
    /// When the story cannot be played: what it asks for does not exist, or the product broke a rule that always holds.
    pub(crate) fn play(story: &'s Story, showing: Showing) -> Result<Played, String> {
        let site = Site::usual();
        let config = site.config()?;
        let mut stage = Self {
            story,
            showing,
            roster: Roster::new(&config.checkers),
            site,
            config,
            fleet: Fleet::new(),
            mailboxes: vec![],
            travelling: BTreeMap::new(),
            travelled: 0,
            engine: None,
            disk: Snapshot::default(),
            known: BTreeSet::new(),
            next_poll: midnight(),
            looks: 0,
            now: midnight(),
            played: Played { letters: vec![], wrong: vec![] },
        };
        let mut wrong_since = None;
        for said in &story.before {
            if said.what.changes_the_site() {
                stage.act(&said.what).map_err(|error| at_line(story, said.line, &error))?;
                wrong_since = stage.site.config().err().map(|_| wrong_since.unwrap_or(said.line));
            }
        }
        let line = wrong_since.unwrap_or(story.line);
        stage.reconfigured().map_err(|error| at_line(story, line, &error))?;
        for said in story.before.iter().filter(|said| !said.what.changes_the_site()) {
            stage.act(&said.what).map_err(|error| at_line(story, said.line, &error))?;
        }
        let told_to_start = story.acts.iter().find_map(|timed| match timed.said.what {
            Act::WatchdogStarts => Some(true),
            Act::WatchdogStops => Some(false),
            _ => None,
        });
        if told_to_start != Some(true) {
            stage.start_watchdog()?;
        }
        stage.play_lines()?;
        Ok(stage.played)
    }

    fn play_lines(&mut self) -> Step {
        let story = self.story;
        let mut acts = story.acts.iter().peekable();
        let states = story.expected.iter().filter(|timed| timed.said.what.is_about_a_moment());
        let mut states = states.peekable();
        for _ in 0..STEPS_MAX {
            let act = acts.peek().map(|timed| timed.when.from);
            let state = states.peek().map(|timed| timed.when.from + END_OF_SECOND);
            let Some(next) = self.next_moment(act, state).filter(|next| *next <= story.end) else {
                return Ok(());
            };
            self.now = next;
            if act == Some(next)
                && let Some(Timed { said, .. }) = acts.next()
            {
                self.act(&said.what).map_err(|error| at_line(story, said.line, &error))?;
                if said.what.changes_the_site() {
                    self.reconfigured().map_err(|error| at_line(story, said.line, &error))?;
                }
            } else if state == Some(next)
                && let Some(Timed { said, .. }) = states.next()
            {
                if let Err(wrong) = self.holds(&said.what) {
                    self.played.wrong.push((said.line, wrong));
                }
            } else {
                self.pass()?;
            }
        }
        Err(at_line(story, story.line, &format!("it does not come to its end; it is {}", shown(self.now))))
    }

    /// The next moment at which something happens.
    fn next_moment(&self, act: Option<Time>, state: Option<Time>) -> Option<Time> {
        let runs = self.fleet.values().filter_map(|checker| checker.next_run).min();
        let arrival = self.travelling.keys().next().map(|(time, _)| *time);
        let watching = self.engine.as_ref();
        let poll = watching.map(|_| self.next_poll);
        // A wake that is due already waits for what it asked for.
        let wake =
            watching.and_then(Engine::next_wake).map(|wake| wake.max(self.now + TimeDelta::milliseconds(1)));
        [act, state, runs, arrival, poll, wake].into_iter().flatten().min()
    }

    /// Everything that is due by itself.
    fn pass(&mut self) -> Step {
        let now = self.now;
        let names: Vec<String> = self.fleet.keys().cloned().collect();
        for name in names {
            let Some(checker) =
                self.fleet.get_mut(&name).filter(|one| one.next_run.is_some_and(|at| at <= now))
            else {
                continue;
            };
            checker.next_run = checker.every.map(|every| now + every);
            let drafts = checker.run(now);
            drafts.into_iter().for_each(|draft| self.post(&name, draft));
        }
        let mut came = false;
        while let Some(entry) = self.travelling.first_entry().filter(|entry| entry.key().0 <= now) {
            let bytes = entry.remove();
            came = true;
            for mailbox in &mut self.mailboxes {
                mailbox.next_uid += 1;
                mailbox.unread.push(Arrived { at: now, bytes: bytes.clone(), uid: mailbox.next_uid });
            }
        }
        if self.engine.is_none() {
            return Ok(());
        }
        if came || self.next_poll <= now {
            self.looks += 1;
            if self.showing == Showing::Restarts && self.looks.is_multiple_of(RESTART_EVERY) {
                self.store();
                self.restore();
            }
            self.look()?;
        }
        self.settle()
    }

    fn post(&mut self, name: &str, draft: Draft) {
        let Some(checker) = self.fleet.get_mut(name) else { return };
        let no_mail_taken = self.mailboxes.iter().all(|mailbox| mailbox.down);
        match &checker.fate {
            Fate::Lost => {}
            Fate::Held { .. } => checker.held.push(draft),
            Fate::Straight if no_mail_taken => checker.held.push(draft),
            Fate::Straight => {
                let arrives = draft.sent() + checker.delay;
                self.send(&draft, arrives);
            }
        }
    }

    fn send(&mut self, draft: &Draft, arrives: Time) {
        self.travelled += 1;
        self.travelling.insert((arrives, self.travelled), draft.arrived(arrives));
    }

    fn act(&mut self, act: &Act) -> Step {
        match act {
            Act::Nobody => self.site.without_checkers(),
            Act::Checker { name, provider } => self.site.add_checker(name, provider),
            Act::Mailbox { name } => self.site.add_mailbox(name),
            Act::Remove { who } => {
                for name in self.names(who)? {
                    self.site.remove(&name);
                }
            }
            Act::Set { table, setting } => {
                for table in list(table) {
                    self.site.set(&table, setting)?;
                }
            }
            Act::Unreadable { mailbox, error } => self.broken(mailbox.as_deref(), Some(error), false)?,
            Act::Down { mailbox } => self.broken(mailbox.as_deref(), Some("connection refused"), true)?,
            Act::Works { mailbox } => self.broken(mailbox.as_deref(), None, false)?,
            Act::WatchdogStops => {
                self.store();
                self.engine = None;
            }
            Act::WatchdogStarts => self.start_watchdog()?,
            Act::Arrives { kind, who } => {
                for name in self.names(who)? {
                    self.stranger(*kind, &name)?;
                }
            }
            Act::Takes { person, token, length } => {
                let until = Some(self.now + *length);
                let (incident, by) = (token.clone(), person.clone());
                self.order(&Order::Acknowledge { incident, by, until, note: None })?;
            }
            Act::Resolves { person, token } => {
                self.order(&Order::Resolve { incident: token.clone(), by: person.clone(), note: None })?;
            }
            of_checkers => self.act_of_checkers(of_checkers)?,
        }
        Ok(())
    }

    fn act_of_checkers(&mut self, act: &Act) -> Step {
        let now = self.now;
        for name in self.names(act.who())? {
            let mut drafts = vec![];
            let mut released = vec![];
            let checker = self.fleet.get_mut(&name).ok_or("nobody has this name")?;
            match act {
                Act::ReportEvery { every, .. } => {
                    checker.every = Some(*every);
                    checker.next_run = Some(now);
                }
                Act::ReportOnce { .. } => drafts = checker.run(now),
                Act::Say { text, .. } => drafts.push(checker.write(text, now)),
                Act::Stop { .. } => checker.next_run = None,
                Act::Result { service, saying, .. } => {
                    match checker.services.iter_mut().find(|(known, _)| known == service) {
                        Some((_, says)) => *says = *saying,
                        None => checker.services.push((service.clone(), *saying)),
                    }
                }
                Act::OneMailPerResult { .. } => checker.one_mail_per_result = true,
                Act::Take { delay, .. } => checker.delay = *delay,
                Act::Fate { fate, .. } => checker.fate = fate.clone(),
                Act::Release { .. } => {
                    released = std::mem::take(&mut checker.held);
                    checker.fate = Fate::Straight;
                }
                Act::Lose { .. } => checker.held.clear(),
                Act::SendThrough { host, .. } => checker.relay.clone_from(host),
                Act::Clock { ahead, .. } => checker.clock_ahead = *ahead,
                _ => {}
            }
            drafts.into_iter().for_each(|draft| self.post(&name, draft));
            released.iter().for_each(|draft| self.send(draft, now));
        }
        Ok(())
    }

    fn order(&mut self, order: &Order) -> Step {
        self.engine.as_mut().ok_or("the watchdog is off")?.obey(order, self.now)?;
        self.settle()
    }

    fn stranger(&mut self, kind: Stranger, name: &str) -> Step {
        let bytes = match kind {
            Stranger::SecondCopy => {
                let last = self.fleet.get(name).and_then(|checker| checker.last_mail.as_ref());
                last.ok_or("it has not written yet")?.arrived(self.now)
            }
            kind => stranger(kind, name, self.now),
        };
        self.travelled += 1;
        self.travelling.insert((self.now, self.travelled), bytes);
        Ok(())
    }

    fn broken(&mut self, mailbox: Option<&str>, error: Option<&str>, down: bool) -> Step {
        let name = mailbox.unwrap_or("MONITOR");
        let found = self.mailboxes.iter_mut().find(|mailbox| mailbox.name == name);
        let mailbox = found.ok_or_else(|| format!("there is no mailbox {name}"))?;
        mailbox.error = error.map(str::to_owned);
        mailbox.down = down;
        // The connection breaks, or is there again, and the reader notices.
        self.next_poll = self.now;
        Ok(())
    }

    /// The checkers meant by `every checker`, `every checker of free` or a list of names.
    pub(crate) fn names(&self, who: &str) -> Result<Vec<String>, String> {
        let providers = |name: &str| {
            let config = self.config.checkers.iter().find(|checker| checker.name == name);
            config.map(|checker| checker.provider.clone())
        };
        let all = || self.config.checkers.iter().map(|checker| checker.name.clone());
        if who == "every checker" {
            return Ok(all().collect());
        }
        if let Some(provider) = who.strip_prefix("every checker of ") {
            return Ok(all().filter(|name| providers(name).as_deref() == Some(provider)).collect());
        }
        let names = list(who);
        match names.iter().find(|name| !self.fleet.contains_key(*name)) {
            Some(unknown) => Err(format!("{unknown} is no checker of this site")),
            None => Ok(names),
        }
    }

    /// The site became what it is now: checkers and mailboxes that are new begin to exist.
    fn reconfigured(&mut self) -> Step {
        self.config = self.site.config()?;
        self.roster = Roster::new(&self.config.checkers);
        for checker in &self.config.checkers {
            let services: Vec<String> = checker.tests.iter().map(|test| test.service.clone()).collect();
            let new = || Checker::new(&checker.name, &checker.provider, &services);
            self.fleet.entry(checker.name.clone()).or_insert_with(new);
        }
        for mailbox in &self.config.mailboxes {
            if !self.mailboxes.iter().any(|known| known.name == mailbox.name) {
                self.mailboxes.push(Post {
                    name: mailbox.name.clone(),
                    error: None,
                    down: false,
                    unread: vec![],
                    next_uid: 0,
                });
            }
        }
        if let Some(engine) = &mut self.engine {
            engine.reconfigure(self.config.clone(), self.now);
            self.settle()?;
        }
        Ok(())
    }

    fn start_watchdog(&mut self) -> Step {
        self.restore();
        self.next_poll = self.now;
        self.look()?;
        self.settle()
    }

    /// A new process that finds what the one before it has stored, as the store would give it back.
    fn restore(&mut self) {
        let disk = Snapshot {
            facts: self.disk.facts.iter().map(|(name, facts)| (name.clone(), stored(facts))).collect(),
            mailboxes: self
                .disk
                .mailboxes
                .iter()
                .map(|(name, state)| (name.clone(), stored(state)))
                .collect(),
            incidents: self.disk.incidents.iter().map(stored).collect(),
            messages: self.disk.messages.iter().map(stored).collect(),
            ..self.disk
        };
        self.engine = Some(Engine::restore(self.config.clone(), disk, self.now));
    }

    /// Every mailbox is read to its end, as far as it can be read.
    fn look(&mut self) -> Step {
        self.next_poll = self.now + POLL;
        for index in 0..self.mailboxes.len() {
            self.look_at(index);
            self.deliver()?;
        }
        Ok(())
    }

    fn look_at(&mut self, index: usize) {
        let (now, backwards) = (self.now, self.showing == Showing::Backwards);
        let Some(engine) = &mut self.engine else { return };
        let mailbox = &mut self.mailboxes[index];
        let name = mailbox.name.clone();
        if let Some(error) = &mailbox.error {
            engine.look_failed(&name, error, now);
            return;
        }
        let first = engine.mailboxes().get(&name).is_none_or(|state| state.heard_until.is_none());
        let mut mails = std::mem::take(&mut mailbox.unread);
        if first || backwards {
            mails.reverse();
        }
        let windows: Vec<&[Arrived]> = mails.chunks(if first { WINDOW } else { usize::MAX }).collect();
        for (number, window) in windows.iter().enumerate() {
            for mail in *window {
                let raw = RawMail {
                    uid: mail.uid,
                    internal_date: Some(mail.at),
                    seen: now,
                    bytes: mail.bytes.clone(),
                    truncated: false,
                };
                let taken = take_in(&raw, &name, &self.roster);
                if self.known.insert(taken.key) {
                    engine.observe(&taken.observation);
                } else {
                    engine.observe_copy(&taken.observation);
                }
            }
            if number + 1 < windows.len() {
                engine.looked(&name, now, History::Filling, now);
            }
        }
        engine.looked(&name, now, History::Complete, now);
    }

    /// What the service does after every event.
    fn settle(&mut self) -> Step {
        let now = self.now;
        let Some(engine) = &mut self.engine else { return Ok(()) };
        engine.tick(now);
        let wants_look = engine.wants_look(now);
        self.deliver()?;
        if wants_look {
            self.look()?;
        }
        Ok(())
    }

    fn store(&mut self) {
        let Some(engine) = &mut self.engine else { return };
        let changes = engine.take_changes();
        self.disk.facts.extend(changes.checkers.into_iter().map(|row| (row.name, row.facts)));
        changes.removed.iter().for_each(|name| {
            self.disk.facts.remove(name);
        });
        self.disk.mailboxes.extend(changes.mailboxes.into_iter().map(|row| (row.name, row.state)));
        for incident in changes.incidents {
            self.disk.last_incident = self.disk.last_incident.max(incident.number);
            self.disk.incidents.retain(|known| known.number != incident.number);
            if incident.closed.is_none() {
                self.disk.incidents.push(incident);
            }
        }
        for message in changes.messages {
            self.disk.last_message = self.disk.last_message.max(message.id);
            self.disk.messages.retain(|known| known.id != message.id);
            self.disk.messages.push(message);
        }
        for delivery in changes.deliveries {
            self.disk.messages.retain(|known| known.id != delivery.message.id);
        }
    }

    /// The channel takes what it is given at once.
    fn deliver(&mut self) -> Step {
        loop {
            let Some(engine) = &mut self.engine else { return Ok(()) };
            let due = engine.take_due(self.now);
            self.store();
            if due.is_empty() {
                return Ok(());
            }
            for message in due {
                if let Some(engine) = &mut self.engine {
                    engine.sent(message.id, Sent::Accepted("250 ok".into()), self.now);
                }
                self.said(message)?;
            }
        }
    }

    /// Notes a message, and that it keeps what every message must keep.
    fn said(&mut self, message: Message) -> Step {
        let begins = |result: &str| message.subject.starts_with(&format!("{}.{result} ", message.token));
        if (message.kind == Kind::Alarm) != begins("NOK") || (message.kind == Kind::Recovery) != begins("OK")
        {
            return Err(format!("a subject that does not begin with its token: {}", message.subject));
        }
        let text = format!("{}\n{}", message.subject, message.body);
        if message.kind != Kind::Alarm && text.to_lowercase().contains("nok") {
            return Err(format!("what is no alarm contains NOK: {text}"));
        }
        if message.kind == Kind::Recovery
            && !self.standing().contains(&(message.incident.clone(), message.token.clone()))
        {
            return Err(format!("a recovery of what was not alarmed: {}", message.subject));
        }
        let checkers = self.config.checkers.iter().map(|checker| checker.name.clone()).collect();
        self.played.letters.push(Letter {
            at: self.now,
            token: message.token,
            kind: message.kind,
            incident: message.incident,
            subject: message.subject,
            body: message.body,
            checkers,
        });
        Ok(())
    }

    /// Incidents and tokens that were alarmed and not recovered.
    fn standing(&self) -> BTreeSet<(String, String)> {
        let mut standing = BTreeSet::new();
        for letter in &self.played.letters {
            let key = (letter.incident.clone(), letter.token.clone());
            match letter.kind {
                Kind::Alarm => standing.insert(key),
                Kind::Recovery => standing.remove(&key),
                Kind::Notice => false,
            };
        }
        standing
    }

    /// What `explain` says of a checker.
    fn explained(&self, engine: &Engine, name: &str) -> String {
        let checker = self.config.checkers.iter().find(|checker| checker.name == name);
        let (Some(checker), Some(facts)) = (checker, engine.facts().get(name)) else { return String::new() };
        let (watch, now) = (engine.watch_of(facts), self.now);
        let verdict = judge(facts, watch, now);
        let cause = engine.cause(name, &engine.companies(), now);
        let by = Signature { watchdog: &self.config.name, zone: self.config.timezone, now };
        Known { checker, facts, watch, verdict, cause, by, reports: &[] }.text()
    }

    fn holds(&self, wanted: &Expectation) -> Step {
        let engine = self.engine.as_ref().ok_or("the watchdog is off")?;
        let table = LastSeen::of(engine, self.now);
        let line = |name: &str| {
            let found = table.checkers.iter().find(|line| line.name == name);
            found.ok_or_else(|| format!("{name} is not in the table"))
        };
        match wanted {
            Expectation::State { who, state, reason, saying } => {
                for name in self.names(who)? {
                    let line = line(&name)?;
                    let known = line.reason.map(Reason::word);
                    if line.state.word() != state || !reason.admits(known) {
                        let because = known
                            .map_or(", without a reason".to_owned(), |known| format!(" because {known}"));
                        return Err(format!("{name} is {}{because}", line.state.word()));
                    }
                    let text = self.explained(engine, &name);
                    if let Some(words) = saying.iter().find(|words| !text.contains(words.as_str())) {
                        return Err(format!(
                            "explain does not say {words:?} of {name}:\n{}",
                            indented(&text)
                        ));
                    }
                }
            }
            Expectation::Cause { token, reason } => {
                let announced = |one: &&Incident| one.owed().any(|announced| announced.token == *token);
                let incident = engine.open_incidents().find(announced);
                let cause = incident.ok_or("no such alarm stands")?.cause.as_ref().map(|cause| cause.reason);
                let found = cause.map_or("nothing", Reason::word);
                if found != reason {
                    return Err(format!("{token} is put down to {found}"));
                }
            }
            Expectation::Result { service, who, result } => {
                for name in self.names(who)? {
                    let services = &line(&name)?.services;
                    let found = services.iter().find(|line| line.name == *service);
                    let found = found.ok_or_else(|| format!("{name} does not test {service}"))?;
                    if found.result != result {
                        return Err(format!("{service} of {name} is {}", found.result));
                    }
                }
            }
            Expectation::Standing { tokens } => {
                let found: BTreeSet<String> = self.standing().into_iter().map(|(_, token)| token).collect();
                let wanted: BTreeSet<String> = tokens.iter().cloned().collect();
                if found != wanted {
                    return Err(format!("the alarms that stand are {found:?}"));
                }
            }
            Expectation::Letter(..) => {}
        }
        Ok(())
    }
}

/// As the store gives it back.
fn stored<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

fn at_line(story: &Story, line: usize, error: &str) -> String {
    format!("{}:{line}: {error}", story.file)
}
