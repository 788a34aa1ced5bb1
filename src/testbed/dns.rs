//! A DNS server for the tests: what it is told to say, over UDP, and nothing to whom it is told to leave waiting.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use anyhow::{Context, Result};
use domain::base::iana::{Class, Rcode};
use domain::base::message_builder::AnswerBuilder;
use domain::base::{Message, MessageBuilder, Name, Rtype, Ttl};
use domain::rdata::{A, Aaaa, Mx};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// RFC 1035, section 4.2.1, without EDNS.
const QUESTION_BYTES_MAX: usize = 512;
const TTL: Ttl = Ttl::from_secs(60);

/// What is said about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Where its mail goes to; `.` is nowhere (RFC 7505).
    MailHost(String),
    Address(IpAddr),
    /// No answer at all.
    Silence,
    /// SERVFAIL.
    Failure,
}

/// Names in lower case. Others do not exist.
pub type Zone = BTreeMap<String, Vec<Record>>;

/// Runs until it is dropped.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl DnsServer {
    /// # Errors
    /// When no port of the loopback address can be had.
    pub async fn start(zone: Zone) -> Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), zone).await
    }

    /// # Errors
    /// When this address cannot be had.
    pub async fn start_at(address: SocketAddr, zone: Zone) -> Result<Self> {
        let socket = UdpSocket::bind(address).await.context("no port for DNS")?;
        let address = socket.local_addr()?;
        let task = tokio::spawn(serve(socket, zone));
        Ok(Self { address, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, zone: Zone) {
    let mut bytes = [0; QUESTION_BYTES_MAX];
    while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
        let answer = bytes.get(..length).and_then(|question| answer(question, &zone));
        if let Some(answer) = answer {
            // Whoever asked may have gone.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// None when nothing is to be said.
fn answer(bytes: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let message = Message::from_octets(bytes).ok()?;
    let question = message.first_question()?;
    let name = question.qname().to_string().to_lowercase();
    let records = zone.get(name.trim_end_matches('.'));
    let rcode = match records {
        None => Rcode::NXDOMAIN,
        Some(records) if records.contains(&Record::Silence) => return None,
        Some(records) if records.contains(&Record::Failure) => Rcode::SERVFAIL,
        Some(_) => Rcode::NOERROR,
    };
    let mut answer = MessageBuilder::new_vec().start_answer(&message, rcode).ok()?;
    for record in records.into_iter().flatten() {
        add(&mut answer, question.qname(), question.qtype(), record)?;
    }
    Some(answer.finish())
}

fn add(
    answer: &mut AnswerBuilder<Vec<u8>>,
    name: impl domain::base::ToName,
    kind: Rtype,
    record: &Record,
) -> Option<()> {
    match (record, kind) {
        (Record::MailHost(host), Rtype::MX) => {
            let host = Name::<Vec<u8>>::from_str(host).ok()?;
            answer.push((name, Class::IN, TTL, Mx::new(10, host))).ok()
        }
        (Record::Address(IpAddr::V4(address)), Rtype::A) => {
            answer.push((name, Class::IN, TTL, A::new(*address))).ok()
        }
        (Record::Address(IpAddr::V6(address)), Rtype::AAAA) => {
            answer.push((name, Class::IN, TTL, Aaaa::new(*address))).ok()
        }
        _ => Some(()),
    }
}
