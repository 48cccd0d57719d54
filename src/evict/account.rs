//! An IAM user in their own account, entered through the first door that lets us in and lets us do it.

use crate::cloud::{ChangeUser, Door, Read, Trouble};
use crate::facts::{IamUser, Way};
use crate::ids::*;
use crate::incident::Incident;
use crate::plan::eviction::of_iam_user;
use crate::policy::document::Document;
use crate::policy::on_the_user;
use crate::survey::{doors, through};

/// An IAM user, how their account is entered, and what is put on them.
#[derive(Debug, Clone, PartialEq)]
pub struct UserInAccount {
    /// Their account.
    pub account: AccountId,
    /// Their name there.
    pub name: IamUserName,
    /// The id, where it is known: whoever has the name and another id is somebody else.
    pub id: Option<IamUserId>,
    /// The name of our inline policy on them.
    pub policy: String,
    /// Our inline policy on them.
    pub deny: Document,
    doors: Vec<Door>,
}

impl UserInAccount {
    /// The IAM user of an incident, reached by these roles.
    pub fn new(
        incident: &IncidentId,
        account: &AccountId,
        name: &IamUserName,
        id: Option<&IamUserId>,
        roles: &[RoleName],
    ) -> Self {
        Self {
            account: account.clone(),
            name: name.clone(),
            id: id.cloned(),
            policy: incident.policy_name(),
            deny: on_the_user(incident),
            // The control's name, which preflight has shown to be spared.
            doors: doors(account, roles, &incident.control_name()),
        }
    }

    /// The one whom an incident denies; `None` when it denies no IAM user, or nobody remembers which.
    pub fn of(incident: &Incident, roles: &[RoleName]) -> Option<Self> {
        let (account, name) = (incident.iam_account.as_ref()?, incident.iam_name()?);
        let id = incident.iam_user.as_ref();
        Some(Self::new(&incident.id, account, &name, id, roles))
    }

    /// The user as they are, and each way of theirs that is open; `None` if there is no such user any more.
    ///
    /// # Errors
    /// [`Trouble`]; what cannot be read whole is not read.
    pub async fn ways(&self, read: &impl Read) -> Result<Option<(IamUser, Vec<Way>)>, Trouble> {
        let found = through(&self.doors, async |door| {
            let Some(user) = read.iam_user(door, &self.name).await? else {
                return Ok(None);
            };
            // By its name it would only be ours by name.
            let ours = match user.inline.contains(&self.policy) {
                true => read.user_policy(door, &self.name, &self.policy).await?,
                false => None,
            };
            Ok(Some((user, ours)))
        });
        let is_theirs = |(user, _): &(IamUser, _)| self.id.as_ref().is_none_or(|id| *id == user.id);
        Ok(found.await?.filter(is_theirs).map(|(user, ours)| {
            let ours = ours.and_then(|text| Document::parse(&text).ok());
            let open = of_iam_user(&user, ours.as_ref() == Some(&self.deny));
            (user, open)
        }))
    }

    pub(super) async fn set_key(
        &self,
        change: &impl ChangeUser,
        key: &AccessKeyId,
        active: bool,
    ) -> Result<(), Trouble> {
        through(&self.doors, async |door| {
            change.set_access_key(door, &self.name, key, active).await
        })
        .await
    }

    pub(super) async fn delete_password(&self, change: &impl ChangeUser) -> Result<(), Trouble> {
        through(&self.doors, async |door| {
            change.delete_login_profile(door, &self.name).await
        })
        .await
    }

    pub(super) async fn deny(&self, change: &impl ChangeUser) -> Result<(), Trouble> {
        let content = self.deny.minified();
        through(&self.doors, async |door| {
            change
                .put_user_policy(door, &self.name, &self.policy, &content)
                .await
        })
        .await
    }

    pub(super) async fn let_go(&self, change: &impl ChangeUser) -> Result<(), Trouble> {
        through(&self.doors, async |door| {
            change
                .delete_user_policy(door, &self.name, &self.policy)
                .await
        })
        .await
    }
}
