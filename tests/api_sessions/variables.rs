//! Channel variables.

use super::*;

pub(super) async fn set(
    gateway: &Gateway,
    session_id: &str,
    pairs: &[(&str, &str)],
) -> Result<pb::SetVariablesResponse, tonic::Status> {
    let request = pb::SetVariablesRequest {
        session_id: session_id.to_owned(),
        variables: map(pairs),
        ..Default::default()
    };
    Ok(within(gateway.sessions().set_variables(request))
        .await?
        .into_inner())
}

pub(super) async fn unset(
    gateway: &Gateway,
    session_id: &str,
    names: &[&str],
) -> Result<(), tonic::Status> {
    let request = pb::UnsetVariablesRequest {
        session_id: session_id.to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    };
    within(gateway.sessions().unset_variables(request)).await?;
    Ok(())
}

#[tokio::test]
async fn variables_are_set_read_and_removed_with_exactly_their_characters() {
    let hostile = [
        ("sg_quotes", r#"it's "quoted" \'twice\'"#),
        ("sg_commas", "a,b;c|d^^e"),
        ("sg_spaces", "  two  spaces  "),
        ("sg_backslash", r"C:\new\\table\s"),
        ("sg_dollar", "$5 $x 100% %41 %{y}"),
        ("sg_unicode", "grüße 日本 🎉"),
        ("sg_equals", "a=b==c"),
        ("sg_tab", "a\tb"),
    ];
    // Not on the simulator yet: `uuid_setvar` strips quoted spaces.
    on_freeswitch(async |gateway| {
        let id = answered(&gateway).await.session_id;
        let response = set(&gateway, &id, &hostile).await.unwrap();
        assert_eq!(response.variables, map(&hostile));
        let names: Vec<&str> = hostile.iter().map(|(name, _)| *name).collect();
        assert_eq!(variables(&gateway, &id, &names).await, map(&hostile));
        // All of them, and under a name in another case.
        let all = variables(&gateway, &id, &[]).await;
        assert_eq!(all["sg_equals"], "a=b==c");
        assert!(all.len() > hostile.len());
        assert_eq!(
            variables(&gateway, &id, &["SG_EQUALS", "sg_none"]).await,
            map(&[("SG_EQUALS", "a=b==c")])
        );
        // A name that is not set is no error.
        unset(&gateway, &id, &["sg_quotes", "sg_none"])
            .await
            .unwrap();
        let left = variables(&gateway, &id, &["sg_quotes", "sg_commas"]).await;
        assert_eq!(left, map(&[("sg_commas", "a,b;c|d^^e")]));

        hang_up(&gateway, &id).await;
        let last = variables(&gateway, &id, &names).await;
        assert_eq!(last.len(), hostile.len() - 1, "those of the last event");
        let status = unset(&gateway, &id, &["sg_commas"]).await.unwrap_err();
        assert_eq!(code_and_reason(&status).1, "SESSION_ENDED");
        gateway
    })
    .await;
}

#[tokio::test]
async fn of_several_variables_all_are_set_or_none() {
    on_each(async |gateway| {
        let id = answered(&gateway).await.session_id;
        for (name, value) in [
            ("sg_bad", "${system(id)}"),
            ("sg_bad", "a\nb"),
            ("sg_bad", "a\0b"),
            ("sg_bad", ""),
            ("sg bad", "x"),
            ("", "x"),
        ] {
            let status = set(&gateway, &id, &[("sg_good", "1"), (name, value)])
                .await
                .unwrap_err();
            assert_invalid(&status, &format!("variables[{name:?}]"));
        }
        assert_invalid(&set(&gateway, &id, &[]).await.unwrap_err(), "variables");
        assert_invalid(&unset(&gateway, &id, &[]).await.unwrap_err(), "names");
        let status = unset(&gateway, &id, &["sg_good", "a b"]).await.unwrap_err();
        assert_invalid(&status, "names[1]");
        assert!(variables(&gateway, &id, &["sg_good"]).await.is_empty());
        hang_up(&gateway, &id).await;
        gateway
    })
    .await;
}
