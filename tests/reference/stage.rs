//! Drives the engine through a world as the service does: its store, its channels, its restarts.

use std::collections::{BTreeMap, BTreeSet};

use bresse_watchdog::config::{
    Channel, ChannelKind, Checker as CheckerConfig, Config, Event as Kind, Findings, Login, Mailbox, Margin,
    Quorum, Secret, Server, Smtp, Test, Tls,
};
use bresse_watchdog::engine::History;
use bresse_watchdog::engine::{Engine, Snapshot};
use bresse_watchdog::fullness::Limits;
use bresse_watchdog::ledger::Observation;
use bresse_watchdog::mail::Hop;
use bresse_watchdog::outbox::{self, Message, Sent};
use bresse_watchdog::report::{NotHeard, Said, Understood};
use bresse_watchdog::time::Time;
use chrono::{TimeDelta, TimeZone, Utc};
use fastrand::Rng;

use crate::compare::Standing;
use crate::model::Model;
use crate::world::{Checker, Event, Mail, World};

pub(crate) const MAILBOX: &str = "MONITOR";

/// How a world is shown to the engine. None of it may change what is said in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Showing {
    /// The mails of a look in the order of their arrival.
    Plain,
    /// The mails of a look in a random order.
    Shuffled,
    /// The first look reads the newest mails first, a few at a time.
    NewestFirst,
    /// The process dies and comes back before and after every look.
    Restarts,
}

pub(crate) fn at(second: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
}

pub(crate) fn second(time: Time) -> i64 {
    (time - at(0)).num_seconds()
}

fn server() -> Server {
    Server { host: "mail.example".into(), port: 993, tls: Tls::Implicit, ca_file: None, pin_sha256: None }
}

pub(crate) fn config(fleet: &[Checker], blind_after: i64) -> Config {
    let checkers = fleet.iter().map(|checker| CheckerConfig {
        name: checker.name.clone(),
        provider: checker.provider.clone(),
        addresses: vec![format!("{}+monitor@domain.example", checker.name)],
        tests: checker
            .tests
            .iter()
            .map(|(service, timeout)| Test {
                service: service.clone(),
                timeout: TimeDelta::seconds(*timeout),
                ..Test::default()
            })
            .collect(),
        cycle: TimeDelta::seconds(checker.cycle),
        mail_path_margin: Margin::Fixed(TimeDelta::seconds(checker.margin)),
        missed_cycles: checker.missed_cycles,
        nok_after: checker.nok_after,
        ok_after: 1,
        findings: Findings::default(),
        flap: None,
        trust: None,
    });
    let smtp = Smtp {
        server: server(),
        login: None,
        from: "w@b.example".into(),
        to: vec!["oncall@b.example".into()],
    };
    Config {
        name: "watchdog".into(),
        state: "unused".into(),
        timezone: chrono_tz::Tz::UTC,
        mailboxes: vec![Mailbox {
            name: MAILBOX.into(),
            server: server(),
            user: "monitor@domain.example".into(),
            login: Login::Password(Secret::Value("x".to_owned().into())),
            folders: vec!["INBOX".into()],
            junk: None,
            poll: TimeDelta::seconds(60),
            blind_after: TimeDelta::seconds(blind_after),
            limits: Limits::default(),
            provider: None,
        }],
        checkers: checkers.collect(),
        channels: vec![Channel {
            name: "mail".into(),
            fallback: false,
            events: [Kind::Checker, Kind::Service, Kind::Mailbox].into(),
            repeat: None,
            spacing: TimeDelta::zero(),
            rate: None,
            combine: false,
            provider: None,
            kind: ChannelKind::Smtp(smtp),
        }],
        policies: Default::default(),
        quorum: Quorum { usual: 2, by_service: BTreeMap::new() },
        canary: None,
        retention: Default::default(),
        web: None,
        drill: Default::default(),
        heartbeat: None,
        digests: Vec::new(),
        head_notice: None,
        accept_dependence: None,
        dns: None,
        dead_files: None,
        warnings: vec![],
    }
}

pub(crate) fn observation(mail: &Mail, known: bool, seen: i64) -> Observation {
    let hop =
        |second| Hop { from: Some("a.example".into()), by: Some("b.example".into()), at: Some(at(second)) };
    let not_heard = match (known, mail.heard) {
        (false, _) => Some(NotHeard::NobodyKnown),
        (true, false) => Some(NotHeard::AutoReply),
        (true, true) => None,
    };
    Observation {
        mailbox: MAILBOX.into(),
        received: at(mail.received),
        seen: at(seen),
        mail: Understood {
            checker: known.then(|| mail.checker.clone()),
            not_heard,
            sent: Some(at(mail.sent)),
            dryrun: mail.dryrun.then_some(Said::Ok),
            dryrun_late: false,
            results: mail.results.clone(),
            unknown: BTreeMap::new(),
            truncated: false,
            problems: vec![],
            undelivered: None,
            run: None,
            examined: Default::default(),
            received: if mail.chain { vec![hop(mail.received), hop(mail.left)] } else { vec![] },
        },
    }
}

pub(crate) struct Stage<'w> {
    pub(crate) world: &'w World,
    pub(crate) showing: Showing,
    pub(crate) rng: Rng,
    pub(crate) engine: Engine,
    /// What a store would hold.
    pub(crate) disk: Snapshot,
    pub(crate) model: Model,
    /// In the mailbox, not read yet.
    pub(crate) unread: Vec<Mail>,
    /// Announced and not recovered: incident and token, with every word that was said under it.
    pub(crate) open: BTreeMap<(String, String), String>,
    /// Tokens recovered since the last look.
    pub(crate) recovered: BTreeSet<String>,
    /// How many alarms each incident has sent.
    pub(crate) alarms: BTreeMap<String, u32>,
    /// Who said of which service that it is bad, before he fell silent.
    pub(crate) witnesses: BTreeSet<(String, String)>,
    /// Who is silent in the product's eyes, and since which look.
    pub(crate) silent_since: BTreeMap<String, i64>,
    pub(crate) trying_since: i64,
    pub(crate) failing_since: Option<i64>,
    /// The last try to read the mailbox, or the last start.
    pub(crate) tried: i64,
    pub(crate) standings: Vec<Standing>,
}

pub(crate) type Verdict = Result<(), String>;

impl<'w> Stage<'w> {
    /// Plays the world to its end, or to the first difference.
    pub(crate) fn play(world: &'w World, showing: Showing) -> Result<Vec<Standing>, String> {
        let engine = Engine::restore(config(&world.fleet, world.blind_after), Snapshot::default(), at(0));
        let mut stage = Self {
            world,
            showing,
            rng: Rng::with_seed(7),
            engine,
            disk: Snapshot::default(),
            model: Model::new(world.fleet.clone(), world.blind_after, world.stepped.clone()),
            unread: vec![],
            open: BTreeMap::new(),
            recovered: BTreeSet::new(),
            alarms: BTreeMap::new(),
            witnesses: BTreeSet::new(),
            silent_since: BTreeMap::new(),
            trying_since: 0,
            tried: 0,
            failing_since: None,
            standings: vec![],
        };
        for event in &world.events {
            stage.happen(event).map_err(|text| format!("at {}: {text}", event.at()))?;
        }
        Ok(stage.standings)
    }

    fn happen(&mut self, event: &Event) -> Verdict {
        match event {
            Event::Arrives(mail) => self.unread.push(mail.clone()),
            Event::Look { at, took } => {
                self.tick(*at)?;
                self.look(*at, *took)?;
            }
            Event::Fails { at: now } => {
                if self.showing == Showing::Restarts {
                    self.restart(*now)?;
                }
                self.tried = *now;
                self.failing_since.get_or_insert(*now);
                self.engine.look_failed(MAILBOX, "connection refused", at(*now));
                self.tick(*now)?;
            }
            Event::Restart { at } => self.restart(*at)?,
            Event::Configure { at: now, fleet } => {
                self.engine.reconfigure(config(fleet, self.world.blind_after), at(*now));
                self.model.configure(fleet.clone(), *now);
                self.silent_since.retain(|name, _| fleet.iter().any(|checker| checker.name == *name));
                self.deliver(*now)?;
            }
        }
        Ok(())
    }

    fn tick(&mut self, now: i64) -> Verdict {
        self.engine.tick(at(now));
        self.deliver(now)?;
        self.blindness_is_said(now)?;
        self.nothing_is_fine_while_blind(now)
    }

    fn look(&mut self, start: i64, took: i64) -> Verdict {
        if self.showing == Showing::Restarts {
            self.restart(start)?;
        }
        self.tried = start;
        let end = start + took;
        let mut mails = std::mem::take(&mut self.unread);
        for mail in &mails {
            self.model.see(mail);
        }
        match self.showing {
            Showing::Shuffled => self.rng.shuffle(&mut mails),
            Showing::NewestFirst if self.model.last_look.is_none() => {
                mails.sort_by_key(|mail| -mail.received);
                while mails.len() > 3 {
                    let newest: Vec<Mail> = mails.drain(..3).collect();
                    newest.iter().for_each(|mail| self.observe(mail, end));
                    self.engine.looked(MAILBOX, at(start), History::Filling, at(end));
                    self.deliver(end)?;
                }
            }
            _ => {}
        }
        mails.iter().for_each(|mail| self.observe(mail, end));
        self.engine.looked(MAILBOX, at(start), History::Complete, at(end));
        let were_open: BTreeSet<String> = self.open.keys().map(|(_, token)| token.clone()).collect();
        self.deliver(end)?;
        self.compare(start, took, &were_open)?;
        if self.showing == Showing::Restarts {
            self.restart(end)?;
        }
        self.standings.push(self.standing(end));
        Ok(())
    }

    fn observe(&mut self, mail: &Mail, seen: i64) {
        let known = self.model.fleet.iter().any(|checker| checker.name == mail.checker);
        self.engine.observe(&observation(mail, known, seen));
    }

    fn restart(&mut self, now: i64) -> Verdict {
        self.store();
        let disk = Snapshot {
            facts: self.disk.facts.clone(),
            mailboxes: self.disk.mailboxes.clone(),
            canary: self.disk.canary.clone(),
            drills: self.disk.drills.clone(),
            incidents: self.disk.incidents.clone(),
            messages: self.disk.messages.clone(),
            paces: self.disk.paces.clone(),
            silences: self.disk.silences.clone(),
            digests: self.disk.digests.clone(),
            link_key: None,
            ..self.disk
        };
        self.engine = Engine::restore(config(&self.model.fleet, self.world.blind_after), disk, at(now));
        // A process that dies again and again must not put the alarm about blindness off for ever.
        if now - self.tried > self.world.blind_after {
            self.trying_since = now;
        }
        self.tried = now;
        self.deliver(now)
    }

    fn store(&mut self) {
        let changes = self.engine.take_changes();
        self.disk.facts.extend(changes.checkers.into_iter().map(|row| (row.name, row.facts)));
        for name in &changes.removed {
            self.disk.facts.remove(name);
        }
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
        self.disk.paces.extend(changes.paces);
        for delivery in changes.deliveries {
            self.disk.messages.retain(|known| known.id != delivery.message.id);
        }
    }

    /// Every channel takes what it is given at once.
    fn deliver(&mut self, now: i64) -> Verdict {
        loop {
            let due = self.engine.take_due(at(now));
            self.store();
            if due.is_empty() {
                return Ok(());
            }
            for message in due {
                self.engine.sent(message.id, Sent::Accepted("250 ok".into()), at(now));
                self.said(&message)?;
            }
        }
    }

    /// "An alarm has `.NOK` in its subject, and no recovery contains `NOK` anywhere. Every announced TOKEN gets its `.OK`."
    fn said(&mut self, message: &Message) -> Verdict {
        let text = format!("{}\n{}", message.subject, message.body);
        let key = (message.incident.clone(), message.token.clone());
        if message.kind == outbox::Kind::Recovery {
            if text.to_lowercase().contains("nok") {
                return Err(format!("a recovery contains NOK: {text}"));
            }
            if !message.subject.starts_with(&format!("{}.OK ", message.token)) {
                return Err(format!("a recovery's subject: {}", message.subject));
            }
            self.recovered.insert(message.token.clone());
            return match self.open.remove(&key) {
                Some(_) => Ok(()),
                None => Err(format!("{key:?} is recovered and was not open")),
            };
        }
        if !message.subject.starts_with(&format!("{}.NOK ", message.token)) {
            return Err(format!("an alarm's subject: {}", message.subject));
        }
        let alarms = self.alarms.entry(key.0.clone()).or_default();
        *alarms += 1;
        if *alarms > 2 {
            return Err(format!("more than one further mail about {}", key.0));
        }
        self.open.entry(key).or_default().push_str(&text);
        Ok(())
    }
}
