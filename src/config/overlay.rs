//! What the environment and the command line set above the file.
//!
//! `BRESSE_WATCHDOG_MAILBOX__HOST` is `mailbox.host`; `BRESSE_WATCHDOG_CHANNEL__0__HOST` is the host of the first
//! `[[channel]]`. The next free index adds an entry.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Content, MAX_DEPTH, Node, Table};
use super::report::{Nature, Origin, Place, Report};
use super::secret;

pub(super) const PREFIX: &str = "BRESSE_WATCHDOG_";
/// Names the file; read by the shell.
pub(super) const CONFIG: &str = "BRESSE_WATCHDOG_CONFIG";

/// Indices before keys, and in the order of numbers: 10 comes after 2, so that each can add the next entry.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Index(usize),
    Key(String),
}

struct Setting<'a> {
    path: Vec<Step>,
    text: &'a str,
    origin: Origin,
}

/// Sets what the variables say, then what the command line says (pairs of `mailbox.host` and text).
pub(super) fn apply(
    root: Table,
    environment: &BTreeMap<String, String>,
    overrides: &[(String, String)],
    report: &Report,
) -> Table {
    let secrets = secrets_among(&root, environment);
    let variables = environment.iter().filter_map(|(name, text)| {
        let path = name.strip_prefix(PREFIX)?;
        let other = name == CONFIG || secrets.contains(name);
        (!other && !is_service_link(path)).then(|| {
            let path = path.split("__").map(|part| step(&part.to_lowercase())).collect();
            Setting { path, text, origin: Origin::Variable(name.clone()) }
        })
    });
    let mut settings: Vec<Setting<'_>> = variables.collect();
    settings.sort_by(|a, b| a.path.cmp(&b.path));
    settings.extend(overrides.iter().map(|(path, text)| Setting {
        path: path.split('.').map(step).collect(),
        text,
        origin: Origin::CommandLine,
    }));

    let mut root = Node { origin: Origin::File, content: Content::Table(root) };
    for setting in settings {
        if let Err(sentence) = set(&mut root, &setting) {
            let place = Place { origin: setting.origin, path: String::new() };
            report.error(Nature::Value, &place, sentence);
        }
    }
    match root.content {
        Content::Table(table) => table,
        _ => Table::new(),
    }
}

/// Variables that hold a secret of the configuration, which may well begin with the prefix.
fn secrets_among(root: &Table, environment: &BTreeMap<String, String>) -> BTreeSet<String> {
    let named_by_variable =
        |(name, _): &(&String, &String)| name.starts_with(PREFIX) && name.ends_with("__ENV");
    let mut secrets = secret::named_variables(root);
    secrets.extend(environment.iter().filter(named_by_variable).map(|(_, text)| text.clone()));
    secrets
}

fn step(part: &str) -> Step {
    part.parse().map_or_else(|_| Step::Key(part.to_owned()), Step::Index)
}

/// Kubernetes sets variables of this form in every pod beside a Service named `bresse-watchdog`
/// (<https://kubernetes.io/docs/concepts/containers/container-environment/>).
fn is_service_link(rest: &str) -> bool {
    rest == "PORT" || ["PORT_", "SERVICE_HOST", "SERVICE_PORT"].iter().any(|start| rest.starts_with(start))
}

fn set(root: &mut Node, setting: &Setting<'_>) -> Result<(), String> {
    if setting.path.len() > MAX_DEPTH || setting.path.iter().any(|step| *step == Step::Key(String::new())) {
        return Err("this is not the name of a key".to_owned());
    }
    let mut node = root;
    for step in &setting.path {
        node = descend(node, step, &setting.origin)?;
    }
    node.origin = setting.origin.clone();
    node.content = Content::Text(setting.text.to_owned());
    Ok(())
}

/// The node that a step leads to; it is made if it is not there.
fn descend<'n>(node: &'n mut Node, step: &Step, origin: &Origin) -> Result<&'n mut Node, String> {
    // What an overlay makes is a text until the next step shows that it is a table or a list; a plain value of the
    // file gives way in the same manner.
    let fresh = || Node { origin: origin.clone(), content: Content::Text(String::new()) };
    if !matches!(node.content, Content::Table(_) | Content::List(_)) {
        node.origin = origin.clone();
        node.content = match step {
            Step::Index(_) => Content::List(Vec::new()),
            Step::Key(_) => Content::Table(Table::new()),
        };
    }
    match (&mut node.content, step) {
        (Content::List(list), Step::Index(index)) => {
            let length = list.len();
            if *index == length {
                list.push(fresh());
            }
            list.get_mut(*index)
                .ok_or_else(|| format!("there is no entry {index}; the next free one is {length}"))
        }
        (Content::List(_), Step::Key(key)) => {
            Err(format!("\"{}\" must be a number here, 0 for the first entry", key.escape_debug()))
        }
        (Content::Table(table), Step::Index(index)) => {
            Ok(table.entry(index.to_string()).or_insert_with(fresh))
        }
        (Content::Table(table), Step::Key(key)) => Ok(table.entry(key.clone()).or_insert_with(fresh)),
        _ => Err("this is not the name of a key".to_owned()),
    }
}
