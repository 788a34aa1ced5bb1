//! The file that is delivered: an example of everything, and right.

use super::*;

#[test]
fn the_shipped_example_loads_without_a_warning() {
    let config = load(EXAMPLE);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!((config.name.as_str(), config.timezone), ("bresse8", Tz::Europe__Paris));
    assert_eq!(config.checkers.len(), 2);
    assert_eq!(config.checkers[0].tests[1].timeout, TimeDelta::seconds(30));
}

/// The settings that the example leaves out, written in.
fn example_in_full() -> String {
    let mut text = String::new();
    for line in EXAMPLE.lines().filter(|line| *line != "password = { env = \"IMAP_PASSWORD\" }") {
        let is_setting = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
        let setting = line.strip_prefix('#').filter(is_setting);
        text.push_str(setting.unwrap_or(line));
        text.push('\n');
    }
    text
}

#[test]
fn what_the_shipped_example_leaves_out_are_the_defaults() {
    let (short, mut full) = (load(EXAMPLE), load(&example_in_full()));
    for checker in &mut full.checkers {
        let example = Flap { changes: 6, within: TimeDelta::hours(1) };
        assert_eq!(checker.flap.take(), Some(example), "off by default");
    }
    // An example too.
    for trust in full.checkers.iter_mut().map(|checker| checker.trust.take().unwrap()) {
        assert_eq!(trust.from, [Sender::Domain("checkers.example".to_owned())]);
        assert!(
            matches!(&trust.auth_results, Some(AuthResults::Server { server, .. }) if server == "mx.domain.com")
        );
        assert!(matches!(trust.hmac.as_slice(), [Secret::File(_)]));
    }
    assert_eq!(
        format!("{:?}", (&full.state, &full.checkers)),
        format!("{:?}", (&short.state, &short.checkers))
    );
    let (mailbox, default) = (&full.mailboxes[0], &short.mailboxes[0]);
    assert_eq!((&mailbox.name, &mailbox.folders), (&default.name, &default.folders));
    assert_eq!((mailbox.poll, mailbox.blind_after), (default.poll, default.blind_after));
    assert_eq!((mailbox.server.port, mailbox.server.tls), (default.server.port, default.server.tls));
    let (channel, default) = (&full.channels[0], &short.channels[0]);
    assert_eq!((channel.fallback, channel.spacing), (default.fallback, default.spacing));
    assert_eq!((channel.rate, default.rate), (Some(Rate { messages: 30, per: TimeDelta::hours(1) }), None));
    assert_eq!((channel.combine, default.combine), (true, false));
    assert_eq!(channel.events, default.events);
    assert_eq!(smtp(channel).server.port, smtp(default).server.port);
    assert_eq!((full.quorum.usual, short.quorum.usual), (2, 2));
    // Those that are examples, and the alternative that is not the default.
    assert_eq!(mailbox.server.ca_file, Some(PathBuf::from("/etc/ssl/private-ca.pem")));
    assert_eq!(mailbox.server.pin_sha256.map(|pin| pin[0]), Some(0x0f));
    assert_eq!(mailbox.junk.as_deref(), Some("Junk Email"));
    assert_eq!((mailbox.limits.size, mailbox.limits.messages), (Some(50 << 30), Some(1_000_000)));
    let canary = full.canary.unwrap();
    assert_eq!((canary.channel.as_str(), canary.every), ("backup-mail", TimeDelta::minutes(10)));
    assert_eq!((canary.patience, &short.canary), (TimeDelta::seconds(60), &None));
    let heartbeat = full.heartbeat.unwrap();
    let run = heartbeat.mail.unwrap();
    assert_eq!((run.channel.as_str(), run.to.as_str()), ("backup-mail", "watch+bresse8@third.example"));
    assert!(run.hmac.is_some() && heartbeat.ping.is_some() && short.heartbeat.is_none());
    assert_eq!(heartbeat.cycle, TimeDelta::minutes(5));
    let digest = &full.digests[0];
    assert_eq!(
        (digest.channel.as_str(), digest.to.as_slice()),
        ("backup-mail", ["service-desk@elsewhere.example".into()].as_slice())
    );
    assert_eq!((digest.checkers.len(), digest.providers.len(), short.digests.len()), (1, 1, 0));
    let bare = format!("{EXAMPLE}\n[digest]\nchannel = \"backup-mail\"\n");
    let bare = &load(&bare).digests[0];
    assert_eq!((digest.calendar, &bare.to), (bare.calendar, &vec!["oncall@elsewhere.example".to_owned()]));
    let head = full.head_notice.as_ref().unwrap();
    assert_eq!((head.channel.as_str(), head.calendar), ("backup-mail", bare.calendar));
    assert!(short.head_notice.is_none());
    let Login::OAuth2(oauth2) = &mailbox.login else { panic!("{:?}", mailbox.login) };
    assert_eq!(oauth2.client_secret_expires.unwrap().to_rfc3339(), "2027-11-30T00:00:00+00:00");
}

#[test]
fn the_shipped_example_shows_every_known_key() {
    for key in [
        "name",
        "state",
        "timezone",
        "host",
        "port",
        "tls",
        "ca_file",
        "pin_sha256",
        "user",
        "password",
        "oauth2",
        "folders",
        "junk",
        "poll",
        "blind_after",
        "cycle",
        "mail_path_margin",
        "missed_cycles",
        "nok_after",
        "ok_after",
        "findings",
        "report_after",
        "flap",
        "trust",
        "provider",
        "address",
        "tests",
        "type",
        "from",
        "to",
        "fallback",
        "events",
        "spacing",
        "rate",
        "combine",
        "repeat",
        "url",
        "preset",
        "key",
        "method",
        "headers",
        "template",
        "hmac",
        "command",
        "path",
        "quorum",
        "services",
        "size_limit",
        "message_limit",
        "every",
        "prove_within",
        "proof_max_age",
        "schedule",
        "channels",
        "at",
        "ping",
    ] {
        let shown =
            EXAMPLE.lines().filter_map(|line| line.trim_start_matches('#').trim_start().split_once('='));
        let shown = shown.into_iter().any(|(shown, _)| shown.trim_end() == key);
        assert!(shown, "{key}");
    }
}

/// The examples among comments that are tables of their own.
fn uncommented(shipped: &str) -> String {
    let lines = shipped.lines().filter_map(|line| line.strip_prefix("#     "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_examples_of_policies_in_the_shipped_file_are_right() {
    let (_, shipped) = EXAMPLE.split_once("# Who is told of what").unwrap();
    let (shipped, web) = shipped.split_once("# The page, the API").unwrap();
    let example = uncommented(shipped);
    let phone = CHANNEL.replace("\"mail\"", "\"phone\"");
    let backup = CHANNEL.replace("\"mail\"", "\"backup-mail\"");
    let checkers = CHECKER.replace("Bresse1", "bresse2");
    let config = load(&[WATCHDOG, MAILBOX, &checkers, &phone, &backup, &example].concat());
    let policies = config.policies;
    assert_eq!((policies.schedules.len(), policies.routes.len(), policies.maintenance.len()), (2, 2, 1));

    let served = load(&[WATCHDOG, MAILBOX, CHECKER, &uncommented(web)].concat());
    assert_eq!(served.dead_files.unwrap().to_str(), Some("/run/bresse-watchdog/dead"));
    let web = served.web.unwrap();
    assert!(web.lb_from.len() == 2 && web.public_badges);
    assert_eq!(web.public_url.unwrap().as_str(), "https://watch.example/");
    assert!(web.tls.is_some() && web.tokens.iter().map(|token| token.role).eq([Role::Acknowledge]));
    let (drill, default) = (config.drill, Drill::default());
    assert_eq!(drill.pace, Some(Pace::At(vec![Moment::parse("mon-fri 09:30").unwrap()])));
    assert_eq!(drill.schedule.unwrap().name, "office");
    assert_eq!(drill.channels, Some(["backup-mail".to_owned()].into()));
    assert_eq!((drill.prove_within, drill.proof_max_age), (default.prove_within, default.proof_max_age));
}

#[test]
fn the_examples_of_channels_in_the_shipped_file_are_right() {
    let (_, shipped) = EXAMPLE.split_once("# Other ways to reach people").unwrap();
    let (shipped, _) = shipped.split_once("# Who is told of what").unwrap();
    let example = uncommented(shipped);
    let variables = ["SLACK_URL", "PAGERDUTY_KEY", "TICKET_TOKEN", "TICKET_HMAC"].map(|name| {
        (name, if name == "SLACK_URL" { "https://hooks.example/T0/B0/hunter2" } else { "hunter2" })
    });
    let config = load_with(&[WATCHDOG, MAILBOX, CHECKER, &example].concat(), &variables, &[]).unwrap();
    let kinds: Vec<&str> = config.channels.iter().map(|channel| channel.kind.word()).collect();
    assert_eq!(kinds, ["webhook", "webhook", "webhook", "teams", "alertmanager", "command", "file"]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let recipients: Vec<String> = config.channels.iter().flat_map(Channel::recipients).collect();
    assert_eq!(
        recipients,
        [
            "hooks.example",
            "events.pagerduty.com",
            "tickets.example",
            "teams",
            "127.0.0.1",
            "/usr/local/bin/send-sms",
            "/var/lib/bresse-watchdog/alarms.jsonl"
        ]
    );
    assert!(!format!("{:?}", config.channels).contains("hunter2"));
    for field in crate::payload::FIELDS {
        assert!(shipped.contains(&format!("{{{{{field}}}}}")), "{field}");
    }
}
