//! `/metrics`, and what is shipped to be used with it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::rig::Report;
use crate::site::Site;
use crate::world::{Servers, USUAL, checkers};

const PROMTOOL: &str = "/usr/bin/promtool";
const PREFIX: &str = "bresse_watchdog_";

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

/// Runs Prometheus' own tool; what it printed, if it was content.
fn promtool(arguments: &[&str], input: &str) -> String {
    assert!(Path::new(PROMTOOL).exists(), "{PROMTOOL} is missing: run ./tests/run, which installs it");
    let mut child = Command::new(PROMTOOL)
        .args(arguments)
        .current_dir(deploy("prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}\n{input}");
    said
}

/// The names of ours in a text of any kind.
fn names(text: &str) -> BTreeSet<String> {
    let letters = |rest: &str| -> String {
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    text.split(PREFIX).skip(1).map(|rest| format!("{PREFIX}{}", letters(rest))).collect()
}

#[test]
fn prometheus_understands_the_metrics_and_all_that_is_shipped_asks_for_what_there_is() {
    let servers = Servers::start();
    // A name that would break out of its quotes.
    let hostile = checkers(&["bresse2"], USUAL).replace("\"provider-of-bresse2\"", "'p\"} 1 \\'");
    let parts = [&servers.mailbox(), &checkers(&["bresse1"], USUAL), hostile.as_str(), &servers.channel()];
    let site = Site::start(&parts, "");
    // After the start, or it would be history.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    servers.deliver(&Report::new("bresse1", chrono::Utc::now()).nok("ESHOP_Service"), chrono::Utc::now());
    let delivered =
        format!("{PREFIX}delivery_attempts_total{{channel=\"backup-mail\",outcome=\"accepted\"}} 1\n");
    let metrics = site.wait_for("/metrics", |answer| answer.body.contains(&delivered));
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    let text = &metrics.body;
    let said = promtool(&["check", "metrics"], text);
    assert_eq!(said, "", "promtool has something to say");
    let of_it = "checker=\"bresse1\",provider=\"provider-of-bresse1\"";
    for line in [
        format!("checker_deadline_seconds{{{of_it}}} 360.4"),
        format!("checker_state{{{of_it},state=\"ok\"}} 1"),
        format!("checker_state{{{of_it},state=\"silent\"}} 0"),
        format!("service_result{{{of_it},service=\"ESHOP_Service\",result=\"bad\"}} 1"),
        format!("service_result{{{of_it},service=\"MSSQL1_Service\",result=\"ok\"}} 1"),
        format!("mail_path_latency_seconds_bucket{{{of_it},le=\"+Inf\"}} 1"),
        format!("mail_path_latency_seconds_bucket{{{of_it},le=\"21600\"}} 1"),
        "checker_state{checker=\"bresse2\",provider=\"p\\\"} 1 \\\\\",state=\"waiting\"} 1".to_owned(),
        "outbox_messages{channel=\"backup-mail\"} 0".to_owned(),
        "incidents{state=\"open\"} 1".to_owned(),
        "mailbox_blind{mailbox=\"MONITOR\"} 0".to_owned(),
        "store_failing 0".to_owned(),
    ] {
        assert!(text.contains(&format!("\n{PREFIX}{line}\n")), "{line} is missing in\n{text}");
    }
    assert!(!text.to_lowercase().contains("nok"), "a label that Alertmanager repeats at the end of an alert");
    let families: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    for file in ["prometheus/rules.yml", "prometheus/rules_test.yml", "grafana/dashboard.json"] {
        let shipped = std::fs::read_to_string(deploy(file)).unwrap();
        assert!(!shipped.to_lowercase().contains("nok"), "{file}");
        for name in names(&shipped) {
            let family = ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(part));
            let known = families.contains(&name) || family.is_some_and(|family| families.contains(family));
            assert!(known, "{file} asks for {name}, which there is not");
        }
    }
    assert_eq!(site.ask("GET", "/metrics", "").status, 401);
}

#[test]
fn the_shipped_rules_do_what_their_tests_say() {
    promtool(&["check", "rules", "rules.yml"], "");
    promtool(&["test", "rules", "rules_test.yml"], "");
    let text = std::fs::read_to_string(deploy("prometheus/rules.yml")).unwrap();
    let tests = std::fs::read_to_string(deploy("prometheus/rules_test.yml")).unwrap();
    for rule in text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires = tests.split("alertname: ").any(|test| {
            test.starts_with(&format!("{rule}\n")) && test.trim_start_matches(rule).contains("exp_labels")
        });
        assert!(fires, "no test in which {rule} fires");
    }
}

#[test]
fn every_panel_of_the_dashboard_asks_for_something_in_words_prometheus_understands() {
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string(deploy("grafana/dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    // Recording rules are only a way to have the expressions parsed.
    let rules: Vec<String> = targets
        .enumerate()
        .map(|(number, target)| {
            let expression = serde_json::to_string(target["expr"].as_str().unwrap()).unwrap();
            format!("{{\"record\":\"r{number}\",\"expr\":{expression}}}")
        })
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        format!("{{\"groups\":[{{\"name\":\"g\",\"rules\":[{}]}}]}}", rules.join(",")),
    )
    .unwrap();
    promtool(&["check", "rules", file.path().to_str().unwrap()], "");
}
