use super::*;
use crate::config::Sources;

/// Microsoft 365 and, elsewhere, whom to alarm.
const OFFICE: &str = "host = \"outlook.office365.com\"\nuser = \"monitor@domain.com\"";

fn config(mailbox: &str, channels: &str) -> Config {
    let text = format!(
        "[watchdog]\nname = \"bresse8\"\n[mailbox]\npassword = {{ env = \"P\" }}\n{mailbox}\n[defaults]\ntests = []\n\
         [[checker]]\nname = \"bresse1\"\naddress = \"bresse1@domain.com\"\nprovider = \"free\"\n\
         [[checker]]\nname = \"bresse2\"\naddress = \"bresse2@domain.com\"\nprovider = \"orange\"\n{channels}"
    );
    let environment = BTreeMap::from([("P".to_owned(), "secret".to_owned())]);
    let sources = Sources { text: &text, file: "w.toml", environment: &environment, overrides: &[] };
    Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

fn smtp(name: &str, host: &str, to: &str, more: &str) -> String {
    format!(
        "[[channel]]\nname = \"{name}\"\ntype = \"smtp\"\nhost = \"{host}\"\nfrom = \"b@b.example\"\nto = [{to}]\n{more}\n"
    )
}

/// `domain = mail host …` and `host: address …`, a line each; `?` for what DNS does not say.
fn answers(lines: &str) -> Answers {
    const SILENT: &str = "no answer from DNS within 5 s";
    let mut answers = Answers::default();
    for line in lines.lines() {
        if let Some((domain, hosts)) = line.split_once(" = ") {
            let hosts = || hosts.split(' ').map(str::to_owned).collect();
            let answer = if line.ends_with('?') { Err(SILENT.to_owned()) } else { Ok(hosts()) };
            answers.mail_hosts.insert(domain.to_owned(), answer);
        } else if let Some((host, addresses)) = line.split_once(": ") {
            let addresses = || addresses.split(' ').map(|address| address.parse().unwrap()).collect();
            let answer = if line.ends_with('?') { Err(SILENT.to_owned()) } else { Ok(addresses()) };
            answers.addresses.insert(host.to_owned(), answer);
        }
    }
    answers
}

const WORLD: &str = "domain.com = domain-com.mail.protection.outlook.com
elsewhere.example = mx.elsewhere.example
free.fr = mx1.free.fr
customer.example = customer.mail.protection.outlook.com
outlook.office365.com: 52.97.151.1 2603:1026:100::2
domain-com.mail.protection.outlook.com: 52.101.73.1
customer.mail.protection.outlook.com: 52.101.68.1
smtp.elsewhere.example: 192.0.2.25
mx.elsewhere.example: 192.0.2.26 2001:db8:1::26
mx1.free.fr: 212.27.48.6
smtp.free.fr: 212.27.48.4
teams.microsoft.com: 52.113.194.1
prod-1.westeurope.logic.azure.com: 13.69.227.1
events.pagerduty.com: 44.237.0.1
near.example: 52.97.151.200
near6.example: 2603:1026:100:ffff::1
far.example: 52.97.152.1 2603:1026:101::1";

/// Who runs what is known by names and networks alone.
fn shown(matrix: &Matrix) -> String {
    let mut text = String::new();
    for loss in &matrix.losses {
        text.push_str(&format!("without {}: {:?}\n", loss.lost.words(), loss.verdict()));
        for Line { channel, fate, told, shared, unknown } in &loss.channels {
            let told = if *told { "" } else { " (not told)" };
            text.push_str(&format!("  {channel}: {fate:?}{told}\n"));
            shared.iter().for_each(|line| text.push_str(&format!("    shares: {line}\n")));
            unknown.iter().for_each(|line| text.push_str(&format!("    unknown: {line}\n")));
        }
    }
    text
}

/// What becomes of the only channel without the mailbox.
fn line(mailbox: &str, channel: &str, answers: &Answers) -> Line {
    let matrix = Matrix::of(&config(mailbox, channel), answers);
    matrix.losses[0].channels[0].clone()
}

#[test]
fn a_site_on_microsoft_365_with_channels_of_every_kind() {
    let channels = [
        smtp("backup-mail", "smtp.elsewhere.example", "\"oncall@elsewhere.example\"", "provider = \"ovh\""),
        smtp("free-mail", "smtp.free.fr", "\"boss@free.fr\"", "events = [\"service\"]"),
        smtp("customer", "smtp.elsewhere.example", "\"it@customer.example\"", ""),
        smtp("both", "smtp.elsewhere.example", "\"me@domain.com\", \"oncall@elsewhere.example\"", ""),
        "[[channel]]\nname = \"teams\"\ntype = \"teams\"\nurl = { env = \"T\" }\n".to_owned(),
        "[[channel]]\nname = \"page\"\ntype = \"webhook\"\npreset = \"pagerduty\"\nkey = { env = \"P\" }\n"
            .to_owned(),
        "[[channel]]\nname = \"am\"\ntype = \"alertmanager\"\nurl = \"http://127.0.0.1:9093\"\n".to_owned(),
        "[[channel]]\nname = \"sms\"\ntype = \"command\"\ncommand = [\"/bin/sms\"]\n".to_owned(),
        "[[channel]]\nname = \"log\"\ntype = \"file\"\npath = \"a.jsonl\"\nprovider = \"ovh\"\n".to_owned(),
    ]
    .concat()
    .replace("{ env = \"T\" }", "\"https://prod-1.westeurope.logic.azure.com/x\"");
    let config = config(&format!("{OFFICE}\nprovider = \"Microsoft\""), &channels);
    insta::assert_snapshot!(shown(&Matrix::of(&config, &answers(WORLD))));
}

#[test]
fn without_dns_nothing_is_independent_and_what_the_names_tell_still_counts() {
    let channels = [
        smtp("backup-mail", "smtp.elsewhere.example", "\"oncall@elsewhere.example\"", ""),
        smtp("office", "smtp.office365.com", "\"oncall@elsewhere.example\"", ""),
        smtp("colleague", "smtp.elsewhere.example", "\"me@domain.com\"", ""),
    ]
    .concat();
    let config = config(OFFICE, &channels);
    insta::assert_snapshot!(shown(&Matrix::of(&config, &Answers::default())));
    let subject = |line: &str| line.split_inclusive(['=', ':']).next().map(|start| format!("{start} ?\n"));
    let silent: String = WORLD.lines().filter_map(subject).collect();
    let matrix = Matrix::of(&config, &answers(&silent));
    assert_eq!(matrix.losses[0].verdict(), Verdict::Unknown);
    assert_eq!(answers(&silent).failure(), Some("no answer from DNS within 5 s"));
    assert_eq!(answers(WORLD).failure(), None);
}

#[test]
fn networks_are_compared_by_24_and_48_bits() {
    let mailbox = "host = \"mail.example\"\nuser = \"monitor\"";
    for (host, expected) in [
        ("near.example", Some("the network 52.97.151.0/24")),
        ("near6.example", Some("the network 2603:1026:100::/48")),
        ("far.example", None),
        ("52.97.151.9", Some("the network 52.97.151.0/24")),
    ] {
        let channel = smtp("mail", host, "\"oncall@elsewhere.example\"", "");
        let world = WORLD.replace("outlook.office365.com:", "mail.example:");
        let line = line(mailbox, &channel, &answers(&world));
        assert_eq!(line.fate == Fate::Lost, expected.is_some(), "{host}: {line:?}");
        assert!(expected.is_none_or(|words| line.shared[0].contains(words)), "{host}: {line:?}");
    }
}

#[test]
fn one_recipient_elsewhere_is_enough_but_every_server_is_needed() {
    let to = "\"me@domain.com\", \"oncall@elsewhere.example\"";
    let fate = |host: &str, more: &str| line(OFFICE, &smtp("m", host, to, more), &answers(WORLD)).fate;
    assert_eq!(fate("smtp.elsewhere.example", ""), Fate::Works);
    let oauth2 = "user = \"b\"\noauth2 = { token_url = \"https://login.microsoftonline.com/t/oauth2/v2.0/token\", \
                  client_id = \"c\", client_secret = { env = \"P\" }, scope = \"s\" }";
    assert_eq!(fate("smtp.elsewhere.example", oauth2), Fate::Lost, "the login is at Microsoft");
}

#[test]
fn mail_goes_to_the_domain_itself_without_mx_and_nowhere_with_an_empty_one() {
    let channel = smtp("mail", "smtp.elsewhere.example", "\"oncall@near.example\"", "");
    let at_near = line(OFFICE, &channel, &answers(&format!("{WORLD}\nnear.example = near.example")));
    assert_eq!(at_near.fate, Fate::Lost, "{at_near:?}");
    let mut none = answers(WORLD);
    none.mail_hosts.insert("near.example".to_owned(), Ok(BTreeSet::new()));
    let nowhere = line(OFFICE, &channel, &none);
    assert_eq!(nowhere.fate, Fate::Unknown);
    assert_eq!(nowhere.unknown, ["near.example takes no mail (RFC 7505)"]);
}

#[test]
fn what_is_local_is_left_to_the_users_word() {
    let (local, office) = ("host = \"localhost\"\nuser = \"monitor\"", OFFICE);
    let channel = |more: &str| smtp("mail", "127.0.0.1", "\"oncall@elsewhere.example\"", more);
    for (mailbox, more, expected) in [
        (local, "", Fate::Unknown),
        (office, "", Fate::Unknown),
        (office, "provider = \"ovh\"", Fate::Unknown),
        (&format!("{office}\nprovider = \"microsoft\""), "provider = \"ovh\"", Fate::Works),
        (&format!("{local}\nprovider = \"microsoft\""), "provider = \"ovh\"", Fate::Works),
        (&format!("{local}\nprovider = \"OVH\""), "provider = \"ovh\"", Fate::Lost),
    ] {
        let line = line(mailbox, &channel(more), &answers(WORLD));
        assert_eq!(line.fate, expected, "{mailbox} {more}: {line:?}");
    }
    let world = WORLD.replace("192.0.2.25", "127.0.0.1");
    let tunnel = smtp("mail", "smtp.elsewhere.example", "\"oncall@elsewhere.example\"", "");
    assert_eq!(line(office, &tunnel, &answers(&world)).fate, Fate::Unknown, "DNS leads to this machine");
}

#[test]
fn the_users_word_does_not_undo_what_is_shared_nor_what_dns_leaves_open() {
    let mailbox = format!("{OFFICE}\nprovider = \"microsoft\"");
    let to = "\"oncall@elsewhere.example\"";
    let office = smtp("mail", "outlook.office365.com", to, "provider = \"ovh\"");
    assert_eq!(line(&mailbox, &office, &answers(WORLD)).fate, Fate::Lost);
    let elsewhere = smtp("mail", "smtp.elsewhere.example", to, "provider = \"ovh\"");
    let open = answers(&WORLD.replace("smtp.elsewhere.example: 192.0.2.25", "smtp.elsewhere.example: ?"));
    let line = line(&mailbox, &elsewhere, &open);
    assert_eq!(line.fate, Fate::Unknown);
    assert_eq!(line.unknown, ["the address of smtp.elsewhere.example: no answer from DNS within 5 s"]);
    let local = smtp("mail", "127.0.0.1", to, "provider = \"ovh\"");
    let line = self::line(&mailbox, &local, &answers("outlook.office365.com: 52.97.151.1"));
    assert_eq!(line.fate, Fate::Unknown, "{line:?}");
}

#[test]
fn who_is_not_told_of_a_mailbox_does_not_count_as_a_survivor() {
    let elsewhere =
        |events: &str| smtp("mail", "smtp.elsewhere.example", "\"oncall@elsewhere.example\"", events);
    let verdict =
        |events: &str| Matrix::of(&config(OFFICE, &elsewhere(events)), &answers(WORLD)).losses[0].verdict();
    assert_eq!(verdict(""), Verdict::Heard);
    assert_eq!(verdict("events = [\"service\"]"), Verdict::Unheard);
}

#[test]
fn a_url_outside_of_the_configuration_counts_once_it_is_fetched() {
    let channel = "[[channel]]\nname = \"hook\"\ntype = \"webhook\"\nurl = { file = \"/run/url\" }\n";
    let mut known = answers(WORLD);
    assert_eq!(line(OFFICE, channel, &known).unknown, ["its url could not be fetched"]);
    known.url_hosts.insert("hook".to_owned(), "events.pagerduty.com".to_owned());
    assert_eq!(line(OFFICE, channel, &known).fate, Fate::Works);
    let questions = Questions::of(&config(OFFICE, channel), &known.url_hosts);
    let hosts: Vec<&str> = questions.hosts.iter().map(String::as_str).collect();
    assert_eq!(hosts, ["events.pagerduty.com", "outlook.office365.com"]);
    assert_eq!(questions.domains, BTreeSet::from(["domain.com".to_owned()]));
}
