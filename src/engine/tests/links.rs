//! The link by which whoever received an alarm takes it.

use super::*;
use crate::config::Web;
use crate::links::SECRET_BYTES;

#[test]
fn every_alarm_has_a_link_of_its_own_channel_and_nothing_else_has_one() {
    let web = Web {
        listen: ([127, 0, 0, 1], 8080).into(),
        public_url: Some("https://watch.example/".parse().unwrap()),
        tls: None,
        tokens: Vec::new(),
        lb_from: Vec::new(),
        public_badges: false,
    };
    let channels = vec![channel_config("mail", false), channel_config("phone", false)];
    let mut world = World::new(Config { web: Some(web), channels, ..config() });
    world.engine.link_key = Some(Key::new(&[1; SECRET_BYTES]));
    ["b1", "b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 10));
    world.look(10);
    world.report("b3", 300, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(300);
    world.report("b3", 600, "DRYRUN.OK SQL.OK SHOP.OK");
    world.look(600);
    let told = world.letters.iter().filter(|letter| letter.token == "SQL");
    let links: Vec<(Kind, Option<&str>)> =
        told.clone().map(|letter| (letter.kind, letter.bulletin.link.as_deref())).collect();
    let [
        (Kind::Alarm, Some(mail)),
        (Kind::Alarm, Some(phone)),
        (Kind::Recovery, None),
        (Kind::Recovery, None),
    ] = links.as_slice()
    else {
        panic!("{links:?}");
    };
    let incident = &told.clone().next().unwrap().incident;
    let begins = |channel: &str| format!("https://watch.example/a/{incident}?channel={channel}&until=");
    assert!(mail.starts_with(&begins("mail")) && phone.starts_with(&begins("phone")), "{mail} {phone}");
}
