//! What AWS remembers of incidents, joined: those with a policy of their own and those in the armed policy.

use futures_util::FutureExt as _;

use crate::cloud::{Read, Trouble};
use crate::facts::{ArmedPolicy, Known, PolicySummary};
use crate::ids::TargetId;
use crate::incident::Incident;
use crate::incident::armed::{Ledger, Standing};
use crate::policy;
use crate::policy::document::Document;
use crate::survey;

/// An incident, as AWS remembers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// The incident.
    pub incident: Incident,
    /// The policy that it is in.
    pub policy: PolicySummary,
    /// Set for an incident in the armed policy.
    pub entered: Option<Entered>,
}

/// How an incident stands in the armed policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Entered {
    /// Whether it is open, or being released.
    pub standing: Standing,
    /// Whether the document denies all of it.
    pub denied: bool,
    /// Whether anything of it is in the document.
    pub in_document: bool,
    /// Whether its tags are there.
    pub tagged: bool,
    /// The policy as it stands.
    pub armed: ArmedPolicy,
}

impl Remembered {
    /// Where its deny is attached now: nowhere, when the armed policy does not hold it.
    ///
    /// # Errors
    /// [`Trouble`], when AWS did not answer.
    pub async fn attached_to(&self, read: &impl Read) -> Result<Vec<TargetId>, Trouble> {
        match &self.entered {
            None => read.targets(&self.policy.id).await,
            Some(entered) if entered.denied => Ok(entered.armed.targets.clone()),
            Some(_) => Ok(Vec::new()),
        }
    }

    /// Whether taking it away could let anybody in. Whatever is open in the armed policy counts, in its document or not:
    /// whoever writes there next puts it back.
    ///
    /// # Errors
    /// [`Trouble`], when AWS did not answer.
    pub async fn keeps_somebody_out(&self, read: &impl Read) -> Result<bool, Trouble> {
        match &self.entered {
            // Inline policies in the management account refuse them whatever the SCP is attached to.
            _ if !self.incident.held_by.is_empty() => Ok(true),
            None => Ok(!read.targets(&self.policy.id).await?.is_empty()),
            Some(entered) => Ok(entered.standing == Standing::Open || entered.in_document),
        }
    }

    /// Whether it is attached where it belongs: to something else than its target is not attached, because what was
    /// proven was proven with it there.
    pub fn is_in_force(&self, attached_to: &[TargetId]) -> bool {
        match &self.incident.target {
            Some(target) => attached_to.contains(target),
            None => !attached_to.is_empty(),
        }
    }
}

/// Every incident that AWS remembers, oldest first.
///
/// # Errors
/// [`Trouble`], when AWS did not answer.
pub async fn remembered(read: &impl Read) -> Result<Vec<Remembered>, Trouble> {
    Ok(recalled(read).await?.0)
}

/// Every incident that AWS remembers, oldest first, and the armed policy. Where that is unknown, more incidents may be in
/// it than these.
///
/// # Errors
/// [`Trouble`], when AWS did not answer.
pub async fn recalled(
    read: &impl Read,
) -> Result<(Vec<Remembered>, Known<Option<ArmedPolicy>>), Trouble> {
    let memory = survey::memory(read).boxed_local().await?;
    let mut all = Vec::new();
    for policy in memory.own {
        let Some(mut incident) = Incident::recall(&policy) else {
            continue;
        };
        if incident.session_names.is_empty() && incident.exact.is_none() {
            // The tags were lost; the document still says whom it denies.
            let described = read.policy(&policy.summary.id).await?;
            let document = described.and_then(|(_, content)| Document::parse(&content).ok());
            let names = document.iter().flat_map(policy::session_names_in);
            incident.session_names = names.collect();
            if let Some(document) = &document
                && !incident.is_of_iam_user()
            {
                incident.exact = policy::exact_in(document);
                if incident.exact.is_some() {
                    incident.chained = policy::session_user_ids_in(document);
                }
                (incident.iam_user, incident.iam_account) = policy::iam_user_in(document);
            }
        }
        all.push(Remembered {
            incident,
            policy: policy.summary,
            entered: None,
        });
    }
    let mut unread = None;
    if let Known::Known(Some(armed)) = &memory.armed {
        let ledger = Ledger::read(armed).map_err(|error| error.to_string());
        unread = ledger.as_ref().err().cloned();
        let entries = ledger.iter().flat_map(Ledger::entries);
        all.extend(entries.map(|entry| Remembered {
            incident: entry.incident.clone(),
            policy: armed.summary.clone(),
            entered: Some(Entered {
                standing: entry.standing,
                denied: entry.is_denied(),
                in_document: entry.is_in_document(),
                tagged: entry.tagged,
                armed: armed.clone(),
            }),
        }));
    }
    all.sort_by_key(|known| known.incident.opened);
    let armed = match unread {
        Some(why) => Known::Unknown(why),
        None => memory.armed,
    };
    Ok((all, armed))
}
