//! `[drill]`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::TimeDelta;

use super::report::{Reported, quoted};
use super::section::{Item, Section};
use super::{Channel, policy};
use crate::policy::{Moment, Policies, Schedule};

const EVERY: RangeInclusive<TimeDelta> = TimeDelta::minutes(1)..=TimeDelta::days(31);
const PROVE_WITHIN: RangeInclusive<TimeDelta> = TimeDelta::seconds(10)..=TimeDelta::days(1);
const DEFAULT_PROVE_WITHIN: TimeDelta = TimeDelta::minutes(30);
const PROOF_MAX_AGE: RangeInclusive<TimeDelta> = TimeDelta::minutes(1)..=TimeDelta::days(366);
/// A drill each week, and a day more.
const DEFAULT_PROOF_MAX_AGE: TimeDelta = TimeDelta::days(8);
const MAX_MOMENTS: usize = 100;

/// A marked alarm goes through the channels to whoever presses the link in it, and proves that they work.
#[derive(Debug, Clone)]
pub struct Drill {
    /// None: by the command only, and nobody owes a proof.
    pub pace: Option<Pace>,
    /// Drills by the pace begin only while it is open; None: at any time.
    pub schedule: Option<Arc<Schedule>>,
    /// None: all whose messages somebody answers.
    pub channels: Option<BTreeSet<String>>,
    /// What is not proved by then is not proved; 10 s to 1 d, default 30 min.
    pub prove_within: TimeDelta,
    /// An older proof is alarmed; default 8 d.
    pub proof_max_age: TimeDelta,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pace {
    /// From the beginning of one to that of the next; 1 min to 31 d.
    Every(TimeDelta),
    /// At these times of the wall clock.
    At(Vec<Moment>),
}

impl Default for Drill {
    fn default() -> Self {
        Self {
            pace: None,
            schedule: None,
            channels: None,
            prove_within: DEFAULT_PROVE_WITHIN,
            proof_max_age: DEFAULT_PROOF_MAX_AGE,
        }
    }
}

/// `channels` and `policies` are those of the same configuration; what could not be read of them is not held against it.
pub(super) fn read(
    root: &mut Section<'_>,
    channels: &Result<Vec<Channel>, Reported>,
    policies: &Result<Policies, Reported>,
) -> Result<Drill, Reported> {
    let names = channels.as_ref().ok().map(|channels| channels.iter().map(|one| one.name.clone()).collect());
    let schedules =
        policies.as_ref().map(|policies| policies.schedules.clone()).map_err(|reported| *reported);
    let drill = root.optional("drill", |item| {
        let mut section = item.section("[drill]")?;
        let every = section.optional("every", |item| item.duration(EVERY));
        let at = section.optional("at", |item| item.one_or_list(1..=MAX_MOMENTS, |item| moment(&item)));
        let schedule = section.optional("schedule", |item| policy::schedule_of(&item, &schedules));
        let channels = section.optional("channels", |item| policy::channels_of(item, &names));
        let prove_within = section.optional("prove_within", |item| item.duration(PROVE_WITHIN));
        let proof_max_age = section.optional("proof_max_age", |item| {
            let age = item.duration(PROOF_MAX_AGE)?;
            match every {
                Ok(Some(every)) if age <= every => {
                    Err(item.wrong("must be longer than every, or each proof is too old before the next one"))
                }
                _ => Ok(age),
            }
        });
        let pace = match (every, at) {
            (Err(reported), _) | (_, Err(reported)) => Err(reported),
            (Ok(Some(every)), Ok(None)) => Ok(Pace::Every(every)),
            (Ok(None), Ok(Some(moments))) => Ok(Pace::At(moments)),
            (Ok(None), Ok(None)) => {
                Err(section.missing("every", "write how often, every = \"24h\", or when, at = \"mon 09:30\""))
            }
            (Ok(Some(_)), Ok(Some(_))) => Err(section.wrong("at", "write either every or at, not both")),
        };
        section.finish();
        Ok(Drill {
            pace: Some(pace?),
            schedule: schedule?,
            channels: channels?,
            prove_within: prove_within?.unwrap_or(DEFAULT_PROVE_WITHIN),
            proof_max_age: proof_max_age?.unwrap_or(DEFAULT_PROOF_MAX_AGE),
        })
    });
    Ok(drill?.unwrap_or_default())
}

fn moment(item: &Item<'_>) -> Result<Moment, Reported> {
    let text = item.text()?;
    Moment::parse(text).ok_or_else(|| {
        let form = "\"mon 09:30\", \"mon-fri 09:30\" or \"09:30\"";
        item.wrong(format!("{} is not of the form {form}", quoted(text)))
    })
}
