//! The site of a world: who is watched, how, and through which channels. Written as `watchdog.toml`, read by the product.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use bresse_watchdog::config::{Config, Sources};
use fastrand::Rng;

/// Milliseconds: spans, and moments since the world began.
pub(crate) type Ms = i64;

pub(crate) const SECOND: Ms = 1_000;
pub(crate) const MINUTE: Ms = 60 * SECOND;
pub(crate) const HOUR: Ms = 60 * MINUTE;
pub(crate) const DAY: Ms = 24 * HOUR;

pub(crate) const SERVICES: [&str; 4] = ["SQL", "SHOP", "DNS", "Boutique en ligne"];
pub(crate) const CHANNELS: [&str; 3] = ["mail", "chat", "page"];
const PROVIDERS: [&str; 5] = ["free", "orange", "sfr", "ovh", "azure"];
const TIMEOUT: Ms = 5 * SECOND;

#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) name: String,
    provider: &'static str,
    pub(crate) cycle: Ms,
    pub(crate) margin: Ms,
    /// It tests the first so many of [`SERVICES`].
    pub(crate) services: usize,
    /// Its reports come from one address alone.
    pub(crate) trusted: bool,
}

impl Watched {
    pub(crate) fn timeouts(&self) -> Ms {
        TIMEOUT * i64::try_from(self.services).unwrap()
    }

    pub(crate) fn deadline(&self) -> Ms {
        self.cycle + self.timeouts() + self.margin
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) watched: Vec<Watched>,
    pub(crate) poll: Ms,
    pub(crate) blind_after: Ms,
}

impl Site {
    pub(crate) fn random(rng: &mut Rng, checkers: usize, cycle: Ms) -> Self {
        let watched = |number: usize| {
            let odd = rng.u32(0..100) < 10;
            Watched {
                name: format!("bresse{}", number + 1),
                provider: PROVIDERS[rng.usize(0..PROVIDERS.len())],
                cycle: if odd { cycle * rng.i64(1..=3) } else { cycle },
                margin: [20, 60, 60, 120][rng.usize(0..4)] * SECOND,
                services: rng.usize(1..=SERVICES.len()),
                trusted: rng.bool(),
            }
        };
        let poll = (cycle / 5 / SECOND * SECOND).clamp(MINUTE, 10 * MINUTE);
        Self { watched: (0..checkers).map(watched).collect(), poll, blind_after: 3 * poll }
    }

    /// With `state` as its state file.
    pub(crate) fn config(&self, state: &Path) -> Config {
        let text = self.toml(state);
        let sources =
            Sources { text: &text, file: "watchdog.toml", environment: &BTreeMap::new(), overrides: &[] };
        Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
    }

    fn toml(&self, state: &Path) -> String {
        let mut text = format!(
            "[watchdog]\nname = \"bresse0\"\nstate = \"sqlite:{}\"\n\
             [mailbox]\nhost = \"mail.example\"\nuser = \"monitor@domain.example\"\npassword = \"none\"\n\
             junk = \"Junk\"\npoll = \"{}s\"\nblind_after = \"{}s\"\n",
            state.display(),
            self.poll / SECOND,
            self.blind_after / SECOND
        );
        for watched in &self.watched {
            let test = |name: &&str| format!("{{ service = \"{name}\", timeout = \"{TIMEOUT}ms\" }}");
            let trust = if watched.trusted {
                format!("trust = {{ from = [\"{}@checker.example\"] }}\n", watched.name)
            } else {
                String::new()
            };
            let tests: Vec<String> = SERVICES.iter().take(watched.services).map(test).collect();
            let _ = write!(
                text,
                "[[checker]]\nname = \"{}\"\nprovider = \"{}\"\naddress = \"{}+monitor@domain.example\"\n\
                 cycle = \"{}s\"\nmail_path_margin = \"{}s\"\ntests = [ {} ]\n{trust}",
                watched.name,
                watched.provider,
                watched.name,
                watched.cycle / SECOND,
                watched.margin / SECOND,
                tests.join(", ")
            );
        }
        for name in CHANNELS {
            let fallback = name == "page";
            let _ = write!(
                text,
                "[[channel]]\nname = \"{name}\"\ntype = \"smtp\"\nhost = \"{name}.elsewhere.example\"\n\
                 from = \"bresse0@elsewhere.example\"\nto = [\"{name}@people.example\"]\nfallback = {fallback}\n"
            );
        }
        text
    }
}
