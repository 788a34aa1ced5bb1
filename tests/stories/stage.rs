//! Plays a story: checkers write, mails travel, the watchdog looks, judges and alarms, in virtual time.

use std::collections::BTreeMap;

use bresse_watchdog::config::Config;
use bresse_watchdog::expiry::Validity;
use bresse_watchdog::orders::Order;
use bresse_watchdog::time::Time;
use chrono::TimeDelta;

use crate::moment::holds;
use crate::post::{Checker, Draft, Fleet, delivery_report, forged, stranger};
use crate::sentences::{Act, Fate, Stranger, list};
use crate::site::Site;
use crate::story::{Story, Timed, midnight, shown};
use crate::watchdog::{Folder, Letter, Mailbox, Step, Watchdog};

/// A look at least this often, as `poll` has it by default.
const POLL: TimeDelta = TimeDelta::seconds(60);
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

pub(crate) struct Stage<'s> {
    story: &'s Story,
    showing: Showing,
    site: Site,
    config: Config,
    fleet: Fleet,
    mailboxes: Vec<Mailbox>,
    /// On their way: when they arrive, and an order among those of one moment.
    travelling: BTreeMap<(Time, u32), (Folder, Vec<u8>)>,
    travelled: u32,
    watchdog: Watchdog,
    next_poll: Time,
    looks: u32,
    now: Time,
    wrong: Vec<(usize, String)>,
}

impl<'s> Stage<'s> {
    /// # Errors
    /// When the story cannot be played: what it asks for does not exist, or the product broke a rule that always holds.
    pub(crate) fn play(story: &'s Story, showing: Showing) -> Result<Played, String> {
        let site = Site::usual();
        let config = site.config()?;
        let mut stage = Self {
            story,
            showing,
            site,
            config,
            fleet: Fleet::new(),
            mailboxes: vec![],
            travelling: BTreeMap::new(),
            travelled: 0,
            watchdog: Watchdog::default(),
            next_poll: midnight(),
            looks: 0,
            now: midnight(),
            wrong: vec![],
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
        Ok(Played { letters: stage.watchdog.letters, wrong: stage.wrong })
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
                let names = said.what.who().map_or(Ok(vec![]), |who| self.names(who));
                let names = names.map_err(|error| at_line(story, said.line, &error))?;
                if let Err(wrong) = holds(&self.watchdog, &said.what, &names, next) {
                    self.wrong.push((said.line, wrong));
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
        let poll = self.watchdog.engine.as_ref().map(|_| self.next_poll);
        // A wake that is due already waits for what it asked for.
        let wake = self.watchdog.next_wake().map(|wake| wake.max(self.now + TimeDelta::milliseconds(1)));
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
            let (folder, bytes) = entry.remove();
            // The server tells of new mail in the inbox only.
            came |= folder == Folder::Inbox;
            self.mailboxes.iter_mut().for_each(|mailbox| mailbox.take(folder, &bytes, now));
        }
        if self.watchdog.engine.is_none() {
            return Ok(());
        }
        if came || self.next_poll <= now {
            self.looks += 1;
            if self.showing == Showing::Restarts && self.looks.is_multiple_of(RESTART_EVERY) {
                self.watchdog.start(&self.config, now);
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
                self.travels(draft.arrived(arrives), Folder::Inbox, arrives);
            }
            Fate::Junk => {
                let arrives = draft.sent() + checker.delay;
                let bytes = draft.arrived(arrives);
                checker.in_junk.push((draft, arrives));
                self.travels(bytes, Folder::Junk, arrives);
            }
            Fate::Bounced { words } => {
                let arrives = draft.sent() + checker.delay;
                let bytes = delivery_report(name, "failed", words, arrives);
                self.travels(bytes, Folder::Inbox, arrives);
            }
        }
    }

    fn travels(&mut self, bytes: Vec<u8>, folder: Folder, arrives: Time) {
        self.travelled += 1;
        self.travelling.insert((arrives, self.travelled), (folder, bytes));
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
            Act::LoginRefused { error } => {
                self.broken(None, Some(error), false)?;
                self.mailbox(None)?.login_refused = true;
            }
            Act::Holds { used, limit } => self.mailbox(None)?.quota = Some((bytes(used)?, bytes(limit)?)),
            Act::CertificateEnds { left } => {
                let (from, until) = (self.now - TimeDelta::days(90), self.now + *left);
                self.mailbox(None)?.certificate = Some(Validity { from, until });
            }
            Act::WatchdogsClock { ahead } => self.watchdog.clock_ahead = *ahead,
            Act::WatchdogStops => self.watchdog.stop(),
            Act::WatchdogStarts => self.start_watchdog()?,
            Act::Arrives { kind, who } => {
                for name in self.names(who)? {
                    self.stranger(*kind, &name)?;
                }
            }
            Act::Forged { who, text, sender } => {
                for name in self.names(who)? {
                    self.travels(forged(&name, text, sender, self.now), Folder::Inbox, self.now);
                }
            }
            Act::Takes { person, token, length } => {
                let until = Some(self.now + *length);
                let (incident, by) = (token.clone(), person.clone());
                self.order(&Order::Acknowledge { incident, by, until, note: None, channel: None })?;
            }
            Act::Resolves { person, token } => {
                self.order(&Order::Resolve { incident: token.clone(), by: person.clone(), note: None })?;
            }
            Act::Drills { person } => self.order(&Order::Drill { channel: None, by: person.clone() })?,
            Act::Presses { person, channel, token } => {
                let (incident, by, channel) = (token.clone(), person.clone(), Some(channel.clone()));
                self.order(&Order::Acknowledge { incident, by, until: None, note: None, channel })?;
            }
            of_checkers => self.act_of_checkers(of_checkers)?,
        }
        Ok(())
    }

    fn act_of_checkers(&mut self, act: &Act) -> Step {
        let now = self.now;
        for name in self.names(act.who())? {
            let mut drafts = vec![];
            let mut arriving = vec![];
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
                Act::RunsTake { length, .. } => checker.run_length = *length,
                Act::RunsTwice { .. } => checker.runs_twice = true,
                Act::Dryrun { said, .. } => checker.says_dryrun = *said,
                Act::Take { delay, .. } => checker.delay = *delay,
                Act::Fate { fate, .. } => checker.fate = fate.clone(),
                Act::Release { .. } => {
                    let held = std::mem::take(&mut checker.held);
                    arriving = held.iter().map(|draft| draft.arrived(now)).collect();
                    checker.fate = Fate::Straight;
                }
                Act::Lose { .. } => checker.held.clear(),
                Act::MoveOutOfJunk { .. } => {
                    let junk = std::mem::take(&mut checker.in_junk);
                    for (draft, received) in junk {
                        let bytes = draft.arrived(received);
                        // A move keeps the moment of receipt.
                        self.mailboxes.iter_mut().for_each(|mailbox| {
                            mailbox.take(Folder::Inbox, &bytes, received);
                        });
                    }
                    self.next_poll = now;
                }
                Act::SendThrough { host, .. } => checker.relay.clone_from(host),
                Act::Sign { signing, .. } => checker.signing = *signing,
                Act::Clock { ahead, .. } => checker.clock_ahead = *ahead,
                _ => {}
            }
            drafts.into_iter().for_each(|draft| self.post(&name, draft));
            arriving.into_iter().for_each(|bytes| self.travels(bytes, Folder::Inbox, now));
        }
        Ok(())
    }

    fn order(&mut self, order: &Order) -> Step {
        let now = self.now + self.watchdog.clock_ahead;
        self.watchdog.engine.as_mut().ok_or("the watchdog is off")?.obey(order, now)?;
        self.settle()
    }

    fn stranger(&mut self, kind: Stranger, name: &str) -> Step {
        let last = || {
            let last = self.fleet.get(name).and_then(|checker| checker.last_mail.as_ref());
            last.ok_or("it has not written yet")
        };
        let bytes = match kind {
            Stranger::SecondCopy => last()?.arrived(self.now),
            Stranger::Replay => last()?.sent_once_more(self.now),
            kind => stranger(kind, name, self.now),
        };
        self.travels(bytes, Folder::Inbox, self.now);
        Ok(())
    }

    fn broken(&mut self, mailbox: Option<&str>, error: Option<&str>, down: bool) -> Step {
        let mailbox = self.mailbox(mailbox)?;
        mailbox.error = error.map(str::to_owned);
        mailbox.login_refused = false;
        mailbox.down = down;
        // The connection breaks, or is there again, and the reader notices.
        self.next_poll = self.now;
        Ok(())
    }

    fn mailbox(&mut self, name: Option<&str>) -> Result<&mut Mailbox, String> {
        let name = name.unwrap_or("MONITOR");
        let found = self.mailboxes.iter_mut().find(|mailbox| mailbox.name == name);
        found.ok_or_else(|| format!("there is no mailbox {name}"))
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
        for checker in &self.config.checkers {
            let services: Vec<String> = checker.tests.iter().map(|test| test.service.clone()).collect();
            let new = || Checker::new(&checker.name, &checker.provider, &services);
            self.fleet.entry(checker.name.clone()).or_insert_with(new);
        }
        for mailbox in &self.config.mailboxes {
            if !self.mailboxes.iter().any(|known| known.name == mailbox.name) {
                self.mailboxes.push(Mailbox::new(&mailbox.name));
            }
        }
        if let Some(engine) = &mut self.watchdog.engine {
            engine.reconfigure(self.config.clone(), self.now + self.watchdog.clock_ahead);
            self.settle()?;
        }
        Ok(())
    }

    fn start_watchdog(&mut self) -> Step {
        self.watchdog.start(&self.config, self.now);
        self.next_poll = self.now;
        self.look()?;
        self.settle()
    }

    /// Every mailbox is read to its end, as far as it can be read.
    fn look(&mut self) -> Step {
        self.next_poll = self.now + POLL;
        let backwards = self.showing == Showing::Backwards;
        self.mailboxes.iter_mut().try_for_each(|mailbox| self.watchdog.look(mailbox, backwards, self.now))
    }

    fn settle(&mut self) -> Step {
        if self.watchdog.settle(self.now)? { self.look() } else { Ok(()) }
    }
}

/// `50GB`, as `watchdog.toml` has it too.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("GB") => 1 << 30,
        Some("MB") => 1 << 20,
        _ => return Err(format!("{text} is no size; write 49GB or 500MB")),
    };
    digits.parse::<u64>().map(|count| count * unit).map_err(|_| format!("{text} is no size"))
}

fn at_line(story: &Story, line: usize, error: &str) -> String {
    format!("{}:{line}: {error}", story.file)
}
