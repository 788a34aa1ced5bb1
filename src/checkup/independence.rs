//! Whether anybody would hear of a loss.

use super::{Finding, Level};
use crate::config::Config;
use crate::independence::{Fate, Line, Loss, Lost, Matrix, Verdict};

/// So many channels are named with their reasons; the table has all of them.
const NAMED_MAX: usize = 10;

pub(super) fn findings(matrix: &Matrix, config: &Config) -> Vec<Finding> {
    let ties = matrix.losses.iter().filter(|loss| matches!(loss.lost, Lost::Mailbox(_))).flat_map(ties);
    let verdicts = matrix.losses.iter().filter_map(|loss| verdict(loss, config));
    ties.chain(verdicts).collect()
}

/// What each channel shares with a mailbox.
fn ties(loss: &Loss) -> impl Iterator<Item = Finding> {
    let line = |line: &Line| {
        let harm = match line.fate {
            Fate::Lost => "an alarm that the mailbox is down would go down with it",
            Fate::Works | Fate::Unknown => "not all of its alarms would arrive when the mailbox is down",
        };
        let what = format!("channel {}", line.channel);
        let say = |text: &String| Finding::new(Level::Warn, &what, format!("{text}: {harm}"));
        line.shared.iter().map(say).collect::<Vec<_>>()
    };
    loss.channels.iter().flat_map(line)
}

/// What nobody would hear of is a failure when it is a mailbox's loss; of a provider's loss nothing else is said here.
fn verdict(loss: &Loss, config: &Config) -> Option<Finding> {
    let (what, is_mailbox) = (loss.lost.words(), matches!(loss.lost, Lost::Mailbox(_)));
    let say = |level, text: String| Some(Finding::new(level, "independence", text));
    match (loss.verdict(), &config.accept_dependence) {
        (Verdict::Unheard, Some(why)) => {
            say(Level::Warn, format!("no channel would survive the loss of {what}; accepted: {why}"))
        }
        (Verdict::Unheard, None) => {
            let text = format!(
                "no channel would survive the loss of {what}, so nobody would be told: add a [[channel]] at another provider \
                 to people whose mail is elsewhere, or say why it is accepted in accept_dependence of [watchdog]"
            );
            say(if is_mailbox { Level::Fail } else { Level::Warn }, text)
        }
        _ if !is_mailbox => None,
        (Verdict::Heard, _) => {
            let works = loss.with(Fate::Works).filter(|line| line.told);
            let names: Vec<&str> = works.map(|line| line.channel.as_str()).collect();
            say(Level::Ok, format!("{} would still work without {what}", names.join(", ")))
        }
        (Verdict::Unknown, _) => {
            let open = loss.with(Fate::Unknown).filter(|line| line.told).take(NAMED_MAX);
            let open: Vec<String> =
                open.map(|line| format!("{}: {}", line.channel, line.unknown.join(", "))).collect();
            let text = format!(
                "whether a channel would survive the loss of {what} is not known ({})",
                open.join("; ")
            );
            say(Level::Warn, text)
        }
    }
}
