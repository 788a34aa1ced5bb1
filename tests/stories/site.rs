//! The site of a story: the configuration, written as `watchdog.toml` and read by the product itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bresse_watchdog::config::{Config, Sources};

/// The usual site: checkers and their providers.
const USUAL: [(&str, &str); 7] = [
    ("bresse1", "free"),
    ("bresse2", "free"),
    ("bresse3", "orange"),
    ("bresse4", "orange"),
    ("bresse5", "sfr"),
    ("bresse6", "ovh"),
    ("bresse7", "azure"),
];
const USUAL_TESTS: &str =
    r#"[ { service = "MSSQL1_Service", timeout = "10s" }, { service = "ESHOP_Service", timeout = "30s" } ]"#;

/// Keys and their values, as TOML writes them.
type Table = BTreeMap<String, String>;

#[derive(Debug, Clone)]
pub(crate) struct Site {
    watchdog: Table,
    defaults: Table,
    /// The first one is called MONITOR.
    mailboxes: Vec<(String, Table)>,
    checkers: Vec<(String, Table)>,
    drill: Table,
}

fn table(pairs: &[(&str, &str)]) -> Table {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn mailbox() -> Table {
    table(&[
        ("host", r#""outlook.office365.com""#),
        ("user", r#""monitor@domain.com""#),
        ("password", r#"{ file = "/run/secrets/imap" }"#),
    ])
}

impl Site {
    pub(crate) fn usual() -> Self {
        let mut site = Self {
            watchdog: table(&[("name", r#""bresse8""#), ("state", r#""sqlite:unused.db""#)]),
            defaults: table(&[
                ("cycle", r#""5m""#),
                ("mail_path_margin", r#""60s""#),
                ("tests", USUAL_TESTS),
            ]),
            mailboxes: vec![("MONITOR".to_owned(), mailbox())],
            checkers: vec![],
            drill: Table::new(),
        };
        USUAL.iter().for_each(|(name, provider)| site.add_checker(name, provider));
        site
    }

    pub(crate) fn without_checkers(&mut self) {
        self.checkers.clear();
    }

    pub(crate) fn add_checker(&mut self, name: &str, provider: &str) {
        self.checkers.push((name.to_owned(), table(&[("provider", &format!("{provider:?}"))])));
    }

    pub(crate) fn add_mailbox(&mut self, name: &str) {
        self.mailboxes.push((name.to_owned(), mailbox()));
    }

    pub(crate) fn remove(&mut self, checker: &str) {
        self.checkers.retain(|(name, _)| name != checker);
    }

    /// # Errors
    /// When there is no such table, or `setting` is not `key = value`.
    pub(crate) fn set(&mut self, name: &str, setting: &str) -> Result<(), String> {
        let (key, value) = setting.split_once('=').ok_or("a setting is written key = value")?;
        let named = |tables: &mut Vec<(String, Table)>| tables.iter().position(|(other, _)| other == name);
        let table = match name {
            "defaults" => &mut self.defaults,
            "watchdog" => &mut self.watchdog,
            "mailbox" => &mut self.mailboxes[0].1,
            "drill" => &mut self.drill,
            _ => match (named(&mut self.mailboxes), named(&mut self.checkers)) {
                (Some(at), _) => &mut self.mailboxes[at].1,
                (None, Some(at)) => &mut self.checkers[at].1,
                (None, None) => {
                    return Err(format!(
                        "{name} is neither defaults, watchdog, mailbox, drill nor a checker"
                    ));
                }
            },
        };
        match value.trim() {
            "" => table.remove(key.trim()),
            value => table.insert(key.trim().to_owned(), value.to_owned()),
        };
        Ok(())
    }

    /// # Errors
    /// Those of the configuration.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let environment = BTreeMap::new();
        let sources =
            Sources { text: &self.toml(), file: "watchdog.toml", environment: &environment, overrides: &[] };
        Config::load(&sources).map_err(|errors| errors.to_string())
    }

    fn toml(&self) -> String {
        let mut text = String::new();
        let mut put = |header: &str, name: Option<&str>, table: &Table| {
            let _ = writeln!(text, "\n{header}");
            if let Some(name) = name {
                let _ = writeln!(text, "name = {name:?}");
            }
            for (key, value) in table {
                let _ = writeln!(text, "{key} = {value}");
            }
        };
        put("[watchdog]", None, &self.watchdog);
        put("[defaults]", None, &self.defaults);
        match self.mailboxes.as_slice() {
            [(_, only)] => put("[mailbox]", None, only),
            several => several.iter().for_each(|(name, one)| put("[[mailbox]]", Some(name), one)),
        }
        self.checkers.iter().for_each(|(name, one)| put("[[checker]]", Some(name), one));
        let channel = table(&[
            ("type", r#""smtp""#),
            ("host", r#""smtp.elsewhere.example""#),
            ("from", r#""bresse8@elsewhere.example""#),
            ("to", r#"["oncall@elsewhere.example"]"#),
        ]);
        put("[[channel]]", Some("backup-mail"), &channel);
        if !self.drill.is_empty() {
            put("[drill]", None, &self.drill);
        }
        text
    }
}
