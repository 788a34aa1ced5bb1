//! Checkers and what they mail, byte by byte, as it looks when it lies in a Microsoft 365 mailbox.

use std::collections::BTreeMap;

use bresse_watchdog::time::Time;
use bresse_watchdog::trust::Key;
use chrono::TimeDelta;

use crate::sentences::{Fate, Saying, Signing, Stranger};

/// The servers that stand between a provider's relay and the mailbox.
const FRONTEND: &str = "AM7EUR03FT001.mail.protection.outlook.com";
const BACKEND: &str = "DB9P194MB0002.EURP194.PROD.OUTLOOK.COM";
/// What every checker that signs and the watchdog share.
pub(crate) const SHARED_KEY: &str = "what every checker of the stories signs with";
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
    /// From its first mail to its last, where there is one per result.
    pub(crate) run_length: TimeDelta,
    pub(crate) runs_twice: bool,
    pub(crate) says_dryrun: bool,
    pub(crate) clock_ahead: TimeDelta,
    pub(crate) delay: TimeDelta,
    pub(crate) fate: Fate,
    pub(crate) relay: String,
    pub(crate) signing: Signing,
    /// Mails that wait somewhere.
    pub(crate) held: Vec<Draft>,
    pub(crate) last_mail: Option<Draft>,
    /// With the moments of their receipt.
    pub(crate) in_junk: Vec<(Draft, Time)>,
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
    /// Further lines of its head.
    signature: String,
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
            run_length: TimeDelta::seconds(2),
            runs_twice: false,
            says_dryrun: true,
            clock_ahead: TimeDelta::zero(),
            delay: TimeDelta::seconds(2),
            fate: Fate::Straight,
            relay,
            signing: Signing::No,
            held: vec![],
            last_mail: None,
            in_junk: vec![],
            mails: 0,
        }
    }

    /// The mails of one run.
    pub(crate) fn run(&mut self, now: Time) -> Vec<Draft> {
        let mut tokens: Vec<String> = self.says_dryrun.then(|| "DRYRUN.OK".to_owned()).into_iter().collect();
        for (service, saying) in &self.services {
            match saying {
                Saying::Ok => tokens.push(format!("{service}.OK")),
                Saying::Nok => tokens.push(format!("{service}.NOK")),
                Saying::Nothing => {}
                Saying::Both => tokens.extend([format!("{service}.OK"), format!("{service}.NOK")]),
            }
        }
        let copies = if self.runs_twice { 2 } else { 1 };
        if !self.one_mail_per_result {
            let text = tokens.join("\n");
            return (0..copies).map(|_| self.write(&text, now)).collect();
        }
        let gaps = i32::try_from(tokens.len()).unwrap_or(i32::MAX).saturating_sub(1).max(1);
        let moments = (0..).map(|number| now + self.run_length / gaps * number);
        let timed: Vec<(String, Time)> = tokens.into_iter().zip(moments).collect();
        (0..copies).flat_map(|_| timed.clone()).map(|(token, at)| self.write(&token, at)).collect()
    }

    /// Its lines in the head of a mail; empty when it does not sign.
    fn signature(&self, tokens: &[&str], run: i64) -> String {
        let key = match self.signing {
            Signing::No => return String::new(),
            Signing::Rightly => SHARED_KEY,
            Signing::WithAnotherKey => "a key that nobody else knows",
        };
        let key = Key::new(key.as_bytes()).unwrap();
        let signature = key.sign(&self.name, run, tokens.iter().copied());
        format!("X-Bresse-Run: {run}\r\nX-Bresse-Signature: {signature}\r\n")
    }

    /// A mail with these words, one token per line.
    pub(crate) fn write(&mut self, body: &str, now: Time) -> Draft {
        self.mails += 1;
        let date = now + self.clock_ahead;
        let tokens: Vec<&str> = body.split(['\n', ' ']).collect();
        let draft = Draft {
            name: self.name.clone(),
            relay: self.relay.clone(),
            message_id: format!("{}.{}@{}.local", now.timestamp(), self.mails, self.name),
            sent: now,
            date,
            subject: format!("{} run: {}", self.name, body.replace('\n', " ")),
            body: body.replace([' ', '\n'], "\r\n"),
            signature: self.signature(&tokens, date.timestamp()),
            held_at: match &self.fate {
                Fate::Held { at } => Some(at.clone()),
                _ => None,
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
        format!("{}\r\n{}\r\n{}\r\n", lines.join("\r\n"), self.signature, self.body).into_bytes()
    }

    /// The same as a mail of its own.
    pub(crate) fn sent_once_more(&self, now: Time) -> Vec<u8> {
        Self { message_id: format!("{}@elsewhere.example", now.timestamp()), ..self.clone() }.arrived(now)
    }
}

/// A mail to `name` that no checker made.
pub(crate) fn stranger(kind: Stranger, name: &str, now: Time) -> Vec<u8> {
    if kind == Stranger::Warning {
        return delivery_report(name, "delayed", "4.4.1 connection timed out", now);
    }
    let lines: &[&str] = match kind {
        Stranger::OutOfOffice => &[
            "From: Anna <anna@domain.com>",
            "Subject: Automatic reply: run: DRYRUN.OK MSSQL1_Service.OK ESHOP_Service.OK",
            "Auto-Submitted: auto-replied",
        ],
        Stranger::Forward => &[
            "From: Anna <anna@domain.com>",
            "Subject: FW: run: DRYRUN.OK MSSQL1_Service.OK ESHOP_Service.OK",
        ],
        _ => &[
            "From: MAILER-DAEMON@smtp.free.fr",
            "Return-Path: <>",
            "Subject: Undelivered Mail Returned to Sender",
        ],
    };
    let (head, date, second) = (lines.join("\r\n"), now.to_rfc2822(), now.timestamp());
    format!(
        "{head}\r\nTo: <{name}+monitor@domain.com>\r\nDate: {date}\r\nMessage-ID: <{second}.{name}@strangers.example>\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\nDRYRUN.OK\r\nMSSQL1_Service.OK\r\nESHOP_Service.OK\r\n"
    )
    .into_bytes()
}

/// A mail in the name of a checker, as Microsoft 365 marks it.
pub(crate) fn forged(name: &str, body: &str, sender: &str, now: Time) -> Vec<u8> {
    let (date, second, domain) =
        (now.to_rfc2822(), now.timestamp(), sender.rsplit('@').next().unwrap_or(sender));
    format!(
        "Received: from mail.{domain} (203.0.113.9) by {FRONTEND} (10.152.0.1) with Microsoft SMTP Server; {date}\r\n\
         Authentication-Results: spf=fail (sender IP is 203.0.113.9) smtp.mailfrom={domain}; dkim=none (message not \
         signed) header.d=none;dmarc=fail action=none header.from={domain};compauth=fail reason=001\r\n\
         From: <{sender}>\r\nTo: <{name}+monitor@domain.com>\r\nSubject: {name} run\r\nDate: {date}\r\n\
         Message-ID: <{second}.{name}@{domain}>\r\nContent-Type: text/plain\r\n\r\n{body}\r\n"
    )
    .into_bytes()
}

/// What a mail server writes (RFC 3464) to the sender of a mail to `name`, who is an alias of the mailbox too. `words`
/// begin with the status.
pub(crate) fn delivery_report(name: &str, action: &str, words: &str, now: Time) -> Vec<u8> {
    let status = words.split_whitespace().find(|word| word.split('.').count() == 3).unwrap_or("5.0.0");
    let (date, second) = (now.to_rfc2822(), now.timestamp());
    format!(
        "Return-Path: <>\r\nFrom: Mail Delivery System <MAILER-DAEMON@smtp.relay.example>\r\n\
         To: <{name}@domain.com>\r\nSubject: Undelivered Mail Returned to Sender\r\nDate: {date}\r\n\
         Message-ID: <{second}.{name}.{action}@smtp.relay.example>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"=_b\"\r\n\r\n\
         --=_b\r\nContent-Type: text/plain\r\n\r\nI'm sorry to have to inform you.\r\n\
         --=_b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; smtp.relay.example\r\n\r\n\
         Final-Recipient: rfc822; {name}+monitor@domain.com\r\nAction: {action}\r\nStatus: {status}\r\n\
         Diagnostic-Code: smtp; {words}\r\n\
         --=_b\r\nContent-Type: text/rfc822-headers\r\n\r\nTo: <{name}+monitor@domain.com>\r\n\
         Subject: {name} run: DRYRUN.OK\r\n--=_b--\r\n"
    )
    .into_bytes()
}

/// All checkers, by name.
pub(crate) type Fleet = BTreeMap<String, Checker>;
