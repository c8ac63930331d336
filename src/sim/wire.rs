//! The server's side of the wire: commands in, frames out.

use bytes::{Buf, Bytes, BytesMut};

/// Largest command that is read, as FreeSWITCH's own bound (`max_len` in `read_packet`).
const MAX_COMMAND_BYTES: usize = 10 << 20;

/// A command: its first line, its headers and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WireCommand {
    /// The first line.
    pub(super) line: String,
    /// The other lines, split at the first colon.
    pub(super) headers: Vec<(String, String)>,
    /// The body, if there was a `content-length`.
    pub(super) body: Option<Vec<u8>>,
    /// All bytes of the command.
    pub(super) raw: Bytes,
}

// === impl WireCommand ===

impl WireCommand {
    /// The first header with this name in any case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Takes the next whole command out of what was read, if there is one
/// (`read_packet` in `mod_event_socket.c`: line ends before a command are skipped, it ends at the
/// first empty line, `content-length` bytes follow).
pub(super) fn take_command(input: &mut BytesMut) -> Option<WireCommand> {
    let blank = input
        .iter()
        .take_while(|&&byte| byte == b'\n' || byte == b'\r')
        .count();
    input.advance(blank);
    let head_end = end_of_head(input)?;
    let text = String::from_utf8_lossy(&input[..head_end]).into_owned();
    let mut lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim_start_matches(' ').to_owned()))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .filter(|length| *length > 0);
    let total = head_end + length.unwrap_or(0);
    if input.len() < total {
        return None;
    }
    let raw = input.split_to(total).freeze();
    let body = length.map(|_| raw[head_end..].to_vec());
    Some(WireCommand {
        line,
        headers,
        body,
        raw,
    })
}

/// Offset behind the empty line that ends the header lines.
fn end_of_head(input: &[u8]) -> Option<usize> {
    let mut line_ends = 0;
    for (at, &byte) in input.iter().enumerate().take(MAX_COMMAND_BYTES) {
        match byte {
            b'\n' => line_ends += 1,
            b'\r' => {}
            _ => line_ends = 0,
        }
        if line_ends == 2 {
            return Some(at + 1);
        }
    }
    (input.len() >= MAX_COMMAND_BYTES).then_some(MAX_COMMAND_BYTES)
}

/// Longest `Reply-Text` frame: FreeSWITCH renders it into 512 bytes and then into 1,024.
const MAX_REPLY_BYTES: usize = 511;

/// The largest offset up to `limit` that cuts no character.
fn boundary(text: &str, limit: usize) -> usize {
    (0..=limit.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// A `command/reply` frame with one line of text.
pub(super) fn reply(text: &str) -> Bytes {
    let cut = boundary(text, MAX_REPLY_BYTES);
    format!(
        "Content-Type: command/reply\nReply-Text: {}\n\n",
        &text[..cut]
    )
    .into()
}

/// A `command/reply` frame with headers of its own, cut at 512 bytes like the real one's.
pub(super) fn reply_headers(headers: &str) -> Bytes {
    let cut = boundary(headers, MAX_REPLY_BYTES - 1);
    format!("Content-Type: command/reply\n{}", &headers[..cut]).into()
}

/// A frame of this content type.
pub(super) fn frame(content_type: &str, body: &[u8]) -> Bytes {
    let head = format!(
        "Content-Type: {content_type}\nContent-Length: {}\n\n",
        body.len()
    );
    let mut out = head.into_bytes();
    out.extend_from_slice(body);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_in_any_chunking() {
        let wire = b"\n\napi status\r\n\r\nsendmsg x\ncontent-length: 3\nA: b: c\n\nabcexit\n\n";
        for chunk in 1..wire.len() {
            let mut input = BytesMut::new();
            let mut lines = Vec::new();
            for part in wire.chunks(chunk) {
                input.extend_from_slice(part);
                while let Some(command) = take_command(&mut input) {
                    lines.push((command.line.clone(), command.body.clone()));
                }
            }
            let body = Some(b"abc".to_vec());
            assert_eq!(
                lines,
                [
                    ("api status".into(), None),
                    ("sendmsg x".into(), body),
                    ("exit".into(), None)
                ]
            );
        }
    }

    #[test]
    fn a_long_userauth_reply_is_cut_as_the_real_one() {
        assert_eq!(reply_headers(&"x".repeat(2000)).len(), 28 + 510);
    }
}
