//! FreeSWITCH refuses in words of each command's own: what they mean.

use switchgate::pb;
use tonic::{Code, Status};

use super::fill::{living, over_fake};
use super::leave;
use crate::fake_node::Say;
use crate::gateway::{Gateway, code_and_reason, metadata, within};

const ID: &str = "11111111-1111-4111-8111-111111111111";

/// A refusal that does not say whether the channel is gone, and what asks for it.
const UNCLEAR: [(&str, &str); 6] = [
    ("uuid_answer", "-ERROR\n"),
    ("uuid_pre_answer", "-ERROR\n"),
    ("uuid_ring_ready", "-ERROR\n"),
    ("uuid_transfer", "-ERR\n"),
    ("uuid_broadcast", "-ERR invalid uuid\n"),
    ("uuid_hold", "-ERR Operation failed\n"),
];

/// A refusal that says that the channel is gone.
const GONE: [(&str, &str); 3] = [
    ("uuid_setvar", "-ERR No such channel!\n"),
    ("uuid_record", "-ERR Cannot locate session!\n"),
    ("uuid_send_dtmf", "-ERR Cannot locate session!\n"),
];

async fn call(gateway: &Gateway, command: &str) -> Status {
    let mut sessions = gateway.sessions();
    let session_id = ID.to_owned();
    macro_rules! fails {
        ($rpc:ident, $request:ident { $($field:ident: $value:expr),* }) => {
            within(sessions.$rpc(pb::$request { session_id, $($field: $value,)* ..Default::default() }))
                .await
                .map(|_| ())
        };
    }
    let answer = match command {
        "uuid_answer" => fails!(answer, AnswerRequest {}),
        "uuid_pre_answer" => fails!(pre_answer, PreAnswerRequest {}),
        "uuid_ring_ready" => fails!(ring_ready, RingReadyRequest {}),
        "uuid_transfer" => {
            let extension = Some(pb::OriginateExtension {
                number: "1".to_owned(),
                ..Default::default()
            });
            fails!(
                transfer,
                TransferRequest {
                    extension: extension
                }
            )
        }
        "uuid_broadcast" => fails!(
            broadcast,
            BroadcastRequest {
                application: "park".to_owned()
            }
        ),
        "uuid_hold" => fails!(hold, HoldRequest {}),
        "uuid_record" => fails!(stop_recording, StopRecordingRequest {}),
        "uuid_send_dtmf" => fails!(
            send_dtmf,
            SendDtmfRequest {
                digits: "1".to_owned()
            }
        ),
        _ => {
            let names = vec!["a".to_owned()];
            fails!(unset_variables, UnsetVariablesRequest { names: names })
        }
    };
    answer.expect_err(command)
}

async fn refused(command: &str, words: &str, exists: bool) -> Status {
    let (gateway, fake) = over_fake().await;
    living(&gateway, &fake, ID).await;
    let is_unanswered = ["uuid_answer", "uuid_pre_answer", "uuid_ring_ready"].contains(&command);
    if !is_unanswered {
        let answered = [
            ("Channel-State", "CS_EXECUTE"),
            ("Answer-State", "answered"),
        ];
        fake.channel_event("CHANNEL_ANSWER", ID, &answered);
        super::seen(&gateway, ID, |session| session.answered).await;
    }
    let applications = "{\"row_count\":1,\"rows\":[{\"name\":\"park\"}]}";
    fake.on("api show application", [Say::api(applications)]);
    fake.on("api uuid_exists", [Say::api(exists.to_string())]);
    fake.on(&format!("api {command}"), [Say::api(words)]);
    let status = call(&gateway, command).await;
    assert_eq!(fake.count(&format!("api {command}")), 1, "{command}");
    leave(gateway).await;
    status
}

#[tokio::test]
async fn a_refusal_that_does_not_say_why_is_looked_into() {
    for (command, words) in UNCLEAR {
        let status = refused(command, words, false).await;
        let ended = (Code::FailedPrecondition, "SESSION_ENDED".to_owned());
        assert_eq!(code_and_reason(&status), ended, "{command}");
        let status = refused(command, words, true).await;
        let rejected = (Code::FailedPrecondition, "COMMAND_REJECTED".to_owned());
        assert_eq!(code_and_reason(&status), rejected, "{command}");
        assert_eq!(metadata(&status, "freeswitch_reply"), words.trim_end());
        assert_eq!(metadata(&status, "session_id"), ID);
        assert_eq!(metadata(&status, "node_id"), "sim-0");
    }
}

#[tokio::test]
async fn a_refusal_that_says_that_the_channel_is_gone_is_believed() {
    for (command, words) in GONE {
        let status = refused(command, words, true).await;
        let ended = (Code::FailedPrecondition, "SESSION_ENDED".to_owned());
        assert_eq!(code_and_reason(&status), ended, "{command}");
        assert_eq!(metadata(&status, "freeswitch_reply"), words.trim_end());
    }
}
