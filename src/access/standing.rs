//! What a stream stands on: a proof that was good when it began, and what it let its caller see.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::debug;

use super::identities::Why;
use super::{Access, Caller, Proof};
use crate::domain::{Failure, Reason};

/// Longest time without a look at the clock, which may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Somebody who was let in.
#[derive(Debug)]
pub struct Admitted {
    /// Who it is, with the rights for what it calls.
    pub caller: Caller,
    /// Last second, since 1970, in which its proof is good.
    pub(super) until: Option<u64>,
    /// What has changed since then.
    pub(super) changes: watch::Receiver<u64>,
}

/// The proof of somebody who was let in, to be looked at again.
pub struct Standing {
    access: Access,
    authorization: Option<Box<[u8]>>,
    certificate: Option<Arc<[u8]>>,
    rpc: &'static str,
    admitted: Admitted,
}

// === impl Standing ===

impl Standing {
    /// Of somebody who was let in with this proof to call this RPC.
    pub fn new(access: &Access, proof: Proof<'_>, rpc: &'static str, admitted: Admitted) -> Self {
        Self {
            access: access.clone(),
            authorization: proof.authorization.map(Box::from),
            certificate: proof.certificate.map(Arc::from),
            rpc,
            admitted,
        }
    }

    /// Resolves when the same proof would not be let in any more, or as somebody else; with what to
    /// tell the client.
    pub async fn lost(&self) -> Failure {
        let mut until = self.admitted.until;
        let mut changes = self.admitted.changes.clone();
        let lost = loop {
            tokio::select! {
                () = past(until) => break Lost::Expired,
                // Cannot fail, since the sender is held.
                _ = changes.changed() => match self.ask_again(&mut changes, until).await {
                    Ok(later) => until = later,
                    Err(lost) => break lost,
                },
            }
        };
        let caller = self.admitted.caller.name();
        debug!(caller, why = lost.name(), "stream ends with its proof");
        lost.failure()
    }

    /// Until when the proof is good, which was so until `until`.
    async fn ask_again(
        &self,
        changes: &mut watch::Receiver<u64>,
        until: Option<u64>,
    ) -> Result<Option<u64>, Lost> {
        loop {
            let number = *changes.borrow_and_update();
            let answer = self.ask(until).await;
            // Or it could be half of one configuration and half of another.
            if *changes.borrow() == number {
                return answer;
            }
        }
    }

    async fn ask(&self, until: Option<u64>) -> Result<Option<u64>, Lost> {
        let proof = Proof {
            authorization: self.authorization.as_deref(),
            certificate: self.certificate.as_deref(),
        };
        let found = self.access.identities.find_again(proof).await;
        let found = match found {
            Ok(found) => found,
            Err(Why::Expired) => return Err(Lost::Expired),
            Err(Why::Missing | Why::Malformed | Why::Rejected) => return Err(Lost::Rejected),
            // Nobody can tell; it is asked again when the keys have come.
            Err(Why::KeysUnread) => return Ok(until),
        };
        let caller = self.access.roles.caller(found.identified);
        match caller.and_then(|caller| caller.calling(self.rpc)) {
            Ok(caller) if caller.is_same(&self.admitted.caller) => Ok(found.until),
            Ok(_) | Err(_) => Err(Lost::Changed),
        }
    }
}

/// Nothing of the proof is shown.
impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Standing");
        shown.field("rpc", &self.rpc);
        shown
            .field("admitted", &self.admitted)
            .finish_non_exhaustive()
    }
}

/// Why a stream does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// The proof's time is over.
    Expired,
    /// The proof is none any more.
    Rejected,
    /// The proof is good, but for something else.
    Changed,
}

// === impl Lost ===

impl Lost {
    /// As clients see it.
    fn name(self) -> &'static str {
        match self {
            Self::Expired => Why::Expired.name(),
            Self::Rejected => Why::Rejected.name(),
            Self::Changed => "changed",
        }
    }

    fn failure(self) -> Failure {
        let message = match self {
            Self::Expired => {
                "the token has expired; get a new one and go on with it behind the cursor"
            }
            Self::Rejected => {
                "the identity with which the stream began is no longer accepted; go on with another one behind the cursor"
            }
            Self::Changed => {
                "the roles or the tenant with which the stream began have changed; begin again behind the cursor"
            }
        };
        Failure::new(Reason::Unauthenticated, message).with("why", self.name())
    }
}

/// Resolves when this second is over.
async fn past(until: Option<u64>) {
    let Some(until) = until else {
        return std::future::pending().await;
    };
    let end = Duration::from_secs(until.saturating_add(1));
    loop {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        match end.checked_sub(now) {
            None | Some(Duration::ZERO) => return,
            Some(left) => sleep(left.min(LONGEST_SLEEP)).await,
        }
    }
}
