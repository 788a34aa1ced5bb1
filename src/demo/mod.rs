//! The whole product in one process: simulated checkers mail to an embedded mail server, the real service reads it,
//! judges and alarms over real connections, and a story shows what it does. At the end the story is verified.

mod checkers;
mod screen;
mod stage;
mod story;

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::checkers::{CHECKERS, Fleet};
pub use self::screen::Look;
use self::screen::{Line, Screen, Tone};
use self::stage::{Stage, Watchdog};
use self::story::{Act, Arrived, LONGEST, SHORTEST, STORY, Scene};
use crate::clock;
use crate::engine::{Engine, Snapshot};
use crate::mail;
use crate::store::Store;
use crate::testbed::smtp::AcceptedMail;
use crate::text::one_line;
use crate::verdict::State;
use crate::view::{Health, LastSeen};

/// The table is redrawn, and the script looked at, so often.
const FRAME: Duration = Duration::from_millis(200);
/// The service makes its state file within this time.
const STARTING: Duration = Duration::from_secs(5);

/// Plays the story to its end and verifies it.
///
/// # Errors
/// One sentence when the story did not go as it should, or was ended before. A reader of standard output that goes away
/// ends it without one.
pub async fn run(look: Look) -> Result<()> {
    match play(look).await {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        ended => ended,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn play(look: Look) -> Result<()> {
    let mut signals = Signals::new()?;
    let stage = Stage::build()?;
    let mut screen = Screen::open(look)?;
    introduce(&mut screen, &stage)?;
    let mut watchdog = Watchdog::start(stage.config.clone());
    let mut play = Play::begin(stage, screen);
    let played = play.play_all(&mut watchdog, &mut signals).await;
    let stopped = watchdog.stop().await;
    played.and(stopped)?;
    play.conclude()
}

struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self> {
        let on = |kind| signal(kind).context("Signals cannot be handled");
        Ok(Self([on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

fn introduce(screen: &mut Screen, stage: &Stage) -> io::Result<()> {
    for line in [
        "Seven checkers, their mailbox and the watchdog, all in this process, for 45 s.",
        "Only the checkers and what befalls them are simulated. Times are UTC.",
        "Meanwhile, in another terminal:",
    ] {
        screen.say(&Line::new(Tone::Plain, line))?;
    }
    let file = stage.config_file.display();
    screen.say(&Line::new(Tone::Plain, format!("  bresse-watchdog last-seen --config {file}")))?;
    screen.say(&Line::default())
}

/// The story under way.
struct Play {
    stage: Stage,
    screen: Screen,
    started: Instant,
    /// None before the first scene.
    fleet: Option<Fleet>,
    /// None until the service has made it.
    store: Option<Store>,
    /// How many scenes are over.
    scenes: usize,
    /// When each scene that causes a mail was played.
    played: Vec<Duration>,
    came: Vec<Arrived>,
    /// Who is late, as far as the reader was told.
    late: BTreeSet<String>,
}

impl Play {
    fn begin(stage: Stage, screen: Screen) -> Self {
        Self {
            stage,
            screen,
            started: Instant::now(),
            fleet: None,
            store: None,
            scenes: 0,
            played: Vec::new(),
            came: Vec::new(),
            late: BTreeSet::new(),
        }
    }

    async fn play_all(&mut self, watchdog: &mut Watchdog, signals: &mut Signals) -> Result<()> {
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = signals.next() => {
                    bail!("The demo was ended before its story was over; nothing of it remains.")
                }
                error = watchdog.broke_off() => return Err(error),
                Some(mail) = self.stage.alarms.next_mail(LONGEST) => self.mail_came(&mail)?,
                _ = frames.tick() => {
                    self.act().await?;
                    if self.frame()? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Plays the scenes whose time has come.
    async fn act(&mut self) -> Result<()> {
        while let Some(scene) = STORY.get(self.scenes)
            && scene.at <= self.started.elapsed()
        {
            self.scenes += 1;
            if scene.table_before {
                let seen = self.last_seen()?;
                self.screen.print(&seen)?;
            }
            self.tell(scene.says)?;
            self.perform(scene).await?;
        }
        match self.fleet.as_mut().and_then(Fleet::failure) {
            Some(failure) => bail!("A simulated checker is in trouble of its own: {failure}."),
            None => Ok(()),
        }
    }

    async fn perform(&mut self, scene: &Scene) -> Result<()> {
        match scene.act {
            Act::StartCheckers => self.fleet = Some(Fleet::start(self.stage.submission_port())),
            Act::ServiceFails { service, seen_by } => {
                self.change(seen_by, |condition| condition.failing = Some(service));
            }
            Act::ServiceWorks { seen_by } => self.change(seen_by, |condition| condition.failing = None),
            Act::CheckerDies(name) => self.change(name, |condition| condition.on = false),
            Act::CheckerReturns(name) => self.change(name, |condition| condition.on = true),
            Act::MailboxGoes => self.stage.mailbox.stop().await.context("The mailbox cannot go away")?,
            Act::MailboxReturns => {
                self.stage.mailbox.restart().await.context("The mailbox cannot come back")?;
            }
        }
        if scene.causes.is_some() {
            self.played.push(self.started.elapsed());
        }
        Ok(())
    }

    fn change(&self, checker: &str, change: impl FnOnce(&mut checkers::Condition)) {
        if let Some(fleet) = &self.fleet {
            fleet.change(checker, change);
        }
    }

    /// A line of the story.
    fn tell(&mut self, says: &str) -> io::Result<()> {
        let second = self.started.elapsed().as_secs();
        self.screen.say(&Line::new(Tone::Bold, format!("── {second} s: {says}")))
    }

    /// Every mail of the watchdog is one plain line with its subject.
    fn mail_came(&mut self, mail: &AcceptedMail) -> Result<()> {
        let subject = one_line(&mail::parse(&mail.bytes, false).subject);
        let token = story::token(&subject)
            .ok_or_else(|| anyhow!("The watchdog sent a mail without a token: {subject}"))?
            .to_owned();
        let tone = if token.ends_with(".NOK") { Tone::Bad } else { Tone::Good };
        let line = format!("{}  mail to {}: ", mail.accepted_at.format("%H:%M:%S"), recipients(mail));
        let words = subject.get(token.len()..).unwrap_or_default();
        self.screen.say(&Line::new(Tone::Plain, line).with(tone, &token).with(Tone::Plain, words))?;
        self.came.push(Arrived { token, at: self.started.elapsed() });
        Ok(())
    }

    /// Redraws the table. True when the story is over.
    fn frame(&mut self) -> Result<bool> {
        let seen = self.last_seen()?;
        let elapsed = self.started.elapsed();
        let read = seen.heard_until.map_or("not read yet".to_owned(), |until| {
            format!("read {} s ago", (seen.as_of - until).num_seconds())
        });
        let below = format!(
            "{} s of {} s   mailbox {read}   reports in it: {}   mails to oncall: {}",
            elapsed.as_secs(),
            SHORTEST.as_secs(),
            self.stage.reports(),
            self.came.len()
        );
        self.tell_late(&seen)?;
        self.screen.show(&seen, &below)?;
        let complete = self.came.len() >= story::causes().count() && self.health(&seen) == Health::Well;
        Ok(elapsed >= LONGEST || (elapsed >= SHORTEST && complete))
    }

    /// Lateness is no alarm and passes quickly; where the table is not always in sight it would go unseen.
    fn tell_late(&mut self, seen: &LastSeen) -> io::Result<()> {
        let late = seen.checkers.iter().filter(|checker| checker.state == State::Late);
        let late: BTreeSet<String> = late.map(|checker| checker.name.clone()).collect();
        for name in late.difference(&self.late) {
            let line = format!("{}  {name} is ", seen.as_of.format("%H:%M:%S"));
            let line = Line::new(Tone::Plain, line).with(Tone::Warning, State::Late.word());
            self.screen.say(&line.with(Tone::Plain, ": only the mail path can still excuse it"))?;
        }
        self.late = late;
        Ok(())
    }

    /// The table as the command `last-seen` reads it: from the state file, beside the running service.
    fn last_seen(&mut self) -> Result<LastSeen> {
        if self.store.is_none() {
            match Store::open_read_only(&self.stage.config.state) {
                Ok(store) => self.store = Some(store),
                Err(_) if self.started.elapsed() < STARTING => {}
                Err(error) => return Err(error),
            }
        }
        let snapshot = self.store.as_ref().map_or_else(|| Ok(Snapshot::default()), Store::load)?;
        let now = clock::now();
        Ok(LastSeen::of(&Engine::restore(self.stage.config.clone(), snapshot, now), now))
    }

    fn health(&self, seen: &LastSeen) -> Health {
        seen.health(self.stage.config.blind_after())
    }

    /// Verifies the story and sums it up.
    fn conclude(&mut self) -> Result<()> {
        let seen = self.last_seen()?;
        self.screen.print(&seen)?;
        self.screen.freeze()?;
        let delays = story::verify(&self.came, &self.played)
            .map_err(|wrong| anyhow!("The demo did not go as it should: {wrong}."))?;
        if self.health(&seen) != Health::Well {
            bail!("The demo did not go as it should: at its end not all is well, as the table shows.");
        }
        self.tell("all is well again; the story is over")?;
        for line in summary(&delays, self.stage.reports()) {
            self.screen.say(&Line::new(Tone::Plain, line))?;
        }
        Ok(())
    }
}

/// The local parts: the domain is the same for all and would not fit into 80 columns.
fn recipients(mail: &AcceptedMail) -> String {
    let short = |address: &String| address.split('@').next().map(|local| format!("{}@…", one_line(local)));
    mail.to.iter().filter_map(short).collect::<Vec<_>>().join(", ")
}

/// The tokens are left out: a script that looks for them shall find each once.
fn summary(delays: &[Duration], reports: usize) -> Vec<String> {
    let what = [
        "one service fails as seen by one checker",
        "one checker dies (silent after 7 s)",
        "the mailbox goes away (blind after 3 s)",
    ];
    let mut lines = vec![String::new(), format!("{:<41}{:>14}{:>18}", "", "alarm after", "all-clear after")];
    for (what, pair) in what.iter().zip(delays.chunks(2)) {
        let seconds: Vec<String> = pair.iter().map(|delay| format!("{:.1} s", delay.as_secs_f64())).collect();
        let [alarm, all_clear] = seconds.as_slice() else { continue };
        lines.push(format!("{what:<41}{alarm:>14}{all_clear:>18}"));
    }
    lines.push(String::new());
    let (checkers, mails) = (CHECKERS.len(), delays.len());
    lines.push(format!(
        "{reports} reports from {checkers} checkers were mailed, and {mails} mails to oncall."
    ));
    lines.extend(
        [
            "",
            "Proven, over real connections and with a real state file:",
            "  - a service that fails is told, with who saw it;",
            "  - a checker that says nothing any more is told all the same;",
            "  - a mailbox that cannot be read is one alarm, and none about checkers;",
            "  - each was told once, in order, and each got its all-clear.",
            "",
            "What to do next:",
            "  1. Write your mailbox, your checkers and a channel into watchdog.toml.",
            "  2. bresse-watchdog check    connects to everything and says what works",
            "  3. bresse-watchdog run      watches",
        ]
        .map(str::to_owned),
    );
    lines
}
