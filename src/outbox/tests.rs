use super::*;
use crate::bulletin::State;
use crate::config::{ChannelKind, Server, Smtp, Tls};
use chrono::{TimeZone, Utc};

mod shaping;

fn at(second: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
}

fn channel(name: &str, spacing: i64) -> Channel {
    let server =
        Server { host: "localhost".into(), port: 25, tls: Tls::Plain, ca_file: None, pin_sha256: None };
    Channel {
        name: name.into(),
        fallback: false,
        events: BTreeSet::new(),
        repeat: None,
        spacing: TimeDelta::seconds(spacing),
        rate: None,
        combine: false,
        provider: None,
        kind: ChannelKind::Smtp(Smtp { server, login: None, from: "a@b.c".into(), to: vec!["d@e.f".into()] }),
    }
}

fn message(id: u64, incident: &str, recipient: &str) -> Message {
    Message {
        id,
        incident: incident.into(),
        ordinal: 1,
        token: format!("{incident}_Checker"),
        kind: Kind::Alarm,
        bulletin: Bulletin::own(incident, &format!("{incident}_Checker"), State::Firing, "bresse8", at(0)),
        channel: "mail".into(),
        recipient: recipient.into(),
        subject: String::new(),
        body: String::new(),
        html: None,
        created: at(0),
        attempts: 0,
        due: at(0),
        last_error: None,
        refused: false,
        refusals: 0,
        handed_over: false,
    }
}

fn failure(error: &str) -> Failure<'_> {
    Failure { error, refused: false, retry_after: None }
}

fn refusal(error: &str) -> Failure<'_> {
    Failure { refused: true, ..failure(error) }
}

fn outbox(messages: &[Message]) -> Outbox {
    Outbox::restore(messages.to_vec(), BTreeMap::new(), at(0))
}

fn taken(outbox: &mut Outbox, second: i64) -> Vec<u64> {
    outbox.take_due(&[channel("mail", 0)], at(second)).iter().flatten().map(|message| message.id).collect()
}

#[test]
fn an_attempt_is_counted_when_it_is_taken_and_gone_only_when_accepted() {
    let mut outbox = outbox(&[message(1, "i", "a")]);
    let first = outbox.take_due(&[channel("mail", 0)], at(0));
    assert_eq!(first[0][0].attempts, 1);
    assert_eq!(taken(&mut outbox, 0), [0; 0], "it is on its way");
    assert_eq!(outbox.iter().count(), 1);
    assert_eq!(outbox.accepted(1).len(), 1);
    assert_eq!(outbox.iter().count(), 0);
}

#[test]
fn waits_double_up_to_five_minutes_and_the_first_is_within_ten_seconds() {
    let mut outbox = outbox(&[message(1, "i", "a")]);
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(outbox.take_due(&[channel("mail", 0)], now).len(), 1);
        let (failed, _) = outbox.failed(1, failure("451 later"), now).remove(0);
        waits.push((failed.due - now).num_seconds());
        assert_eq!(outbox.next_due(&[channel("mail", 0)]), Some(failed.due));
        now = failed.due;
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
}

#[test]
fn a_far_side_that_asks_for_patience_gets_it_from_the_whole_channel_for_an_hour_at_most() {
    // Asked for, in seconds; then when it is tried again, and whether the fallback channels take over at once.
    for (asked, tried, handed_over) in
        [(-7, 5, false), (3, 5, false), (20, 20, false), (31, 31, true), (86_400, 3_600, true)]
    {
        let mut outbox = outbox(&[message(1, "i", "a"), message(2, "j", "b")]);
        let one = [Channel { spacing: TimeDelta::seconds(1), ..channel("mail", 0) }];
        assert_eq!(outbox.take_due(&one, at(0)).len(), 1);
        let patience = Failure { retry_after: Some(TimeDelta::seconds(asked)), ..failure("429") };
        let (failed, hand_over) = outbox.failed(1, patience, at(0)).remove(0);
        assert_eq!((failed.due, hand_over), (at(tried), handed_over), "{asked}");
        let other = if asked > 0 { at(asked.min(3_600)) } else { at(1) };
        assert_eq!(outbox.next_due(&one), Some(other.max(at(1))), "the other message waits too: {asked}");
    }
}

#[test]
fn order_is_kept_within_an_incident_and_recipient_only() {
    let mut outbox =
        outbox(&[message(1, "i", "a"), message(2, "i", "a"), message(3, "i", "b"), message(4, "j", "a")]);
    assert_eq!(taken(&mut outbox, 0), [1, 3, 4]);
    outbox.failed(1, failure("451"), at(0));
    assert_eq!(taken(&mut outbox, 1), [0; 0], "2 waits behind 1");
    assert_eq!(taken(&mut outbox, 5), [1]);
    outbox.accepted(1);
    assert_eq!(taken(&mut outbox, 5), [2]);
}

#[test]
fn the_third_failure_or_a_refusal_hands_over_once() {
    let mut temporary = outbox(&[message(1, "i", "a")]);
    let mut handed = Vec::new();
    for attempt in 0..4 {
        taken(&mut temporary, attempt * 1000);
        handed.push(temporary.failed(1, failure("451"), at(attempt * 1000))[0].1);
    }
    assert_eq!(handed, [false, false, true, false]);
    let mut refused = outbox(&[message(1, "i", "a")]);
    taken(&mut refused, 0);
    let (message, hand_over) = refused.failed(1, refusal("550 no such user"), at(0)).remove(0);
    assert!(hand_over);
    assert_eq!(message.due, at(3600));
}

#[test]
fn after_a_restart_everything_is_due_at_once() {
    let waiting = Message { due: at(9_999), attempts: 7, ..message(1, "i", "a") };
    assert_eq!(taken(&mut outbox(&[waiting]), 0), [1]);
}

#[test]
fn a_channel_has_so_many_on_their_way_and_no_more() {
    let many: Vec<Message> = (1..=10).map(|id| message(id, &format!("i{id}"), "a")).collect();
    let mut outbox = outbox(&many);
    assert_eq!(taken(&mut outbox, 0), [1, 2, 3, 4]);
    assert_eq!(outbox.next_due(&[channel("mail", 0)]), None, "an answer comes first");
    outbox.accepted(2);
    assert_eq!(taken(&mut outbox, 0), [5]);
}

#[test]
fn of_requests_more_are_on_their_way_than_of_mails() {
    let many: Vec<Message> = (1..=40).map(|id| message(id, &format!("i{id}"), "a")).collect();
    let mut outbox = outbox(&many);
    let hook =
        [Channel { kind: ChannelKind::Teams(crate::channel::tests::endpoint()), ..channel("mail", 0) }];
    assert_eq!(outbox.take_due(&hook, at(0)).len(), REQUESTS_IN_FLIGHT_MAX);
    assert_eq!(outbox.next_due(&hook), None, "an answer comes first");
    (1..=8).for_each(|id| drop(outbox.accepted(id)));
    assert_eq!(outbox.take_due(&hook, at(0)).len(), 8);
}

#[test]
fn spacing_keeps_messages_apart() {
    let mut outbox = outbox(&[message(1, "i", "a"), message(2, "j", "a")]);
    let spaced = [channel("mail", 30)];
    assert_eq!(outbox.take_due(&spaced, at(0)).len(), 1);
    assert_eq!(outbox.take_due(&spaced, at(29)).len(), 0);
    assert_eq!(outbox.next_due(&spaced), Some(at(30)));
    assert_eq!(outbox.take_due(&spaced, at(30)).len(), 1);
}

#[test]
fn what_was_refused_for_good_is_dropped_when_its_incident_is_over() {
    let mut outbox = outbox(&[message(1, "i", "a"), message(2, "i", "b"), message(3, "i", "a")]);
    taken(&mut outbox, 0);
    outbox.failed(1, refusal("550"), at(0));
    outbox.failed(2, failure("451"), at(0));
    let dropped = |outbox: &mut Outbox, token| -> Vec<u64> {
        outbox.drop_refused("i", token).iter().map(|message| message.id).collect()
    };
    assert_eq!(dropped(&mut outbox, "other_Checker"), [0; 0], "its own token stands");
    assert_eq!(dropped(&mut outbox, "i_Checker"), [1, 3], "with what waits behind it");
    outbox.put(message(4, "i", "a"));
    assert_eq!(taken(&mut outbox, 5), [4, 2], "in the order in which they are due");
}

#[test]
fn under_one_token_a_new_alarm_waits_for_the_recovery_of_the_old_one() {
    let mut outbox = Outbox::default();
    let of =
        |id, incident, kind| Message { kind, token: "bresse1_Checker".into(), ..message(id, incident, "a") };
    outbox.put(of(1, "a", Kind::Recovery));
    outbox.put(of(2, "b", Kind::Alarm));
    assert_eq!(taken(&mut outbox, 0), [1]);
    outbox.failed(1, refusal("refused"), at(0));
    assert_eq!(taken(&mut outbox, 10), [0; 0], "its turn has not come");
    outbox.put(of(3, "b", Kind::Alarm));
    assert_eq!(taken(&mut outbox, 10), [1], "what stands in the way is tried again at once");
    outbox.accepted(1);
    assert_eq!(taken(&mut outbox, 10), [2]);
    outbox.accepted(2);
    assert_eq!(taken(&mut outbox, 10), [3]);
}

#[test]
fn a_clock_that_is_set_back_keeps_nothing_waiting_for_longer() {
    let channels = [channel("mail", 0)];
    let mut outbox = outbox(&[message(1, "a", "x"), message(2, "b", "y")]);
    assert_eq!(outbox.take_due(&channels, at(7_200)).len(), 2);
    outbox.failed(1, failure("broken"), at(7_200));
    let patience = Failure { retry_after: Some(TimeDelta::seconds(20)), ..failure("later") };
    outbox.failed(2, patience, at(7_200));
    let mut when = BTreeMap::new();
    for second in 3_600..3_700 {
        for message in outbox.take_due(&channels, at(second)).into_iter().flatten() {
            when.insert(message.id, second - 3_600);
        }
    }
    assert_eq!(when, [(1, 20), (2, 20)].into(), "the channel asked for patience");
}
