//! The other side, for tests: a script for one conversation, and a small server for the reader.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

use super::session::{Capabilities, Session};
use super::wire::Wire;

/// Plays `script`: for each line that comes and contains the first text, the second is sent, `TAG` being the last
/// command's tag. A line that does not fit ends the conversation.
pub(super) fn wire(script: &[(&str, &str)]) -> Wire {
    let (near, far) = tokio::io::duplex(1 << 20);
    let script =
        script.iter().map(|(expected, answer)| ((*expected).to_owned(), (*answer).to_owned())).collect();
    tokio::spawn(play(far, script));
    Wire::new(Box::new(near))
}

pub(super) fn session(script: &[(&str, &str)]) -> Session {
    Session::new(wire(script), Capabilities::default())
}

/// In place of an expected line: the peer speaks without one.
pub(super) const UNASKED: &str = "UNASKED";
/// What the last answer of a script may be: the peer stays connected and says nothing more.
pub(super) const SILENCE: &str = "SILENCE";

async fn play(far: DuplexStream, script: Vec<(String, String)>) {
    let mut far = BufReader::new(far);
    let mut tag = String::new();
    for (expected, answer) in script {
        if expected != UNASKED {
            let mut line = String::new();
            far.read_line(&mut line).await.unwrap();
            let line = line.trim_end();
            if !line.contains(&expected) {
                far.write_all(format!("* BYE expected {expected:?}, got {line:?}\r\n").as_bytes())
                    .await
                    .unwrap();
                return;
            }
            if let Some((first, _)) = line.split_once(' ').filter(|(first, _)| first.starts_with('W')) {
                first.clone_into(&mut tag);
            }
        }
        if answer == SILENCE {
            std::future::pending::<()>().await;
        }
        far.write_all(answer.replace("TAG", &tag).as_bytes()).await.unwrap();
    }
}

/// What the small server serves and how it misbehaves.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) capabilities: String,
    pub(super) folders: BTreeMap<String, Contents>,
    /// Answers given instead of the right ones to commands that contain the text; each is used once.
    pub(super) faults: Vec<(String, Fault)>,
    /// Every command, without its tag.
    pub(super) asked: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Contents {
    pub(super) uidvalidity: u32,
    pub(super) uidnext: u32,
    pub(super) shows_uidnext: bool,
    pub(super) mails: BTreeMap<u32, Vec<u8>>,
}

#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// Sent as it is; `TAG` is the command's tag.
    Says(&'static str),
    Closes,
}

impl Contents {
    pub(super) fn dense(count: u32) -> Self {
        let mails = (1..=count).map(|uid| (uid, mail(uid))).collect();
        Self { uidvalidity: 7, uidnext: count + 1, shows_uidnext: true, mails }
    }

    pub(super) fn add(&mut self) {
        self.mails.insert(self.uidnext, mail(self.uidnext));
        self.uidnext += 1;
    }
}

pub(super) fn mail(uid: u32) -> Vec<u8> {
    format!("Subject: {uid}\r\n\r\n{}\r\n", "x".repeat(580)).into_bytes()
}

/// A server on a loopback port; connections see changes made through `change` as EXISTS while they IDLE.
pub(super) struct Peer {
    pub(super) port: u16,
    world: Arc<Mutex<World>>,
    changed: broadcast::Sender<()>,
}

impl Peer {
    pub(super) async fn start(folders: &[(&str, Contents)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let folders = folders.iter().map(|(name, contents)| ((*name).to_owned(), contents.clone())).collect();
        let capabilities = "IMAP4rev1 AUTH=PLAIN SASL-IR IDLE".to_owned();
        let world = World { capabilities, folders, faults: Vec::new(), asked: Vec::new() };
        let (world, changed) = (Arc::new(Mutex::new(world)), broadcast::channel(16).0);
        let peer = Self { port, world: Arc::clone(&world), changed: changed.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Serving::new(stream, Arc::clone(&world), changed.subscribe()).serve());
            }
        });
        peer
    }

    pub(super) fn change<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        let result = change(&mut self.world.lock().unwrap());
        let _nobody_idles = self.changed.send(());
        result
    }

    pub(super) fn asked(&self, text: &str) -> usize {
        self.world.lock().unwrap().asked.iter().filter(|line| line.contains(text)).count()
    }
}

struct Serving {
    stream: BufReader<TcpStream>,
    world: Arc<Mutex<World>>,
    changed: broadcast::Receiver<()>,
    selected: String,
}

impl Serving {
    fn new(stream: TcpStream, world: Arc<Mutex<World>>, changed: broadcast::Receiver<()>) -> Self {
        Self { stream: BufReader::new(stream), world, changed, selected: String::new() }
    }

    async fn serve(mut self) -> Option<()> {
        self.say("* OK ready\r\n").await?;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let (tag, command) = line.trim_end().split_once(' ')?;
            match self.fault(command) {
                Some(Fault::Says(text)) => {
                    self.say(&text.replace("TAG", tag)).await?;
                    continue;
                }
                Some(Fault::Closes) => return None,
                None => {}
            }
            if command == "IDLE" {
                self.idle().await?;
            }
            let answer = self.answer(command);
            let end = if answer.is_some() { "OK done" } else { "NO no such folder" };
            self.stream.get_mut().write_all(&answer.unwrap_or_default()).await.ok()?;
            self.say(&format!("{tag} {end}\r\n")).await?;
        }
    }

    async fn say(&mut self, text: &str) -> Option<()> {
        self.stream.get_mut().write_all(text.as_bytes()).await.ok()
    }

    fn fault(&self, command: &str) -> Option<Fault> {
        let mut world = self.world.lock().unwrap();
        world.asked.push(command.to_owned());
        let found = world.faults.iter().position(|(text, _)| command.contains(text))?;
        Some(world.faults.remove(found).1)
    }

    async fn idle(&mut self) -> Option<()> {
        self.changed = self.changed.resubscribe();
        self.say("+ idling\r\n").await?;
        let mut byte = [0];
        loop {
            tokio::select! {
                _ = self.changed.recv() => {
                    let exists = self.world.lock().unwrap().folders.get(&self.selected)?.mails.len();
                    self.say(&format!("* {exists} EXISTS\r\n")).await?;
                }
                read = self.stream.read_exact(&mut byte) => {
                    read.ok()?;
                    let mut rest = String::new();
                    self.stream.read_line(&mut rest).await.ok()?;
                    assert_eq!(rest, "ONE\r\n");
                    return Some(());
                }
            }
        }
    }

    /// None is a NO.
    fn answer(&mut self, command: &str) -> Option<Vec<u8>> {
        let world = self.world.lock().unwrap();
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        let name = rest.split('"').nth(1).unwrap_or_default();
        let name = if name.eq_ignore_ascii_case("INBOX") { "INBOX" } else { name };
        let answer = match verb {
            "CAPABILITY" => format!("* CAPABILITY {}\r\n", world.capabilities),
            "LIST" => world.folders.keys().map(|name| format!("* LIST () \"/\" \"{name}\"\r\n")).collect(),
            "EXAMINE" => {
                let folder = world.folders.get(name)?;
                name.clone_into(&mut self.selected);
                let uidnext = format!("* OK [UIDNEXT {}] next\r\n", folder.uidnext);
                let shown = if folder.shows_uidnext { uidnext.as_str() } else { "" };
                let exists = folder.mails.len();
                format!("* {exists} EXISTS\r\n* OK [UIDVALIDITY {}] valid\r\n{shown}", folder.uidvalidity)
            }
            "FETCH" => {
                let folder = world.folders.get(&self.selected)?;
                let range = rest.split(' ').next()?;
                if command.contains("RFC822.SIZE") {
                    return sizes(folder, range).map(String::into_bytes);
                }
                return Some(list_uids(folder, range));
            }
            "UID" => {
                return Some(fetch(world.folders.get(&self.selected)?, rest.split(' ').nth(1)?, command));
            }
            _ => String::new(),
        };
        Some(answer.into_bytes())
    }
}

/// The UIDs of mails given by their numbers.
fn list_uids(folder: &Contents, range: &str) -> Vec<u8> {
    let (first, last) = range.split_once(':').unwrap_or((range, range));
    let numbers = first.parse::<usize>().unwrap()..=last.parse().unwrap();
    let numbered = (1..).zip(folder.mails.keys()).filter(|(number, _)| numbers.contains(number));
    numbered.flat_map(|(number, uid)| format!("* {number} FETCH (UID {uid})\r\n").into_bytes()).collect()
}

/// By number, not by UID.
fn sizes(folder: &Contents, range: &str) -> Option<String> {
    let (first, last) = range.split_once(':')?;
    let range = first.parse::<usize>().ok()?..=last.parse().ok()?;
    let numbered = (1..).zip(folder.mails.values()).filter(|(number, _)| range.contains(number));
    Some(
        numbered.map(|(number, mail)| format!("* {number} FETCH (RFC822.SIZE {})\r\n", mail.len())).collect(),
    )
}

/// As a server does: `*` is the last mail, and a range is meant in either order.
fn fetch(folder: &Contents, range: &str, command: &str) -> Vec<u8> {
    let last = folder.mails.keys().next_back().copied().unwrap_or(0);
    let (first, end) = range.split_once(':').unwrap_or((range, range));
    let number = |text: &str| text.parse().unwrap_or(last);
    let (low, high) = (number(first).min(number(end)), number(first).max(number(end)));
    let mut answer = Vec::new();
    for (uid, mail) in folder.mails.range(low..=high) {
        if !command.contains("BODY") {
            answer.extend_from_slice(format!("* {uid} FETCH (UID {uid})\r\n").as_bytes());
            continue;
        }
        let (_, part) = command.split_once("[]<").unwrap();
        let (offset, length) = part.split_once('>').unwrap().0.split_once('.').unwrap();
        let piece: Vec<u8> =
            mail.iter().skip(offset.parse().unwrap()).take(length.parse().unwrap()).copied().collect();
        let head = format!(
            "* {uid} FETCH (UID {uid} INTERNALDATE \"20-Nov-2026 03:00:00 +0100\" BODY[]<{offset}> {{{}}}\r\n",
            piece.len()
        );
        answer.extend_from_slice(head.as_bytes());
        answer.extend_from_slice(&piece);
        answer.extend_from_slice(b")\r\n");
    }
    answer
}
