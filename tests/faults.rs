//! The whole shell against embedded servers that misbehave on cue: no mail is lost or doubled, nobody is alarmed for
//! nothing, and nothing that is wrong goes unsaid.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod rig;

#[path = "faults/delivery.rs"]
mod delivery;
#[path = "faults/digests.rs"]
mod digests;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/drill.rs"]
mod drill;
#[path = "faults/heartbeat.rs"]
mod heartbeat;
#[path = "faults/memory.rs"]
mod memory;
#[path = "faults/orders.rs"]
mod orders;
#[path = "faults/outages.rs"]
mod outages;
#[path = "faults/own_time.rs"]
mod own_time;
#[path = "faults/places.rs"]
mod places;
#[path = "faults/process.rs"]
mod process;
#[path = "faults/reading.rs"]
mod reading;
#[path = "faults/world.rs"]
mod world;

/// They mostly wait, and a machine with two cores would run them two at a time. The name sorts first, so that they begin
/// while the others run.
#[test]
fn all_that_takes_its_time_holds_too() {
    let rows: Vec<(&str, fn())> = vec![
        (
            "fallback after three failures",
            delivery::an_alarm_that_fails_again_and_again_goes_through_the_fallback_too,
        ),
        (
            "bad mail servers",
            delivery::an_alarm_survives_whatever_happens_to_its_first_attempt_and_its_recovery_follows,
        ),
        (
            "two mailboxes",
            places::a_checker_is_heard_through_both_mailboxes_and_one_blind_does_not_make_it_silent,
        ),
        ("a folder that does not exist", places::a_folder_that_does_not_exist_is_named_with_those_that_do),
        ("a clock that is off", own_time::a_server_whose_clock_is_an_hour_ahead_is_alarmed_until_it_agrees),
        ("a digest", digests::a_digest_comes_once_at_its_time_and_a_missed_one_at_the_next_start),
        ("throttled", outages::a_throttling_server_is_left_alone_for_as_long_as_it_asks),
        ("a shorter cycle", process::a_shorter_cycle_does_not_judge_the_past_but_the_next_mail_counts_by_it),
        (
            "SIGHUP",
            process::a_new_configuration_is_in_force_after_sighup_and_ends_the_alarm_of_who_was_removed,
        ),
    ];
    world::at_once(rows, |test| test());
}
