//! What opens a mailbox ends.

use super::*;
use crate::config::OAuth2;
use crate::expiry::Validity;
use crate::reason::Reason;

const DAY: i64 = 86_400;

fn certificate(until_day: i64) -> Validity {
    Validity { from: at(0) + TimeDelta::days(until_day - 90), until: at(0) + TimeDelta::days(until_day) }
}

fn with_secret(until_day: i64) -> Config {
    let mut config = config();
    config.mailboxes[0].login = Login::OAuth2(OAuth2 {
        token_url: "https://login.example/token".parse().unwrap(),
        client_id: "c".into(),
        client_secret: Secret::Value("x".to_owned().into()),
        scope: "s".into(),
        client_secret_expires: Some(at(0) + TimeDelta::days(until_day)),
    });
    config
}

/// Without checkers, which would fall silent over these spans.
fn world(mut config: Config) -> World {
    config.checkers.clear();
    World::new(config)
}

#[test]
fn a_certificate_that_nobody_renews_is_alarmed_once_and_recovers() {
    let mut world = world(config());
    world.engine.certificate_seen("MONITOR", Some(certificate(8)));
    world.tick(1);
    world.expect(&[]); // a week is left
    let wake = world.engine.next_wake().unwrap();
    world.engine.looked("MONITOR", at(DAY), History::Complete, at(DAY));
    assert!(wake <= at(DAY), "{wake}");
    world.tick(DAY);
    world.expect(&["MONITOR_Expiry.NOK"]);
    let cause = world.engine.open_incidents().next().unwrap().cause.clone().unwrap();
    assert_eq!(cause.reason, Reason::AuthExpired, "ahead of time");
    world.tick(DAY + 60);
    world.engine.certificate_seen("MONITOR", Some(certificate(8)));
    world.tick(DAY + 120);
    world.expect(&[]); // once

    world.engine.certificate_seen("MONITOR", Some(certificate(98)));
    world.tick(DAY + 180);
    world.expect(&["MONITOR_Expiry.OK"]);
    assert_eq!(world.engine.open_incidents().count(), 0);
}

#[test]
fn certificates_that_are_renewed_in_time_are_never_alarmed() {
    let mut world = world(config());
    for renewal in 0..5 {
        for day in 0..82 {
            let now = (renewal * 82 + day) * DAY + 1;
            world.engine.certificate_seen("MONITOR", Some(certificate(renewal * 82 + 90)));
            world.engine.looked("MONITOR", at(now), History::Complete, at(now));
            world.tick(now);
        }
    }
    world.expect(&[]);
}

#[test]
fn a_client_secret_joins_the_certificate_and_both_have_to_be_renewed() {
    let mut world = world(with_secret(20));
    world.engine.certificate_seen("MONITOR", Some(certificate(5)));
    world.tick(1);
    world.expect(&["MONITOR_Expiry.NOK"]);
    let first = world.letters.last().unwrap().clone();
    world.engine.looked("MONITOR", at(7 * DAY), History::Complete, at(7 * DAY));
    world.tick(7 * DAY);
    world.expect(&["MONITOR_Expiry.NOK"]); // somebody else may have to act
    let second = world.letters.last().unwrap();
    assert!(!first.body.contains("client secret") && second.body.contains("client secret"), "{second:?}");
    assert_eq!(first.incident, second.incident);

    world.engine.certificate_seen("MONITOR", Some(certificate(100)));
    world.tick(7 * DAY + 60);
    world.expect(&[]); // the secret still ends
    let mut renewed = with_secret(400);
    renewed.checkers.clear();
    world.engine.reconfigure(renewed, at(7 * DAY + 90));
    world.tick(7 * DAY + 120);
    world.expect(&["MONITOR_Expiry.OK"]);
}

#[test]
fn a_restart_alarms_nothing_twice_and_a_mailbox_that_goes_takes_its_alarm_along() {
    let mut config = with_secret(3);
    config.mailboxes.push(mailbox_config("second"));
    let mut world = world(config.clone());
    world.tick(1);
    world.expect(&["MONITOR_Expiry.NOK"]);
    config.checkers.clear();
    world.restart(config.clone(), 60);
    world.tick(61);
    world.expect(&[]);
    config.mailboxes.remove(0);
    world.engine.reconfigure(config, at(62));
    world.tick(63);
    world.expect(&["MONITOR_Expiry.OK"]);
}

#[test]
fn the_alarm_about_a_mailbox_knows_that_the_login_is_refused() {
    let mut world = World::new(config());
    let reason = |world: &World| world.engine.open_incidents().next().unwrap().cause.clone().unwrap().reason;
    world.engine.look_failed("MONITOR", "no route to host", at(10));
    world.tick(200);
    world.expect(&["MONITOR_Mailbox.NOK"]);
    assert_eq!(reason(&world), Reason::WatcherBlind);
    world.engine.login_refused("MONITOR", "AADSTS7000222", at(210));
    assert_eq!(reason(&world), Reason::AuthExpired);
    world.engine.look_failed("MONITOR", "no route to host", at(220));
    assert_eq!(reason(&world), Reason::AuthExpired, "as it was last known");
}

#[test]
fn a_refused_login_is_remembered_as_such_until_something_else_is_true() {
    let mut world = World::new(config());
    let refused = |world: &World| world.engine.mailboxes()["MONITOR"].login_refused;
    world.engine.login_refused("MONITOR", "wrong password", at(10));
    assert!(refused(&world));
    world.engine.look_failed("MONITOR", "no route to host", at(20));
    assert!(!refused(&world));
    world.engine.login_refused("MONITOR", "wrong password", at(30));
    world.look(40);
    assert!(!refused(&world));
}

#[test]
fn the_client_secret_of_a_channel_is_alarmed_like_that_of_a_mailbox() {
    let with_channel_secret = |until_day: Option<i64>| {
        let mut config = with_secret(400);
        let Login::OAuth2(oauth2) = config.mailboxes[0].login.clone() else { panic!() };
        let ChannelKind::Smtp(smtp) = &mut config.channels[0].kind else { panic!() };
        let client_secret_expires = until_day.map(|day| at(0) + TimeDelta::days(day));
        let oauth2 = OAuth2 { client_secret_expires, ..oauth2 };
        smtp.login = Some(("w".to_owned(), Login::OAuth2(oauth2)));
        config.checkers.clear();
        config
    };
    let mut world = world(with_channel_secret(Some(15)));
    world.engine.looked("MONITOR", at(0), History::Complete, at(0));
    world.tick(1);
    world.expect(&[]);
    assert!(world.engine.expiry_times().any(|time| time == at(DAY)));
    world.engine.looked("MONITOR", at(DAY), History::Complete, at(DAY));
    world.tick(DAY);
    world.expect(&["mail_Channel_Expiry.NOK"]);
    let alarm = world.letters.last().unwrap().clone();
    assert_eq!(alarm.subject, "mail_Channel_Expiry.NOK the client secret ends in 14 d (channel mail)");
    assert!(alarm.body.contains("nobody hears anything by this channel"), "{}", alarm.body);
    let cause = world.engine.open_incidents().next().unwrap().cause.clone().unwrap();
    assert_eq!(cause.reason, Reason::AuthExpired);
    world.tick(DAY + 60);
    world.expect(&[]);

    world.engine.reconfigure(with_channel_secret(Some(400)), at(DAY + 90));
    world.tick(DAY + 91);
    world.expect(&["mail_Channel_Expiry.OK"]);
    let told = &world.letters.last().unwrap().body;
    assert!(told.contains("Renewed for the channel mail: client secret."), "{told}");

    // One whose end nobody knows any more, and a channel that goes, take their alarms along.
    world.engine.reconfigure(with_channel_secret(Some(3)), at(DAY + 100));
    world.tick(DAY + 101);
    world.expect(&["mail_Channel_Expiry.NOK"]);
    world.engine.reconfigure(with_channel_secret(None), at(DAY + 110));
    world.tick(DAY + 111);
    world.expect(&["mail_Channel_Expiry.OK"]);
    let mut two = with_channel_secret(Some(3));
    two.channels.push(channel_config("phone", false));
    world.engine.reconfigure(two.clone(), at(DAY + 120));
    world.tick(DAY + 121);
    world.expect(&["mail_Channel_Expiry.NOK", "mail_Channel_Expiry.NOK"]);
    two.channels.remove(0);
    world.engine.reconfigure(two, at(DAY + 130));
    world.tick(DAY + 131);
    world.expect(&["mail_Channel_Expiry.OK"]);
}
