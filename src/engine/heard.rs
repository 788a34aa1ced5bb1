//! How many checkers are heard: counted as that changes, because every alarm about a silence says it.

use super::Engine;

#[derive(Debug, Default)]
pub(super) struct Heard {
    /// By the place of the checker in the configuration.
    flags: Vec<bool>,
    count: usize,
}

impl Engine {
    /// Looks whether this checker is heard now, as far as its mails were judged.
    pub(super) fn count_heard(&mut self, name: &str) {
        let heard =
            self.facts.get(name).is_some_and(|facts| facts.silent.is_none() && facts.was_ever_heard());
        let flag = self.index.get(name).and_then(|place| self.heard.flags.get_mut(*place));
        let Some(flag) = flag.filter(|flag| **flag != heard) else { return };
        *flag = heard;
        self.heard.count = if heard { self.heard.count + 1 } else { self.heard.count.saturating_sub(1) };
        self.review.is_due = true;
    }

    /// The places of the checkers have changed.
    pub(super) fn count_heard_anew(&mut self) {
        self.heard = Heard { flags: vec![false; self.config.checkers.len()], count: 0 };
        let names: Vec<String> = self.facts.keys().cloned().collect();
        names.iter().for_each(|name| self.count_heard(name));
    }

    /// How many checkers are heard, of how many.
    pub(super) fn heard(&self) -> (usize, usize) {
        (self.heard.count, self.facts.len())
    }
}
