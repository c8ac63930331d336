//! Bytes that are no text, in every field that is text.

use prost::Message as _;
use tonic::Code;

use super::in_paused_time;
use super::requests::{Subject, ask_bytes};
use super::slots::{Slot, methods};
use crate::seeds::house::House;

/// A text of nine bytes, which others take the place of.
const MARKER: &[u8; 9] = b"MARKER_89";

/// No UTF-8: a byte that never is, a lone continuation, one that is missing, the long form of a line
/// feed and of NUL, half of a pair of surrogates, what lies behind the last character, Latin-1.
const MALFORMED: [&[u8; 9]; 9] = [
    b"a\xffaaaaaaa",
    b"\x80\n\napi aa",
    b"aaaaaaaa\xc3",
    b"a\xc0\x8a\xc0\x8aaaaa",
    b"a\xc0\x80aaaaaa",
    b"a\xed\xa0\x80aaaaa",
    b"a\xf4\x90\x80\x80aaaa",
    b"gr\xfc\xdfeaaaa",
    b"\xfe\xff\0a\0b\0c\0",
];

#[test]
fn what_is_no_utf8_is_refused_and_nothing_is_sent() {
    in_paused_time(async {
        let house = House::open(1).await;
        house.control.fleet.any_ready().await;
        let sim = &house.sims[0];
        let subject = Subject::of(&house, "", false).await;
        let (mut asked, mut fields) = (0, 0);
        for method in methods() {
            for slot in Slot::all(&method.input()) {
                fields += 1;
                let mut request = subject.request(&method.input());
                slot.put(&mut request, std::str::from_utf8(MARKER).unwrap());
                let bytes = request.encode_to_vec();
                let at = bytes.windows(9).position(|nine| nine == MARKER).unwrap();
                for malformed in MALFORMED {
                    let mut bytes = bytes.clone();
                    bytes[at..at + 9].copy_from_slice(malformed);
                    let place = format!("{} {}: {malformed:?}", method.name(), slot.name());
                    sim.take_commands();
                    let status = ask_bytes(&house, &method, bytes).await.expect_err(&place);
                    // What gRPC names for a message that cannot be read.
                    assert_eq!(status.code(), Code::Internal, "{place}: {status:?}");
                    let received = sim.take_commands();
                    let sent = received.iter().find(|raw| !raw.starts_with(b"noevents"));
                    assert_eq!(sent, None, "{place}");
                    asked += 1;
                }
            }
        }
        println!("{asked} requests in {fields} fields, none reached a node");
        assert!(fields > 200, "{fields}");
        assert!(house.close().await);
    });
}
