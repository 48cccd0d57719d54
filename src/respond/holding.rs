//! The driver's part in the management account: the deny goes into the inline policies of the permission sets that the
//! person holds there, and comes out of them at the release.
//!
//! What was there before is recorded byte for byte first. At the release it is put back so, where nobody else has written
//! since; where somebody has, or the record is on another machine, our statements alone are taken out.

use crate::cloud::{Clock as _, Cloud, Read};
use crate::evict;
use crate::facts::Instance;
use crate::ids::*;
use crate::incident::Incident;
use crate::journal::{Event, Store};
use crate::plan::StepName;
use crate::plan::holding::{denies, merged, without};
use crate::respond::evicting::not_done;
use crate::respond::{Response, Stopped, whole_second};
use crate::survey::{self, SurveyError};

/// A permission set whose inline policy is not as it should be, and why.
pub type NotHeld = (PermissionSetArn, String);

/// The organization's Identity Center and its management account.
async fn ground(read: &impl Read) -> Result<(Instance, AccountId), SurveyError> {
    let organization = survey::organization(read).await?;
    let instance = survey::instance(read, &organization).await?;
    Ok((instance, organization.management))
}

impl<C: Cloud, S: Store> Response<'_, C, S> {
    /// Writes the deny into each permission set's inline policy and provisions it to the management account.
    ///
    /// # Errors
    /// [`Stopped`], when something could not be recorded; a set that cannot be written keeps none of the others free.
    pub async fn hold(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
        instance: &Instance,
        management: &AccountId,
        sets: impl IntoIterator<Item = PermissionSetArn>,
    ) -> Result<Vec<NotHeld>, Stopped> {
        let read = self.cloud.read();
        let step = StepName::RecordEviction;
        // Before the first is written: whoever releases from another machine must know where to look.
        let sets: Vec<PermissionSetArn> = sets.into_iter().collect();
        let apply = |incident: &mut Incident| {
            incident.held = None;
            incident.held_by.extend(sets.iter().cloned());
        };
        let mut not_held = Vec::new();
        if !self.remember(incident, policy, step, apply).await? {
            let why = "that it is to be written could not be noted on the policy";
            for set in &sets {
                self.not_held(set, why.to_owned(), &mut not_held)?;
            }
            return Ok(not_held);
        }
        for set in incident.held_by.clone() {
            let deny = match incident.deny() {
                Ok(deny) => deny,
                Err(nothing) => {
                    self.not_held(&set, nothing.to_string(), &mut not_held)?;
                    continue;
                }
            };
            let current = match read.inline_policy(instance, &set).await {
                Ok(current) => current,
                Err(trouble) => {
                    self.not_held(&set, trouble.to_string(), &mut not_held)?;
                    continue;
                }
            };
            let already = denies(current.as_deref(), &deny);
            // What an earlier run has written there is not what it should be: it is written anew.
            let others = match &current {
                Some(current) => without(current, &incident.id),
                None => Ok(None),
            };
            let content = match others.and_then(|others| merged(others.as_deref(), &deny)) {
                _ if already => current.clone(),
                Ok(content) => Some(content),
                Err(error) => {
                    self.not_held(&set, error.to_string(), &mut not_held)?;
                    continue;
                }
            };
            let why = self
                .write_inline(instance, management, &set, (current, content), true)
                .await?;
            let why = match why {
                Some(why) => Some(why),
                // What AWS has is read again: the proof that can be had without the person's own session.
                None => match read.inline_policy(instance, &set).await {
                    Ok(there) if denies(there.as_deref(), &deny) => None,
                    Ok(_) => Some("somebody has written its inline policy meanwhile".to_owned()),
                    Err(trouble) => Some(trouble.to_string()),
                },
            };
            match why {
                None => self.record(Event::Held {
                    permission_set: set,
                    denies: true,
                    found: already,
                })?,
                Some(why) => self.not_held(&set, why, &mut not_held)?,
            }
        }
        if not_held.is_empty() && !incident.held_by.is_empty() {
            let now = whole_second(self.cloud.clock().now());
            self.remember(incident, policy, step, |it| it.held = Some(now))
                .await?;
        }
        Ok(not_held)
    }

    /// Writes the deny anew where it is in inline policies, after it was narrowed.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub(super) async fn narrow_holds(
        &mut self,
        incident: &mut Incident,
        policy: &PolicyId,
    ) -> Result<Vec<NotHeld>, Stopped> {
        if incident.held_by.is_empty() {
            return Ok(Vec::new());
        }
        match ground(self.cloud.read()).await {
            Ok((instance, management)) => {
                self.hold(incident, policy, &instance, &management, [])
                    .await
            }
            Err(error) => {
                let mut not_held = Vec::new();
                for set in &incident.held_by {
                    self.not_held(set, error.to_string(), &mut not_held)?;
                }
                Ok(not_held)
            }
        }
    }

    /// Takes the deny out of the inline policies again.
    ///
    /// # Errors
    /// [`Stopped`], when something could not be recorded.
    pub(super) async fn let_go(&mut self, incident: &Incident) -> Result<Vec<NotHeld>, Stopped> {
        let read = self.cloud.read();
        let mut not_held = Vec::new();
        if incident.held_by.is_empty() {
            return Ok(not_held);
        }
        let (instance, management) = match ground(read).await {
            Ok(ground) => ground,
            Err(error) => {
                for set in &incident.held_by {
                    self.not_held(set, error.to_string(), &mut not_held)?;
                }
                return Ok(not_held);
            }
        };
        let (instance, management) = (&instance, &management);
        for set in &incident.held_by {
            let current = match read.inline_policy(instance, set).await {
                Ok(current) => current,
                Err(trouble) => {
                    self.not_held(set, trouble.to_string(), &mut not_held)?;
                    continue;
                }
            };
            let recorded = self.journal.state().held.get(set).cloned();
            let content = match (recorded, &current) {
                (Some(hold), _) if hold.written == current => Ok(hold.before),
                (_, None) => Ok(None),
                (_, Some(current)) => without(current, &incident.id),
            };
            let content = match content {
                Ok(content) => content,
                Err(error) => {
                    self.not_held(set, error.to_string(), &mut not_held)?;
                    continue;
                }
            };
            let found = content == current;
            let why = self
                .write_inline(instance, management, set, (current, content), false)
                .await?;
            match why {
                None => self.record(Event::Held {
                    permission_set: set.clone(),
                    denies: false,
                    found,
                })?,
                Some(why) => self.not_held(set, why, &mut not_held)?,
            }
        }
        Ok(not_held)
    }

    /// Writes, if there is anything to write, and provisions in any case: an earlier run may have stopped between the two.
    /// Where there is nothing to provision to, AWS refuses to.
    /// Why it is not so, if it is not.
    async fn write_inline(
        &mut self,
        instance: &Instance,
        management: &AccountId,
        set: &PermissionSetArn,
        (from, to): (Option<String>, Option<String>),
        denies: bool,
    ) -> Result<Option<String>, Stopped> {
        let (read, change, clock) = (self.cloud.read(), self.cloud.change(), self.cloud.clock());
        let same = from == to;
        self.record(Event::Holding {
            permission_set: set.clone(),
            from,
            to: to.clone(),
            denies,
        })?;
        if !same {
            let to = to.as_deref();
            let written = evict::write_inline_policy(read, change, clock, instance, set, to).await;
            if let Some(why) = not_done(&written) {
                return Ok(Some(why));
            }
        }
        // Nobody has it there: there is no role, and whoever is given it gets it as it is then. A request that an earlier
        // run left under way may end meanwhile, so it is asked again before it counts as a failure.
        let is_there = async || {
            let assigned = read.assigned(instance, management, set).await;
            assigned.map_or(true, |assigned| !assigned.is_empty())
        };
        if !is_there().await {
            return Ok(None);
        }
        let provisioned = evict::provision(read, change, clock, instance, set, management).await;
        match not_done(&provisioned) {
            // What is not provisioned to an account has no role there.
            Some(why) if why.contains("not provisioned") => Ok(None),
            Some(why) if is_there().await => Ok(Some(why)),
            Some(_) | None => Ok(None),
        }
    }

    fn not_held(
        &mut self,
        set: &PermissionSetArn,
        why: String,
        not_held: &mut Vec<NotHeld>,
    ) -> Result<(), Stopped> {
        not_held.push((set.clone(), why.clone()));
        self.record(Event::NotHeld {
            permission_set: set.clone(),
            why,
        })
    }
}
