//! The page in a real browser (headless Chromium), while a real outage comes and goes: what is seen changes by itself,
//! an incident can be taken, nothing is complained about, and nothing is asked of any other machine.
//!
//! With `PAGE_SHOTS=FOLDER` in the environment the pages are drawn into PNG files there, to be looked at.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

#[path = "page/browser.rs"]
mod browser;
#[allow(dead_code, reason = "a part of it is used here")]
#[path = "faults/world.rs"]
mod world;

use std::path::PathBuf;
use std::time::Duration;

use bresse_watchdog::testbed::imap::{Answer, Fault, GREETING};
use browser::Browser;
use chrono::Utc;
use rig::{Watchdog, free_port};
use serde_json::json;
use sha2::{Digest, Sha256};
use world::{SHORT, SOON, Servers, checkers, config};

/// A change is shown within the script's pause, on a busy machine.
const SHOWN: Duration = Duration::from_secs(30);
/// The strips are asked for again some time after a change.
const HISTORY_SHOWN: Duration = Duration::from_secs(90);
const PATH_DRAWN: &str =
    "document.querySelectorAll('#mails li').length > 2 && document.querySelector('#path .plot')";
/// Wherever text of a mail is shown, these are text.
const HOSTILE: &str = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\"'";

struct Site {
    servers: Servers,
    watchdog: Watchdog,
    url: String,
}

impl Site {
    fn new(names: &[&str]) -> Self {
        let (servers, port) = (Servers::start(), free_port());
        let token = |name: &str, role: &str| {
            let hash: String = Sha256::digest(format!("secret of {name}"))
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("[[web.token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hash}\"\n")
        };
        let web = format!(
            "[web]\nlisten = \"127.0.0.1:{port}\"\n{}{}{}",
            token("anne", "ack"),
            token("rene", "read"),
            token("adam", "admin")
        );
        let (mailbox, checkers, channel) = (servers.mailbox(), checkers(names, SHORT), servers.channel());
        let parts = [mailbox.as_str(), &checkers, &channel, &web];
        let text =
            config(&parts).replace("name = \"bresse8\"", "name = \"bresse8\"\ntimezone = \"Europe/Paris\"");
        Self { watchdog: Watchdog::new(&text), servers, url: format!("http://127.0.0.1:{port}") }
    }

    fn log_in(&self, browser: &mut Browser, name: &str) {
        browser.open(&self.url);
        browser.wait_for(SHOWN, "location.pathname === '/login' && document.querySelector('#token')");
        if name == "anne" {
            look_at(browser, "login");
        }
        browser.click("#token");
        browser.type_text(&format!("secret of {name}"));
        browser.press_enter();
        browser.wait_for(SHOWN, "location.pathname === '/' && document.querySelector('#last-seen')");
    }

    /// Nothing was complained about, and nobody else was asked.
    fn assert_quiet(&self, browser: &mut Browser) {
        let (complaints, requests) = browser.complaints_and_requests();
        assert_eq!(complaints, Vec::<String>::new());
        let elsewhere: Vec<&String> = requests
            .iter()
            .filter(|url| !url.starts_with(&format!("{}/", self.url)) && *url != "about:blank")
            .collect();
        assert_eq!(elsewhere, Vec::<&String>::new());
        assert!(!requests.is_empty());
    }
}

/// Draws the page in all its looks, if that is wanted; and it fits the width of a phone in any case.
fn look_at(browser: &mut Browser, name: &str) {
    let folder = std::env::var_os("PAGE_SHOTS").map(PathBuf::from);
    for (width, scheme) in [(390, "dark"), (390, "light"), (1280, "dark"), (1280, "light"), (360, "light")] {
        browser.look_like(width, scheme);
        let seen = browser.value("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(seen <= u64::from(width), "{name} is {seen} pixels wide at {width}");
        let nameless = "[...document.querySelectorAll('input, button, a')].filter(one => one.matches('input') \
                        ? one.labels.length === 0 : one.textContent.trim() === '').length";
        assert_eq!(browser.value(nameless), json!(0), "something on {name} has no accessible name");
        if let Some(folder) = folder.as_ref().filter(|_| width != 360) {
            browser.screenshot(&folder.join(format!("{name}-{width}-{scheme}.png")));
        }
    }
    browser.look_like(1280, "light");
}

/// Everything is there, and is made anew by the browser.
fn without_script(site: &Site, browser: &mut Browser) {
    browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    browser.open(&site.url);
    for shown in [
        "#health h1",
        "#last-seen tbody tr",
        "#matrix td",
        "#strips rect",
        "noscript > meta[http-equiv=refresh]",
    ] {
        browser.wait_for(SHOWN, &format!("document.querySelector('{shown}')"));
    }
    browser.wait_for(SHOWN, "document.querySelector('#live').innerText === 'made anew every 30 s'");
    browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": false }));
    browser.open(&site.url);
    browser.wait_for(SHOWN, "document.querySelector('#live').innerText === 'live'");
}

fn state_of(checker: &str, state: &str) -> String {
    format!(
        "[...document.querySelectorAll('#last-seen tbody tr')].some(row => \
         row.className === 'state-{state}' && row.querySelector('th').innerText.includes({}))",
        json!(checker)
    )
}

/// Stays until its page has mails enough to draw the mail path, so that what falls silent afterwards has a past.
fn heard_often(site: &Site, browser: &mut Browser, checker: &str) {
    browser.open(&format!("{}/checker/{checker}", site.url));
    browser.wait_for(SHOWN, PATH_DRAWN);
    browser.open(&site.url);
    browser.wait_for(SHOWN, "document.querySelector('#live').innerText === 'live'");
}

#[test]
fn an_outage_is_seen_as_it_comes_and_goes_and_is_taken_on_the_page() {
    let names = ["bresse1", "bresse2", "bresse3"];
    let site = Site::new(&names);
    let feeder = site.servers.feed(&names);
    let daemon = site.watchdog.spawn_run();
    let mut browser = Browser::start();
    rig::wait_for(SOON, || std::net::TcpStream::connect(site.url.trim_start_matches("http://")).ok())
        .unwrap();
    site.log_in(&mut browser, "anne");
    browser.wait_for(SHOWN, "document.querySelector('#health h1').innerText.includes('All is well')");
    browser.wait_for(
        SHOWN,
        "document.title.startsWith('✔') && document.querySelector('#live').innerText === 'live'",
    );
    look_at(&mut browser, "well");
    without_script(&site, &mut browser);
    heard_often(&site, &mut browser, "bresse2");

    // Gone if the page were loaded again.
    browser.value("window.mark = 1");
    feeder.find_nok("bresse1", "ESHOP_Service");
    feeder.silence("bresse2");
    browser.wait_for(SHOWN, &state_of("bresse2", "silent"));
    browser.wait_for(SHOWN, "document.querySelectorAll('#incidents li.open').length === 2");
    browser.wait_for(SHOWN, "document.querySelector('#matrix td.bad b').innerText.includes('NOK')");
    browser.wait_for(SHOWN, "document.title.startsWith('✖')");
    browser.wait_for(HISTORY_SHOWN, "document.querySelector('#strips .strip rect.silent')");
    assert_eq!(browser.value("window.mark"), 1);
    look_at(&mut browser, "outage");

    browser.click("#incidents li:has(a[href*='incident']):last-of-type button");
    browser.wait_for(SHOWN, "location.pathname.startsWith('/incident/')");
    browser.wait_for(SHOWN, "document.body.innerText.includes('Taken by anne')");
    browser.click("#note");
    browser.type_text(HOSTILE);
    browser.press_enter();
    browser
        .wait_for(SHOWN, "document.querySelector('#steps') && document.body.innerText.includes('onerror')");
    look_at(&mut browser, "incident");

    browser.open(&format!("{}/checker/bresse2", site.url));
    browser.wait_for(SHOWN, "document.querySelector('#summary .mark').innerText.includes('silent')");
    browser.wait_for(
        SHOWN,
        "document.querySelector('#summary').innerText.includes('2s cycle + 400ms tests + 2s mail path')",
    );
    browser.wait_for(SHOWN, PATH_DRAWN);
    browser.wait_for(SHOWN, "document.querySelectorAll('#strips svg.strip').length === 3");
    look_at(&mut browser, "checker");
    browser.value("window.mark = 1");
    feeder.revive("bresse2");
    browser.wait_for(SHOWN, "document.querySelector('#summary .mark').innerText.includes('ok')");
    assert_eq!(browser.value("window.mark"), 1);

    feeder.revive("bresse1");
    browser.open(&site.url);
    browser.wait_for(SHOWN, "document.querySelector('#health h1').innerText.includes('All is well')");
    browser.wait_for(SHOWN, "document.querySelectorAll('#incidents li').length === 0");
    browser.click("nav a[href='/incidents']");
    browser.wait_for(SHOWN, "document.querySelectorAll('li.incident.closed').length === 2");
    browser.wait_for(SHOWN, "document.body.innerText.includes('Taken by anne')");
    look_at(&mut browser, "closed");
    browser.click("li.incident.closed:last-of-type p:last-of-type a");
    browser.wait_for(SHOWN, "document.querySelectorAll('#told li').length >= 2");
    browser.wait_for(SHOWN, "document.querySelectorAll('main form').length === 0");
    look_at(&mut browser, "over");
    browser.open(&site.url);
    assert_eq!(browser.value("window.hacked ?? null"), json!(null));
    site.assert_quiet(&mut browser);
    drop(feeder);
    assert_eq!(daemon.terminate(), 0);
    browser.wait_for(SHOWN, "!document.querySelector('#lost').hidden && document.body.className === 'old'");
    browser.wait_for(SHOWN, "document.querySelector('#lost').innerText.startsWith('Not live since')");
    look_at(&mut browser, "lost");
}

#[test]
fn an_admin_silences_without_the_script_and_resolves_with_it() {
    let site = Site::new(&["bresse1", "bresse2"]);
    let feeder = site.servers.feed(&["bresse2"]);
    let mut daemon = site.watchdog.spawn_run_with(&["-v", "run"], &[]);
    let mut browser = Browser::start();
    rig::wait_for(SOON, || std::net::TcpStream::connect(site.url.trim_start_matches("http://")).ok())
        .unwrap();
    site.log_in(&mut browser, "adam");
    browser.wait_for(SHOWN, "document.querySelector('#incidents li.open')");
    browser.click("#incidents li.open .what a");
    browser.wait_for(SHOWN, "document.querySelector('#resolve form')");
    look_at(&mut browser, "incident-admin");

    browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    browser.click("#resolve p a");
    browser.wait_for(SHOWN, "document.querySelector('input[value=bresse1]').checked");
    browser.wait_for(SHOWN, "!document.querySelector('noscript > meta')");
    look_at(&mut browser, "silence-form");
    browser.click("input[value=bresse2]");
    browser.click("#silence");
    browser.wait_for(SHOWN, "document.activeElement.id === 'note'");
    browser.type_text(HOSTILE);
    browser.press_enter();
    browser.wait_for(SHOWN, "document.querySelector('#silences li').innerText.includes('onerror')");
    browser.wait_for(SHOWN, "document.querySelector('#silences li').innerText.includes('checker bresse2')");
    browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": false }));
    browser.open(&site.url);
    browser.wait_for(SHOWN, "document.querySelector('#health').innerText.includes('silenced by adam')");
    browser.wait_for(SHOWN, "document.querySelector('#live').innerText === 'live'");

    // A reload: the page connects again by itself, and never says that it is not live.
    browser.value("window.mark = 1");
    browser.value("new MutationObserver(() => { if (!document.querySelector('#lost').hidden) window.lostOnce = true }).observe(document.querySelector('#lost'), { attributes: true })");
    daemon.hang_up();
    let told = || daemon.log().contains("the new configuration is in force").then_some(());
    rig::wait_for(SOON, told).unwrap();
    feeder.find_nok("bresse2", "ESHOP_Service");
    browser.wait_for(SHOWN, "document.querySelectorAll('#incidents li').length === 2");
    assert_eq!(browser.value("[window.mark, window.lostOnce ?? null]"), json!([1, null]));
    browser.click("nav a[href='/silences']");
    browser.wait_for(SHOWN, "document.querySelector('#silences form button')");
    look_at(&mut browser, "silences");
    browser.click("#silences form button");
    browser.wait_for(SHOWN, "document.body.innerText.includes('Nothing is silenced')");

    browser.open(&site.url);
    browser.click("#incidents li .what a");
    browser.wait_for(SHOWN, "document.querySelector('#why')");
    browser.click("#why");
    browser.type_text("sold");
    browser.press_enter();
    browser.wait_for(
        SHOWN,
        "document.querySelector('#incident .closed') && !document.querySelector('main form')",
    );
    assert_eq!(browser.value("window.hacked ?? null"), json!(null));
    site.assert_quiet(&mut browser);
    drop(feeder);
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn a_blind_watchdog_says_so_first_and_what_mails_hold_is_text() {
    let site = Site::new(&["bresse1"]);
    let feeder = site.servers.feed(&["bresse1"]);
    let now = Utc::now();
    let hostile = format!(
        "From: a@checker.example\r\nTo: bresse1+monitor@domain.com\r\nSubject: DRYRUN.OK MSSQL1_Service.OK \
         ESHOP_Service.OK {HOSTILE}.OK\r\nDate: {date}\r\nMessage-ID: <hostile1@checker.example>\r\n\r\nwell\r\n",
        date = now.format("%a, %d %b %Y %H:%M:%S +0000")
    );
    let answer =
        hostile.replace("hostile1", "hostile2").replace("Date:", "Auto-Submitted: auto-replied\r\nDate:");
    for mail in [hostile, answer] {
        site.servers.mails.append("INBOX", mail.into_bytes(), now);
    }
    let daemon = site.watchdog.spawn_run();
    let mut browser = Browser::start();
    rig::wait_for(SOON, || std::net::TcpStream::connect(site.url.trim_start_matches("http://")).ok())
        .unwrap();
    site.log_in(&mut browser, "rene");
    browser.wait_for(SHOWN, &state_of("bresse1", "ok"));

    browser.open(&format!("{}/checker/bresse1", site.url));
    browser.wait_for(SHOWN, "document.querySelector('#mails h3 + ol').innerText.includes('onerror')");
    look_at(&mut browser, "hostile");

    browser.open(&site.url);
    browser.wait_for(SHOWN, "document.querySelector('#live').innerText === 'live'");
    browser.value("window.mark = 1");
    site.servers.imap.fault(Fault::on("EXAMINE", Answer::No("Server Unavailable. 15".to_owned())));
    site.servers.imap.fault(Fault::on(GREETING, Answer::Bye("Session invalidated".to_owned())));
    browser.wait_for(Duration::from_secs(90), "document.querySelector('#health .headline.grave')");
    browser.wait_for(
        SHOWN,
        "document.querySelector('#health').innerText.includes('Blind: the mailbox cannot be read')",
    );
    browser.wait_for(SHOWN, "document.querySelector('#incidents li.open')");
    assert_eq!(
        browser.value("document.querySelectorAll('#incidents button').length"),
        0,
        "rene may only look"
    );
    assert_eq!(browser.value("window.mark"), 1);
    look_at(&mut browser, "blind");
    site.servers.imap.clear_faults();
    browser.wait_for(Duration::from_secs(90), "!document.querySelector('#health .headline.grave')");
    assert_eq!(browser.value("window.hacked ?? null"), json!(null));
    site.assert_quiet(&mut browser);
    drop(feeder);
    assert_eq!(daemon.terminate(), 0);
}
