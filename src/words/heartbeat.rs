//! The watchdog's own run, as every checker reports one.

use super::{Letter, Signature};

/// The report of a run. All that is well goes without `NOK`; a test that failed is mailed as a checker mails it, and
/// opens approvals where those do.
pub fn run_report(by: Signature<'_>, tokens: &[String]) -> Letter {
    let failed = |token: &&String| token.ends_with(".NOK");
    let mut subject = tokens.first().cloned().unwrap_or_default();
    for token in tokens.iter().filter(failed) {
        subject.push(' ');
        subject.push_str(token);
    }
    let body = format!("{}\n\n{}, {}\n", tokens.join("\n"), by.watchdog, by.shown(by.now));
    if tokens.iter().any(|token| failed(&token)) {
        return Letter { subject, body };
    }
    Letter::notice(&subject, &body)
}
