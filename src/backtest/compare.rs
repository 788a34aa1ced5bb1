//! Two outcomes beside each other: which alarms both have, and which only one of them.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::alarm::{Alarm, Outcome};
use crate::time::Time;

/// One alarm, in one outcome or in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    pub candidate: Option<&'a Alarm>,
    pub against: Option<&'a Alarm>,
    /// The other outcome has no announcement of its own for it, but another alarm of it told the same thing at that time.
    pub covered: bool,
}

impl Row<'_> {
    /// Only the candidate alarms it.
    pub fn is_new(&self) -> bool {
        self.against.is_none() && !self.covered
    }

    /// Only the other configuration alarms it.
    pub fn is_lost(&self) -> bool {
        self.candidate.is_none() && !self.covered
    }

    fn alarmed(&self) -> Option<Time> {
        [self.candidate, self.against].into_iter().flatten().map(|alarm| alarm.alarmed).min()
    }
}

/// How long after their beginning alarms were announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detection {
    pub median: TimeDelta,
    pub p95: TimeDelta,
    pub longest: TimeDelta,
}

impl Detection {
    /// None without any alarm. Percentiles by the nearest rank.
    pub fn of(alarms: &[Alarm]) -> Option<Self> {
        let mut late: Vec<TimeDelta> = alarms.iter().map(Alarm::late).collect();
        late.sort_unstable();
        let percentile =
            |percent: usize| late.get((late.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Some(Self { median: percentile(50)?, p95: percentile(95)?, longest: percentile(100)? })
    }
}

/// All alarms of both, in the order of their first announcement.
pub fn rows<'a>(candidate: &'a Outcome, against: Option<&'a Outcome>) -> Vec<Row<'a>> {
    let Some(against) = against else {
        let alone = |alarm| Row { candidate: Some(alarm), against: None, covered: false };
        return candidate.alarms.iter().map(alone).collect();
    };
    let (mine, theirs) = (Index::of(&candidate.alarms), Index::of(&against.alarms));
    let mut taken = vec![false; against.alarms.len()];
    let mut rows = Vec::new();
    for alarm in &candidate.alarms {
        let same = theirs.same_as(alarm);
        let free = same.iter().copied().find(|place| taken.get(*place) == Some(&false));
        if let Some(taken) = free.and_then(|place| taken.get_mut(place)) {
            *taken = true;
        }
        let against = free.and_then(|place| against.alarms.get(place));
        rows.push(Row { candidate: Some(alarm), against, covered: against.is_none() && !same.is_empty() });
    }
    for (alarm, _) in against.alarms.iter().zip(taken).filter(|(_, taken)| !taken) {
        let covered = !mine.same_as(alarm).is_empty();
        rows.push(Row { candidate: None, against: Some(alarm), covered });
    }
    rows.sort_by_key(Row::alarmed);
    rows
}

/// Alarms by what they are about, so that a comparison does not look at each pair.
struct Index<'a> {
    alarms: &'a [Alarm],
    places: BTreeMap<(&'a str, &'a str), Vec<usize>>,
}

impl<'a> Index<'a> {
    fn of(alarms: &'a [Alarm]) -> Self {
        let mut places: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (place, alarm) in alarms.iter().enumerate() {
            for key in keys(alarm) {
                places.entry(key).or_default().push(place);
            }
        }
        Self { alarms, places }
    }

    /// The places of all that tell of the same thing at the same time, ascending.
    fn same_as(&self, alarm: &Alarm) -> Vec<usize> {
        let over = |alarm: &Alarm| alarm.recovered.unwrap_or(Time::MAX_UTC);
        let mut found = Vec::new();
        for places in keys(alarm).filter_map(|key| self.places.get(&key)) {
            let at = |place: &usize| self.alarms.get(*place);
            // One thing is over before it is alarmed again.
            let first =
                places.partition_point(|place| at(place).is_some_and(|one| over(one) < alarm.alarmed));
            let later = places.iter().skip(first);
            let near = later.take_while(|place| at(place).is_some_and(|one| one.alarmed <= over(alarm)));
            found.extend(near.filter(|place| at(place).is_some_and(|one| one.is_the_same_as(alarm))));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Its token, and each checker with the kind of the alarm.
fn keys(alarm: &Alarm) -> impl Iterator<Item = (&str, &str)> {
    let kind = alarm.about.word();
    [("", alarm.token.as_str())]
        .into_iter()
        .chain(alarm.checkers.iter().map(move |name| (kind, name.as_str())))
}
