//! `[retention]`.

use std::ops::RangeInclusive;

use chrono::TimeDelta;

use super::Retention;
use super::report::Reported;
use super::section::Section;

const MAILS: RangeInclusive<TimeDelta> = TimeDelta::days(1)..=TimeDelta::days(3_650);

pub(super) fn read(root: &mut Section<'_>) -> Result<Retention, Reported> {
    let retention = root.optional("retention", |item| {
        let mut section = item.section("[retention]")?;
        let mails = section.optional("mails", |item| item.duration(MAILS));
        section.finish();
        Ok(Retention { mails: mails? })
    });
    Ok(retention?.unwrap_or_default())
}
