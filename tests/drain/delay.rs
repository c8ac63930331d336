//! The delay, in which those who send requests learn that they should send them elsewhere.

use super::*;

#[tokio::test]
async fn requests_are_served_in_the_delay_also_on_new_connections() {
    let mut gateway = Gateway::over_sims(1, |config| {
        config.shutdown.delay = Duration::from_secs(1);
    })
    .await;
    let mut health = watch_health(&gateway.channel).await;
    until_health(&mut health, ServingStatus::Serving).await;
    let mut before = subscribe(&gateway.channel).await;
    gateway.begin_stop();
    until_health(&mut health, ServingStatus::NotServing).await;

    run_job(&gateway, job("status", "")).await.unwrap();
    let late = connect(gateway.address).await;
    run(&late, "1").await.unwrap();
    let mut after = subscribe(&late).await;
    assert_told_to_go_on(&mut before).await;
    assert_told_to_go_on(&mut after).await;
    gateway.stopped().await;
}

#[tokio::test]
async fn the_delay_is_a_part_of_the_grace_period() {
    let (delay, grace) = (Duration::from_millis(3800), Duration::from_secs(4));
    let mut gateway = Gateway::over_sims(1, |config| {
        config.shutdown.delay = delay;
        config.shutdown.grace = grace;
    })
    .await;
    let mut sessions = gateway.sessions();
    let sim = gateway.sim().clone();
    let stop = async {
        until(|| !sim.channels().is_empty()).await;
        let began = Instant::now();
        gateway.begin_stop();
        began
    };
    let call = within(sessions.originate(call_to("sim/ring_answer?ring=60s")));
    let (call, began) = tokio::join!(call, stop);
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned());
    assert_eq!(code_and_reason(&call.unwrap_err()), expected);
    let took = began.elapsed();
    assert!((grace..grace + SLACK).contains(&took), "{took:?}");
    gateway.stopped().await;
}
