//! `type = "smtp"`.

use std::collections::BTreeMap;

use super::super::report::Reported;
use super::super::section::{Section, Unique};
use super::super::{Login, Server, login, server, value};

const MAX_RECIPIENTS: usize = 100;

#[derive(Debug, Clone)]
pub struct Smtp {
    pub server: Server,
    /// The user, and the password or where tokens come from; without it nothing is authenticated.
    pub login: Option<(String, Login)>,
    pub from: String,
    /// At least one.
    pub to: Vec<String>,
}

pub(super) fn read(
    section: &mut Section<'_>,
    environment: &BTreeMap<String, String>,
) -> Result<Smtp, Reported> {
    let server = server::read(section, &server::SUBMISSION);
    let user = section.optional("user", |item| value::line(&item));
    let login = match (user, login::read(section, environment)) {
        (Ok(Some(_)), Ok(None)) => Err(section.wrong("user", "user needs password or oauth2 beside it")),
        (Ok(None), Ok(Some(Login::Password(_)))) => {
            Err(section.wrong("password", "password needs user beside it"))
        }
        (Ok(None), Ok(Some(Login::OAuth2(_)))) => Err(section.wrong("oauth2", "oauth2 needs user beside it")),
        (user, login) => user.and_then(|user| Ok(user.zip(login?))),
    };
    let from = section.required("from", |item| value::mail_address(&item));
    let mut recipients = Unique::default();
    let to = section.required("to", |item| {
        item.one_or_list(1..=MAX_RECIPIENTS, |item| {
            let address = value::mail_address(&item)?;
            recipients.claim_item(&address, &item)?;
            Ok(address)
        })
    });
    Ok(Smtp { server: server?, login: login?, from: from?, to: to? })
}
