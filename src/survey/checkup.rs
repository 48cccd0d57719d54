//! Asks everything that a check-up needs, with reading capability and canaries only.
//!
//! Arrives: the roles of the canaries, and in how many accounts to try them. Leaves: a [`Checkup`]. Goes wrong: nothing;
//! what cannot be asked is unknown, with the reason, and hides nothing else. Beside each answer it notes which rights the
//! call has shown; those that only a change could show are [`simulate`]d.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::future::{join_all, try_join_all};
use futures_util::join;
use futures_util::stream::{self, StreamExt as _};

use crate::cloud::{
    Ask, Canaries, Clock as _, Cloud, Inspect, Lookup, MintError, OrganizationError, Probe, Probed,
    Read, Trouble, TroubleKind,
};
use crate::facts::checkup::*;
use crate::facts::*;
use crate::ids::*;
use crate::survey::{self, SurveyError};

/// Accounts asked at the same time, and simulations.
const AT_ONCE: usize = 8;

/// Pages of the directory's users, a hundred each.
const PAGES: usize = 50;

/// What to look at.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    /// The roles of the canaries, in the order they are tried.
    pub roles: &'a [RoleName],
    /// The most accounts to send canaries to; all, if none is said.
    pub sample: Option<usize>,
    /// What they ask.
    pub probes: &'a BTreeSet<Probe>,
    /// Where.
    pub regions: &'a BTreeSet<Region>,
}

/// The rights that answers have shown, or refusals denied.
#[derive(Default)]
struct Witness(RefCell<BTreeMap<&'static str, Evidence>>);

impl Witness {
    /// Notes what an answer shows of these rights, and gives it on.
    fn saw<T>(&self, actions: &[&'static str], answer: Result<T, Trouble>) -> Known<T> {
        let mut rights = self.0.borrow_mut();
        match answer {
            Ok(fact) => {
                rights.extend(actions.iter().map(|action| (*action, Evidence::Shown)));
                Known::Known(fact)
            }
            Err(trouble) => {
                if trouble.kind == TroubleKind::Denied {
                    rights.insert(trouble.operation, Evidence::Denied(trouble.detail.clone()));
                }
                Known::Unknown(trouble.to_string())
            }
        }
    }
}

/// Asks. With credentials that nobody knows, every other question would only fail more slowly: then all is unknown.
pub async fn checkup<C: Cloud>(cloud: &C, scope: &Scope<'_>) -> Checkup {
    let read = cloud.read();
    let witness = Witness::default();
    let caller = match read.caller().await {
        Ok(caller) => caller,
        Err(trouble) => return nothing(cloud, &trouble),
    };
    let organization = witness.saw(
        &["organizations:DescribeOrganization"],
        match read.organization().await {
            Ok(organization) => Ok(Some(organization)),
            Err(OrganizationError::NotInUse) => Ok(None),
            Err(OrganizationError::Trouble(trouble)) => Err(trouble),
        },
    );
    let of = match &organization {
        Known::Known(Some(organization)) => Ok(organization),
        Known::Known(None) => Err("the account is in no organization".to_owned()),
        Known::Unknown(why) => Err(why.clone()),
    };
    let ours = of.as_ref().ok().cloned();
    let membership = async {
        if let Some(organization) = &ours {
            let described = read.is_member(&organization.management).await;
            witness.saw(&["organizations:DescribeAccount"], described);
        }
    };
    let (estate, people, trails, detectors, ()) = join!(
        estate(cloud, of.clone(), scope, &witness),
        people(read, of, &witness),
        trails(read, &witness),
        detectors(read, &witness),
        membership,
    );
    Checkup {
        asked_at: cloud.clock().now(),
        region: read.region(),
        caller: Known::Known(caller),
        root: estate.root,
        attached: estate.attached,
        armed: estate.armed,
        accounts: estate.accounts,
        canaries: estate.canaries,
        instance: people.instance,
        access_manager: people.access_manager,
        in_management: people.in_management,
        users: people.users,
        organization,
        trails,
        detectors,
        rights: witness.0.into_inner(),
        not_simulated: None,
    }
}

/// A check-up that learned nothing, for this reason.
fn nothing<C: Cloud>(cloud: &C, trouble: &Trouble) -> Checkup {
    fn unknown<T>(why: &str) -> Known<T> {
        Known::Unknown(why.to_owned())
    }
    let why = trouble.to_string();
    Checkup {
        asked_at: cloud.clock().now(),
        region: cloud.read().region(),
        caller: unknown(&why),
        organization: unknown(&why),
        root: unknown(&why),
        attached: unknown(&why),
        armed: unknown(&why),
        instance: unknown(&why),
        access_manager: unknown(&why),
        in_management: unknown(&why),
        users: unknown(&why),
        accounts: unknown(&why),
        canaries: BTreeMap::new(),
        trails: unknown(&why),
        detectors: unknown(&why),
        rights: BTreeMap::new(),
        not_simulated: Some(why),
    }
}

/// The organization's part.
struct Estate {
    root: Known<Root>,
    attached: Known<Vec<PolicySummary>>,
    armed: Known<Option<ArmedPolicy>>,
    accounts: Known<Vec<MemberAccount>>,
    canaries: BTreeMap<AccountId, Tried>,
}

async fn estate<C: Cloud>(
    cloud: &C,
    organization: Result<&Organization, String>,
    scope: &Scope<'_>,
    witness: &Witness,
) -> Estate {
    let read = cloud.read();
    let (root, memory) = join!(read.root(), survey::memory(read));
    let root = witness.saw(&["organizations:ListRoots"], root);
    let memory = witness.saw(&["organizations:ListPolicies"], memory);
    let armed = match memory {
        Known::Known(memory) => memory.armed,
        Known::Unknown(why) => Known::Unknown(why),
    };
    let Known::Known(at) = &root else {
        let why = || match &root {
            Known::Known(_) => String::new(),
            Known::Unknown(why) => why.clone(),
        };
        return Estate {
            attached: Known::Unknown(why()),
            accounts: Known::Unknown(why()),
            canaries: BTreeMap::new(),
            root,
            armed,
        };
    };
    let accounts = async {
        let actions = [
            "organizations:ListAccountsForParent",
            "organizations:ListOrganizationalUnitsForParent",
        ];
        let accounts = witness.saw(&actions, read.members(&at.id).await);
        let canaries = match (&accounts, organization) {
            (Known::Known(accounts), Ok(organization)) => {
                let chosen = sampled(accounts, &organization.management, scope.sample);
                canaries(cloud.canaries(), chosen, scope).await
            }
            (Known::Known(_) | Known::Unknown(_), _) => BTreeMap::new(),
        };
        (accounts, canaries)
    };
    let attached = async {
        let listed = read.attached(&at.id).await;
        let attached = witness.saw(&["organizations:ListPoliciesForTarget"], listed);
        // Of one of the organization's own, because AWS's are outside of what the rights are limited to.
        let policies = attached.known().into_iter().flatten();
        let mut own = policies.filter(|policy| !policy.arn.as_str().contains("::aws:"));
        if let Some(policy) = own.next() {
            look_at(read, &policy.id, witness).await;
        }
        attached
    };
    let ((accounts, canaries), attached) = join!(accounts, attached);
    if canaries
        .values()
        .any(|tried| matches!(tried, Tried::Allowed(_) | Tried::Refused { .. }))
    {
        witness
            .0
            .borrow_mut()
            .insert("sts:AssumeRole", Evidence::Shown);
    }
    Estate {
        root,
        attached,
        armed,
        accounts,
        canaries,
    }
}

/// What `status` would ask about a policy.
async fn look_at(read: &impl Read, policy: &PolicyId, witness: &Witness) {
    let (tags, described, targets) =
        join!(read.tags(policy), read.policy(policy), read.targets(policy));
    witness.saw(&["organizations:ListTagsForResource"], tags);
    witness.saw(&["organizations:DescribePolicy"], described);
    witness.saw(&["organizations:ListTargetsForPolicy"], targets);
}

/// So many active member accounts, one from each unit in turn: what was rolled out unit by unit is missed unit by unit.
pub fn sampled(
    accounts: &[MemberAccount],
    management: &AccountId,
    most: Option<usize>,
) -> Vec<AccountId> {
    let mut units: BTreeMap<&TargetId, VecDeque<&AccountId>> = BTreeMap::new();
    let members = accounts.iter().filter(|account| account.id != *management);
    for account in members.filter(|account| account.is_active()) {
        units
            .entry(&account.parent)
            .or_default()
            .push_back(&account.id);
    }
    let mut chosen = Vec::new();
    while units.values().any(|left| !left.is_empty()) {
        let one_each = units.values_mut().filter_map(VecDeque::pop_front);
        chosen.extend(one_each.cloned());
    }
    chosen.truncate(most.unwrap_or(usize::MAX));
    chosen
}

/// Sends a canary under a neutral name to each account.
async fn canaries(
    canaries: &impl Canaries,
    accounts: Vec<AccountId>,
    scope: &Scope<'_>,
) -> BTreeMap<AccountId, Tried> {
    let asks = &Ask::all(scope.probes, scope.regions, canaries.region());
    let asked = stream::iter(accounts).map(|account| async move {
        let tried = canary(canaries, &account, scope.roles, asks).await;
        (account, tried)
    });
    asked.buffer_unordered(AT_ONCE).collect().await
}

async fn canary(
    canaries: &impl Canaries,
    account: &AccountId,
    roles: &[RoleName],
    asks: &[Ask],
) -> Tried {
    let mut refusals = Vec::new();
    for role in roles {
        let session = match canaries
            .mint(account, role, &SessionName::of_survey(), None, asks)
            .await
        {
            Ok(session) => session,
            Err(MintError::NoWay(why)) => {
                refusals.push(why);
                continue;
            }
            Err(MintError::Trouble(trouble)) => return Tried::NoAnswer(trouble.to_string()),
        };
        let role = role.clone();
        for ask in asks {
            match canaries.probe(&session, ask).await {
                Probed::Allowed => {}
                Probed::Refused { policy, .. } => {
                    let asked = ask.to_string();
                    return Tried::Refused {
                        role,
                        policy,
                        asked,
                    };
                }
                Probed::SessionExpired => {
                    return Tried::NoAnswer("its session was over at once".to_owned());
                }
                Probed::NoAnswer(why) => return Tried::NoAnswer(why),
            }
        }
        return Tried::Allowed(role);
    }
    Tried::NotLetIn(refusals.join("; "))
}

/// Identity Center's part.
struct People {
    instance: Known<Option<Instance>>,
    access_manager: Known<bool>,
    in_management: Known<Vec<Holding>>,
    users: Known<Listed>,
}

async fn people(
    read: &(impl Read + Inspect),
    organization: Result<&Organization, String>,
    witness: &Witness,
) -> People {
    let unknown = |why: String, instance| People {
        instance,
        access_manager: Known::Unknown(why.clone()),
        in_management: Known::Unknown(why.clone()),
        users: Known::Unknown(why),
    };
    let organization = match organization {
        Ok(organization) => organization,
        Err(why) => return unknown(why.clone(), Known::Unknown(why)),
    };
    let found = match survey::instance(read, organization).await {
        Ok(instance) => Ok(Some(instance)),
        Err(SurveyError::NoIdentityCenter) => Ok(None),
        Err(other) => Err(other.into_trouble()),
    };
    let instance = witness.saw(&["sso:ListInstances"], found);
    let at = match &instance {
        Known::Known(Some(at)) => at,
        Known::Known(None) => {
            return unknown("no Identity Center was found".to_owned(), instance);
        }
        Known::Unknown(why) => return unknown(why.clone(), instance),
    };
    let users = async {
        let listed = read.users(at, PAGES).await;
        let users = witness.saw(&["identitystore:ListUsers"], listed);
        let somebody = users.known().and_then(|(users, _)| users.first());
        let access_manager = match somebody {
            Some(user) => rehearse(read, at, user, witness).await,
            None => Known::Unknown("there is nobody to ask it about".to_owned()),
        };
        (users, access_manager)
    };
    let ((users, access_manager), in_management, ()) = join!(
        users,
        in_management(read, at, &organization.management, witness),
        team(read, at, witness)
    );
    People {
        in_management,
        access_manager,
        users: listed(users),
        instance,
    }
}

/// Who holds what in the management account, and the directory's users, for whoever asks no more than that.
pub(super) async fn held_and_listed(
    read: &(impl Read + Inspect),
    instance: &Instance,
    organization: &Organization,
) -> (Known<Vec<Holding>>, Known<Listed>) {
    let witness = Witness::default();
    let (held, users) = join!(
        in_management(read, instance, &organization.management, &witness),
        read.users(instance, PAGES)
    );
    (held, listed(witness.saw(&[], users)))
}

fn listed(users: Known<(Vec<User>, bool)>) -> Known<Listed> {
    match users {
        Known::Known((users, true)) => Known::Known(Listed { users, cut: None }),
        Known::Known((users, false)) => Known::Known(Listed {
            cut: Some(format!("the directory has more than {} users", users.len())),
            users,
        }),
        Known::Unknown(why) => Known::Unknown(why),
    }
}

/// Asks about somebody what a survey would: which of its calls are answered, and whether account access manager is there.
async fn rehearse(
    read: &impl Read,
    instance: &Instance,
    user: &User,
    witness: &Witness,
) -> Known<bool> {
    let own = Assignee::User(user.id.clone());
    let (described, found, memberships, assigned, entitled) = join!(
        read.user(instance, &user.id),
        read.find_user(instance, Lookup::Username, user.username.as_str()),
        read.memberships(instance, &user.id),
        read.assignments(instance, &own),
        read.entitlements(instance, &own)
    );
    witness.saw(&["identitystore:DescribeUser"], described);
    witness.saw(&["identitystore:GetUserId"], found);
    let memberships = witness.saw(
        &["identitystore:ListGroupMembershipsForMember"],
        memberships,
    );
    let mut assigned = witness.saw(&["sso:ListAccountAssignmentsForPrincipal"], assigned);
    if let Some(group) = memberships.known().and_then(|groups| groups.keys().next()) {
        let of_group = Assignee::Group(group.clone());
        let (name, through) = join!(
            read.group_name(instance, group),
            read.assignments(instance, &of_group)
        );
        witness.saw(&["identitystore:DescribeGroup"], name);
        assigned = witness.saw(&[], through);
    }
    if let Some(one) = assigned.known().and_then(|assigned| assigned.first()) {
        let set = read.permission_set(instance, &one.permission_set).await;
        witness.saw(&["sso:DescribePermissionSet"], set);
    }
    // Where nobody has set it up, or AWS does not offer it, one of its calls was not made.
    let shown: &[&str] = match &entitled {
        Ok(Some(entitled)) if !entitled.is_empty() => &[
            "account-access:ListApplications",
            "account-access:ListEntitlements",
        ],
        Ok(Some(_)) => &["account-access:ListApplications"],
        Ok(None) | Err(_) => &[],
    };
    witness.saw(shown, entitled.map(|entitled| entitled.is_some()))
}

/// Who holds what in the management account.
async fn in_management(
    read: &(impl Read + Inspect),
    instance: &Instance,
    management: &AccountId,
    witness: &Witness,
) -> Known<Vec<Holding>> {
    let provisioned = read.provisioned(instance, management).await;
    let sets = match witness.saw(&["sso:ListPermissionSetsProvisionedToAccount"], provisioned) {
        Known::Known(sets) => sets,
        Known::Unknown(why) => return Known::Unknown(why),
    };
    let described = survey::permission_sets(read, instance, sets.iter()).await;
    let held = try_join_all(sets.iter().map(|set| async {
        let assigned = read.assigned(instance, management, set).await?;
        let name = described
            .get(set)
            .map_or(set.as_str(), |set| set.name.as_str());
        Ok::<_, Trouble>(
            join_all(
                assigned
                    .iter()
                    .map(|who| holding(read, instance, name, who)),
            )
            .await,
        )
    }));
    let held = held.await.map(|held| held.into_iter().flatten().collect());
    // Where no set is provisioned, nothing was asked that would show it.
    let shown: &[&str] = if sets.is_empty() {
        &[]
    } else {
        &["sso:ListAccountAssignments"]
    };
    witness.saw(shown, held)
}

/// A holding, with what people call whoever has it; their id, where that cannot be read.
async fn holding(read: &impl Read, instance: &Instance, set: &str, who: &Assignee) -> Holding {
    let (name, id, group) = match who {
        Assignee::User(id) => {
            let user = read.user(instance, id).await.ok().flatten();
            (
                user.map(|user| user.username.to_string()),
                id.to_string(),
                false,
            )
        }
        Assignee::Group(id) => (
            read.group_name(instance, id).await.ok().flatten(),
            id.to_string(),
            true,
        ),
    };
    Holding {
        set: set.to_owned(),
        who: name.unwrap_or(id),
        group,
    }
}

async fn team(read: &impl Read, instance: &Instance, witness: &Witness) {
    witness.saw(&["dynamodb:ListTables"], read.team_tables(instance).await);
}

async fn trails(read: &impl Inspect, witness: &Witness) -> Known<Vec<Trail>> {
    let trails = witness.saw(&["cloudtrail:DescribeTrails"], read.trails().await);
    let listed = trails.known().into_iter().flatten();
    if listed.clone().any(|trail| trail.logging.known().is_some()) {
        witness
            .0
            .borrow_mut()
            .insert("cloudtrail:GetTrailStatus", Evidence::Shown);
    }
    let mut listed = trails.known().into_iter().flatten();
    if listed.any(|trail| trail.records.known().is_some()) {
        witness
            .0
            .borrow_mut()
            .insert("cloudtrail:GetEventSelectors", Evidence::Shown);
    }
    trails
}

/// Detectors, and whether a finding of theirs could be fetched: by one that there is none of.
async fn detectors(read: &(impl Read + Inspect), witness: &Witness) -> Known<Vec<Detector>> {
    let ids = match witness.saw(&["guardduty:ListDetectors"], read.detectors().await) {
        Known::Known(ids) => ids,
        Known::Unknown(why) => return Known::Unknown(why),
    };
    let nobodys = FindingId::parse("0".repeat(32)).ok();
    if let Some((detector, id)) = ids.first().zip(nobodys) {
        let finding = read.finding(detector, &id).await;
        witness.saw(&["guardduty:GetFindings"], finding);
    }
    let asked = ids.into_iter().map(|id| async move {
        let enabled = read.is_enabled(&id).await;
        let enabled = witness.saw(&["guardduty:GetDetector"], enabled);
        Detector { id, enabled }
    });
    Known::Known(join_all(asked).await)
}

/// Which rights to simulate, by the resource that they are simulated on: an action on several is held if it is held on
/// each.
pub type Plan = BTreeMap<String, Vec<&'static str>>;

/// Asks IAM's simulator about our own identity, and adds what it says to the rights that calls have shown.
pub async fn simulate(read: &impl Inspect, facts: &mut Checkup, plan: &Plan) {
    let Known::Known(caller) = &facts.caller else {
        return;
    };
    let identity = match read.identity(caller).await {
        Ok(Some(identity)) => identity,
        Ok(None) => {
            facts.not_simulated =
                Some("IAM simulates roles and users, and you are neither".to_owned());
            return;
        }
        Err(trouble) => {
            facts.not_simulated = Some(trouble.to_string());
            return;
        }
    };
    if caller.arn != identity {
        facts.rights.insert("iam:GetRole", Evidence::Shown);
    }
    let asked = stream::iter(plan).map(|(resource, actions)| {
        let identity = &identity;
        async move { (actions, read.simulated(identity, actions, resource).await) }
    });
    let answers: Vec<_> = asked.buffered(AT_ONCE).collect().await;
    for (actions, answer) in answers {
        match answer {
            Ok(said) => {
                for action in actions {
                    let says = evidence(said.get(action));
                    let before = facts.rights.remove(action);
                    facts.rights.insert(action, weaker(before, says));
                }
            }
            Err(trouble) => facts.not_simulated = Some(trouble.to_string()),
        }
    }
    if facts.not_simulated.is_none() {
        facts
            .rights
            .insert("iam:SimulatePrincipalPolicy", Evidence::Shown);
    }
}

fn evidence(said: Option<&Simulated>) -> Evidence {
    match said {
        Some(Simulated::Allowed) => Evidence::Simulated,
        Some(Simulated::Denied(decision)) => {
            Evidence::Denied(format!("IAM's simulator says {decision}"))
        }
        Some(Simulated::DependsOn(keys)) => {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            Evidence::Unclear(format!("it hangs on {}", keys.join(", ")))
        }
        None => Evidence::Unclear("IAM's simulator did not say".to_owned()),
    }
}

/// Of two resources, the one that it is least sure for.
fn weaker(before: Option<Evidence>, now: Evidence) -> Evidence {
    match (before, now) {
        (Some(denied @ Evidence::Denied(_)), _) | (_, denied @ Evidence::Denied(_)) => denied,
        (Some(unclear @ Evidence::Unclear(_)), _) => unclear,
        (_, now) => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u8, unit: &str, state: &str) -> MemberAccount {
        MemberAccount {
            id: AccountId::parse(format!("{number:012}")).unwrap(),
            name: String::new(),
            parent: TargetId::parse(unit).unwrap(),
            state: state.to_owned(),
        }
    }

    #[test]
    fn a_sample_has_every_unit_before_it_has_a_unit_twice() {
        let (one, two) = ("ou-ab12-11111111", "ou-ab12-22222222");
        let mut accounts: Vec<MemberAccount> = (1..8).map(|n| account(n, one, "ACTIVE")).collect();
        accounts.push(account(8, two, "ACTIVE"));
        accounts.push(account(9, two, "SUSPENDED"));
        accounts.push(account(10, "r-ab12", "ACTIVE"));
        let management = accounts[9].id.clone();
        let chosen = |most| sampled(&accounts, &management, most);
        assert_eq!(
            chosen(Some(2)),
            [accounts[0].id.clone(), accounts[7].id.clone()]
        );
        assert_eq!(
            chosen(None).len(),
            8,
            "neither suspended ones nor the management account"
        );
    }
}
