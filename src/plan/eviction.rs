//! Closing the ways back: what eviction takes away from a user, in AWS's order, and what must be said before.
//!
//! Arrives: everything by which the user gets new sessions ([`Ways`]), as it was read a moment ago. Leaves: an
//! [`Eviction`], the steps in AWS's order (aws-facts §2): assignments, places in groups, account access manager's roles.
//! Pure. Only what is the user's own is taken away: what a group may enter stays the group's.

use std::collections::BTreeSet;

use crate::facts::{Assignee, Assignment, IamUser, Known, TeamRequest, UserStatus, Way, Ways};
use crate::ids::*;
use crate::policy::document::Document;
use crate::principal::{Identity, LONGEST_SESSION, SessionLife, longest_of};

/// What somebody attests who says that no way to new sessions is left, where AWS cannot be asked.
pub const NO_WAY_LEFT: &str = "no-way-left";

/// What people note who know whose the sign-ins since the containment are, or that there are none.
pub const SIGN_INS: &str = "sign-ins";

/// What is to be taken away from a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Eviction {
    /// Everything as it was read: the backup.
    pub ways: Ways,
    /// Each way to be closed, in this order.
    pub steps: Vec<Way>,
    /// Those of them that were given for a time, and are not to be given back for good.
    pub temporary: Vec<Way>,
    /// The longest session that could have been minted by any of them; `None` when none of them leads anywhere now.
    pub session: Option<SessionLife>,
    /// Full sentences.
    pub warnings: Vec<String>,
}

impl Eviction {
    /// What closing these ways takes. `last` are the assignments after which nobody has the permission set in the account.
    pub fn of(
        ways: Ways,
        last: &BTreeSet<(AccountId, PermissionSetArn)>,
        management: &AccountId,
    ) -> Self {
        Self {
            steps: each(&ways),
            temporary: Vec::new(),
            session: session_life(&ways),
            warnings: warnings(&ways, last, management),
            ways,
        }
    }

    /// With what TEAM has given for a time: it is closed like everything else.
    pub fn without_grants(mut self, grants: &[TeamRequest]) -> Self {
        for request in grants {
            let is_granted = |way: &&Way| match way {
                Way::Assignment {
                    account,
                    permission_set,
                } => {
                    let set = self.ways.permission_sets.get(permission_set);
                    request.account.starts_with(account.as_str())
                        && set.is_some_and(|set| set.name == request.role)
                }
                Way::Membership { .. }
                | Way::Entitlement(_)
                | Way::AccessKey { .. }
                | Way::LoginProfile
                | Way::Permissions => false,
            };
            let granted: Vec<Way> = self.steps.iter().filter(is_granted).cloned().collect();
            self.temporary.extend(granted);
        }
        self
    }
}

/// Each way that is the user's own, in AWS's order.
pub fn each(ways: &Ways) -> Vec<Way> {
    let own = Assignee::User(ways.user.id.clone());
    let direct = |assignment: &&Assignment| assignment.assignee == own;
    let assignments = ways
        .assignments
        .iter()
        .filter(direct)
        .map(|assignment| Way::Assignment {
            account: assignment.account.clone(),
            permission_set: assignment.permission_set.clone(),
        });
    let memberships = ways.memberships.keys().map(|group| Way::Membership {
        group: group.clone(),
    });
    let entitlements = ways
        .entitlements
        .iter()
        .map(|entitled| Way::Entitlement(entitled.entitlement.clone()));
    assignments.chain(memberships).chain(entitlements).collect()
}

/// Each way of an IAM user that is open, in AWS's order (aws-facts §12). `denied` is whether our inline deny is on them.
pub fn of_iam_user(user: &IamUser, denied: bool) -> Vec<Way> {
    let active = user.keys.iter().filter(|(_, active)| **active);
    let keys = active.map(|(key, _)| Way::AccessKey { key: key.clone() });
    let password = user.login_profile.then_some(Way::LoginProfile);
    let permissions = (!denied).then_some(Way::Permissions);
    keys.chain(password).chain(permissions).collect()
}

/// Whether a way gives new sessions. What an IAM user's policies let do gives none by itself: when no session can be
/// alive any more, it holds nobody.
pub fn gives_sessions(way: &Way) -> bool {
    match way {
        Way::Assignment { .. }
        | Way::Membership { .. }
        | Way::Entitlement(_)
        | Way::AccessKey { .. }
        | Way::LoginProfile => true,
        Way::Permissions => false,
    }
}

/// What people type in an IAM user's account where we are not let in. Every text in it is of an alphabet that a shell takes
/// as it is, but for the document.
pub fn by_hand(user: &IamUserName, policy: &str, deny: &Document) -> Vec<String> {
    let put = format!(
        "aws iam put-user-policy --user-name {user} --policy-name {policy} --policy-document '{}'",
        deny.minified()
    );
    vec![
        format!("aws iam list-access-keys --user-name {user}"),
        format!(
            "aws iam update-access-key --user-name {user} --status Inactive --access-key-id <each of them>"
        ),
        format!("aws iam delete-login-profile --user-name {user}"),
        put,
    ]
}

/// What people type to close what gives sessions to whoever is denied by ids alone (aws-facts §12), with credentials of the
/// account. A placeholder stands for what the ids do not tell.
pub fn by_hand_of(identity: &Identity, account: Option<&AccountId>) -> Vec<String> {
    let account = account.map_or("<account>", AccountId::as_str);
    let recorded = |name: &str| {
        format!(
            "aws cloudtrail lookup-events --lookup-attributes AttributeKey=ResourceName,AttributeValue={name}"
        )
    };
    match identity {
        Identity::RoleSession { session, .. } if session.is_of_instance() => vec![
            format!("aws ec2 describe-iam-instance-profile-associations --filters Name=instance-id,Values={session}"),
            "aws ec2 disassociate-iam-instance-profile --association-id <of it>".to_owned(),
            format!("aws ec2 modify-instance-attribute --instance-id {session} --groups <a security group without rules>"),
        ],
        Identity::RoleSession { role, .. } => vec![
            recorded(role.as_str()),
            format!("aws iam list-roles --query \"Roles[?RoleId=='{role}'].[RoleName,AssumeRolePolicyDocument]\""),
            "aws iam update-assume-role-policy --role-name <of it> --policy-document <without whoever asked for the session>".to_owned(),
        ],
        Identity::Root { partition, .. } => vec![
            format!("aws sts assume-root --target-principal {account} --task-policy-arn arn=arn:{partition}:iam::aws:policy/root-task/IAMDeleteRootUserCredentials --region <region>"),
            "aws iam delete-login-profile".to_owned(),
            "aws iam list-access-keys".to_owned(),
            "aws iam delete-access-key --access-key-id <each of them>".to_owned(),
        ],
        Identity::FederatedUser(user) => vec![
            recorded(user.name.as_str()),
            format!("quell contain arn:aws:iam::{account}:user/<whoever called GetFederationToken>"),
        ],
        Identity::RoleBefore { .. }
        | Identity::IdentityCenterUser { .. }
        | Identity::IamUser { .. } => Vec::new(),
    }
}

/// The accounts that any of the ways opens.
pub fn reach(ways: &Ways) -> BTreeSet<AccountId> {
    let assigned = ways.assignments.iter().map(|assigned| &assigned.account);
    let entitled = ways.entitlements.iter().chain(&ways.inherited_entitlements);
    let entitled = entitled.map(|entitled| &entitled.entitlement.account);
    assigned.chain(entitled).cloned().collect()
}

/// Whether account access manager lets them into an account.
pub fn is_entitled_in(ways: &Ways, account: &AccountId) -> bool {
    let mut entitled = ways.entitlements.iter().chain(&ways.inherited_entitlements);
    entitled.any(|entitled| entitled.entitlement.account == *account)
}

/// The permission sets with which they can enter an account.
pub fn sets_in(ways: &Ways, account: &AccountId) -> BTreeSet<PermissionSetArn> {
    let there = ways
        .assignments
        .iter()
        .filter(|assignment| assignment.account == *account);
    there
        .map(|assignment| assignment.permission_set.clone())
        .collect()
}

/// How long the longest session lives that could have been minted by any of the ways. How long an account access manager
/// role's sessions live is the role's to say, in its own account; so it is the most there is.
fn session_life(ways: &Ways) -> Option<SessionLife> {
    let mut entitled = ways.entitlements.iter().chain(&ways.inherited_entitlements);
    match entitled.next() {
        Some(entitled) => Some(SessionLife {
            longest: LONGEST_SESSION,
            because: format!(
                "12h, the most there is: account access manager lets them into {}",
                entitled.entitlement.role
            ),
        }),
        None => (!ways.permission_sets.is_empty()).then(|| longest_of(&ways.permission_sets)),
    }
}

fn warnings(
    ways: &Ways,
    last: &BTreeSet<(AccountId, PermissionSetArn)>,
    management: &AccountId,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for (account, set) in last {
        let name = ways
            .permission_sets
            .get(set)
            .map_or(set.as_str(), |set| set.name.as_str());
        warnings.push(format!(
            "Nobody else has permission set {name} in account {account}: AWS deletes its role there, and makes it anew with another suffix when it is assigned again. What names the role by its ARN (key policies, aws-auth) must be mended then."
        ));
    }
    if ways.user.external && !ways.memberships.is_empty() {
        warnings.push("An identity provider keeps this user: its next synchronization may put the user back into the groups. Take them out there, too; `quell release` looks again.".to_owned());
    }
    if reach(ways).contains(management) {
        warnings.push(format!(
            "They can enter the management account {management}: taking the assignments there away needs credentials of that account."
        ));
    }
    match &ways.access_manager {
        Known::Known(true) => {}
        Known::Known(false) => warnings.push("There is no account access manager in Identity Center's Region, so there is nothing of it to close.".to_owned()),
        Known::Unknown(why) => warnings.push(format!("What account access manager lets them into could not be read ({why}): everything else is closed, and the user does not count as evicted until somebody looks there and attests {NO_WAY_LEFT}.")),
    }
    if ways.user.status == Some(UserStatus::Disabled) {
        warnings.push("The user is disabled already. The console cannot end the sessions of a disabled user: enable them, delete their sessions, disable them again.".to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::facts::{Entitled, Entitlement, PermissionSet, User};

    fn account(number: u8) -> AccountId {
        AccountId::parse(format!("1111222233{number:02}")).unwrap()
    }

    fn group() -> GroupId {
        GroupId::parse("94482488-3041-7026-18f3-be45837cd0ff").unwrap()
    }

    fn set() -> PermissionSetArn {
        PermissionSetArn::parse("arn:aws:sso:::permissionSet/ssoins-1/ps-1").unwrap()
    }

    /// A user with one assignment of their own and one of a group's.
    fn ways() -> Ways {
        let id = UserId::parse("94482488-3041-7026-18f3-be45837cd0e4").unwrap();
        let assigned = |account, assignee| Assignment {
            account,
            permission_set: set(),
            assignee,
        };
        let operators = PermissionSet {
            name: "Operators".to_owned(),
            session: Known::Known(SignedDuration::from_hours(8)),
        };
        Ways {
            read_at: Timestamp::UNIX_EPOCH,
            assignments: [
                assigned(account(1), Assignee::User(id.clone())),
                assigned(account(2), Assignee::Group(group())),
            ]
            .into(),
            user: User {
                id,
                username: Username::new("alice"),
                status: None,
                external: false,
                email: None,
            },
            memberships: BTreeMap::from([(group(), MembershipId::parse("m-1").unwrap())]),
            group_names: BTreeMap::new(),
            entitlements: BTreeSet::new(),
            inherited_entitlements: BTreeSet::new(),
            access_manager: Known::Known(true),
            permission_sets: BTreeMap::from([(set(), operators)]),
        }
    }

    #[test]
    fn what_a_group_may_enter_stays_the_groups_and_the_user_leaves_the_group() {
        let eviction = Eviction::of(ways(), &BTreeSet::new(), &account(9));
        let own = Way::Assignment {
            account: account(1),
            permission_set: set(),
        };
        assert_eq!(eviction.steps, [own, Way::Membership { group: group() }]);
        let longest = eviction.session.map(|session| session.longest);
        assert_eq!(longest, Some(SignedDuration::from_hours(8)));
        assert_eq!(eviction.warnings, Vec::<String>::new());
    }

    #[test]
    fn what_must_be_known_before_is_said() {
        let mut ways = ways();
        ways.user.external = true;
        ways.user.status = Some(UserStatus::Disabled);
        ways.access_manager = Known::Known(false);
        let last = [(account(1), set())].into();
        let said = Eviction::of(ways, &last, &account(2)).warnings.join("\n");
        for expected in [
            "permission set Operators in account 111122223301",
            "synchronization may put the user back",
            "management account 111122223302",
            "no account access manager",
            "disabled already",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }

    #[test]
    fn a_role_of_account_access_manager_may_give_sessions_of_twelve_hours() {
        let mut ways = ways();
        let entitled = Entitled {
            entitlement: Entitlement {
                application: ApplicationArn::parse("arn:aws:account-access:::application/a")
                    .unwrap(),
                account: account(3),
                role: RoleArn::parse("arn:aws:iam::111122223303:role/deploy").unwrap(),
            },
            id: EntitlementId::parse("e-1").unwrap(),
        };
        ways.inherited_entitlements.insert(entitled.clone());
        let inherited = Eviction::of(ways.clone(), &BTreeSet::new(), &account(9));
        let longest = inherited.session.map(|session| session.longest);
        assert_eq!(longest, Some(LONGEST_SESSION));
        assert_eq!(inherited.steps.len(), 2, "it is the group's");
        ways.entitlements.insert(entitled);
        let direct = Eviction::of(ways.clone(), &BTreeSet::new(), &account(9));
        assert_eq!(direct.steps.len(), 3);
        assert_eq!(reach(&ways), [account(1), account(2), account(3)].into());
    }
}
