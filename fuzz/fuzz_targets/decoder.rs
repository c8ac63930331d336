//! Arbitrary bytes in arbitrary chunks.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use switchgate::esl::{Decoder, Frame, FrameError, Limits};

fuzz_target!(|data: &[u8]| {
    let Some((&[small, steps @ ..], stream)) = data.split_first_chunk::<4>() else {
        return;
    };
    let limits = match small % 2 {
        0 => Limits::default(),
        _ => Limits {
            max_header_bytes: 128,
            max_body_bytes: 256,
        },
    };
    let whole = read(limits, stream, [stream.len(); 3]);
    let chunked = read(limits, stream, steps.map(usize::from));
    assert_eq!(whole.1, chunked.1);
    assert_eq!(whole.0.len(), chunked.0.len());
    for (one, other) in whole.0.iter().zip(&chunked.0) {
        assert_eq!(one.content_type(), other.content_type());
        assert!(one.headers().iter_raw().eq(other.headers().iter_raw()));
        assert_eq!(one.body(), other.body());
        assert!(one.body().len() <= limits.max_body_bytes);
        let lines = one.headers().iter_raw();
        assert!(lines.map(|(n, v)| n.len() + v.len()).sum::<usize>() <= limits.max_header_bytes);
    }
});

/// Frames, how it failed, and whether the stream ended between two frames.
fn read(
    limits: Limits,
    mut stream: &[u8],
    steps: [usize; 3],
) -> (Vec<Frame>, (Option<FrameError>, bool)) {
    let mut decoder = Decoder::new(limits);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for step in steps.into_iter().cycle() {
        if stream.is_empty() {
            break;
        }
        let (chunk, rest) = stream.split_at(step.clamp(1, stream.len()));
        stream = rest;
        buffer.extend_from_slice(chunk);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, (Some(error), false)),
            }
        }
    }
    let between = decoder.is_between_frames(&buffer);
    (frames, (None, between))
}
