//! Asking for the roles that an incident's IAM user may assume: the user's own account, then those with the roles.
//!
//! Arrives: the incident, and how accounts are entered. Leaves: [`Found`], with every account that could not be looked at
//! and why. Goes wrong: the accounts of the organization cannot be listed.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};
use jiff::SignedDuration;

use crate::audit::switching::{Switch, Switcher, Where};
use crate::cloud::{Cloud, Read as _, Trouble};
use crate::facts::audit::Details;
use crate::facts::{Caller, Organization};
use crate::ids::*;
use crate::incident::Incident;
use crate::survey::audit::{Which, details};
use crate::survey::{doors, through};

/// Roles that are asked at the same time how long their sessions live.
const AT_ONCE: usize = 16;

/// Whom it is about, and where else than they say is looked.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// The account of the IAM user.
    pub account: &'a AccountId,
    /// Their name.
    pub name: &'a IamUserName,
    /// Whether every account is looked at, whatever their policies name.
    pub everywhere: bool,
}

/// A role, and how long its sessions live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The role.
    pub switch: Switch,
    /// Its `MaxSessionDuration`; `None` where it was not told.
    pub longest: Option<SignedDuration>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The roles, by account.
    pub roles: Vec<Role>,
    /// The accounts that were looked at.
    pub looked_at: BTreeSet<AccountId>,
    /// Those that could not be, and why.
    pub missed: BTreeMap<AccountId, String>,
    /// Whether every account was to be looked at, because the user's policies name roles anywhere.
    pub named_everywhere: bool,
    /// How many of the user's policies cannot be read.
    pub unread: usize,
}

/// Looks for them.
///
/// # Errors
/// [`Trouble`], when the accounts of the organization could not be listed.
pub async fn find<C: Cloud>(
    cloud: &C,
    caller: &Caller,
    organization: &Organization,
    about: &About<'_>,
    roles: &[RoleName],
) -> Result<Found, Trouble> {
    let mut found = Found::default();
    let home = Which::These(BTreeSet::from([about.account.clone()]));
    let mut switcher = None;
    details(cloud, caller, home, roles, |account, answer| {
        switcher = found.take_home(about, organization, account, answer);
    })
    .await?;
    let Some(switcher) = switcher else {
        return Ok(found);
    };
    found.unread = switcher.unread();
    let named = switcher.accounts();
    found.named_everywhere = named == Where::Everywhere;
    let which = match named {
        Where::These(accounts) if !about.everywhere => {
            let others = accounts.into_iter().filter(|it| it != about.account);
            Which::These(others.collect())
        }
        Where::These(_) | Where::Everywhere => Which::All,
    };
    let mut switches = Vec::new();
    details(cloud, caller, which, roles, |account, answer| {
        // The user's own was judged.
        if found.looked_at.contains(&account) {
            return;
        }
        match answer {
            Ok(details) => {
                switches.extend(switcher.roles(&account, &details));
                found.looked_at.insert(account);
            }
            Err(trouble) => {
                found.missed.insert(account, trouble.to_string());
            }
        }
    })
    .await?;
    let own = std::mem::take(&mut found.roles);
    switches.extend(own.into_iter().map(|role| role.switch));
    switches.sort();
    let session = about.incident.id.control_name();
    let asked = stream::iter(switches).map(async |switch| {
        let longest = longest_of(cloud, &switch, roles, &session).await;
        Role { switch, longest }
    });
    found.roles = asked.buffered(AT_ONCE).collect().await;
    Ok(found)
}

impl Found {
    /// The user in their own account, and the roles there.
    fn take_home(
        &mut self,
        about: &About<'_>,
        organization: &Organization,
        account: AccountId,
        answer: Result<Details, Trouble>,
    ) -> Option<Switcher> {
        let details = match answer {
            Ok(details) => details,
            Err(trouble) => {
                self.missed.insert(account, trouble.to_string());
                return None;
            }
        };
        let ours = about.incident.id.policy_name();
        let switcher = Switcher::of(&details, &account, about.name, &organization.id, &ours);
        let Some(switcher) = switcher else {
            let why = format!("it has no IAM user {} any more", about.name);
            self.missed.insert(account, why);
            return None;
        };
        let roles = switcher.roles(&account, &details).into_iter();
        self.roles = roles
            .map(|switch| Role {
                switch,
                longest: None,
            })
            .collect();
        self.looked_at.insert(account);
        Some(switcher)
    }
}

/// How long a session of a role can live, by the role.
async fn longest_of<C: Cloud>(
    cloud: &C,
    switch: &Switch,
    roles: &[RoleName],
    session: &SessionName,
) -> Option<SignedDuration> {
    let name = RoleName::parse(switch.role.rsplit('/').next()?).ok()?;
    let doors = doors(&switch.account, roles, session);
    let ask = async |door: &_| cloud.read().role(door, &name).await;
    through(&doors, ask).await.ok()??.longest
}
