//! The playbook's steps, one after the other, on the range.

use jiff::{SignedDuration, Timestamp};

use super::grade::{Split, sightings};
use super::{DELIVERED, DrillError, PROPAGATION, Script, TRACED};
use crate::aws::Aws;
use crate::cloud::{Clock as _, Cloud as _, Read as _};
use crate::evict::account::UserInAccount;
use crate::facts::{Instance, Known, PolicySummary, TeamRequest, Way, Ways};
use crate::guardrail::{Giving, POLICY, Raising, Terms};
use crate::ids::*;
use crate::incident::Incident;
use crate::journal::{Event, Journal};
use crate::plan::approval::Approved;
use crate::plan::eviction::{Eviction, NO_WAY_LEFT, each};
use crate::playbook::{Playbook, Step};
use crate::range::Range;
use crate::range::build::kinds::Kind;
use crate::range::build::{extras, kinds};
use crate::release;
use crate::report::human;
use crate::report::trails::{ReadReport, Stands, TraceReport};
use crate::respond::{self, NotPrepared, Response, Stopped, evicting, iam_users, memory};
use crate::survey;
use crate::trace::{self, Places};
use crate::verify::{Aim, Overall};

/// So long people take to close by hand what quell cannot.
const BY_HAND: SignedDuration = SignedDuration::from_hours(1);

/// An incident that is under way.
pub(super) struct Play<'a> {
    pub(super) script: Script,
    pub(super) range: &'a Range,
    pub(super) world: &'a Aws<Range>,
    pub(super) playbook: &'a Playbook,
    pub(super) response: Response<'a, Aws<Range>, Vec<String>>,
    pub(super) approved: &'a Approved,
    /// The ARN of whoever runs quell.
    pub(super) operator: &'a str,
    pub(super) incident: Incident,
    /// The policy, and since when it is accepted.
    pub(super) accepted: Option<(PolicySummary, Timestamp)>,
    pub(super) split: Split,
    /// So many of the attacker's calls got through before anybody did anything.
    pub(super) got_through: usize,
    /// What is wrong already.
    pub(super) faults: Vec<String>,
    pub(super) tell: &'a dyn Fn(&str),
}

impl Play<'_> {
    /// Takes one step. After a fault nothing more is done: the deny stays.
    pub(super) async fn take(&mut self, step: Step) -> Result<(), DrillError> {
        if !self.faults.is_empty() {
            return Ok(());
        }
        if step == Step::Contain {
            return self.contain().await;
        }
        let Some((policy, _)) = self.accepted.clone() else {
            return Err(DrillError::NothingDenied);
        };
        match step {
            Step::Contain => Ok(()),
            Step::Verify => self.verify(&policy).await,
            Step::Guardrail => self.guard().await,
            Step::Hold => self.hold(&policy).await,
            Step::RevokeTeam => self.revoke_team().await,
            Step::Evict => self.evict(&policy).await,
            Step::Trace => self.trace(&policy).await,
            Step::Wait => self.drain(&policy).await,
            Step::Release => self.release(&policy).await,
        }
    }

    fn tell(&self, line: &str) {
        (self.tell)(line);
    }

    async fn contain(&mut self) -> Result<(), DrillError> {
        let accepted = self.response.contain(self.approved, self.operator).await?;
        self.accepted = Some((accepted.policy, accepted.at));
        Ok(())
    }

    async fn verify(&mut self, policy: &PolicySummary) -> Result<(), DrillError> {
        let question = respond::question(&self.incident, &policy.arn, self.playbook, Aim::Refused);
        let proved = self
            .response
            .verify(&mut self.incident, &policy.id, &question)
            .await?;
        let proof = proved.proof;
        if proof.overall != Overall::Shown {
            let fault = "The deny was never proven, so it was left in place.";
            self.faults.push(fault.to_owned());
            return Ok(());
        }
        self.split.proven = Some(proof.ended);
        let slipped = sightings(self.range, Split::default()).allowed_before;
        self.tell(&format!(
            "  Attached is not enforced: {} of the attacker's calls got through before the proof. None may from now on{}.",
            slipped.saturating_sub(self.got_through),
            if self.is_partial() {
                ", in\n  the sessions that the deny is about; the steps that follow are against the others"
            } else {
                ""
            }
        ));
        Ok(())
    }

    /// Whether the attacker has sessions that the proof is not about.
    fn is_partial(&self) -> bool {
        let Script {
            chains,
            management,
            persists,
            of,
            ..
        } = self.script;
        let vouched = matches!(of, Some(Kind::IamUser | Kind::JumpUser));
        chains || management || persists || vouched
    }

    /// Nobody gets a console password while the incident is open.
    async fn guard(&mut self) -> Result<(), DrillError> {
        self.tell("\nGuardrail: whoever makes users in order to stay gives them passwords. Nobody may, while this is open.");
        let read = self.world.read();
        let ground = survey::ground(read, None).await;
        let ground = ground.map_err(NotPrepared::from)?;
        let there = survey::named(read, POLICY).await.map_err(Stopped::Read)?;
        let accounts = read.active_accounts().await.map_err(Stopped::Read)?;
        let wish = self.playbook.guardrail.clone().unwrap_or_default();
        let terms = Terms {
            partition: Partition::parse("aws")?,
            jump_accounts: wish.jump_accounts,
            except: wish.except,
            access_keys: wish.access_keys,
        };
        let raising = Raising::for_incident(
            &ground,
            there.as_ref(),
            &Known::Known(accounts),
            &terms,
            &self.incident.id,
        )?;
        let mut journal = Journal::after(&[], Vec::new())?;
        let silent = |_: &Event| {};
        let mut response = Response::new(self.world, &mut journal, &silent);
        response.guard(&raising, self.operator).await?;
        for line in raising.says() {
            self.tell(&format!("  done: {line}"));
        }
        self.split.guarded = Some(self.settled().await);
        Ok(())
    }

    /// When every account has what was changed just now.
    async fn settled(&self) -> Timestamp {
        let clock = self.world.clock();
        clock
            .sleep(PROPAGATION + SignedDuration::from_secs(1))
            .await;
        clock.now()
    }

    /// Denies the person in the management account, by the permission sets that they have there.
    async fn hold(&mut self, policy: &PolicySummary) -> Result<(), DrillError> {
        let (instance, management, _) = self.ways().await?;
        let sets = self.incident.in_management.clone();
        self.tell(&format!(
            "\nHold: no SCP applies in the management account {management}. The deny goes into the inline policies of the {} permission sets that they have there.",
            sets.len()
        ));
        let not_held = self
            .response
            .hold(&mut self.incident, &policy.id, &instance, &management, sets)
            .await?;
        for (set, why) in not_held {
            self.faults.push(format!("{set} could not be held: {why}."));
        }
        self.split.held = Some(self.settled().await);
        Ok(())
    }

    /// Identity Center, the management account, and what the person has.
    async fn ways(&self) -> Result<(Instance, AccountId, Option<Ways>), DrillError> {
        let (read, clock) = (self.world.read(), self.world.clock());
        let organization = survey::organization(read).await;
        let organization = organization.map_err(NotPrepared::from)?;
        let user = evicting::user_of(read, &self.incident).await;
        let (instance, user) = user.map_err(NotPrepared::from)?;
        let ways = match &user {
            Some(user) => survey::ways(read, clock, &instance, user).await,
            None => Ok(None),
        };
        let ways = ways.map_err(Stopped::Read)?;
        Ok((instance, organization.management, ways))
    }

    /// Revokes what TEAM would give them.
    async fn revoke_team(&mut self) -> Result<(), DrillError> {
        let (instance, _, ways) = self.ways().await?;
        let read = self.world.read();
        let tables = read.team_tables(&instance).await.map_err(Stopped::Read)?;
        let (Some(ways), Some(table)) = (ways, tables.first()) else {
            self.tell("\nTEAM is not here, or does not know them.");
            return Ok(());
        };
        let requests = evicting::team_requests(read, &instance, table, &ways).await;
        let requests = requests.map_err(Stopped::Read)?;
        let open: Vec<TeamRequest> = requests.into_iter().filter(TeamRequest::may_give).collect();
        self.tell(&format!(
            "\nTEAM: {} open requests of theirs would give them access again, in the middle of the wait.",
            open.len()
        ));
        self.incident.team_table = Some(table.clone());
        self.response.revoke_team(&instance, table, &open).await?;
        Ok(())
    }

    /// Closes what gives them sessions: quell does, of a person and of an IAM user; somebody else, of everybody else, and
    /// answers for it.
    async fn evict(&mut self, policy: &PolicySummary) -> Result<(), DrillError> {
        let roles = &self.playbook.verify.canary_roles;
        if let Some(user) = UserInAccount::of(&self.incident, roles) {
            return self.evict_iam_user(policy, &user).await;
        }
        if !self.incident.needs_eviction() {
            self.tell("\nNothing is evicted: sessions that the role gives out from now on are let through.");
            return Ok(());
        }
        if self.incident.is_of_person() {
            return self.evict_person(policy).await;
        }
        self.world.clock().sleep(BY_HAND).await;
        self.tell(
            "\nAn hour later somebody has closed by hand what gives them sessions (`quell evict` says what), and answers for it.",
        );
        self.range.with(kinds::recover);
        let item = ItemId::parse(NO_WAY_LEFT)?;
        let (incident, policy) = (&mut self.incident, &policy.id);
        let attested = self
            .response
            .attest(incident, policy, &item, "the drill", None);
        attested.await?;
        self.response.evicted_by_word(incident, policy).await?;
        Ok(())
    }

    async fn evict_iam_user(
        &mut self,
        policy: &PolicySummary,
        user: &UserInAccount,
    ) -> Result<(), DrillError> {
        self.tell(
            "\nEvict: the user's keys, password, and an inline deny for whomever they have vouched for.",
        );
        let found = user.ways(self.world.read()).await.map_err(Stopped::Read)?;
        if let Some((found, open)) = found {
            self.response
                .evict_iam_user(&mut self.incident, &policy.id, user, &found, &open)
                .await?;
        }
        self.split.vouched = Some(self.world.clock().now());
        Ok(())
    }

    async fn evict_person(&mut self, policy: &PolicySummary) -> Result<(), DrillError> {
        let (instance, management, ways) = self.ways().await?;
        let Some(ways) = ways else {
            self.tell("\nThe directory has no such user, so nothing gives them new sessions.");
            let (incident, policy) = (&mut self.incident, &policy.id);
            self.response.evicted_by_word(incident, policy).await?;
            return Ok(());
        };
        let own = each(&ways);
        let assigned = own
            .iter()
            .filter(|way| matches!(way, Way::Assignment { .. }));
        self.tell(
            "\nA lid on a boiling pot: the attacker keeps a portal session and gets new sessions under the deny. They are",
        );
        self.tell("refused, and would come alive with the release.");
        self.tell(&format!(
            "Evict: {} assignments of their own, and {} groups, which keep what they have.",
            assigned.count(),
            ways.memberships.len()
        ));
        let last = survey::last_ones(self.world.read(), &instance, &ways)
            .await
            .map_err(Stopped::Read)?;
        let eviction = Eviction::of(ways, &last, &management);
        self.response.back_up(&eviction)?;
        self.response
            .evict(&mut self.incident, &policy.id, &instance, &eviction, false)
            .await?;
        self.tell(
            "  By hand, meanwhile: portal sessions, the identity provider, the password. `quell evict` has the checklist.",
        );
        Ok(())
    }

    /// Finds in CloudTrail whom the attacker became, and denies them; from when on that must hold.
    async fn trace(&mut self, policy: &PolicySummary) -> Result<(), DrillError> {
        if !self.script.chains {
            return Ok(());
        }
        let (read, clock) = (self.world.read(), self.world.clock());
        clock.sleep(DELIVERED).await;
        self.tell("\nTrace: the proof is of the names that we know. CloudTrail's records, which come some minutes late, say whom else");
        self.tell("they became.");
        let organization = survey::organization(read).await;
        let organization = organization.map_err(NotPrepared::from)?;
        let caller = read.caller().await.map_err(Stopped::Read)?;
        let now = clock.now();
        let places = Places {
            own: caller.account,
            regions: trace::usual_regions("aws", &[]),
            roles: self.playbook.verify.canary_roles.clone(),
            session: self.incident.id.control_name(),
            from: self.incident.opened.unwrap_or(now) - TRACED,
        };
        let management = &organization.management;
        let walked = trace::walk(read, &places, &self.incident, management).await;
        let (walk, gathered) = walked.map_err(NotPrepared::from)?;
        let deny = trace::deny_of(read, &policy.id, &self.incident.id).await;
        let stands = Stands {
            deny: deny.map_err(Stopped::Read)?,
            policy: policy.arn.clone(),
            under: None,
        };
        let told = ReadReport::of(&gathered, &places, clock.now());
        let names = trace::as_names(&trace::names_of(&self.incident));
        let found = (&walk, &gathered);
        let practice = self.world.practice();
        let report = TraceReport::of(
            &self.incident,
            &stands,
            management,
            names,
            found,
            told,
            practice,
        );
        let chained = report.sessions.iter();
        for session in chained.filter(|session| session.by.is_some()) {
            self.tell(&format!(
                "  {} became {}: {}",
                session.by.as_deref().unwrap_or_default(),
                session.arn,
                session.fate.says()
            ));
        }
        self.response
            .deny_chained(&mut self.incident, &policy.id, &report.offered)
            .await?;
        self.split.chained = Some(self.settled().await);
        Ok(())
    }

    /// Shows the gate closed, and waits until it opens.
    async fn drain(&mut self, policy: &PolicySummary) -> Result<(), DrillError> {
        let clock = self.world.clock();
        let (now, roles) = (clock.now(), &self.playbook.verify.canary_roles);
        let incident = &self.incident;
        let meanwhile = iam_users::meanwhile(self.world, incident, &policy.id, roles).await;
        if let Err(gate) = release::gate(incident, &meanwhile, now) {
            self.tell(&format!("\nRelease now? {}.", human::gate(&gate)));
        }
        let Some(until) = incident.release_not_before() else {
            return Ok(());
        };
        if self.script.persists {
            self.tell(&format!(
                "  By hand, meanwhile: {}, whom the attacker had made, is deleted.",
                extras::LEFT_BEHIND
            ));
            self.range.with(extras::clean_up);
        }
        let wait = until.duration_since(now);
        self.tell(&format!("  Waiting {} for it…", human::duration(wait)));
        let refused = sightings(self.range, Split::default()).refused;
        clock.sleep(wait).await;
        let after = sightings(self.range, Split::default());
        self.tell(&format!(
            "  Meanwhile the attacker was refused {} times, then their sessions ended.",
            after.refused.saturating_sub(refused)
        ));
        Ok(())
    }

    /// Takes the deny away, from what AWS remembers alone, and looks whether the person is let in again.
    async fn release(&mut self, policy: &PolicySummary) -> Result<(), DrillError> {
        let (read, clock) = (self.world.read(), self.world.clock());
        let remembered = memory::remembered(read).await.map_err(Stopped::Read)?;
        let recalled = remembered
            .into_iter()
            .map(|known| known.incident)
            .find(|known| known.id == self.incident.id);
        let Some(incident) = recalled else {
            let fault =
                "AWS did not remember the incident, so it could not be released from there.";
            self.faults.push(fault.to_owned());
            return Ok(());
        };
        let roles = &self.playbook.verify.canary_roles;
        let meanwhile = iam_users::meanwhile(self.world, &incident, &policy.id, roles).await;
        if let Err(gate) = release::gate(&incident, &meanwhile, clock.now()) {
            let fault = format!("The gate was closed when it should have been open: {gate}.");
            self.faults.push(fault);
            return Ok(());
        }
        self.tell("\nThe gate is open. Release, from what the policy's tags say:");
        let operator = self.operator;
        let released = self
            .response
            .release(&incident, &policy.id, operator, None, false);
        released.await?;
        self.give_up_guardrail(&incident).await?;
        let question = respond::question(&incident, &policy.arn, self.playbook, Aim::Allowed);
        let proof = self.response.look(&question).await?;
        if proof.overall == Overall::Shown {
            self.tell(if incident.is_of_person() {
                "  The person can work again: the suspect's canary and the control are both allowed everywhere."
            } else {
                "  The policy is gone, and its canary and the control are both allowed everywhere."
            });
        } else {
            let fault = "After the release the canaries were not all allowed.";
            self.faults.push(fault.to_owned());
        }
        Ok(())
    }

    async fn give_up_guardrail(&mut self, incident: &Incident) -> Result<(), DrillError> {
        if !self.playbook.steps.contains(&Step::Guardrail) {
            return Ok(());
        }
        let there = survey::named(self.world.read(), POLICY).await;
        let there = there.map_err(Stopped::Read)?;
        let Some(giving) = there.and_then(|there| Giving::of(&there, &incident.id)) else {
            return Ok(());
        };
        let mut journal = Journal::after(&[], Vec::new())?;
        let silent = |_: &Event| {};
        let mut response = Response::new(self.world, &mut journal, &silent);
        if response.give_up_guardrail(&giving, self.operator).await? {
            self.tell("  the guardrail goes with the incident that had attached it");
        }
        Ok(())
    }
}
