//! What machines ask the running daemon, by the machines themselves: Prometheus' own checker, a real HAProxy, scripts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

#[path = "machines/balancers.rs"]
mod balancers;
#[path = "machines/curves.rs"]
mod curves;
#[path = "machines/plugin.rs"]
mod plugin;
#[path = "machines/scripts.rs"]
mod scripts;
#[path = "machines/site.rs"]
mod site;
#[path = "faults/world.rs"]
#[allow(dead_code, reason = "another binary uses the rest")]
mod world;
