use super::*;
use chrono_tz::Tz;
use std::collections::BTreeSet;

fn at(minute: i64) -> Time {
    // Friday 20 November 2026, 17:00 in Paris.
    "2026-11-20T16:00:00Z".parse::<Time>().unwrap() + TimeDelta::minutes(minute)
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn route(channels: &[&str]) -> Route {
    Route {
        events: BTreeSet::new(),
        severities: BTreeSet::new(),
        checkers: BTreeSet::new(),
        providers: BTreeSet::new(),
        services: BTreeSet::new(),
        reasons: BTreeSet::new(),
        channels: set(channels),
        schedule: None,
        repeat: None,
        escalations: vec![],
        goes_on: false,
    }
}

fn office() -> Arc<Schedule> {
    Arc::new(Schedule {
        name: "office".into(),
        zone: Tz::Europe__Paris,
        hours: vec![Hours::parse("mon-fri 08:00-18:00").unwrap()],
        holidays: BTreeSet::new(),
    })
}

fn matter() -> Matter {
    Matter {
        event: Event::Checker,
        severity: Severity::Critical,
        checkers: [("b1".to_owned(), "free".to_owned()), ("b2".to_owned(), "orange".to_owned())].into(),
        service: None,
        reason: Some(Reason::CheckerDead),
    }
}

fn told(routes: Vec<Route>, taken: bool, minute: i64) -> (Vec<String>, Option<i64>) {
    let policies = Policies { routes, ..Policies::default() };
    let usual = BTreeMap::from([("usual".to_owned(), None)]);
    let plan = policies.plan(&matter(), at(0), taken, &usual, at(minute));
    let next = plan.next.map(|next| (next - at(0)).num_minutes());
    (plan.channels.into_keys().collect(), next)
}

#[test]
fn the_first_open_route_that_matches_decides_and_one_that_goes_on_adds() {
    let in_office = Route { schedule: Some(office()), ..route(&["teams"]) };
    let by_day_or_night = vec![in_office.clone(), route(&["phone"])];
    assert_eq!(told(by_day_or_night.clone(), false, 0), (vec!["teams".into()], Some(60)));
    assert_eq!(told(by_day_or_night, false, 60), (vec!["phone".into()], Some(63 * 60)));
    assert_eq!(told(vec![in_office.clone()], false, 60), (vec![], Some(63 * 60)), "it waits for Monday");
    let goes_on = Route { goes_on: true, ..route(&["log"]) };
    assert_eq!(told(vec![goes_on, in_office], false, 0).0, ["log", "teams"]);
    let other = Route { reasons: [Reason::Junked].into(), ..route(&["x"]) };
    assert_eq!(
        told(vec![other], false, 0),
        (vec!["usual".into()], None),
        "what no route knows does not vanish"
    );
    assert_eq!(told(vec![], false, 0), (vec!["usual".into()], None));
}

#[test]
fn every_condition_must_hold_and_one_of_a_list_is_enough() {
    let holds = |change: fn(&mut Route)| {
        let mut route = route(&["x"]);
        change(&mut route);
        route.matches(&matter())
    };
    assert!(holds(|_| ()));
    assert!(holds(|it| it.checkers = set(&["b2", "b9"])));
    assert!(!holds(|it| it.checkers = set(&["b9"])));
    assert!(holds(|it| it.providers = set(&["free"])));
    assert!(!holds(|it| it.providers = set(&["sfr"])));
    assert!(!holds(|it| it.services = set(&["SQL"])), "a silence is about no service");
    assert!(holds(|it| it.events = [Event::Checker].into()));
    assert!(!holds(|it| it.events = [Event::Service].into()));
    assert!(!holds(|it| it.severities = [Severity::Warning].into()));
    assert!(!holds(|it| {
        it.checkers = set(&["b1"]);
        it.reasons = [Reason::Junked].into();
    }));
}

#[test]
fn who_takes_it_stops_the_escalation() {
    let step =
        |minutes, channel| Escalation { after: TimeDelta::minutes(minutes), channels: set(&[channel]) };
    let route = Route { escalations: vec![step(10, "phone"), step(30, "boss")], ..route(&["teams"]) };
    let told = |taken, minute| told(vec![route.clone()], taken, minute);
    assert_eq!(told(false, 9), (vec!["teams".into()], Some(10)));
    assert_eq!(told(false, 10), (vec!["phone".into(), "teams".into()], Some(30)));
    assert_eq!(told(false, 30), (vec!["boss".into(), "phone".into(), "teams".into()], None));
    assert_eq!(told(true, 30), (vec!["teams".into()], None));
}

#[test]
fn a_silence_holds_only_when_it_covers_all_that_the_matter_is_about() {
    let silenced = |checkers: &[&str], providers: &[&str], services: &[&str]| Silenced {
        checkers: set(checkers),
        providers: set(providers),
        services: set(services),
    };
    let (both, service) = (matter(), Matter { service: Some("SQL".into()), ..matter() });
    assert!(silenced(&[], &[], &[]).covers(&both));
    assert!(!silenced(&["b1"], &[], &[]).covers(&both));
    assert!(silenced(&["b1"], &["orange"], &[]).covers(&both));
    assert!(!silenced(&[], &[], &["SQL"]).covers(&both));
    assert!(silenced(&[], &[], &["SQL"]).covers(&service));
    assert!(!silenced(&["b1"], &[], &["SHOP"]).covers(&service));
    let blind = Matter { checkers: BTreeMap::new(), event: Event::Mailbox, ..matter() };
    assert!(!silenced(&["b1", "b2"], &[], &[]).covers(&blind));
}

#[test]
fn a_silence_has_its_time() {
    let by_hand = Silencing {
        id: 1,
        silenced: Silenced::default(),
        from: at(10),
        until: at(20),
        by: "Anna".into(),
        note: None,
    };
    let holds = |minute| by_hand.holds(&matter(), at(minute));
    assert_eq!(holds(9), (false, Some(at(10))));
    assert_eq!(holds(10), (true, Some(at(20))));
    assert_eq!(holds(20), (false, None));
    let maintenance = Maintenance { silenced: Silenced::default(), schedule: office() };
    let policies = Policies { maintenance: vec![maintenance], ..Policies::default() };
    assert_eq!(policies.silenced(&matter(), [&by_hand].into_iter(), at(0)), (true, Some(at(10))));
    assert_eq!(policies.silenced(&matter(), [&by_hand].into_iter(), at(70)), (false, Some(at(63 * 60))));
}
