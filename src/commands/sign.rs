//! `sign`: the headers of a signed report, for a sender that cannot make them itself and for trying one out.

use anyhow::{Result, bail, ensure};
use clap::Args;

use super::{Global, output};
use crate::report::DRYRUN;
use crate::text::composed;
use crate::{clock, keys};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The checker that reports, as it is configured
    checker: String,
    /// Everything that the mail says: DRYRUN.OK SERVICE.OK SERVICE.NOK …
    #[arg(required = true, value_name = "TOKEN")]
    tokens: Vec<String>,
    /// When the run began, in seconds since 1970; every mail of a run has the same [default: now]
    #[arg(long, value_name = "UNIXTIME", value_parser = clap::value_parser!(i64).range(1..=253_402_300_799))]
    run: Option<i64>,
}

pub(super) async fn sign(global: &Global, options: &Options) -> Result<u8> {
    let config = global.load()?;
    let Some(checker) = config.checkers.iter().find(|checker| checker.name == options.checker) else {
        let names: Vec<&str> = config.checkers.iter().map(|checker| checker.name.as_str()).collect();
        bail!("There is no checker {}; configured are: {}.", options.checker, names.join(", "));
    };
    let mut keys = keys::fetch(&config).await?;
    let key = keys.remove(&checker.name).and_then(|keys| keys.first().cloned());
    let Some(key) = key else {
        bail!("{} has no key to sign with; its configuration needs trust = {{ hmac = … }}.", checker.name)
    };
    for token in &options.tokens {
        let name = token.strip_suffix(".OK").or_else(|| token.strip_suffix(".NOK"));
        let Some(name) = name.filter(|name| !name.is_empty() && !name.chars().any(char::is_control)) else {
            bail!(
                "\"{token}\" is no token: write SERVICE.OK or SERVICE.NOK, and DRYRUN.OK first in every run."
            )
        };
        let known =
            name == DRYRUN || checker.tests.iter().any(|test| composed(&test.service) == composed(name));
        ensure!(
            known,
            "{} has no test \"{name}\"; a mail that names it is understood otherwise.",
            checker.name
        );
    }
    let run = options.run.unwrap_or_else(|| clock::now().timestamp());
    let signature = key.sign(&checker.name, run, options.tokens.iter().map(String::as_str));
    output::print(&format!("X-Bresse-Run: {run}\nX-Bresse-Signature: {signature}\n"))?;
    Ok(0)
}
