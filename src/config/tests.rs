use std::collections::BTreeSet;

use secrecy::ExposeSecret;

use super::*;
use crate::policy::Moment;

mod shipped;

const EXAMPLE: &str = include_str!("../../watchdog.toml");

const WATCHDOG: &str = "[watchdog]\nname = \"bresse8\"\n";
const MAILBOX: &str = "[mailbox]\nhost = \"imap.example\"\nuser = \"Monitor@Domain.com\"\npassword = { env = \"IMAP_PASSWORD\" }\n";
const CHECKER: &str = "[[checker]]\nname = \"Bresse1\"\nprovider = \"free\"\ntests = []\n";
const CHANNEL: &str = "[[channel]]\nname = \"mail\"\ntype = \"smtp\"\nhost = \"smtp.example\"\n\
                       from = \"a@example.com\"\nto = [\"b@example.com\"]\n";

fn load_with(
    text: &str,
    variables: &[(&str, &str)],
    overrides: &[(&str, &str)],
) -> Result<Config, ConfigErrors> {
    let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let mut environment: BTreeMap<String, String> = own(variables).into_iter().collect();
    environment.entry("IMAP_PASSWORD".to_owned()).or_insert_with(|| "imap-secret".to_owned());
    environment.insert("SMTP_PASSWORD".to_owned(), "smtp-secret".to_owned());
    environment.insert("IMAP_CLIENT_SECRET".to_owned(), "client-secret".to_owned());
    let overrides = own(overrides);
    Config::load(&Sources { text, file: "w.toml", environment: &environment, overrides: &overrides })
}

fn load(text: &str) -> Config {
    load_with(text, &[], &[]).unwrap()
}

fn smallest() -> String {
    [WATCHDOG, MAILBOX, CHECKER, CHANNEL].concat()
}

fn smtp(channel: &Channel) -> &Smtp {
    let ChannelKind::Smtp(smtp) = &channel.kind else { panic!("{:?}", channel.kind) };
    smtp
}

fn secret(login: &Login) -> &str {
    match login {
        Login::Password(Secret::Value(secret)) => secret.expose_secret(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_default_is_filled_in() {
    let config = load(&smallest());
    assert_eq!(config.state, PathBuf::from("watchdog.db"));
    assert_eq!(config.timezone, Tz::UTC);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);

    let [mailbox] = config.mailboxes.as_slice() else { panic!() };
    assert_eq!(
        (mailbox.name.as_str(), mailbox.folders.as_slice()),
        ("MONITOR", ["INBOX".to_owned()].as_slice())
    );
    assert_eq!((mailbox.server.port, mailbox.server.tls), (993, Tls::Implicit));
    assert_eq!((mailbox.poll, mailbox.blind_after), (TimeDelta::seconds(60), TimeDelta::minutes(3)));
    assert_eq!(mailbox.junk, None);
    assert_eq!(secret(&mailbox.login), "imap-secret");

    let checker = Checker {
        name: "Bresse1".to_owned(),
        provider: "free".to_owned(),
        addresses: vec!["bresse1+monitor@domain.com".to_owned()],
        tests: vec![],
        cycle: TimeDelta::minutes(5),
        mail_path_margin: Margin::Fixed(TimeDelta::seconds(60)),
        missed_cycles: 1,
        nok_after: 1,
        ok_after: 1,
        findings: Findings::default(),
        flap: None,
        trust: None,
    };
    assert_eq!(format!("{:?}", config.checkers), format!("{:?}", [checker]));

    let [channel] = config.channels.as_slice() else { panic!() };
    assert_eq!((channel.fallback, channel.spacing), (false, TimeDelta::zero()));
    assert_eq!(channel.events, BTreeSet::from([Event::Checker, Event::Service, Event::Mailbox]));
    assert_eq!((smtp(channel).server.port, smtp(channel).login.is_none()), (465, true));
}

#[test]
fn a_service_may_have_a_quorum_of_its_own() {
    let written = EXAMPLE.replace("#quorum = 2", "quorum = 4").replace("#services = [ {", "services = [ {");
    let config = load(&written);
    assert_eq!((config.quorum.of("MSSQL1_Service"), config.quorum.of("ESHOP_Service")), (4, 3));
}

#[test]
fn defaults_hold_for_checkers_that_do_not_set_a_key() {
    let defaults = "[defaults]\ncycle = \"10m\"\nmissed_cycles = 2\nprovider = \"ovh\"\nnok_after = 3\nok_after = 4\n\
                    mail_path_margin = \"500ms\"\ntests = [{ service = \"A b.é\", timeout = \"0s\" }]\n";
    let own = "[[checker]]\nname = \"two\"\ncycle = \"1m\"\nprovider = \"free\"\ntests = []\naddress = \"X@Y.example\"\n";
    let text = [WATCHDOG, MAILBOX, defaults, "[[checker]]\nname = \"one\"\n", own, CHANNEL].concat();
    let [one, two] = load(&text).checkers.try_into().unwrap();
    assert_eq!(
        (one.cycle, one.mail_path_margin),
        (TimeDelta::minutes(10), Margin::Fixed(TimeDelta::milliseconds(500)))
    );
    assert_eq!((one.missed_cycles, one.nok_after, one.ok_after, one.provider.as_str()), (2, 3, 4, "ovh"));
    assert_eq!(
        one.tests,
        [Test { service: "A b.é".to_owned(), timeout: TimeDelta::zero(), ..Test::default() }]
    );
    assert_eq!((two.cycle, two.missed_cycles, two.provider.as_str()), (TimeDelta::minutes(1), 2, "free"));
    assert_eq!((two.tests.len(), two.addresses.as_slice()), (0, ["x@y.example".to_owned()].as_slice()));
}

#[test]
fn the_mail_paths_margin_is_fixed_or_measured() {
    let margin = |text: &str| {
        let checker = format!("{CHECKER}mail_path_margin = {text}\n");
        load(&[WATCHDOG, MAILBOX, &checker, CHANNEL].concat()).checkers[0].mail_path_margin
    };
    let measured = |floor, ceiling| Margin::Measured {
        floor: TimeDelta::seconds(floor),
        ceiling: TimeDelta::seconds(ceiling),
    };
    assert_eq!(margin("\"90s\""), Margin::Fixed(TimeDelta::seconds(90)));
    assert_eq!(margin("\"auto\""), measured(30, 600));
    assert_eq!(margin("{}"), measured(30, 600));
    assert_eq!(margin("{ floor = \"10s\" }"), measured(10, 600));
    assert_eq!(margin("{ floor = \"2m\", ceiling = \"2m\" }"), measured(120, 120));
    assert_eq!(measured(30, 600).at_first(), TimeDelta::seconds(60));
    assert_eq!(measured(90, 600).at_first(), TimeDelta::seconds(90));
    assert_eq!(measured(0, 20).at_first(), TimeDelta::seconds(20));
}

#[test]
fn a_checkers_findings_stand_beside_the_defaults_it_does_not_name() {
    let defaults = "[defaults]\nfindings = { GAP = \"ignore\", MISSING = \"report\" }\nreport_after = 5\n\
                    flap = { changes = 6, within = \"1h\" }\n";
    let own = CHECKER.replace("tests", "findings = { GAP = \"alarm\" }\ntests");
    let [checker] = load(&[WATCHDOG, MAILBOX, defaults, &own, CHANNEL].concat()).checkers.try_into().unwrap();
    let reactions: Vec<Reaction> =
        Breach::ALL.iter().map(|breach| checker.findings.reaction(*breach)).collect();
    use Reaction::{Alarm, Report};
    assert_eq!(reactions, [Report, Alarm, Report, Report, Alarm, Report, Report, Report]);
    assert_eq!(checker.findings.report_after, 5);
    assert_eq!(checker.flap, Some(Flap { changes: 6, within: TimeDelta::hours(1) }));
}

#[test]
fn a_test_may_be_more_or_less_patient_than_its_checker() {
    let tests = "nok_after = 3\nok_after = 2\ntests = [{ service = \"A\", timeout = \"1s\", nok_after = 1 }, \
                 { service = \"B\", timeout = \"1s\", ok_after = 10 }]";
    let text = [WATCHDOG, MAILBOX, &CHECKER.replace("tests = []", tests), CHANNEL].concat();
    let checker = &load(&text).checkers[0];
    assert_eq!(["A", "B"].map(|service| checker.hysteresis(service)), [(1, 2), (3, 10)]);
}

#[test]
fn what_is_asked_of_mails_is_read_in_any_combination() {
    let trust_of = |trust: &str| {
        let defaults = format!("[defaults]\ntrust = {trust}\n");
        let config = load(&[WATCHDOG, MAILBOX, &defaults, CHECKER, CHANNEL].concat());
        (config.checkers[0].trust.clone().unwrap(), config.warnings)
    };
    let (trust, warnings) = trust_of("{ from = \"Bresse1@Free.example\" }");
    assert_eq!(
        (trust.from.as_slice(), trust.signs()),
        ([Sender::Address("bresse1@free.example".into())].as_slice(), false)
    );
    assert!(
        trust.auth_results.is_none() && !warnings.iter().any(|warning| warning.contains("trust")),
        "{warnings:?}"
    );

    let (trust, _) =
        trust_of("{ from = [\"a@b.example\", \"Free.example\"], auth_results = \"microsoft365\" }");
    assert_eq!(trust.from, [Sender::Address("a@b.example".into()), Sender::Domain("free.example".into())]);
    assert_eq!(trust.auth_results, Some(AuthResults::Microsoft365));

    let (trust, warnings) = trust_of("{ auth_results = { server = \"MX.domain.com\" } }");
    let dmarc = AuthResults::Server { server: "mx.domain.com".into(), require: vec![Method::Dmarc] };
    assert_eq!(trust.auth_results, Some(dmarc));
    assert!(warnings.iter().any(|warning| warning.contains("without from beside it")), "{warnings:?}");

    let (trust, _) = trust_of("{ hmac = [{ file = \"/new\" }, { command = [\"pass\", \"old\"] }] }");
    assert!(matches!(trust.hmac.as_slice(), [Secret::File(_), Secret::Command(_)]));
    let (trust, _) = trust_of("{ hmac = \"a secret in plain text\" }");
    assert!(!format!("{trust:?}").contains("plain"), "{trust:?}");
}

#[test]
fn several_mailboxes_are_read_and_the_first_gives_the_domain() {
    let first = MAILBOX.replace("[mailbox]", "[[mailbox]]\nname = \"one\"");
    let second = MAILBOX.replace("[mailbox]", "[[mailbox]]\nname = \"two\"").replace("Domain", "other");
    let config = load(&[WATCHDOG, &first, &second, CHECKER, CHANNEL].concat());
    let names: Vec<&str> = config.mailboxes.iter().map(|mailbox| mailbox.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(config.checkers[0].addresses, ["bresse1+monitor@domain.com"]);
}

#[test]
fn a_single_mailbox_in_double_brackets_needs_no_name() {
    let mailbox = MAILBOX.replace("[mailbox]", "[[mailbox]]");
    assert_eq!(load(&[WATCHDOG, &mailbox, CHECKER, CHANNEL].concat()).mailboxes[0].name, "MONITOR");
}

#[test]
fn the_port_follows_the_protection() {
    let text = smallest().replace("host = ", "tls = \"starttls\"\nhost = ");
    let config = load(&text);
    assert_eq!((config.mailboxes[0].server.port, smtp(&config.channels[0]).server.port), (143, 587));
}

#[test]
fn plain_text_is_allowed_to_loopback_addresses() {
    for host in ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST"] {
        let text = smallest().replace("imap.example\"", &format!("{host}\"\ntls = \"plain\"\nport = 1143"));
        let server = &load(&text).mailboxes[0].server;
        assert_eq!((server.tls, server.port), (Tls::Plain, 1143));
    }
    for host in ["localhost.example", "128.0.0.1", "::2", "0.0.0.0"] {
        let text = smallest().replace("imap.example\"", &format!("{host}\"\ntls = \"plain\""));
        assert!(load_with(&text, &[], &[]).is_err(), "{host}");
    }
}

#[test]
fn a_client_secret_is_sent_by_tls_or_to_a_loopback_address() {
    let with = |url: &str| {
        let oauth2 =
            format!("oauth2 = {{ token_url = \"{url}\", client_id = \"c\", client_secret = \"s\" }}");
        load_with(&smallest().replace("password = { env = \"IMAP_PASSWORD\" }", &oauth2), &[], &[])
    };
    for good in ["https://login.example/t", "http://127.0.0.1:8/t", "http://[::1]:8/t", "http://localhost/t"]
    {
        assert!(with(good).is_ok(), "{good}: {:?}", with(good));
    }
    for bad in ["http://login.example/t", "http://localhost.example/t", "ftp://127.0.0.1/t", "token"] {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_command_line_stands_above_the_environment_and_both_above_the_file() {
    let text = smallest().replace("[mailbox]", "[mailbox]\nport = 1\npoll = \"1s\"\nblind_after = \"1s\"");
    let variables = [("BRESSE_WATCHDOG_MAILBOX__PORT", "2"), ("BRESSE_WATCHDOG_MAILBOX__POLL", "2s")];
    let config = load_with(&text, &variables, &[("mailbox.port", "3")]).unwrap();
    let mailbox = &config.mailboxes[0];
    assert_eq!((mailbox.server.port, mailbox.poll), (3, TimeDelta::seconds(2)));
    assert_eq!(mailbox.blind_after, TimeDelta::seconds(1));
}

#[test]
fn the_environment_alone_can_hold_a_configuration() {
    let variables = [
        ("BRESSE_WATCHDOG_WATCHDOG__NAME", "8"),
        ("BRESSE_WATCHDOG_MAILBOX__HOST", "imap.example"),
        ("BRESSE_WATCHDOG_MAILBOX__USER", "monitor@domain.com"),
        ("BRESSE_WATCHDOG_MAILBOX__PASSWORD__ENV", "BRESSE_WATCHDOG_PASSWORD"),
        ("BRESSE_WATCHDOG_PASSWORD", "12345"),
        ("BRESSE_WATCHDOG_MAILBOX__FOLDERS", "INBOX"),
        ("BRESSE_WATCHDOG_CHECKER__0__NAME", "bresse1"),
        ("BRESSE_WATCHDOG_CHECKER__0__PROVIDER", "free"),
        ("BRESSE_WATCHDOG_CHECKER__0__TESTS", "[{ service = \"A\", timeout = \"5s\" }]"),
        ("BRESSE_WATCHDOG_CHANNEL__0__NAME", "mail"),
        ("BRESSE_WATCHDOG_CHANNEL__0__TYPE", "smtp"),
        ("BRESSE_WATCHDOG_CHANNEL__0__HOST", "smtp.example"),
        ("BRESSE_WATCHDOG_CHANNEL__0__FALLBACK", "false"),
        ("BRESSE_WATCHDOG_CHANNEL__0__FROM", "a@example.com"),
        ("BRESSE_WATCHDOG_CHANNEL__0__TO__0", "b@example.com"),
        ("BRESSE_WATCHDOG_CHANNEL__0__TO__1", "c@example.com"),
        ("BRESSE_WATCHDOG_CONFIG", "elsewhere.toml"),
    ];
    let config = load_with("", &variables, &[]).unwrap();
    // What looks like a number stays text where text is wanted.
    assert_eq!((config.name.as_str(), secret(&config.mailboxes[0].login)), ("8", "12345"));
    assert_eq!(config.checkers[0].tests[0].service, "A");
    assert_eq!(smtp(&config.channels[0]).to, ["b@example.com", "c@example.com"]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn an_index_counts_as_a_number_so_that_ten_entries_can_be_added() {
    let mut variables = Vec::new();
    for index in 1..=11 {
        variables.push((format!("BRESSE_WATCHDOG_CHECKER__{index}__NAME"), format!("more{index}")));
        variables.push((format!("BRESSE_WATCHDOG_CHECKER__{index}__PROVIDER"), "ovh".to_owned()));
    }
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let config = load_with(&smallest(), &variables, &[]).unwrap();
    assert_eq!((config.checkers.len(), config.checkers[11].name.as_str()), (12, "more11"));
}

#[test]
fn kubernetes_variables_of_a_service_with_our_name_are_not_ours() {
    let variables = [
        ("BRESSE_WATCHDOG_SERVICE_HOST", "10.0.0.1"),
        ("BRESSE_WATCHDOG_SERVICE_PORT_HTTP", "8080"),
        ("BRESSE_WATCHDOG_PORT", "tcp://10.0.0.1:8080"),
        ("BRESSE_WATCHDOG_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ];
    load_with(&smallest(), &variables, &[]).unwrap();
}

#[test]
fn an_error_on_the_command_line_says_so() {
    let errors = load_with(&smallest(), &[], &[("mailbox.port", "x"), ("mailbox.port2", "1")]).unwrap_err();
    let expected = [
        "command line: mailbox.port: must be a number, not text",
        "command line: mailbox.port2: unknown key \"port2\" in [mailbox]; the nearest known one is \"port\"",
    ];
    assert_eq!(errors.messages(), expected);
}

#[test]
fn unwise_settings_are_warned_about_with_their_line() {
    let mailbox = MAILBOX.replace("{ env = \"IMAP_PASSWORD\" }", "\"hunter2\"");
    let checker = CHECKER.replace("tests = []\n", "");
    let events = [CHANNEL, "events = [\"checker\", \"service\"]\n"].concat();
    let config = load(&[WATCHDOG, &mailbox, &checker, &events].concat());
    let expected = [
        "w.toml:6: mailbox.password: the secret stands in plain text; write { env = \"NAME\" } or { file = \"PATH\" } instead",
        "w.toml:7: checker[0].tests: without tests only the rhythm is watched; write tests = [] if that is meant",
        "w.toml:10: channel: no [[channel]] has \"mailbox\" in events, so alarms of that kind reach nobody",
    ];
    assert_eq!(config.warnings, expected);
    let alone = load(&[WATCHDOG, MAILBOX, CHECKER].concat());
    assert_eq!(alone.warnings, ["w.toml: channel: there is no [[channel]], so no alarm reaches anybody"]);
}

#[test]
fn a_plain_password_from_the_environment_is_not_warned_about() {
    let config = load_with(&smallest(), &[("BRESSE_WATCHDOG_MAILBOX__PASSWORD", "hunter2")], &[]).unwrap();
    assert_eq!(secret(&config.mailboxes[0].login), "hunter2");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn no_debug_output_and_no_warning_holds_a_secret() {
    let channel =
        [CHANNEL, "user = \"u\"\npassword = { command = [\"vault\", \"--token=hunter2\"] }\n"].concat();
    for password in [
        "password = \"hunter2\"",
        "password = { env = \"SECRET\" }",
        "oauth2 = { token_url = \"https://x/\", client_id = \"c\", client_secret = \"hunter2\" }",
    ] {
        let mailbox = MAILBOX.replace("password = { env = \"IMAP_PASSWORD\" }", password);
        let text = [WATCHDOG, &mailbox, CHECKER, &channel].concat();
        let config = load_with(&text, &[("SECRET", "hunter2")], &[]).unwrap();
        let debug = format!("{config:?} {config:#?}");
        assert!(debug.contains("REDACTED") && debug.contains("vault"), "{debug}");
        assert!(!debug.contains("hunter2"), "{debug}");
    }
}

#[test]
fn no_error_holds_a_secret() {
    for password in [
        "password = hunter2",
        "password = \"hunter2",
        "password = [\"hunter2\"]",
        "password = { plain = \"hunter2\" }",
        "password = { env = \"hunter2!\" }",
        "password = { env = [\"hunter2\"] }",
        "password = \"hunter2\\n\"",
        "password = { command = [\"vault\", \"hunter2\\n\"] }",
        "password = '''hunter2",
        "password = \"a\"\npassword = \"hunter2\"",
        "password \"hunter2\"",
        "oauth2 = \"hunter2\"",
        "oauth2 = { token_url = \"ftp://x:hunter2@x\", client_id = [\"hunter2\"], client_secret = { file = [\"hunter2\"] } }",
    ] {
        let mailbox = MAILBOX.replace("password = { env = \"IMAP_PASSWORD\" }", password);
        let errors = load_with(&[WATCHDOG, &mailbox, CHECKER, CHANNEL].concat(), &[], &[]).unwrap_err();
        assert!(!format!("{errors} {errors:?}").contains("hunter2"), "{errors}");
    }
}

#[test]
fn twenty_thousand_checkers_are_allowed_and_one_more_is_not() {
    let checkers = |count: usize| -> String {
        let block =
            |index| format!("[[checker]]\nname = \"bresse{index}\"\nprovider = \"free\"\ntests = []\n");
        [WATCHDOG.to_owned(), MAILBOX.to_owned(), (1..=count).map(block).collect(), CHANNEL.to_owned()]
            .concat()
    };
    assert_eq!(load(&checkers(20_000)).checkers.len(), 20_000);
    let errors = load_with(&checkers(20_001), &[], &[]).unwrap_err();
    assert_eq!(errors.messages(), ["w.toml:7: checker: the list has 20001 entries; 1 to 20000 are allowed"]);
}

#[test]
fn the_ledger_is_kept_no_shorter_than_what_mails_said() {
    let days = |text: &str| {
        let Retention { mails, ledger } = load(&[&smallest(), "\n[retention]\n", text].concat()).retention;
        [mails, ledger].map(|kept| kept.map(|kept| kept.num_days()))
    };
    assert_eq!(days(""), [None, None]);
    assert_eq!(days("ledger = \"800d\""), [None, Some(800)]);
    assert_eq!(days("mails = \"90d\"\nledger = \"90d\""), [Some(90), Some(90)]);
    for (text, expected) in [
        (
            "ledger = \"30d\"\nmails = \"31d\"",
            "retention.ledger: must not be shorter than `mails`: what mails said goes first",
        ),
        ("ledger = \"29d\"", "retention.ledger: "),
        ("ledger = \"3651d\"", "retention.ledger: "),
    ] {
        let errors = load_with(&[&smallest(), "\n[retention]\n", text].concat(), &[], &[]).unwrap_err();
        let [error] = errors.messages() else { panic!("{text}: {errors}") };
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_error() {
    let text = format!("\u{feff}{}", smallest().replace('\n', "\r\n"));
    load(&text);
    let errors = load_with(&text.replace("free", ""), &[], &[]).unwrap_err();
    assert_eq!(errors.messages(), ["w.toml:9: checker[0].provider: must not be empty"]);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\[\\[?|\\]\\]?|[a-z]{1,3}|mailbox|checker|=|\"|'''|\\{|\\}|,|\\.|#|\n| |[0-9é\u{1}]){0,60}") {
        if let Err(errors) = load_with(&text, &[("BRESSE_WATCHDOG_CHECKER__0__NAME", &text.replace('\0', ""))], &[]) {
            proptest::prop_assert!(!errors.messages().is_empty());
        }
    }
}
