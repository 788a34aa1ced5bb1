//! Channels that are not mail, against far sides that misbehave on cue, and against a real Alertmanager: every alarm and
//! every recovery arrives, none is doubled where all is well, and a channel that takes nothing is alarmed by the others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

#[path = "channels/alertmanager.rs"]
mod alertmanager;
#[path = "channels/commands.rs"]
mod commands;
#[path = "channels/faults.rs"]
mod faults;
#[path = "channels/hook.rs"]
mod hook;
#[path = "faults/world.rs"]
#[allow(dead_code, reason = "another binary uses the rest")]
mod world;
