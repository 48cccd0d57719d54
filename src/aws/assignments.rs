//! Who has which permission set where (sso-admin).

use aws_sdk_ssoadmin::types::{PrincipalType, TargetType};

use super::progress::{Told, progress};
use super::{Changer, Reader, trouble};
use crate::cloud::Trouble;
use crate::facts::{Assignee, Assignment, Instance, Progress, RequestKind};
use crate::ids::*;

impl Reader {
    pub(super) async fn list_assignments(
        &self,
        instance: &Instance,
        asked: &Assignee,
    ) -> Result<Vec<Assignment>, Trouble> {
        const CALL: &str = "sso:ListAccountAssignmentsForPrincipal";
        let (principal_type, id) = principal(asked);
        let mut assignments = Vec::new();
        let mut next = None;
        // Loops by hand: a paginator cannot be sent to another Region than the client's.
        loop {
            let request = self
                .identity_center
                .sso
                .list_account_assignments_for_principal()
                .instance_arn(instance.arn.as_str())
                .principal_type(principal_type.clone())
                .principal_id(id)
                .set_next_token(next);
            let page = request
                .customize()
                .config_override(self.identity_center.sso_in(instance))
                .send()
                .await;
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for assignment in page.account_assignments() {
                assignments.push(Assignment {
                    account: trouble::field(
                        CALL,
                        "AccountId",
                        assignment.account_id(),
                        AccountId::parse,
                    )?,
                    permission_set: trouble::field(
                        CALL,
                        "PermissionSetArn",
                        assignment.permission_set_arn(),
                        PermissionSetArn::parse,
                    )?,
                    assignee: match assignment.principal_type() {
                        // What a user has through a group, AWS may list too (aws-facts §9): it is the group's.
                        Some(told) => assignee(CALL, Some(told), assignment.principal_id())?,
                        None => asked.clone(),
                    },
                });
            }
            match page.next_token() {
                Some(token) => next = Some(token.to_owned()),
                None => return Ok(assignments),
            }
        }
    }

    pub(super) async fn list_assigned(
        &self,
        instance: &Instance,
        account: &AccountId,
        set: &PermissionSetArn,
    ) -> Result<Vec<Assignee>, Trouble> {
        const CALL: &str = "sso:ListAccountAssignments";
        let mut assigned = Vec::new();
        let mut next = None;
        loop {
            let request = self
                .identity_center
                .sso
                .list_account_assignments()
                .instance_arn(instance.arn.as_str())
                .account_id(account.as_str())
                .permission_set_arn(set.as_str())
                .set_next_token(next);
            let page = request
                .customize()
                .config_override(self.identity_center.sso_in(instance))
                .send()
                .await;
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for assignment in page.account_assignments() {
                assigned.push(assignee(
                    CALL,
                    assignment.principal_type(),
                    assignment.principal_id(),
                )?);
            }
            match page.next_token() {
                Some(token) => next = Some(token.to_owned()),
                None => return Ok(assigned),
            }
        }
    }
}

impl Changer {
    pub(super) async fn delete_account_assignment(
        &self,
        instance: &Instance,
        assignment: &Assignment,
    ) -> Result<Progress, Trouble> {
        const CALL: &str = "sso:DeleteAccountAssignment";
        let (principal_type, id) = principal(&assignment.assignee);
        let request = self
            .identity_center
            .sso
            .delete_account_assignment()
            .instance_arn(instance.arn.as_str())
            .target_type(TargetType::AwsAccount)
            .target_id(assignment.account.as_str())
            .permission_set_arn(assignment.permission_set.as_str())
            .principal_type(principal_type)
            .principal_id(id);
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

    pub(super) async fn create_account_assignment(
        &self,
        instance: &Instance,
        assignment: &Assignment,
    ) -> Result<Progress, Trouble> {
        const CALL: &str = "sso:CreateAccountAssignment";
        let (principal_type, id) = principal(&assignment.assignee);
        let request = self
            .identity_center
            .sso
            .create_account_assignment()
            .instance_arn(instance.arn.as_str())
            .target_type(TargetType::AwsAccount)
            .target_id(assignment.account.as_str())
            .permission_set_arn(assignment.permission_set.as_str())
            .principal_type(principal_type)
            .principal_id(id);
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
}

fn principal(assignee: &Assignee) -> (PrincipalType, &str) {
    match assignee {
        Assignee::User(id) => (PrincipalType::User, id.as_str()),
        Assignee::Group(id) => (PrincipalType::Group, id.as_str()),
    }
}

fn assignee(
    call: &'static str,
    principal_type: Option<&PrincipalType>,
    id: Option<&str>,
) -> Result<Assignee, Trouble> {
    match principal_type {
        Some(PrincipalType::User) => {
            trouble::field(call, "PrincipalId", id, UserId::parse).map(Assignee::User)
        }
        Some(PrincipalType::Group) => {
            trouble::field(call, "PrincipalId", id, GroupId::parse).map(Assignee::Group)
        }
        Some(_) | None => Err(trouble::unreadable(
            call,
            "an assignment is neither a user's nor a group's",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_an_assignment_is_must_be_said() {
        const ID: &str = "94482488-3041-7026-18f3-be45837cd0e4";
        let read =
            |kind: Option<&str>, id| assignee("test", kind.map(PrincipalType::from).as_ref(), id);
        let user = Assignee::User(UserId::parse(ID).unwrap());
        let group = Assignee::Group(GroupId::parse(ID).unwrap());
        assert_eq!(read(Some("USER"), Some(ID)), Ok(user));
        assert_eq!(read(Some("GROUP"), Some(ID)), Ok(group));
        for (kind, id) in [
            (None, Some(ID)),
            (Some("ROBOT"), Some(ID)),
            (Some("USER"), None),
            (Some("USER"), Some("alice")),
        ] {
            assert!(read(kind, id).is_err(), "{kind:?} {id:?}");
        }
    }
}
