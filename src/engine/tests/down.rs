//! What load balancers and scripts are told, as the world goes on.

use super::*;
use crate::down::{Board, Doubt};
use crate::matrix::Matrix;
use crate::view::LastSeen;

impl World {
    fn board(&self, second: i64) -> Board {
        let (seen, matrix) = (LastSeen::of(&self.engine, at(second)), Matrix::of(&self.engine, at(second)));
        Board::of(&self.engine, &seen, &matrix)
    }

    /// Who is down in a group.
    fn down(&self, second: i64, group: &str, doubt: Doubt) -> Vec<String> {
        let board = self.board(second);
        let members = board.group(group).unwrap();
        members.iter().filter(|line| line.is_down(doubt)).map(|line| line.name.clone()).collect()
    }

    fn dead(&self, second: i64) -> Vec<String> {
        self.board(second).dead().map(|line| line.name.clone()).collect()
    }
}

fn one_checker() -> World {
    let mut config = config();
    config.checkers.truncate(1);
    World::new(config)
}

#[test]
fn a_group_is_all_or_a_provider_or_a_service_and_nothing_else() {
    let world = World::all_heard(0);
    let board = world.board(1);
    let names = |group: &str| board.group(group).map(|members| members.len());
    assert_eq!((names("all"), names("free"), names("SQL")), (Some(5), Some(1), Some(1)));
    assert_eq!((names("b1"), names("free2"), names("")), (None, None, None));
    for group in ["all", "free", "SQL"] {
        assert!(world.down(1, group, Doubt::Last).is_empty());
    }
}

#[test]
fn one_voice_is_not_enough_where_others_speak_and_two_providers_are() {
    let mut world = World::all_heard(0);
    world.report("b1", 100, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(100);
    assert!(world.down(100, "SQL", Doubt::Last).is_empty(), "the others have not looked since");
    assert_eq!(world.down(100, "SQL", Doubt::Down), ["SQL"]);
    world.report("b3", 110, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(110);
    assert_eq!(world.down(110, "SQL", Doubt::Up), ["SQL"]);
    assert_eq!(
        (world.down(110, "all", Doubt::Last), world.dead(110)),
        (vec!["SQL".to_owned()], vec!["SQL".to_owned()])
    );
    assert!(world.down(110, "free", Doubt::Last).is_empty(), "it is the service, not the way to it");
}

#[test]
fn where_nobody_else_can_say_one_voice_is_enough() {
    let mut world = one_checker();
    world.report("b1", 100, "DRYRUN.OK SQL.NOK SHOP.OK");
    world.look(100);
    assert_eq!(world.down(100, "SQL", Doubt::Up), ["SQL"]);
    world.hear("b1", 200);
    world.look(200);
    assert!(world.down(200, "SQL", Doubt::Down).is_empty());
}

#[test]
fn what_is_down_from_one_provider_alone_takes_that_provider_out_and_not_the_service() {
    let mut world = World::all_heard(0);
    world.report("b3", 100, "DRYRUN.OK SQL.NOK SHOP.OK");
    ["b1", "b2", "b4"].iter().for_each(|name| world.hear(name, 110));
    world.look(110);
    assert!(world.down(110, "SQL", Doubt::Down).is_empty());
    assert_eq!(world.down(110, "orange", Doubt::Up), ["orange"]);
    assert!(world.down(110, "sfr", Doubt::Down).is_empty());
}

#[test]
fn a_provider_is_down_when_none_of_its_checkers_is_heard_and_others_are() {
    let mut world = World::all_heard(0);
    ["b2", "b3", "b4"].iter().for_each(|name| world.hear(name, 390));
    world.look(DEADLINE + 1);
    assert_eq!(world.dead(DEADLINE + 1), ["b1"]);
    assert!(world.down(DEADLINE + 1, "free", Doubt::Down).is_empty(), "its other checker is heard");
    ["b2", "b4"].iter().for_each(|name| world.hear(name, 780));
    world.look(900);
    assert_eq!(world.down(900, "orange", Doubt::Up), ["orange"]);
    assert_eq!(world.dead(900), ["b1", "b3"]);
}

#[test]
fn when_the_mail_path_is_down_nothing_is_taken_out_of_service() {
    let mut world = World::all_heard(0);
    world.look(DEADLINE + 1);
    world.tick(DEADLINE + 1);
    assert_eq!(world.dead(DEADLINE + 1), ["b1", "b2", "b3", "b4"]);
    assert!(world.down(DEADLINE + 1, "all", Doubt::Last).is_empty());
    assert_eq!(world.down(DEADLINE + 1, "all", Doubt::Down), ["free", "orange", "sfr", "SQL", "SHOP"]);
}

#[test]
fn while_blind_everything_stays_as_it_was() {
    let mut world = World::all_heard(0);
    ["b1", "b3"].iter().for_each(|name| world.report(name, 100, "DRYRUN.OK SQL.NOK SHOP.OK"));
    world.look(100);
    assert_eq!(world.down(100, "all", Doubt::Last), ["SQL"]);
    // Nobody could look since.
    assert_eq!(world.state("b1", 900), State::Blind);
    assert_eq!(world.down(900, "all", Doubt::Last), ["SQL"]);
    assert_eq!(world.dead(900), ["SQL"]);
    assert!(world.down(900, "all", Doubt::Up).is_empty());
    assert_eq!(world.down(900, "all", Doubt::Down), ["free", "orange", "sfr", "SQL", "SHOP"]);
}
