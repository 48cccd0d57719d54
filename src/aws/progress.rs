//! What Identity Center does in its own time (sso-admin): it is asked for, answers with an id, and is asked after.

use aws_sdk_ssoadmin::types::{
    AccountAssignmentOperationStatus, PermissionSetProvisioningStatus, StatusValues,
};

use super::{Reader, trouble};
use crate::cloud::Trouble;
use crate::facts::{Instance, Progress, Request, RequestKind};

impl Reader {
    pub(super) async fn describe_request(
        &self,
        instance: &Instance,
        request: &Request,
    ) -> Result<Progress, Trouble> {
        match request.kind {
            RequestKind::AssignmentCreation => self.creation_status(instance, &request.id).await,
            RequestKind::AssignmentDeletion => self.deletion_status(instance, &request.id).await,
            RequestKind::Provisioning => self.provisioning_status(instance, &request.id).await,
        }
    }

    async fn creation_status(&self, instance: &Instance, id: &str) -> Result<Progress, Trouble> {
        const CALL: &str = "sso:DescribeAccountAssignmentCreationStatus";
        let request = self
            .identity_center
            .sso
            .describe_account_assignment_creation_status()
            .instance_arn(instance.arn.as_str())
            .account_assignment_creation_request_id(id);
        let answer = request
            .customize()
            .config_override(self.identity_center.sso_in(instance))
            .send()
            .await;
        let answer = answer.map_err(|error| trouble::of(CALL, &error))?;
        let status = answer.account_assignment_creation_status();
        progress(
            CALL,
            RequestKind::AssignmentCreation,
            status.map(Told::from),
        )
    }

    async fn deletion_status(&self, instance: &Instance, id: &str) -> Result<Progress, Trouble> {
        const CALL: &str = "sso:DescribeAccountAssignmentDeletionStatus";
        let request = self
            .identity_center
            .sso
            .describe_account_assignment_deletion_status()
            .instance_arn(instance.arn.as_str())
            .account_assignment_deletion_request_id(id);
        let answer = request
            .customize()
            .config_override(self.identity_center.sso_in(instance))
            .send()
            .await;
        let answer = answer.map_err(|error| trouble::of(CALL, &error))?;
        let status = answer.account_assignment_deletion_status();
        progress(
            CALL,
            RequestKind::AssignmentDeletion,
            status.map(Told::from),
        )
    }

    async fn provisioning_status(
        &self,
        instance: &Instance,
        id: &str,
    ) -> Result<Progress, Trouble> {
        const CALL: &str = "sso:DescribePermissionSetProvisioningStatus";
        let request = self
            .identity_center
            .sso
            .describe_permission_set_provisioning_status()
            .instance_arn(instance.arn.as_str())
            .provision_permission_set_request_id(id);
        let answer = request
            .customize()
            .config_override(self.identity_center.sso_in(instance))
            .send()
            .await;
        let answer = answer.map_err(|error| trouble::of(CALL, &error))?;
        let status = answer.permission_set_provisioning_status();
        progress(CALL, RequestKind::Provisioning, status.map(Told::from))
    }
}

/// What AWS tells of a request, in both shapes that it has for it.
pub(super) struct Told<'a> {
    status: Option<&'a StatusValues>,
    id: Option<&'a str>,
    reason: Option<&'a str>,
}

impl<'a> From<&'a AccountAssignmentOperationStatus> for Told<'a> {
    fn from(told: &'a AccountAssignmentOperationStatus) -> Self {
        Self {
            status: told.status(),
            id: told.request_id(),
            reason: told.failure_reason(),
        }
    }
}

impl<'a> From<&'a PermissionSetProvisioningStatus> for Told<'a> {
    fn from(told: &'a PermissionSetProvisioningStatus) -> Self {
        Self {
            status: told.status(),
            id: told.request_id(),
            reason: told.failure_reason(),
        }
    }
}

/// How far a request of this kind is.
pub(super) fn progress(
    call: &'static str,
    kind: RequestKind,
    told: Option<Told<'_>>,
) -> Result<Progress, Trouble> {
    let told = told.ok_or_else(|| trouble::unreadable(call, "the answer has no status"))?;
    match told.status {
        Some(StatusValues::Succeeded) => Ok(Progress::Succeeded),
        Some(StatusValues::InProgress) => {
            let id = told
                .id
                .ok_or_else(|| trouble::unreadable(call, "the answer has no RequestId"))?;
            let id = id.to_owned();
            Ok(Progress::InProgress(Request { kind, id }))
        }
        Some(StatusValues::Failed) => {
            let reason = told.reason.unwrap_or("AWS gives no reason");
            Ok(match kind {
                RequestKind::AssignmentDeletion if is_of_nothing(reason) => Progress::Succeeded,
                RequestKind::AssignmentDeletion
                | RequestKind::AssignmentCreation
                | RequestKind::Provisioning => Progress::Failed(reason.to_owned()),
            })
        }
        Some(status) => Err(trouble::unreadable(
            call,
            format!("the status is `{status}`"),
        )),
        None => Err(trouble::unreadable(call, "the answer has no Status")),
    }
}

/// Whether a deletion failed for want of anything to delete (aws-facts §9). AWS has no code for it, only prose: whoever
/// needs to be sure lists what is assigned.
fn is_of_nothing(reason: &str) -> bool {
    let reason = reason.to_lowercase().replace('’', "'");
    ["doesn't exist", "does not exist", "not found"]
        .iter()
        .any(|words| reason.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of an answer with these three fields.
    fn progress_of(
        kind: RequestKind,
        status: &str,
        id: Option<&str>,
        reason: Option<&str>,
    ) -> Option<Progress> {
        let status = StatusValues::from(status);
        let told = Told {
            status: Some(&status),
            id,
            reason,
        };
        progress("test", kind, Some(told)).ok()
    }

    #[test]
    fn a_request_is_under_way_done_or_failed() {
        let kind = RequestKind::Provisioning;
        let under_way = Progress::InProgress(Request {
            kind,
            id: "r-1".to_owned(),
        });
        let failed = Progress::Failed("no".to_owned());
        for (status, id, reason, expected) in [
            ("IN_PROGRESS", Some("r-1"), None, Some(under_way)),
            ("IN_PROGRESS", None, None, None),
            ("SUCCEEDED", Some("r-1"), None, Some(Progress::Succeeded)),
            ("SUCCEEDED", None, None, Some(Progress::Succeeded)),
            ("FAILED", Some("r-1"), Some("no"), Some(failed)),
            ("PAUSED", Some("r-1"), None, None),
        ] {
            assert_eq!(progress_of(kind, status, id, reason), expected, "{status}");
        }
        assert!(progress("test", kind, None).is_err());
    }

    #[test]
    fn deleting_what_is_not_there_is_done_and_nothing_else_is() {
        let failed = |kind, reason| progress_of(kind, "FAILED", Some("r-1"), Some(reason));
        for (reason, done) in [
            ("Assignment doesn't exist.", true),
            ("The assignment doesn’t exist", true),
            (
                "Account assignment does not exist in account 111122223333",
                true,
            ),
            ("ResourceNotFound: assignment not found", true),
            ("Access denied to account 111122223333", false),
            ("", false),
        ] {
            let expected = if done {
                Progress::Succeeded
            } else {
                Progress::Failed(reason.to_owned())
            };
            assert_eq!(
                failed(RequestKind::AssignmentDeletion, reason),
                Some(expected)
            );
            for kind in [RequestKind::AssignmentCreation, RequestKind::Provisioning] {
                let expected = Progress::Failed(reason.to_owned());
                assert_eq!(failed(kind, reason), Some(expected), "{kind:?}");
            }
        }
    }
}
