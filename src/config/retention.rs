//! `[retention]`.

use std::ops::RangeInclusive;

use chrono::TimeDelta;

use super::Retention;
use super::report::Reported;
use super::section::Section;

const MAILS: RangeInclusive<TimeDelta> = TimeDelta::days(1)..=TimeDelta::days(3_650);
const LEDGER: RangeInclusive<TimeDelta> = TimeDelta::days(30)..=TimeDelta::days(3_650);

pub(super) fn read(root: &mut Section<'_>) -> Result<Retention, Reported> {
    let retention = root.optional("retention", |item| {
        let mut section = item.section("[retention]")?;
        let mails = section.optional("mails", |item| item.duration(MAILS));
        let ledger = section.optional("ledger", |item| {
            let ledger = item.duration(LEDGER)?;
            match mails {
                Ok(Some(mails)) if ledger < mails => {
                    Err(item.wrong("must not be shorter than `mails`: what mails said goes first"))
                }
                _ => Ok(ledger),
            }
        });
        section.finish();
        Ok(Retention { mails: mails?, ledger: ledger? })
    });
    Ok(retention?.unwrap_or_default())
}
