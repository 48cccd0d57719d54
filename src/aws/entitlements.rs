//! Account access manager: IAM roles that Identity Center lets people into beside the permission sets.

use std::collections::BTreeMap;

use aws_sdk_accountaccess::operation::delete_entitlement::DeleteEntitlementError;
use aws_sdk_accountaccess::types::{
    EntitlementFilter, EntitlementSummary, EntitlementsListMember, IdentityCenterPrincipal,
    IdentityCenterPrincipalFilter, Principal, PrincipalFilter, PrincipalRoleEntitlement,
    PrincipalRoleEntitlementFilter,
};

use super::{Changer, Reader, trouble};
use crate::cloud::Trouble;
use crate::facts::{Assignee, Entitlement, Instance};
use crate::ids::*;

/// Where the service is: the commercial Regions that are enabled by default (aws-facts §9). The list is AWS's, in
/// <https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html>; every Region since is opt-in.
const REGIONS: &[&str] = &[
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ap-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "sa-east-1",
];

const LIST: &str = "account-access:ListEntitlements";

/// Whether there is an account access manager to ask. Elsewhere no host of that name exists, and not being able to ask
/// would look like a broken network.
fn is_offered_in(region: &str) -> bool {
    REGIONS.contains(&region)
}

impl Reader {
    pub(super) async fn list_entitlements(
        &self,
        instance: &Instance,
        assignee: &Assignee,
    ) -> Result<Option<BTreeMap<Entitlement, EntitlementId>>, Trouble> {
        let region = self.identity_center.region(instance);
        if region.is_some_and(|region| !is_offered_in(region.as_ref())) {
            return Ok(None);
        }
        let mut found = BTreeMap::new();
        for application in self.list_applications(instance).await? {
            let mut next = None;
            // Loops by hand: a paginator cannot be sent to another Region than the client's.
            loop {
                let request = self
                    .identity_center
                    .access
                    .list_entitlements()
                    .application_arn(application.as_str())
                    .filter(of_assignee(assignee))
                    .set_next_token(next);
                let page = request
                    .customize()
                    .config_override(self.identity_center.access_in(instance))
                    .send()
                    .await;
                let page = page.map_err(|error| trouble::of(LIST, &error))?;
                for listed in page.entitlements() {
                    found.extend(entitlement(&application, assignee, listed)?);
                }
                match page.next_token() {
                    Some(token) => next = Some(token.to_owned()),
                    None => break,
                }
            }
        }
        Ok(Some(found))
    }

    async fn list_applications(&self, instance: &Instance) -> Result<Vec<ApplicationArn>, Trouble> {
        const CALL: &str = "account-access:ListApplications";
        let mut applications = Vec::new();
        let mut next = None;
        loop {
            let request = self
                .identity_center
                .access
                .list_applications()
                .set_next_token(next);
            let page = request
                .customize()
                .config_override(self.identity_center.access_in(instance))
                .send()
                .await;
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for application in page.applications() {
                applications.push(trouble::field(
                    CALL,
                    "applicationArn",
                    Some(application.application_arn()),
                    ApplicationArn::parse,
                )?);
            }
            match page.next_token() {
                Some(token) => next = Some(token.to_owned()),
                None => return Ok(applications),
            }
        }
    }
}

impl Changer {
    pub(super) async fn delete_entitlement_of(
        &self,
        instance: &Instance,
        application: &ApplicationArn,
        id: &EntitlementId,
    ) -> Result<(), Trouble> {
        let request = self
            .identity_center
            .access
            .delete_entitlement()
            .application_arn(application.as_str())
            .entitlement_id(id.as_str());
        let answer = request
            .customize()
            .config_override(self.identity_center.access_in(instance))
            .send()
            .await;
        trouble::made(
            "account-access:DeleteEntitlement",
            answer,
            DeleteEntitlementError::is_resource_not_found_exception,
        )
    }

    pub(super) async fn create_entitlement_for(
        &self,
        instance: &Instance,
        entitlement: &Entitlement,
        user: &UserId,
    ) -> Result<(), Trouble> {
        const CALL: &str = "account-access:CreateEntitlement";
        let principal = IdentityCenterPrincipal::UserId(user.as_str().to_owned());
        let wanted = PrincipalRoleEntitlement::builder()
            .principal(Principal::IdentityCenter(principal))
            .role_arn(entitlement.role.as_str())
            .build()
            .map_err(|error| trouble::unreadable(CALL, error))?;
        let request = self
            .identity_center
            .access
            .create_entitlement()
            .application_arn(entitlement.application.as_str())
            .entitlement(aws_sdk_accountaccess::types::Entitlement::PrincipalRole(
                wanted,
            ));
        let answer = request
            .customize()
            .config_override(self.identity_center.access_in(instance))
            .send()
            .await;
        // Idempotent: AWS answers the entitlement that exists. Nothing to forgive.
        trouble::made(CALL, answer, |_| false)
    }
}

fn of_assignee(assignee: &Assignee) -> EntitlementFilter {
    let principal = match assignee {
        Assignee::User(id) => IdentityCenterPrincipalFilter::UserId(id.as_str().to_owned()),
        Assignee::Group(id) => IdentityCenterPrincipalFilter::GroupId(id.as_str().to_owned()),
    };
    let role = PrincipalRoleEntitlementFilter::builder()
        .principal(PrincipalFilter::IdentityCenter(principal))
        .build();
    EntitlementFilter::builder().principal_role(role).build()
}

/// What is listed, if it is the assignee's. What we list we may delete, so what is somebody else's must not count; and
/// what we overlook stays open, so nothing is passed over in silence but a group's among a user's: groups are asked
/// for themselves.
fn entitlement(
    application: &ApplicationArn,
    assignee: &Assignee,
    listed: &EntitlementsListMember,
) -> Result<Option<(Entitlement, EntitlementId)>, Trouble> {
    let Some(EntitlementSummary::PrincipalRole(role)) = listed.entitlement() else {
        let why = "an entitlement is of a kind that we don't know";
        return Err(trouble::unreadable(LIST, why));
    };
    let Some(Principal::IdentityCenter(whose)) = role.principal() else {
        let why = "an entitlement is of nobody that we know";
        return Err(trouble::unreadable(LIST, why));
    };
    let theirs = match (assignee, whose) {
        (Assignee::User(id), IdentityCenterPrincipal::UserId(whose)) => id.as_str() == whose,
        (Assignee::Group(id), IdentityCenterPrincipal::GroupId(whose)) => id.as_str() == whose,
        (Assignee::User(_), IdentityCenterPrincipal::GroupId(_)) => return Ok(None),
        (Assignee::User(_) | Assignee::Group(_), _) => false,
    };
    if !theirs {
        let why = "an entitlement is of somebody else than we asked for";
        return Err(trouble::unreadable(LIST, why));
    }
    let entitlement = Entitlement {
        application: application.clone(),
        account: trouble::field(LIST, "account", Some(role.account()), AccountId::parse)?,
        role: trouble::field(LIST, "roleArn", Some(role.role_arn()), RoleArn::parse)?,
    };
    let id = Some(listed.entitlement_id());
    let id = trouble::field(LIST, "entitlementId", id, EntitlementId::parse)?;
    Ok(Some((entitlement, id)))
}

#[cfg(test)]
mod tests {
    use aws_sdk_accountaccess::types::PrincipalRoleEntitlementSummary;
    use aws_smithy_types::DateTime;

    use super::*;

    const USER: &str = "94482488-3041-7026-18f3-be45837cd0e4";
    const GROUP: &str = "94482488-3041-7026-18f3-be45837cd0e5";
    const ROLE: &str = "arn:aws:iam::111122223333:role/Auditor";

    fn listed(principal: IdentityCenterPrincipal, role: &str) -> EntitlementsListMember {
        let summary = PrincipalRoleEntitlementSummary::builder()
            .principal(Principal::IdentityCenter(principal))
            .role_arn(role)
            .account("111122223333")
            .build();
        EntitlementsListMember::builder()
            .entitlement_id("ent-1")
            .entitlement(EntitlementSummary::PrincipalRole(summary.unwrap()))
            .created_at(DateTime::from_secs(0))
            .build()
            .unwrap()
    }

    #[test]
    fn it_is_in_the_regions_that_are_enabled_by_default() {
        for (region, offered) in [
            ("us-east-1", true),
            ("sa-east-1", true),
            ("eu-south-1", false),
            ("ap-east-1", false),
            ("us-gov-west-1", false),
            ("cn-north-1", false),
        ] {
            assert_eq!(is_offered_in(region), offered, "{region}");
        }
        assert_eq!(REGIONS.len(), 17);
    }

    #[test]
    fn only_the_assignees_own_count() {
        let application = ApplicationArn::parse("arn:aws:account-access::x:application/a").unwrap();
        let user = Assignee::User(UserId::parse(USER).unwrap());
        let group = Assignee::Group(GroupId::parse(GROUP).unwrap());
        let of_user = listed(IdentityCenterPrincipal::UserId(USER.to_owned()), ROLE);
        let of_group = listed(IdentityCenterPrincipal::GroupId(GROUP.to_owned()), ROLE);
        let found = |assignee, listed| entitlement(&application, assignee, listed);
        let (role, id) = found(&user, &of_user).unwrap().unwrap();
        assert_eq!((role.role.as_str(), id.as_str()), (ROLE, "ent-1"));
        assert_eq!(role.account.as_str(), "111122223333");
        assert!(found(&group, &of_group).unwrap().is_some());
        assert_eq!(found(&user, &of_group), Ok(None));
        let other = Assignee::User(UserId::parse(GROUP).unwrap());
        for (assignee, listed) in [(&group, &of_user), (&other, &of_user)] {
            assert!(found(assignee, listed).is_err(), "{assignee:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let application = ApplicationArn::parse("arn:aws:account-access::x:application/a").unwrap();
        let user = Assignee::User(UserId::parse(USER).unwrap());
        let odd = listed(IdentityCenterPrincipal::UserId(USER.to_owned()), "Auditor");
        assert!(entitlement(&application, &user, &odd).is_err());
        let unknown = EntitlementsListMember::builder()
            .entitlement_id("ent-1")
            .created_at(DateTime::from_secs(0))
            .build();
        assert!(entitlement(&application, &user, &unknown.unwrap()).is_err());
    }
}
