use super::*;
use crate::mail::Status;
use chrono::{TimeZone, Utc};

fn at(second: i64) -> Time {
    Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
}

/// Heard at 0, silent since 400, and nothing else is known; everything up to 401 was read.
fn silent() -> Evidence<'static> {
    Evidence {
        state: State::Silent,
        heard_at: Some(at(0)),
        last_received: Some(at(0)),
        watched_since: Some(at(-1000)),
        heard_until: Some(at(401)),
        cycle: TimeDelta::seconds(300),
        deadline: TimeDelta::seconds(400),
        together: Together::Alone,
        newest_heard: Some(at(299)),
        canary_received: None,
        canary_missing: None,
        login_refused: None,
        junked: None,
        bounced: None,
        delayed: None,
        full: None,
        held: None,
        spoof: None,
        clock: None,
    }
}

fn reason(evidence: &Evidence<'_>) -> Option<(Reason, Confidence)> {
    diagnose(evidence).map(|cause| (cause.reason, cause.confidence))
}

fn bounce(second: i64, status: &str) -> Bounce {
    Bounce { received: at(second), status: Status::parse(status), said: "no".to_owned() }
}

fn held(second: i64) -> Held {
    Held { received: at(second), held_ms: 600_000, hop: None }
}

#[test]
fn each_row_of_the_table_and_its_near_miss() {
    use Confidence::{Certain, Likely, Possible};
    use Reason::*;
    let (rejected, over_quota, slow, early) = (bounce(1, "5.7.1"), bounce(1, "5.2.2"), held(100), held(-10));
    let shared = ["relay.example".to_owned()];
    let of = |change: fn(&mut Evidence<'_>)| {
        let mut evidence = silent();
        change(&mut evidence);
        reason(&evidence)
    };
    assert_eq!(of(|_| ()), Some((CheckerDead, Likely)), "another was heard when it was nearly due");
    assert_eq!(of(|it| it.newest_heard = Some(at(270))), Some((Unknown, Possible)));
    assert_eq!(of(|it| it.newest_heard = Some(at(271))), Some((CheckerDead, Likely)));
    assert_eq!(of(|it| it.heard_at = None), Some((NeverSeen, Certain)));
    assert_eq!(of(|it| it.junked = Some(at(1))), Some((Junked, Certain)));
    assert_eq!(of(|it| it.junked = Some(at(0))), Some((CheckerDead, Likely)), "older than what was heard");
    let stale = Evidence { junked: Some(at(1)), heard_until: Some(at(402)), ..silent() };
    assert_eq!(reason(&stale), Some((CheckerDead, Likely)), "nothing came into Junk for a deadline either");
    let stale = Evidence { bounced: Some(&rejected), junked: None, ..stale };
    assert_eq!(reason(&stale), Some((CheckerDead, Likely)), "nothing is refused any more either");
    assert_eq!(of(|it| it.together = Together::All { count: 7 }), Some((MailPathDown, Likely)));
    let provider = Together::Provider { provider: "free", count: 2 };
    assert_eq!(reason(&Evidence { together: provider, ..silent() }), Some((ProviderDown, Likely)));
    let some = |shared| Together::Some { count: 3, shared };
    assert_eq!(reason(&Evidence { together: some(&[]), ..silent() }), Some((CommonCause, Possible)));
    assert_eq!(reason(&Evidence { together: some(&shared), ..silent() }), Some((CommonCause, Likely)));
    assert_eq!(reason(&Evidence { bounced: Some(&rejected), ..silent() }), Some((Rejected, Certain)));
    assert_eq!(reason(&Evidence { bounced: Some(&over_quota), ..silent() }), Some((MailboxFull, Certain)));
    assert_eq!(reason(&Evidence { delayed: Some(&rejected), ..silent() }), Some((MailDelayed, Certain)));
    let old = bounce(0, "4.4.1");
    assert_eq!(reason(&Evidence { delayed: Some(&old), ..silent() }), Some((CheckerDead, Likely)));
    let full = Some(("MONITOR", "100 %"));
    assert_eq!(reason(&Evidence { full, ..silent() }), Some((CheckerDead, Likely)), "others get in");
    let spoof = |second, why| Spoof { received: at(second), why, author: None };
    let (forged, early_forged, back) =
        (spoof(1, Why::NotSigned), spoof(0, Why::NotSigned), spoof(1, Why::RunWentBack));
    assert_eq!(reason(&Evidence { spoof: Some(&forged), ..silent() }), Some((Unknown, Possible)));
    assert_eq!(reason(&Evidence { spoof: Some(&early_forged), ..silent() }), Some((CheckerDead, Likely)));
    assert_eq!(reason(&Evidence { spoof: Some(&back), ..silent() }), Some((ClockSkew, Likely)));
    let nobody = Evidence { newest_heard: Some(at(5)), ..silent() };
    assert_eq!(reason(&Evidence { full, ..nobody }), Some((MailboxFull, Likely)));
    let (through, missing) = (Some(at(350)), Some(at(340)));
    assert_eq!(reason(&Evidence { canary_received: through, ..nobody }), Some((CheckerDead, Likely)));
    assert_eq!(reason(&Evidence { canary_received: Some(at(250)), ..nobody }), Some((Unknown, Possible)));
    assert_eq!(reason(&Evidence { full, canary_received: through, ..nobody }), Some((CheckerDead, Likely)));
    assert_eq!(reason(&Evidence { canary_missing: missing, ..nobody }), Some((MailPathDown, Likely)));
    assert_eq!(
        reason(&Evidence { canary_missing: missing, ..silent() }),
        Some((CheckerDead, Likely)),
        "others get in"
    );
    assert_eq!(reason(&Evidence { canary_missing: Some(at(-1)), ..nobody }), Some((Unknown, Possible)));
    assert_eq!(reason(&Evidence { held: Some(&slow), ..silent() }), Some((MailDelayed, Likely)));
    assert_eq!(reason(&Evidence { held: Some(&early), ..silent() }), Some((CheckerDead, Likely)));
    let later = Evidence { heard_until: Some(at(1_000)), ..silent() };
    assert_eq!(
        reason(&Evidence { held: Some(&slow), ..later }),
        Some((CheckerDead, Likely)),
        "it sent no more"
    );
}

#[test]
fn who_is_not_silent_has_a_reason_only_for_what_was_seen() {
    use Confidence::{Certain, Likely, Possible};
    use Reason::*;
    let ok = Evidence { state: State::Ok, ..silent() };
    let slow = held(0);
    assert_eq!(reason(&ok), None);
    assert_eq!(reason(&Evidence { junked: Some(at(1)), ..ok }), None, "it is heard all the same");
    assert_eq!(reason(&Evidence { held: Some(&slow), ..ok }), Some((MailDelayed, Certain)));
    let skew = |seconds| Some((TimeDelta::seconds(seconds), TimeDelta::seconds(2)));
    assert_eq!(reason(&Evidence { clock: skew(-10_800), ..ok }), Some((ClockSkew, Certain)));
    assert_eq!(reason(&Evidence { clock: skew(62), ..ok }), None);
    let late = Evidence { state: State::Late, ..silent() };
    assert_eq!(reason(&late), Some((Unknown, Possible)));
    assert_eq!(reason(&Evidence { junked: Some(at(1)), ..late }), Some((Junked, Certain)));
    assert_eq!(reason(&Evidence { held: Some(&slow), ..late }), Some((MailDelayed, Likely)));
    assert_eq!(reason(&Evidence { state: State::Waiting, ..silent() }), None);
    let blind = Evidence { state: State::Blind, ..silent() };
    assert_eq!(reason(&blind), Some((WatcherBlind, Certain)));
    let refused = Some("AADSTS7000222");
    assert_eq!(reason(&Evidence { login_refused: refused, ..blind }), Some((AuthExpired, Certain)));
    assert_eq!(reason(&Evidence { login_refused: refused, ..ok }), None, "it was read all the same");
}

#[test]
fn what_was_seen_comes_before_what_is_concluded_and_every_clue_is_kept() {
    let evidence = Evidence { junked: Some(at(1)), together: Together::All { count: 7 }, ..silent() };
    let cause = diagnose(&evidence).unwrap();
    assert_eq!(cause.reason, Reason::Junked);
    let clues = [
        Clue::InJunk { received: at(1) },
        Clue::AllTogether { count: 7 },
        Clue::OthersHeard { last: at(299) },
    ];
    assert_eq!(cause.clues, clues);
}
