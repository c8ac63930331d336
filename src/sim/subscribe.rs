//! `event`, `nixevent`, `myevents`: what a connection listens to.

use std::collections::BTreeSet;

use super::command::{Login, Rights, split};
use super::core::World;
use super::event::Format;
use super::listener::Listener;
use super::names::{EventKind, KNOWN_SUBCLASSES};

/// `event plain|json|xml <names> [CUSTOM <subclasses>]`.
pub(super) fn subscribe(listener: &mut Listener, login: &Login, words: &str) -> String {
    let rights = match login {
        Login::User(Rights {
            events: Some(events),
            ..
        }) => Some(events),
        _ => None,
    };
    let (mut known, mut custom) = (false, false);
    for (index, word) in words.split(' ').enumerate() {
        if index == 0 {
            let format = match word.to_ascii_lowercase().as_str() {
                "plain" => Some(Format::Plain),
                "json" => Some(Format::Json),
                "xml" => Some(Format::Xml),
                _ => None,
            };
            if let Some(format) = format {
                listener.format = format;
                continue;
            }
        }
        if custom {
            if rights.is_some_and(|(_, subclasses)| !subclasses.contains(word)) {
                return "-ERR permission denied".to_owned();
            }
            listener.subclasses.insert(word.to_owned());
        } else if let Some(kind) = EventKind::from_name(word) {
            if rights.is_some_and(|(kinds, _)| !kinds.contains(kind)) {
                return "-ERR permission denied".to_owned();
            }
            known = true;
            if kind == EventKind::All {
                know_subclasses(listener, rights.map(|(_, subclasses)| subclasses));
            }
            listener.kinds.insert(kind);
            custom = kind == EventKind::Custom;
        }
    }
    if !known {
        return "-ERR no keywords supplied".to_owned();
    }
    listener.listening = true;
    format!("+OK event listener enabled {}", listener.format.word())
}

/// Who asks for all events is also given the subclasses that are known, or allowed, at that moment
/// (`set_all_custom` and `set_allowed_custom`); it keeps them when `ALL` is taken back.
fn know_subclasses(listener: &mut Listener, allowed: Option<&BTreeSet<String>>) {
    match allowed {
        Some(allowed) => listener.subclasses.extend(allowed.iter().cloned()),
        None => {
            let known = KNOWN_SUBCLASSES.iter().copied();
            listener.subclasses.extend(known.map(str::to_owned));
        }
    }
}

/// `nixevent <names> [CUSTOM <subclasses>]`: the first name that is no subclass takes `ALL` back and
/// leaves the other names.
pub(super) fn unsubscribe(listener: &mut Listener, words: &str) -> String {
    let (mut known, mut custom) = (false, false);
    for word in words.split(' ') {
        if custom {
            listener.subclasses.remove(word);
        } else if let Some(kind) = EventKind::from_name(word) {
            known = true;
            if kind == EventKind::Custom {
                custom = true;
            } else {
                listener.kinds.nix(kind);
            }
        }
    }
    if !known {
        return "-ERR no keywords supplied".to_owned();
    }
    listener.listening = true;
    "+OK events nixed".to_owned()
}

/// `myevents <uuid> [format]`: the events of one channel.
pub(super) fn my_events(world: &mut World, key: u64, arguments: &str) -> String {
    let (uuid, format) = split(arguments.trim());
    let known = world.channels.contains_key(uuid);
    let Some(listener) = world.listeners.get_mut(&key) else {
        return String::new();
    };
    if listener.mine.is_some() {
        return "-ERR aready enabled.".to_owned();
    }
    if !known {
        return "-ERR invalid uuid".to_owned();
    }
    match format {
        Some("json") => listener.format = Format::Json,
        Some("xml") => listener.format = Format::Xml,
        Some("plain") => listener.format = Format::Plain,
        _ => {}
    }
    listener.mine = Some(uuid.to_owned());
    listener.listening = true;
    for kind in EventKind::OF_A_CHANNEL {
        listener.kinds.insert(*kind);
    }
    "+OK Events Enabled".to_owned()
}
