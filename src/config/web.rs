//! `[web]`: the page, the API and what machines ask.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use reqwest::Url;

use super::report::{Reported, quoted};
use super::section::{Item, Section, Unique};
use super::{parse_url, value};

const MAX_TOKENS: usize = 100;
const MAX_NETWORKS: usize = 1_000;
const BADGES: [(&str, bool); 2] = [("token", false), ("public", true)];
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
    /// Who may ask for `/lb/` without a token.
    pub lb_from: Vec<Network>,
    /// Whether badges need no token.
    pub public_badges: bool,
}

/// Addresses that begin with the same bits: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// An address in IPv4 is in no network of IPv6, and the other way round.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, other, width) = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let differing: u128 = own ^ other;
        differing.checked_shr(width - u32::from(self.bits)).unwrap_or_default() == 0
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(width), |bits| bits.parse().ok().filter(|bits| *bits <= width))?;
        Some(Self { address, bits })
    }
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
        let lb_from = section
            .optional("lb_from", |item| item.one_or_list(0..=MAX_NETWORKS, |element| network(&element)));
        let public_badges = section.optional("badges", |item| item.choice(&BADGES));
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
        Ok(Web {
            listen,
            public_url: public_url?,
            tls,
            tokens: tokens?.unwrap_or_default(),
            lb_from: lb_from?.unwrap_or_default(),
            public_badges: public_badges?.unwrap_or_default(),
        })
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

fn network(item: &Item<'_>) -> Result<Network, Reported> {
    let text = value::line(item)?;
    Network::parse(&text).ok_or_else(|| {
        item.wrong(format!("{} is no address or network, such as 10.0.0.0/8 or ::1", quoted(&text)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_that_begin_as_it_does() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("10.0.0.128/25", "10.0.0.200", true),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(Network::parse(network).unwrap().contains(address), expected, "{network} {address}");
        }
        for wrong in ["10.0.0.0/33", "::/129", "10.0.0", "10.0.0.0/", "10.0.0.0/-1", "example.com", ""] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
