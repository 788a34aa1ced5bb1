//! A store that is no file: what it would hold after each transaction.

use bresse_watchdog::engine::{Changes, Snapshot};

/// Writes what changed. Of what the file keeps for auditors alone, nothing is kept.
pub(crate) fn keep(disk: &mut Snapshot, changes: Changes) {
    disk.facts.extend(changes.checkers.into_iter().map(|row| (row.name, row.facts)));
    for name in &changes.removed {
        disk.facts.remove(name);
    }
    disk.mailboxes.extend(changes.mailboxes.into_iter().map(|row| (row.name, row.state)));
    for incident in changes.incidents {
        disk.last_incident = disk.last_incident.max(incident.number);
        disk.incidents.retain(|known| known.number != incident.number);
        if incident.closed.is_none() {
            disk.incidents.push(incident);
        }
    }
    for message in changes.messages {
        disk.last_message = disk.last_message.max(message.id);
        disk.messages.retain(|known| known.id != message.id);
        disk.messages.push(message);
    }
    for delivery in changes.deliveries {
        disk.messages.retain(|known| known.id != delivery.message.id);
    }
    disk.canary = changes.canary.unwrap_or(std::mem::take(&mut disk.canary));
    disk.drills = changes.drills.unwrap_or(std::mem::take(&mut disk.drills));
    for silence in changes.silences {
        disk.last_silence = disk.last_silence.max(silence.id);
        disk.silences.retain(|known| known.id != silence.id);
        disk.silences.push(silence);
    }
    disk.paces.extend(changes.paces);
    for (name, until) in changes.digests {
        match until {
            Some(until) => disk.digests.insert(name, until),
            None => disk.digests.remove(&name),
        };
    }
    disk.head_told = changes.head_told.or(disk.head_told);
}

/// What a new process finds.
pub(crate) fn found(disk: &Snapshot) -> Snapshot {
    Snapshot {
        facts: disk.facts.clone(),
        mailboxes: disk.mailboxes.clone(),
        canary: disk.canary.clone(),
        drills: disk.drills.clone(),
        incidents: disk.incidents.clone(),
        messages: disk.messages.clone(),
        paces: disk.paces.clone(),
        silences: disk.silences.clone(),
        link_key: disk.link_key.clone(),
        digests: disk.digests.clone(),
        ..*disk
    }
}
