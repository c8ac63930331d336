//! Clients that mean harm: what they get, and that others go on.

pub(crate) mod wire;

use switchgate::tls::ClientCertificates;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::faults::until;
use crate::gateway::{Gateway, connect, within};
use crate::tls::Secured;
use crate::tls::clients::list_nodes;
use wire::{
    CANCEL, CONTINUATION, END_HEADERS, ENHANCE_YOUR_CALM, HEADERS, REFUSED_STREAM, RST_STREAM,
    SUBSCRIBE, Wire, field, frame, headers, request,
};

/// Others are served: those who are there and those who come.
async fn assert_others_go_on(gateway: &Gateway) {
    assert_eq!(list_nodes(&gateway.channel).await.unwrap(), 1);
    let new = connect(gateway.address).await;
    assert_eq!(list_nodes(&new).await.unwrap(), 1);
}

/// Waits until the server closes a connection, on which it says nothing.
async fn assert_closed(mut stream: TcpStream) {
    let read = within(stream.read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_says_nothing_pushes_out_itself() {
    let gateway = Gateway::over_sims(1, |config| config.grpc.max_handshakes = 50).await;
    let mut crowd = Vec::new();
    for _ in 0..400 {
        crowd.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    until(|| gateway.transport.connections().displaced == 350).await;
    assert_eq!(gateway.transport.connections().handshaking, 50);
    assert_others_go_on(&gateway).await;
    for stream in crowd.drain(..350) {
        assert_closed(stream).await;
    }
    drop(crowd);
    until(|| gateway.transport.connections().handshaking == 0).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_stops_within_its_handshake_pushes_out_itself() {
    let secured = Secured::tuned(ClientCertificates::Required, |config, _| {
        config.grpc.max_handshakes = 20;
    })
    .await;
    let address = secured.gateway.address;
    let mut crowd = Vec::new();
    for at in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The head of a record of TLS, or that and some of what it announces.
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        let said = &hello[..if at % 2 == 0 { 5 } else { 11 }];
        tokio::io::AsyncWriteExt::write_all(&mut stream, said)
            .await
            .unwrap();
        crowd.push(stream);
    }
    let client = secured.client(1);
    assert_eq!(client.ask(address).await, Ok(1));
    for stream in crowd.drain(..180) {
        assert_closed(stream).await;
    }
    assert_eq!(client.ask(address).await, Ok(1));
    drop(crowd);
    secured.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_takes_too_long_is_given_up() {
    let tune = |config: &mut switchgate::config::Config| {
        config.grpc.handshake_timeout = std::time::Duration::from_millis(200);
    };
    let plain = Gateway::over_sims(1, tune).await;
    let secured = Secured::tuned(ClientCertificates::None, |config, _| tune(config)).await;
    for (address, said) in [
        (plain.address, b"".as_slice()),
        (plain.address, b"PRI * HTTP/2.0\r\n"),
        (secured.gateway.address, b""),
        (secured.gateway.address, &[0x16, 3, 1]),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, said)
            .await
            .unwrap();
        assert_closed(stream).await;
    }
    // TLS is done, but HTTP/2 does not begin.
    let mut stream = secured
        .nobody()
        .dial(secured.gateway.address)
        .await
        .unwrap();
    assert!(!matches!(within(stream.read(&mut [0])).await, Ok(1)));
    assert_eq!(plain.transport.connections().failed_handshakes, 2);
    assert_eq!(secured.gateway.transport.connections().failed_handshakes, 3);
    plain.stop().await;
    secured.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_beyond_the_bound_are_refused() {
    let gateway = Gateway::over_sims(1, |config| config.grpc.max_concurrent_streams = 8).await;
    let mut wire = Wire::connect(gateway.address).await;
    let streams = (0..40).map(|at| request(2 * at + 1, SUBSCRIBE));
    assert!(wire.send(&streams.collect::<Vec<_>>().concat()).await);
    for refused in 8..40 {
        let reset = wire.until(RST_STREAM).await.unwrap();
        assert_eq!(
            (reset.stream, reset.code()),
            (2 * refused + 1, REFUSED_STREAM)
        );
    }
    assert_others_go_on(&gateway).await;
    // Those within the bound were served, and the connection goes on.
    assert!(
        wire.send(&frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes()))
            .await
    );
    assert!(
        wire.send(&request(101, "/grpc.health.v1.Health/Check"))
            .await
    );
    while wire.until(HEADERS).await.unwrap().stream != 101 {}
    drop(wire);
    gateway.stop().await;
}

/// CVE-2023-44487.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resets_what_it_asks_for_is_sent_away() {
    let gateway = Gateway::over_sim().await;
    for path in [SUBSCRIBE, "/switchgate.v1.NodeService/ListNodes"] {
        let mut wire = Wire::connect(gateway.address).await;
        let pairs = (0..1000).map(|at| {
            let stream = 2 * at + 1;
            let reset = frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
            [request(stream, path), reset].concat()
        });
        wire.send(&pairs.collect::<Vec<_>>().concat()).await;
        assert_eq!(wire.goaway().await, Some(ENHANCE_YOUR_CALM), "{path}");
        assert_others_go_on(&gateway).await;
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_beyond_the_bound_are_refused() {
    let gateway = Gateway::over_sim().await;
    let mut wire = Wire::connect(gateway.address).await;
    let value = "x".repeat(4000);
    let long = [
        ("x-1", &*value),
        ("x-2", &value),
        ("x-3", &value),
        ("x-4", &value),
        ("x-5", &value),
    ];
    let block = headers("/grpc.health.v1.Health/Check", &long);
    let (first, rest) = block.split_at(16_000);
    let parts = [
        frame(HEADERS, 0, 1, first),
        frame(CONTINUATION, END_HEADERS, 1, rest),
    ];
    assert!(wire.send(&parts.concat()).await);
    let answer = wire.until(HEADERS).await.unwrap();
    // `:status: 431`, as h2 writes it: name 8 of the static table, and digits in Huffman's code.
    assert!(
        answer.payload.starts_with(&[0x48, 0x83, 0x69, 0x90, 0xff]),
        "{answer:?}"
    );
    assert_others_go_on(&gateway).await;
    // The connection is still good.
    assert!(wire.send(&request(3, "/grpc.health.v1.Health/Check")).await);
    assert_eq!(wire.until(HEADERS).await.unwrap().stream, 3);
    drop(wire);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_never_end_are_given_up() {
    let gateway = Gateway::over_sim().await;
    for part in ["", "x"] {
        let mut wire = Wire::connect(gateway.address).await;
        let block = headers("/grpc.health.v1.Health/Check", &[]);
        assert!(wire.send(&frame(HEADERS, 0, 1, &block)).await);
        let more = match part {
            "" => Vec::new(),
            part => field("x", &part.repeat(1000)),
        };
        let burst = frame(CONTINUATION, 0, 1, &more).repeat(500);
        for _ in 0..20 {
            if !wire.send(&burst).await {
                break;
            }
        }
        assert_eq!(wire.goaway().await, Some(ENHANCE_YOUR_CALM), "{part:?}");
        assert_others_go_on(&gateway).await;
    }
    gateway.stop().await;
}
