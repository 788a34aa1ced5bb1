//! A state file. Mails are put into order by their times alone, and read one by one: memory does not grow with what they
//! say.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::{Asked, Progress, Rerun, start};
use crate::backtest::{Found, Mail, Recast, Replay, Sight};
use crate::config::Config;
use crate::incident::Incident;
use crate::store::{Entry, EntryId, Store};
use crate::time::Time;

/// Judges what `store` kept by each of `configs`.
///
/// # Errors
/// When the store cannot be read, or holds nothing of the asked span.
pub fn replay(store: &Store, configs: &[Config], asked: Asked, progress: Progress<'_>) -> Result<Rerun> {
    let blindness = store.mailbox_incidents()?;
    let (sight, mut mails) = index(store, configs, asked, &blindness)?;
    let Some((first, last)) = sight.extent() else {
        bail!("The state file holds no complete look: nothing was judged yet.");
    };
    // It may end with a mailbox that cannot be read.
    let last = blindness.iter().map(|incident| incident.opened).max().unwrap_or(last).max(last);
    let (from, until) = asked.of(first, last)?;
    let start = start(asked, configs, from, first);
    mails.retain(|(found, _)| (start..=until).contains(&found.earliest));
    mails.sort_unstable();
    let mut runs: Vec<(Recast, Replay)> =
        configs.iter().map(|config| (Recast::new(config), Replay::new(config, &sight, start))).collect();
    let (mut counted, mut reports) = (0, vec![0; configs.len()]);
    let all = mails.len() as u64;
    for (done, (found, id)) in (0..).zip(mails) {
        // A mail of a stranger may have been let go meanwhile.
        let Some(stored) = store.entry(id)? else { continue };
        let counts = found.earliest >= from;
        counted += u64::from(counts);
        progress(done, all);
        for ((recast, replay), reports) in runs.iter_mut().zip(&mut reports) {
            let observation = recast.observation(stored.clone());
            *reports += u64::from(counts && observation.mail.heard());
            replay.take(Mail { found, observation, copy: false });
        }
    }
    let mut rerun = Rerun {
        from,
        until,
        mails: counted,
        reports,
        blind: sight.gaps(from, until),
        outcomes: Vec::new(),
        remarks: Vec::new(),
        doubts: Vec::new(),
    };
    for (recast, replay) in runs {
        rerun.outcomes.push(replay.finish(from, until));
        rerun.doubts.push(recast.remarks());
    }
    Ok(rerun)
}

/// When the mailboxes were looked at, and when each mail was found.
fn index(
    store: &Store,
    configs: &[Config],
    asked: Asked,
    blindness: &[Incident],
) -> Result<(Sight, Vec<(Found, EntryId)>)> {
    let warm_up = configs.iter().map(crate::backtest::warm_up).max().unwrap_or_default();
    let from = asked.from.map_or(Time::UNIX_EPOCH, |from| from - warm_up);
    let until = asked.until.unwrap_or(Time::MAX_UTC);
    let mut by_mailbox: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    store.entries(from, until, |entry, mailbox| match by_mailbox.get_mut(mailbox) {
        Some(entries) => entries.push(entry),
        None => {
            by_mailbox.insert(mailbox.to_owned(), vec![entry]);
        }
    })?;
    let oldest = by_mailbox.values().flatten().map(|entry| entry.received).min();
    let sight = Sight::recorded(&store.looks()?, blindness, &store.blind_after()?, oldest);
    let mut mails = Vec::new();
    for (mailbox, entries) in by_mailbox {
        let found = |entry: Entry| (sight.find(&mailbox, entry.received, entry.seen), entry.id);
        mails.extend(entries.into_iter().map(found));
    }
    Ok((sight, mails))
}
