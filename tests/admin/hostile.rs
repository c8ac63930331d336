//! Clients that hold the port for metrics and probes up, or try to.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{Answer, ask, get};
use crate::client::answered;
use crate::faults::SLACK;
use crate::gateway::{Gateway, connect, within};

/// A probe is answered within this, whoever else is there.
const PROMPT: Duration = SLACK;

async fn assert_prompt(gateway: &Gateway) {
    let began = Instant::now();
    let address = gateway.admin.unwrap();
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(address, path).await.status, 200, "{path}");
    }
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn connections_that_say_nothing_keep_no_probe_out() {
    let gateway = Gateway::over_sim().await;
    let address = gateway.admin.unwrap();
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(within(TcpStream::connect(address)).await.unwrap());
        if silent.len() % 100 == 0 {
            assert_prompt(&gateway).await;
        }
    }
    // The first ones had to go.
    let first = &mut silent[0];
    assert_eq!(within(first.read(&mut [0])).await.unwrap_or(0), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn headers_that_never_end_keep_no_probe_out() {
    let gateway = Gateway::over_sim().await;
    let address = gateway.admin.unwrap();
    let mut slow = Vec::new();
    for at in 0..200 {
        let mut stream = within(TcpStream::connect(address)).await.unwrap();
        // Both protocols, cut in the middle of their beginning.
        let begin: &[u8] = match at % 2 {
            0 => b"GET /metrics HTTP/1.1\r\nx: ",
            _ => b"PRI * HTTP/2.0\r\n\r\nS",
        };
        // The port may have closed it for a newer one.
        let _ = stream.write_all(begin).await;
        slow.push(stream);
    }
    assert_prompt(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn pages_that_nobody_reads_keep_no_scrape_out() {
    let gateway = Gateway::over_sim().await;
    let address = gateway.admin.unwrap();
    let mut unread = Vec::new();
    for _ in 0..64 {
        let mut stream = within(TcpStream::connect(address)).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";
        for _ in 0..20 {
            let _ = stream.write_all(request).await;
        }
        unread.push(stream);
    }
    assert_prompt(&gateway).await;
    answered(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_too_large_or_no_http_is_refused() {
    let gateway = Gateway::over_sim().await;
    let address = gateway.admin.unwrap();
    let answer = async |request: Vec<u8>| {
        within(async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // It may answer before it has read all.
            let _ = stream.write_all(&request).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            answer
        })
        .await
    };
    let mut long = b"GET /livez HTTP/1.1\r\nx: ".to_vec();
    long.resize(1 << 20, b'a');
    let refused = answer(long).await;
    // A reset may take the answer away.
    assert!(refused.is_empty() || Answer::parse(&refused).status == 431);
    let refused = answer(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()).await;
    assert!(refused.is_empty() || Answer::parse(&refused).status == 400);
    let body = "a".repeat(1 << 20);
    let refused = ask(address, "PUT", "/log-level", "", &body).await;
    assert!([400, 404].contains(&refused.status), "{refused:?}");
    assert_prompt(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn many_streams_of_health_keep_no_probe_out() {
    let gateway = Gateway::over_sim().await;
    let mut watches = Vec::new();
    for _ in 0..100 {
        let mut health = HealthClient::new(connect(gateway.admin.unwrap()).await);
        let watch = within(health.watch(HealthCheckRequest::default())).await;
        watches.push((health, watch.unwrap().into_inner()));
    }
    assert_prompt(&gateway).await;
    drop(watches);
    gateway.stop().await;
}
