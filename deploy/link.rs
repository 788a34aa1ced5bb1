//! Tells the linker what only the delivered program asks of it.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "so a build script talks with Cargo")]

fn main() {
    println!("cargo::rerun-if-changed=deploy/link.rs");
    // A megabyte of addresses to correct at the start becomes twenty kilobytes (DT_RELR). It needs glibc 2.36 (2022), and an
    // older linker warns and does without.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
