use proptest::prelude::*;

use super::*;

const SMALL: Limits = Limits {
    max_header_bytes: 64,
    max_body_bytes: 128,
};

/// Headers and body.
type PlainFrame = (Vec<(Vec<u8>, Vec<u8>)>, Vec<u8>);

/// What became of a stream: its frames, how it failed, and whether it ended between two frames.
#[derive(Debug, PartialEq)]
struct Outcome {
    frames: Vec<PlainFrame>,
    error: Option<FrameError>,
    ended_between: bool,
}

fn read(decoder: Decoder, chunks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Outcome {
    let mut decoder = decoder;
    let mut buffer = BytesMut::new();
    let mut outcome = Outcome {
        frames: Vec::new(),
        error: None,
        ended_between: false,
    };
    for chunk in chunks {
        buffer.extend_from_slice(chunk.as_ref());
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => outcome.frames.push(plain(&frame)),
                Ok(None) => break,
                Err(error) => {
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
    }
    outcome.ended_between = decoder.is_between_frames(&buffer);
    outcome
}

fn plain(frame: &Frame) -> PlainFrame {
    let headers = frame
        .headers()
        .iter_raw()
        .map(|(name, value)| (name.to_vec(), value.to_vec()));
    (headers.collect(), frame.body().to_vec())
}

fn all(bytes: &[u8]) -> Vec<Frame> {
    let mut decoder = Decoder::new(Limits::default());
    let mut buffer = BytesMut::from(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
        frames.push(frame);
    }
    assert!(decoder.is_between_frames(&buffer));
    frames
}

fn first_error(bytes: &[u8]) -> FrameError {
    read(Decoder::new(SMALL), [bytes]).error.unwrap()
}

/// `switch_snprintf` into a buffer of 512 bytes, the terminating NUL included.
fn snprintf_512(text: String) -> String {
    assert!(text.is_ascii());
    text.chars().take(511).collect()
}

/// The reply to `userauth` exactly as `parse_command` and `listener_run` in `mod_event_socket.c`
/// put it together.
fn userauth_reply(allowed_events: &str, allowed_api: &str) -> String {
    let events = snprintf_512(format!("Allowed-Events: {allowed_events}\n"));
    let api = snprintf_512(format!("Allowed-API: {allowed_api}\n"));
    let log = "Allowed-LOG: true\n";
    let reply = snprintf_512(format!("~Reply-Text: +OK accepted\n{events}{api}{log}\n"));
    format!("Content-Type: command/reply\n{}", &reply[1..])
}

fn after_userauth() -> Decoder {
    let mut decoder = Decoder::new(Limits::default());
    decoder.expect_userauth_reply();
    decoder
}

#[test]
fn userauth_reply_of_any_length_ends_where_freeswitch_ended_it() {
    let next = "Content-Type: api/response\nContent-Length: 3\n\n+OK";
    let whole = [next];
    let next_frame = read(Decoder::new(Limits::default()), whole).frames;
    let mut cut = 0;
    for length in 0..700 {
        for (events, api) in [
            ("x".repeat(length), "all".to_owned()),
            ("all".to_owned(), "y ".repeat(length / 2)),
            ("z".repeat(length / 2), "z".repeat(length / 2)),
        ] {
            let reply = userauth_reply(&events, &api);
            cut += usize::from(!reply.ends_with("\n\n"));
            // The next frame can only follow a command, but when it does, it may come with the
            // reply in one read.
            let both = format!("{reply}{next}");
            for outcome in [
                read(after_userauth(), [both.as_str()]),
                read(after_userauth(), [reply.as_str(), next]),
                read(after_userauth(), both.as_bytes().chunks(1)),
            ] {
                assert_eq!(outcome.frames.len(), 2, "{length}: {reply}");
                let accepted = (b"Reply-Text".to_vec(), b"+OK accepted".to_vec());
                assert_eq!(outcome.frames[0].0[1], accepted);
                assert_eq!(outcome.frames[1..], next_frame, "{length}: {reply}");
                assert!(outcome.ended_between);
            }
            // Nothing need follow before the reply is known.
            let alone = read(after_userauth(), reply.as_bytes().chunks(7));
            assert_eq!(alone.frames.len(), 1, "{length}: {reply}");
        }
    }
    assert!(cut > 300, "only {cut} of the replies were cut");
}

#[test]
fn userauth_reply_cut_at_its_last_line_feed_is_whole() {
    let fits = (0..600)
        .map(|length| userauth_reply(&"x".repeat(length), "all"))
        .filter(|reply| reply.ends_with("\n\n"))
        .max_by_key(String::len)
        .unwrap();
    assert_eq!(fits.len(), CUT_REPLY_BYTES);
    let lengths = (0..600).map(|length| userauth_reply(&"x".repeat(length), "all"));
    let just_cut = lengths
        .filter(|reply| reply.ends_with("Allowed-LOG: true\n"))
        .collect::<Vec<_>>();
    assert_eq!(just_cut.len(), 1);
    let outcome = read(after_userauth(), just_cut);
    assert_eq!(outcome.frames[0].0.len(), 5);
}

#[test]
fn other_replies_to_userauth_are_read_as_ever() {
    let refused = "Content-Type: command/reply\nReply-Text: -ERR invalid\n\n";
    let notice = "Content-Type: text/disconnect-notice\nContent-Length: 4\n\nbye\n";
    let outcome = read(after_userauth(), [refused, notice]);
    assert_eq!(outcome.frames.len(), 2);
    // The allowance is for one reply; a later one that looks the same is not cut.
    let mut later = String::from(refused);
    later.push_str("Content-Type: command/reply\nReply-Text: +OK accepted\nAllowed-X: ");
    later.push_str(&"x".repeat(2000));
    later.push_str("\n\n");
    assert_eq!(read(after_userauth(), [later]).frames[1].0[2].1.len(), 2000);
}

#[test]
fn stray_line_feeds_between_frames_mean_nothing() {
    let frames = all(
        b"\n\nContent-Type: auth/request\n\n\n\n\nContent-Type: api/response\nContent-Length: 1\n\nx\n",
    );
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[1].body().as_ref(), b"x");
}

#[test]
fn unknown_content_type_is_skipped_by_its_length() {
    let frames = all(
        b"Content-Type: text/of-tomorrow\nContent-Length: 28\n\nContent-Type: auth/request\n\nContent-Length: 2\n\nab\
          Content-Type: command/reply\nReply-Text: +OK\n\n",
    );
    let types: Vec<_> = frames.iter().map(Frame::content_type).collect();
    assert_eq!(
        types,
        [
            ContentType::Unknown,
            ContentType::Unknown,
            ContentType::CommandReply
        ]
    );
}

#[test]
fn events_that_are_read_where_they_stand_are_those_of_the_frames() {
    let large = "x".repeat(2 * MAX_COPIED);
    let mut wire = String::new();
    for text in ["", "y", &large, "", "z"] {
        let event = format!("Event-Name: X\nContent-Length: {}\n\n{text}", text.len());
        wire += &format!(
            "Content-Type: text/event-plain\nContent-Length: {}\n\n{event}",
            event.len()
        );
        wire += "Content-Type: command/reply\nReply-Text: +OK\n\n";
    }
    let frames = all(wire.as_bytes());
    for chunk in [1, 7, 1000, wire.len()] {
        let mut decoder = Decoder::new(Limits::default());
        let mut buffer = BytesMut::new();
        let mut expected = frames.iter();
        for bytes in wire.as_bytes().chunks(chunk) {
            buffer.extend_from_slice(bytes);
            while let Some(received) = decoder.receive(&mut buffer).unwrap() {
                let frame = expected.next().unwrap();
                match received {
                    Received::Event(event) => {
                        assert_eq!(
                            event.unwrap().body(),
                            Event::parse(frame.body()).unwrap().body()
                        );
                    }
                    Received::Frame(other) => assert_eq!(plain(&other), plain(frame)),
                }
            }
        }
        assert!(expected.next().is_none() && decoder.is_between_frames(&buffer));
    }
}

#[test]
fn body_may_look_like_headers() {
    let body = b"Content-Length: 99\n\nContent-Type: command/reply\n\n";
    let mut wire = format!(
        "Content-Type: api/response\nContent-Length: {}\n\n",
        body.len()
    )
    .into_bytes();
    wire.extend_from_slice(body);
    assert_eq!(all(&wire)[0].body().as_ref(), body);
}

#[test]
fn content_length_is_in_bytes_and_its_name_in_any_case() {
    for name in ["Content-Length", "content-length", "CONTENT-LENGTH"] {
        let wire = format!("content-TYPE: api/response\n{name}:   6  \n\ngrü€");
        let wire = &wire.as_bytes()[..wire.len() - 1];
        assert_eq!(all(wire)[0].body().len(), 6);
    }
}

#[test]
fn length_that_is_no_number_ends_the_stream() {
    for bad in [
        "",
        "-1",
        "+5",
        "12a",
        "0x10",
        "1.5",
        "1 2",
        "18446744073709551616",
    ] {
        let wire = format!("Content-Length: {bad}\n\n");
        assert_eq!(
            first_error(wire.as_bytes()),
            FrameError::BadLength(bad.into())
        );
    }
    assert!(matches!(
        first_error(b"Content-Length: \xff\n\n"),
        FrameError::BadLength(_)
    ));
}

#[test]
fn of_two_lengths_or_types_the_first_counts() {
    let frames = all(
        b"Content-Type: api/response\nContent-Length: 2\ncontent-length: 9\ncontent-type: auth/request\n\nab",
    );
    assert_eq!(frames[0].body().as_ref(), b"ab");
    assert_eq!(frames[0].content_type(), ContentType::ApiResponse);
    assert_eq!(frames[0].headers().raw("content-LENGTH"), Some(&b"2"[..]));
}

#[test]
fn limits_name_their_key_and_hold_at_their_edge() {
    let header = |bytes: usize| format!("{}\n\n", "h".repeat(bytes - 2));
    assert_eq!(read(Decoder::new(SMALL), [header(64)]).error, None);
    let error = first_error(header(65).as_bytes());
    assert_eq!(error, FrameError::HeaderTooLong { limit: 64 });
    assert!(error.to_string().contains("esl.max_header_bytes (64)"));
    // Also when the end of the header never comes.
    assert_eq!(first_error("h".repeat(65).as_bytes()), error);

    let body = |bytes: usize| format!("Content-Length: {bytes}\n\n{}", "b".repeat(bytes));
    assert_eq!(read(Decoder::new(SMALL), [body(128)]).frames.len(), 1);
    // The announcement is enough, the bytes need not come.
    let error = first_error(b"Content-Length: 129\n\n");
    let (announced, limit) = (129, 128);
    assert_eq!(error, FrameError::BodyTooLong { announced, limit });
    assert!(error.to_string().contains("esl.max_frame_bytes (128)"));
}

#[test]
fn limits_beyond_all_reason_do_not_overflow() {
    let limits = Limits {
        max_header_bytes: usize::MAX,
        max_body_bytes: usize::MAX,
    };
    let wire = format!("Content-Length: {}\n\n", usize::MAX);
    let error = read(Decoder::new(limits), [wire]).error;
    assert!(matches!(error, Some(FrameError::BodyTooLong { .. })));
}

#[test]
fn announced_body_takes_no_memory_before_it_comes() {
    let mut decoder = Decoder::new(Limits::default());
    let mut buffer = BytesMut::from(&b"Content-Length: 60000000\n\n"[..]);
    assert!(decoder.decode(&mut buffer).unwrap().is_none());
    assert!(buffer.capacity() < 1 << 20, "{}", buffer.capacity());
}

/// Each byte is moved and looked at a bounded number of times: the buffer grows by doubling, no
/// byte is scanned twice, and nothing is scanned while a body is coming in.
#[test]
fn large_body_in_small_reads_costs_linear_time() {
    const BODY: usize = 32 << 20;
    let mut decoder = Decoder::new(Limits::default());
    let mut buffer = BytesMut::new();
    let head = format!(
        "X-Filler: {}\nContent-Length: {BODY}\n\n",
        "x".repeat(100_000)
    );
    for byte in head.as_bytes() {
        buffer.extend_from_slice(&[*byte]);
        assert!(decoder.decode(&mut buffer).unwrap().is_none());
        assert!(decoder.pending.is_some() || decoder.scanned == buffer.len());
    }
    let read = [b'b'; 1400];
    let (mut growths, mut capacity) = (0, buffer.capacity());
    let mut left = BODY;
    let frame = loop {
        let step = left.min(read.len());
        buffer.extend_from_slice(&read[..step]);
        left -= step;
        growths += usize::from(buffer.capacity() != capacity);
        capacity = buffer.capacity();
        match decoder.decode(&mut buffer).unwrap() {
            Some(frame) => break frame,
            None => assert!(decoder.pending.is_some()),
        }
    };
    assert_eq!((left, frame.body().len()), (0, BODY));
    assert!(growths <= 16, "the buffer was moved {growths} times");
    // What was needed for the large one is not kept.
    assert!(buffer.capacity() < 1 << 20, "{}", buffer.capacity());
}

#[test]
fn frame_that_is_kept_holds_its_own_bytes_only() {
    let wire = b"Content-Type: text/event-plain\nContent-Length: 20\n\nEvent-Name: CUSTOM\n\n";
    let mut decoder = Decoder::new(Limits::default());
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    let start = buffer.as_ptr();
    let mut kept = Vec::new();
    for _ in 0..10_000 {
        buffer.reserve(32 * 1024);
        buffer.extend_from_slice(wire);
        kept.push(decoder.decode(&mut buffer).unwrap().unwrap());
    }
    buffer.reserve(64 * 1024);
    assert_eq!(buffer.as_ptr(), start, "the read buffer was given away");
}

fn wires() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        "Content-Type: (command/reply|api/response|text/event-plain|text/new)",
        "(?i)content-length: [0-9]{1,3}",
        "[A-Za-z:% -]{0,12}",
        proptest::string::string_regex("Content-Length: .{0,4}").unwrap(),
    ];
    let piece = prop_oneof![
        4 => line.prop_map(|line| format!("{line}\n").into_bytes()),
        2 => Just(b"\n".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => (0..150_usize).prop_map(|n| {
            let mut frame = format!("Content-Length: {n}\n\n").into_bytes();
            frame.resize(frame.len() + n, b'\n');
            frame
        }),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_chunking_gives_the_same_frames(
        wire in wires(),
        steps in proptest::collection::vec(1..40_usize, 1..20),
        userauth in any::<bool>(),
    ) {
        let decoder = || {
            let mut decoder = Decoder::new(SMALL);
            if userauth {
                decoder.expect_userauth_reply();
            }
            decoder
        };
        let whole = read(decoder(), [wire.as_slice()]);
        prop_assert_eq!(&read(decoder(), wire.chunks(1)), &whole);
        let mut rest = wire.as_slice();
        let chunks = steps.iter().cycle().map_while(|&step| {
            let (chunk, behind) = rest.split_at(step.min(rest.len()));
            rest = behind;
            (!chunk.is_empty()).then_some(chunk)
        });
        // An empty stream has no chunk.
        prop_assert_eq!(&read(decoder(), chunks), &whole);
        for (headers, body) in &whole.frames {
            prop_assert!(body.len() <= SMALL.max_body_bytes);
            let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(bytes <= SMALL.max_header_bytes);
        }
    }
}
