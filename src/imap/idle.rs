//! Waiting for the server to speak (RFC 2177).

use std::time::Duration;

use async_imap::imap_proto::Response;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::error::Error;
use super::session::Session;
use super::wire::{READ_LIMIT, tagged};

/// How long the server may take to end an IDLE.
const DONE_LIMIT: Duration = Duration::from_secs(15);
/// Longer than any IDLE lasts.
const PUSH_LIMIT: Duration = Duration::from_secs(3600);

/// Why the waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// The server hinted at a change in the folder.
    Push,
    /// Somebody wants a look now.
    Requested,
    Elapsed,
    /// The server has refused IDLE, although it announced it.
    Refused,
}

impl Session {
    /// IDLEs on the selected folder until something happens, `until` at the latest.
    pub(super) async fn idle(&mut self, until: Instant, requests: &Notify) -> Result<Woken, Error> {
        let tag = self.wire.send("IDLE", "IDLE").await?;
        if !self.accepted(&tag).await? {
            return Ok(Woken::Refused);
        }
        let woken = self.pushed(&tag, until, requests).await?;
        self.wire.send_line("IDLE", "DONE").await?;
        timeout(DONE_LIMIT, self.ended(&tag))
            .await
            .unwrap_or(Err(Error::Silent { command: "the end of IDLE", limit: DONE_LIMIT }))?;
        Ok(woken)
    }

    /// Exchange sends EXISTS before the `+`; a tagged answer instead of it means that there will be none.
    async fn accepted(&mut self, tag: &str) -> Result<bool, Error> {
        let wait = async {
            loop {
                let answer = self.wire.read("IDLE", READ_LIMIT, |response| match response {
                    Response::Continue(_) => Some(Ok(true)),
                    Response::Done { tag: answered, status, outcome } if answered.0 == tag => {
                        Some(tagged("IDLE", status, outcome).map(|()| false))
                    }
                    _ => None,
                });
                match answer.await? {
                    Some(Err(Error::Refused { .. })) => return Ok(false),
                    Some(decided) => return decided,
                    None => {}
                }
            }
        };
        timeout(READ_LIMIT, wait).await.unwrap_or(Err(Error::Silent { command: "IDLE", limit: READ_LIMIT }))
    }

    async fn pushed(&mut self, tag: &str, until: Instant, requests: &Notify) -> Result<Woken, Error> {
        loop {
            if self.wire.take_news() {
                return Ok(Woken::Push);
            }
            let answer = self.wire.read(
                "IDLE",
                PUSH_LIMIT,
                |response| matches!(response, Response::Done { tag: answered, .. } if answered.0 == tag),
            );
            tokio::select! {
                ended = answer => if ended? {
                    return Err(Error::Protocol("the end of an IDLE that was not over".to_owned()));
                },
                () = requests.notified() => return Ok(Woken::Requested),
                () = sleep_until(until) => return Ok(Woken::Elapsed),
            }
        }
    }

    async fn ended(&mut self, tag: &str) -> Result<(), Error> {
        loop {
            let done = self.wire.read("the end of IDLE", DONE_LIMIT, |response| match response {
                Response::Done { tag: answered, status, outcome } if answered.0 == tag => {
                    Some(tagged("IDLE", status, outcome))
                }
                _ => None,
            });
            if let Some(outcome) = done.await? {
                return outcome;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer::{SILENCE, session};
    use super::*;

    async fn idled(script: &[(&str, &str)]) -> Result<Woken, Error> {
        session(script).idle(Instant::now() + Duration::from_secs(240), &Notify::new()).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_in_the_folder_ends_it_whenever_it_is_told() {
        for told in [
            "+ idling\r\n* 5 EXISTS\r\n",
            "* 5 EXISTS\r\n+ idling\r\n",
            "+\r\n* OK Still here\r\n* 1 EXPUNGE\r\n",
        ] {
            let script = [("IDLE", told), ("DONE", "* 6 EXISTS\r\nTAG OK done\r\n")];
            assert_eq!(idled(&script).await.unwrap(), Woken::Push);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_in_time_or_when_a_look_is_requested() {
        let script = [("IDLE", "+ idling\r\n"), ("DONE", "TAG OK done\r\n")];
        let from = Instant::now();
        assert_eq!(idled(&script).await.unwrap(), Woken::Elapsed);
        assert_eq!(from.elapsed().as_secs(), 240);
        let requests = Notify::new();
        requests.notify_one();
        let woken = session(&script).idle(Instant::now() + Duration::from_secs(240), &requests).await;
        assert_eq!(woken.unwrap(), Woken::Requested);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_no_failure_and_does_not_hang() {
        for refusal in ["TAG NO not now\r\n", "TAG BAD what?\r\n"] {
            assert_eq!(idled(&[("IDLE", refusal)]).await.unwrap(), Woken::Refused);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_the_connection_is_a_failure() {
        for (script, told) in [
            (&[("IDLE", "+ idling\r\n* BYE autologout\r\n")][..], "saying: autologout"),
            (&[("IDLE", "+ idling\r\n")], "closed the connection in the middle of IDLE"),
            (&[("IDLE", "")], "closed the connection in the middle of IDLE"),
            (&[("IDLE", SILENCE)], "has not answered IDLE for 30 s"),
            (&[("IDLE", "+ idling\r\nTAG OK enough\r\n")], "the end of an IDLE that was not over"),
            (&[("IDLE", "+ idling\r\n"), ("DONE", SILENCE)], "has not answered the end of IDLE for 15 s"),
            (&[("IDLE", "+ idling\r\n"), ("DONE", "TAG BAD no\r\n")], "refuses IDLE: no"),
            (&[("IDLE", "TAG NO Suggested Backoff Time: 5000 milliseconds\r\n")], "asks to wait 5 s"),
        ] {
            let error = idled(script).await.unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
