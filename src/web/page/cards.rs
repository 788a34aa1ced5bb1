//! A table that becomes one card for each row where there is little room. The roles say what it is also then, when the
//! style makes blocks of its cells (CSS `display` takes the meaning of a table away).

use std::fmt::Write as _;

/// The beginning of a table up to its body. `heads` are HTML.
pub(super) fn head(class: &str, titled_by: &str, heads: &[&str]) -> String {
    let mut html = format!(
        "<table class=\"cards {class}\" role=\"table\" aria-labelledby=\"{titled_by}\">\n\
         <thead role=\"rowgroup\"><tr role=\"row\">"
    );
    for head in heads {
        let _ = write!(html, "<th scope=\"col\" role=\"columnheader\">{head}</th>");
    }
    html.push_str("</tr></thead>\n<tbody role=\"rowgroup\">");
    html
}

/// The first cell of a row; `name` is HTML.
pub(super) fn name(name: &str) -> String {
    format!("<th scope=\"row\" role=\"rowheader\">{name}</th>\n")
}

/// `label` stands before it on a card, where the head of its column is not seen; both are HTML.
pub(super) fn cell(class: &str, label: &str, content: &str) -> String {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let label = if label.is_empty() { String::new() } else { format!(" data-label=\"{label}\"") };
    format!("<td role=\"cell\"{class}{label}>{content}</td>\n")
}
