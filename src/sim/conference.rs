//! Conferences: rooms, their members, and what is said about them (`mod_conference`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::apps::Wait;
use super::core::{Core, World};
use super::event::Event;
use super::far;

/// Time after the first member's coming in which it gets the floor.
const FLOOR_AFTER: Duration = Duration::from_millis(500);

/// The conferences by their names.
#[derive(Debug, Default)]
pub(super) struct Conferences(BTreeMap<String, Room>);

/// A conference.
#[derive(Debug)]
struct Room {
    uuid: String,
    /// The members by their numbers.
    members: BTreeMap<u32, Member>,
    last_member: u32,
    floor: Option<u32>,
    began: u64,
}

#[derive(Debug, Clone)]
struct Member {
    channel: String,
    muted: bool,
    deaf: bool,
}

/// The application `conference`: `room[@profile]`.
pub(super) async fn join(core: &Arc<Core>, uuid: &str, argument: &str) {
    let name = argument
        .split(['@', '+', '\''])
        .next()
        .unwrap_or_default()
        .to_owned();
    let member = enter(&mut core.world(), uuid, &name);
    Wait::new(core, uuid).out().await;
    leave(&mut core.world(), uuid, &name, member);
}

fn enter(world: &mut World, uuid: &str, name: &str) -> u32 {
    far::fire_codec(world, uuid, true);
    let began = world.now();
    if !world.conferences.0.contains_key(name) {
        let room = Room {
            uuid: crate::chance::uuid().to_string(),
            members: BTreeMap::new(),
            last_member: 0,
            floor: None,
            began,
        };
        world.conferences.0.insert(name.to_owned(), room);
        tell(world, name, None, "conference-create", &[]);
    }
    let Some(room) = world.conferences.0.get_mut(name) else {
        return 0;
    };
    room.last_member += 1;
    let number = room.last_member;
    let room_uuid = room.uuid.clone();
    let member = Member {
        channel: uuid.to_owned(),
        muted: false,
        deaf: false,
    };
    room.members.insert(number, member);
    if let Some(channel) = world.channels.get_mut(uuid) {
        for (variable, value) in [
            ("conference_name", name),
            ("app_session_uuid", room_uuid.as_str()),
            ("conference_member_id", number.to_string().as_str()),
            ("conference_moderator", "false"),
            ("conference_ghost", "false"),
            ("conference_uuid", room_uuid.as_str()),
        ] {
            channel.vars.set(variable, value);
        }
    }
    tell(world, name, Some(number), "add-member", &[]);
    let name = name.to_owned();
    world.later(FLOOR_AFTER, move |world| give_floor(world, &name));
    number
}

/// The first member gets the floor, if nobody has it.
fn give_floor(world: &mut World, name: &str) {
    let Some(room) = world.conferences.0.get_mut(name) else {
        return;
    };
    let Some(first) = room
        .members
        .keys()
        .next()
        .copied()
        .filter(|_| room.floor.is_none())
    else {
        return;
    };
    room.floor = Some(first);
    let new = first.to_string();
    tell(
        world,
        name,
        Some(first),
        "floor-change",
        &[("Old-ID", "none"), ("New-ID", &new)],
    );
}

fn leave(world: &mut World, uuid: &str, name: &str, number: u32) {
    let Some(room) = world.conferences.0.get_mut(name) else {
        return;
    };
    if room.floor == Some(number) {
        room.floor = None;
        tell(
            world,
            name,
            None,
            "floor-change",
            &[("Old-ID", "none"), ("New-ID", "none")],
        );
    }
    let Some(room) = world.conferences.0.get_mut(name) else {
        return;
    };
    let Some(member) = room.members.remove(&number) else {
        return;
    };
    tell_member(world, name, number, &member, "del-member");
    far::fire_codec(world, uuid, true);
    if world
        .conferences
        .0
        .get(name)
        .is_some_and(|room| room.members.is_empty())
    {
        tell(world, name, None, "conference-destroy", &[]);
        world.conferences.0.remove(name);
    }
}

/// `conference::maintenance` about a room or one of its members.
fn tell(
    world: &mut World,
    name: &str,
    number: Option<u32>,
    action: &str,
    more: &[(&'static str, &str)],
) {
    let Some(room) = world.conferences.0.get(name) else {
        return;
    };
    let mut event = about_room(name, room);
    event.add("Action", action);
    for (header, value) in more {
        event.add(*header, *value);
    }
    if let Some((number, member)) =
        number.and_then(|number| Some((number, room.members.get(&number)?)))
    {
        about_member(
            world,
            &mut event,
            number,
            member,
            room.floor == Some(number),
        );
    }
    world.fire(event);
}

fn tell_member(world: &mut World, name: &str, number: u32, member: &Member, action: &str) {
    let Some(room) = world.conferences.0.get(name) else {
        return;
    };
    let mut event = about_room(name, room);
    about_member(world, &mut event, number, member, false);
    event.add("Action", action);
    world.fire(event);
}

fn about_room(name: &str, room: &Room) -> Event {
    let mut event = Event::custom("conference::maintenance");
    event.add("Conference-Name", name);
    event.add("Conference-Domain", "test");
    event.add("Conference-Size", room.members.len().to_string());
    event.add("Conference-Ghosts", "0");
    event.add("Conference-Profile-Name", "default");
    event.add("Conference-Unique-ID", room.uuid.as_str());
    event
}

fn about_member(world: &World, event: &mut Event, number: u32, member: &Member, floor: bool) {
    event.add("Floor", floor.to_string());
    if let Some(channel) = world.channels.get(&member.channel) {
        channel.write(event, false);
    }
    for (header, value) in [
        ("Video", "false".to_owned()),
        ("Hear", (!member.deaf).to_string()),
        ("See", "true".to_owned()),
        ("Speak", (!member.muted).to_string()),
        ("Talking", "false".to_owned()),
        ("Mute-Detect", "false".to_owned()),
        ("Hold", "false".to_owned()),
        ("Member-ID", number.to_string()),
        ("Member-Type", "member".to_owned()),
        ("Member-Ghost", "false".to_owned()),
        ("Energy-Level", "100".to_owned()),
        ("Current-Energy", "0".to_owned()),
    ] {
        event.add(header, value);
    }
}

/// `conference list|json_list`, `conference <room> <command> [<member>|all|last]`.
pub(super) fn api(world: &mut World, arguments: &str) -> String {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let (name, command) = match words.as_slice() {
        [] => return "-USAGE: conference help\n".to_owned(),
        ["list" | "json_list" | "xml_list", ..] if world.conferences.0.is_empty() => {
            return match words[0] {
                "json_list" => "[]".to_owned(),
                _ => "+OK No active conferences.\n".to_owned(),
            };
        }
        ["list", ..] => return list_all(world),
        ["json_list", ..] => return json(world, None),
        [name, rest @ ..] => (*name, rest),
    };
    if !world.conferences.0.contains_key(name) {
        return format!("-ERR Conference {name} not found\n");
    }
    match command {
        ["list", ..] => list(world, name),
        ["json_list", ..] => json(world, Some(name)),
        ["count", ..] => world
            .conferences
            .0
            .get(name)
            .map_or(0, |room| room.members.len())
            .to_string(),
        [
            verb @ ("mute" | "unmute" | "tmute" | "deaf" | "undeaf" | "kick" | "hup"),
            which,
        ] => act(world, name, verb, which),
        _ => "-ERR Conference command not found\n".to_owned(),
    }
}

/// Does something to a member, or to all of them.
fn act(world: &mut World, name: &str, verb: &str, which: &str) -> String {
    let Some(room) = world.conferences.0.get(name) else {
        return String::new();
    };
    let numbers: Vec<u32> = match which {
        "all" => room.members.keys().copied().collect(),
        "last" => room
            .members
            .keys()
            .next_back()
            .copied()
            .into_iter()
            .collect(),
        number => number
            .parse()
            .ok()
            .filter(|n| room.members.contains_key(n))
            .into_iter()
            .collect(),
    };
    if numbers.is_empty() && which != "all" {
        return format!("Non-Existant ID {which}\n");
    }
    let mut out = String::new();
    for number in numbers {
        let member = world
            .conferences
            .0
            .get_mut(name)
            .and_then(|room| room.members.get_mut(&number));
        let Some(member) = member else { continue };
        match verb {
            "mute" => member.muted = true,
            "unmute" => member.muted = false,
            "tmute" => member.muted = !member.muted,
            "deaf" => member.deaf = true,
            "undeaf" => member.deaf = false,
            _ => {}
        }
        let channel = member.channel.clone();
        tell(world, name, Some(number), &format!("{verb}-member"), &[]);
        match verb {
            // A member that is kicked goes on with its dialplan, which is nothing here.
            "kick" | "hup" => {
                out += &format!(
                    "+OK {} {number}\n",
                    if verb == "kick" { "kicked" } else { "hup" }
                );
                world.end_conference(&channel);
            }
            _ => out += &format!("+OK {verb} {number}\n"),
        }
    }
    out
}

fn list(world: &World, name: &str) -> String {
    let Some(room) = world.conferences.0.get(name) else {
        return String::new();
    };
    let line = |(number, member): (&u32, &Member)| {
        let channel = world.channels.get(&member.channel);
        let profile = channel.and_then(|channel| channel.profile.as_ref());
        let (caller, called) = profile.map_or(("", ""), |profile| {
            (
                profile.caller_id_name.as_str(),
                profile.caller_id_number.as_str(),
            )
        });
        let mut flags = Vec::new();
        flags.extend((!member.deaf).then_some("hear"));
        flags.extend((!member.muted).then_some("speak"));
        flags.extend((room.floor == Some(*number)).then_some("floor"));
        let channel_name = channel.map_or("", |channel| channel.name.as_str());
        let (uuid, flags) = (&member.channel, flags.join("|"));
        format!("{number};{channel_name};{uuid};{caller};{called};{flags};0;0;100\n")
    };
    room.members.iter().rev().map(line).collect()
}

fn list_all(world: &World) -> String {
    let rooms = world.conferences.0.iter().map(|(name, room)| {
        let count = room.members.len();
        let plural = if count == 1 { "" } else { "s" };
        format!(
            "+OK Conference {name} ({count} member{plural} rate: 8000 flags: running|answered|\
             enforce_min|dynamic|exit_sound|enter_sound|json_status)\n{}",
            list(world, name)
        )
    });
    rooms.collect()
}

fn json(world: &World, only: Option<&str>) -> String {
    let now = world.now();
    let rooms = world
        .conferences
        .0
        .iter()
        .filter(|(name, _)| only.is_none_or(|only| *name == only));
    let rooms: Vec<serde_json::Value> = rooms
        .map(|(name, room)| {
            let members: Vec<_> = room
                .members
                .iter()
                .rev()
                .map(|(number, member)| {
                    let profile = world
                        .channels
                        .get(&member.channel)
                        .and_then(|one| one.profile.as_ref());
                    serde_json::json!({
                        "type": "caller", "id": number, "uuid": member.channel,
                        "caller_id_name": profile.map_or("", |profile| &profile.caller_id_name),
                        "caller_id_number": profile.map_or("", |profile| &profile.caller_id_number),
                        "flags": {
                            "can_hear": !member.deaf, "can_speak": !member.muted,
                            "talking": false, "has_floor": room.floor == Some(*number),
                        },
                    })
                })
                .collect();
            serde_json::json!({
                "conference_name": name, "member_count": room.members.len(), "ghost_count": 0,
                "rate": 8000, "run_time": (now - room.began) / 1_000_000,
                "conference_uuid": room.uuid, "running": true, "locked": false,
                "members": members,
            })
        })
        .collect();
    serde_json::Value::Array(rooms).to_string()
}

// === impl World ===

impl World {
    /// Ends a member's `conference`; what comes behind it in its dialplan is nothing.
    fn end_conference(&mut self, uuid: &str) {
        if let Some(channel) = self.channels.get_mut(uuid) {
            channel.breaks += 1;
            channel.wake.notify_one();
        }
    }
}
