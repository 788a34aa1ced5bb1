//! What the receiving server found out about a mail, held against what is required.
//!
//! That a signature is good, or an address may send for its domain, says nothing of itself: anybody has a domain. It must
//! be the domain that stands in `From` (RFC 7489, section 3.1).

use super::Why;
use crate::config::{AuthResults, Method};
use crate::mail::authentication::{Results, Statement};
use crate::site;

/// `author` is the address in `From`, `header` the topmost Authentication-Results.
pub(super) fn examine(wanted: &AuthResults, author: Option<&str>, header: Option<&str>) -> Result<(), Why> {
    let results = Results::read(header.ok_or(Why::NoAuthResults)?).ok_or(Why::AuthResultsUnreadable)?;
    let author = author.and_then(site::domain).ok_or(Why::FromNotAllowed)?;
    match wanted {
        AuthResults::Server { server, require } => {
            if results.server.as_ref() != Some(server) {
                return Err(Why::AuthResultsOfAnother);
            }
            require.iter().try_for_each(|method| passed(*method, &results, &author))
        }
        AuthResults::Microsoft365 => {
            // A header with a server's name is of a server before it, or somebody's own.
            if results.server.is_some() {
                return Err(Why::AuthResultsOfAnother);
            }
            if results.of("compauth").any(|composite| composite.result != "pass") {
                return Err(Why::CompauthNotPassed);
            }
            dmarc(&results, &author, &["pass", BEST_GUESS])
        }
    }
}

/// Exchange Online: the domain has no DMARC record, and would have passed with one.
const BEST_GUESS: &str = "bestguesspass";

fn passed(method: Method, results: &Results, author: &str) -> Result<(), Why> {
    match method {
        Method::Dmarc => dmarc(results, author, &["pass"]),
        Method::Dkim => {
            // A mail may bring several signatures, and one good one is enough (RFC 6376, section 6.1).
            let good = |statement: &Statement| {
                let signer = statement.domain("header.d").or_else(|| statement.domain("header.i"));
                statement.result == "pass" && signer.is_some_and(|signer| site::aligned(signer, author))
            };
            if results.of("dkim").any(good) { Ok(()) } else { Err(Why::DkimNotPassed) }
        }
        Method::Spf => {
            // Of the name in HELO some servers write one more.
            let mut of_sender = results.of("spf").filter(|one| one.property("smtp.mailfrom").is_some());
            let good = |statement: &Statement| {
                let sender = statement.domain("smtp.mailfrom");
                statement.result == "pass" && sender.is_some_and(|sender| site::aligned(sender, author))
            };
            if of_sender.next().is_some_and(good) && of_sender.all(good) {
                Ok(())
            } else {
                Err(Why::SpfNotPassed)
            }
        }
    }
}

/// A server writes one such result. With two, one of them came in with somebody's words.
fn dmarc(results: &Results, author: &str, good: &[&str]) -> Result<(), Why> {
    let mut all = results.of("dmarc");
    let (Some(only), None) = (all.next(), all.next()) else { return Err(Why::DmarcNotPassed) };
    let same = only.domain("header.from") == Some(author);
    if same && good.contains(&only.result.as_str()) { Ok(()) } else { Err(Why::DmarcNotPassed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Method::{Dkim, Dmarc, Spf};
    use Why::*;

    const AUTHOR: &str = "bresse1@shop.example";

    fn server(require: &[Method]) -> AuthResults {
        AuthResults::Server { server: "mx.example.com".to_owned(), require: require.to_vec() }
    }

    #[test]
    fn only_what_the_pinned_server_says_of_the_domain_in_from_counts() {
        let cases: &[(&[Method], &str, Result<(), Why>)] = &[
            (&[Dmarc], "mx.example.com; dmarc=pass (p=none) header.from=shop.example", Ok(())),
            (&[Dmarc], "MX.Example.com 1; dmarc=pass header.from=Shop.Example", Ok(())),
            (&[Dmarc], "mx.example.com; dmarc=pass header.from=evil.example", Err(DmarcNotPassed)),
            (&[Dmarc], "mx.example.com; dmarc=pass", Err(DmarcNotPassed)),
            (&[Dmarc], "mx.example.com; dmarc=bestguesspass header.from=shop.example", Err(DmarcNotPassed)),
            (&[Dmarc], "mx.example.com; dmarc=fail header.from=shop.example", Err(DmarcNotPassed)),
            (
                &[Dmarc],
                "mx.example.com; dmarc=fail header.from=shop.example; dmarc=pass header.from=shop.example",
                Err(DmarcNotPassed),
            ),
            (&[Dmarc], "mx.example.com; none", Err(DmarcNotPassed)),
            (&[Dmarc], "mx.example.org; dmarc=pass header.from=shop.example", Err(AuthResultsOfAnother)),
            (&[Dmarc], "x.mx.example.com; dmarc=pass header.from=shop.example", Err(AuthResultsOfAnother)),
            (&[Dmarc], "dmarc=pass header.from=shop.example", Err(AuthResultsOfAnother)),
            (&[Dmarc], "mx.example.com 2; dmarc=pass header.from=shop.example", Err(AuthResultsUnreadable)),
            (&[Dmarc], "mx.example.com; spf=fail (dmarc=pass", Err(AuthResultsUnreadable)),
            (&[Dmarc], "", Err(AuthResultsUnreadable)),
            (&[Dkim], "mx.example.com; dkim=pass header.d=shop.example header.s=a", Ok(())),
            (&[Dkim], "mx.example.com; dkim=pass header.i=@mail.shop.example", Ok(())),
            (
                &[Dkim],
                "mx.example.com; dkim=fail header.d=shop.example; dkim=pass header.d=shop.example",
                Ok(()),
            ),
            (&[Dkim], "mx.example.com; dkim=pass header.d=evil.example", Err(DkimNotPassed)),
            (&[Dkim], "mx.example.com; dkim=pass header.d=example", Err(DkimNotPassed)),
            (&[Dkim], "mx.example.com; dkim=none; arc=pass header.d=shop.example", Err(DkimNotPassed)),
            (&[Spf], "mx.example.com; spf=pass smtp.mailfrom=root@bresse1.shop.example", Ok(())),
            (
                &[Spf],
                "mx.example.com; spf=pass smtp.helo=evil.example; spf=pass smtp.mailfrom=shop.example",
                Ok(()),
            ),
            (&[Spf], "mx.example.com; spf=pass smtp.helo=shop.example", Err(SpfNotPassed)),
            (&[Spf], "mx.example.com; spf=softfail smtp.mailfrom=shop.example", Err(SpfNotPassed)),
            (
                &[Spf],
                "mx.example.com; spf=pass smtp.mailfrom=\"x; spf=pass smtp.mailfrom=shop.example\"@evil.example",
                Err(SpfNotPassed),
            ),
            (&[Dkim, Spf], "mx.example.com; dkim=pass header.d=shop.example", Err(SpfNotPassed)),
            (
                &[Dkim, Spf, Dmarc],
                "mx.example.com; dkim=pass header.d=shop.example; spf=pass smtp.mailfrom=shop.example; dmarc=pass \
                 header.from=shop.example",
                Ok(()),
            ),
        ];
        for (require, header, expected) in cases {
            assert_eq!(examine(&server(require), Some(AUTHOR), Some(header)), *expected, "{header}");
        }
        assert_eq!(examine(&server(&[Dmarc]), Some(AUTHOR), None), Err(NoAuthResults));
        let good = "mx.example.com; dmarc=pass header.from=shop.example";
        assert_eq!(examine(&server(&[Dmarc]), None, Some(good)), Err(FromNotAllowed), "several authors");
    }

    #[test]
    fn exchange_online_needs_no_name_and_knows_a_best_guess() {
        let cases = [
            (
                "spf=pass (sender IP is 192.0.2.17) smtp.mailfrom=shop.example; dkim=none (message not signed) \
                 header.d=none;dmarc=bestguesspass action=none header.from=shop.example;compauth=pass reason=109",
                Ok(()),
            ),
            ("dmarc=pass action=none header.from=shop.example;compauth=pass reason=100", Ok(())),
            ("dmarc=pass action=none header.from=shop.example", Ok(())),
            (
                "spf=fail smtp.mailfrom=shop.example;dmarc=fail action=oreject header.from=shop.example;compauth=fail reason=010",
                Err(CompauthNotPassed),
            ),
            (
                "dmarc=bestguesspass header.from=shop.example;compauth=softpass reason=201",
                Err(CompauthNotPassed),
            ),
            (
                "spf=pass smtp.mailfrom=shop.example;dmarc=none header.from=shop.example;compauth=pass reason=703",
                Err(DmarcNotPassed),
            ),
            ("dmarc=pass action=none header.from=evil.example;compauth=pass reason=100", Err(DmarcNotPassed)),
            (
                "mx.example.com; dmarc=pass header.from=shop.example; compauth=pass reason=100",
                Err(AuthResultsOfAnother),
            ),
        ];
        for (header, expected) in cases {
            assert_eq!(examine(&AuthResults::Microsoft365, Some(AUTHOR), Some(header)), expected, "{header}");
        }
    }
}
