//! Commands and jobs: what comes back tells who asked.

use rand::Rng as _;
use switchgate::pb;

use super::super::requests;
use super::Client;

// === impl Client ===

impl Client {
    pub(super) async fn run_api(&mut self) {
        let mark = self.mark();
        let (command, arguments, output) = match self.rng.random_range(0..4) {
            // A link whose caller has left is given up after 5 s of silence, and that would be trouble.
            0 => ("msleep", self.rng.random_range(1..2_000).to_string(), None),
            1 => ("expr", format!("{} + 1", self.number), None),
            _ => ("echo", mark.clone(), Some(mark)),
        };
        let request = pb::RunApiRequest {
            node_id: self.some_node(),
            command: command.to_owned(),
            arguments,
        };
        let answer = ask!(self, nodes.run_api(request));
        if let (Some(answer), Some(output)) = (answer, output) {
            self.check("run_api", answer.output == output, &answer);
        }
    }

    pub(super) async fn run_job(&mut self) {
        let request = requests::job(self);
        let arguments = request.arguments.clone();
        if let Some(job) = ask!(self, jobs.run_job(request)).and_then(|answer| answer.job) {
            self.know_job(&job);
            self.check("run_job", job.arguments == arguments, &job);
            if job.command == "echo"
                && let Some(pb::job::Outcome::Result(output)) = &job.outcome
            {
                self.check("run_job", output.text == arguments, &job);
            }
        }
    }

    pub(super) async fn start_job(&mut self) {
        let wanted = requests::job(self);
        let request = pb::StartJobRequest {
            command: wanted.command,
            arguments: wanted.arguments.clone(),
            timeout: wanted.timeout,
            node_selector: wanted.node_selector,
            request_id: wanted.request_id,
            ..Default::default()
        };
        if let Some(job) = ask!(self, jobs.start_job(request)).and_then(|answer| answer.job) {
            self.know_job(&job);
            self.check("start_job", job.arguments == wanted.arguments, &job);
        }
    }

    pub(super) async fn about_a_job(&mut self) {
        let job_id = self.some_job();
        let asked = job_id.clone();
        let job = match self.rng.random_range(0..6) {
            0 | 1 => ask!(self, jobs.get_job(pb::GetJobRequest { job_id })).and_then(|a| a.job),
            2 | 3 => {
                let timeout = Some(requests::seconds(self.rng.random_range(0..10)));
                let request = pb::WaitJobRequest { job_id, timeout };
                ask!(self, jobs.wait_job(request)).and_then(|answer| answer.job)
            }
            4 => {
                let request = pb::CancelJobRequest {
                    job_id,
                    reason: self.mark(),
                };
                ask!(self, jobs.cancel_job(request)).and_then(|answer| answer.job)
            }
            _ => {
                ask!(self, jobs.delete_job(pb::DeleteJobRequest { job_id }));
                None
            }
        };
        if let Some(job) = job {
            self.know_job(&job);
            self.check("about a job", job.job_id == asked, &job);
        }
    }
}
