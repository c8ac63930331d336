//! NodeService.

use tonic::{Request, Response, Status};

use super::convert::{id, to_node};
use super::page::{Wanted, page};
use super::session_service::respond;
use super::{Services, deadline};
use crate::domain::{Failure, NodeId};
use crate::esl::Command;
use crate::esl::quote::ApiCommand;
use crate::pb;
use crate::pb::node_service_server::NodeService;

#[tonic::async_trait]
impl NodeService for Services {
    async fn list_nodes(
        &self,
        request: Request<pb::ListNodesRequest>,
    ) -> Result<Response<pb::ListNodesResponse>, Status> {
        let request = request.into_inner();
        let cursor = self.cursor();
        let answer = || {
            let wanted = Wanted {
                size: request.page_size,
                token: &request.page_token,
                filter: "",
            };
            let nodes = self.control.fleet.nodes().collect();
            let page = page(nodes, wanted, false, |node| node.id().to_string())?;
            Ok(pb::ListNodesResponse {
                nodes: page
                    .items
                    .iter()
                    .map(|node| to_node(node, &self.control))
                    .collect(),
                next_page_token: page.next_token,
                total_size: page.total,
                cursor,
            })
        };
        respond(answer())
    }

    async fn get_node(
        &self,
        request: Request<pb::GetNodeRequest>,
    ) -> Result<Response<pb::GetNodeResponse>, Status> {
        let cursor = self.cursor();
        let answer = || {
            let id: NodeId = id(&request.get_ref().node_id, "node_id")?;
            let node = self.control.fleet.node(&id)?;
            Ok(pb::GetNodeResponse {
                node: Some(to_node(&node, &self.control)),
                cursor,
            })
        };
        respond(answer())
    }

    async fn run_api(
        &self,
        request: Request<pb::RunApiRequest>,
    ) -> Result<Response<pb::RunApiResponse>, Status> {
        let deadline = deadline::of(&request, self.deadlines.default, &self.deadlines);
        let request = request.into_inner();
        let answer = async {
            let id: NodeId = id(&request.node_id, "node_id")?;
            let node = self.control.fleet.node(&id)?;
            let command = api_command(&request.command, &request.arguments)?;
            let reply = node
                .send(Command::rendered(command.api()), None, deadline)
                .await?;
            Ok(pb::RunApiResponse {
                output: reply.text(),
            })
        };
        respond(answer.await)
    }
}

fn api_command(command: &str, arguments: &str) -> Result<ApiCommand, Failure> {
    ApiCommand::new(command, arguments).map_err(|error| {
        let field = if ApiCommand::new(command, "").is_ok() {
            "arguments"
        } else {
            "command"
        };
        Failure::invalid(field, error.to_string())
    })
}
