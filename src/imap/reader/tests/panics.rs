//! What a parser fails on.

use std::path::Path;

use super::*;
use crate::config::{Config, Sources};
use crate::flow::{Arrival, Flow};

/// Each of these answers makes imap-proto panic where it stands.
#[tokio::test]
async fn a_mail_without_a_date_and_a_code_without_a_space_do_not_keep_the_others_from_being_read() {
    let peer = Peer::start(&[("INBOX", Contents::dense(2))]).await;
    let answer = "* 1 FETCH (UID 1 INTERNALDATE NIL BODY[]<0> {5}\r\nhello)\r\n\
        * 2 FETCH (UID 2 INTERNALDATE \"01-Nov-2026 02:00:00 +0000\" BODY[]<0> {5}\r\nhello)\r\nTAG OK [ALERT]\u{e9}\r\n";
    peer.change(|world| world.faults = vec![("UID FETCH".to_owned(), Fault::Says(answer))]);
    let mut watch = Watch::inbox(&peer);
    watch.complete().await;
    assert_eq!((watch.seen(), watch.failures), (vec![2, 1], Vec::<String>::new()));
}

#[tokio::test]
async fn a_panic_over_one_mailbox_is_told_under_its_name_and_the_others_go_on() {
    let (sender, mut events) = mpsc::channel::<Event<RawMail>>(64);
    let fallen = Mailbox { name: "CUSTOMER".to_owned(), ..mailbox(1, &["INBOX"], TimeDelta::seconds(3600)) };
    let fallen =
        Shared::new(fallen, BTreeMap::new(), sender.clone(), Arc::default(), Box::new(|_, mail| Some(mail)));
    let panics = |_| async { panic!("what a parser may do") };
    let falling = tokio::spawn(supervise(Arc::new(fallen), panics));
    let peer = Peer::start(&[("INBOX", Contents::dense(3))]).await;
    let sound = mailbox(peer.port, &["INBOX"], TimeDelta::milliseconds(100));
    let going_on = spawn(sound, BTreeMap::new(), sender, Arc::default(), |_, mail| Some(mail));
    let (mut failures, mut looks) = (0, 0);
    while failures < 2 || looks < 5 {
        let event = timeout(Duration::from_secs(30), events.recv()).await.expect("no event within 30 s");
        match event.unwrap() {
            Event::Failed { mailbox, error, .. } => {
                assert_eq!(mailbox, "CUSTOMER");
                assert!(error.contains("on which the parser fails"), "{error}");
                failures += 1;
            }
            Event::Looked { mailbox, .. } => {
                assert_eq!(mailbox, "MONITOR");
                looks += 1;
            }
            _ => {}
        }
    }
    assert!(!falling.is_finished() && !going_on.is_finished());
}

/// Two mailboxes, of which the first is this short a time unread before it is alarmed.
fn flow_of_two(state: &Path, ports: [u16; 2]) -> Flow {
    let mailbox = |(name, port): (&str, u16)| {
        format!(
            "[[mailbox]]\nname = \"{name}\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"plain\"\nuser = \"me@x.test\"\n\
             password = \"hunter2\"\npoll = \"1s\"\nblind_after = \"2s\"\n"
        )
    };
    let text = format!(
        "[watchdog]\nname = \"bresse8\"\nstate = \"sqlite:{}\"\n{}{}[[checker]]\nname = \"bresse1\"\nprovider = \"free\"\n\
         address = \"bresse1+monitor@x.test\"\ntests = []\n\
         [[channel]]\nname = \"record\"\ntype = \"file\"\npath = \"/nonexistent/record\"\n",
        state.display(),
        mailbox(("CUSTOMER", ports[0])),
        mailbox(("MONITOR", ports[1])),
    );
    let sources =
        Sources { text: &text, file: "watchdog.toml", environment: &BTreeMap::new(), overrides: &[] };
    let config = Config::load(&sources).unwrap_or_else(|errors| panic!("{errors}"));
    Flow::open(config, &BTreeMap::new(), None, clock::now()).unwrap()
}

/// Real connections of two real readers, one of which panics over each mail, and the core behind them as the service has it.
#[tokio::test]
async fn a_panic_in_one_mailboxs_reader_is_an_alarm_and_the_other_mailbox_is_read_and_judged() {
    let folder = tempfile::tempdir().unwrap();
    let report = b"To: bresse1+monitor@x.test\r\nMessage-ID: <1@x>\r\nSubject: DRYRUN.OK\r\n\r\n".to_vec();
    let mut contents = Contents::dense(0);
    contents.uidnext = 2;
    contents.mails.insert(1, report);
    let peers =
        [Peer::start(&[("INBOX", contents.clone())]).await, Peer::start(&[("INBOX", contents)]).await];
    let mut flow = flow_of_two(&folder.path().join("watchdog.db"), [peers[0].port, peers[1].port]);
    let (sender, mut events) = mpsc::channel(64);
    let mut readers = Vec::new();
    for mailbox in flow.engine.config().mailboxes.clone() {
        let (roster, of) = (Arc::clone(flow.roster()), mailbox.clone());
        let digest = move |folder: &str, raw: RawMail| {
            assert!(of.name != "CUSTOMER", "what a parser may do");
            Arrival::of(&raw, folder, &of, &roster)
        };
        readers.push(spawn(mailbox, BTreeMap::new(), sender.clone(), Arc::default(), digest));
    }
    let (mut said, mut looks_since) = (Vec::new(), 0);
    while looks_since < 3 {
        let event = timeout(Duration::from_millis(200), events.recv()).await;
        if let Ok(event) = event {
            let mut event = event.expect("the readers go on");
            let looked = matches!(&event, Event::Looked { mailbox, .. } if mailbox == "MONITOR");
            looks_since += u32::from(looked && !said.is_empty());
            flow.take(&mut event, clock::now()).unwrap();
        }
        flow.decide(clock::now()).unwrap();
        said.extend(flow.commit(clock::now()).unwrap());
    }
    let [alarm] = said.as_slice() else { panic!("{said:?}") };
    assert!(alarm.subject.starts_with("CUSTOMER_Mailbox.NOK "), "{}", alarm.subject);
    assert!(alarm.body.contains("on which the parser fails"), "{}", alarm.body);
    assert!(flow.engine.facts()["bresse1"].heard_at().is_some(), "heard through the other one");
    assert!(readers.iter().all(|reader| !reader.is_finished()));
}
