//! Several messages to one recipient, said in one.

use super::Message;
use crate::bulletin::Bulletin;
use crate::words::{self, Signature};

/// What is sent for `parts`, which are all alarms, all recoveries or all notices: itself for a single one; for several one
/// that lists them, under the token of the first of the most severe. None for none.
pub fn combined(parts: &[Message], by: Signature<'_>) -> Option<Message> {
    let known_by = parts.first()?;
    let [_, _, ..] = parts else { return Some(known_by.clone()) };
    let mut listed: Vec<&Message> = parts.iter().collect();
    listed.sort_by_key(|part| std::cmp::Reverse(part.bulletin.severity));
    let lead = *listed.first()?;
    let letter = words::combined(lead, &listed, by);
    Some(Message {
        id: known_by.id,
        bulletin: Bulletin::combined(&lead.bulletin, &listed),
        subject: letter.subject,
        body: letter.body,
        created: by.now,
        ..lead.clone()
    })
}
