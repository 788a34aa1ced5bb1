//! The lines about drills below the table: whether the channels proved that alarms arrive.

use chrono::TimeDelta;
use serde::{Serialize, Serializer};

use crate::engine::{Chain, Engine};
use crate::time::{Time, as_optional_rfc3339, seconds};
use crate::words;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainLine {
    pub channel: String,
    /// When the link in a drill that came through it was last pressed; null before the first time.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub proved: Option<Time>,
    /// How long that drill took.
    #[serde(serialize_with = "as_optional_seconds")]
    pub took_s: Option<TimeDelta>,
    /// When the last drill began, if that one was not proved.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub unproved: Option<Time>,
    /// From then on the proof is too old; null when none is asked for.
    #[serde(serialize_with = "as_optional_rfc3339")]
    pub too_old_at: Option<Time>,
    pub too_old: bool,
    /// The same in words.
    #[serde(skip)]
    pub sentence: String,
}

impl ChainLine {
    /// Of every channel that has to prove itself, or was tried.
    pub fn all(engine: &Engine, as_of: Time) -> Vec<Self> {
        let max_age = engine.config().drill.proof_max_age;
        let line = |(channel, chain): (&String, &Chain)| {
            let too_old_at = chain.too_old_at(max_age);
            Self {
                channel: channel.clone(),
                proved: chain.proof.map(|proof| proof.at),
                took_s: chain.proof.map(|proof| proof.took()),
                unproved: chain.unproved,
                too_old_at,
                too_old: too_old_at.is_some_and(|from| from <= as_of),
                sentence: words::chain(channel, chain, as_of),
            }
        };
        engine.chains().iter().map(line).collect()
    }
}

fn as_optional_seconds<S: Serializer>(length: &Option<TimeDelta>, serializer: S) -> Result<S::Ok, S::Error> {
    length.map(seconds).serialize(serializer)
}
