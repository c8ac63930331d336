//! The variables of a leg, and the applications that are executed on it.

use std::collections::BTreeMap;

use super::super::Services;
use super::super::convert::{to_session, unknown_value};
use super::session_id;
use crate::control::{Execute, ExecuteWait};
use crate::domain::{Deadline, Failure};
use crate::pb;

// === impl Services ===

impl Services {
    pub(in crate::grpc) async fn read_variables(
        &self,
        request: pb::GetVariablesRequest,
        deadline: Deadline,
    ) -> Result<pb::GetVariablesResponse, Failure> {
        let id = session_id(&request.session_id)?;
        let variables = match request.names.as_slice() {
            [] => self.control.all_variables(&id, deadline).await?,
            names => self.control.variables(&id, names, deadline).await?,
        };
        Ok(pb::GetVariablesResponse {
            variables: variables.into_iter().collect(),
        })
    }

    pub(in crate::grpc) async fn write_variables(
        &self,
        request: pb::SetVariablesRequest,
        deadline: Deadline,
    ) -> Result<pb::SetVariablesResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        let variables: BTreeMap<String, String> = request.variables.into_iter().collect();
        if variables.is_empty() {
            return Err(Failure::invalid(
                "variables",
                "is empty; give one variable at least",
            ));
        }
        let control = self.control.clone();
        let set = variables.clone();
        let action = async move { control.set_variables(&id, &set, deadline).await };
        self.once(&identity, deadline, action).await?;
        Ok(pb::SetVariablesResponse {
            variables: variables.into_iter().collect(),
        })
    }

    pub(in crate::grpc) async fn remove_variables(
        &self,
        request: pb::UnsetVariablesRequest,
        deadline: Deadline,
    ) -> Result<pb::UnsetVariablesResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let id = session_id(&request.session_id)?;
        if request.names.is_empty() {
            return Err(Failure::invalid(
                "names",
                "is empty; give one name at least",
            ));
        }
        let names = request.names;
        let control = self.control.clone();
        let action = async move { control.unset_variables(&id, &names, deadline).await };
        self.once(&identity, deadline, action).await?;
        Ok(pb::UnsetVariablesResponse {})
    }

    pub(in crate::grpc) async fn execute_on(
        &self,
        request: pb::ExecuteRequest,
        deadline: Deadline,
    ) -> Result<pb::ExecuteResponse, Failure> {
        let identity = self.identify(&request, &request.request_id);
        let execute = Execute {
            session: session_id(&request.session_id)?,
            application: request.application,
            arguments: request.arguments,
            loops: request.loops,
            wait: execute_wait(request.wait_for)?,
        };
        let control = self.control.clone();
        let action = async move { control.execute(&execute, deadline).await };
        let executed = self.once(&identity, deadline, action).await?;
        Ok(pb::ExecuteResponse {
            cursor: executed.seen.cursor.to_string(),
            session: Some(to_session(&executed.seen.session)),
            response: executed.response,
        })
    }
}

fn execute_wait(wait_for: i32) -> Result<ExecuteWait, Failure> {
    match pb::ExecuteWait::try_from(wait_for) {
        Ok(pb::ExecuteWait::Unspecified | pb::ExecuteWait::Completed) => Ok(ExecuteWait::Completed),
        Ok(pb::ExecuteWait::Started) => Ok(ExecuteWait::Started),
        Ok(pb::ExecuteWait::Accepted) => Ok(ExecuteWait::Accepted),
        Err(_) => Err(unknown_value("wait_for", wait_for)),
    }
}
