//! The client's deadline.
//!
//! tonic turns an expired `grpc-timeout` into CANCELLED and drops the handler; here the header is
//! taken out before tonic can see it, and the handler itself answers DEADLINE_EXCEEDED.

use std::time::Duration;

use http::HeaderMap;
use tonic::Request;

use super::Deadlines;
use crate::domain::Deadline;

const HEADER: &str = "grpc-timeout";
/// The answer has to be there before the client's own timer fires, or its details are lost; also
/// where either of the two is busy.
const MARGIN: Duration = Duration::from_millis(200);

/// What the client asked for; put into the request's extensions by the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientDeadline(pub(super) Deadline);

/// Takes the deadline out of the headers. A malformed one counts as none, as gRPC demands.
pub(super) fn take(headers: &mut HeaderMap) -> Option<ClientDeadline> {
    let value = headers.remove(HEADER)?;
    let timeout = parse(value.to_str().ok()?)?;
    let margin = MARGIN.min(timeout / 10);
    Some(ClientDeadline(Deadline::after(timeout - margin)))
}

/// The deadline of a request: the client's, else `default`; never beyond the server's maximum.
pub(super) fn of<T>(request: &Request<T>, default: Duration, deadlines: &Deadlines) -> Deadline {
    let asked = match request.extensions().get::<ClientDeadline>() {
        Some(ClientDeadline(deadline)) => *deadline,
        None => Deadline::after(default),
    };
    asked.min(Deadline::after(deadlines.max))
}

/// `TimeoutValue TimeoutUnit` of the gRPC protocol: up to 8 digits and one of H M S m u n.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number =
        (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = is_number.then(|| digits.parse().ok())??;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_unit_is_read() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parse("15S"), Some(Duration::from_secs(15)));
        assert_eq!(parse("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(parse("7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse("0n"), Some(Duration::ZERO));
        for malformed in ["", "S", "5", "123456789S", "-1S", "1 S", "1s", "1.5S", "ü"] {
            assert_eq!(parse(malformed), None, "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_the_parser_panic(text in ".*") {
            let _ = parse(&text);
        }
    }
}
