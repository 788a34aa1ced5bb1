//! The table. What was seen stands before what is concluded from who fell silent with whom.

use chrono::TimeDelta;

use super::Reason::{
    AuthExpired, CheckerDead, ClockSkew, CommonCause, Junked, MailDelayed, MailPathDown, MailboxFull,
    NeverSeen, ProviderDown, Rejected, Unknown, WatcherBlind,
};
use super::{Bounce, Clue, Confidence, Evidence, Reason, Together};
use crate::time::Time;
use crate::trust::Why;
use crate::verdict::State;
use Confidence::{Certain, Likely, Possible};

type Finding = (Reason, Confidence, Clue);
pub(super) type Rule = fn(&Evidence<'_>) -> Option<Finding>;

/// A clock that is less wrong is nobody's trouble: mail needs as long.
const SKEW_MIN: TimeDelta = TimeDelta::seconds(60);
/// Subject and detail of the statuses of RFC 3463 that mean a full mailbox: over quota, and no room in the system.
const FULL: [(u16, u16); 2] = [(2, 2), (3, 1)];

/// In the order of their precedence.
pub(super) const RULES: [Rule; 18] = [
    login_refused,
    unread,
    in_junk,
    bounced_as_full,
    bounced,
    full,
    held,
    still_tried,
    never_heard,
    all_together,
    provider_together,
    some_together,
    runs_back,
    not_believed,
    others_heard,
    canary_missing,
    canary_through,
    clock,
];

fn login_refused(of: &Evidence<'_>) -> Option<Finding> {
    let error = of.login_refused.filter(|_| of.state == State::Blind)?;
    Some((AuthExpired, Certain, Clue::LoginRefused { error: error.to_owned() }))
}

fn unread(of: &Evidence<'_>) -> Option<Finding> {
    (of.state == State::Blind).then_some((WatcherBlind, Certain, Clue::Unread { since: of.heard_until }))
}

fn in_junk(of: &Evidence<'_>) -> Option<Finding> {
    let received = of.junked.filter(|received| of.is_fresh(*received))?;
    Some((Junked, Certain, Clue::InJunk { received }))
}

fn bounced_as_full(of: &Evidence<'_>) -> Option<Finding> {
    let bounce = of.bounced.filter(|bounce| of.is_fresh(bounce.received))?;
    is_full(bounce).then(|| (MailboxFull, Certain, Clue::Bounced(bounce.clone())))
}

fn bounced(of: &Evidence<'_>) -> Option<Finding> {
    let bounce = of.bounced.filter(|bounce| of.is_fresh(bounce.received))?;
    (!is_full(bounce)).then(|| (Rejected, Certain, Clue::Bounced(bounce.clone())))
}

fn is_full(bounce: &Bounce) -> bool {
    bounce.status.is_some_and(|status| FULL.contains(&(status.subject, status.detail)))
}

/// A mailbox at its limit takes small mails now and then: when others are heard, or the canary is, it is not that.
fn full(of: &Evidence<'_>) -> Option<Finding> {
    let takes_mail = of.others_since_due().or(of.canary_since_due()).is_some();
    let (mailbox, used) = of.full.filter(|_| of.state == State::Silent && !takes_mail)?;
    Some((MailboxFull, Likely, Clue::Full { mailbox: mailbox.to_owned(), used: used.to_owned() }))
}

/// Its newest mail was held. Of a silent one this tells for one deadline only: what came slowly may have been the last.
fn held(of: &Evidence<'_>) -> Option<Finding> {
    let held = of.held.filter(|held| Some(held.received) >= of.last_received)?;
    let confidence = match of.state {
        State::Ok => Certain,
        State::Late => Likely,
        State::Silent if of.heard_until.is_some_and(|until| until - held.received <= of.deadline) => Likely,
        State::Silent | State::Waiting | State::Blind => return None,
    };
    Some((MailDelayed, confidence, Clue::Held(held.clone())))
}

/// It spoke, and the queue that holds its mail says so itself.
fn still_tried(of: &Evidence<'_>) -> Option<Finding> {
    let warning = of.delayed.filter(|warning| of.is_newer(warning.received))?;
    Some((MailDelayed, Certain, Clue::StillTried(warning.clone())))
}

fn all_together(of: &Evidence<'_>) -> Option<Finding> {
    match of.together {
        Together::All { count } => Some((MailPathDown, Likely, Clue::AllTogether { count })),
        _ => None,
    }
}

fn provider_together(of: &Evidence<'_>) -> Option<Finding> {
    match of.together {
        Together::Provider { provider, count } => {
            Some((ProviderDown, Likely, Clue::ProviderTogether { provider: provider.to_owned(), count }))
        }
        _ => None,
    }
}

fn some_together(of: &Evidence<'_>) -> Option<Finding> {
    match of.together {
        Together::Some { count, shared } => {
            let confidence = if shared.is_empty() { Possible } else { Likely };
            Some((CommonCause, confidence, Clue::SomeTogether { count, shared: shared.to_vec() }))
        }
        _ => None,
    }
}

fn never_heard(of: &Evidence<'_>) -> Option<Finding> {
    let never = of.state == State::Silent && of.heard_at.is_none();
    never.then_some((NeverSeen, Certain, Clue::NeverHeard { since: of.watched_since }))
}

/// Its mails come, but the runs that they are signed for lie before those it has signed already.
fn runs_back(of: &Evidence<'_>) -> Option<Finding> {
    let spoof = of.spoof.filter(|spoof| spoof.why == Why::RunWentBack && of.is_fresh(spoof.received))?;
    Some((ClockSkew, Likely, Clue::NotBelieved { received: spoof.received, why: spoof.why }))
}

/// Somebody writes in its name: it, without showing that it is so, or another who would have it look alive.
fn not_believed(of: &Evidence<'_>) -> Option<Finding> {
    let spoof = of.spoof.filter(|spoof| spoof.why != Why::RunWentBack && of.is_fresh(spoof.received))?;
    Some((Unknown, Possible, Clue::NotBelieved { received: spoof.received, why: spoof.why }))
}

fn others_heard(of: &Evidence<'_>) -> Option<Finding> {
    let last = of.others_since_due().filter(|_| of.state == State::Silent && of.heard_at.is_some())?;
    Some((CheckerDead, Likely, Clue::OthersHeard { last }))
}

fn canary_missing(of: &Evidence<'_>) -> Option<Finding> {
    let alone = of.others_since_due().or(of.canary_since_due()).is_none();
    let sent = of.canary_missing.filter(|sent| alone && of.is_newer(*sent))?;
    Some((MailPathDown, Likely, Clue::CanaryMissing { sent }))
}

fn canary_through(of: &Evidence<'_>) -> Option<Finding> {
    let received = of.canary_since_due().filter(|_| of.state == State::Silent && of.heard_at.is_some())?;
    Some((CheckerDead, Likely, Clue::CanaryThrough { received }))
}

fn clock(of: &Evidence<'_>) -> Option<Finding> {
    let (ahead, uncertainty) = of.clock.filter(|_| matches!(of.state, State::Ok | State::Late))?;
    let clue =
        Clue::Clock { ahead_ms: ahead.num_milliseconds(), uncertainty_ms: uncertainty.num_milliseconds() };
    (ahead.abs() - uncertainty > SKEW_MIN).then_some((ClockSkew, Certain, clue))
}

impl Evidence<'_> {
    /// Whether something that came then tells of a time after the checker was heard. It only explains who is missed.
    fn is_newer(&self, received: Time) -> bool {
        matches!(self.state, State::Silent | State::Late)
            && self.heard_at.or(self.watched_since).is_none_or(|heard| received > heard)
    }

    /// Whether it is newer, and not so old that the mails after it must have met the same: who has been silent since then
    /// sends no more.
    fn is_fresh(&self, received: Time) -> bool {
        let recent = self.heard_until.is_none_or(|until| until - received <= self.deadline);
        self.is_newer(received) && recent
    }

    /// The latest mail of anybody, when it came after the next one of this checker was due: the mail path worked then. A
    /// tenth of the cycle is left for runs that begin a little earlier than others.
    pub(super) fn others_since_due(&self) -> Option<Time> {
        self.newest_heard.filter(|newest| self.is_since_due(*newest))
    }

    /// The latest canary, likewise.
    fn canary_since_due(&self) -> Option<Time> {
        self.canary_received.filter(|received| self.is_since_due(*received))
    }

    fn is_since_due(&self, time: Time) -> bool {
        let heard = self.heard_at.or(self.watched_since);
        heard.is_some_and(|heard| time > heard + self.cycle - self.cycle / 10)
    }
}
