//! The Junk folder beside the others.

use super::*;

fn with_junk(peer: &Peer, poll: TimeDelta, cursors: BTreeMap<String, Cursor>) -> Watch {
    Watch::of(Mailbox { junk: Some("Junk".to_owned()), ..mailbox(peer.port, &["INBOX"], poll) }, cursors)
}

fn hourly(peer: &Peer) -> Watch {
    with_junk(peer, TimeDelta::seconds(3600), BTreeMap::new())
}

impl Watch {
    /// The UIDs read in Junk since the last call.
    fn junk_uids(&mut self) -> Vec<u32> {
        let (junk, others) = std::mem::take(&mut self.uids).into_iter().partition(|(name, _)| name == "Junk");
        self.uids = others;
        let junk: Vec<(String, u32)> = junk;
        junk.into_iter().map(|(_, uid)| uid).collect()
    }
}

#[tokio::test]
async fn every_look_reads_junk_first_and_is_complete_without_its_history() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3)), ("Junk", Contents::dense(60))]).await;
    let mut watch = hourly(&peer);
    assert_eq!(watch.look().await, History::Complete);
    assert_eq!(watch.uids[0].0, "Junk", "known when the look is judged");
    assert_eq!(watch.junk_uids(), (11..=60).collect::<Vec<_>>());
    assert_eq!(watch.seen(), [3, 2, 1]);
    peer.change(|world| world.folders.get_mut("Junk").unwrap().add());
    for expected in [vec![61], (1..=10).collect(), vec![]] {
        watch.requests.notify_one();
        watch.look().await;
        assert_eq!(watch.junk_uids(), expected);
    }
    assert_eq!((watch.junk, watch.failures), (vec![None], vec![]));
}

#[tokio::test]
async fn a_pushed_mail_does_not_wait_for_junk() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3)), ("Junk", Contents::dense(60))]).await;
    let mut watch = hourly(&peer);
    watch.complete().await;
    while peer.asked("IDLE") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Changes made before the server idles are not pushed.
    tokio::time::sleep(Duration::from_millis(50)).await;
    peer.change(|world| {
        world.folders.get_mut("INBOX").unwrap().add();
        world.folders.get_mut("Junk").unwrap().add();
    });
    watch.look().await;
    assert_eq!((watch.seen().last(), peer.asked("EXAMINE \"Junk\"")), (Some(&4), 1));
}

#[tokio::test]
async fn of_a_hundred_thousand_spam_mails_the_newest_thousand_are_read_few_at_a_time() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3)), ("Junk", Contents::dense(100_000))]).await;
    let mut watch = with_junk(&peer, TimeDelta::milliseconds(1), BTreeMap::new());
    let mut read = Vec::new();
    for _ in 0..25 {
        watch.look().await;
        let step = watch.junk_uids();
        assert!(step.len() <= 50, "{}", step.len());
        read.extend(step);
    }
    read.sort_unstable();
    assert_eq!(read, (99_001..=100_000).collect::<Vec<_>>());
    assert_eq!((watch.cursors["Junk"].low, watch.cursors["Junk"].high), (1, 100_000));
}

#[tokio::test]
async fn a_restart_goes_on_in_junk_and_a_renumbered_one_is_read_anew() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3)), ("Junk", Contents::dense(60))]).await;
    let stored = Cursor { uidvalidity: 7, high: 58, low: 1 };
    let stored = BTreeMap::from([("Junk".to_owned(), stored)]);
    let mut watch = with_junk(&peer, TimeDelta::seconds(3600), stored);
    watch.look().await;
    assert_eq!(watch.junk_uids(), [59, 60]);
    let renumbered = Contents { uidvalidity: 8, ..Contents::dense(5) };
    peer.change(|world| world.folders.insert("Junk".to_owned(), renumbered));
    watch.requests.notify_one();
    while watch.cursors["Junk"].uidvalidity == 7 {
        watch.look().await;
    }
    assert_eq!(watch.junk_uids(), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_missing_junk_folder_is_told_once_and_hides_nothing() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3)), ("Spam", Contents::dense(1))]).await;
    let mut watch = with_junk(&peer, TimeDelta::milliseconds(50), BTreeMap::new());
    for _ in 0..4 {
        assert_eq!(watch.look().await, History::Complete);
    }
    assert_eq!(watch.failures, Vec::<String>::new());
    let [Some(told)] = watch.junk.as_slice() else { panic!("{:?}", watch.junk) };
    assert_eq!(
        told,
        "127.0.0.1: the folder \"Junk\" cannot be opened (no such folder); the folders there are: INBOX, Spam; name one \
         of them"
    );
    assert_eq!(peer.asked("EXAMINE \"Junk\""), 1, "it is not asked for with every look");
}

#[tokio::test]
async fn what_ends_the_connection_in_junk_does_not_make_the_mailbox_unreadable() {
    for (fault, told) in [
        (Fault::Closes, "closed the connection in the middle of UID FETCH"),
        (Fault::Says("TAG NO broken mail\r\n"), "the server refuses UID FETCH: broken mail"),
        (Fault::Says("* 1 FETCH (UID 1 BODY[] {99999999}\r\n"), "the server sent what is not IMAP"),
        (Fault::Says(""), "has not answered the reading of the Junk folder for 5 s"),
    ] {
        let peer = Peer::start(&[("INBOX", Contents::dense(3)), ("Junk", Contents::dense(60))]).await;
        // The first of a look is that of Junk.
        peer.change(|world| world.faults = vec![("UID FETCH".to_owned(), fault)]);
        let mut watch = hourly(&peer);
        assert_eq!(watch.look().await, History::Complete);
        assert_eq!((watch.seen(), &watch.failures), (vec![3, 2, 1], &vec![]));
        let [Some(error)] = watch.junk.as_slice() else { panic!("{:?}", watch.junk) };
        assert!(error.contains(told), "{error}");
    }
}

#[tokio::test]
async fn a_look_that_was_asked_for_is_not_answered_by_the_reading_of_a_pushed_mail() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3)), ("Junk", Contents::dense(60))]).await;
    let mut watch = hourly(&peer);
    watch.complete().await;
    while peer.asked("IDLE") == 0 {
        tokio::task::yield_now().await;
    }
    // Changes made before the server idles are not pushed.
    tokio::time::sleep(Duration::from_millis(50)).await;
    peer.change(|world| world.folders.get_mut("INBOX").unwrap().add());
    while peer.asked("NOOP") == 0 {
        tokio::task::yield_now().await;
    }
    watch.requests.notify_one();
    watch.look().await;
    assert_eq!((watch.cursor().2, peer.asked("EXAMINE \"Junk\"")), (4, 2));
}
