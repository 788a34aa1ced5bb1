//! What the mails of a checker are asked for, and how they answered.

use std::fmt::Write as _;

use super::{ADDRESSES_MAX, Known};
use crate::config::{AuthResults, Sender, Trust};
use crate::text::one_line;
use crate::time::{rfc3339, utc_and_local};
use crate::trust::{Examined, Why};

impl Known<'_> {
    /// What its mails must bring along, and the newest that did not.
    pub(super) fn trust(&self, text: &mut String) {
        let Some(trust) = &self.checker.trust else { return };
        let spoofs = &self.facts.spoofs;
        let since = spoofs.asked_since().map_or(String::new(), |since| {
            format!("; asked of mails received from {} on", utc_and_local(since, self.by.zone))
        });
        let _ = writeln!(text, "Believed when  {}{since}", demands(trust).join(", and "));
        if let Some(run) = self.facts.highest_run() {
            let _ = writeln!(text, "Highest run    {} ({})", run.timestamp(), rfc3339(run));
        }
        if let Some(newest) = &spoofs.newest {
            let author = newest.author.as_deref().map_or("nobody".to_owned(), one_line);
            let _ = writeln!(
                text,
                "Not believed   {}, from {author}: {}",
                self.shown(Some(newest.received)),
                newest.why.sentence()
            );
        }
    }
}

/// One line for each thing the mail was asked for.
pub(super) fn answers(examined: &Examined) -> Vec<String> {
    let told = |what: &str, answer: Option<Result<(), Why>>| {
        answer.map(|answer| match answer {
            Ok(()) => format!("{what}: good"),
            Err(why) => format!("{what}: {}", why.sentence()),
        })
    };
    let signature = match examined.signature {
        Some(Ok(run)) => Some(format!("signature: good, of run {} ({})", run.timestamp(), rfc3339(run))),
        Some(Err(why)) => told("signature", Some(Err(why))),
        None => None,
    };
    [told("From", examined.from), told("Authentication-Results", examined.auth_results), signature]
        .into_iter()
        .flatten()
        .collect()
}

fn demands(trust: &Trust) -> Vec<String> {
    let mut demands = Vec::new();
    if !trust.from.is_empty() {
        let allowed = trust.from.iter().map(|sender| match sender {
            Sender::Address(address) => address.clone(),
            Sender::Domain(domain) => format!("somebody@{domain}"),
        });
        demands.push(format!("From is {}", allowed.take(ADDRESSES_MAX).collect::<Vec<_>>().join(" or ")));
    }
    match &trust.auth_results {
        None => {}
        Some(AuthResults::Microsoft365) => demands.push("Microsoft 365 found its From genuine".to_owned()),
        Some(AuthResults::Server { server, require }) => {
            let methods: Vec<String> =
                require.iter().map(|method| format!("{method:?}").to_uppercase()).collect();
            demands.push(format!("{server} found {} good", methods.join(" and ")));
        }
    }
    if trust.signs() {
        demands.push("it is signed (trust.hmac)".to_owned());
    }
    demands
}
