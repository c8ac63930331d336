//! Certificates, authorities and revocation lists that change while the gateway runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::AlertDescription;
use switchgate::app::ReloadError;
use switchgate::pb;
use switchgate::pb::event_service_client::EventServiceClient;
use switchgate::shutdown::Drain;
use switchgate::tls::{ClientCertificates, Tls};
use tonic::Code;

use crate::faults::until;
use crate::gateway::{code_and_reason, metadata, within};
use crate::tls::Secured;
use crate::tls::clients::{Client, list_nodes};
use crate::tls::pki::Authority;

fn tls(secured: &Secured) -> Tls {
    secured.gateway.transport.tls().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_swapped_under_load_without_a_failed_rpc() {
    let secured = Secured::new(ClientCertificates::Required).await;
    let (address, tls) = (secured.gateway.address, tls(&secured));
    let other = Authority::new("other servers");
    let identity = secured.clients.client(1);
    let both = Client::new(&[&secured.authority, &other], Some(&identity));
    let only = |authority| Client::new(&[authority], Some(&identity));
    let (answered, is_over) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );

    let drain = Drain::new();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (client, answered) = (both.clone(), Arc::clone(&answered));
            let is_over = Arc::clone(&is_over);
            drain.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let channel = within(client.channel(address)).await.unwrap();
                    for _ in 0..3 {
                        assert_eq!(list_nodes(&channel).await.unwrap(), 1);
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for round in 0..20 {
        let authority = [&other, &secured.authority][round % 2];
        let before = answered.load(Ordering::Relaxed);
        until(|| answered.load(Ordering::Relaxed) > before + 20).await;
        secured.folder.identity("server", &authority.server());
        assert_eq!(tls.reload().await, Ok(true));
        // In use from now on, for everybody.
        assert_eq!(only(authority).ask(address).await, Ok(1), "round {round}");
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        within(client).await.expect("no RPC fails");
    }
    assert_eq!(tls.figures().failed_reloads, 0);
    secured.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_files_change_nothing_until_they_are_mended() {
    let secured = Secured::new(ClientCertificates::None).await;
    let (address, tls) = (secured.gateway.address, tls(&secured));
    let before = tls.figures();
    assert_eq!(tls.reload().await, Ok(false), "nothing has changed");
    let next = secured.authority.server();
    secured.folder.write("server.pem", &next.pem);
    let flaws = tls.reload().await.unwrap_err();
    let told = flaws.to_string();
    assert!(
        told.starts_with("key: `") && told.contains("does not fit the certificate"),
        "{told}"
    );
    std::fs::remove_file(secured.folder.path("server.key")).unwrap();
    assert!(tls.reload().await.is_err());
    assert_eq!(secured.nobody().ask(address).await, Ok(1));
    let figures = tls.figures();
    assert_eq!(figures.failed_reloads, 2);
    assert_eq!(figures.loaded_at, before.loaded_at);

    secured.folder.write("server.key", &next.key);
    assert_eq!(tls.reload().await, Ok(true));
    assert_eq!(secured.nobody().ask(address).await, Ok(1));
    let figures = tls.figures();
    assert_eq!(figures.failed_reloads, 2);
    assert!(figures.loaded_at > before.loaded_at && figures.not_after > SystemTime::now());
    secured.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_link_above_the_files_is_noticed() {
    let secured = Secured::tuned(ClientCertificates::None, |config, folder| {
        let target = folder.path("v1");
        std::fs::create_dir(&target).unwrap();
        let tls = &mut config.grpc.tls;
        for name in [&mut tls.certificate, &mut tls.key] {
            let file = name.take().unwrap();
            let file_name = file.file_name().unwrap();
            std::fs::rename(&file, target.join(file_name)).unwrap();
            *name = Some(folder.path("..data").join(file_name));
        }
        folder.link("..data", &target);
        tls.reload_interval = Duration::from_millis(20);
    })
    .await;
    let address = secured.gateway.address;
    assert_eq!(secured.nobody().ask(address).await, Ok(1));

    let (next, other) = (secured.folder.path("v2"), Authority::new("other"));
    std::fs::create_dir(&next).unwrap();
    let server = other.server();
    std::fs::write(next.join("server.pem"), server.pem).unwrap();
    std::fs::write(next.join("server.key"), server.key).unwrap();
    let loaded_at = tls(&secured).figures().loaded_at;
    secured.folder.link("..data", &next);
    until(|| tls(&secured).figures().loaded_at > loaded_at).await;
    assert_eq!(Client::new(&[&other], None).ask(address).await, Ok(1));
    assert!(secured.nobody().ask(address).await.is_err());
    secured.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_client_is_refused_and_its_connection_ends() {
    let clients = Authority::new("clients");
    let mut secured = Secured::tuned(ClientCertificates::Required, |config, folder| {
        let tls = &mut config.grpc.tls;
        folder.write("clients.pem", &clients.pem);
        tls.client_crl = Some(folder.write("crl.pem", &clients.crl(&[])));
    })
    .await;
    secured.clients = clients;
    let (address, tls) = (secured.gateway.address, tls(&secured));
    let (bad, good) = (secured.clients.client(13), secured.clients.client(14));
    let bad = Client::new(&[&secured.authority], Some(&bad));
    let good = Client::new(&[&secured.authority], Some(&good));
    let bad_channel = within(bad.channel(address)).await.unwrap();
    let good_channel = within(good.channel(address)).await.unwrap();
    let subscribe = |channel| async {
        let mut client = EventServiceClient::new(channel);
        let stream = within(client.subscribe(pb::SubscribeRequest::default())).await;
        let mut stream = stream.unwrap().into_inner();
        assert!(within(stream.message()).await.unwrap().is_some());
        stream
    };
    let mut bad_stream = subscribe(bad_channel).await;
    let _good_stream = subscribe(good_channel.clone()).await;

    secured.folder.write("crl.pem", &secured.clients.crl(&[13]));
    assert_eq!(tls.reload().await, Ok(true));
    let ended = loop {
        match within(bad_stream.message()).await {
            Ok(Some(_)) => {}
            other => break other.unwrap_err(),
        }
    };
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
    assert_eq!(code_and_reason(&ended), expected, "{ended:?}");
    assert!(!metadata(&ended, "cursor").is_empty());
    let alert = bad.refusal(address).await;
    assert_eq!(alert, Some(AlertDescription::CertificateRevoked));
    assert!(bad.ask(address).await.is_err());
    assert_eq!(list_nodes(&good_channel).await.unwrap(), 1);
    assert_eq!(good.ask(address).await, Ok(1));

    // The list is taken back: the certificate is as good as it was.
    secured.folder.write("crl.pem", &secured.clients.crl(&[]));
    assert_eq!(tls.reload().await, Ok(true));
    assert_eq!(bad.ask(address).await, Ok(1));
    secured.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_an_authority_that_is_replaced_are_refused() {
    let secured = Secured::new(ClientCertificates::Required).await;
    let (address, tls) = (secured.gateway.address, tls(&secured));
    let (old, next) = (secured.client(1), Authority::new("other clients"));
    let new = Client::new(&[&secured.authority], Some(&next.client(1)));
    let channel = within(old.channel(address)).await.unwrap();
    assert_eq!(list_nodes(&channel).await.unwrap(), 1);
    assert_eq!(
        new.refusal(address).await,
        Some(AlertDescription::UnknownCA)
    );

    // Both, as one does it in the course of a change: nobody is cut off.
    let both = format!("{}{}", secured.clients.pem, next.pem);
    secured.folder.write("clients.pem", &both);
    assert_eq!(tls.reload().await, Ok(true));
    assert_eq!(
        (old.ask(address).await, new.ask(address).await),
        (Ok(1), Ok(1))
    );
    assert_eq!(secured.gateway.transport.connections().aged, 0);
    assert_eq!(list_nodes(&channel).await.unwrap(), 1);

    secured.folder.write("clients.pem", &next.pem);
    assert_eq!(tls.reload().await, Ok(true));
    assert_eq!(
        old.refusal(address).await,
        Some(AlertDescription::UnknownCA)
    );
    assert_eq!(new.ask(address).await, Ok(1));
    secured.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_other_files_or_leaves_all_as_it_was() {
    let mut config = None;
    let secured = Secured::tuned(ClientCertificates::None, |tuned, _| {
        config = Some(tuned.clone());
    })
    .await;
    let mut config = config.unwrap();
    let (address, reloads) = (secured.gateway.address, &secured.gateway.reloads);
    let other = Authority::new("other servers");
    let identity = other.server();
    let (certificate, key) = secured.folder.identity("other", &identity);
    config.grpc.tls.certificate = Some(certificate);
    config.grpc.tls.key = Some(key.clone());
    let changes = reloads.reload(async { Ok(config.clone()) }).await.unwrap();
    assert_eq!(changes.sections, ["grpc.tls"]);
    assert_eq!(changes.at_next_start, [""; 0]);
    let trusting = Client::new(&[&other], None);
    assert_eq!(trusting.ask(address).await, Ok(1));

    // Gone since it was checked: nothing of what is good is applied.
    std::fs::remove_file(&key).unwrap();
    let mut without_nodes = config.clone();
    without_nodes.nodes.clear();
    let refused = reloads.reload(async { Ok(without_nodes) }).await;
    assert!(matches!(refused, Err(ReloadError::Tls(_))), "{refused:?}");
    assert_eq!(trusting.ask(address).await, Ok(1));

    std::fs::write(&key, &identity.key).unwrap();
    config.grpc.tls.client_certificates = ClientCertificates::Required;
    config.grpc.tls.client_ca = Some(secured.folder.path("clients.pem"));
    reloads.reload(async { Ok(config) }).await.unwrap();
    let alert = trusting.refusal(address).await;
    assert_eq!(alert, Some(AlertDescription::CertificateRequired));
    secured.gateway.stop().await;
}
