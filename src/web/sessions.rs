//! Sessions that were ended before their time: a cookie that somebody has copied opens nothing any more after its owner
//! logged out, also after a restart.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::{EndedSessions, Store};
use crate::time::Time;

/// Of one token; beyond them the one that would have ended first is forgotten. Whoever floods them can only have a cookie
/// of the same token hold again, and has that token.
const ENDED_MAX: usize = 100;

/// Shared by all configurations that are served one after the other.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Kept>);

struct Kept {
    state: PathBuf,
    ended: Mutex<EndedSessions>,
    /// Only one writes, so that what is written last is the newest.
    writing: tokio::sync::Mutex<()>,
}

impl Sessions {
    /// As the state file has them.
    pub(crate) fn of(state: PathBuf) -> Self {
        let ended = Store::open_read_only(&state).and_then(|store| store.ended_sessions());
        let ended = ended.unwrap_or_else(|error| {
            let error = format!("{error:#}");
            tracing::warn!(error, "nobody knows who had logged out: those sessions hold until their end");
            EndedSessions::new()
        });
        Self(Arc::new(Kept { state, ended: Mutex::new(ended), writing: tokio::sync::Mutex::new(()) }))
    }

    pub(super) fn has_ended(&self, token: &str, session: &str) -> bool {
        let ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.get(token).is_some_and(|ended| ended.contains_key(session))
    }

    /// It holds no more at once. Where that cannot be stored, it is said in the log, and holds until the next start.
    pub(super) async fn end(&self, token: &str, session: String, until: Time, now: Time) {
        {
            let mut ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner);
            note(&mut ended, token, session, until, now);
        }
        let kept = Arc::clone(&self.0);
        let _turn = self.0.writing.lock().await;
        let writing = tokio::task::spawn_blocking(move || {
            let ended = kept.ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Store::keep_ended_sessions(&kept.state, &ended)
        });
        let written = writing.await.map_err(anyhow::Error::from).and_then(|written| written);
        if let Err(error) = written {
            tracing::warn!(error = format!("{error:#}"), "a logout is not stored; it holds until a restart");
        }
    }
}

fn note(ended: &mut EndedSessions, token: &str, session: String, until: Time, now: Time) {
    ended.values_mut().for_each(|sessions| sessions.retain(|_, until| *until > now));
    ended.retain(|_, sessions| !sessions.is_empty());
    let sessions = ended.entry(token.to_owned()).or_default();
    sessions.insert(session, until);
    if sessions.len() > ENDED_MAX {
        let first = sessions.iter().min_by_key(|(_, until)| **until).map(|(session, _)| session.clone());
        first.and_then(|session| sessions.remove(&session));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn what_has_ended_is_kept_until_its_end_and_one_token_fills_only_its_own_room() {
        let at = |second| Time::UNIX_EPOCH + TimeDelta::seconds(second);
        let mut ended = EndedSessions::new();
        note(&mut ended, "anne", "a".into(), at(50_000), at(0));
        note(&mut ended, "bob", "b".into(), at(100), at(0));
        for number in 0..=100 {
            note(&mut ended, "rita", format!("r{number}"), at(1_000 + number), at(0));
        }
        assert_eq!(ended["rita"].len(), ENDED_MAX);
        assert!(!ended["rita"].contains_key("r0") && ended["rita"].contains_key("r100"));
        assert!(ended["anne"].contains_key("a") && ended["bob"].contains_key("b"));
        note(&mut ended, "anne", "a2".into(), at(60_000), at(10_000));
        assert_eq!(ended.keys().collect::<Vec<_>>(), ["anne"], "the others' have ended by themselves");
        assert_eq!(ended["anne"].len(), 2);
    }
}
