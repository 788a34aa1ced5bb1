//! What is served over HTTP: who gets in, what a link in an alarm does, and whether the watchdog itself is well.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]
#![allow(dead_code, reason = "only a part of the faults' world is used here")]

mod rig;
#[path = "faults/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use rig::{Answer, Authority, Daemon, Watchdog, ask, ask_over, free_port, tls_over, wait_for};
use world::{SHORT, SOON, Servers, USUAL, alarms, checkers, config};

fn token(name: &str, role: &str) -> String {
    let digits: String = Sha256::digest(secret(name)).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[web.token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{digits}\"\n")
}

fn secret(name: &str) -> String {
    format!("the token of {name}")
}

fn bearer(name: &str) -> String {
    format!("Authorization: Bearer {}", secret(name))
}

/// A daemon that serves, with one reader (rita) and one who may take incidents (anne).
struct Served {
    servers: Servers,
    watchdog: Watchdog,
    daemon: Daemon,
    port: u16,
}

impl Served {
    fn start(times: &str, web: &str) -> Self {
        Self::on(free_port(), times, web, &["run"])
    }

    fn on(port: u16, times: &str, web: &str, arguments: &[&str]) -> Self {
        let servers = Servers::start();
        let web = format!(
            "[web]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\n{web}\n{}{}",
            token("rita", "read"),
            token("anne", "ack") + &token("adam", "admin"),
        );
        let parts = [&servers.mailbox(), &checkers(&["bresse1"], times), &servers.channel(), web.as_str()];
        let watchdog = Watchdog::new(&config(&parts));
        let daemon = watchdog.spawn_run_with(arguments, &[]);
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        wait_for(SOON, listens).expect("it listens");
        Self { servers, watchdog, daemon, port }
    }

    fn get(&self, path: &str, headers: &[&str]) -> Answer {
        ask(self.port, &format!("GET {path}"), headers, "")
    }

    fn post(&self, path: &str, headers: &[&str], body: &str) -> Answer {
        let form = "Content-Type: application/x-www-form-urlencoded";
        ask(self.port, &format!("POST {path}"), &[&[form], headers].concat(), body)
    }

    /// The cookie of somebody who logs in, as a header.
    fn log_in(&self, name: &str) -> String {
        let form = format!("token={}", secret(name).replace(' ', "+"));
        let inside = self.post("/login", &["Sec-Fetch-Site: same-origin"], &form);
        assert_eq!(inside.status, 303, "{inside:?}");
        let cookie = inside.header("set-cookie").unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
        format!("Cookie: {}", cookie.split(';').next().unwrap())
    }

    /// A connection on which this was sent, and nothing read yet.
    fn said(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    /// Puts another configuration in force.
    fn reload(&mut self, change: impl FnOnce(String) -> String) {
        let (file, said) = (self.watchdog.path("watchdog.toml"), "the new configuration is in force");
        let before = self.daemon.log().matches(said).count();
        fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
        self.daemon.hang_up();
        let told = || self.daemon.log().matches(said).count() > before;
        wait_for(SOON, || told().then_some(())).unwrap_or_else(|| panic!("{}", self.daemon.log()));
    }

    fn incident(&self) -> Value {
        let answer = self.get("/api/v1/incidents", &[&bearer("rita")]);
        let list: Value = serde_json::from_str(&answer.body).unwrap();
        list["incidents"][0].clone()
    }

    /// The link of the alarm mail, below the server's root.
    fn link(&self) -> String {
        let alarm = self.servers.expect("bresse1_Checker.NOK", SOON);
        let text = alarm.body();
        let line = text.lines().find(|line| line.starts_with("To take it, ")).expect("a link");
        let (_, path) = line.split_once(&format!("http://127.0.0.1:{}", self.port)).unwrap();
        path.trim().to_owned()
    }
}

#[test]
fn the_link_of_an_alarm_shows_when_it_is_opened_and_takes_when_the_button_is_pressed() {
    let served = Served::start(SHORT, "");
    let link = served.link();
    for _ in 0..2 {
        let shown = served.get(&link, &[]);
        assert_eq!(shown.status, 200, "{shown:?}");
        assert!(shown.body.contains("<form method=\"post\">"), "{}", shown.body);
        assert!(shown.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    }
    assert_eq!(served.incident()["state"], "open", "a mail scanner has opened it, no more");

    let other = link.replace("/a/", "/a/1");
    let forged = link.replace("channel=backup-mail", "channel=phone");
    for wrong in [&other, &forged, link.split('?').next().unwrap()] {
        assert_eq!(served.get(wrong, &[]).status, 403, "{wrong}");
        assert_eq!(served.post(wrong, &[], "by=Eve").status, 403, "{wrong}");
    }
    assert_eq!(served.incident()["state"], "open");

    let taken = served.post(&link, &[], "by=Anna+%3Cb%3E");
    assert_eq!(taken.status, 200, "{taken:?}");
    assert!(taken.body.contains("Anna &lt;b&gt; has taken incident"), "{}", taken.body);
    let incident = served.incident();
    assert_eq!(
        (&incident["state"], &incident["acknowledged_by"]),
        (&"acknowledged".into(), &"Anna <b>".into())
    );
    let told =
        || alarms(&served.servers.sink).into_iter().find(|mail| mail.subject().starts_with("Taken by "));
    wait_for(SOON, told).expect("those who had the alarm hear of it").assert_nothing_says_nok();

    let feeder = served.servers.feed(&["bresse1"]);
    served.servers.expect("bresse1_Checker.OK", SOON).assert_nothing_says_nok();
    assert_eq!(served.post(&link, &[], "by=Anna").status, 409, "there is nothing left to take");
    drop(feeder);
    assert_eq!(served.daemon.terminate(), 0);
}

#[test]
fn nobody_gets_in_without_a_token_nor_farther_than_its_role() {
    let served = Served::start(SHORT, "");
    let get = |headers: &[&str]| served.get("/api/v1/last-seen", headers).status;
    assert_eq!(get(&[]), 401);
    assert_eq!(get(&["Authorization: Bearer wrong"]), 401);
    assert_eq!(get(&["Authorization: Basic cml0YTp4"]), 401);
    assert_eq!(get(&[&bearer("rita")]), 200);
    let table: Value =
        serde_json::from_str(&served.get("/api/v1/last-seen", &[&bearer("rita")]).body).unwrap();
    assert_eq!(table["checkers"][0]["name"], "bresse1");

    served.servers.expect("bresse1_Checker.NOK", SOON);
    let id = served.incident()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/incidents/{id}/ack");
    assert_eq!(served.post(&path, &[&bearer("rita")], "").status, 403);
    let refused = served.post(&path, &[&bearer("anne")], "{\"for\":\"never\"}");
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(served.post(&path, &[&bearer("anne")], "{\"for\":\"1h\",\"note\":\"driving\"}").status, 200);
    let incident = served.incident();
    assert_eq!((&incident["acknowledged_by"], &incident["note"]), (&"anne".into(), &"driving".into()));

    // A person.
    let asked = served.get("/api/v1/last-seen", &["Accept: text/html"]);
    assert_eq!((asked.status, asked.header("location")), (303, Some("/login")));
    assert_eq!(served.get("/login", &[]).status, 200);
    assert_eq!(served.post("/login", &[], "token=wrong").status, 401);
    let form = format!("token={}", secret("anne").replace(' ', "+"));
    assert_eq!(served.post("/login", &["Sec-Fetch-Site: cross-site"], &form).status, 403);
    let cookie = served.log_in("anne");
    assert_eq!(get(&[&cookie]), 200);
    assert_eq!(served.post(&path, &[&cookie, "Sec-Fetch-Site: same-origin"], "").status, 200);
    assert_eq!(served.post(&path, &[&cookie, "Sec-Fetch-Site: cross-site"], "").status, 403);
    assert_eq!(get(&[&cookie.replace(".", ".1")]), 401);

    let too_long = "x".repeat(100_000);
    assert_eq!(served.post("/login", &[], &format!("token={too_long}")).status, 413);
    assert_eq!(served.daemon.terminate(), 0);
}

#[test]
fn it_is_healthy_while_it_judges_also_when_it_judges_that_it_is_blind() {
    let served = Served::start(USUAL, "");
    let healthy = || Some(served.get("/healthz", &[])).filter(|answer| answer.status == 200);
    wait_for(SOON, healthy).expect("the first look is judged");
    served.servers.wait(served.servers.imap.stop()).unwrap();
    served.servers.expect("MONITOR_Mailbox.NOK", SOON);
    assert!(healthy().is_some(), "{:?}", served.get("/healthz", &[]));
    assert_eq!(served.daemon.terminate(), 0);
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart_and_one_that_is_none_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("server.pem"), folder.path().join("server.key")];
    let authority = || {
        let authority = Authority::new(folder.path());
        (authority, fs::read(folder.path().join("ca.pem")).unwrap())
    };
    let (first, trusted_first) = authority();
    first.server_certificate(false);
    let tls =
        format!("tls = {{ certificate = \"{}\", key = \"{}\" }}", paths[0].display(), paths[1].display());
    let served = Served::start(USUAL, &tls);
    let trusts = |authority: &[u8]| {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, served.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut stream = tls_over(stream, authority);
        stream.conn.complete_io(&mut stream.sock).ok()?;
        Some(ask_over(stream, "GET /login", &[], "").status)
    };
    assert_eq!(trusts(&trusted_first), Some(200));
    let (second, trusted_second) = authority();
    fs::write(&paths[0], "no certificate").unwrap();
    let said = || served.daemon.log().contains("cannot be used; the old one goes on").then_some(());
    wait_for(SOON, said).expect("it says so");
    assert_eq!(trusts(&trusted_first), Some(200));
    second.server_certificate(false);
    wait_for(SOON, || trusts(&trusted_second)).expect("the new one is shown");
    assert_eq!(trusts(&trusted_first), None);
    assert_eq!(served.daemon.terminate(), 0);
}

#[test]
fn the_api_tells_what_the_commands_tell_and_carries_out_orders() {
    let served = Served::start(USUAL, "");
    served.servers.report("bresse1");
    let told = |path: &str| {
        let answer = served.get(&format!("/api/v1{path}"), &[&bearer("rita")]);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path} {answer:?}");
        (answer.status, serde_json::from_str::<Value>(&answer.body).unwrap())
    };
    let heard = || Some(told("/reports?checker=BRESSE1")).filter(|(_, list)| list["reports"][0].is_object());
    let (_, list) = wait_for(SOON, heard).expect("the report is read");
    assert_eq!(list["reports"][0]["mail"]["checker"], "bresse1");
    assert_eq!(told("/last-seen").1["checkers"][0]["state"], "ok");
    assert_eq!(told("/last-seen?as_of=-2h").1["checkers"][0]["last_received"], Value::Null);
    assert_eq!(told("/matrix").1["services"][0]["name"], "MSSQL1_Service");
    assert_eq!(told("/checkers").1["checkers"][0]["cycle_s"], 300.0);
    let (status, one) = told("/checkers/bresse1");
    assert_eq!((status, &one["deadline"]["total_s"]), (200, &serde_json::json!(360.4)));
    assert!(one["explanation"].as_str().unwrap().starts_with("bresse1 (provider-of-bresse1) is ok."));
    for (path, status) in [
        ("/checkers/bresse7", 404),
        ("/reports?checker=bresse7", 404),
        ("/incidents/20261120-1", 404),
        ("/nothing", 404),
        ("/last-seen?as_of=yesterday", 400),
        ("/last-seen?as_of=-99999999999999999999d", 400),
        ("/matrix?as_off=-1h", 400),
        ("/reports", 400),
        ("/audit?to=tomorrow", 400),
        ("/audit?until=-1h", 400),
        ("/drills?channel=phone", 400),
        ("/reports?checker=bresse1&limit=-1", 400),
    ] {
        assert_eq!(told(path).0, status, "{path}");
    }

    let order = |method: &str, path: &str, name: &str, body: &str| {
        ask(served.port, &format!("{method} /api/v1{path}"), &[&bearer(name)], body)
    };
    let silence = "{\"checkers\":[\"bresse1\"],\"for\":\"2h\",\"note\":\"moving\"}";
    assert_eq!(order("POST", "/silences", "anne", silence).status, 403);
    assert_eq!(order("POST", "/silences", "adam", "{\"for\":\"2h\"}").status, 400);
    assert_eq!(order("POST", "/silences", "adam", silence).status, 200);
    let kept = told("/silences").1["silences"][0].clone();
    assert_eq!((&kept["by"], &kept["note"]), (&"adam".into(), &"moving".into()));
    assert_eq!(order("DELETE", &format!("/silences/{}", kept["id"]), "adam", "").status, 200);
    assert_eq!(told("/silences").1["silences"], Value::Array(vec![]));
    assert_eq!(order("DELETE", "/silences/x", "adam", "").status, 400);
    assert_eq!(order("POST", "/incidents/20261120-9/resolve", "adam", "").status, 409);
    assert_eq!(served.daemon.terminate(), 0);
}

#[test]
fn an_address_in_use_keeps_nobody_from_watching_and_each_reload_listens_again() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut served = Served::on(taken.local_addr().unwrap().port(), SHORT, "", &["-v", "run"]);
    served.servers.expect("bresse1_Checker.NOK", SOON);
    let log = served.daemon.log();
    assert!(log.contains("nothing is served over HTTP") && log.contains("cannot be listened on"), "{log}");
    drop(taken);
    for number in 0..5 {
        let name = format!("newcomer{number}");
        served.reload(|text| text + &token(&name, "read"));
        let listens = TcpStream::connect((Ipv4Addr::LOCALHOST, served.port)).is_ok();
        assert!(listens, "reload {number}\n{}", served.daemon.log());
        assert_eq!(served.get("/api/v1/checkers", &[&bearer(&name)]).status, 200);
    }
    assert_eq!(served.daemon.terminate(), 0);
}

/// Reads until this was said.
fn hear(stream: &mut TcpStream, wanted: &str) {
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(wanted) {
        let mut byte = [0];
        let read = stream.read(&mut byte).unwrap_or_else(|error| panic!("{error}: {heard:?}"));
        assert!(read > 0, "it ends without {wanted}: {}", String::from_utf8_lossy(&heard));
        heard.push(byte[0]);
    }
}

fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_reload_breaks_nothing_off_sends_viewers_on_and_shuts_out_whose_token_is_gone() {
    let mut served = Served::on(free_port(), USUAL, "", &["-v", "run"]);
    let order = |served: &Served, name: &str| {
        let mut stream = served.said(&format!(
            "POST /api/v1/incidents/20261120-9/ack HTTP/1.1\r\nHost: watch.example\r\n{}\r\nContent-Length: 2\r\n\
             Connection: close\r\nExpect: 100-continue\r\n\r\n",
            bearer(name)
        ));
        hear(&mut stream, "100 Continue\r\n\r\n");
        stream.write_all(b"{").unwrap();
        stream
    };
    let finished = |mut stream: TcpStream| {
        stream.write_all(b"}").unwrap();
        rest(stream)
    };
    let cookie = served.log_in("rita");
    let mut live = served.said(&format!("GET /live HTTP/1.1\r\nHost: watch.example\r\n{cookie}\r\n\r\n"));
    hear(&mut live, "event: beat");
    let asked = format!("GET /api/v1/checkers HTTP/1.1\r\nHost: watch.example\r\n{}\r\n\r\n", bearer("rita"));
    let mut kept = served.said(&asked);
    hear(&mut kept, "\"checkers\"");
    let in_flight = order(&served, "anne");

    served.reload(|text| text.replace(&token("rita", "read"), ""));
    let answer = finished(in_flight);
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    hear(&mut live, "event: again");
    kept.write_all(asked.as_bytes()).unwrap();
    hear(&mut kept, "401 Unauthorized");
    assert_eq!(served.get("/api/v1/checkers", &[&cookie]).status, 401);
    assert_eq!(served.get("/api/v1/checkers", &[&bearer("anne")]).status, 200);

    // To another address.
    let (in_flight, left) = (order(&served, "anne"), served.port);
    served.port = free_port();
    let port = served.port;
    served.reload(|text| {
        text.replace(&format!("listen = \"127.0.0.1:{left}\""), &format!("listen = \"127.0.0.1:{port}\""))
    });
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, left)).is_err(), "nobody listens there any more");
    let answer = finished(in_flight);
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    assert_eq!(served.get("/api/v1/checkers", &[&bearer("anne")]).status, 200);
    assert_eq!(served.daemon.terminate(), 0);
}

#[test]
fn whoever_logs_out_is_out_with_every_copy_of_the_cookie_also_after_a_restart() {
    let served = Served::start(USUAL, "");
    let port = served.port;
    let status = |cookie: &str| ask(port, "GET /api/v1/checkers", &[cookie], "").status;
    let (cookie, other) = (served.log_in("anne"), served.log_in("anne"));
    assert_ne!(cookie, other);
    let mut live = served.said(&format!("GET /live HTTP/1.1\r\nHost: watch.example\r\n{cookie}\r\n\r\n"));
    hear(&mut live, "event: beat");
    assert_eq!(served.post("/logout", &[&cookie, "Sec-Fetch-Site: cross-site"], "").status, 403);
    assert_eq!((status(&cookie), status(&other)), (200, 200));
    let out = served.post("/logout", &[&cookie, "Sec-Fetch-Site: same-origin"], "");
    assert_eq!((out.status, out.header("location")), (303, Some("/")));
    assert_eq!((status(&cookie), status(&other)), (401, 200));
    rest(live);
    let Served { watchdog, daemon, servers: _servers, .. } = served;
    assert_eq!(daemon.terminate(), 0);
    let daemon = watchdog.spawn_run();
    wait_for(SOON, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()).expect("it listens");
    assert_eq!((status(&cookie), status(&other)), (401, 200));
    assert_eq!(daemon.terminate(), 0);
}

/// How often each status was answered to so many requests, one after the other without waiting.
fn flood(port: u16, path: &str, requests: usize) -> BTreeMap<u16, usize> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: watch.example\r\n");
    let last = format!("{request}Connection: close\r\n\r\n");
    let text = format!("{request}\r\n").repeat(requests - 1) + &last;
    let writing = std::thread::spawn(move || writer.write_all(text.as_bytes()).unwrap());
    let mut answered = BTreeMap::new();
    for answer in rest(stream).split("HTTP/1.1 ").skip(1) {
        let status = answer.split(' ').next().unwrap().parse().unwrap();
        *answered.entry(status).or_default() += 1;
        if status == 429 {
            let whole = ["retry-after: 1\r\n", "content-security-policy: ", "200 a second"];
            assert!(whole.iter().all(|part| answer.contains(part)), "{answer}");
        }
    }
    writing.join().unwrap();
    answered
}

#[test]
fn whoever_asks_without_end_is_told_to_wait_and_neither_load_balancers_nor_others_are() {
    let served = Served::start(USUAL, "lb_from = \"127.0.0.1\"");
    let balancer = || flood(served.port, "/lb/all", 2_500);
    assert_eq!(balancer(), BTreeMap::from([(200, 2_500)]));
    let answered = flood(served.port, "/api/v1/openapi.json", 2_001);
    assert_eq!(answered.values().sum::<usize>(), 2_001);
    let refused = || flood(served.port, "/nothing", 2_000).get(&429).copied();
    wait_for(SOON, refused).expect("2,000 at once and 200 a second are let through, and no more");
    assert_eq!(balancer(), BTreeMap::from([(200, 2_500)]));
    let other = served.servers.wait(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 3], 0))).unwrap();
        socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, served.port))).await
    });
    let other = other.unwrap().into_std().unwrap();
    other.set_nonblocking(false).unwrap();
    assert_eq!(ask_over(other, "GET /login", &[], "").status, 200);
    let again = || Some(served.get("/login", &[])).filter(|answer| answer.status == 200);
    wait_for(SOON, again).expect("after a while it is answered again");
    assert_eq!(served.daemon.terminate(), 0);
}

#[test]
fn an_admin_silences_and_resolves_by_forms_that_others_neither_see_nor_may_send() {
    let served = Served::start(SHORT, "");
    served.servers.expect("bresse1_Checker.NOK", SOON);
    let id = served.incident()["id"].as_str().unwrap().to_owned();
    let (adam, anne) = (served.log_in("adam"), served.log_in("anne"));
    let seen = |path: &str, cookie: &str| {
        let page = served.get(path, &[cookie]);
        assert_eq!(page.status, 200, "{path} {page:?}");
        page.body
    };
    let own = "Sec-Fetch-Site: same-origin";
    let send = |path: &str, cookie: &str, form: &str| served.post(path, &[cookie, own], form);
    let silence = "checker=bresse1&service=ESHOP_Service&service=MSSQL1_Service&for=2h&note=moving+%3Cb%3E";
    assert!(!seen("/silences", &anne).contains("action=\"/silences"));
    assert_eq!(send("/silences", &anne, silence).status, 403);
    assert!(seen("/silences?checker=bresse1", &adam).contains("value=\"bresse1\" checked"));
    assert_eq!(served.post("/silences", &[&adam, "Sec-Fetch-Site: cross-site"], silence).status, 403);
    for wrong in
        ["checker=bresse1&for=2h", "for=2h&note=x", "checker=bresse1&for=never&note=x", "all=yes&note=x"]
    {
        assert_eq!(send("/silences", &adam, wrong).status, 400, "{wrong}");
    }
    assert_eq!(send("/silences", &adam, "checker=bresse7&for=2h&note=x").status, 409);
    let sent = send("/silences", &adam, silence);
    assert_eq!((sent.status, sent.header("location")), (303, Some("/silences")), "{sent:?}");
    let listed: Value =
        serde_json::from_str(&served.get("/api/v1/silences", &[&bearer("rita")]).body).unwrap();
    let listed = &listed["silences"][0];
    assert_eq!((&listed["by"], &listed["note"]), (&"adam".into(), &"moving <b>".into()));
    assert_eq!(listed["silenced"]["services"], serde_json::json!(["ESHOP_Service", "MSSQL1_Service"]));
    assert!(seen("/", &anne).contains("silenced by adam: moving &lt;b&gt;"));
    assert_eq!(send(&format!("/silences/{}/end", listed["id"]), &anne, "").status, 403);
    assert_eq!(send(&format!("/silences/{}/end", listed["id"]), &adam, "").status, 303);
    assert!(seen("/silences", &anne).contains("Nothing is silenced"));

    let (path, form) = (format!("/incident/{id}/resolve"), "note=it+is+sold");
    assert!(!seen(&format!("/incident/{id}"), &anne).contains("/resolve"));
    assert!(seen(&format!("/incident/{id}"), &adam).contains(&path));
    assert_eq!(send(&path, &anne, form).status, 403);
    assert_eq!(send(&path, &adam, "note=+").status, 400);
    assert_eq!(send(&path, &adam, form).status, 303);
    assert_eq!(send(&path, &adam, form).status, 409);
    let over = seen(&format!("/incident/{id}"), &adam);
    assert!(over.contains("it is sold") && !over.contains("/resolve\""), "{over}");
    assert!(seen("/incidents", &anne).contains(&format!("/incident/{id}\"")));
    let told = |path: &str| {
        let answer = served.get(&format!("/api/v1/incidents{path}"), &[&bearer("rita")]);
        (answer.status, serde_json::from_str::<Value>(&answer.body).unwrap())
    };
    let (_, closed) = told("/closed");
    assert_eq!(
        (&closed["incidents"][0]["id"], &closed["incidents"][0]["state"]),
        (&id.as_str().into(), &"closed".into())
    );
    assert_eq!(told(&format!("/closed?before={id}")).1, serde_json::json!({ "incidents": [] }));
    assert_eq!((told("/closed?before=x").0, told("/x/messages").0), (404, 404));
    let delivered = || {
        let (_, told) = told(&format!("/{id}/messages"));
        let messages = told["messages"].as_array().unwrap().clone();
        messages.iter().all(|message| message["state"] == "delivered").then_some(messages)
    };
    let messages = wait_for(SOON, delivered).expect("all is delivered");
    assert_eq!(messages[0]["recipient"], "oncall@elsewhere.example", "{messages:?}");
    assert!(messages[0]["subject"].as_str().unwrap().starts_with("bresse1_Checker.NOK"));
    assert!(messages.last().unwrap()["subject"].as_str().unwrap().starts_with("bresse1_Checker.OK"));
    assert_eq!(served.daemon.terminate(), 0);
}

#[test]
fn a_stranger_who_opens_all_the_connections_he_can_keeps_nobody_else_out() {
    let served = Served::start(USUAL, "");
    let from = |last: u8| {
        let connected = served.servers.wait(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(IpAddr::from([127, 0, 0, last]), 0)).unwrap();
            socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, served.port))).await
        });
        let stream = connected.unwrap().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    };
    let _held: Vec<TcpStream> = (0..768).map(|_| from(2)).collect();
    let one_more = from(2).read(&mut [0]);
    assert!(matches!(one_more, Ok(0)), "it is closed at once: {one_more:?}");
    assert_eq!(ask_over(from(3), "GET /login", &[], "").status, 200);
    assert_eq!(served.daemon.terminate(), 0);
}

#[test]
fn a_mail_full_of_markup_escapes_and_formulas_is_text_wherever_it_is_shown() {
    let times = "cycle = \"5m\"\nmail_path_margin = \"60s\"\nfindings = { UNKNOWN_SERVICE = \"alarm\" }\n";
    let served = Served::on(free_port(), times, "", &["-vv", "--log", "json", "run"]);
    let (markup, formula, escape) = (
        "<script>alert(1)</script>",
        "=HYPERLINK(\"http://evil.example\")",
        "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}x",
    );
    let mail = format!(
        "From: \"{markup}{escape}\" <bresse1@checker.example>\r\nTo: bresse1+monitor@domain.com\r\n\
         Subject: {formula} {markup} {escape} DRYRUN.OK MSSQL1_Service.OK ESHOP_Service.OK\r\n\
         Date: {}\r\nMessage-ID: <{markup}{escape}@checker.example>\r\nAuto-Submitted: auto-generated\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n\
         [{markup}.OK]\r\n[{formula}.OK]\r\n[{escape}.OK]\r\n[@SUM(1+1)|cmd.OK]\r\n",
        chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S +0000"),
    );
    let file = served.watchdog.path("hostile.eml");
    fs::write(&file, &mail).unwrap();
    served.servers.mails.append("INBOX", mail, chrono::Utc::now());
    let asked = |path: &str| {
        let answer = served.get(&format!("/api/v1{path}"), &[&bearer("rita"), "Accept: text/html"]);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        (serde_json::from_str::<Value>(&answer.body).unwrap(), answer.body)
    };
    let read = || Some(asked("/reports?checker=bresse1").1).filter(|list| list.contains("uid"));
    let reports = wait_for(SOON, read).expect("the mail is read");
    assert!(reports.contains("owned"), "it says that: {reports}");
    let alarm = served.servers.expect("bresse1_Report.NOK", SOON);
    let api = ["/last-seen", "/matrix", "/incidents?since=-1h", "/checkers/bresse1", "/silences"]
        .map(|path| asked(path).1);
    let printed = |arguments: &[&str]| {
        let finished = served.watchdog.run(arguments);
        assert_eq!(finished.status, 0, "{arguments:?} {}", finished.stderr);
        finished.stdout
    };
    let explained = printed(&["explain", "--mail", &file.display().to_string()]);
    assert!(explained.contains("alert(1)") && explained.contains("HYPERLINK"), "{explained}");
    let tables = ["last-seen", "matrix", "incidents"].map(|command| printed(&[command]));
    let shown =
        [alarm.subject(), alarm.body().replace('\r', ""), explained, printed(&["explain", "bresse1"])];
    for text in shown.iter().chain(&tables).chain(&api).chain([&reports]) {
        let wild = text.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
        let json = text.starts_with('{');
        assert!(wild.is_none() || json && wild == Some('\u{202e}'), "{wild:?} in {text:?}");
    }
    let incident = format!("/incident/{}", served.incident()["id"].as_str().unwrap());
    for path in ["/", "/checker/bresse1", &incident] {
        let page = served.get(path, &[&bearer("rita"), "Accept: text/html"]);
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{path} {page:?}");
        assert!(
            !page.body.contains("<script>alert") && !page.body.contains("\"http://evil"),
            "{}",
            page.body
        );
        let wild = page.body.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
        assert_eq!(wild, None, "{path}");
        assert!(page.body.contains("owned") || path != "/checker/bresse1", "it says that: {}", page.body);
    }
    for command in ["last-seen", "matrix", "incidents"] {
        let text = printed(&[command, "--format", "csv"]);
        assert_cells_are_text(&text);
    }
    assert_cells_are_text(&printed(&["audit", "export", "--format", "csv"]));
    let log = served.daemon.log();
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok() && !line.contains('\u{1b}'), "{line:?}");
    }
    assert_eq!(served.daemon.terminate(), 0);
}

/// No spreadsheet takes a cell of it for a formula, and no terminal takes a character for an order.
fn assert_cells_are_text(text: &str) {
    for record in csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes()).records() {
        for cell in &record.unwrap() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t']), "{cell:?}");
            assert!(!cell.contains(|c: char| c.is_control() || c == '\u{202e}'), "{cell:?}");
        }
    }
}

#[test]
fn the_api_tells_the_ledger_and_begins_a_drill_that_the_ledger_then_tells_of() {
    let served = Served::start(USUAL, "");
    let told = |path: &str| {
        let answer = served.get(&format!("/api/v1{path}"), &[&bearer("rita")]);
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    let order =
        |name: &str, body: &str| ask(served.port, "POST /api/v1/drills", &[&bearer(name)], body).status;
    let head = || Some(told("/audit/head")).filter(|head| head["head"].is_string());
    let head = wait_for(SOON, head).expect("the first entries are stored");
    let ledger = |query: &str| told(&format!("/audit?{query}"))["entries"].as_array().unwrap().clone();
    let entries = ledger("limit=1000000");
    let newest = entries.iter().find(|entry| entry["seq"] == head["seq"]).expect("the head is an entry");
    assert_eq!(head["head"], format!("{}:{}", newest["seq"], newest["hash"].as_str().unwrap()));
    assert_eq!((&entries[0]["seq"], &entries[0]["kind"]), (&1.into(), &"start".into()));
    let exported = served.watchdog.run(&["audit", "export", "--format", "json"]).stdout;
    let exported: Value = serde_json::from_str(&exported).unwrap();
    assert!(exported["entries"].as_array().unwrap().starts_with(&entries));
    assert_eq!(ledger("limit=2").len(), 2);
    assert_eq!(ledger("to=-1h").len(), 0);
    assert!(ledger("from=-1h&limit=1")[0]["seq"].as_i64() >= entries.last().unwrap()["seq"].as_i64());

    assert_eq!(order("anne", ""), 403);
    assert_eq!(order("adam", "{\"chanel\":\"phone\"}"), 400);
    assert_eq!(order("adam", "{\"channel\":\"phone\"}"), 409);
    assert_eq!(told("/drills"), serde_json::json!({ "chains": [] }));
    assert_eq!(order("adam", "{\"channel\":\"backup-mail\"}"), 200);
    let link = served.servers.expect("MONITOR_Drill.NOK", SOON);
    let link = link
        .body()
        .lines()
        .find_map(|line| line.split_once(&format!(":{}/", served.port)))
        .map(|(_, path)| format!("/{}", path.trim()))
        .expect("a link");
    assert_eq!(served.post(&link, &[], "by=Anna").status, 200);
    let chain = told("/drills")["chains"][0].clone();
    assert_eq!((&chain["channel"], chain["proved"].is_string()), (&"backup-mail".into(), true), "{chain}");
    let proved = ledger("limit=1000").into_iter().filter(|entry| {
        entry["kind"] == "step" && entry["content"].as_str().unwrap().contains("\"what\":\"proved\"")
    });
    assert_eq!(proved.count(), 1);
    assert_eq!(served.daemon.terminate(), 0);
}
