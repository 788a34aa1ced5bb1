//! One client's session: reads commands, lets faults step in, answers.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::Shared;
use super::command::{Command, MAX_COMMAND_BYTES, Syntax, announced_literal};
use super::fault::{Answer, GREETING};
use crate::testbed::Tls;
use crate::testbed::net::Connection;
use crate::testbed::store::Folder;

pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) authenticated: bool,
    pub(super) selected: Option<Selected>,
}

/// The open folder, as far as the client has been told of it.
pub(super) struct Selected {
    pub(super) name: String,
    pub(super) folder: Folder,
}

/// Why a command was not answered with OK.
pub(super) enum Failure {
    No(String),
    Bad(String),
    /// There is nothing to say; the session goes on.
    Silent,
    /// The session is over.
    End,
    Io(io::Error),
}

impl From<Syntax> for Failure {
    fn from(Syntax(text): Syntax) -> Self {
        Self::Bad(text)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let ended = match Connection::open(stream, &shared.options.tls).await {
        Ok(connection) => {
            let mut session = Session { connection, shared, authenticated: false, selected: None };
            session.run().await
        }
        Err(error) => Err(error.into()),
    };
    if let Err(Failure::Io(error)) = ended {
        tracing::debug!("A session of the testbed's IMAP server ended: {error}");
    }
}

impl Session {
    async fn run(&mut self) -> Result<(), Failure> {
        self.connection.manner = self.shared.faults.manner();
        let greeting = self.greet().await;
        self.answer("*", greeting).await?;
        loop {
            let line = self.read_command().await?;
            self.connection.manner = self.shared.faults.manner();
            match Command::parse(&line) {
                Ok(command) => {
                    let result = self.execute(&command).await;
                    self.answer(&command.tag, result).await?;
                }
                Err(Syntax(text)) => self.answer("*", Err(Failure::Bad(text))).await?,
            }
        }
    }

    async fn greet(&mut self) -> Result<String, Failure> {
        if let Some(answer) = self.shared.faults.on(GREETING) {
            self.answer_as_scripted(answer).await?;
        }
        Ok(format!("[CAPABILITY {}] The testbed is ready.", self.capabilities()))
    }

    async fn answer(&mut self, tag: &str, result: Result<String, Failure>) -> Result<(), Failure> {
        match result {
            Ok(text) => self.connection.put_line(&format!("{tag} OK {text}")),
            Err(Failure::No(text)) => self.connection.put_line(&format!("{tag} NO {text}")),
            Err(Failure::Bad(text)) => self.connection.put_line(&format!("{tag} BAD {text}")),
            Err(Failure::Silent) => {}
            Err(over @ (Failure::End | Failure::Io(_))) => return Err(over),
        }
        Ok(self.connection.flush().await?)
    }

    /// One command with its literals; ends when the client is gone.
    async fn read_command(&mut self) -> Result<Vec<u8>, Failure> {
        let mut command = Vec::new();
        loop {
            let room = MAX_COMMAND_BYTES.saturating_sub(command.len());
            let line = match self.connection.read_line(room).await {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(self.bye("The command is too long").await);
                }
                line => line?.ok_or(Failure::End)?,
            };
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            command.extend_from_slice(line);
            let Some(literal) = announced_literal(line) else { return Ok(command) };
            if literal.bytes > room.saturating_sub(line.len()) {
                // The bytes after an unwanted literal cannot be told from commands, once the client sends it.
                return Err(self.bye("The literal is too long").await);
            }
            if literal.synchronizing {
                self.connection.put_line("+ Ready for the literal");
                self.connection.flush().await?;
            }
            command.extend_from_slice(b"\r\n");
            command.extend(self.connection.read_bytes(literal.bytes).await?);
        }
    }

    async fn execute(&mut self, command: &Command) -> Result<String, Failure> {
        self.shared.count(if is_known(&command.name) { &command.name } else { "?" });
        if let Some(answer) = self.shared.faults.on(&command.name) {
            self.answer_as_scripted(answer).await?;
        }
        // Sequence numbers must not move under these two (RFC 3501, section 7.4.1).
        if !matches!(command.name.as_str(), "FETCH" | "SEARCH") {
            self.announce_changes().await?;
        }
        match command.name.as_str() {
            "CAPABILITY" => {
                self.connection.put_line(&format!("* CAPABILITY {}", self.capabilities()));
                Ok("CAPABILITY completed".to_owned())
            }
            "NOOP" | "CHECK" => Ok(format!("{} completed", command.name)),
            "ID" => {
                self.connection.put_line("* ID (\"name\" \"bresse-watchdog testbed\")");
                Ok("ID completed".to_owned())
            }
            "LOGOUT" => {
                self.connection.put_line("* BYE Logging out");
                self.connection.put_line(&format!("{} OK LOGOUT completed", command.tag));
                Err(self.close().await)
            }
            _ if !self.authenticated => self.execute_before_login(command).await,
            _ => self.execute_after_login(command).await,
        }
    }

    async fn execute_before_login(&mut self, command: &Command) -> Result<String, Failure> {
        match command.name.as_str() {
            "STARTTLS" => self.start_tls(command).await,
            "LOGIN" => self.login(command),
            "AUTHENTICATE" => self.authenticate(command).await,
            name if is_known(name) => Err(Failure::Bad("Log in first".to_owned())),
            name => Err(unknown(name)),
        }
    }

    async fn execute_after_login(&mut self, command: &Command) -> Result<String, Failure> {
        match command.name.as_str() {
            "LIST" => self.list(command),
            "STATUS" => self.status(command),
            "GETQUOTAROOT" if self.shared.can("QUOTA") => {
                self.connection.out.extend_from_slice(&self.shared.quota());
                Ok("GETQUOTAROOT completed".to_owned())
            }
            "SELECT" | "EXAMINE" => self.open(command),
            "CLOSE" | "UNSELECT" => {
                self.selected()?;
                self.selected = None;
                Ok(format!("{} completed", command.name))
            }
            "FETCH" | "UID FETCH" => self.fetch(command).await,
            "SEARCH" | "UID SEARCH" => self.search(command),
            "IDLE" if self.shared.can("IDLE") => self.idle(command).await,
            "LOGIN" | "AUTHENTICATE" | "STARTTLS" => Err(Failure::Bad("Already logged in".to_owned())),
            name if is_changing(name) => {
                self.shared.options.store.note_changing_command(name);
                Err(Failure::No("[CANNOT] Nothing is changed by IMAP here".to_owned()))
            }
            name => Err(unknown(name)),
        }
    }

    async fn start_tls(&mut self, command: &Command) -> Result<String, Failure> {
        let Tls::Starttls(acceptor) = self.shared.options.tls.clone() else {
            return Err(unknown("STARTTLS"));
        };
        if self.connection.encrypted {
            return Err(Failure::Bad("TLS is already on".to_owned()));
        }
        self.answer(&command.tag, Ok("Begin TLS negotiation now".to_owned())).await?;
        self.connection.encrypt(&acceptor).await?;
        Err(Failure::Silent)
    }

    /// Ok when the proper answer is to follow.
    pub(super) async fn answer_as_scripted(&mut self, answer: Answer) -> Result<(), Failure> {
        match answer {
            Answer::No(text) => Err(Failure::No(text)),
            Answer::Bad(text) => Err(Failure::Bad(text)),
            Answer::Throttled { backoff_ms } => Err(Failure::No(format!(
                "Request is throttled. Suggested Backoff Time: {backoff_ms} milliseconds"
            ))),
            Answer::Bye(text) => Err(self.bye(&text).await),
            Answer::Eof => {
                self.connection.flush().await?;
                Err(Failure::End)
            }
            Answer::Stall => Err(self.stall().await),
            Answer::Bytes(bytes) => {
                self.connection.out.extend(bytes);
                Err(Failure::Silent)
            }
            Answer::Before(line) => {
                self.connection.put_line(&line);
                Ok(())
            }
        }
    }

    /// Says BYE; always the end.
    pub(super) async fn bye(&mut self, text: &str) -> Failure {
        self.connection.put_line(&format!("* BYE {text}"));
        self.close().await
    }

    async fn close(&mut self) -> Failure {
        self.connection.close().await.err().map_or(Failure::End, Failure::Io)
    }

    /// Sends what is waiting, then nothing more until the client goes away; always the end.
    pub(super) async fn stall(&mut self) -> Failure {
        match self.connection.flush().await {
            Ok(()) => self.connection.stall().await.err().map_or(Failure::End, Failure::Io),
            Err(error) => Failure::Io(error),
        }
    }

    pub(super) fn selected(&self) -> Result<&Selected, Failure> {
        self.selected.as_ref().ok_or_else(|| Failure::Bad("No folder is open".to_owned()))
    }

    pub(super) fn must_encrypt(&self) -> bool {
        matches!(self.shared.options.tls, Tls::Starttls(_)) && !self.connection.encrypted
    }

    pub(super) fn capabilities(&self) -> String {
        let offered = self.shared.options.capabilities.iter().map(String::as_str);
        let list: Vec<&str> = if self.must_encrypt() {
            offered.filter(|name| !name.starts_with("AUTH=")).chain(["STARTTLS", "LOGINDISABLED"]).collect()
        } else {
            offered.collect()
        };
        list.join(" ")
    }
}

fn unknown(name: &str) -> Failure {
    Failure::Bad(format!("Unknown command {name}"))
}

fn is_known(name: &str) -> bool {
    const READING: &str = "CAPABILITY NOOP CHECK ID LOGOUT STARTTLS LOGIN AUTHENTICATE LIST STATUS SELECT EXAMINE \
                           CLOSE UNSELECT FETCH SEARCH IDLE GETQUOTAROOT";
    READING.split(' ').any(|known| known == name)
        || matches!(name, "UID FETCH" | "UID SEARCH")
        || is_changing(name)
}

fn is_changing(name: &str) -> bool {
    const CHANGING: &str = "STORE COPY MOVE EXPUNGE APPEND CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE";
    CHANGING.split(' ').any(|known| known == name)
        || matches!(name, "UID STORE" | "UID COPY" | "UID MOVE" | "UID EXPUNGE")
}
