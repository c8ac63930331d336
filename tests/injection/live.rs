//! Hostile strings on a real FreeSWITCH: nothing happens there that nobody asked for. What they would
//! do there if they were more than strings is harmless: a variable would be set.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use tonic::Status;

use super::corpus::{CANARY, framed};
use super::requests::Subject;
use super::slots::{Slot, method};
use crate::access_matrix::raw;
use crate::client::{inbound_unanswered, tag};
use crate::gateway::{Gateway, on_freeswitch};
use crate::raw_link::RawLink;
use crate::sim_conformance::record::Event;

const PAYLOADS: [&str; 9] = [
    "injected=1",
    "{injected=1}",
    "[injected=1]",
    "<injected=1>",
    "set:injected=1",
    "set(injected=1)",
    "null/injected",
    "api global_setvar injected=1",
    "${global_setvar(injected=1)}",
];

/// A field, and what FreeSWITCH may show of it.
struct Field {
    rpc: &'static str,
    name: &'static str,
    /// What the string stands in.
    prefix: &'static str,
    /// Every how many-th string goes: some requests end their leg, or ring.
    step: usize,
    /// The application that runs with the string in its arguments.
    application: &'static str,
    /// Where the string is to be found afterwards.
    held: Held,
}

/// Where a string is found that was accepted.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    /// In an argument of an application, among other words, or nowhere.
    Somewhere,
    /// In this variable of the leg.
    Variable(&'static str),
    /// In what the command printed.
    Output,
    /// In a header of an event.
    Header,
}

const fn field(rpc: &'static str, name: &'static str) -> Field {
    Field {
        rpc,
        name,
        prefix: "",
        step: 1,
        application: "",
        held: Held::Somewhere,
    }
}

const FIELDS: [Field; 19] = [
    Field {
        held: Held::Variable("switchgate_test"),
        ..field("Originate", "variables")
    },
    field("Originate", "variables (key)"),
    field("Originate", "caller_id_name"),
    field("Originate", "caller_id_number"),
    Field {
        prefix: "null/",
        held: Held::Variable("channel_name"),
        ..field("Originate", "endpoints")
    },
    Field {
        application: "echo",
        held: Held::Variable("current_application_data"),
        ..field("Originate", "application.arguments")
    },
    Field {
        step: 4,
        ..field("Originate", "extension.number")
    },
    Field {
        held: Held::Variable("switchgate_test"),
        ..field("SetVariables", "variables")
    },
    field("SetVariables", "variables (key)"),
    Field {
        application: "log",
        held: Held::Variable("current_application_data"),
        ..field("Execute", "arguments")
    },
    Field {
        application: "log",
        ..field("Broadcast", "arguments")
    },
    Field {
        application: "playback",
        ..field("Playback", "files")
    },
    Field {
        application: "speak",
        ..field("Speak", "text")
    },
    Field {
        step: 4,
        ..field("Transfer", "extension.number")
    },
    field("SendDtmf", "digits"),
    Field {
        step: 8,
        application: "respond",
        ..field("Respond", "reason")
    },
    Field {
        step: 8,
        prefix: "sip:park@127.0.0.1;x=",
        application: "redirect",
        ..field("Deflect", "uri")
    },
    Field {
        held: Held::Header,
        ..field("PublishEvent", "headers")
    },
    Field {
        held: Held::Output,
        ..field("RunApi", "arguments")
    },
];

/// What goes on.
struct Scene {
    gateway: Gateway,
    link: RawLink,
    /// The only session that the strings are about.
    subject: String,
    /// All that were made, so that they are ended.
    made: Vec<String>,
    tag: String,
}

// === impl Scene ===

impl Scene {
    async fn begin(gateway: Gateway) -> Self {
        let mut link = RawLink::of(&gateway).await;
        let tag = tag();
        let events = "API CHANNEL_CREATE CHANNEL_EXECUTE CHANNEL_HANGUP_COMPLETE CUSTOM";
        let reply = link
            .ask(&format!(
                "event plain {events} switchgate::test injection::{tag}"
            ))
            .await;
        assert!(reply.starts_with("+OK"), "{reply}");
        Self {
            gateway,
            link,
            subject: String::new(),
            made: Vec::new(),
            tag,
        }
    }

    async fn api(&mut self, command: &str) -> String {
        self.link.ask(&format!("api {command}")).await
    }

    /// A leg that is parked, without a far end.
    async fn parked(&mut self) -> String {
        let reply = self.api("originate null/x &park").await;
        let id = reply.strip_prefix("+OK ").expect(&reply).trim().to_owned();
        self.made.push(id.clone());
        crate::client::until(&self.gateway, &id, |session| session.parked).await;
        id
    }

    /// Sees that there is a leg for the strings, in the state that the RPC needs.
    async fn prepare(&mut self, rpc: &str) {
        if matches!(rpc, "Originate" | "RunApi" | "PublishEvent") {
            return;
        }
        if matches!(rpc, "Respond" | "Deflect") {
            let (inbound, outbound) = inbound_unanswered(&self.gateway).await;
            self.made.extend([inbound.clone(), outbound]);
            self.subject = inbound;
            return;
        }
        let reply = self.api(&format!("uuid_exists {}", self.subject)).await;
        if reply != "true" {
            self.subject = self.parked().await;
        }
    }

    async fn ask(
        &self,
        field: &Field,
        method: &MethodDescriptor,
        text: &str,
    ) -> Result<DynamicMessage, Status> {
        let input = method.input();
        let mut request = Subject::about(&self.subject).request(&input);
        let mut set = |name: &str, value: Value| {
            if let Some(field) = input.get_field_by_name(name) {
                request.set_field(&field, value);
            }
        };
        let word = |word: &str| Value::String(word.to_owned());
        set("node_id", word("freeswitch"));
        set("command", word("echo"));
        set("endpoints", Value::List(vec![word("null/x")]));
        if matches!(field.rpc, "Execute" | "Broadcast") {
            set("application", word("log"));
        }
        let slots = Slot::all(&input);
        let slot = slots.iter().find(|slot| slot.name() == field.name);
        slot.expect(field.name).put(&mut request, text);
        let service = method.parent_service().full_name();
        let path = format!("/{service}/{}", field.rpc);
        let channel = &self.gateway.channel;
        let bytes = raw::ask(channel, &path, request.encode_to_vec(), None).await?;
        Ok(DynamicMessage::decode(method.output(), &*bytes).unwrap())
    }

    /// One string through one field; whether it was accepted.
    async fn try_one(&mut self, field: &Field, text: &str) -> bool {
        let place = format!("{} {} = {text:?}", field.rpc, field.name);
        self.prepare(field.rpc).await;
        let method = method(field.rpc);
        let Ok(response) = self.ask(field, &method, text).await else {
            return false;
        };
        let mut id = self.subject.clone();
        if field.rpc == "Originate"
            && let Value::Message(session) = &*response.get_field_by_name("session").unwrap()
        {
            let given = session.get_field_by_name("session_id").unwrap();
            given.as_str().unwrap().clone_into(&mut id);
            self.made.push(id.clone());
        }
        match field.held {
            Held::Variable(name) => {
                let got = self.api(&format!("uuid_getvar {id} {name}")).await;
                // The link shows no difference between an empty one and none.
                assert_eq!(got, text, "{place}");
            }
            Held::Output => {
                let output = response.get_field_by_name("output").unwrap();
                assert_eq!(output.as_str(), Some(text), "{place}");
            }
            Held::Header | Held::Somewhere => {}
        }
        if field.rpc == "Originate" {
            self.api(&format!("uuid_kill {id}")).await;
        }
        true
    }

    /// What happened up to now.
    async fn events(&mut self) -> Vec<Event> {
        let subclass = format!("injection::{}", self.tag);
        self.link.fire(&format!("CUSTOM {subclass}"), "").await;
        self.link.until_subclass(&subclass).await
    }
}

fn corpus() -> Vec<String> {
    let plain = PAYLOADS.iter().map(|payload| (*payload).to_owned());
    plain.chain(framed(&PAYLOADS)).collect()
}

/// What was asked for in this field, and before it: what is queued on a leg runs later.
#[derive(Default)]
struct Asked {
    endpoints: BTreeSet<String>,
    applications: BTreeSet<&'static str>,
    texts: BTreeSet<String>,
}

/// What an event shows that nobody asked for.
fn harm(event: &Event, asked: &Asked) -> Option<String> {
    let get = |name: &str| event.get(name);
    if event
        .headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case(&format!("variable_{CANARY}")))
    {
        return Some(format!("{} has the variable", get("Channel-Name")));
    }
    match get("Event-Name") {
        "API" => {
            let (command, arguments) = (get("API-Command"), get("API-Command-Argument"));
            let is_known = [
                "originate",
                "uuid_setvar_multi",
                "uuid_setvar",
                "uuid_broadcast",
            ]
            .iter()
            .chain(&["uuid_transfer", "uuid_getvar", "uuid_send_dtmf", "echo"])
            .chain(&["uuid_displace", "uuid_kill"])
            .any(|known| *known == command);
            let is_canary = command.contains(CANARY) || arguments.contains(CANARY);
            (is_canary && !is_known).then(|| format!("the command {command} {arguments} ran"))
        }
        "CHANNEL_EXECUTE" => {
            let (application, data) = (get("Application"), get("Application-Data"));
            // The others get the string among other words.
            let is_exact = matches!(application, "echo" | "log");
            let is_asked_for = asked.applications.contains(application)
                && (!is_exact || asked.texts.contains(data));
            (data.contains(CANARY) && !is_asked_for)
                .then(|| format!("the application {application} {data} ran"))
        }
        "CHANNEL_CREATE" => {
            let name = get("Channel-Name");
            let is_asked_for = asked.endpoints.contains(name);
            (name.contains(CANARY) && !is_asked_for).then(|| format!("{name} was called"))
        }
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_freeswitch_does_what_it_is_asked_for_and_no_more() {
    on_freeswitch(|gateway| async {
        let mut scene = Scene::begin(gateway).await;
        let bystander = scene.parked().await;
        let globals = scene.api("global_getvar").await;
        let (mut asked, mut requests, mut wrongs) = (Asked::default(), 0, Vec::new());
        for field in &FIELDS {
            let texts: Vec<_> = corpus()
                .into_iter()
                .step_by(field.step)
                .map(|text| format!("{}{text}", field.prefix))
                .collect();
            asked.applications.insert(field.application);
            asked.texts.extend(texts.iter().cloned());
            if field.name == "endpoints" {
                asked.endpoints.extend(texts.iter().cloned());
            }
            let mut accepted = BTreeSet::new();
            for text in &texts {
                requests += 1;
                if scene.try_one(field, text).await {
                    accepted.insert(text.as_str());
                }
            }
            let events = scene.events().await;
            let place = format!("{} {}", field.rpc, field.name);
            println!(
                "{place}: {} of {} accepted, {} events",
                accepted.len(),
                texts.len(),
                events.len()
            );
            let harm = events.iter().filter_map(|event| harm(event, &asked));
            wrongs.extend(harm.take(5).map(|harm| format!("{place}: {harm}")));
            if field.held == Held::Header {
                let seen: BTreeSet<_> = events
                    .iter()
                    .map(|event| event.get("switchgate_test"))
                    .filter(|text| !text.is_empty())
                    .collect();
                assert_eq!(seen, accepted, "{place}");
            }
            assert_eq!(
                scene.api(&format!("uuid_exists {bystander}")).await,
                "true",
                "{place}"
            );
            assert_eq!(scene.api("global_getvar").await, globals, "{place}");
        }
        println!("{requests} requests");
        let made = std::mem::take(&mut scene.made);
        for id in &made {
            scene.api(&format!("uuid_kill {id}")).await;
        }
        // Their ends show all their variables.
        let events = scene.events().await;
        wrongs.extend(events.iter().filter_map(|event| harm(event, &asked)));
        let channels = scene.api("show channels").await;
        let left: Vec<_> = channels
            .lines()
            .filter(|line| line.contains(CANARY))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(wrongs.is_empty(), "{wrongs:#?}");
        scene.gateway
    })
    .await;
}
