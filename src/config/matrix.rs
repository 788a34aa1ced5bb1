//! `[matrix]`: how many providers must see a service down before it looks down itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::report::{Reported, quoted};
use super::section::{Item, Section, Unique, nearest};
use super::{Checker, Quorum};

const MAX_SERVICES: usize = 1_000;
const PROVIDERS: RangeInclusive<usize> = 1..=100;
/// Two networks that share nothing but the service.
const DEFAULT_QUORUM: usize = 2;

/// `checkers` say which services there are; where there are none yet, any service will do.
pub(super) fn read(
    root: &mut Section<'_>,
    checkers: &Result<Vec<Checker>, Reported>,
) -> Result<Quorum, Reported> {
    let tested = checkers.as_deref().map(services_of).map_err(|reported| *reported);
    let mut section = root.subsection("matrix", "[matrix]")?;
    let usual = section.optional("quorum", |item| item.integer(PROVIDERS));
    let mut names = Unique::default();
    let services = section
        .optional("services", |item| item.list(0..=MAX_SERVICES, |item| service(item, &mut names, &tested)));
    section.finish();
    let by_service: BTreeMap<String, usize> = services?.unwrap_or_default().into_iter().collect();
    Ok(Quorum { usual: usual?.unwrap_or(DEFAULT_QUORUM), by_service })
}

fn service(
    item: Item<'_>,
    names: &mut Unique,
    tested: &Result<BTreeSet<&str>, Reported>,
) -> Result<(String, usize), Reported> {
    let mut section = item.section("the service")?;
    let service = section.required("service", |item| {
        let name = item.text()?.to_owned();
        names.claim_item(&name, &item)?;
        let tested = tested.as_ref().map_err(|reported| *reported)?;
        if tested.is_empty() || tested.contains(name.as_str()) {
            return Ok(name);
        }
        Err(item.wrong(format!("no checker tests {}{}", quoted(&name), nearest(&name, tested))))
    });
    let quorum = section.required("quorum", |item| item.integer(PROVIDERS));
    section.finish();
    Ok((service?, quorum?))
}

fn services_of(checkers: &[Checker]) -> BTreeSet<&str> {
    checkers.iter().flat_map(|checker| &checker.tests).map(|test| test.service.as_str()).collect()
}
