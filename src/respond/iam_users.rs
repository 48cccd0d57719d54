//! The driver's part of an IAM user: what gives them sessions is in their own account, and so is what takes it away.
//!
//! Arrives: an incident whose deny stands. Leaves: keys that are off, no password, and an inline deny on the user, which
//! also binds whoever they have vouched for; all of it recorded as for everybody else. The release takes the inline deny
//! off again; keys come back only by name, and a password never.

use std::collections::BTreeMap;

use crate::cloud::{Cloud, TroubleKind};
use crate::evict::Whose;
use crate::evict::account::UserInAccount;
use crate::facts::{IamUser, Known, Way};
use crate::ids::*;
use crate::incident::Incident;
use crate::journal::{Event, Store};
use crate::plan::eviction::gives_sessions;
use crate::principal::LONGEST_OF_IAM_USER;
use crate::release::Meanwhile;
use crate::respond::evicting::{self, Direction, Evicted, Restored};
use crate::respond::{Response, Stopped};

/// What a release must know now, of whomever the incident denies. The roles are those by which an IAM user's account may
/// be entered.
pub async fn meanwhile<C: Cloud>(
    cloud: &C,
    incident: &Incident,
    policy: &PolicyId,
    roles: &[RoleName],
) -> Meanwhile {
    if incident.exact.is_some() {
        // Somebody has answered for it, or has to.
        let asked = incident.needs_eviction();
        return Meanwhile {
            unread: asked.then(|| "what gives them sessions is for people to close".to_owned()),
            undenied: evicting::undenied(cloud.read(), incident, policy).await,
            ..Meanwhile::nothing()
        };
    }
    if !incident.is_of_iam_user() {
        return evicting::meanwhile(cloud, incident, policy, roles).await;
    }
    let mut unread = None;
    let open = match UserInAccount::of(incident, roles) {
        None => Known::Unknown("nobody remembers which IAM user it is".to_owned()),
        Some(user) => match user.ways(cloud.read()).await {
            Ok(found) => {
                let open = found.into_iter().flat_map(|(_, open)| open);
                Known::Known(open.filter(gives_sessions).collect())
            }
            // The account lets nobody see to them: somebody has to, and can answer for it.
            Err(trouble) if trouble.kind == TroubleKind::Denied => {
                unread = Some(trouble.to_string());
                Known::Known(Vec::new())
            }
            Err(trouble) => Known::Unknown(trouble.to_string()),
        },
    };
    let sign_ins = match &incident.iam_account {
        Some(account) => evicting::new_sign_ins(cloud, incident, account, Vec::new(), roles).await,
        None => Known::Unknown("nobody remembers which account the user is in".to_owned()),
    };
    Meanwhile {
        sign_ins,
        open,
        unread,
        permission_sets: BTreeMap::new(),
        grants: Vec::new(),
        undenied: evicting::undenied(cloud.read(), incident, policy).await,
    }
}

impl<C: Cloud, S: Store> Response<'_, C, S> {
    /// Closes every way of an IAM user, reads whether any is left, and writes that none is on the policy.
    ///
    /// # Errors
    /// [`Stopped`]; the journal's state says how far it came, and running it again goes on.
    pub async fn evict_iam_user(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
        user: &UserInAccount,
        found: &IamUser,
        open: &[Way],
    ) -> Result<Evicted, Stopped> {
        let learn = |incident: &mut Incident| {
            incident.longest_session = incident.longest_session.max(Some(LONGEST_OF_IAM_USER));
        };
        let (mut closed, mut stuck) = (Vec::new(), Vec::new());
        if !open.is_empty() {
            learn(incident);
            if !self.waits_no_more(incident, policy).await? {
                return Ok(Evicted::nothing_closed(open));
            }
            let found = Box::new(found.clone());
            self.record(Event::UserBackedUp { user: found })?;
            let whose = Whose::Account(user);
            (closed, stuck) = self.walk(Direction::Close, whose, open).await?;
        }
        let left = user.ways(self.cloud.read()).await.map_err(Stopped::Read)?;
        let left: Vec<Way> = left.into_iter().flat_map(|(_, open)| open).collect();
        let mut recorded = true;
        if left.is_empty() {
            let closed = !closed.is_empty();
            recorded = self.none_left(incident, policy, closed, learn).await?;
        }
        Ok(Evicted {
            closed,
            stuck,
            left,
            unread: None,
            recorded,
        })
    }

    /// Takes the inline deny off an IAM user; why not, if it is there still.
    ///
    /// # Errors
    /// [`Stopped::Journal`].
    pub(super) async fn let_user_go(
        &mut self,
        incident: &Incident,
    ) -> Result<Option<String>, Stopped> {
        if !incident.is_of_iam_user() {
            return Ok(None);
        }
        let Some(user) = UserInAccount::of(incident, self.roles) else {
            return Ok(Some("nobody remembers which IAM user it is".to_owned()));
        };
        let whose = Whose::Account(&user);
        let (_, stuck) = self
            .walk(Direction::Reopen, whose, &[Way::Permissions])
            .await?;
        Ok(stuck.into_iter().next().map(|(_, why)| why))
    }

    /// Switches these keys of an IAM user on again.
    ///
    /// # Errors
    /// [`Stopped::Journal`].
    pub async fn restore_keys(
        &mut self,
        user: &UserInAccount,
        keys: &[AccessKeyId],
    ) -> Result<Restored, Stopped> {
        let keys = keys.iter().map(|key| Way::AccessKey { key: key.clone() });
        let keys: Vec<Way> = keys.collect();
        let whose = Whose::Account(user);
        let (reopened, stuck) = self.walk(Direction::Reopen, whose, &keys).await?;
        Ok(Restored { reopened, stuck })
    }
}
