//! NodeService.

use tonic::{Request, Response, Status};

use super::convert::{id, labels, to_node};
use super::filter::ListFilter;
use super::node_watch::NodeFeed;
use super::page::{Wanted, page};
use super::status::respond;
use super::watch::Watching;
use super::{Services, deadline};
use crate::config::{NodeConfig, NodeParts, Problems};
use crate::domain::{Failure, NodeId};
use crate::fleet::Node;
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
            let filter = ListFilter::of::<Node>(&request.filter)?;
            if self.control.is_tenants() && !request.filter.is_empty() {
                // It would tell what is not shown.
                let remedy = "is not for tenants, who see no more of nodes than name and state; leave it out";
                return Err(Failure::invalid("filter", remedy));
            }
            let nodes = self.control.nodes().into_iter();
            let nodes = nodes.filter(|node| filter.fits(&**node)).collect();
            let wanted = Wanted {
                size: request.page_size,
                token: &request.page_token,
                filter: &request.filter,
            };
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
            let node = self.control.node(&id)?;
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
            let words = [&*request.command, &*request.arguments];
            let reply = self.control.run_api(&id, words, deadline).await?;
            Ok(pb::RunApiResponse {
                output: reply.text(),
            })
        };
        respond(answer.await)
    }

    async fn drain_node(
        &self,
        request: Request<pb::DrainNodeRequest>,
    ) -> Result<Response<pb::DrainNodeResponse>, Status> {
        let node = self.set_drained(&request.get_ref().node_id, true);
        respond(node.map(|node| pb::DrainNodeResponse { node: Some(node) }))
    }

    async fn undrain_node(
        &self,
        request: Request<pb::UndrainNodeRequest>,
    ) -> Result<Response<pb::UndrainNodeResponse>, Status> {
        let node = self.set_drained(&request.get_ref().node_id, false);
        respond(node.map(|node| pb::UndrainNodeResponse { node: Some(node) }))
    }

    async fn reconcile_node(
        &self,
        request: Request<pb::ReconcileNodeRequest>,
    ) -> Result<Response<pb::ReconcileNodeResponse>, Status> {
        let (request, deadline) = self.open(request);
        let answer = async {
            let id: NodeId = id(&request.node_id, "node_id")?;
            let differences = self.control.reconcile(&id, deadline).await?;
            Ok(pb::ReconcileNodeResponse {
                node: Some(to_node(&*self.control.node(&id)?, &self.control)),
                sessions_found: count(differences.found),
                sessions_ended: count(differences.ended),
                sessions_changed: count(differences.changed),
            })
        };
        respond(answer.await)
    }

    type WatchNodesStream = Watching<pb::WatchNodesResponse>;

    async fn watch_nodes(
        &self,
        request: Request<pb::WatchNodesRequest>,
    ) -> Result<Response<Self::WatchNodesStream>, Status> {
        let feed = NodeFeed::begin(self);
        respond(feed.map(|feed| self.stream(feed, Self::stream_deadline(&request))))
    }

    async fn add_node(
        &self,
        request: Request<pb::AddNodeRequest>,
    ) -> Result<Response<pb::AddNodeResponse>, Status> {
        let (request, deadline) = self.open(request);
        let identity = self.identify(&request, &request.request_id);
        let answer = async {
            let node = self.node_to_add(request)?;
            let control = self.control.clone();
            let action = async move { control.add_node(&node) };
            let node = self
                .once
                .run(&identity, deadline, self.counted(action))
                .await?;
            Ok(pb::AddNodeResponse {
                node: Some(to_node(&node, &self.control)),
            })
        };
        respond(answer.await)
    }

    async fn remove_node(
        &self,
        request: Request<pb::RemoveNodeRequest>,
    ) -> Result<Response<pb::RemoveNodeResponse>, Status> {
        let (request, deadline) = self.open(request);
        let identity = self.identify(&request, &request.request_id);
        let answer = async {
            let id: NodeId = id(&request.node_id, "node_id")?;
            let is_forced = request.force;
            let control = self.control.clone();
            let action = async move { control.remove_node(&id, is_forced).await };
            let removed = self
                .once
                .run(&identity, deadline, self.counted(action))
                .await?;
            Ok(pb::RemoveNodeResponse {
                sessions_ended: count(removed.sessions),
                jobs_lost: count(removed.jobs),
            })
        };
        respond(answer.await)
    }
}

impl Services {
    fn node_to_add(&self, request: pb::AddNodeRequest) -> Result<NodeConfig, Failure> {
        let parts = NodeParts {
            id: request.node_id,
            address: request.address,
            user: request.user,
            password: request.password.into(),
            labels: (*labels(request.labels)?).clone(),
            command_links: request.command_links as usize,
        };
        NodeConfig::checked(parts, self.control.default_links()).map_err(refused)
    }

    fn set_drained(&self, node_id: &str, is_drained: bool) -> Result<pb::Node, Failure> {
        let id: NodeId = id(node_id, "node_id")?;
        let node = self.control.set_drained(&id, is_drained)?;
        Ok(to_node(&node, &self.control))
    }
}

/// What is wrong with a node that is to be added.
fn refused(problems: Problems) -> Failure {
    let violations = problems.0.into_iter().map(|problem| {
        let field = match &*problem.key {
            "id" => "node_id".to_owned(),
            other => other.to_owned(),
        };
        let value = problem
            .value
            .map(|value| format!("{value} "))
            .unwrap_or_default();
        (
            field,
            format!("{value}{}; {}", problem.reason, problem.remedy),
        )
    });
    let all = violations.fold(None, |all: Option<Failure>, (field, description)| {
        Some(match all {
            None => Failure::invalid(field, description),
            Some(all) => all.and_invalid(field, description),
        })
    });
    all.unwrap_or_else(|| Failure::invalid("node_id", "makes no node"))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
