//! A tiny blocking client of the Event Socket, and a parked channel.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use switchgate::domain::{HangupCause, SessionId};
use switchgate::esl::quote::{
    ApiCommand, Leg, LegStrategy, OriginateCommand, RefusedField, Target, uuid_kill,
};

/// How often a value is asked for before it counts as not there.
const TRIES: usize = 20_000;

/// An Event Socket without events: one command, one reply.
pub(super) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(super) fn connect() -> Option<Self> {
        let Ok(address) = std::env::var("SWITCHGATE_TEST_FREESWITCH") else {
            println!("skipped: SWITCHGATE_TEST_FREESWITCH names no FreeSWITCH");
            return None;
        };
        let password = std::env::var("SWITCHGATE_TEST_PASSWORD");
        let password = password.unwrap_or_else(|_| "ClueCon".to_owned());
        let stream = TcpStream::connect(&address).expect("FreeSWITCH accepts");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut client = Self {
            reader: BufReader::new(stream),
        };
        client.frame();
        let reply = client.send(&format!("auth {password}\n\n"));
        assert_eq!(reply, "+OK accepted");
        Some(client)
    }

    pub(super) fn send(&mut self, command: &str) -> String {
        self.reader.get_mut().write_all(command.as_bytes()).unwrap();
        self.frame()
    }

    /// The body of the next frame, or its `Reply-Text`.
    fn frame(&mut self) -> String {
        let (mut length, mut reply) = (None, String::new());
        loop {
            let mut line = String::new();
            assert_ne!(
                self.reader.read_line(&mut line).unwrap(),
                0,
                "connection closed"
            );
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("Content-Length", value)) => length = Some(value.parse::<usize>().unwrap()),
                Some(("Reply-Text", value)) => value.clone_into(&mut reply),
                Some(_) => {}
                None => break,
            }
        }
        let Some(length) = length else { return reply };
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    pub(super) fn get(&mut self, session: &SessionId, name: &str) -> String {
        let line = format!("{session} {name}");
        self.send(&ApiCommand::new("uuid_getvar", &line).unwrap().api())
    }

    /// Asks until the variable is there: an application starts behind the reply.
    pub(super) fn await_value(&mut self, session: &SessionId, name: &str, value: &str) -> String {
        let mut got = String::new();
        for _ in 0..TRIES {
            got = self.get(session, name);
            if got == value {
                break;
            }
        }
        got
    }

    pub(super) fn originate(&mut self, command: &OriginateCommand) -> Result<String, RefusedField> {
        Ok(self.send(&command.to_api()?.api()))
    }

    pub(super) fn kill(&mut self, session: &SessionId) {
        self.send(&uuid_kill(session, HangupCause::NormalClearing).api());
    }

    pub(super) fn parked(&mut self) -> SessionId {
        let session = SessionId::generate();
        let reply = self.originate(&park(&session, &[])).unwrap();
        assert_eq!(reply, format!("+OK {session}\n"));
        session
    }
}

pub(super) fn own(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(super) fn park(session: &SessionId, variables: &[(&str, &str)]) -> OriginateCommand {
    let leg = Leg {
        endpoint: "null/x".into(),
        session: Some(session.clone()),
        variables: Vec::new(),
    };
    OriginateCommand {
        legs: vec![leg],
        strategy: LegStrategy::Failover,
        variables: own(variables),
        caller_id_name: None,
        caller_id_number: None,
        timeout_seconds: Some(10),
        ignore_early_media: false,
        target: Target::Application {
            name: "park".into(),
            arguments: String::new(),
        },
    }
}
