//! `/badge/{checker}.svg`: one checker's state in a small picture, for wikis and status pages.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::metrics::result_word;
use super::{Picture, Site};
use crate::clock;
use crate::text::escaped;
use crate::text::quoted;
use crate::verdict;
use crate::view::CheckerLine;

const NAME_CHARS_MAX: usize = 40;
/// Of Verdana at 11 px; a wider letter is twice as wide at most.
const CHAR_WIDTH: usize = 7;
const PADDING: usize = 12;

// White on each of these has a contrast of 4.5:1 or more.
const GREEN: &str = "#2e7d32";
const AMBER: &str = "#8a5a00";
const RED: &str = "#b3261e";
const GREY: &str = "#555";

pub(super) async fn badge(State(site): State<Arc<Site>>, Path(file): Path<String>) -> Response {
    let Ok(picture) = site.pictures.fresh(clock::now()).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "The daemon does not answer.\n").into_response();
    };
    match file.strip_suffix(".svg").and_then(|name| checker(&picture, name)) {
        Some(line) => ([(header::CONTENT_TYPE, "image/svg+xml")], drawn(line)).into_response(),
        None => (StatusCode::NOT_FOUND, "There is no such checker.\n").into_response(),
    }
}

fn checker<'a>(picture: &'a Picture, name: &str) -> Option<&'a CheckerLine> {
    picture.last_seen.checkers.iter().find(|line| line.name == name)
}

fn drawn(line: &CheckerLine) -> String {
    let bad = line.services.iter().filter(|one| matches!(result_word(one.result), "bad" | "missing")).count();
    let state = line.state.word();
    let (said, colour) = match (line.state, bad) {
        (verdict::State::Ok, 0) => (state.to_owned(), GREEN),
        (verdict::State::Ok | verdict::State::Late, 1) => (format!("{state}, 1 service down"), RED),
        (verdict::State::Ok | verdict::State::Late, 2..) => (format!("{state}, {bad} services down"), RED),
        (verdict::State::Late, 0) => (state.to_owned(), AMBER),
        (verdict::State::Silent, _) => (state.to_owned(), RED),
        (verdict::State::Waiting | verdict::State::Blind, _) => (state.to_owned(), GREY),
    };
    svg(&line.name, &said, colour)
}

fn svg(name: &str, said: &str, colour: &str) -> String {
    // XML 1.0, section 2.2: these are no characters.
    let name: String = name.chars().filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
    let name = quoted(&name, NAME_CHARS_MAX);
    let (left, right) = (width(&name), width(said));
    let (whole, middle_left, middle_right) = (left + right, left / 2, left + right / 2);
    let (name, said) = (escaped(&name), escaped(said));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{whole}\" height=\"20\" role=\"img\" \
         aria-label=\"{name}: {said}\">\n<title>{name}: {said}</title>\n\
         <rect width=\"{left}\" height=\"20\" fill=\"#333\"/>\n\
         <rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{colour}\"/>\n\
         <g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\" text-anchor=\"middle\">\n\
         <text x=\"{middle_left}\" y=\"14\">{name}</text>\n\
         <text x=\"{middle_right}\" y=\"14\">{said}</text>\n</g>\n</svg>\n"
    )
}

fn width(text: &str) -> usize {
    let letter = |c: char| if c.is_ascii() { CHAR_WIDTH } else { 2 * CHAR_WIDTH };
    PADDING + text.chars().map(letter).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_text() {
        let picture = svg("<script>\"&'\u{ffff}\n", "ok", GREEN);
        assert!(picture.contains("<title>&lt;script&gt;&quot;&amp;&#39;: ok</title>"), "{picture}");
        assert!(!picture.contains("<script") && !picture.contains('\u{ffff}'), "{picture}");
    }
}
