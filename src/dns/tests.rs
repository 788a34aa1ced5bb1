use super::*;
use crate::testbed::dns::{DnsServer, Record, Zone};

fn zone(records: &[(&str, Record)]) -> Zone {
    let mut zone = Zone::new();
    for (name, record) in records {
        zone.entry((*name).to_owned()).or_default().push(record.clone());
    }
    zone
}

fn mail(host: &str) -> Record {
    Record::MailHost(host.to_owned())
}

fn address(text: &str) -> Record {
    Record::Address(text.parse().unwrap())
}

fn questions(domains: &[&str], hosts: &[&str]) -> Questions {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Questions { domains: set(domains), hosts: set(hosts) }
}

async fn ask_of(server: &DnsServer, domains: &[&str], hosts: &[&str]) -> Answers {
    ask(&questions(domains, hosts), Some(server.address())).await
}

#[tokio::test]
async fn mail_hosts_and_the_addresses_of_all_hosts_are_found() {
    let zone = zone(&[
        ("domain.com", mail("MX1.domain.com.")),
        ("domain.com", mail("mx2.domain.com")),
        ("mx1.domain.com", address("192.0.2.1")),
        ("mx1.domain.com", address("2001:db8::1")),
        ("mx2.domain.com", address("192.0.2.2")),
        ("nomx.example", address("192.0.2.3")),
        ("nowhere.example", mail(".")),
        ("xn--mnchen-3ya.example", address("192.0.2.4")),
    ]);
    let server = DnsServer::start(zone).await.unwrap();
    let domains = ["domain.com", "nomx.example", "nowhere.example"];
    let found = ask_of(&server, &domains, &["münchen.example"]).await;
    let hosts = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
    assert_eq!(found.mail_hosts["domain.com"], hosts(&["mx1.domain.com", "mx2.domain.com"]));
    assert_eq!(found.mail_hosts["nomx.example"], hosts(&["nomx.example"]));
    assert_eq!(found.mail_hosts["nowhere.example"], hosts(&[]));
    let addresses =
        |texts: &[&str]| Ok(texts.iter().map(|text| text.parse().unwrap()).collect::<BTreeSet<_>>());
    assert_eq!(found.addresses["mx1.domain.com"], addresses(&["192.0.2.1", "2001:db8::1"]));
    assert_eq!(found.addresses["mx2.domain.com"], addresses(&["192.0.2.2"]));
    assert_eq!(found.addresses["nomx.example"], addresses(&["192.0.2.3"]));
    assert_eq!(found.addresses["münchen.example"], addresses(&["192.0.2.4"]));
    assert_eq!(found.failure(), None);
}

#[tokio::test]
async fn what_dns_does_not_say_is_not_known_and_says_why() {
    let server = DnsServer::start(zone(&[("broken.example", Record::Failure)])).await.unwrap();
    let long = format!("{}.example", "x".repeat(64));
    let found = ask_of(&server, &["broken.example", "missing.example"], &[&long]).await;
    let why = |domain: &str| found.mail_hosts[domain].clone().unwrap_err();
    assert_eq!(why("broken.example"), "DNS answers SERVFAIL");
    assert_eq!(why("missing.example"), "there is no such name in DNS");
    assert_eq!(found.addresses[&long], Err("not a name that DNS could know".to_owned()));
}

// Nobody answers, so time only passes when everybody waits for it.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_or_not_there_is_given_up() {
    let names: Vec<String> = (0..30).map(|number| format!("host{number}.example")).collect();
    let silent: Vec<(&str, Record)> = names.iter().map(|name| (name.as_str(), Record::Silence)).collect();
    let server = DnsServer::start(zone(&silent)).await.unwrap();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let started = Instant::now();
    let found = ask_of(&server, &[], &hosts).await;
    assert!(started.elapsed() < ALL_LIMIT + Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(found.addresses.len(), 30);
    assert!(found.addresses.values().all(|answer| answer.as_ref().is_err_and(|why| why.contains("answer"))));

    let address = server.address();
    drop(server);
    let found = ask(&questions(&["domain.com"], &[]), Some(address)).await;
    assert!(found.mail_hosts["domain.com"].as_ref().is_err_and(|why| why.contains("answer")), "{found:?}");
}

#[tokio::test]
async fn no_more_than_so_many_names_are_asked_about() {
    let names: Vec<String> = (0..=NAMES_MAX).map(|number| format!("host{number:04}.example")).collect();
    let there: Vec<(&str, Record)> = names.iter().map(|name| (name.as_str(), address("192.0.2.1"))).collect();
    let server = DnsServer::start(zone(&there)).await.unwrap();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = ask_of(&server, &[], &hosts).await;
    let unknown: Vec<&String> =
        found.addresses.iter().filter(|(_, answer)| answer.is_err()).map(|(name, _)| name).collect();
    assert_eq!(unknown, ["host0500.example"]);
}
