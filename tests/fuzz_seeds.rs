//! Seeds for the fuzz targets, most of them made from the recordings (see fuzz/README.md).

use std::collections::BTreeSet;
use std::path::Path;

use bytes::BytesMut;
use switchgate::esl::{ContentType, Decoder, Limits};

use crate::recordings;

/// Filters of lists: what clients write, and what is refused.
const FILTERS: [&str; 6] = [
    "node_id = \"a\" AND answered = true AND (label.team = \"blue\" OR variable.queue:*)",
    "-live = true state != DESTROY OR NOT (call_state:ACTIVE)",
    "times.created >= 2026-11-24T08:30:00.5+01:00 label:'two words'",
    "label.\"a \\\" b\" = 'it\\'s \\\\ \\n' AND direction = DIRECTION_INBOUND",
    "((state = EXECUTE)",
    "session_id = sip:1000 parked = maybe",
];

/// Headers: what clients send, and what is refused.
const HEADERS: [&str; 4] = [
    "Bearer swg_0011223344556677",
    "bearer   eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhIn0.c2lnbmF0dXJl==",
    "Basic YTpi",
    "Bearer a, Bearer b",
];

/// Keys of issuers.
const KEYS: [&str; 3] = [
    r#"{"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "a", "n": "0vx7agoebGcQSuuPiLJXZptN", "e": "AQAB"}]}"#,
    r#"{"keys": [{"kty": "EC", "crv": "P-256", "key_ops": ["verify"], "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#,
    r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}, {"kty": "oct", "k": "c2VjcmV0"}]}"#,
];

/// Files that name nodes, and what is refused.
const NODES: [&str; 3] = [
    "- {id: a, address: 'fs1:8021', labels: {zone: east}}\n- id: b\n  address: '[::1]:9'\n  password: x\n",
    "[]",
    "[{id: a, address: x}, {id: a, address: 'x:8021', command_links: 0, user: y}]",
];

/// Larger seeds slow the fuzzer down and show it nothing new.
const MAX_SEED: usize = 16 * 1024;

#[test]
#[ignore = "writes fuzz/corpus"]
fn fuzz_seeds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    for (at, filter) in FILTERS.iter().enumerate() {
        write("filter", &at.to_string(), filter.as_bytes());
    }
    for (target, seeds) in [
        ("authorization", &HEADERS[..]),
        ("jwks", &KEYS[..]),
        ("nodes", &NODES[..]),
    ] {
        for (at, seed) in seeds.iter().enumerate() {
            write(target, &at.to_string(), seed.as_bytes());
        }
    }
    let mut shapes = BTreeSet::new();
    for recording in recordings::all() {
        let stream = recording.stream();
        let ends = [
            &stream[..stream.len().min(MAX_SEED)],
            &stream[stream.len() / 2..],
        ];
        for (at, part) in ends.into_iter().enumerate() {
            let mut seed = vec![u8::try_from(at).unwrap(), 1, 60, 200];
            seed.extend_from_slice(&part[..part.len().min(MAX_SEED)]);
            write("decoder", &format!("{}.{at}", recording.name), &seed);
        }
        let mut buffer = BytesMut::from(stream.as_slice());
        let mut decoder = Decoder::new(Limits::default());
        while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
            // One of each length class of each type is enough.
            let shape = (frame.content_type() as u8, frame.body().len() / 512);
            if frame.content_type() != ContentType::AuthRequest && shapes.insert(shape) {
                let name = format!("{:?}.{}", frame.content_type(), shape.1);
                write("event", &name, frame.body());
            }
        }
    }
}
