//! What became of mails of a checker that were not heard: found in Junk, or reported as not delivered. Evidence for why
//! it is silent, and for nothing else: it neither proves life nor ends a silence.

use serde::{Deserialize, Serialize};

use super::Observation;
use crate::mail::Status;
use crate::report::NotHeard;
use crate::time::Time;

/// The newest of each kind. It says something about a silence only where it is newer than what was heard last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// The receipt of its newest mail that lay in Junk.
    pub junked: Option<Time>,
    /// A mail of it was refused.
    pub bounced: Option<Bounce>,
    /// A mail of it still waits on its way.
    pub delayed: Option<Bounce>,
}

/// A delivery report about a mail of the checker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bounce {
    /// Of the report; the mail itself was sent before.
    pub received: Time,
    pub status: Option<Status>,
    /// In a server's own words, on one line of at most 201 characters; may be empty. Anybody may have written it.
    pub said: String,
}

impl Trail {
    /// Takes in a mail that is about this checker.
    pub(super) fn observe(&mut self, seen: &Observation) {
        let received = seen.received;
        if let Some(why) = &seen.mail.undelivered {
            let bounce = Bounce { received, status: why.status, said: why.said.clone() };
            let newest = if why.delayed { &mut self.delayed } else { &mut self.bounced };
            if newest.as_ref() < Some(&bounce) {
                *newest = Some(bounce);
            }
        } else if seen.mail.not_heard == Some(NotHeard::Junked) {
            self.junked = self.junked.max(Some(received));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{self, Undelivered};
    use crate::report::{Roster, understand};
    use chrono::{TimeDelta, TimeZone, Utc};

    fn at(second: i64) -> Time {
        Utc.with_ymd_and_hms(2026, 11, 20, 3, 0, 0).unwrap() + TimeDelta::seconds(second)
    }

    fn seen(second: i64, not_heard: NotHeard, undelivered: Option<(bool, &str)>) -> Observation {
        let mut mail = understand(&mut mail::parse(b"", false), &Roster::new(&[], &Default::default()));
        mail.not_heard = Some(not_heard);
        mail.undelivered = undelivered.map(|(delayed, status)| Undelivered {
            delayed,
            status: Status::parse(status),
            said: "no".to_owned(),
        });
        Observation { mailbox: "MONITOR".to_owned(), received: at(second), seen: at(second), mail }
    }

    #[test]
    fn the_newest_of_each_kind_is_known_whatever_the_order_of_reading() {
        let mut mails = [
            seen(1, NotHeard::Junked, None),
            seen(5, NotHeard::Junked, None),
            seen(9, NotHeard::NoToken, None),
            seen(2, NotHeard::DeliveryReport, Some((false, "5.7.1"))),
            seen(4, NotHeard::DeliveryReport, Some((false, "5.2.2"))),
            seen(4, NotHeard::DeliveryReport, Some((false, "5.1.1"))),
            // A report in Junk is about another mail: that one is not there.
            seen(7, NotHeard::Junked, Some((true, "4.4.1"))),
            seen(6, NotHeard::DeliveryReport, Some((true, "4.4.7"))),
        ];
        let bounce = |second, status| {
            Some(Bounce { received: at(second), status: Status::parse(status), said: "no".to_owned() })
        };
        let expected =
            Trail { junked: Some(at(5)), bounced: bounce(4, "5.2.2"), delayed: bounce(7, "4.4.1") };
        for _ in 0..mails.len() {
            mails.rotate_left(1);
            let mut trail = Trail::default();
            mails.iter().chain(mails.iter().rev()).for_each(|mail| trail.observe(mail));
            assert_eq!(trail, expected);
        }
    }
}
