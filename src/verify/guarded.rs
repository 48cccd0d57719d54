//! Whether a guardrail refuses what it must, asked by the same rounds as whether a deny does.
//!
//! Arrives: the guardrail's policy, and the accounts where it must refuse and where it must not. Leaves: a [`Proof`] of
//! either. The suspect is here a session that asks for the password of a user whom no account has; the control one of the
//! same role that asks what no guardrail refuses. What AWS would answer a call that makes something is not asked: that
//! `iam:CreateUser` stays allowed is for the evaluator to show.

use std::collections::BTreeSet;
use std::convert::Infallible;

use jiff::Timestamp;

use crate::cloud::{Ask, AskGuarded, Canaries, Clock, MintError, Probed};
use crate::ids::*;
use crate::verify::rounds::{Told, prove};
use crate::verify::{Aim, Proof, Question};

/// What is to be shown of a guardrail.
#[derive(Debug, Clone)]
pub struct Guarded<'a> {
    /// Its policy.
    pub policy: &'a PolicyArn,
    /// The user whose password is asked for, and who is not to exist.
    pub user: &'a IamUserName,
    /// How often and how long to ask, and with which roles.
    pub verify: &'a crate::playbook::Verify,
}

impl Guarded<'_> {
    /// Asks in these accounts until it is shown, or not.
    pub async fn prove<C: AskGuarded>(
        &self,
        accounts: BTreeSet<AccountId>,
        aim: Aim,
        canaries: &C,
        clock: &impl Clock,
        mut tell: impl FnMut(Timestamp, Told<'_>),
    ) -> Proof {
        // Only a name of the rounds': no session is called so.
        let incident = IncidentId::from_bytes([0, 0, 0]);
        let asking = Asking {
            canaries,
            user: self.user,
            control: incident.control_name(),
        };
        let question = Question {
            incident,
            policies: BTreeSet::from([self.policy.clone()]),
            names: BTreeSet::from([SessionName::of_survey()]),
            sources: BTreeSet::new(),
            accounts,
            beside: BTreeSet::new(),
            roles: self.verify.canary_roles.clone(),
            // Only the control asks it, and one thing that no guardrail refuses is enough.
            probes: BTreeSet::new(),
            regions: BTreeSet::new(),
            timeout: self.verify.timeout,
            every: self.verify.every,
            in_a_row: self.verify.in_a_row,
            aim,
            shows_nothing: false,
        };
        let told = |began: Timestamp, what: Told<'_>| {
            tell(began, what);
            Ok::<(), Infallible>(())
        };
        match prove(&question, &asking, clock, told).await {
            Ok(proof) => proof,
            Err(never) => match never {},
        }
    }
}

/// The canaries of the rounds, asking about a guardrail.
struct Asking<'a, C> {
    canaries: &'a C,
    user: &'a IamUserName,
    control: SessionName,
}

/// Who asks.
enum Session<S> {
    /// What no guardrail refuses.
    Control(S),
    /// What it must.
    Suspect(S),
}

impl<C: AskGuarded> Canaries for Asking<'_, C> {
    type Session = Session<C::Session>;

    fn region(&self) -> Option<Region> {
        self.canaries.region()
    }

    async fn mint(
        &self,
        account: &AccountId,
        role: &RoleName,
        session: &SessionName,
        source_identity: Option<&SessionName>,
        asks: &[Ask],
    ) -> Result<Self::Session, MintError> {
        let name = &SessionName::of_survey();
        if source_identity.is_some() {
            return Err(MintError::NoWay(
                "a guardrail has nothing to do with source identities".to_owned(),
            ));
        }
        Ok(if *session == self.control {
            let minted = self.canaries.mint(account, role, name, None, asks);
            Session::Control(minted.await?)
        } else {
            let minted = self.canaries.mint_guarded(account, role, name, self.user);
            Session::Suspect(minted.await?)
        })
    }

    async fn probe(&self, session: &Self::Session, ask: &Ask) -> Probed {
        match session {
            Session::Control(session) => self.canaries.probe(session, ask).await,
            Session::Suspect(session) => self.canaries.probe_guarded(session, self.user).await,
        }
    }
}
