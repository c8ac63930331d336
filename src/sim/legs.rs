//! Outbound legs: made for an endpoint, or refused with a cause.

use std::sync::Arc;

use super::channel::{Channel, Endpoint, Originator, Target};
use super::core::World;
use super::dialstring::LegSpec;
use super::names::EventKind;
use super::profile::Profile;
use super::script::Script;
use super::{far, sip};
use crate::domain::{ChannelState, Direction, HangupCause};

/// Who calls, as far as the legs' endpoints need it.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller {
    /// Name of the caller, perhaps empty.
    pub(super) name: String,
    /// Number of the caller.
    pub(super) number: String,
    /// The channel on whose behalf the leg is made, if there is one.
    pub(super) channel: Option<String>,
}

/// Makes the leg of a spec and starts its task, or says why not (`switch_core_session_outgoing_channel`
/// and the endpoints' own `outgoing_channel`).
pub(super) fn make(
    world: &mut World,
    spec: &LegSpec,
    vars: &[(String, String)],
    caller: &Caller,
    originator: &Arc<Originator>,
) -> Result<String, HangupCause> {
    let (endpoint, target, name, destination) = match resolve(spec) {
        Ok(resolved) => resolved,
        Err(cause) => {
            // mod_sofia has made a channel by the time that it finds no gateway.
            if spec.endpoint == "sofia" {
                destroy_stillborn(world);
            }
            return Err(cause);
        }
    };
    if world.stats.pause_outbound {
        return Err(HangupCause::DestinationOutOfOrder);
    }
    let wanted = vars
        .iter()
        .rev()
        .find(|(name, _)| name == "origination_uuid");
    let uuid = match wanted {
        Some((_, uuid)) if world.channels.contains_key(uuid) => {
            return Err(HangupCause::DestinationOutOfOrder);
        }
        Some((_, uuid)) => uuid.clone(),
        None => crate::chance::uuid().to_string(),
    };
    let number = world.stats.sessions_since_startup + 1;
    let present = world.channels.len();
    if !world.stats.admit(present) {
        return Err(HangupCause::DestinationOutOfOrder);
    }
    let now = world.now();
    let loopback = endpoint == Endpoint::Loopback;
    let made_with = if loopback && wanted.is_some() {
        crate::chance::uuid().to_string()
    } else {
        uuid.clone()
    };
    let mut channel = Channel::new(made_with.clone(), number, endpoint, Direction::Outbound);
    channel.name.clone_from(&name);
    channel.originating = true;
    channel.originator = Some(Arc::clone(originator));
    if loopback {
        channel.name = format!("loopback/{}-a", spec.data);
        world.channels.insert(made_with.clone(), channel);
        far::give_codec(world, &made_with);
        channel = world
            .channels
            .remove(&made_with)
            .ok_or(HangupCause::DestinationOutOfOrder)?;
        channel.name.clone_from(&name);
        channel.uuid.clone_from(&uuid);
        channel.vars.set("channel_name", name.as_str());
        channel.vars.set("uuid", uuid.as_str());
    }
    channel.vars.set("call_uuid", uuid.as_str());
    if let Target::Sip(address) = &target {
        let profile = spec.data.split('/').next().unwrap_or("internal");
        sip::outbound_made(&mut channel.vars, profile, address, &name);
    }
    channel.profile = Some(profile(world, &channel, caller, &destination, spec, now));
    channel.target = Some(target);
    channel.state = ChannelState::Init;
    if let Some(other) = caller
        .channel
        .as_ref()
        .and_then(|uuid| world.channels.get(uuid))
    {
        channel.other = other
            .profile
            .as_ref()
            .map(|profile| ("originator", profile.copied()));
        channel.vars.set("originator", other.uuid.as_str());
    }
    world.channels.insert(uuid.clone(), channel);
    if loopback && wanted.is_some() {
        world.fire_channel_with(&uuid, EventKind::Uuid, |event| {
            event.headers.insert(0, ("Old-Unique-ID".into(), made_with));
        });
    }
    world.fire_channel(&uuid, EventKind::Outgoing);
    if let Some(channel) = world.channels.get_mut(&uuid) {
        for (name, value) in vars {
            channel.vars.set(name, value.as_str());
        }
        channel.vars.set("originate_early_media", "true");
        if let Some(other) = &caller.channel {
            for (name, value) in [
                ("originating_leg_uuid", other.as_str()),
                ("originator_codec", "PCMU@8000h@20i"),
                ("signal_bond", other.as_str()),
                ("switch_m_sdp", "v=0\r\n"),
                ("max_forwards", "69"),
            ] {
                channel.vars.set(name, value);
            }
        }
        channel
            .vars
            .set("originate_endpoint", spec.endpoint.as_str());
    }
    world.start_session(&uuid);
    Ok(uuid)
}

/// A channel that ends before it has begun.
fn destroy_stillborn(world: &mut World) {
    let uuid = crate::chance::uuid().to_string();
    world.stats.sessions_since_startup += 1;
    let number = world.stats.sessions_since_startup;
    let mut channel = Channel::new(uuid.clone(), number, Endpoint::Sofia, Direction::Outbound);
    channel.vars.set("call_uuid", uuid.as_str());
    world.channels.insert(uuid.clone(), channel);
    world.fire_channel(&uuid, EventKind::Destroy);
    world.set_running(&uuid, ChannelState::Destroy);
    world.channels.remove(&uuid);
}

/// What endpoint a spec means, where it goes, how the channel is called and which number it dials.
fn resolve(spec: &LegSpec) -> Result<(Endpoint, Target, String, String), HangupCause> {
    let data = spec.data.as_str();
    match spec.endpoint.as_str() {
        "sofia" => {
            let (profile, address) = data.split_once('/').ok_or(HangupCause::InvalidUrl)?;
            match profile {
                "gateway" => return Err(HangupCause::InvalidGateway),
                "internal" | "external" => {}
                _ => return Err(HangupCause::InvalidProfile),
            }
            let address = address.strip_prefix("sip:").unwrap_or(address);
            let user = address
                .split_once('@')
                .map_or(address, |(user, _)| user)
                .to_owned();
            let address = match address.contains('@') {
                true => address.to_owned(),
                false => format!("{address}@127.0.0.1:5060"),
            };
            let name = format!("sofia/{profile}/{address}");
            Ok((Endpoint::Sofia, Target::Sip(address), name, user))
        }
        "loopback" => {
            let destination = data.split('/').next().unwrap_or_default().to_owned();
            let name = format!("loopback/{destination}-a");
            Ok((Endpoint::Loopback, Target::Loopback, name, destination))
        }
        "null" => Ok((
            Endpoint::Null,
            Target::Null,
            format!("null/{data}"),
            data.to_owned(),
        )),
        "sim" => {
            let script = Script::parse(data).ok_or(HangupCause::InvalidUrl)?;
            let name = format!("sim/{data}");
            let number = data.split('?').next().unwrap_or_default().to_owned();
            Ok((Endpoint::Sim, Target::Script(script), name, number))
        }
        "error" => Err(data.parse().unwrap_or(HangupCause::NormalClearing)),
        "user" => Err(HangupCause::SubscriberAbsent),
        "group" => Err(HangupCause::NoRouteDestination),
        _ => Err(HangupCause::ChanNotImplemented),
    }
}

/// The caller profile of an outbound leg.
fn profile(
    world: &World,
    channel: &Channel,
    caller: &Caller,
    destination: &str,
    spec: &LegSpec,
    now: u64,
) -> Profile {
    let mut profile = Profile::new(Direction::Outbound, "src/switch_ivr_originate.c", now);
    profile.caller_id_name.clone_from(&caller.name);
    profile.orig_caller_id_name.clone_from(&caller.name);
    profile.caller_id_number.clone_from(&caller.number);
    profile.orig_caller_id_number.clone_from(&caller.number);
    profile.ani.clone_from(&caller.number);
    profile.callee_id_name = "Outbound Call".to_owned();
    profile.callee_id_number = destination.to_owned();
    profile.destination_number = destination.to_owned();
    profile.uuid.clone_from(&channel.uuid);
    profile.context = "default".to_owned();
    profile.channel_name.clone_from(&channel.name);
    if channel.endpoint == Endpoint::Loopback {
        let context = spec.data.split('/').nth(1).unwrap_or("default");
        profile.dialplan = "xml".to_owned();
        profile.source = "mod_loopback";
        profile.context = context.to_owned();
        profile.callee_id_number = context.to_owned();
    }
    if let Some(other) = caller
        .channel
        .as_ref()
        .and_then(|uuid| world.channels.get(uuid))
        && let Some(theirs) = &other.profile
    {
        profile.dialplan.clone_from(&theirs.dialplan);
        profile.username.clone_from(&theirs.username);
        profile
            .orig_caller_id_name
            .clone_from(&theirs.orig_caller_id_name);
        profile.network_addr.clone_from(&theirs.network_addr);
    }
    profile
}
