//! What befalls a mailbox's server: killed, upgraded, rebuilt, renewed, replaced, emptied, and reached ever so slowly.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use crate::rig::{Dovecot, PASSWORD, free_port};
use crate::world::{PATIENT, SOON_BLIND, World};

/// One byte in this time: a greeting takes a minute and a half.
const DRIP: Duration = Duration::from_millis(500);

pub(crate) fn rows() -> Vec<(&'static str, fn())> {
    vec![
        ("Dovecot is killed three times", killed),
        ("Dovecot is upgraded", upgraded),
        ("Dovecot's index is rebuilt", rebuilt),
        ("the mailbox is emptied", emptied),
        ("all mails are moved away and back", moved),
        ("the certificate is renewed", renewed),
        ("the server shows another certificate", another_certificate),
        ("the server's answers drip", drips),
    ]
}

fn killed() {
    World::start(PATIENT).unharmed(|world| {
        let dovecot = &mut world.dovecot;
        for pause_s in [0, 1, 2] {
            dovecot.kill_9();
            sleep(Duration::from_secs(pause_s));
            dovecot.start_again();
            sleep(Duration::from_secs(3));
        }
    });
}

/// Another greeting, and much less that it can do.
fn upgraded() {
    World::start(PATIENT).unharmed(|world| {
        let dovecot = &mut world.dovecot;
        dovecot.stop();
        dovecot.configure(
            "login_greeting = The Microsoft Exchange IMAP4 service is ready.\n\
             imap_capability = IMAP4rev1 SASL-IR UIDPLUS\n",
        );
        dovecot.start_again();
    });
}

/// What waited meanwhile gets numbers that were others' before.
fn rebuilt() {
    World::start(PATIENT).unharmed(|world| {
        world.hush();
        let before = world.dovecot.status("uidvalidity");
        world.dovecot.delete_oldest(5);
        world.dovecot.stop();
        world.dovecot.lose_index();
        world.wake();
        sleep(Duration::from_secs(3));
        world.dovecot.start_again();
        assert_ne!(world.dovecot.status("uidvalidity"), before, "the index was not rebuilt");
    });
}

/// What nobody had read would be lost to everybody.
fn emptied() {
    World::start(PATIENT).unharmed(|world| {
        world.hush();
        world.dovecot.empty();
        assert_eq!(world.dovecot.status("messages"), "0");
        world.wake();
    });
}

/// Back they have other numbers.
fn moved() {
    World::start(PATIENT).unharmed(|world| {
        let dovecot = &mut world.dovecot;
        dovecot.make_folder("Archive");
        dovecot.move_all("INBOX", "Archive");
        sleep(Duration::from_secs(3));
        dovecot.move_all("Archive", "INBOX");
    });
}

fn renewed() {
    World::start(PATIENT).unharmed(|world| {
        let dovecot = &mut world.dovecot;
        dovecot.stop();
        dovecot.renew_certificate(60);
        dovecot.start_again();
    });
}

/// Whoever shows it does not learn the password.
fn another_certificate() {
    let signed_in = |dovecot: &Dovecot| dovecot.log().matches("Login: user=").count();
    World::start(SOON_BLIND).outage(
        "certificate",
        |world| {
            let dovecot = &mut world.dovecot;
            dovecot.stop();
            dovecot.show_foreign_certificate(true);
            dovecot.start_again();
            let before = signed_in(dovecot);
            sleep(Duration::from_secs(3));
            assert_eq!(signed_in(dovecot), before);
            assert!(!dovecot.log().contains(PASSWORD));
        },
        |world| {
            let dovecot = &mut world.dovecot;
            assert!(dovecot.log().contains("SSL alert"), "nobody came and left:\n{}", dovecot.log());
            dovecot.stop();
            dovecot.show_foreign_certificate(false);
            dovecot.start_again();
        },
    );
}

fn drips() {
    let dovecot = Dovecot::start();
    let (port, drips) = (free_port(), Arc::new(AtomicBool::new(false)));
    forward(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap(), dovecot.imaps_port, &drips);
    let (from_now_on, until_now) = (Arc::clone(&drips), drips);
    World::start_at(dovecot, "localhost", port, SOON_BLIND).outage(
        "",
        |_| from_now_on.store(true, Ordering::SeqCst),
        |_| until_now.store(false, Ordering::SeqCst),
    );
}

/// Hands every connection on to a port of the loopback address, for as long as this process lives.
pub(crate) fn forward(listener: TcpListener, port: u16, drips: &Arc<AtomicBool>) {
    let drips = Arc::clone(drips);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
            let (to_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let (never, drips) = (Arc::new(AtomicBool::new(false)), Arc::clone(&drips));
            thread::spawn(move || copy(client, to_server, &never));
            thread::spawn(move || copy(server, to_client, &drips));
        }
    });
}

fn copy(mut from: TcpStream, mut to: TcpStream, drips: &AtomicBool) {
    let mut bytes = [0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        let mut rest = &bytes[..length];
        while !rest.is_empty() {
            let now = if drips.load(Ordering::SeqCst) { 1 } else { rest.len() };
            if now == 1 {
                sleep(DRIP);
            }
            let (part, after) = rest.split_at(now);
            if to.write_all(part).is_err() {
                return;
            }
            rest = after;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
