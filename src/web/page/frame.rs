//! The frame around every page. Whatever was read in a mail goes through [`escaped`].

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::config::Role;
use crate::text::escaped;

/// Without the script a page is asked for again so often, in seconds.
const REFRESH_S: u32 = 30;

/// A name as one segment of a path, in an attribute.
pub(super) fn segment(name: &str) -> String {
    const KEPT: &[u8] = b"-._~";
    name.bytes().fold(String::with_capacity(name.len()), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || KEPT.contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
        path
    })
}

/// A page for somebody who has logged in.
pub(super) struct Frame<'a> {
    /// Of the watchdog.
    pub name: &'a str,
    pub title: &'a str,
    pub visitor: &'a str,
    pub role: Role,
    /// When it was made, in seconds since 1970: what the script compares its own clock with.
    pub at: i64,
    pub renewal: Renewal,
}

/// What becomes of a page without the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// The browser asks for it again by itself.
    Itself,
    /// Something is to be typed there, which would be lost.
    ByHand,
}

/// A whole page; `content` is HTML, `title` is text.
pub(in crate::web) fn page(status: StatusCode, title: &str, content: &str) -> Response {
    let title = escaped(title);
    let body = format!("<main class=\"slip\">\n<h1>{title}</h1>\n{content}</main>\n");
    (status, Html(document(&title, "", "", &body))).into_response()
}

/// A page that the script keeps up to date.
pub(super) fn framed(status: StatusCode, frame: &Frame<'_>, content: &str) -> Response {
    let Frame { name, title, visitor, at, .. } = frame;
    let (title, name) = (escaped(title), escaped(name));
    let role = match frame.role {
        Role::Read => "may look",
        Role::Acknowledge => "may take incidents",
        Role::Admin => "may do everything",
    };
    let (refresh, made) = match frame.renewal {
        Renewal::Itself => (
            format!("<noscript><meta http-equiv=\"refresh\" content=\"{REFRESH_S}\"></noscript>\n"),
            format!("made anew every {REFRESH_S} s"),
        ),
        Renewal::ByHand => (String::new(), "as it was when you opened it".to_owned()),
    };
    let head = format!("<script src=\"/assets/live.js\" defer></script>\n{refresh}");
    let body = format!(
        "<a class=\"skip\" href=\"#main\">Skip to what is wrong</a>\n\
         <header>\n<p class=\"brand\"><a href=\"/\">{name}</a></p>\n\
         <p id=\"live\" class=\"live\" role=\"status\"><noscript>{made}</noscript></p>\n\
         <nav aria-label=\"Pages\"><a href=\"/incidents\">Closed incidents</a> <a href=\"/silences\">Silences</a></nav>\n\
         <form method=\"post\" action=\"/logout\" class=\"visitor\"><span title=\"{role}\">{}</span> \
         <button class=\"quiet\">Log out</button></form>\n</header>\n\
         <p id=\"lost\" class=\"lost\" role=\"alert\" hidden></p>\n\
         <p id=\"news\" class=\"unseen\" aria-live=\"polite\"></p>\n\
         <main id=\"main\">\n{content}</main>\n",
        escaped(visitor)
    );
    let title = if title == name { title } else { format!("{title} · {name}") };
    (status, Html(document(&title, &head, &format!(" data-at=\"{at}\""), &body))).into_response()
}

fn document(title: &str, head: &str, attributes: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<link rel=\"stylesheet\" href=\"/assets/page.css\">\n\
         <link rel=\"icon\" href=\"/assets/icon.svg\" type=\"image/svg+xml\">\n{head}</head>\n\
         <body{attributes}>\n{body}</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped("<b a='1' c=\"2\">&"), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;");
    }

    #[test]
    fn a_name_stays_one_segment_of_a_path() {
        assert_eq!(segment("a/../é b?#\"<"), "a%2F..%2F%C3%A9%20b%3F%23%22%3C");
    }
}
