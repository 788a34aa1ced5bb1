use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::config::{Config, Sources};
use crate::mail;
use crate::report::{NotHeard, Roster, Understood, understand};

const KEY: &str = "correct horse battery staple";
const RUN: i64 = 1_795_143_600;

/// Two checkers, and the services `MSSQL1_Service` and `Dépôt n° 3`; `trust` is that of both.
fn config(trust: &str) -> Config {
    let text = format!(
        "[watchdog]\nname = \"bresse8\"\n[mailbox]\nhost = \"mail.example\"\nuser = \"monitor@domain.com\"\n\
         password = \"x\"\n[defaults]\nprovider = \"free\"\ntests = [ {{ service = \"MSSQL1_Service\", timeout = \"10s\" }}, \
         {{ service = \"Dépôt n° 3\", timeout = \"30s\" }} ]\ntrust = {trust}\n[[checker]]\nname = \"bresse1\"\n\
         [[checker]]\nname = \"bresse2\"\n"
    );
    let sources = Sources { text: &text, file: "w.toml", environment: &BTreeMap::new(), overrides: &[] };
    Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn roster(trust: &str) -> Roster {
    // The same key for both: whom a mail is of is signed too.
    let keys =
        ["bresse1", "bresse2"].map(|name| (name.to_owned(), Arc::from([Key::new(KEY.as_bytes()).unwrap()])));
    Roster::new(&config(trust).checkers, &Keys::from(keys))
}

fn signed() -> Roster {
    roster("{ hmac = \"the keys come from elsewhere\" }")
}

fn mail(to: &str, headers: &str, body: &str) -> String {
    format!(
        "From: c@free.example\r\nTo: {to}+monitor@domain.com\r\n{headers}\r\nSubject: run\r\n\r\n{body}\r\n"
    )
}

fn take(mail: &str, roster: &Roster) -> Understood {
    understand(&mut mail::parse(mail.as_bytes(), false), roster)
}

fn stamp(run: i64, signature: &str) -> String {
    format!("X-Bresse-Run: {run}\r\nX-Bresse-Signature: {signature}")
}

fn sign(checker: &str, run: i64, tokens: &[&str]) -> String {
    stamp(run, &Key::new(KEY.as_bytes()).unwrap().sign(checker, run, tokens.iter().copied()))
}

const TOKENS: [&str; 3] = ["DRYRUN.OK", "MSSQL1_Service.NOK", "Dépôt n° 3.OK"];

#[test]
fn the_signed_bytes_are_those_of_the_documentation() {
    // printf '%s\n' bresse1 1795143600 DRYRUN.OK 'Dépôt n° 3.OK' MSSQL1_Service.NOK |
    //     openssl dgst -sha256 -hmac 'correct horse battery staple'
    let key = Key::new(KEY.as_bytes()).unwrap();
    assert_eq!(
        key.sign("bresse1", RUN, ["Dépôt n° 3.OK", "MSSQL1_Service.NOK", "DRYRUN.OK", "DRYRUN.OK"]),
        SIGNATURE
    );
    assert!(Key::new(b"fifteen bytes..").is_none(), "too short");
    assert!(!format!("{key:?}").contains("horse"));
}

const SIGNATURE: &str = "v1=315af2e9a6d0bc8831ff93724a4c62a954016f20617123f4ae36a17bc2e178ce";

#[test]
fn a_signed_report_is_believed_however_it_is_written() {
    let headers = sign("bresse1", RUN, &TOKENS);
    let base64 = "Content-Transfer-Encoding: base64\r\nContent-Type: text/plain; charset=utf-8\r\n";
    let html = "Content-Type: text/html; charset=utf-8\r\n";
    let plain = "Content-Type: text/plain; charset=utf-8\r\n";
    for (more, body) in [
        (plain, "DRYRUN.OK\r\nMSSQL1_Service.NOK\r\nDépôt n° 3.OK".to_owned()),
        (plain, "Dépôt n° 3.OK, DRYRUN.OK; MSSQL1_Service.NOK (again: MSSQL1_Service.NOK)".to_owned()),
        (plain, "DRYRUN.OK\r\nMSSQL1_Service.NOK\r\nDe\u{301}po\u{302}t n° 3.OK".to_owned()),
        (html, "<p>DRYRUN.OK<td>MSSQL1_<b>Service</b>.NOK<td>D&eacute;p&ocirc;t n&deg; 3.OK".to_owned()),
        (base64, "RFJZUlVOLk9LIE1TU1FMMV9TZXJ2aWNlLk5PSyBEw6lww7R0IG7CsCAzLk9L".to_owned()),
        (
            plain,
            "DRYRUN.OK\r\nMSSQL1_Service.NOK\r\nDépôt n° 3.OK\r\n-- \r\n[scanned by gateway 7.OK]".to_owned(),
        ),
    ] {
        let understood = take(&mail("bresse1", &format!("{more}{headers}"), &body), &signed());
        assert_eq!(
            (understood.not_heard, understood.run.map(|run| run.timestamp())),
            (None, Some(RUN)),
            "{body}"
        );
    }
}

#[test]
fn a_service_that_only_the_checker_knows_yet_is_signed_like_the_others() {
    let headers = sign("bresse1", RUN, &["DRYRUN.OK", "MSSQL1_Service.OK", "New one.NOK"]);
    let good = mail("bresse1", &headers, "DRYRUN.OK\r\nMSSQL1_Service.OK\r\nNew one.NOK");
    assert!(take(&good, &signed()).heard());
    let turned = good.replace("New one.NOK", "New one.OK");
    assert_eq!(take(&turned, &signed()).not_heard, Some(NotHeard::Untrusted(Why::SignatureWrong)));
}

#[test]
fn what_is_sent_lies_within_its_signed_run() {
    let sent = |date: &str| {
        let headers = format!("{}\r\nDate: {date}", sign("bresse1", RUN, &["DRYRUN.OK"]));
        take(&mail("bresse1", &headers, "DRYRUN.OK"), &signed()).sent.unwrap().timestamp() - RUN
    };
    // RUN is Friday, 20 November 2026, 03:00:00 UTC; a run may take 10 + 30 seconds.
    assert_eq!(sent("Fri, 20 Nov 2026 03:00:30 +0000"), 30);
    assert_eq!(sent("Fri, 20 Nov 2026 05:00:00 +0000"), 40);
    assert_eq!(sent("Thu, 19 Nov 2026 05:00:00 +0000"), 0);
    assert_eq!(sent("some day"), 0);
}

#[test]
fn each_demand_has_to_be_met_and_the_first_that_is_not_is_told() {
    let all = roster(
        "{ from = [\"c@free.example\"], auth_results = { server = \"mx\" }, hmac = \"sixteen letters...\" }",
    );
    let results = "Authentication-Results: mx; dmarc=pass header.from=free.example";
    let headers = format!("{results}\r\n{}", sign("bresse1", RUN, &["DRYRUN.OK"]));
    let good = mail("bresse1", &headers, "DRYRUN.OK");
    assert_eq!(take(&good, &all).not_heard, None);
    for (mail, why) in [
        (good.replace("From: c@", "From: d@"), Why::FromNotAllowed),
        (good.replace("From: ", "From: c@free.example\r\nFrom: "), Why::FromNotAllowed),
        (good.replace("From: ", "From: d@evil.example, "), Why::FromNotAllowed),
        (good.replace("dmarc=pass", "dmarc=fail"), Why::DmarcNotPassed),
        (
            good.replace(
                "Authentication-Results: mx",
                "Authentication-Results: evil; none\r\nAuthentication-Results: mx",
            ),
            Why::AuthResultsOfAnother,
        ),
        (good.replace("Authentication-Results", "X-Old-Results"), Why::NoAuthResults),
        (good.replace("X-Bresse-Signature", "X-Other"), Why::SignatureUnreadable),
        (mail("bresse1", results, "DRYRUN.OK"), Why::NotSigned),
        (good.replace("DRYRUN.OK", "DRYRUN.NOK"), Why::SignatureWrong),
        (good.replace("To: bresse1", "To: bresse2"), Why::SignatureWrong),
    ] {
        assert_eq!(take(&mail, &all).not_heard, Some(NotHeard::Untrusted(why)), "{mail}");
    }
    // What is no report anyway is nobody's forgery.
    for (mail, not_heard) in [
        (mail("bresse1", "", "hello"), NotHeard::NoToken),
        (mail("bresse1", "Auto-Submitted: auto-replied", "DRYRUN.OK"), NotHeard::AutoReply),
        (mail("bresse1", "Subject: Fwd: DRYRUN.OK", "DRYRUN.OK"), NotHeard::Forward),
    ] {
        assert_eq!(take(&mail, &all).not_heard, Some(not_heard));
    }
}

#[test]
fn a_whole_domain_is_itself_alone() {
    let domain = roster("{ from = [\"free.example\"] }");
    let good = mail("bresse1", "X: y", "DRYRUN.OK");
    assert!(take(&good, &domain).heard());
    for from in ["c@mail.free.example", "c@evilfree.example", "free.example", "c@free.example@evil.example"] {
        let mail = good.replace("c@free.example", from);
        assert_eq!(take(&mail, &domain).not_heard, Some(NotHeard::Untrusted(Why::FromNotAllowed)), "{from}");
    }
}

#[test]
fn without_its_key_nobody_can_have_signed_and_with_several_each_may() {
    let config = config("{ hmac = \"the keys come from elsewhere\" }");
    let good = mail("bresse1", &sign("bresse1", RUN, &["DRYRUN.OK"]), "DRYRUN.OK");
    let with = |keys: &[&str]| {
        let keys: Vec<Key> = keys.iter().map(|key| Key::new(key.as_bytes()).unwrap()).collect();
        take(&good, &Roster::new(&config.checkers, &Keys::from([("bresse1".to_owned(), keys.into())])))
            .heard()
    };
    assert!(with(&["the next key, sixteen bytes", KEY]) && with(&[KEY]));
    assert!(!with(&[]) && !with(&["the next key, sixteen bytes"]));
    assert!(!take(&good, &Roster::new(&config.checkers, &Keys::new())).heard());
}

#[test]
fn what_cannot_be_read_to_its_end_is_not_believed() {
    let good = mail("bresse1", &sign("bresse1", RUN, &["DRYRUN.OK", "MSSQL1_Service.OK"]), "DRYRUN.OK");
    let understood = understand(&mut mail::parse(good.as_bytes(), true), &signed());
    assert_eq!(understood.not_heard, Some(NotHeard::Untrusted(Why::SignatureWrong)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_report_that_differs_in_anything_signed_is_believed(
        run in 1..=253_402_300_000_i64,
        oks in prop::array::uniform3(any::<Option<bool>>()),
        change in 0..4_usize,
        at in any::<prop::sample::Index>(),
        by in 1..16_u8,
    ) {
        let names = ["DRYRUN", "MSSQL1_Service", "Dépôt n° 3"];
        let tokens = |oks: &[Option<bool>; 3]| -> Vec<String> {
            let said = names.iter().zip(oks).filter_map(|(name, ok)| Some((name, (*ok)?)));
            said.map(|(name, ok)| format!("{name}.{}", if ok { "OK" } else { "NOK" })).collect()
        };
        let mut said = tokens(&oks);
        prop_assume!(!said.is_empty());
        let mut checker = "bresse1".to_owned();
        let words: Vec<&str> = said.iter().map(String::as_str).collect();
        let mut signature = Key::new(KEY.as_bytes()).unwrap().sign(&checker, run, words);
        let body = |said: &[String]| format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{}", said.join("\r\n"));
        let whole = |checker: &str, run: i64, signature: &str, said: &[String]| {
            format!("To: {checker}+monitor@domain.com\r\n{}\r\n{}", stamp(run, signature), body(said))
        };
        let roster = signed();
        prop_assert!(take(&whole(&checker, run, &signature, &said), &roster).heard());
        let mut other_run = run;
        match change {
            0 => checker = "bresse2".to_owned(),
            1 => other_run = (run ^ i64::from(by)).max(1),
            2 => {
                // Another result, a token more or a token less.
                let mut changed = oks;
                let index = at.index(3);
                changed[index] = match changed[index] {
                    Some(ok) if by % 2 == 0 => Some(!ok),
                    Some(_) => None,
                    None => Some(by % 2 == 0),
                };
                said = tokens(&changed);
                prop_assume!(!said.is_empty());
            }
            _ => {
                let index = 3 + at.index(64);
                let digit = u8::from_str_radix(signature.get(index..=index).unwrap(), 16).unwrap() ^ by;
                signature.replace_range(index..=index, &format!("{digit:x}"));
            }
        }
        prop_assume!(other_run != run || change != 1);
        let understood = take(&whole(&checker, other_run, &signature, &said), &roster);
        prop_assert_eq!(understood.not_heard, Some(NotHeard::Untrusted(Why::SignatureWrong)));
    }
}
