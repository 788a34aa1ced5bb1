//! `[[checker]]`, and `[defaults]`, which holds for all of them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::TimeDelta;

use super::duration::{self, DurationError};
use super::report::{Place, Reported, quoted};
use super::section::{Item, Section, Unique};
use super::{
    Checker, Checkers, FLAP_CHANGES_MAX, FLAP_WITHIN_MAX, Flap, Margin, Test, Trust, findings, trust, value,
};

const MAX_CHECKERS: usize = 20_000;
const MAX_ADDRESSES: usize = 100;
const MAX_TESTS: usize = 1_000;

pub(super) const CYCLE: RangeInclusive<TimeDelta> = TimeDelta::seconds(1)..=TimeDelta::days(7);
pub(super) const DEFAULT_CYCLE: TimeDelta = TimeDelta::minutes(5);
const MARGIN: RangeInclusive<TimeDelta> = TimeDelta::zero()..=TimeDelta::days(1);
pub(super) const DEFAULT_MARGIN: TimeDelta = TimeDelta::seconds(60);
/// Of a measured margin. A path of some seconds has slow days, and after ten minutes somebody should look anyway.
const DEFAULT_FLOOR: TimeDelta = TimeDelta::seconds(30);
const DEFAULT_CEILING: TimeDelta = TimeDelta::minutes(10);
const TIMEOUT: RangeInclusive<TimeDelta> = TimeDelta::zero()..=TimeDelta::hours(1);
const MISSED_CYCLES: RangeInclusive<u32> = 1..=100;
const IN_A_ROW: RangeInclusive<u32> = 1..=10;
const FLAP_CHANGES: RangeInclusive<u32> = 2..=FLAP_CHANGES_MAX;
const FLAP_WITHIN: RangeInclusive<TimeDelta> = TimeDelta::minutes(1)..=FLAP_WITHIN_MAX;

type Setting<T> = Result<Option<T>, Reported>;

/// The keys of `[[checker]]` that `[defaults]` may hold too.
struct Settings {
    provider: Setting<String>,
    tests: Setting<Vec<Test>>,
    cycle: Setting<TimeDelta>,
    mail_path_margin: Setting<Margin>,
    missed_cycles: Setting<u32>,
    nok_after: Setting<u32>,
    ok_after: Setting<u32>,
    findings: Setting<findings::Reactions>,
    report_after: Setting<u32>,
    flap: Setting<Flap>,
    trust: Setting<Arc<Trust>>,
}

impl Settings {
    fn read(section: &mut Section<'_>, environment: &BTreeMap<String, String>) -> Self {
        Self {
            provider: section.optional("provider", |item| value::name(&item)),
            tests: section.optional("tests", tests),
            cycle: section.optional("cycle", |item| item.duration(CYCLE)),
            mail_path_margin: section.optional("mail_path_margin", margin),
            missed_cycles: section.optional("missed_cycles", |item| item.integer(MISSED_CYCLES)),
            nok_after: section.optional("nok_after", |item| item.integer(IN_A_ROW)),
            ok_after: section.optional("ok_after", |item| item.integer(IN_A_ROW)),
            findings: section.optional("findings", findings::read),
            report_after: section.optional("report_after", |item| item.integer(IN_A_ROW)),
            flap: section.optional("flap", flap),
            trust: section.optional("trust", |item| trust::read(item, environment)),
        }
    }

    /// When the table could not be read at all.
    fn unknown(reported: Reported) -> Self {
        Self {
            provider: Err(reported),
            tests: Err(reported),
            cycle: Err(reported),
            mail_path_margin: Err(reported),
            missed_cycles: Err(reported),
            nok_after: Err(reported),
            ok_after: Err(reported),
            findings: Err(reported),
            report_after: Err(reported),
            flap: Err(reported),
            trust: Err(reported),
        }
    }

    /// These settings, and the others where these say nothing.
    fn or(self, others: &Self) -> Self {
        fn or<T: Clone>(own: Setting<T>, other: &Setting<T>) -> Setting<T> {
            if let Ok(None) = own { other.clone() } else { own }
        }
        Self {
            provider: or(self.provider, &others.provider),
            tests: or(self.tests, &others.tests),
            cycle: or(self.cycle, &others.cycle),
            mail_path_margin: or(self.mail_path_margin, &others.mail_path_margin),
            missed_cycles: or(self.missed_cycles, &others.missed_cycles),
            nok_after: or(self.nok_after, &others.nok_after),
            ok_after: or(self.ok_after, &others.ok_after),
            findings: findings::merged(self.findings, &others.findings),
            report_after: or(self.report_after, &others.report_after),
            flap: or(self.flap, &others.flap),
            trust: or(self.trust, &others.trust),
        }
    }
}

/// What all checkers are read with.
struct Common<'a> {
    environment: &'a BTreeMap<String, String>,
    defaults: Settings,
    /// Of the first mailbox.
    user: Result<String, Reported>,
    names: Unique,
    addresses: Unique,
}

/// `user` is that of the first mailbox.
pub(super) fn read_all(
    root: &mut Section<'_>,
    user: Result<String, Reported>,
    need: Checkers,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Checker>, Reported> {
    let defaults = match root.subsection("defaults", "[defaults]") {
        Ok(mut section) => {
            let defaults = Settings::read(&mut section, environment);
            section.finish();
            defaults
        }
        Err(reported) => Settings::unknown(reported),
    };
    let (names, addresses) = (Unique::default(), Unique::default());
    let mut common = Common { environment, defaults, user, names, addresses };
    let checkers = root.optional("checker", |item| {
        item.list(1..=MAX_CHECKERS, |element| read(element.section("[[checker]]")?, &mut common))
    })?;
    match (checkers, need) {
        (Some(checkers), _) => Ok(checkers),
        (None, Checkers::Optional) => Ok(Vec::new()),
        (None, Checkers::Needed) => Err(root.missing(
            "checker",
            "there is no [[checker]]; the watchdog has nothing to watch (see `propose`)",
        )),
    }
}

fn read(mut section: Section<'_>, common: &mut Common<'_>) -> Result<Checker, Reported> {
    let name = section.required("name", |item| {
        let name = value::name(&item)?;
        common.names.claim_item(&name, &item)?;
        Ok(name)
    });
    let own = Settings::read(&mut section, common.environment);
    let addresses = addresses(&mut section, &name, common);
    let settings = own.or(&common.defaults);
    let provider = settings.provider.and_then(|provider| {
        provider.ok_or_else(|| {
            section.missing("provider", "this required key is missing from [[checker]] and from [defaults]")
        })
    });
    if let Ok(None) = settings.tests {
        let sentence = "without tests only the rhythm is watched; write tests = [] if that is meant";
        section.report.warn(&section.place_of("tests"), sentence);
    }
    section.finish();
    Ok(Checker {
        name: name?,
        provider: provider?,
        addresses: addresses?,
        tests: settings.tests?.unwrap_or_default(),
        cycle: settings.cycle?.unwrap_or(DEFAULT_CYCLE),
        mail_path_margin: settings.mail_path_margin?.unwrap_or(Margin::Fixed(DEFAULT_MARGIN)),
        missed_cycles: settings.missed_cycles?.unwrap_or(1),
        nok_after: settings.nok_after?.unwrap_or(1),
        ok_after: settings.ok_after?.unwrap_or(1),
        findings: findings::of(settings.findings?, settings.report_after?),
        flap: settings.flap?,
        trust: settings.trust?,
    })
}

fn addresses(
    section: &mut Section<'_>,
    name: &Result<String, Reported>,
    common: &mut Common<'_>,
) -> Result<Vec<String>, Reported> {
    let given = section.optional("address", |item| {
        item.one_or_list(1..=MAX_ADDRESSES, |item| {
            let address = value::mail_address(&item)?;
            common.addresses.claim_item(&address, &item)?;
            Ok(address)
        })
    })?;
    match given {
        Some(addresses) => Ok(addresses),
        None => default_address(section, name.as_deref(), common).map(|address| vec![address]),
    }
}

fn default_address(
    section: &Section<'_>,
    name: Result<&str, &Reported>,
    common: &mut Common<'_>,
) -> Result<String, Reported> {
    let name = name.map_err(|reported| *reported)?;
    let domain =
        common.user.as_ref().map_err(|reported| *reported)?.rsplit_once('@').map(|(_, domain)| domain);
    let address = domain.map(|domain| format!("{name}+monitor@{domain}").to_lowercase());
    let Some(address) = address.filter(|address| value::is_mail_address(address)) else {
        let sentence = "this key is needed: no address can be made from this name and the mailbox's user";
        return Err(section.missing("address", sentence));
    };
    match common.addresses.claim(&address, &section.place_of("name")) {
        Ok(()) => Ok(address),
        Err(Place { origin, path }) => Err(section.wrong(
            "address",
            format!("the default {} is already used by {path} {}", quoted(&address), origin.reference()),
        )),
    }
}

/// A duration, or "auto", or the bounds of what is measured.
fn margin(item: Item<'_>) -> Result<Margin, Reported> {
    if !item.is_table() {
        return match item.is_text().then(|| item.text()).transpose()? {
            Some("auto") => Ok(Margin::Measured { floor: DEFAULT_FLOOR, ceiling: DEFAULT_CEILING }),
            Some(text) if duration::parse(text) == Err(DurationError::Grammar) => {
                let shown = quoted(text);
                Err(item.wrong(format!("{shown} is neither a duration such as 90s or 5m nor \"auto\"")))
            }
            _ => item.duration(MARGIN).map(Margin::Fixed),
        };
    }
    let mut section = item.section("mail_path_margin")?;
    let floor = section.optional("floor", |item| item.duration(MARGIN));
    let ceiling = section.optional("ceiling", |item| item.duration(MARGIN));
    section.finish();
    let (floor, ceiling) = (floor?, ceiling?);
    let (least, most) = (floor.unwrap_or(DEFAULT_FLOOR), ceiling.unwrap_or(DEFAULT_CEILING));
    if least > most {
        let (shortest, longest) = (duration::display(least), duration::display(most));
        return Err(match floor {
            Some(_) => section.wrong("floor", format!("{shortest} is above the ceiling of {longest}")),
            None => section.wrong("ceiling", format!("{longest} is below the floor of {shortest}")),
        });
    }
    Ok(Margin::Measured { floor: least, ceiling: most })
}

fn tests(item: Item<'_>) -> Result<Vec<Test>, Reported> {
    let mut services = Unique::default();
    item.list(0..=MAX_TESTS, |item| {
        let mut section = item.section("the test")?;
        let service = section.required("service", |item| {
            let service = value::service(&item)?;
            services.claim_item(&service, &item)?;
            Ok(service)
        });
        let timeout = section.required("timeout", |item| item.duration(TIMEOUT));
        let nok_after = section.optional("nok_after", |item| item.integer(IN_A_ROW));
        let ok_after = section.optional("ok_after", |item| item.integer(IN_A_ROW));
        section.finish();
        Ok(Test { service: service?, timeout: timeout?, nok_after: nok_after?, ok_after: ok_after? })
    })
}

fn flap(item: Item<'_>) -> Result<Flap, Reported> {
    let mut section = item.section("flap")?;
    let changes = section.required("changes", |item| item.integer(FLAP_CHANGES));
    let within = section.required("within", |item| item.duration(FLAP_WITHIN));
    section.finish();
    Ok(Flap { changes: changes?, within: within? })
}
