//! What is delivered beside the program: the systemd unit and its sandbox, the policy of dependencies.

// An integration test's helpers are not test functions to clippy.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const UNIT: &str = "deploy/bresse-watchdog.service";
/// As systemd 252 rates it; 0 is nothing allowed at all, 10 everything.
const EXPOSURE_MAX: f32 = 1.1;
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn at_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(at_root(path)).unwrap()
}

#[test]
fn the_units_sandbox_is_as_tight_as_it_is_said_to_be() {
    let rated = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(at_root(UNIT))
        .output()
        .expect("systemd-analyze is needed: tests/run installs it");
    let (out, complaints) = (String::from_utf8_lossy(&rated.stdout), String::from_utf8_lossy(&rated.stderr));
    let said = out.lines().find_map(|line| line.split_once("Overall exposure level for "));
    let number = said
        .and_then(|(_, rest)| rest.split_whitespace().nth(1))
        .unwrap_or_else(|| panic!("{out}{complaints}"));
    assert!(number.parse::<f32>().unwrap() <= EXPOSURE_MAX, "{out}");
    for place in [UNIT, "docs/threats.md"] {
        assert!(read(place).contains(&format!("{EXPOSURE_MAX:.1}")), "{place} does not tell the rating");
    }
    // Keys of systemd 254, which older ones pass over.
    let known = ["RestartSteps", "RestartMaxDelaySec"];
    let misspelt = complaints.lines().find(|line| !known.iter().any(|key| line.contains(key)));
    assert_eq!(misspelt, None, "systemd does not understand the unit");
}

/// What keeps a process that was taken over from leaving its place. The rating alone would let one of them go for another.
#[test]
fn the_unit_asks_for_each_of_these() {
    let unit = read(UNIT);
    for line in [
        "Type=notify",
        "DynamicUser=yes",
        "StateDirectoryMode=0700",
        "UMask=0077",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "PrivateUsers=yes",
        "MemoryDenyWriteExecute=yes",
        "RestrictNamespaces=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources @debug",
        "NoExecPaths=/var /var/lib/private/bresse-watchdog /run /tmp /dev/shm",
        "LimitCORE=0",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line} is missing");
    }
}

/// The crates that `.deny.toml` bans, and where crates may come from: what `cargo deny check bans sources` would find, as
/// far as the lock file alone tells it, so that nobody needs cargo-deny to see it.
#[test]
fn every_dependency_comes_from_the_registry_and_none_is_banned() {
    let policy = read(".deny.toml");
    let (_, bans) = policy.split_once("[bans]").unwrap();
    let banned: BTreeSet<&str> =
        bans.lines().filter_map(|line| quoted_after(line.trim(), "{ crate = ")).collect();
    assert!(["openssl-sys", "native-tls", "ring"].iter().all(|name| banned.contains(name)), "{banned:?}");
    let lock = read("Cargo.lock");
    let packages: Vec<&str> = lock.split("[[package]]\n").skip(1).collect();
    assert!(packages.len() > 100);
    for package in packages {
        let value = |key: &str| package.lines().find_map(|line| quoted_after(line, key));
        let name = value("name = ").unwrap();
        match value("source = ") {
            Some(source) => {
                assert_eq!(source, REGISTRY, "{name}");
                assert!(value("checksum = ").is_some(), "{name} has no checksum");
            }
            None => assert_eq!(name, env!("CARGO_PKG_NAME"), "{name} comes from a folder"),
        }
    }
    let tree = tree();
    let found: Vec<&&str> = banned.iter().filter(|name| tree.contains(**name)).collect();
    assert!(found.is_empty(), "banned, and used: {found:?}");
}

fn quoted_after<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start)?.strip_prefix('"')?.split('"').next()
}

/// The names of all that is compiled on this platform, for the tests as well; the lock file also lists what others need.
fn tree() -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let text = String::from_utf8(tree.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}
