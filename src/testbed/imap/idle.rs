//! IDLE (RFC 2177).

use super::command::{Command, MAX_COMMAND_BYTES, Syntax};
use super::fault::{DONE, PUSH};
use super::session::{Failure, Session};

impl Session {
    pub(super) async fn idle(&mut self, command: &Command) -> Result<String, Failure> {
        command.args().end()?;
        let exists = self.selected.as_ref().map_or(0, |selected| selected.folder.mails.len());
        for _ in 0..self.shared.faults.idle_burst() {
            self.connection.put_line(&format!("* {exists} EXISTS"));
        }
        let dead = self.shared.faults.idle_dead();
        let mut changes = self.shared.options.store.changes();
        self.connection.put_line("+ idling");
        loop {
            if !dead {
                self.push().await?;
            }
            self.connection.flush().await?;
            tokio::select! {
                // The store lives as long as this session, so its channel does not close.
                _ = changes.changed() => {}
                line = self.connection.read_line(MAX_COMMAND_BYTES) => {
                    let line = line?.ok_or(Failure::End)?;
                    return self.end_idle(line.trim_ascii_end()).await;
                }
            }
        }
    }

    async fn push(&mut self) -> Result<(), Failure> {
        if !self.folder_has_changed() {
            return Ok(());
        }
        let instead = match self.shared.faults.on(PUSH) {
            Some(answer) => self.answer_as_scripted(answer).await,
            None => Ok(()),
        };
        let scripted = self.connection.out.len();
        match instead {
            Ok(()) => self.announce_changes().await,
            Err(Failure::Silent) => {
                self.announce_changes().await?;
                self.connection.out.truncate(scripted);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    async fn end_idle(&mut self, line: &[u8]) -> Result<String, Failure> {
        if !line.eq_ignore_ascii_case(b"DONE") {
            return Err(Syntax("Expected DONE".to_owned()).into());
        }
        if let Some(answer) = self.shared.faults.on(DONE) {
            self.answer_as_scripted(answer).await?;
        }
        Ok("IDLE completed".to_owned())
    }
}
