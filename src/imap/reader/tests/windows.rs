//! How a folder is read: window by window, the newest first.

use super::*;

#[tokio::test]
async fn a_first_start_reads_newest_mails_first_and_then_all_history() {
    let peer = Peer::start(&[("INBOX", Contents::dense(3_000))]).await;
    let mut watch = Watch::inbox(&peer);
    assert_eq!(watch.look().await, History::Filling);
    assert_eq!(watch.seen(), (2_501..=3_000).rev().collect::<Vec<_>>());
    assert_eq!(watch.cursor(), (7, 2_501, 3_000));
    watch.complete().await;
    assert_eq!(watch.seen(), (1..=3_000).rev().collect::<Vec<_>>());
    assert_eq!(watch.cursor(), (7, 1, 3_000));
    assert_eq!(watch.failures, Vec::<String>::new());
}

#[tokio::test]
async fn sparse_empty_and_uidnext_less_folders_are_read_whole() {
    let mut sparse = Contents::dense(0);
    sparse.uidnext = 4_000_000_000;
    for uid in [3, 70_000, 3_999_999_999] {
        sparse.mails.insert(uid, b"x".to_vec());
    }
    let silent = Contents { shows_uidnext: false, ..Contents::dense(3) };
    for (contents, uids) in
        [(sparse, vec![3_999_999_999, 70_000, 3]), (Contents::dense(0), vec![]), (silent, vec![3, 2, 1])]
    {
        let peer = Peer::start(&[("INBOX", contents)]).await;
        let mut watch = Watch::inbox(&peer);
        watch.complete().await;
        assert_eq!(watch.seen(), uids);
        assert!(peer.asked("UID FETCH") < 20, "{}", peer.asked("UID FETCH"));
    }
}

#[tokio::test]
async fn big_mails_are_read_in_windows_that_fit_into_memory() {
    let mut contents = Contents::dense(400);
    for mail in contents.mails.values_mut() {
        mail.resize(60_000, b'x');
    }
    contents.mails.insert(200, vec![b'y'; 2 << 20]);
    let peer = Peer::start(&[("INBOX", contents)]).await;
    let mut watch = Watch::inbox(&peer);
    watch.complete().await;
    assert_eq!(watch.seen(), (1..=400).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_window_without_its_end_holds_back_those_that_were_asked_for_behind_it() {
    let peer = Peer::start(&[("INBOX", Contents::dense(10_000))]).await;
    let second = "UID FETCH 7501:8500";
    peer.change(|world| world.faults = vec![("UID FETCH 8501:9500".to_owned(), Fault::Says(""))]);
    let mut watch = Watch::inbox(&peer);
    assert_eq!(watch.look().await, History::Filling);
    let asked = async {
        while peer.asked(second) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), asked).await.unwrap();
    // The answer to the second one has been sent by then.
    let told = timeout(Duration::from_millis(300), watch.look()).await;
    assert!(told.is_err() && watch.failures.is_empty(), "{:?}", watch.failures);
    assert_eq!((watch.uids.len(), watch.cursor()), (500, (7, 9_501, 10_000)));
    assert_eq!(peer.asked("UID FETCH"), 3, "two are asked for at a time");
}

#[tokio::test]
async fn a_window_that_is_too_full_is_read_again_in_narrower_ones_with_those_behind_it() {
    let mut contents = Contents::dense(12_000);
    // The newest are few and small, those before them many.
    for uid in 11_501..=12_000 {
        if uid % 100 != 0 {
            contents.mails.remove(&uid);
        }
    }
    for uid in 3_000..=11_500 {
        contents.mails.insert(uid, vec![b'x'; 6_000]);
    }
    let uids: Vec<u32> = contents.mails.keys().rev().copied().collect();
    let peer = Peer::start(&[("INBOX", contents)]).await;
    let mut watch = Watch::inbox(&peer);
    watch.complete().await;
    assert_eq!((watch.seen() == uids, watch.cursor()), (true, (7, 1, 12_000)));
    assert!(peer.asked("UID FETCH 7501:11500") == 1 && peer.asked("UID FETCH") > 4);
}

#[tokio::test]
async fn a_hundred_thousand_mails_are_a_matter_of_seconds() {
    let peer = Peer::start(&[("INBOX", Contents::dense(100_000))]).await;
    let mut watch = Watch::inbox(&peer);
    let from = Instant::now();
    watch.complete().await;
    let took = from.elapsed();
    println!("100,000 mails in {took:?}");
    assert_eq!(watch.uids.len(), 100_000);
    assert!(peer.asked("UID FETCH") < 120, "{} round trips", peer.asked("UID FETCH"));
}
