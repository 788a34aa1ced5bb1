//! `trust`: what the mails of a checker must bring along to be believed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::report::{Nature, Reported, quoted};
use super::section::{Item, Unique};
use super::{AuthResults, Method, Sender, Trust, secret, value};

const MAX_SENDERS: usize = 100;
/// Two while a key is being changed.
const MAX_KEYS: usize = 10;

const METHODS: [(&str, Method); 3] = [("dkim", Method::Dkim), ("spf", Method::Spf), ("dmarc", Method::Dmarc)];
const MICROSOFT_365: &str = "microsoft365";

pub(super) fn read(item: Item<'_>, environment: &BTreeMap<String, String>) -> Result<Arc<Trust>, Reported> {
    let mut section = item.section("trust")?;
    let mut senders = Unique::default();
    let from = section.optional("from", |item| {
        item.one_or_list(1..=MAX_SENDERS, |item| {
            let sender = sender(&item)?;
            senders.claim_item(item.text()?, &item)?;
            Ok(sender)
        })
    });
    let auth_results = section.optional("auth_results", auth_results);
    let hmac = section.optional("hmac", |item| match item.is_list() {
        true => item.list(1..=MAX_KEYS, |item| secret::read(item, environment)),
        false => Ok(vec![secret::read(item, environment)?]),
    });
    section.finish();
    let (from, auth_results, hmac) = (from?, auth_results?, hmac?);
    if from.is_none() && auth_results.is_none() && hmac.is_none() {
        let sentence = "give at least one of from, auth_results and hmac, or leave trust out";
        return Err(section.report.error(Nature::Value, &section.place, sentence));
    }
    if auth_results.is_some() && from.is_none() {
        let sentence = "without from beside it this only proves that a mail is from whom it says, and that may be anybody";
        section.report.warn(&section.place_of("auth_results"), sentence);
    }
    Ok(Arc::new(Trust { from: from.unwrap_or_default(), auth_results, hmac: hmac.unwrap_or_default() }))
}

fn sender(item: &Item<'_>) -> Result<Sender, Reported> {
    let text = value::line(item)?;
    if value::is_mail_address(&text) {
        return Ok(Sender::Address(text.to_lowercase()));
    }
    if text.contains(['@', ':', '/']) || !text.contains('.') {
        let shown = quoted(&text);
        return Err(item.wrong(format!("{shown} is neither a mail address nor a domain such as example.com")));
    }
    value::host(item).map(|domain| Sender::Domain(domain.to_lowercase()))
}

fn auth_results(item: Item<'_>) -> Result<AuthResults, Reported> {
    if item.is_text() {
        return match item.text()? {
            MICROSOFT_365 => Ok(AuthResults::Microsoft365),
            other => Err(item.wrong(format!(
                "{} is not known; write \"{MICROSOFT_365}\" or {{ server = \"mx.example.com\" }}",
                quoted(other)
            ))),
        };
    }
    if !item.is_table() {
        return Err(item.not("\"microsoft365\" or { server = \"mx.example.com\" }"));
    }
    let mut section = item.section("auth_results")?;
    let server = section.required("server", |item| value::line(&item));
    let require =
        section.optional("require", |item| item.list(1..=METHODS.len(), |item| item.choice(&METHODS)));
    section.finish();
    Ok(AuthResults::Server {
        server: server?.to_lowercase(),
        require: require?.unwrap_or_else(|| vec![Method::Dmarc]),
    })
}
