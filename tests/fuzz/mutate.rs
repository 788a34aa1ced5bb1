//! Inputs made from others.

use std::ops::Range;

use fastrand::Rng;

use crate::INPUT_BYTES_MAX;

/// What parsers are seldom asked.
const ODD: [&[u8]; 16] = [
    b"\0",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"\xff",
    b"\xc3",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    b"99999999999999999999",
    b"-1",
    b"4294967296",
    b"\"",
    b"\\",
    b"%",
    b"=?utf-8?B?",
    b"&#x110000;",
];
/// Most inputs have few changes, so that they get far.
const CHANGES_MAX: u32 = 8;
/// One in so many is blown up by repetition, to show what is not linear.
const BLOWN_UP: u32 = 16;

pub(crate) fn input(random: &mut Rng, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.u32(1..=CHANGES_MAX) {
        change(random, &mut input, corpus, words);
    }
    if random.u32(..BLOWN_UP) == 0 {
        blow_up(random, &mut input);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(random: &mut Rng, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str]) {
    let place = random.usize(..=input.len());
    match random.u32(..8) {
        0 if place < input.len() => input[place] = random.u8(..),
        1 if place < input.len() => input[place] ^= 1 << random.u32(..8),
        2 => drop(input.drain(part(random, input.len()))),
        3 => {
            let copy = input[part(random, input.len())].to_vec();
            input.splice(place..place, copy);
        }
        4 => {
            let other = &corpus[random.usize(..corpus.len())];
            let piece = &other[part(random, other.len())];
            input.splice(place..place, piece.iter().copied());
        }
        5 if !words.is_empty() => {
            input.splice(place..place, words[random.usize(..words.len())].bytes());
        }
        6 => input.truncate(place),
        _ => {
            input.splice(place..place, ODD[random.usize(..ODD.len())].iter().copied());
        }
    }
    input.truncate(INPUT_BYTES_MAX);
}

fn part(random: &mut Rng, length: usize) -> Range<usize> {
    let start = random.usize(..=length);
    start..(start + random.usize(..=64)).min(length)
}

fn blow_up(random: &mut Rng, input: &mut Vec<u8>) {
    let piece = input[part(random, input.len())].to_vec();
    if piece.is_empty() {
        return;
    }
    let place = random.usize(..=input.len());
    let times = (INPUT_BYTES_MAX - input.len().min(INPUT_BYTES_MAX)) / piece.len();
    input.splice(place..place, piece.repeat(times));
}
