//! The incident as AWS remembers it: name, description and tags of its policy (R10).
//!
//! Any machine with the right to read policies can list the incidents of an organization, and one with the right to
//! change them can release, without a file from the machine that contained. So everything that verifying and
//! releasing need is here. Reading is lenient on purpose: a tag that is missing, or was written by a newer quell, is
//! `None` and never keeps anybody from releasing.
//!
//! Tag values hold letters, digits, spaces and `_.:/=+-@` only, at most 256 of them (aws-facts §8); everything else,
//! and `=` itself, is written `=` and two hex digits a byte.

pub mod armed;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::facts::TaggedPolicy;
use crate::ids::*;
use crate::policy::document::Document;
use crate::policy::{self, Bounds, NothingToDeny};
use crate::principal::{Identity, exact, iam_identity};

/// The format of the tags, as `quell:format`.
const FORMAT: &str = "1";

/// What every tag of ours begins with.
const PREFIX: &str = "quell:";

/// The field of the playbook's name.
const PLAYBOOK: &str = "playbook";

/// The field of a session's name, numbered from the second on.
const SESSION_NAME: &str = "session-name";

/// The field of an IAM user's id.
const IAM_USER: &str = "iam-user";

/// The field of an IAM user's account.
const IAM_ACCOUNT: &str = "iam-account";

/// The field of whoever is denied by ids alone.
const IDENTITY: &str = "identity";

/// The field of the moment that a release must wait for.
const RELEASE_NOT_BEFORE: &str = "release-not-before";

/// The field of the moment from which on sessions are let through.
const SESSIONS_AFTER: &str = "sessions-after";

/// The field of the moment when the deny ends by itself.
const LAPSES: &str = "lapses";

/// The field of the moment when whom the principal became was denied, too.
const CHAINED_AT: &str = "chained-at";

/// What the tag of a session begins with that the principal became; a part of the session's hash follows, so that writers
/// who know of different ones never write the same tag.
const CHAINED: &str = "chained-";

/// At most so many sessions that the principal became are denied by an incident: each takes a tag of the 50.
pub const MOST_CHAINED: usize = 12;

/// The field of permission sets, numbered from the second on.
const PERMISSION_SETS: &str = "permission-sets";

/// The field of whether account access manager leads there.
const ENTITLED_IN_MANAGEMENT: &str = "entitled-in-management";

/// The field of permission sets in the management account, numbered likewise.
const IN_MANAGEMENT: &str = "in-management";

/// The field of permission sets whose inline policy denies the principal, numbered likewise.
const HELD_BY: &str = "held-by";

/// The longest text of permission sets: what is around it in a tag must fit, too.
const MOST_SETS_VALUE: usize = 220;

/// At most so many fields of permission sets.
const SET_TAGS: usize = 3;

/// The most characters of a tag's value.
const MOST_VALUE: usize = 256;

/// The field of accounts, numbered likewise.
const ACCOUNTS: &str = "accounts";

/// The field of how many more there are.
const ACCOUNTS_LEFT_OUT: &str = "accounts-left-out";

/// Account ids are written this many to a tag, and into at most [`ACCOUNT_TAGS`] of the 50 tags that a policy may have.
const ACCOUNTS_IN_A_TAG: usize = 18;

/// See [`ACCOUNTS_IN_A_TAG`].
const ACCOUNT_TAGS: usize = 20;

/// Where an incident's deny is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Home {
    /// In a policy of its own.
    Own,
    /// In the armed policy, beside others'.
    Armed,
}

/// One containment, from plan to release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// `q-7f3a9c`.
    pub id: IncidentId,
    /// Where its deny is.
    pub home: Home,
    /// Whom it denies, as the directory spells them (cut short when longer than a tag).
    pub principal: Option<Username>,
    /// The immutable id of the person.
    pub user_id: Option<UserId>,
    /// The immutable id, of an IAM user.
    pub iam_user: Option<IamUserId>,
    /// The account that they are in, of an IAM user. Incidents that have neither are Identity Center users', as all were
    /// before there were others.
    pub iam_account: Option<AccountId>,
    /// Whoever is denied by ids alone: a role's session, a role, a root user, a federated user.
    pub exact: Option<Identity>,
    /// The names that a session of theirs can have.
    pub session_names: BTreeSet<SessionName>,
    /// Who contained, as an ARN.
    pub operator: Option<String>,
    /// When the plan was made.
    pub opened: Option<Timestamp>,
    /// Where the deny belongs.
    pub target: Option<TargetId>,
    /// The member accounts that the principal could enter, as far as they fit.
    pub accounts: BTreeSet<AccountId>,
    /// How many more accounts they could enter that did not fit: a proof from the tags alone is not one of everywhere.
    pub accounts_left_out: usize,
    /// Whether the principal could enter the management account, which the deny does not cover.
    pub reaches_management: bool,
    /// The permission sets that they held there.
    pub in_management: BTreeSet<PermissionSetArn>,
    /// Whether account access manager gave them a role there, which no permission set's policy can hold.
    pub entitled_in_management: bool,
    /// The longest session that could exist.
    pub longest_session: Option<SignedDuration>,
    /// Added to it before a release.
    pub margin: Option<SignedDuration>,
    /// The playbook that it is run by.
    pub playbook: Option<PlaybookName>,
    /// When the deny was proven; set once, after containing.
    pub proven: Option<Timestamp>,
    /// The permission sets that the principal held, as far as they fit: how long their sessions live is asked again before
    /// a release.
    pub permission_sets: BTreeSet<PermissionSetArn>,
    /// How many more did not fit.
    pub permission_sets_left_out: usize,
    /// When the last way to new sessions was closed; unset again when one is found open later.
    pub evicted: Option<Timestamp>,
    /// What people have said that they did, by the checklist's ids.
    pub attested: BTreeSet<ItemId>,
    /// TEAM's table of requests, where the organization has TEAM and we can read it.
    pub team_table: Option<String>,
    /// Permission sets whose inline policy denies the principal, for the management account's sake (R16).
    pub held_by: BTreeSet<PermissionSetArn>,
    /// When all of them did.
    pub held: Option<Timestamp>,
    /// Set when the person may work again: sessions issued from then on are let through (R20).
    pub sessions_after: Option<Timestamp>,
    /// When the deny ends by itself, of one that does (R20b).
    pub lapses: Option<Timestamp>,
    /// Sessions under other names that the principal became by assuming roles, and that the deny names one by one.
    pub chained: BTreeSet<SessionUserId>,
    /// When all of them were read back in the document: until then others can have been made with them. `None` while that
    /// is still to be shown.
    pub chained_at: Option<Timestamp>,
}

impl Incident {
    /// The moment before which a release is refused: counted from the later of proof and eviction, for the longest session
    /// that could exist, and the margin (R18). `None` until both: sessions that are minted under the deny come alive when
    /// it goes.
    pub fn release_not_before(&self) -> Option<Timestamp> {
        let wait = self.longest_session?.checked_add(self.margin?)?;
        self.wait_began()?.checked_add(wait).ok()
    }

    /// When the wait for the release began: when the clock did, or when the last session was denied that the principal
    /// became under another name, because until then such a one could make others. `None` while one may not be denied yet.
    pub fn wait_began(&self) -> Option<Timestamp> {
        let began = self.clock_began()?;
        if self.is_chaining_unfinished() {
            return None;
        }
        Some(self.chained_at.map_or(began, |at| at.max(began)))
    }

    /// Whether sessions that the principal became are to be denied, and nobody has read them back in the document yet.
    pub fn is_chaining_unfinished(&self) -> bool {
        !self.chained.is_empty() && self.chained_at.is_none()
    }

    /// Since when every session that has one of the principal's names is refused, and no new one can be had: proven and
    /// evicted.
    pub fn clock_began(&self) -> Option<Timestamp> {
        let proven = self.proven?;
        match &self.exact {
            // What the role gives out until then is refused, and lives on.
            Some(Identity::RoleBefore { before, .. }) => Some(proven.max(*before)),
            Some(_) | None => Some(proven.max(self.evicted?)),
        }
    }

    /// An incident of which nothing is known but its id.
    pub fn bare(id: IncidentId, home: Home) -> Self {
        Self::of_fields(id, home, |_| None)
    }

    /// Whether it denies an IAM user.
    pub fn is_of_iam_user(&self) -> bool {
        self.iam_user.is_some() || self.iam_account.is_some()
    }

    /// Whether it denies a person of the directory.
    pub fn is_of_person(&self) -> bool {
        !self.is_of_iam_user() && self.exact.is_none()
    }

    /// The name of the IAM user that it denies.
    pub fn iam_name(&self) -> Option<IamUserName> {
        let (_, name) = self.principal.as_ref()?.as_str().rsplit_once(":user/")?;
        IamUserName::parse(name)
            .ok()
            .filter(|_| self.is_of_iam_user())
    }

    /// Whether they can enter the management account and nothing refuses them there (R16).
    pub fn is_free_in_management(&self) -> bool {
        let all_held = self.held.is_some() && self.in_management.is_subset(&self.held_by);
        self.reaches_management && (self.entitled_in_management || !all_held)
    }

    /// Whether somebody has noted this item as done.
    pub fn attests(&self, item: &str) -> bool {
        self.attested.iter().any(|done| done.as_str() == item)
    }

    /// The deny, as it is meant to be now. Whom the principal became is never let in again: fresh sessions of those are no
    /// fresh sessions of the person's.
    ///
    /// # Errors
    /// [`NothingToDeny`] when no key can name the principal.
    pub fn deny(&self) -> Result<Document, NothingToDeny> {
        let bounds = Bounds {
            issued_before: self.sessions_after,
            until: self.lapses,
        };
        if self.sessions_after.is_none() || self.chained.is_empty() {
            return self.witnessed(&self.identities(), &bounds);
        }
        let mut document = self.witnessed(&[self.identity()], &bounds)?;
        let whenever = Bounds {
            issued_before: None,
            ..bounds
        };
        let became: Vec<Identity> = self
            .chained
            .iter()
            .filter_map(Identity::of_session)
            .collect();
        let became = policy::draft_within(&self.id, &became, &whenever)?;
        document.statements.extend(became.statements);
        Ok(document)
    }

    /// The deny as if nothing bounded it: of whom it is.
    ///
    /// # Errors
    /// As [`Self::deny`].
    pub fn unbounded(&self) -> Result<Document, NothingToDeny> {
        self.witnessed(&self.identities(), &Bounds::default())
    }

    /// The deny of these, with a witness where a canary can play none of them.
    fn witnessed(
        &self,
        identities: &[Identity],
        bounds: &Bounds,
    ) -> Result<Document, NothingToDeny> {
        let mut document = policy::draft_within(&self.id, identities, bounds)?;
        if self.has_witness() {
            let witness = policy::witness(&self.id, bounds);
            document.statements.push(witness);
        }
        Ok(document)
    }

    /// Whether a canary plays a witness, because it can play nobody whom the incident denies.
    pub fn has_witness(&self) -> bool {
        self.exact.is_some()
    }

    /// Whether somebody has to close the ways to new sessions before a release. Of a role, sessions are refused that were
    /// given out before a moment, and later ones are let through all along.
    pub fn needs_eviction(&self) -> bool {
        !matches!(self.exact, Some(Identity::RoleBefore { .. }))
    }

    /// The same, denying of whom the principal became only those whom a document has.
    pub fn as_far_as(&self, there: &BTreeSet<SessionUserId>) -> Self {
        Self {
            chained: self.chained.intersection(there).cloned().collect(),
            ..self.clone()
        }
    }

    /// The principal, and whom they became.
    fn identities(&self) -> Vec<Identity> {
        let chained = self.chained.iter().filter_map(Identity::of_session);
        std::iter::once(self.identity()).chain(chained).collect()
    }

    /// The policy's description, for people who meet it in the console.
    pub fn description(&self) -> String {
        let whom = self
            .principal
            .as_ref()
            .map_or("an identity", Username::as_str);
        let text = format!(
            "Incident {}: denies {whom} everything. Made by quell; take it away with `quell release {}`.",
            self.id, self.id
        );
        // AWS allows 512 characters; a username has at most 128.
        text.chars().filter(|c| !c.is_control()).take(512).collect()
    }

    /// The name of the policy that it is in.
    pub fn policy_name(&self) -> String {
        match self.home {
            Home::Own => self.id.policy_name(),
            Home::Armed => ARMED_POLICY.to_owned(),
        }
    }

    /// Its tags on the policy that it is in.
    pub fn tags(&self) -> BTreeMap<String, String> {
        if self.home == Home::Armed {
            // Whoever enters an incident has asked whether there is room.
            return armed::tags(self, armed::Standing::Open).unwrap_or_default();
        }
        let own = [
            ("format".to_owned(), FORMAT.to_owned()),
            ("incident".to_owned(), self.id.to_string()),
        ];
        // Whom they became is named by nothing else, and accounts that do not fit are counted.
        let room = ACCOUNT_TAGS.saturating_sub(self.chained.len());
        own.into_iter()
            .chain(self.fields(room))
            .map(|(key, value)| (format!("{PREFIX}{key}"), encode(&value, MOST_VALUE, PLAIN)))
            .chain(self.chained_tags(PREFIX))
            .collect()
    }

    /// What has to be written over tags that are `there` before any of them is taken away: accounts that have no place any
    /// more are counted by the very call that empties their tags, so that they are lost to nobody in between.
    pub fn counted_out(&self, there: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let left_out = format!("{PREFIX}{ACCOUNTS_LEFT_OUT}");
        let emptied = self.outgrown(there).into_iter();
        let emptied = emptied.map(|key| (key, String::new()));
        let counted = self.tags().into_iter().filter(|(key, _)| *key == left_out);
        emptied.chain(counted).collect()
    }

    /// The keys of tags of accounts that are there and have no place any more.
    pub fn outgrown(&self, there: &BTreeMap<String, String>) -> Vec<String> {
        let tags = self.tags();
        let prefix = format!("{PREFIX}{ACCOUNTS}");
        let keys = there.keys().filter(|key| key.starts_with(&prefix));
        let outgrown = keys.filter(|key| self.home == Home::Own && !tags.contains_key(*key));
        outgrown.cloned().collect()
    }

    /// A tag for each session that the principal became.
    fn chained_tags(&self, prefix: &str) -> Vec<(String, String)> {
        let chained = self.chained.iter();
        let tag = |session: &SessionUserId| {
            let hash = hex::encode(Sha256::digest(session.as_str()));
            let short = hash.get(..8).unwrap_or(&hash);
            let value = encode(session.as_str(), MOST_VALUE, PLAIN);
            (format!("{prefix}{CHAINED}{short}"), value)
        };
        chained.map(tag).collect()
    }

    /// What is remembered, by name and in this order: first whom it denies, and at most so many fields of accounts.
    fn fields(&self, most_accounts: usize) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let mut put = |key: &str, value: Option<String>| {
            fields.extend(value.map(|value| (key.to_owned(), value)));
        };
        put("user-id", self.user_id.as_ref().map(UserId::to_string));
        put(IDENTITY, self.exact.as_ref().and_then(exact::written));
        put(IAM_USER, self.iam_user.as_ref().map(IamUserId::to_string));
        let account = self.iam_account.as_ref();
        put(IAM_ACCOUNT, account.map(AccountId::to_string));
        for (i, name) in self.session_names.iter().enumerate() {
            put(&numbered(SESSION_NAME, i), Some(name.to_string()));
        }
        put(
            "principal",
            self.principal.as_ref().map(Username::to_string),
        );
        put("operator", self.operator.clone());
        put("opened", self.opened.map(|moment| moment.to_string()));
        put("target", self.target.as_ref().map(TargetId::to_string));
        put(
            "reaches-management",
            Some(self.reaches_management.to_string()),
        );
        put(
            "longest-session",
            self.longest_session.map(|duration| duration.to_string()),
        );
        put("margin", self.margin.map(|duration| duration.to_string()));
        put(
            PLAYBOOK,
            self.playbook.as_ref().map(PlaybookName::to_string),
        );
        // Written also when there is none: an empty value stops a clock that an earlier proof had started.
        put(
            "proven",
            Some(
                self.proven
                    .map_or(String::new(), |moment| moment.to_string()),
            ),
        );
        let moment =
            |moment: Option<Timestamp>| Some(moment.map_or(String::new(), |at| at.to_string()));
        put("evicted", moment(self.evicted));
        put("team-table", self.team_table.clone());
        let entitled = self.entitled_in_management.then(|| true.to_string());
        put(ENTITLED_IN_MANAGEMENT, entitled);
        if !self.held_by.is_empty() {
            put("held", moment(self.held));
        }
        put(SESSIONS_AFTER, self.sessions_after.map(|at| at.to_string()));
        put(LAPSES, self.lapses.map(|at| at.to_string()));
        // Written also when it is still to come: an empty value takes back the moment of those who were denied before.
        if self.chained_at.is_some() || self.is_chaining_unfinished() {
            put(CHAINED_AT, moment(self.chained_at));
        }
        let mut sets_left_out = self.permission_sets_left_out;
        for (key, sets, most) in [
            (PERMISSION_SETS, &self.permission_sets, SET_TAGS),
            (IN_MANAGEMENT, &self.in_management, usize::MAX),
            (HELD_BY, &self.held_by, usize::MAX),
        ] {
            let written = written_sets(sets);
            for (i, some) in written.iter().take(most).enumerate() {
                put(&numbered(key, i), Some(some.clone()));
            }
            let fit = written.iter().take(most).map(|some| sets_in(some).len());
            if key == PERMISSION_SETS {
                sets_left_out += sets.len() - fit.sum::<usize>().min(sets.len());
            }
        }
        put(
            "permission-sets-left-out",
            (sets_left_out > 0).then(|| sets_left_out.to_string()),
        );
        let attested: Vec<&str> = self.attested.iter().map(ItemId::as_str).collect();
        put(
            "attested",
            (!attested.is_empty()).then(|| attested.join("/")),
        );
        let until = self.release_not_before();
        put(
            RELEASE_NOT_BEFORE,
            Some(until.map_or(String::new(), |moment| moment.to_string())),
        );
        let accounts: Vec<&str> = self.accounts.iter().map(AccountId::as_str).collect();
        for (i, some) in accounts
            .chunks(ACCOUNTS_IN_A_TAG)
            .take(most_accounts)
            .enumerate()
        {
            put(&numbered(ACCOUNTS, i), Some(some.join("/")));
        }
        let fit = ACCOUNTS_IN_A_TAG * most_accounts;
        let left_out = accounts.len().saturating_sub(fit) + self.accounts_left_out;
        put(ACCOUNTS_LEFT_OUT, Some(left_out.to_string()));
        fields
    }

    /// What AWS remembers; `None` if the policy is not an incident's own.
    pub fn recall(policy: &TaggedPolicy) -> Option<Self> {
        let id = IncidentId::of_policy_name(&policy.summary.name)?;
        Some(Self::of_own_tags(id, &policy.tags))
    }

    /// An incident as the tags of its own policy have it.
    fn of_own_tags(id: IncidentId, tags: &BTreeMap<String, String>) -> Self {
        let get = |key: &str| tags.get(&format!("{PREFIX}{key}"));
        Self {
            chained: chained_in(tags, PREFIX),
            ..Self::of_fields(id, Home::Own, |key| get(key).map(|value| decode(value)))
        }
    }

    /// An incident from its fields, any of which may be missing or damaged.
    fn of_fields(id: IncidentId, home: Home, get: impl Fn(&str) -> Option<String>) -> Self {
        let all = |key: &str| {
            (0..)
                .map_while(|i| get(&numbered(key, i)))
                .collect::<Vec<_>>()
        };
        Self {
            id,
            home,
            principal: get("principal").map(Username::new),
            user_id: get("user-id").and_then(|id| UserId::parse(id).ok()),
            iam_user: get(IAM_USER).and_then(|id| IamUserId::parse(id).ok()),
            iam_account: get(IAM_ACCOUNT).and_then(|id| AccountId::parse(id).ok()),
            exact: get(IDENTITY).and_then(|text| exact::of_written(&text)),
            session_names: all(SESSION_NAME)
                .into_iter()
                .filter_map(|name| SessionName::parse(name).ok())
                .collect(),
            operator: get("operator"),
            opened: get("opened").and_then(|moment| moment.parse().ok()),
            target: get("target").and_then(|id| TargetId::parse(id).ok()),
            accounts: all(ACCOUNTS)
                .iter()
                .flat_map(|some| some.split([' ', '/']))
                .filter_map(|id| AccountId::parse(id).ok())
                .collect(),
            accounts_left_out: get(ACCOUNTS_LEFT_OUT)
                .and_then(|n| n.parse().ok())
                .unwrap_or(0),
            reaches_management: get("reaches-management").as_deref() == Some("true"),
            in_management: all(IN_MANAGEMENT)
                .iter()
                .flat_map(|some| sets_in(some))
                .collect(),
            entitled_in_management: get(ENTITLED_IN_MANAGEMENT).as_deref() == Some("true"),
            longest_session: get("longest-session").and_then(|duration| duration.parse().ok()),
            margin: get("margin").and_then(|duration| duration.parse().ok()),
            playbook: get(PLAYBOOK).and_then(|name| PlaybookName::parse(name).ok()),
            proven: get("proven").and_then(|moment| moment.parse().ok()),
            permission_sets: all(PERMISSION_SETS)
                .iter()
                .flat_map(|some| sets_in(some))
                .collect(),
            permission_sets_left_out: get("permission-sets-left-out")
                .and_then(|n| n.parse().ok())
                .unwrap_or(0),
            evicted: get("evicted").and_then(|moment| moment.parse().ok()),
            attested: get("attested")
                .iter()
                .flat_map(|some| some.split('/'))
                .filter_map(|item| ItemId::parse(item).ok())
                .collect(),
            team_table: get("team-table"),
            held_by: all(HELD_BY).iter().flat_map(|some| sets_in(some)).collect(),
            held: get("held").and_then(|moment| moment.parse().ok()),
            sessions_after: get(SESSIONS_AFTER).and_then(|moment| moment.parse().ok()),
            lapses: get(LAPSES).and_then(|moment| moment.parse().ok()),
            chained: BTreeSet::new(),
            chained_at: get(CHAINED_AT).and_then(|moment| moment.parse().ok()),
        }
    }

    /// The same incident as these tags have it.
    pub fn of_tags(incident: &Self, tags: &BTreeMap<String, String>) -> Self {
        let id = incident.id.clone();
        match incident.home {
            Home::Own => Self::of_own_tags(id, tags),
            Home::Armed => armed::of_tags(id, tags),
        }
    }

    /// The same with what is written `there` now: another run may have written it since this one read it. What either has
    /// learned is joined; what was proven, closed, held and said is as it stands there.
    pub fn as_of(&self, there: &Self) -> Self {
        let mut now = self.clone();
        now.proven = there.proven;
        now.evicted = there.evicted;
        now.held = there.held;
        now.sessions_after = there.sessions_after;
        now.attested.clone_from(&there.attested);
        now.accounts.extend(there.accounts.iter().cloned());
        now.permission_sets
            .extend(there.permission_sets.iter().cloned());
        now.in_management
            .extend(there.in_management.iter().cloned());
        now.held_by.extend(there.held_by.iter().cloned());
        now.chained.extend(there.chained.iter().cloned());
        now.chained_at = there.chained_at;
        now.longest_session = self.longest_session.max(there.longest_session);
        now.reaches_management |= there.reaches_management;
        now.entitled_in_management |= there.entitled_in_management;
        if now.team_table.is_none() {
            now.team_table.clone_from(&there.team_table);
        }
        now
    }

    /// Whom its deny refuses.
    pub fn identity(&self) -> Identity {
        if let Some(exact) = &self.exact {
            return exact.clone();
        }
        if self.is_of_iam_user() {
            let (id, account) = (self.iam_user.as_ref(), self.iam_account.as_ref());
            return iam_identity(id, account, &self.session_names);
        }
        Identity::IdentityCenterUser {
            user_id: self.user_id.clone(),
            session_names: self.session_names.clone(),
        }
    }
}

/// Permission sets in as few texts as hold them, each `<what their ARNs begin with alike>/<id>/<id>…`. A set whose ARN is
/// of another shape than AWS's is in none of them.
fn written_sets(sets: &BTreeSet<PermissionSetArn>) -> Vec<String> {
    let mut written: Vec<String> = Vec::new();
    for set in sets {
        let Some((base, id)) = set.as_str().rsplit_once('/') else {
            continue;
        };
        match written.last_mut() {
            Some(last) if same_base(last, base) && last.len() + 1 + id.len() <= MOST_SETS_VALUE => {
                last.push('/');
                last.push_str(id);
            }
            Some(_) | None => written.push(format!("{base}/{id}")),
        }
    }
    written
}

/// Whether a text of [`written_sets`] is of sets with this base.
fn same_base(written: &str, base: &str) -> bool {
    let rest = written.strip_prefix(base);
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// The permission sets of one such text. Their base has a slash of its own: `arn:aws:sso:::permissionSet/ssoins-…`.
fn sets_in(written: &str) -> Vec<PermissionSetArn> {
    let mut parts = written.splitn(3, '/');
    let (Some(kind), Some(instance), Some(ids)) = (parts.next(), parts.next(), parts.next()) else {
        return Vec::new();
    };
    ids.split('/')
        .filter_map(|id| PermissionSetArn::parse(format!("{kind}/{instance}/{id}")).ok())
        .collect()
}

/// The sessions that the principal became, from the tags of this prefix.
fn chained_in(tags: &BTreeMap<String, String>, prefix: &str) -> BTreeSet<SessionUserId> {
    let own = format!("{prefix}{CHAINED}");
    // The field of the moment begins alike.
    let values = tags.iter().filter(|(key, _)| key.starts_with(&own));
    values
        .filter_map(|(_, value)| SessionUserId::parse(decode(value)).ok())
        .collect()
}

/// `key`, `key-2`, `key-3`…
fn numbered(key: &str, i: usize) -> String {
    if i == 0 {
        key.to_owned()
    } else {
        format!("{key}-{}", i + 1)
    }
}

/// Characters that a tag's value may hold beside letters, digits and `=`.
const PLAIN: &str = " _.:/+-@";

/// A value in at most so many characters of a tag's alphabet; beside letters and digits, these are written as they are.
fn encode(value: &str, most: usize, plain: &str) -> String {
    let mut encoded = String::new();
    for c in value.chars() {
        let mut buffer = [0; 4];
        let piece = if c.is_ascii_alphanumeric() || plain.contains(c) {
            c.to_string()
        } else {
            c.encode_utf8(&mut buffer)
                .bytes()
                .map(|byte| format!("={byte:02X}"))
                .collect()
        };
        if encoded.len() + piece.len() > most {
            break;
        }
        encoded.push_str(&piece);
    }
    encoded
}

fn decode(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let escaped = (byte == b'=').then(|| {
            let digits: Vec<u8> = rest.clone().take(2).collect();
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap_or(""), 16)
                .ok()
                .filter(|_| digits.len() == 2)
        });
        match escaped.flatten() {
            Some(decoded) => {
                bytes.push(decoded);
                rest.nth(1);
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::PolicySummary;
    use crate::policy::document::Statement;

    fn incident() -> Incident {
        Incident {
            id: IncidentId::parse("q-7f3a9c").unwrap(),
            home: Home::Own,
            principal: Some(Username::new("Zoë, O'Neil=\u{1f600}")),
            user_id: Some(UserId::parse("94482488-3041-7026-18f3-be45837cd0e4").unwrap()),
            iam_user: None,
            iam_account: None,
            exact: None,
            session_names: ["a,b=c", "A,B=C"]
                .into_iter()
                .map(|name| SessionName::parse(name).unwrap())
                .collect(),
            operator: Some("arn:aws:sts::111122223333:assumed-role/Responder/alice,1".to_owned()),
            opened: Some("2026-11-22T03:00:00Z".parse().unwrap()),
            target: Some(TargetId::parse("r-ab12").unwrap()),
            accounts: (0..50)
                .map(|i| AccountId::parse(format!("{:012}", 111_122_223_333_u64 + i)).unwrap())
                .collect(),
            accounts_left_out: 0,
            reaches_management: true,
            in_management: (0..2).map(set).collect(),
            entitled_in_management: true,
            longest_session: Some(SignedDuration::from_hours(8)),
            margin: Some(SignedDuration::from_mins(30)),
            playbook: PlaybookName::parse("identity-center-user").ok(),
            proven: Some("2026-11-22T03:01:00Z".parse().unwrap()),
            permission_sets: (0..20).map(set).collect(),
            permission_sets_left_out: 0,
            evicted: Some("2026-11-22T03:02:00Z".parse().unwrap()),
            attested: ["portal-sessions", "credentials"]
                .into_iter()
                .map(|item| ItemId::parse(item).unwrap())
                .collect(),
            team_table: Some("requests-abcdefghijklmnopqrstuvwxyz-main".to_owned()),
            held_by: (0..2).map(set).collect(),
            held: Some("2026-11-22T03:04:00Z".parse().unwrap()),
            sessions_after: Some("2026-11-22T04:00:00Z".parse().unwrap()),
            lapses: Some("2026-11-22T05:00:00Z".parse().unwrap()),
            chained: [
                "AROA0123456789ABCDEFG:nightly-report",
                "AROA0123456789ABCDEFG:a=b,c",
                "111122223333:ci-runner",
            ]
            .into_iter()
            .map(|id| SessionUserId::parse(id).unwrap())
            .collect(),
            chained_at: Some("2026-11-22T03:03:00Z".parse().unwrap()),
        }
    }

    fn set(number: u8) -> PermissionSetArn {
        PermissionSetArn::parse(format!(
            "arn:aws:sso:::permissionSet/ssoins-7223a1b2c3d4e5f6/ps-{number:016x}"
        ))
        .unwrap()
    }

    fn policy(incident: &Incident) -> TaggedPolicy {
        TaggedPolicy {
            summary: PolicySummary {
                id: PolicyId::parse("p-abcdefgh").unwrap(),
                arn: PolicyArn::parse("arn:aws:organizations::111122223333:policy/o-x/service_control_policy/p-abcdefgh").unwrap(),
                name: incident.id.policy_name(),
                description: incident.description(),
            },
            tags: incident.tags(),
        }
    }

    #[test]
    fn what_is_written_on_the_policy_is_what_another_machine_reads() {
        assert_eq!(Incident::recall(&policy(&incident())), Some(incident()));
    }

    #[test]
    fn an_iam_user_is_told_from_a_person_of_the_directory_by_the_tags_alone() {
        let user = Incident {
            user_id: None,
            principal: Some(Username::new("arn:aws:iam::555566667777:user/deploy=1")),
            iam_user: Some(IamUserId::parse("AIDA0123456789ABCDEFG").unwrap()),
            iam_account: Some(AccountId::parse("555566667777").unwrap()),
            session_names: [SessionName::parse("deploy=1").unwrap()].into(),
            ..incident()
        };
        let recalled = Incident::recall(&policy(&user)).unwrap();
        assert_eq!(recalled, user);
        assert_eq!(recalled.iam_name(), IamUserName::parse("deploy=1").ok());
        assert!(matches!(recalled.identity(), Identity::IamUser { .. }));
        assert!(!incident().is_of_iam_user() && incident().iam_name().is_none());
    }

    #[test]
    fn whoever_works_again_does_not_bring_back_whom_they_became() {
        let moment: Timestamp = "2026-11-22T05:00:00Z".parse().unwrap();
        let readmitted = Incident {
            sessions_after: Some(moment),
            ..incident()
        };
        assert!(!readmitted.chained.is_empty());
        let deny = readmitted.deny().unwrap();
        let is_bounded = |statement: &&Statement| {
            let mut conditions = statement.conditions.iter();
            conditions.any(|condition| condition.key == policy::TOKEN_ISSUE_TIME)
        };
        let (bounded, whenever): (Vec<_>, Vec<_>) = deny.statements.iter().partition(is_bounded);
        let named = Document::new(whenever.into_iter().cloned().collect());
        assert_eq!(policy::session_user_ids_in(&named), readmitted.chained);
        let person = Document::new(bounded.into_iter().cloned().collect());
        assert!(policy::session_user_ids_in(&person).is_empty());
        assert_eq!(person.statements.len(), 3);
    }

    #[test]
    fn every_tag_is_one_that_aws_takes() {
        let mut long = incident();
        long.principal = Some(Username::new("ß".repeat(128)));
        for tags in [incident().tags(), long.tags()] {
            assert!(tags.len() <= 50);
            for (key, value) in tags {
                assert!(key.len() <= 128 && value.len() <= 256, "{key}={value}");
                assert!(
                    value
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c)),
                    "{key}={value}"
                );
            }
        }
    }

    #[test]
    fn accounts_that_do_not_fit_are_counted_and_never_dropped_in_silence() {
        let mut many = incident();
        many.accounts = (0..400)
            .map(|i| AccountId::parse(format!("{:012}", 111_122_223_333_u64 + i)).unwrap())
            .collect();
        let recalled = Incident::recall(&policy(&many)).unwrap();
        assert_eq!(
            (recalled.accounts.len(), recalled.accounts_left_out),
            (306, 94)
        );
        assert!(many.tags().len() <= 50);
        // Nobody whom they became takes a place, unless there is one.
        let there = Incident {
            chained: BTreeSet::new(),
            ..many.clone()
        };
        assert_eq!(
            Incident::recall(&policy(&there)).unwrap().accounts.len(),
            360
        );
        assert_eq!(many.outgrown(&there.tags()).len(), 3);
        assert!(there.outgrown(&there.tags()).is_empty());
    }

    #[test]
    fn permission_sets_that_do_not_fit_are_counted() {
        let mut many = incident();
        many.permission_sets = (0..200).map(set).collect();
        let recalled = Incident::recall(&policy(&many)).unwrap();
        assert!(recalled.permission_sets.len() > 20);
        assert_eq!(
            recalled.permission_sets.len() + recalled.permission_sets_left_out,
            200
        );
        assert!(many.tags().len() <= 50);
    }

    #[test]
    fn the_clock_starts_with_proof_and_eviction() {
        let mut incident = incident();
        assert_eq!(
            incident.release_not_before(),
            Some("2026-11-22T11:33:00Z".parse().unwrap()),
            "counted from the moment when the last chained session was denied"
        );
        incident.chained_at = None;
        assert_eq!(
            incident.release_not_before(),
            None,
            "nobody has seen that the chained sessions are denied"
        );
        incident.chained.clear();
        assert_eq!(
            incident.release_not_before(),
            Some("2026-11-22T11:32:00Z".parse().unwrap()),
            "counted from the later of both"
        );
        incident.evicted = None;
        assert_eq!(incident.release_not_before(), None);
        incident.evicted = incident.proven.take();
        assert_eq!(incident.release_not_before(), None);
    }

    #[test]
    fn a_policy_with_damaged_tags_can_still_be_listed() {
        let mut policy = policy(&incident());
        policy.tags = BTreeMap::from([
            ("quell:proven".to_owned(), "=ZZ= soon".to_owned()),
            ("quell:target".to_owned(), "=".to_owned()),
        ]);
        let recalled = Incident::recall(&policy).unwrap();
        assert_eq!(
            (recalled.id, recalled.proven, recalled.target),
            (incident().id, None, None)
        );
    }
}
