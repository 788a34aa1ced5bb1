//! Which host names belong together: those below one registered domain. Pure.

use std::net::IpAddr;

/// Below a country, these stand where elsewhere the registered name does: `example.co.uk`.
const SECOND_LEVEL: [&str; 8] = ["ac", "co", "com", "edu", "gov", "net", "org", "gouv"];

/// The registered domain of a host, in lower case: `free.fr` of `smtp1-g21.free.fr`. None for addresses and for names
/// without a dot. A guess: the list of all public suffixes is not consulted.
pub(crate) fn of(host: &str) -> Option<String> {
    registered(host).map(str::to_lowercase)
}

/// As [`of`], in the letters of the host.
pub(crate) fn registered(host: &str) -> Option<&str> {
    let host = host.trim_matches(['[', ']', '.']);
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let mut dots = host.rmatch_indices('.').map(|(place, _)| place);
    let (last, before) = (dots.next()?, dots.next());
    let after = |dot: Option<usize>| dot.map_or(0, |dot| dot + 1);
    let (second, top) = (host.get(after(before)..last)?, host.get(last + 1..)?);
    let below_country = top.len() == 2 && SECOND_LEVEL.iter().any(|known| known.eq_ignore_ascii_case(second));
    let from = if below_country && before.is_some() { dots.next() } else { before };
    host.get(after(from)..)
}

/// Whether both names are of one owner, one of them at or below the other: what RFC 7489, section 3.1, calls relaxed
/// alignment, with the guess of [`of`] instead of the list of all public suffixes.
pub(crate) fn aligned(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let (short, long) = (short.to_lowercase(), long.to_lowercase());
    let below = || long.strip_suffix(&short).is_some_and(|left| left.ends_with('.'));
    short == long || (below() && of(&short).is_some() && of(&short) == of(&long))
}

/// The domain of a mail address, in lower case.
pub(crate) fn domain(address: &str) -> Option<String> {
    address.rsplit_once('@').map(|(_, domain)| domain.to_lowercase())
}

/// A mail address without its `+tag`, in lower case: where a server that knows such tags delivers it.
pub(crate) fn untagged(address: &str) -> String {
    let address = address.to_lowercase();
    match address.rsplit_once('@') {
        Some((local, domain)) => {
            let (name, _) = local.split_once('+').unwrap_or((local, ""));
            format!("{name}@{domain}")
        }
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_one_registered_domain_belong_together() {
        for (host, site) in [
            ("smtp1-g21.free.fr", Some("free.fr")),
            ("SMTP.sfr.fr.", Some("sfr.fr")),
            ("outlook.office365.com", Some("office365.com")),
            ("mail.example.co.uk", Some("example.co.uk")),
            ("co.uk", Some("co.uk")),
            ("free.fr", Some("free.fr")),
            ("localhost", None),
            ("127.0.0.1", None),
            ("[2001:db8::1]", None),
            ("", None),
            ("...", None),
        ] {
            assert_eq!(of(host).as_deref(), site, "{host}");
        }
    }

    #[test]
    fn names_of_one_owner_are_aligned() {
        for (one, other, expected) in [
            ("free.fr", "Free.FR", true),
            ("free.fr", "smtp.free.fr", true),
            ("bresse1.shop.example.co.uk", "example.co.uk", true),
            ("co.uk", "example.co.uk", false),
            ("fr", "free.fr", false),
            ("localhost", "localhost", true),
            ("evilfree.fr", "free.fr", false),
            ("a.free.fr", "b.free.fr", false),
            ("", "free.fr", false),
        ] {
            assert_eq!((aligned(one, other), aligned(other, one)), (expected, expected), "{one} {other}");
        }
    }

    #[test]
    fn a_tag_is_what_follows_the_first_plus() {
        assert_eq!(untagged("Bresse1+monitor@Domain.com"), "bresse1@domain.com");
        assert_eq!(untagged("monitor+a+b@domain.com"), "monitor@domain.com");
        assert_eq!(untagged("monitor"), "monitor");
        assert_eq!(domain("a@b@C.de").as_deref(), Some("c.de"));
        assert_eq!(domain("a"), None);
    }
}
