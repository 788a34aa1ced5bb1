//! Random histories: checkers that come and go, people who act, channels that fail, a watchdog that dies.

use proptest::prelude::*;

use super::*;
use crate::config::Rate;
use crate::orders::Order;
use crate::payload::everything;
use crate::policy::{Policies, Route, Silenced};

const NAMES: [&str; 4] = ["b1", "b2", "b3", "b4"];
const CHANNELS: [&str; 3] = ["mail", "chat", "page"];
/// Looks are no further apart, so that nobody is blind unless a deed says so.
const LOOK_EVERY: i64 = 100;

/// How a far side behaves.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Takes,
    Fails,
    Refuses,
    AsksForPatience(i64),
    /// It takes the message, but its answer is lost.
    IsNotHeard,
    /// Nothing comes back until the watchdog dies or the mood changes.
    Hangs,
}

#[derive(Debug, Clone)]
enum Deed {
    Hear(usize),
    Nok(usize),
    Wait(i64),
    Take(u64, i64),
    Resolve(u64),
    Silence(usize, i64),
    Mood(usize, Mood),
    /// Between the storing and the sending, or at rest.
    Kill(bool),
    Blind(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    let mood = prop_oneof![
        3 => Just(Mood::Takes),
        1 => Just(Mood::Fails),
        1 => Just(Mood::Refuses),
        1 => (1..200_i64).prop_map(Mood::AsksForPatience),
        1 => Just(Mood::IsNotHeard),
        1 => Just(Mood::Hangs),
    ];
    prop_oneof![
        6 => (0..4_usize).prop_map(Deed::Hear),
        4 => (0..4_usize).prop_map(Deed::Nok),
        6 => (1..900_i64).prop_map(Deed::Wait),
        1 => (1..9_u64, 10..2_000_i64).prop_map(|(number, span)| Deed::Take(number, span)),
        1 => (1..9_u64).prop_map(Deed::Resolve),
        1 => (0..4_usize, 10..2_000_i64).prop_map(|(checker, span)| Deed::Silence(checker, span)),
        3 => (0..3_usize, mood).prop_map(|(channel, mood)| Deed::Mood(channel, mood)),
        1 => any::<bool>().prop_map(Deed::Kill),
        1 => (200..400_i64).prop_map(Deed::Blind),
    ]
}

/// `mail` has two recipients, tells again, and has room for little; `chat` may not combine; `page` is for what they do not take.
fn site() -> Config {
    let mut channels = CHANNELS.map(|name| channel_config(name, name == "page"));
    let ChannelKind::Smtp(smtp) = &mut channels[0].kind else { unreachable!() };
    smtp.to.push("second@people.example".into());
    channels[0].rate = Some(Rate { messages: 6, per: TimeDelta::seconds(1_200) });
    channels[0].spacing = TimeDelta::seconds(20);
    channels[0].combine = true;
    channels[1].rate = Some(Rate { messages: 9, per: TimeDelta::seconds(600) });
    channels[2].spacing = TimeDelta::seconds(45);
    channels[2].combine = true;
    let to = |name: &str, repeat| Route {
        events: BTreeSet::new(),
        severities: BTreeSet::new(),
        checkers: BTreeSet::new(),
        providers: BTreeSet::new(),
        services: BTreeSet::new(),
        reasons: BTreeSet::new(),
        channels: [name.to_owned()].into(),
        schedule: None,
        repeat,
        escalations: vec![],
        goes_on: true,
    };
    let routes = vec![to("mail", Some(TimeDelta::seconds(300))), to("chat", None)];
    Config { channels: channels.into(), policies: Policies { routes, ..Policies::default() }, ..config() }
}

/// What a person has been told, or not told, of one token of one incident.
#[derive(Debug, Default)]
struct Told {
    /// The watchdog cannot know that it was not.
    perhaps: bool,
    alarmed: bool,
    recovered: bool,
}

/// Incidents and tokens that a message is about.
fn parts(message: &Message) -> Vec<(String, String)> {
    match &message.bulletin.burst {
        None => vec![(message.incident.clone(), message.token.clone())],
        Some(burst) => {
            assert_eq!(burst.count, burst.parts.len());
            burst.parts.iter().map(|part| (part.incident.clone(), part.token.clone())).collect()
        }
    }
}

struct History {
    world: World,
    site: Config,
    now: i64,
    moods: [Mood; 3],
    hanging: Vec<Message>,
    /// When each channel was tried.
    tried: BTreeMap<String, Vec<i64>>,
    /// By channel, recipient, incident and token.
    told: BTreeMap<[String; 4], Told>,
    longest: usize,
}

impl History {
    fn new() -> Self {
        let site = site();
        Self {
            world: World::new(site.clone()),
            site,
            now: 1,
            moods: [Mood::Takes; 3],
            hanging: vec![],
            tried: BTreeMap::new(),
            told: BTreeMap::new(),
            longest: 0,
        }
    }

    fn obey(&mut self, deed: &Deed) {
        let by = || "Nok, the one on duty".to_owned();
        let order = match *deed {
            Deed::Hear(checker) => {
                self.world.hear(NAMES[checker], self.now);
                None
            }
            Deed::Nok(checker) => {
                self.world.report(NAMES[checker], self.now, "DRYRUN.OK SQL.NOK SHOP.NOK");
                None
            }
            Deed::Wait(seconds) => {
                self.wait(seconds);
                None
            }
            Deed::Blind(seconds) => {
                self.now += seconds;
                None
            }
            Deed::Take(number, span) => Some(Order::Acknowledge {
                incident: number.to_string(),
                by: by(),
                until: Some(at(self.now + span)),
                note: Some("its NOK is known".into()),
                channel: None,
            }),
            Deed::Resolve(number) => {
                Some(Order::Resolve { incident: number.to_string(), by: by(), note: None })
            }
            Deed::Silence(checker, span) => Some(Order::Silence {
                silenced: Silenced { checkers: [NAMES[checker].to_owned()].into(), ..Silenced::default() },
                from: at(self.now),
                until: at(self.now + span),
                by: by(),
                note: None,
            }),
            Deed::Mood(channel, mood) => {
                self.moods[channel] = mood;
                for message in std::mem::take(&mut self.hanging) {
                    self.world.engine.sent(message.id, Sent::failed("no answer"), at(self.now));
                }
                None
            }
            Deed::Kill(sending) => {
                if sending {
                    for message in self.take().into_iter().filter(|message| message.kind == Kind::Alarm) {
                        // Before it is sent, whatever the far side would say.
                        for (incident, token) in parts(&message) {
                            let key = [message.channel.clone(), message.recipient.clone(), incident, token];
                            self.told.entry(key).or_default().perhaps = true;
                        }
                    }
                    self.world.store();
                }
                self.hanging.clear();
                self.world.revive(self.site.clone(), self.now);
                None
            }
        };
        if let Some(order) = order {
            // There may be no such incident.
            let _ = self.world.engine.obey(&order, at(self.now));
        }
        self.step();
    }

    fn wait(&mut self, seconds: i64) {
        let until = self.now + seconds;
        while self.now < until {
            self.now = (self.now + LOOK_EVERY).min(until);
            self.step();
        }
    }

    /// As the daemon does it: look, judge, store, send, take in the answers.
    fn step(&mut self) {
        self.world.engine.looked("MONITOR", at(self.now), super::History::Complete, at(self.now));
        self.world.engine.tick(at(self.now));
        loop {
            let due = self.take();
            self.world.store();
            if due.is_empty() {
                break;
            }
            due.into_iter().for_each(|message| self.send(message));
        }
        let next = self.world.engine.outbox().next_due(&self.site.channels);
        assert!(next.is_none_or(|next| next > at(self.now)), "the daemon would spin");
        self.now += 1;
    }

    fn take(&mut self) -> Vec<Message> {
        let due = self.world.engine.take_due(at(self.now));
        for message in &due {
            self.tried.entry(message.channel.clone()).or_default().push(self.now);
        }
        for message in due.iter().filter(|message| message.kind == Kind::Alarm) {
            let place = CHANNELS.iter().position(|name| *name == message.channel).unwrap();
            if matches!(self.moods[place], Mood::Refuses) {
                continue;
            }
            for (incident, token) in parts(message) {
                let key = [message.channel.clone(), message.recipient.clone(), incident, token];
                self.told.entry(key).or_default().perhaps = true;
            }
        }
        due
    }

    fn send(&mut self, message: Message) {
        let place = CHANNELS.iter().position(|name| *name == message.channel).unwrap();
        let now = at(self.now);
        let sent = match self.moods[place] {
            Mood::Takes => {
                self.read(&message, true);
                Sent::Accepted("250 ok".into())
            }
            Mood::IsNotHeard => {
                self.read(&message, false);
                Sent::failed("no answer")
            }
            Mood::Fails => Sent::failed("451 later"),
            Mood::Refuses => Sent::Refused("550 never".into()),
            Mood::AsksForPatience(seconds) => {
                let retry_after = Some(TimeDelta::seconds(seconds));
                Sent::Failed { error: "429".into(), retry_after }
            }
            Mood::Hangs => {
                self.hanging.push(message);
                return;
            }
        };
        self.world.engine.sent(message.id, sent, now);
    }

    /// A person reads it. `known`: the watchdog will know that it was taken.
    fn read(&mut self, message: &Message, known: bool) {
        let text = format!("{}\n{}\n{}", message.subject, message.body, everything(message));
        let alarm = message.kind == Kind::Alarm;
        assert_eq!(alarm, message.subject.contains(".NOK"), "{text}");
        assert!(alarm || !text.to_lowercase().contains("nok"), "{text}");
        let parts = parts(message);
        self.longest = self.longest.max(parts.len());
        let ending = if alarm { ".NOK" } else { ".OK" };
        for (incident, token) in parts {
            assert!(text.contains(&incident) && text.contains(&token), "{text}");
            if message.kind == Kind::Notice {
                continue;
            }
            assert!(text.contains(&format!("{token}{ending}")), "{text}");
            let key = [message.channel.clone(), message.recipient.clone(), incident, token];
            let told = self.told.entry(key.clone()).or_default();
            if alarm {
                *told = Told { perhaps: true, alarmed: true, recovered: false };
            } else {
                assert!(told.perhaps, "a recovery of what was not alarmed: {key:?}");
                assert!(!told.recovered, "recovered twice: {key:?}");
                told.recovered = known;
                told.perhaps = !known;
            }
        }
    }

    /// All is well again.
    fn end(&mut self) {
        for channel in 0..3 {
            self.obey(&Deed::Mood(channel, Mood::Takes));
        }
        for round in 0..400 {
            NAMES.iter().for_each(|name| self.world.hear(name, self.now));
            self.wait(200);
            let open: Vec<u64> = self.world.engine.open_incidents().map(|incident| incident.number).collect();
            let waits = self.world.engine.outbox().iter().next().is_some();
            if open.is_empty() && !waits {
                return;
            }
            // A channel to which nothing is to be sent cannot show that it works.
            if round == 60 || (round > 60 && !waits) {
                open.iter().for_each(|number| self.obey(&Deed::Resolve(*number)));
            }
        }
        panic!("it does not end: {:?}", self.world.engine.outbox().iter().collect::<Vec<_>>());
    }

    fn check_paces(&self) {
        for channel in &self.site.channels {
            let Some(tried) = self.tried.get(&channel.name) else { continue };
            for (index, second) in tried.iter().enumerate() {
                let later = &tried[index + 1..];
                let spacing = channel.spacing.num_seconds();
                assert!(
                    later.first().is_none_or(|next| next - second >= spacing),
                    "{}: {tried:?}",
                    channel.name
                );
                if let Some(rate) = channel.rate {
                    let within = later.iter().take_while(|next| *next - second < rate.per.num_seconds());
                    assert!(within.count() < rate.messages, "{}: {tried:?}", channel.name);
                }
            }
        }
    }

    /// Every message ever composed left the outbox once: taken, or overtaken by a recovery after it was refused.
    fn check_deliveries(&self) {
        let mut left: Vec<u64> = self.world.deliveries.iter().map(|delivery| delivery.message.id).collect();
        left.sort_unstable();
        let composed: Vec<u64> = (1..=self.world.disk.last_message).collect();
        assert_eq!(left, composed);
        for delivery in self.world.deliveries.iter().filter(|delivery| delivery.answer.is_none()) {
            assert_ne!(delivery.message.kind, Kind::Recovery, "a recovery is never dropped");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whoever_had_an_alarm_hears_once_of_its_end_and_no_channel_is_tried_too_often(
        deeds in proptest::collection::vec(deed(), 1..60)
    ) {
        let mut history = History::new();
        deeds.iter().for_each(|deed| history.obey(deed));
        history.end();
        for (key, told) in history.told.iter().filter(|(_, told)| told.alarmed) {
            prop_assert!(told.recovered, "never recovered: {:?}", key);
        }
        history.check_paces();
        history.check_deliveries();
    }
}

/// The histories above are worth something only if things do go together in them.
#[test]
fn a_history_with_a_burst() {
    let mut history = History::new();
    NAMES.iter().for_each(|name| history.world.hear(name, 1));
    history.obey(&Deed::Mood(0, Mood::Hangs));
    for checker in 0..4 {
        history.obey(&Deed::Nok(checker));
    }
    history.obey(&Deed::Wait(700));
    history.obey(&Deed::Kill(true));
    history.obey(&Deed::Mood(0, Mood::Takes));
    history.end();
    assert!(history.longest >= 2, "{}", history.longest);
    assert!(history.told.values().all(|told| told.recovered));
    history.check_paces();
    history.check_deliveries();
}
