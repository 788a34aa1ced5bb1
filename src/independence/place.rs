//! One thing that is needed, as DNS knows it, and what two such things share.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Answers;
use crate::config::is_loopback;
use crate::site;

/// Addresses that agree in so many bits are taken to be of one network: the smallest prefixes that are routed on the
/// Internet.
pub const BLOCK_BITS_V4: u32 = 24;
/// As above; what one site is usually given (RFC 6177).
pub const BLOCK_BITS_V6: u32 = 48;

/// Registered domains that are known to be of one operator each, because its services stand below several of them.
const OPERATORS: [(&str, &[&str]); 3] = [
    (
        "Microsoft",
        &[
            "microsoft.com",
            "microsoftonline.com",
            "office.com",
            "office365.com",
            "outlook.com",
            "hotmail.com",
            "live.com",
            "onmicrosoft.com",
            "azure.com",
            "windows.net",
            "powerplatform.com",
            "powerautomate.com",
        ],
    ),
    ("Google", &["google.com", "gmail.com", "googlemail.com", "googleapis.com"]),
    ("OVH", &["ovh.com", "ovh.net", "ovhcloud.com"]),
];

/// A machine, or the mail system of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// As people know it.
    pub(super) shown: String,
    /// It stands on this machine: what is behind it is not known.
    pub(super) local: bool,
    /// The hosts, in lower case.
    hosts: BTreeSet<String>,
    /// Whose mail system it is.
    domain: Option<String>,
    blocks: BTreeSet<Block>,
    /// Why not all of it is known.
    pub(super) unknown: Option<String>,
}

impl Place {
    pub(super) fn server(host: &str, answers: &Answers) -> Self {
        let mut place = Self::new(host.to_owned());
        place.hosts.insert(normal(host));
        place.local = is_loopback(host);
        if !place.local {
            place.add_addresses(host, answers);
        }
        place
    }

    /// Where mail for this domain goes to (RFC 5321, section 5.1).
    pub(super) fn mail(domain: &str, answers: &Answers) -> Self {
        let mut place = Self::new(format!("the mail system of {domain}"));
        place.domain = Some(normal(domain));
        match answers.mail_hosts.get(domain) {
            Some(Ok(hosts)) if hosts.is_empty() => place.lacks(format!("{domain} takes no mail (RFC 7505)")),
            Some(Ok(hosts)) => {
                place.hosts = hosts.iter().map(|host| normal(host)).collect();
                hosts.iter().for_each(|host| place.add_addresses(host, answers));
            }
            Some(Err(why)) => place.lacks(format!("the mail hosts of {domain}: {why}")),
            None => place.lacks(format!("DNS was not asked about {domain}")),
        }
        place
    }

    fn new(shown: String) -> Self {
        let (hosts, blocks) = (BTreeSet::new(), BTreeSet::new());
        Self { shown, local: false, hosts, domain: None, blocks, unknown: None }
    }

    fn add_addresses(&mut self, host: &str, answers: &Answers) {
        if let Ok(address) = host.parse::<IpAddr>() {
            self.blocks.insert(Block::of(address));
            return;
        }
        match answers.addresses.get(&normal(host)) {
            Some(Ok(found)) if found.is_empty() => self.lacks(format!("{host} has no address")),
            Some(Ok(found)) if found.iter().all(IpAddr::is_loopback) => self.local = true,
            Some(Ok(found)) => self.blocks.extend(found.iter().copied().map(Block::of)),
            Some(Err(why)) => self.lacks(format!("the address of {host}: {why}")),
            None => self.lacks(format!("DNS was not asked about {host}")),
        }
    }

    fn lacks(&mut self, why: String) {
        self.unknown.get_or_insert(why);
    }

    /// The strongest tie between the two.
    pub(super) fn shares(&self, other: &Self) -> Option<Shared> {
        if self.local || other.local {
            return None;
        }
        let host = self.hosts.intersection(&other.hosts).next();
        let host = host.map(|host| match self.domain.is_some() && other.domain.is_some() {
            true => Shared::MailHost(host.clone()),
            false => Shared::Host(host.clone()),
        });
        let domain = || first_common(self.sites(), other.sites());
        let operator = || first_common(self.operators(), other.operators());
        let block = || self.blocks.intersection(&other.blocks).next().copied();
        host.or_else(|| domain().map(Shared::Domain))
            .or_else(|| operator().map(Shared::Operator))
            .or_else(|| block().map(Shared::Block))
    }

    /// A provider is known by its name alone: as the label of a registered domain, or as an operator.
    pub(super) fn is_of(&self, provider: &str) -> Option<Shared> {
        if self.local {
            return None;
        }
        let same = |name: &str| name.eq_ignore_ascii_case(provider);
        let label = |site: &String| same(site.split('.').next().unwrap_or(site));
        let site = self.sites().into_iter().find(label);
        let operator = || self.operators().into_iter().find(|operator| same(operator));
        site.map(Shared::Domain).or_else(|| operator().map(Shared::Operator))
    }

    fn sites(&self) -> BTreeSet<String> {
        self.hosts.iter().chain(&self.domain).filter_map(|name| site::of(name)).collect()
    }

    fn operators(&self) -> BTreeSet<&'static str> {
        let sites = self.sites();
        let runs = |domains: &[&str]| domains.iter().any(|domain| sites.contains(*domain));
        OPERATORS.iter().filter(|(_, domains)| runs(domains)).map(|(name, _)| *name).collect()
    }
}

fn first_common<T: Ord + Clone>(ours: BTreeSet<T>, theirs: BTreeSet<T>) -> Option<T> {
    ours.intersection(&theirs).next().cloned()
}

/// A host name as it is compared.
pub(super) fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}

/// What two things have in common, the strongest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shared {
    MailHost(String),
    Host(String),
    Domain(String),
    Operator(&'static str),
    Block(Block),
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MailHost(host) => write!(f, "the mail host {host}"),
            Self::Host(host) => write!(f, "the host {host}"),
            Self::Domain(domain) => write!(f, "the domain {domain}"),
            Self::Operator(operator) => write!(f, "the operator {operator}"),
            Self::Block(block) => write!(f, "the network {block}"),
        }
    }
}

/// The network of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Block(IpAddr);

impl Block {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => {
                let mask = u32::MAX << (u32::BITS - BLOCK_BITS_V4);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX << (u128::BITS - BLOCK_BITS_V6);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        })
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.0.is_ipv4() { BLOCK_BITS_V4 } else { BLOCK_BITS_V6 };
        write!(f, "{}/{bits}", self.0)
    }
}
