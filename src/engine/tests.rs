use super::*;
use crate::config::{
    Channel, ChannelKind, Event, Findings, Login, Mailbox as MailboxConfig, Margin, Quorum, Secret, Server,
    Smtp, Test, Tls,
};
use crate::engine::History;
use crate::incident::Step;
use crate::outbox::Kind;
use crate::reason::Reason;
use crate::report::{Said, Understood};
use crate::verdict::State;
use chrono::{TimeZone, Utc};
use chrono_tz::Tz;

mod alarms;
mod blindness;
mod flapping;
mod links;
mod histories;
pub(crate) mod masses;
mod reports;
mod canary;
mod heartbeat;
mod causes;
mod company;
mod drill;
mod channels;
mod dependence;
mod digests;
mod down;
mod head;
mod orders;
mod policies;
mod own_time;
mod expiry;
mod restarts;
mod services;
mod silences;
mod spoofs;
mod sweeps;
mod trail;

/// cycle 300 s + timeouts 10 s + 30 s + margin 60 s.
const DEADLINE: i64 = 400;

fn at(second: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
}

fn server() -> Server {
    Server { host: "mail.example".into(), port: 993, tls: Tls::Implicit, ca_file: None, pin_sha256: None }
}

fn checker_config(name: &str, provider: &str) -> Checker {
    let test = |service: &str, seconds| Test {
        service: service.into(),
        timeout: TimeDelta::seconds(seconds),
        ..Test::default()
    };
    Checker {
        name: name.into(),
        provider: provider.into(),
        addresses: vec![format!("{name}+monitor@domain.com")],
        tests: vec![test("SQL", 10), test("SHOP", 30)],
        cycle: TimeDelta::seconds(300),
        mail_path_margin: Margin::Fixed(TimeDelta::seconds(60)),
        missed_cycles: 1,
        nok_after: 1,
        ok_after: 1,
        findings: Findings::default(),
        flap: None,
        trust: None,
    }
}

fn mailbox_config(name: &str) -> MailboxConfig {
    MailboxConfig {
        name: name.into(),
        server: server(),
        user: "monitor@domain.com".into(),
        login: Login::Password(Secret::Value("x".to_owned().into())),
        folders: vec!["INBOX".into()],
        junk: None,
        poll: TimeDelta::seconds(60),
        blind_after: TimeDelta::seconds(180),
        limits: crate::fullness::Limits::default(),
        provider: None,
    }
}

fn channel_config(name: &str, fallback: bool) -> Channel {
    let smtp = Smtp {
        server: server(),
        login: None,
        from: "w@b.c".into(),
        to: vec![format!("{name}@people.example")],
    };
    Channel {
        name: name.into(),
        fallback,
        events: [Event::Checker, Event::Service, Event::Mailbox].into(),
        repeat: None,
        spacing: TimeDelta::zero(),
        rate: None,
        combine: false,
        provider: None,
        kind: ChannelKind::Smtp(smtp),
    }
}

/// Four checkers of three providers.
fn config() -> Config {
    let fleet = [("b1", "free"), ("b2", "free"), ("b3", "orange"), ("b4", "sfr")];
    Config {
        name: "watchdog".into(),
        state: "unused".into(),
        timezone: Tz::UTC,
        mailboxes: vec![mailbox_config("MONITOR")],
        checkers: fleet.iter().map(|(name, provider)| checker_config(name, provider)).collect(),
        channels: vec![channel_config("mail", false)],
        policies: crate::policy::Policies::default(),
        quorum: Quorum { usual: 2, by_service: BTreeMap::new() },
        canary: None,
        retention: Default::default(),
        web: None,
        drill: crate::config::Drill::default(),
        heartbeat: None,
        accept_dependence: None,
        dns: None,
        digests: vec![],
        dead_files: None,
        head_notice: None,
        warnings: vec![],
    }
}

/// An engine with its store and its channels, in seconds.
struct World {
    engine: Engine,
    /// What a store would hold.
    disk: Snapshot,
    steps: Vec<Step>,
    deliveries: Vec<Delivery>,
    /// As the store shows them.
    reasons: BTreeMap<String, Reason>,
    last_look: i64,
    /// Tokens of what was sent and not looked at yet, in order.
    sent: Vec<String>,
    letters: Vec<Message>,
}

impl World {
    fn new(config: Config) -> Self {
        let engine = Engine::restore(config, Snapshot::default(), at(0));
        let mut world = Self {
            engine,
            disk: Snapshot::default(),
            steps: vec![],
            deliveries: vec![],
            reasons: BTreeMap::new(),
            last_look: 0,
            sent: vec![],
            letters: vec![],
        };
        world.look(0);
        world
    }

    /// Everybody was heard in `second`, with all services OK.
    fn all_heard(second: i64) -> Self {
        let mut world = Self::new(config());
        ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, second));
        world.look(second);
        world
    }

    fn hear(&mut self, name: &str, second: i64) {
        self.report(name, second, "DRYRUN.OK SQL.OK SHOP.OK");
    }

    fn report(&mut self, name: &str, second: i64, text: &str) {
        let observation = report("MONITOR", name, second, text);
        self.engine.observe(&observation);
    }

    /// A look, and before it enough others that nobody was blind.
    fn look(&mut self, second: i64) {
        while second - self.last_look > 150 {
            self.look_after_a_gap(self.last_look + 150);
        }
        self.look_after_a_gap(second);
    }

    fn look_after_a_gap(&mut self, second: i64) {
        self.engine.looked("MONITOR", at(second), History::Complete, at(second));
        self.last_look = second;
        self.deliver(second);
        self.check_reasons(second);
    }

    /// Looks every second in between, as if somebody always asked at the right moment.
    fn look_until(&mut self, from: i64, to: i64) {
        (from..=to).for_each(|second| self.look(second));
    }

    fn tick(&mut self, second: i64) {
        self.engine.tick(at(second));
        self.deliver(second);
    }

    /// Stores what changed, sends what is due, and every channel accepts.
    fn deliver(&mut self, second: i64) {
        loop {
            let due = self.engine.take_due(at(second));
            self.store();
            if due.is_empty() {
                return;
            }
            for message in due {
                self.engine.sent(message.id, Sent::Accepted("250 ok".into()), at(second));
                let ending = match message.kind {
                    Kind::Alarm => "NOK",
                    Kind::Recovery => "OK",
                    Kind::Notice => "notice",
                };
                self.sent.push(format!("{}.{ending}", message.token));
                self.letters.push(message);
            }
        }
    }

    fn store(&mut self) {
        let changes = self.engine.take_changes();
        self.steps.extend(changes.steps);
        for row in changes.checkers {
            match row.reason {
                Some(reason) => self.reasons.insert(row.name.clone(), reason),
                None => self.reasons.remove(&row.name),
            };
            self.disk.facts.insert(row.name, row.facts);
        }
        changes.removed.iter().for_each(|name| {
            self.disk.facts.remove(name);
        });
        self.disk.drills = changes.drills.unwrap_or(std::mem::take(&mut self.disk.drills));
        self.disk.canary = changes.canary.unwrap_or(std::mem::take(&mut self.disk.canary));
        for (name, until) in changes.digests {
            match until {
                Some(until) => self.disk.digests.insert(name, until),
                None => self.disk.digests.remove(&name),
            };
        }
        for row in changes.mailboxes {
            self.disk.mailboxes.insert(row.name, row.state);
        }
        for incident in changes.incidents {
            self.disk.last_incident = self.disk.last_incident.max(incident.number);
            self.disk.incidents.retain(|known| known.number != incident.number);
            if incident.closed.is_none() {
                self.disk.incidents.push(incident);
            }
        }
        for silencing in changes.silences {
            self.disk.last_silence = silencing.id;
            self.disk.silences.retain(|known| known.id != silencing.id);
            self.disk.silences.push(silencing);
        }
        for message in changes.messages {
            self.disk.last_message = self.disk.last_message.max(message.id);
            self.disk.messages.retain(|known| known.id != message.id);
            self.disk.messages.push(message);
        }
        self.disk.head_told = changes.head_told.or(self.disk.head_told);
        self.disk.paces.extend(changes.paces);
        for delivery in changes.deliveries {
            self.disk.messages.retain(|known| known.id != delivery.message.id);
            self.deliveries.push(delivery);
        }
    }

    /// The process dies and comes back.
    fn restart(&mut self, config: Config, second: i64) {
        self.revive(config, second);
        self.deliver(second);
    }

    /// The same, before anything is sent.
    fn revive(&mut self, config: Config, second: i64) {
        let disk = Snapshot {
            facts: self.disk.facts.clone(),
            mailboxes: self.disk.mailboxes.clone(),
            canary: self.disk.canary.clone(),
            drills: self.disk.drills.clone(),
            incidents: self.disk.incidents.clone(),
            messages: self.disk.messages.clone(),
            paces: self.disk.paces.clone(),
            silences: self.disk.silences.clone(),
            link_key: None,
            digests: self.disk.digests.clone(),
            head_told: self.disk.head_told,
            ..self.disk
        };
        self.engine = Engine::restore(config, disk, at(second));
    }

    /// What was sent since the last call.
    #[track_caller]
    fn expect(&mut self, tokens: &[&str]) {
        assert_eq!(std::mem::take(&mut self.sent), tokens);
    }

    fn state(&self, name: &str, second: i64) -> State {
        self.engine.verdict(name, at(second)).unwrap().state
    }
}

fn report(mailbox: &str, name: &str, second: i64, text: &str) -> Observation {
    let tokens = text.split_whitespace().filter_map(|token| {
        let (name, result) = token.split_once('.')?;
        Some((name.to_owned(), if result == "OK" { Said::Ok } else { Said::Nok }))
    });
    let (known, unknown): (Vec<_>, Vec<_>) =
        tokens.partition(|(name, _)| ["DRYRUN", "SQL", "SHOP"].contains(&name.as_str()));
    let (dryrun, results): (Vec<_>, Vec<_>) = known.into_iter().partition(|(name, _)| name == "DRYRUN");
    let mut merged: BTreeMap<String, Said> = BTreeMap::new();
    for (name, said) in results {
        merged.entry(name).and_modify(|before| *before = before.and(said)).or_insert(said);
    }
    let mail = Understood {
        checker: Some(name.into()),
        not_heard: None,
        sent: Some(at(second)),
        dryrun: dryrun.first().map(|(_, said)| *said),
        dryrun_late: !text.starts_with("DRYRUN"),
        results: merged,
        unknown: unknown.into_iter().collect(),
        truncated: false,
        problems: vec![],
        undelivered: None,
        run: None,
        examined: Default::default(),
        received: vec![],
    };
    Observation { mailbox: mailbox.into(), received: at(second), seen: at(second), mail }
}
