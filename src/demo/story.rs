//! The script as data: at this second, this happens, and it causes this mail. Pure.

use std::time::Duration;

/// Something that happens to the simulated world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    StartCheckers,
    ServiceFails { service: &'static str, seen_by: &'static str },
    ServiceWorks { seen_by: &'static str },
    CheckerDies(&'static str),
    CheckerReturns(&'static str),
    MailboxGoes,
    MailboxReturns,
}

#[derive(Debug)]
pub(super) struct Scene {
    /// Since the story began.
    pub(super) at: Duration,
    pub(super) says: &'static str,
    pub(super) act: Act,
    /// The token of the one mail that must follow.
    pub(super) causes: Option<&'static str>,
    /// Where the table is not always in sight it is printed before this scene, because it shows something new.
    pub(super) table_before: bool,
}

const fn scene(
    second: u64,
    says: &'static str,
    act: Act,
    causes: Option<&'static str>,
    table_before: bool,
) -> Scene {
    Scene { at: Duration::from_secs(second), says, act, causes, table_before }
}

/// Each scene leaves the mail of the one before more time than it needs: a cycle for a service, a deadline for a
/// silence, `blind_after` and a poll for a blindness, and two back-offs for its end.
pub(super) const STORY: &[Scene] = &[
    scene(0, "seven checkers start; each mails its results every 3 s", Act::StartCheckers, None, false),
    scene(
        8,
        "bresse2 (orange) no longer gets through to ESHOP_Service; the others do",
        Act::ServiceFails { service: "ESHOP_Service", seen_by: "bresse2" },
        Some("ESHOP_Service.NOK"),
        true,
    ),
    scene(
        14,
        "bresse2 gets through again",
        Act::ServiceWorks { seen_by: "bresse2" },
        Some("ESHOP_Service.OK"),
        true,
    ),
    scene(
        19,
        "bresse3 dies (its computer is switched off): no mail says so",
        Act::CheckerDies("bresse3"),
        Some("bresse3_Checker.NOK"),
        false,
    ),
    scene(
        28,
        "bresse3 is switched on again",
        Act::CheckerReturns("bresse3"),
        Some("bresse3_Checker.OK"),
        true,
    ),
    scene(
        32,
        "the mailbox goes away: nobody can be judged now",
        Act::MailboxGoes,
        Some("MONITOR_Mailbox.NOK"),
        false,
    ),
    scene(37, "the mailbox comes back", Act::MailboxReturns, Some("MONITOR_Mailbox.OK"), true),
];

/// The story is not over earlier: long enough after the last scene for a mail that nothing caused to be seen.
pub(super) const SHORTEST: Duration = Duration::from_secs(45);
/// What has not happened by now never will.
pub(super) const LONGEST: Duration = Duration::from_secs(55);

/// A mail of the watchdog, and when it came, since the story began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) token: String,
    pub(super) at: Duration,
}

/// The scenes that cause a mail.
pub(super) fn causes() -> impl Iterator<Item = (&'static Scene, &'static str)> {
    STORY.iter().filter_map(|scene| Some((scene, scene.causes?)))
}

/// The TOKEN at the beginning of a subject: it ends at the first `.NOK` or `.OK`.
pub(super) fn token(subject: &str) -> Option<&str> {
    let end = [".NOK", ".OK"].iter().filter_map(|end| Some(subject.find(end)? + end.len())).min()?;
    subject.get(..end)
}

/// Whether the mails that came are those of the story: in order, each once, each after its cause. Returns how long after
/// its cause each came.
///
/// # Errors
/// Says which mail came that should not have, or did not come.
pub(super) fn verify(came: &[Arrived], played: &[Duration]) -> Result<Vec<Duration>, String> {
    let mut delays = Vec::new();
    for (place, (_, expected)) in causes().enumerate() {
        match (came.get(place), played.get(place)) {
            (Some(mail), _) if mail.token != expected => {
                return Err(format!("where the mail {expected} was due, {} came", mail.token));
            }
            (Some(mail), Some(cause)) if *cause <= mail.at => delays.push(mail.at - *cause),
            (Some(mail), _) => return Err(format!("the mail {} came before its cause", mail.token)),
            (None, _) => return Err(format!("the mail {expected} never came")),
        }
    }
    match came.get(delays.len()) {
        Some(extra) => Err(format!("the mail {} came, which nothing had caused", extra.token)),
        None => Ok(delays),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_written() -> (Vec<Arrived>, Vec<Duration>) {
        let late = Duration::from_secs(2);
        let came = causes().map(|(scene, token)| Arrived { token: token.to_owned(), at: scene.at + late });
        (came.collect(), causes().map(|(scene, _)| scene.at).collect())
    }

    #[test]
    fn the_story_ends_within_a_minute_and_every_alarm_in_it_ends_too() {
        assert!(STORY.is_sorted_by_key(|scene| scene.at));
        assert!(STORY.last().unwrap().at < SHORTEST && SHORTEST < LONGEST);
        assert!(LONGEST < Duration::from_secs(58), "two seconds to begin and to end");
        let tokens: Vec<&str> = causes().map(|(_, token)| token).collect();
        for pair in tokens.chunks(2) {
            assert_eq!(pair[0].strip_suffix(".NOK").unwrap(), pair[1].strip_suffix(".OK").unwrap());
        }
    }

    #[test]
    fn the_story_as_written_is_right() {
        let (came, played) = as_written();
        assert_eq!(verify(&came, &played).unwrap(), vec![Duration::from_secs(2); came.len()]);
    }

    #[test]
    fn a_mail_that_is_missing_doubled_early_or_in_the_wrong_place_is_told() {
        let (came, played) = as_written();
        let missing = &came[..came.len() - 1];
        assert_eq!(verify(missing, &played).unwrap_err(), "the mail MONITOR_Mailbox.OK never came");

        let mut extra = came.clone();
        extra.push(Arrived { token: "bresse1_Checker.NOK".into(), at: Duration::from_secs(44) });
        assert!(verify(&extra, &played).unwrap_err().contains("bresse1_Checker.NOK"));

        let mut doubled = came.clone();
        doubled.insert(1, came[0].clone());
        let told = verify(&doubled, &played).unwrap_err();
        assert_eq!(told, "where the mail ESHOP_Service.OK was due, ESHOP_Service.NOK came");

        let mut early = came.clone();
        early[2].at = played[2] - Duration::from_millis(1);
        assert!(verify(&early, &played).unwrap_err().contains("before its cause"));
        assert!(verify(&came, &played[..4]).unwrap_err().contains("before its cause"));
    }

    #[test]
    fn the_token_of_a_subject_ends_at_its_first_result() {
        assert_eq!(token("A_Service.OK works again. B.NOK"), Some("A_Service.OK"));
        assert_eq!(token("bresse3_Checker.NOK bresse3 is silent"), Some("bresse3_Checker.NOK"));
        assert_eq!(token("hello"), None);
    }
}
