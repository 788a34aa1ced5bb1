//! Checkers and what they mail, byte by byte, as it looks when it lies in a Microsoft 365 mailbox.

use std::collections::BTreeMap;

use bresse_watchdog::time::Time;
use chrono::TimeDelta;

use crate::sentences::{Fate, Saying, Stranger};

/// The servers that stand between a provider's relay and the mailbox.
const FRONTEND: &str = "AM7EUR03FT001.mail.protection.outlook.com";
const BACKEND: &str = "DB9P194MB0002.EURP194.PROD.OUTLOOK.COM";
/// What stories call all of that.
const MAILBOX_SIDE: &str = "the mailbox";

/// A script on some computer, started by cron.
#[derive(Debug, Clone)]
pub(crate) struct Checker {
    pub(crate) name: String,
    pub(crate) every: Option<TimeDelta>,
    pub(crate) next_run: Option<Time>,
    /// In the order in which they are tested.
    pub(crate) services: Vec<(String, Saying)>,
    pub(crate) one_mail_per_result: bool,
    pub(crate) clock_ahead: TimeDelta,
    pub(crate) delay: TimeDelta,
    pub(crate) fate: Fate,
    pub(crate) relay: String,
    /// Mails that wait somewhere.
    pub(crate) held: Vec<Draft>,
    pub(crate) last_mail: Option<Draft>,
    mails: u32,
}

/// A mail that has not arrived yet.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    name: String,
    relay: String,
    message_id: String,
    /// True time.
    sent: Time,
    date: Time,
    subject: String,
    body: String,
    /// Where it waits; None when it goes straight.
    held_at: Option<String>,
}

impl Checker {
    pub(crate) fn new(name: &str, provider: &str, services: &[String]) -> Self {
        let relay = match provider {
            "free" => "smtp.free.fr".to_owned(),
            "orange" => "smtp.orange.fr".to_owned(),
            "sfr" => "smtp.sfr.fr".to_owned(),
            "ovh" => "ssl0.ovh.net".to_owned(),
            other => format!("smtp.{other}.example"),
        };
        Self {
            name: name.to_owned(),
            every: None,
            next_run: None,
            services: services.iter().map(|service| (service.clone(), Saying::Ok)).collect(),
            one_mail_per_result: false,
            clock_ahead: TimeDelta::zero(),
            delay: TimeDelta::seconds(2),
            fate: Fate::Straight,
            relay,
            held: vec![],
            last_mail: None,
            mails: 0,
        }
    }

    /// The mails of one run, each with the second in which it is sent.
    pub(crate) fn run(&mut self, now: Time) -> Vec<Draft> {
        let mut tokens = vec!["DRYRUN.OK".to_owned()];
        for (service, saying) in &self.services {
            match saying {
                Saying::Ok => tokens.push(format!("{service}.OK")),
                Saying::Nok => tokens.push(format!("{service}.NOK")),
                Saying::Nothing => {}
                Saying::Both => tokens.extend([format!("{service}.OK"), format!("{service}.NOK")]),
            }
        }
        if self.one_mail_per_result {
            let mails = tokens.iter().enumerate();
            let second = |number: usize| now + TimeDelta::seconds(i64::try_from(number).unwrap_or(0));
            mails.map(|(number, token)| self.write(token, second(number))).collect()
        } else {
            vec![self.write(&tokens.join("\n"), now)]
        }
    }

    /// A mail with these words, one token per line.
    pub(crate) fn write(&mut self, body: &str, now: Time) -> Draft {
        self.mails += 1;
        let draft = Draft {
            name: self.name.clone(),
            relay: self.relay.clone(),
            message_id: format!("{}.{}@{}.local", now.timestamp(), self.mails, self.name),
            sent: now,
            date: now + self.clock_ahead,
            subject: format!("{} run: {}", self.name, body.replace('\n', " ")),
            body: body.replace([' ', '\n'], "\r\n"),
            held_at: match &self.fate {
                Fate::Held { at } => Some(at.clone()),
                Fate::Straight | Fate::Lost => None,
            },
        };
        self.last_mail = Some(draft.clone());
        draft
    }
}

impl Draft {
    pub(crate) fn sent(&self) -> Time {
        self.sent
    }

    /// The bytes of the mail when it arrived at `received`.
    pub(crate) fn arrived(&self, received: Time) -> Vec<u8> {
        let (early, late) = (self.sent + TimeDelta::seconds(1), received - TimeDelta::seconds(1));
        let (relayed, taken) = match self.held_at.as_deref() {
            Some(MAILBOX_SIDE) => (early, early),
            Some(own) if own == self.name => (late, late),
            Some(_) => (early, late),
            None if late - early > TimeDelta::zero() => (early, late),
            None => (self.sent, self.sent),
        };
        let (name, relay, date) = (&self.name, &self.relay, self.date.to_rfc2822());
        let lines = [
            format!(
                "Received: from {FRONTEND} (2603:10a6:102:a0::10) by {BACKEND} (2603:10a6:10:3a::9) with HTTPS; {}",
                received.to_rfc2822()
            ),
            format!(
                "Received: from {relay} (192.0.2.7) by {FRONTEND} (10.152.0.1) with Microsoft SMTP Server \
                 (version=TLS1_3, cipher=TLS_AES_256_GCM_SHA384) id 15.20.9343.9; {}",
                taken.to_rfc2822()
            ),
            format!(
                "Authentication-Results: spf=pass (sender IP is 192.0.2.7) smtp.mailfrom={name}.example; dkim=pass \
                 (signature was verified) header.d={name}.example; dmarc=pass action=none \
                 header.from={name}.example;compauth=pass reason=100"
            ),
            format!(
                "Received: from {name}.local (unknown [198.51.100.7]) by {relay} (Postfix) with ESMTPSA id 4F2A for \
                 <{name}+monitor@domain.com>; {}",
                relayed.to_rfc2822()
            ),
            "Return-Path: root@SENDER.example".replace("SENDER", name),
            format!("From: {name} <root@{name}.example>"),
            format!("To: <{name}+monitor@domain.com>"),
            format!("Subject: {}", self.subject),
            format!("Date: {date}"),
            format!("Message-ID: <{}>", self.message_id),
            "Auto-Submitted: auto-generated".to_owned(),
            "MIME-Version: 1.0".to_owned(),
            "Content-Type: text/plain; charset=utf-8".to_owned(),
        ];
        format!("{}\r\n\r\n{}\r\n", lines.join("\r\n"), self.body).into_bytes()
    }
}

/// A mail to `to` that no checker made.
pub(crate) fn stranger(kind: Stranger, to: &str, now: Time) -> Vec<u8> {
    let date = now.to_rfc2822();
    let report = "DRYRUN.OK\r\nMSSQL1_Service.OK\r\nESHOP_Service.OK\r\n";
    let lines: Vec<String> = match kind {
        Stranger::OutOfOffice => vec![
            "From: Anna <anna@domain.com>".to_owned(),
            "Subject: Automatic reply: run: DRYRUN.OK MSSQL1_Service.OK ESHOP_Service.OK".to_owned(),
            "Auto-Submitted: auto-replied".to_owned(),
        ],
        Stranger::Forward => vec![
            "From: Anna <anna@domain.com>".to_owned(),
            "Subject: FW: run: DRYRUN.OK MSSQL1_Service.OK ESHOP_Service.OK".to_owned(),
        ],
        Stranger::DeliveryReport | Stranger::SecondCopy => vec![
            "From: MAILER-DAEMON@smtp.free.fr".to_owned(),
            "Return-Path: <>".to_owned(),
            "Subject: Undelivered Mail Returned to Sender".to_owned(),
        ],
    };
    let id = format!("Message-ID: <{}.{to}@strangers.example>", now.timestamp());
    let to = format!("To: <{to}+monitor@domain.com>");
    let kind = "Content-Type: text/plain; charset=utf-8".to_owned();
    let all = [lines, vec![to, format!("Date: {date}"), id, kind]].concat();
    format!("{}\r\n\r\n{report}", all.join("\r\n")).into_bytes()
}

/// All checkers, by name.
pub(crate) type Fleet = BTreeMap<String, Checker>;
