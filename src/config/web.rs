//! `[web]`: the page, the API and what machines ask.

use std::net::SocketAddr;
use std::path::PathBuf;

use reqwest::Url;

use super::report::{Reported, quoted};
use super::section::{Item, Section, Unique};
use super::{parse_url, value};

const MAX_TOKENS: usize = 100;
const ROLES: [(&str, Role); 3] = [("read", Role::Read), ("ack", Role::Acknowledge), ("admin", Role::Admin)];

/// What answers HTTP requests.
#[derive(Debug, Clone)]
pub struct Web {
    /// Anywhere but on loopback with `tls` only.
    pub listen: SocketAddr,
    /// Where people reach it: the beginning of every link in an alarm. Without it alarms have no link.
    pub public_url: Option<Url>,
    pub tls: Option<Identity>,
    /// Names are unique.
    pub tokens: Vec<Token>,
}

/// What a server shows of itself, in PEM files that are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// With the chain up to the authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Whoever knows it may do what its role allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Under which its holder's deeds are kept.
    pub name: String,
    pub role: Role,
    /// Of the token, which itself is nowhere kept.
    pub sha256: [u8; 32],
}

/// Each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Read,
    /// Take incidents.
    Acknowledge,
    /// Silence, resolve, drill.
    Admin,
}

pub(super) fn read(root: &mut Section<'_>) -> Result<Option<Web>, Reported> {
    root.optional("web", |item| {
        let mut section = item.section("[web]")?;
        let listen = section.required("listen", |item| address(&item));
        let public_url = section.optional("public_url", |item| base(&item));
        let tls = section.optional("tls", |item| identity(item.section("tls")?));
        let mut names = Unique::default();
        let tokens = section.optional("token", |item| {
            item.list(0..=MAX_TOKENS, |element| token(element.section("[[web.token]]")?, &mut names))
        });
        let exposed = matches!((&listen, &tls), (Ok(listen), Ok(None)) if !listen.ip().is_loopback());
        let listen = match exposed {
            true => Err(section.wrong(
                "listen",
                "tokens could be read on the way: set tls, or listen on 127.0.0.1 behind a proxy",
            )),
            false => listen,
        };
        section.finish();
        let (listen, tls) = (listen?, tls?);
        Ok(Web { listen, public_url: public_url?, tls, tokens: tokens?.unwrap_or_default() })
    })
}

fn address(item: &Item<'_>) -> Result<SocketAddr, Reported> {
    let text = value::line(item)?;
    text.parse().map_err(|_| {
        item.wrong(format!(
            "{} is no address with a port, such as 127.0.0.1:8080 or [::1]:8080",
            quoted(&text)
        ))
    })
}

fn base(item: &Item<'_>) -> Result<Url, Reported> {
    let mut url = parse_url(&value::line(item)?).map_err(|sentence| item.wrong(sentence))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(item.wrong("must have no ? and no #: links are made by adding to it"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn identity(mut section: Section<'_>) -> Result<Identity, Reported> {
    let certificate = section.required("certificate", |item| value::path(&item));
    let key = section.required("key", |item| value::path(&item));
    section.finish();
    Ok(Identity { certificate: certificate?, key: key? })
}

fn token(mut section: Section<'_>, names: &mut Unique) -> Result<Token, Reported> {
    let name = section.required("name", |item| {
        let name = value::name(&item)?;
        names.claim_item(&name, &item)?;
        Ok(name)
    });
    let role = section.required("role", |item| item.choice(&ROLES));
    let sha256 = section.required("sha256", |item| value::fingerprint(&item));
    section.finish();
    Ok(Token { name: name?, role: role?, sha256: sha256? })
}
