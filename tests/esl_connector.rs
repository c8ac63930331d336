//! From an address to a connection that is through its login, or the reason why there is none.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchgate::esl::{
    BoxIo, ConnectError, Connection, Connector, ContentType, Credentials, Dialer, Limits, NoEvents,
    TcpDialer,
};
use switchgate::shutdown::Drain;
use tokio::io::DuplexStream;
use tokio::time::Instant;

use crate::peer::{Peer, api, config};

const AUTH_REQUEST: &str = "Content-Type: auth/request\n\n";

/// Hands out one end of a `duplex`, or what else a test wants.
struct OneSocket(Mutex<Option<DuplexStream>>);

impl Dialer for OneSocket {
    fn dial<'a>(
        &'a self,
        _: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<BoxIo>> + Send + 'a>> {
        let io = self.0.lock().unwrap().take();
        Box::pin(async move {
            match io {
                Some(io) => Ok(Box::new(io) as BoxIo),
                None => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }
}

fn connector(user: Option<&str>, password: &str, buffer: usize) -> (Connector, Peer) {
    let (near, far) = tokio::io::duplex(buffer);
    let connector = Connector {
        address: "fs.example:8021".into(),
        credentials: Credentials {
            user: user.map(str::to_owned),
            password: password.to_owned().into(),
        },
        timeout: Duration::from_secs(5),
        limits: Limits::default(),
        dialer: Arc::new(OneSocket(Mutex::new(Some(near)))),
    };
    (connector, Peer::new(far))
}

/// What comes of a peer that says `words` and closes.
async fn connect_to(words: &str) -> Result<Connection, ConnectError> {
    let (connector, mut peer) = connector(None, "ClueCon", 64);
    let (result, ()) = tokio::join!(connector.connect(), async move {
        peer.say(words).await;
    });
    result
}

#[tokio::test(start_paused = true)]
async fn password_opens_the_link() {
    let drain = Drain::new();
    let (connector, mut peer) = connector(None, "ClueCon", 64);
    let script = async {
        peer.say(AUTH_REQUEST).await;
        peer.expect("auth ClueCon").await;
        peer.reply("+OK accepted").await;
        peer.expect("api status").await;
        peer.api_reply("UP").await;
    };
    let calls = async {
        let connection = connector.connect().await.unwrap();
        let link = connection.start(config(), NoEvents, &drain);
        link.send(api("status")).await.unwrap().text()
    };
    let (status, ()) = tokio::join!(calls, script);
    assert_eq!(status, "UP");
}

#[tokio::test(start_paused = true)]
async fn wrong_password_is_told() {
    let (connector, mut peer) = connector(None, "wrong", 1024);
    let (result, ()) = tokio::join!(connector.connect(), async {
        peer.say(AUTH_REQUEST).await;
        peer.expect("auth wrong").await;
        peer.reply("-ERR invalid").await;
    });
    match result {
        Err(ConnectError::LoginRefused(reason)) => assert_eq!(reason, "-ERR invalid"),
        other => panic!("{other:?}"),
    }
}

/// The reply is cut at 512 bytes with no empty line at its end, and nothing follows it until the
/// first command.
#[tokio::test(start_paused = true)]
async fn user_with_many_rights_is_let_in_by_a_reply_that_is_cut() {
    let drain = Drain::new();
    let (connector, mut peer) = connector(Some("1000@test"), "pw", 64);
    let reply = format!(
        "~Reply-Text: +OK accepted\nAllowed-Events: {}",
        "x ".repeat(400)
    );
    let reply = format!("Content-Type: command/reply\n{}", &reply[1..511]);
    let script = async {
        peer.say(AUTH_REQUEST).await;
        peer.expect("userauth 1000@test:pw").await;
        peer.say(reply).await;
        peer.expect("api status").await;
        peer.api_reply("UP").await;
    };
    let calls = async {
        let connection = connector.connect().await.unwrap();
        let link = connection.start(config(), NoEvents, &drain);
        link.send(api("status")).await.unwrap().text()
    };
    let (status, ()) = tokio::join!(calls, script);
    assert_eq!(status, "UP");
}

#[tokio::test(start_paused = true)]
async fn wrong_user_is_told() {
    let (connector, mut peer) = connector(Some("nobody@test"), "pw", 1024);
    let (result, ()) = tokio::join!(connector.connect(), async {
        peer.say(AUTH_REQUEST).await;
        peer.expect("userauth nobody@test:pw").await;
        peer.reply("-ERR invalid").await;
    });
    assert!(
        matches!(result, Err(ConnectError::LoginRefused(_))),
        "{result:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn credentials_that_would_forge_a_command_are_not_written() {
    for (user, password) in [
        (None, "a\n\napi hupall"),
        (Some("u@d\nx"), "a"),
        (Some("u@d"), "a\0"),
    ] {
        let (connector, mut peer) = connector(user, password, 1024);
        let (result, ()) = tokio::join!(connector.connect(), async {
            peer.say(AUTH_REQUEST).await;
        });
        assert!(
            matches!(result, Err(ConnectError::BadCredentials(_))),
            "{result:?}"
        );
        assert_eq!(peer.hear().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn refused_address_is_told() {
    let result = connect_to(
        "Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n",
    )
    .await;
    assert!(
        matches!(result, Err(ConnectError::AddressRefused)),
        "{result:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn socket_that_cannot_be_opened_is_told() {
    let (connector, _peer) = connector(None, "x", 64);
    let (_, again) = tokio::join!(connector.connect(), connector.connect());
    assert!(matches!(again, Err(ConnectError::Dial(_))), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn silent_peer_times_out_at_every_step() {
    for words in [
        "",
        "Content-Type: auth/",
        AUTH_REQUEST,
        "Content-Type: auth/request\n\nContent",
    ] {
        let (connector, mut peer) = connector(None, "x", 64);
        let started_at = Instant::now();
        let (result, ()) = tokio::join!(connector.connect(), peer.say(words));
        let timeout = Duration::from_secs(5);
        assert!(
            matches!(result, Err(ConnectError::TimedOut(t)) if t == timeout),
            "{result:?}"
        );
        assert_eq!(started_at.elapsed(), timeout);
        while peer.hear().await.is_some() {}
    }
}

#[tokio::test(start_paused = true)]
async fn peer_that_leaves_during_login_is_told() {
    for words in ["", "Content-Type: auth/", AUTH_REQUEST] {
        let result = connect_to(words).await;
        assert!(
            matches!(result, Err(ConnectError::Broken(_))),
            "{words:?}: {result:?}"
        );
    }
}

/// At once, not when it has said a megabyte or the time is up.
#[tokio::test(start_paused = true)]
async fn peer_that_speaks_another_protocol_is_told_at_once() {
    for words in [
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "220 mail.example ESMTP\r\n",
        "Content-Nothing",
        "\0",
    ] {
        let (connector, mut peer) = connector(None, "x", 1024);
        let started_at = Instant::now();
        let (result, ()) = tokio::join!(connector.connect(), peer.say(words));
        assert!(
            matches!(result, Err(ConnectError::NotEsl(_))),
            "{words:?}: {result:?}"
        );
        assert_eq!(started_at.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn frame_without_a_place_in_a_login_is_told() {
    let result = connect_to("Content-Type: command/reply\nReply-Text: +OK\n\n").await;
    assert!(
        matches!(
            result,
            Err(ConnectError::Unexpected(ContentType::CommandReply))
        ),
        "{result:?}"
    );
}

#[tokio::test]
async fn tcp_opens_with_any_silence() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for silence in [
        Duration::from_millis(1),
        Duration::from_secs(2),
        Duration::from_secs(60),
    ] {
        let dialer = TcpDialer { silence };
        if let Err(error) = dialer.dial(&address).await {
            panic!("{silence:?}: {error}");
        }
    }
}

#[test]
fn no_password_is_printed() {
    let (connector, _peer) = connector(Some("1000@test"), "secret", 64);
    let printed = format!("{connector:?} {:?}", connector.credentials);
    assert!(!printed.contains("secret"), "{printed}");
}
