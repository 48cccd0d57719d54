//! Asking CloudTrail: the records of the principal's calls, account by account and Region by Region.
//!
//! Arrives: what is looked up, and where ([`Places`]). Leaves: [`Gathered`]: the calls, each once, and everything that
//! could not be read: accounts that did not let us in, Regions that did not answer, records that are none, lists that were
//! cut. Goes wrong: nothing; what could not be asked is part of the answer (R4).
//!
//! AWS takes two requests a second of each account in each Region, so accounts and Regions are asked side by side and what
//! is asked of one goes one after the other.

pub mod switching;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;

use crate::cloud::{Door, Read, Recorded, RecordedBy, Trouble, TroubleKind};
use crate::ids::*;
use crate::incident::Incident;
use crate::policy::document::Document;
use crate::policy::{self, NothingToDeny};
use crate::principal::Identity;
use crate::survey::{doors, through};
use crate::trail::chain::Walk;
use crate::trail::portal::{self, AtPortal, of_person};
use crate::trail::{self, Call};

/// Accounts that are asked at the same time.
const AT_ONCE: usize = 16;

/// Pages of 50 that are read of one question: what has more is said.
const PAGES: usize = 100;

/// The longest chain that is followed.
const DEEPEST: usize = 50;

/// Regions that every account has from the beginning, by the partition.
const REGIONS: &[(&str, &[&str])] = &[
    (
        "aws",
        &[
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
            "ap-south-1",
            "ap-southeast-1",
            "ap-southeast-2",
            "ca-central-1",
            "eu-central-1",
            "eu-north-1",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "sa-east-1",
        ],
    ),
    ("aws-cn", &["cn-north-1", "cn-northwest-1"]),
    ("aws-us-gov", &["us-gov-west-1", "us-gov-east-1"]),
];

/// Where is asked, and how the accounts are entered.
#[derive(Debug, Clone)]
pub struct Places {
    /// Our own account, which needs no entering.
    pub own: AccountId,
    /// The Regions.
    pub regions: Vec<Region>,
    /// Roles to enter with, in the order they are tried.
    pub roles: Vec<RoleName>,
    /// The name of our sessions.
    pub session: SessionName,
    /// Since when.
    pub from: Timestamp,
}

/// Somewhere that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unasked {
    /// The account.
    pub account: AccountId,
    /// The Region; `None` for all of them.
    pub region: Option<Region>,
    /// AWS's words.
    pub why: String,
}

/// What the records have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gathered {
    /// The calls, by CloudTrail's ids.
    pub calls: BTreeMap<String, Call>,
    /// Records that cannot be read: how many of each account.
    pub unreadable: BTreeMap<AccountId, usize>,
    /// Where nobody could be asked.
    pub unasked: BTreeSet<Unasked>,
    /// Where there was more than is read.
    pub cut: BTreeSet<(AccountId, Region)>,
    /// Accounts that were asked.
    pub asked: BTreeSet<AccountId>,
}

impl Gathered {
    /// The newest record that was read.
    pub fn newest(&self) -> Option<Timestamp> {
        self.calls.values().map(|call| call.at).max()
    }

    /// Whether everything was read that was asked for.
    pub fn is_whole(&self) -> bool {
        self.unasked.is_empty() && self.cut.is_empty() && self.unreadable.is_empty()
    }

    /// The calls, oldest first.
    pub fn in_order(&self) -> Vec<&Call> {
        let mut calls: Vec<&Call> = self.calls.values().collect();
        calls.sort_by_key(|call| (call.at, &call.id));
        calls
    }

    fn add(&mut self, account: &AccountId, region: &Region, found: &Recorded) {
        if !found.whole {
            self.cut.insert((account.clone(), region.clone()));
        }
        for text in &found.events {
            match trail::read(text, account, region) {
                Ok(call) => {
                    self.calls.insert(call.id.clone(), call);
                }
                Err(_) => *self.unreadable.entry(account.clone()).or_default() += 1,
            }
        }
    }

    /// With what else was gathered.
    pub fn join(&mut self, other: Self) {
        self.calls.extend(other.calls);
        self.unasked.extend(other.unasked);
        self.cut.extend(other.cut);
        self.asked.extend(other.asked);
        for (account, many) in other.unreadable {
            *self.unreadable.entry(account).or_default() += many;
        }
    }
}

/// The Regions that are asked if nobody names others: those that every account has, and our own.
pub fn usual_regions(partition: &str, ours: &[&Region]) -> Vec<Region> {
    let known = REGIONS.iter().filter(|(of, _)| *of == partition);
    let known = known.flat_map(|(_, regions)| regions.iter());
    let known = known.filter_map(|region| Region::parse(*region).ok());
    let mut regions: Vec<Region> = known.chain(ours.iter().map(|it| (*it).clone())).collect();
    regions.sort();
    regions.dedup();
    regions
}

/// By what the principal's own calls are looked up: every spelling that is known of their sessions' names.
/// None, where no name is in all of their records: those of a role, whoever uses it.
pub fn names_of(incident: &Incident) -> Vec<RecordedBy> {
    let of_exact = |identity: &Identity| match identity {
        Identity::RoleSession { session, .. } => Some(session.to_string()),
        Identity::FederatedUser(user) => Some(user.name.to_string()),
        Identity::Root { .. } => Some("root".to_owned()),
        Identity::RoleBefore { .. }
        | Identity::IdentityCenterUser { .. }
        | Identity::IamUser { .. } => None,
    };
    if let Some(identity) = &incident.exact {
        let name = of_exact(identity).map(RecordedBy::Username);
        return name.into_iter().collect();
    }
    let sessions = incident.session_names.iter().map(SessionName::to_string);
    let iam = incident.iam_name().map(String::from);
    // What people call an IAM user is an ARN, which no record has for a name.
    let directory = incident.principal.as_ref().filter(|_| iam.is_none());
    let directory = directory.map(Username::to_string);
    let names: BTreeSet<String> = sessions.chain(iam).chain(directory).collect();
    names.into_iter().map(RecordedBy::Username).collect()
}

/// The names among them.
pub fn as_names(by: &[RecordedBy]) -> Vec<String> {
    let name = |by: &RecordedBy| match by {
        RecordedBy::Username(name) => Some(name.clone()),
        RecordedBy::AccessKey(_) | RecordedBy::Event(_) => None,
    };
    by.iter().filter_map(name).collect()
}

/// What is asked of an incident's principal in each of the accounts that they can enter.
pub fn questions_about(
    incident: &Incident,
    management: &AccountId,
    by: &[RecordedBy],
) -> BTreeMap<AccountId, Vec<RecordedBy>> {
    let home = incident.iam_account.iter();
    let accounts = incident.accounts.iter().chain(home).chain([management]);
    accounts
        .map(|account| (account.clone(), by.to_vec()))
        .collect()
}

/// Looks all of this up in each of these accounts.
pub async fn gather(
    read: &impl Read,
    places: &Places,
    questions: BTreeMap<AccountId, Vec<RecordedBy>>,
) -> Gathered {
    let asked = questions
        .into_iter()
        .map(async |(account, by)| in_account(read, places, &account, &by).await);
    let mut gathered = Gathered::default();
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    while let Some(found) = answers.next().await {
        gathered.join(found);
    }
    gathered
}

async fn in_account(
    read: &impl Read,
    places: &Places,
    account: &AccountId,
    questions: &[RecordedBy],
) -> Gathered {
    let mut gathered = Gathered::default();
    let unasked = |region: Option<&Region>, trouble: &Trouble| Unasked {
        account: account.clone(),
        region: region.cloned(),
        why: trouble.to_string(),
    };
    gathered.asked.insert(account.clone());
    for by in questions {
        // The first Region alone: an account that does not let us in is asked once and not everywhere. A Region that an
        // organization has closed is another matter.
        let Some((first, rest)) = places.regions.split_first() else {
            return gathered;
        };
        let mut answers = vec![(first, look(read, places, account, first, by).await)];
        if let Some((_, Err(trouble))) = answers.first()
            && trouble.kind == TroubleKind::Denied
            && trouble.operation == "sts:AssumeRole"
        {
            gathered.unasked.insert(unasked(None, trouble));
            return gathered;
        }
        let others = rest
            .iter()
            .map(async |region| (region, look(read, places, account, region, by).await));
        answers.extend(join_all(others).await);
        for (region, answer) in answers {
            match answer {
                Ok(found) => gathered.add(account, region, &found),
                Err(trouble) => {
                    gathered.unasked.insert(unasked(Some(region), &trouble));
                }
            }
        }
    }
    gathered
}

async fn look(
    read: &impl Read,
    places: &Places,
    account: &AccountId,
    region: &Region,
    by: &RecordedBy,
) -> Result<Recorded, Trouble> {
    let ask = async |door: Option<&Door>| read.recorded(door, region, by, places.from, PAGES).await;
    if *account == places.own {
        return ask(None).await;
    }
    let doors = doors(account, &places.roles, &places.session);
    through(&doors, async |door| ask(Some(door)).await).await
}

/// What an incident's person did at the portal, or an IAM user at the console's door, since the places' moment, oldest
/// first. It is recorded in one account, and of people of Identity Center in one Region.
///
/// # Errors
/// Why that could not be read whole, for people.
pub async fn at_portal(
    read: &impl Read,
    places: &Places,
    account: &AccountId,
    incident: &Incident,
    events: &[&'static str],
) -> Result<Vec<AtPortal>, String> {
    let by = events.iter().copied().map(RecordedBy::Event).collect();
    let gathered = gather(read, places, BTreeMap::from([(account.clone(), by)])).await;
    if let Some(unasked) = gathered.unasked.first() {
        return Err(format!("account {account}: {}", unasked.why));
    }
    if !gathered.is_whole() {
        return Err(format!(
            "account {account} has more records of sign-ins than are read at once, or some that cannot be read"
        ));
    }
    let mut names = portal::names_of(incident);
    names.extend(incident.iam_name().map(String::from));
    let calls = gathered.in_order().into_iter();
    let theirs = calls.filter_map(|call| of_person(call, incident.user_id.as_ref(), &names));
    Ok(theirs.collect())
}

/// Follows whoever the principal became, and whoever those became, account by account. `gathered` has the principal's own
/// calls, which are in the walk already; what the others did is added to it.
async fn follow(read: &impl Read, places: &Places, walk: &mut Walk, gathered: &mut Gathered) {
    for _ in 0..DEEPEST {
        let mut questions: BTreeMap<AccountId, Vec<RecordedBy>> = BTreeMap::new();
        for (account, key) in walk.to_ask() {
            let of_account = questions.entry(account).or_default();
            of_account.push(RecordedBy::AccessKey(key));
        }
        if questions.is_empty() {
            return;
        }
        let found = gather(read, places, questions).await;
        for call in found.in_order() {
            walk.take(call);
        }
        gathered.join(found);
    }
}

/// The principal of an incident, followed from their own calls on. Whatever carries one of their names and is not ours
/// counts as theirs: our canaries enter with the same roles that we do.
///
/// # Errors
/// [`NothingToDeny`], when no key can name the principal.
pub async fn walk(
    read: &impl Read,
    places: &Places,
    incident: &Incident,
    management: &AccountId,
) -> Result<(Walk, Gathered), NothingToDeny> {
    let alone = Incident {
        chained: BTreeSet::new(),
        ..incident.clone()
    };
    let own = alone.unbounded()?;
    let by = names_of(incident);
    let questions = questions_about(incident, management, &by);
    let mut gathered = gather(read, places, questions).await;
    let mut walk = Walk::default();
    for call in gathered.in_order() {
        if let Some(gave) = call.gave.as_ref().filter(|_| !call.caller.has_session()) {
            let is_theirs = gave.bearer(call.at).is_denied_by(&own, call.at);
            if is_theirs && call.error.is_none() {
                walk.given(call, gave);
            }
        } else if call.caller.bearer().is_denied_by(&own, call.at)
            && !trail::is_canarys(call, &places.roles)
        {
            walk.root(call);
        }
    }
    follow(read, places, &mut walk, &mut gathered).await;
    Ok((walk, gathered))
}

/// The incident's part of its policy's document, as it stands; empty where there is none.
///
/// # Errors
/// [`Trouble`].
pub async fn deny_of(
    read: &impl Read,
    policy: &PolicyId,
    incident: &IncidentId,
) -> Result<Document, Trouble> {
    let described = read.policy(policy).await?;
    let document = described.and_then(|(_, content)| Document::parse(&content).ok());
    let document = document.unwrap_or_else(|| Document::new(Vec::new()));
    Ok(policy::of_incident(&document, incident))
}
