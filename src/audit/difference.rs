//! What changed between two objects of JSON, as texts: they are compared for every checker that a look was about, and
//! parsing them would cost more than all else that is stored of it.

/// The members of the object `now` that `before` does not have, or has with other values, as an object; empty when there
/// are none. Both are as `serde_json` writes them.
pub(crate) fn changed(before: &str, now: &str) -> String {
    let known = members(before);
    let mut changed = String::new();
    for (place, member) in members(now).into_iter().enumerate() {
        // Nearly always the same members stand in the same order.
        if known.get(place) != Some(&member) && !known.contains(&member) {
            changed.push(if changed.is_empty() { '{' } else { ',' });
            changed.push_str(member);
        }
    }
    if !changed.is_empty() {
        changed.push('}');
    }
    changed
}

/// Each with its key. None of what is no object.
fn members(object: &str) -> Vec<&str> {
    let Some(inner) = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Vec::new();
    };
    let (mut members, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    let (mut in_text, mut escaped) = (false, false);
    for (place, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                members.extend(inner.get(start..place));
                start = place + 1;
            }
            _ => {}
        }
    }
    members.extend(inner.get(start..).filter(|last| !last.is_empty()));
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_changed_is_told_with_its_key() {
        let before = json!({ "a": 1, "b": { "a": [1, 2], "c": "x,\"y\":}" }, "c": null, "d": "}\\" });
        for (now, expected) in [
            (before.clone(), json!(null)),
            (json!({ "a": 2, "b": before["b"], "c": null, "d": "}\\" }), json!({ "a": 2 })),
            (
                json!({ "a": 1, "b": { "a": [1, 3], "c": "x,\"y\":}" }, "c": null, "d": "{\\\"," }),
                json!({ "b": { "a": [1, 3], "c": "x,\"y\":}" }, "d": "{\\\"," }),
            ),
            // A member is not looked for inside another one, and one that is new is told.
            (json!({ "b": before["b"], "c": "x,\"y\":}", "é": [] }), json!({ "c": "x,\"y\":}", "é": [] })),
            (json!({}), json!(null)),
        ] {
            let changed = changed(&before.to_string(), &now.to_string());
            let told = if changed.is_empty() { json!(null) } else { serde_json::from_str(&changed).unwrap() };
            assert_eq!(told, expected, "{now}");
        }
    }

    #[test]
    fn of_what_is_no_object_everything_has_changed() {
        for before in ["", "null", "[1,2]", "{", "{}", "\"{\\\"a\\\":1}\""] {
            assert_eq!(changed(before, "{\"a\":1}"), "{\"a\":1}", "{before}");
        }
    }
}
