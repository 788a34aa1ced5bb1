//! The configuration as a tree in which every value knows where it comes from.
//!
//! None of these types has `Debug`: a tree holds secrets.

use std::collections::BTreeMap;

use super::report::Origin;

/// How deep tables and lists may lie in each other. The configuration itself needs five levels.
pub(super) const MAX_DEPTH: usize = 16;

pub(super) type Table = BTreeMap<String, Node>;

pub(super) struct Node {
    /// Of the key when the node stands in a table, of the value itself in a list.
    pub(super) origin: Origin,
    pub(super) content: Content,
}

pub(super) enum Content {
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// A date or time, as RFC 3339 text.
    Date(String),
    /// Something no key accepts: what it is, with its article.
    Other(&'static str),
    List(Vec<Node>),
    Table(Table),
}

impl Content {
    /// What it is, with its article, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::Date(_) => "a date",
            Self::Other(kind) => kind,
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}
