//! One client's session.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::net::TcpStream;

use super::fault::{Instead, Stage};
use super::{AcceptedMail, Delivery, Shared};
use crate::testbed::net::Connection;
use crate::testbed::{Tls, locked};

const MAX_COMMAND_BYTES: usize = 4 * 1024;
const MAX_MAIL_BYTES: usize = 16 * 1024 * 1024;
const MAX_RECIPIENTS: usize = 100;
const MAX_MAILS: usize = 100_000;

struct Session {
    connection: Connection,
    shared: Arc<Shared>,
    peer: IpAddr,
    /// The name of EHLO or HELO.
    client: Option<String>,
    authenticated: bool,
    /// MAIL FROM of the mail that is under way.
    from: Option<String>,
    to: Vec<String>,
}

enum End {
    Over,
    Io(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Reply {
    code: u16,
    /// At least one.
    lines: Vec<String>,
}

fn reply(code: u16, text: &str) -> Reply {
    Reply { code, lines: vec![text.to_owned()] }
}

pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    if let Err(End::Io(error)) = open(stream, shared).await {
        tracing::debug!("A session of the testbed's SMTP server ended: {error}");
    }
}

async fn open(stream: TcpStream, shared: Arc<Shared>) -> Result<(), End> {
    let peer = stream.peer_addr()?.ip();
    let connection = Connection::open(stream, &shared.options.tls).await?;
    let (client, from, to) = (None, None, Vec::new());
    Session { connection, shared, peer, client, authenticated: false, from, to }.run().await
}

impl Session {
    async fn run(&mut self) -> Result<(), End> {
        let greeting = format!("{} ESMTP testbed", self.shared.options.host);
        let greeting = self.faulty(Stage::Greeting).await?.unwrap_or(reply(220, &greeting));
        self.send(&greeting).await?;
        loop {
            let line = self.read_line().await?;
            let (name, argument) = line.split_once(' ').unwrap_or((&line, ""));
            let answer = self.execute(&name.to_ascii_uppercase(), argument.trim()).await?;
            self.send(&answer).await?;
            match answer.code {
                221 | 421 => return Ok(self.connection.close().await?),
                220 => self.encrypt().await?,
                _ => {}
            }
        }
    }

    async fn execute(&mut self, name: &str, argument: &str) -> Result<Reply, End> {
        let stage = match name {
            "EHLO" | "HELO" => Some(Stage::Hello),
            "STARTTLS" => Some(Stage::StartTls),
            "AUTH" => Some(Stage::Auth),
            "MAIL" => Some(Stage::Mail),
            "RCPT" => Some(Stage::Rcpt),
            "DATA" => Some(Stage::Data),
            _ => None,
        };
        if let Some(stage) = stage
            && let Some(fault) = self.faulty(stage).await?
        {
            return Ok(fault);
        }
        Ok(match name {
            "EHLO" => self.hello(argument),
            "HELO" => {
                self.hello(argument);
                reply(250, &self.shared.options.host)
            }
            "STARTTLS" if self.must_encrypt() => reply(220, "Ready to start TLS"),
            "AUTH" => self.auth(argument).await?,
            "MAIL" => self.mail(argument),
            "RCPT" => self.rcpt(argument),
            "DATA" => self.data().await?,
            "RSET" => {
                self.forget_mail();
                reply(250, "2.0.0 Forgotten")
            }
            "NOOP" => reply(250, "2.0.0 OK"),
            "QUIT" => reply(221, "2.0.0 Bye"),
            _ => reply(500, "5.5.1 Unknown command"),
        })
    }

    fn hello(&mut self, argument: &str) -> Reply {
        self.client = Some(argument.to_owned());
        self.forget_mail();
        let mut lines = vec![self.shared.options.host.clone()];
        lines.extend(["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"].map(str::to_owned));
        lines.push(format!("SIZE {MAX_MAIL_BYTES}"));
        if self.must_encrypt() {
            lines.push("STARTTLS".to_owned());
        } else if self.shared.options.login.is_some() {
            lines.push("AUTH PLAIN LOGIN XOAUTH2".to_owned());
        }
        Reply { code: 250, lines }
    }

    async fn encrypt(&mut self) -> Result<(), End> {
        let Tls::Starttls(acceptor) = self.shared.options.tls.clone() else { return Ok(()) };
        self.connection.encrypt(&acceptor).await?;
        // Nothing said in plain text counts any more (RFC 3207, section 4.2).
        self.client = None;
        self.forget_mail();
        Ok(())
    }

    async fn auth(&mut self, argument: &str) -> Result<Reply, End> {
        let Some((user, password)) = self.shared.options.login.clone() else {
            return Ok(reply(503, "5.5.1 AUTH is not offered"));
        };
        if self.must_encrypt() {
            return Ok(reply(538, "5.7.11 STARTTLS first"));
        }
        let (mechanism, initial) = argument.split_once(' ').unwrap_or((argument, ""));
        let initial = (!initial.is_empty()).then(|| initial.to_owned());
        let given = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let response = self.sasl(initial, "").await?;
                let mut parts = response.split('\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            "LOGIN" => (self.sasl(initial, "Username:").await?, self.sasl(None, "Password:").await?),
            "XOAUTH2" => {
                let response = self.sasl(initial, "").await?;
                let mut parts = response.split('\u{1}');
                let mut part = |name| {
                    parts.next().and_then(|part| part.strip_prefix(name)).unwrap_or_default().to_owned()
                };
                (part("user="), part("auth=Bearer "))
            }
            _ => return Ok(reply(504, "5.5.4 Unknown mechanism")),
        };
        if given != (user, password) {
            return Ok(reply(535, "5.7.8 Authentication credentials invalid"));
        }
        self.authenticated = true;
        Ok(reply(235, "2.7.0 Accepted"))
    }

    /// The initial response, or the answer to this challenge, decoded; empty when it is not base64.
    async fn sasl(&mut self, initial: Option<String>, challenge: &str) -> Result<String, End> {
        let response = match initial {
            Some(response) => response,
            None => {
                self.send(&reply(334, &BASE64.encode(challenge))).await?;
                self.read_line().await?
            }
        };
        Ok(String::from_utf8_lossy(&BASE64.decode(response).unwrap_or_default()).into_owned())
    }

    fn mail(&mut self, argument: &str) -> Reply {
        if self.client.is_none() {
            return reply(503, "5.5.1 EHLO first");
        }
        if self.must_encrypt() {
            return reply(530, "5.7.0 STARTTLS first");
        }
        if self.shared.options.login.is_some() && !self.authenticated {
            return reply(530, "5.7.0 AUTH first");
        }
        let Some(from) = path(argument, "FROM:") else { return reply(501, "5.5.2 Expected FROM:<address>") };
        if MAX_MAILS <= locked(&self.shared.mails).len() {
            return reply(452, "4.3.1 The sink is full");
        }
        self.forget_mail();
        self.from = Some(from);
        reply(250, "2.1.0 OK")
    }

    fn rcpt(&mut self, argument: &str) -> Reply {
        if self.from.is_none() {
            return reply(503, "5.5.1 MAIL first");
        }
        let Some(to) = path(argument, "TO:").filter(|to| !to.is_empty()) else {
            return reply(501, "5.5.2 Expected TO:<address>");
        };
        if MAX_RECIPIENTS <= self.to.len() {
            return reply(452, "4.5.3 Too many recipients");
        }
        if let Some(delivery) = &self.shared.options.delivery
            && (delivery.folder_of)(&to).is_none()
        {
            return reply(550, "5.1.1 No such mailbox here");
        }
        self.to.push(to);
        reply(250, "2.1.5 OK")
    }

    async fn data(&mut self) -> Result<Reply, End> {
        let (Some(from), false) = (self.from.clone(), self.to.is_empty()) else {
            return Ok(reply(503, "5.5.1 MAIL and RCPT first"));
        };
        self.send(&reply(354, "End with a dot on a line of its own")).await?;
        let bytes = self.read_mail().await?;
        if let Some(fault) = self.faulty(Stage::Dot).await? {
            self.forget_mail();
            return Ok(fault);
        }
        let to = std::mem::take(&mut self.to);
        self.forget_mail();
        self.keep(AcceptedMail { from, to, bytes, accepted_at: crate::clock::now() });
        match self.shared.faults.after_acceptance() {
            Some(instead) => self.instead(instead).await,
            None => Ok(reply(250, "2.0.0 Accepted")),
        }
    }

    /// The mail up to the final dot, without its dot-stuffing (RFC 5321, section 4.5.2).
    async fn read_mail(&mut self) -> Result<Vec<u8>, End> {
        let mut bytes = Vec::new();
        loop {
            let room = MAX_MAIL_BYTES.saturating_sub(bytes.len());
            let line = match self.connection.read_line(room).await {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.send(&reply(552, "5.3.4 The mail is too large")).await?;
                    self.connection.close().await?;
                    return Err(End::Over);
                }
                line => line?.ok_or(End::Over)?,
            };
            if line == b".\r\n" {
                return Ok(bytes);
            }
            bytes.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    fn keep(&self, mail: AcceptedMail) {
        if let Some(delivery) = &self.shared.options.delivery {
            for recipient in &mail.to {
                self.deliver(delivery, &mail, recipient);
            }
        }
        let mut mails = locked(&self.shared.mails);
        mails.push(mail);
        self.shared.accepted.send_replace(mails.len());
    }

    fn deliver(&self, delivery: &Delivery, mail: &AcceptedMail, recipient: &str) {
        let Some(folder) = (delivery.folder_of)(recipient) else { return };
        // The names of RFC 3848: S with TLS, A with AUTH.
        let protocol = match (self.connection.encrypted, self.authenticated) {
            (false, false) => "ESMTP",
            (true, false) => "ESMTPS",
            (false, true) => "ESMTPA",
            (true, true) => "ESMTPSA",
        };
        let trace = format!(
            "Return-Path: <{}>\r\nDelivered-To: {recipient}\r\nReceived: from {} ([{}])\r\n\tby {} with {protocol}\
             \r\n\tfor <{recipient}>; {}\r\n",
            mail.from,
            self.client.as_deref().unwrap_or_default(),
            self.peer,
            self.shared.options.host,
            mail.accepted_at.to_rfc2822(),
        );
        delivery.store.append(&folder, [trace.as_bytes(), &mail.bytes].concat(), mail.accepted_at);
    }

    fn forget_mail(&mut self) {
        self.from = None;
        self.to.clear();
    }

    fn must_encrypt(&self) -> bool {
        matches!(self.shared.options.tls, Tls::Starttls(_)) && !self.connection.encrypted
    }

    async fn faulty(&mut self, stage: Stage) -> Result<Option<Reply>, End> {
        match self.shared.faults.at(stage) {
            Some(instead) => self.instead(instead).await.map(Some),
            None => Ok(None),
        }
    }

    async fn instead(&mut self, instead: Instead) -> Result<Reply, End> {
        match instead {
            Instead::Reply(code, text) => Ok(reply(code, &text)),
            Instead::Drop => Err(End::Over),
            Instead::Hang => {
                self.connection.stall().await?;
                Err(End::Over)
            }
        }
    }

    async fn read_line(&mut self) -> Result<String, End> {
        let line = self.connection.read_line(MAX_COMMAND_BYTES).await?.ok_or(End::Over)?;
        // Addresses and names go into headers: no stray carriage return may end a header line there.
        let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        Ok(text.chars().filter(|character| !character.is_control()).collect())
    }

    async fn send(&mut self, reply: &Reply) -> Result<(), End> {
        if let Some(pause) = self.shared.faults.pause() {
            tokio::time::sleep(pause).await;
        }
        let last = reply.lines.len().saturating_sub(1);
        for (index, line) in reply.lines.iter().enumerate() {
            let separator = if index < last { '-' } else { ' ' };
            self.connection.put_line(&format!("{}{separator}{line}", reply.code));
        }
        Ok(self.connection.flush().await?)
    }
}

/// The address between `<` and `>` after this keyword; what follows are parameters.
fn path(argument: &str, keyword: &str) -> Option<String> {
    let (start, rest) = argument.split_at_checked(keyword.len())?;
    let (address, _) = rest.trim_start().strip_prefix('<')?.split_once('>')?;
    start.eq_ignore_ascii_case(keyword).then(|| address.to_owned())
}
