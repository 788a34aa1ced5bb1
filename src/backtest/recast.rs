//! Mails as a watchdog stored them → as another configuration would have understood them.
//!
//! The state keeps what was understood, not the mail. What it says of tests is exact, also of those that were not configured
//! then. Of a mail to nobody known nothing is kept; and whether a mail is believed cannot be asked again.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::ledger::Observation;
use crate::report::tokens::Scanner;
use crate::report::{NotHeard, Said, Understood};

/// So many names stand in one remark; the rest is counted.
const NAMED_MAX: usize = 8;

/// The understanding of one configuration, and what it had to guess.
#[derive(Debug)]
pub struct Recast {
    checkers: BTreeMap<String, Tests>,
    /// Mails of checkers that this configuration asks for more than their address.
    asked: u64,
    /// Mails to no known checker, or to several.
    unaddressed: u64,
    heard: BTreeSet<String>,
}

#[derive(Debug)]
struct Tests {
    services: BTreeSet<String>,
    scanner: Scanner,
    /// Its mails have to be believed.
    trust: bool,
}

impl Recast {
    pub fn new(config: &Config) -> Self {
        let tests = |checker: &crate::config::Checker| {
            let services: BTreeSet<String> = checker.tests.iter().map(|test| test.service.clone()).collect();
            let scanner = Scanner::new(services.iter().map(String::as_str));
            (checker.name.clone(), Tests { services, scanner, trust: checker.trust.is_some() })
        };
        Self {
            checkers: config.checkers.iter().map(tests).collect(),
            asked: 0,
            unaddressed: 0,
            heard: BTreeSet::new(),
        }
    }

    /// The mail as this configuration understands it.
    pub fn observation(&mut self, stored: Observation) -> Observation {
        let mail = match &stored.mail.checker {
            Some(name) if self.checkers.contains_key(name) => self.of_known(stored.mail),
            Some(_) => nobodys(stored.mail),
            None => {
                let addressed =
                    matches!(stored.mail.not_heard, Some(NotHeard::NobodyKnown | NotHeard::SeveralCheckers));
                self.unaddressed += u64::from(addressed);
                stored.mail
            }
        };
        if let Some(name) = mail.checker.as_ref().filter(|name| mail.heard() && !self.heard.contains(*name)) {
            self.heard.insert(name.clone());
        }
        Observation { mail, ..stored }
    }

    /// What could not be judged anew, one sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.asked > 0 {
            remarks.push(
                "What trust asks of a mail cannot be asked of a stored one: those are believed that were believed then. A \
                 folder of mails or the mailbox tells all."
                    .to_owned(),
            );
        }
        let unheard: Vec<&String> = self.checkers.keys().filter(|name| !self.heard.contains(*name)).collect();
        if !unheard.is_empty() {
            let strangers = match self.unaddressed {
                0 => String::new(),
                1 => " One mail to unknown or several addresses cannot be judged anew.".to_owned(),
                more => format!(" {more} mails to unknown or several addresses cannot be judged anew."),
            };
            remarks.push(format!(
                "No stored report is from {}: to be judged as never seen is wrong for a checker that had another name or was \
                 not configured.{strangers} A folder of mails or the mailbox tells all.",
                listed(unheard.into_iter().cloned())
            ));
        }
        remarks
    }

    fn of_known(&mut self, mut mail: Understood) -> Understood {
        let Some(tests) = mail.checker.as_ref().and_then(|name| self.checkers.get(name)) else { return mail };
        self.asked += u64::from(tests.trust);
        let said = std::mem::take(&mut mail.results).into_iter().chain(std::mem::take(&mut mail.unknown));
        for (name, said) in said {
            match tests.scanner.name_at_end(&name).filter(|name| tests.services.contains(*name)) {
                Some(service) => merge(&mut mail.results, service, said),
                None => merge(&mut mail.unknown, &name, said),
            }
        }
        if matches!(mail.not_heard, None | Some(NotHeard::NoToken))
            || (matches!(mail.not_heard, Some(NotHeard::Untrusted(_))) && !tests.trust)
        {
            let valid = mail.dryrun.is_some() || !mail.results.is_empty();
            mail.not_heard = if valid { None } else { Some(NotHeard::NoToken) };
        }
        mail
    }
}

fn merge(said_of: &mut BTreeMap<String, Said>, name: &str, said: Said) {
    said_of.entry(name.to_owned()).and_modify(|before| *before = before.and(said)).or_insert(said);
}

/// Of a checker that this configuration does not have.
fn nobodys(mail: Understood) -> Understood {
    let not_heard = match mail.not_heard {
        None | Some(NotHeard::NoToken | NotHeard::Forward) => Some(NotHeard::NobodyKnown),
        other => other,
    };
    Understood { checker: None, not_heard, ..mail }
}

fn listed(names: impl IntoIterator<Item = String>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(NAMED_MAX).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
