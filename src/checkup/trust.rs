//! Who has to show that a mail is its own, and whether the newest mails do.

use super::{Facts, Finding, Level};
use crate::proposal::counted;

pub(super) fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let checkers = &facts.config.checkers;
    let asked = checkers.iter().filter(|checker| checker.trust.is_some()).count();
    let text = match asked {
        0 => "no checker has to show that a mail is its own: who knows its address can write in its name (see trust)".to_owned(),
        some => format!("{some} of {} have to show that a mail is their own", counted(checkers.len(), "checker")),
    };
    let mut found = vec![Finding::new(Level::Ok, "trust", text)];
    if let Err(why) = &facts.keys {
        found.push(Finding::new(Level::Fail, "trust", why));
    }
    for checker in checkers {
        if let Some((mails, why)) = facts.survey.untrusted(&checker.name) {
            let text = format!(
                "{} of the newest mails are not believed to be its own; of the newest of them: {}",
                mails,
                why.sentence()
            );
            found.push(Finding::new(Level::Warn, &format!("checker {}", checker.name), text));
        }
    }
    found
}
