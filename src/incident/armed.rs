//! The armed policy: many incidents in one policy that is attached already, so that a containment is one call.
//!
//! Arrives: the policy as it stands ([`ArmedPolicy`]). Leaves: a [`Ledger`], whom it denies and whom no more, and the
//! document that it should have. Pure.
//!
//! `UpdatePolicy` replaces the whole document and has no version check (aws-facts §8), so two responders can overwrite
//! each other. `TagResource` cannot: each incident has tags of its own keys. So the tags are the truth and the document a
//! function of them. Whoever writes writes the document first (that is the one call), then their tags, and reads both
//! again until they agree; so the last one to write always sees everybody who has written before.
//!
//! What a writer left undone between document and tags must not let anybody in: an incident that the document alone knows
//! stays denied, and only a tag that says so ([`Standing::Leaving`], [`Standing::Released`]) takes it out. A tag of a
//! released incident stays an hour, so that the document of somebody who read before the release and writes after it is
//! known for what it is.
//!
//! An incident's tags are `quell:q-7f3a9c`, its standing and whom it denies and nothing else, and `quell:q-7f3a9c:2` and so
//! on for the rest: whoever writes down a proof does not touch the first, and so cannot undo a release. Each is words,
//! `key:value`, encoded as in [`crate::incident`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::facts::ArmedPolicy;
use crate::ids::*;
use crate::incident::{
    FORMAT, Home, IAM_ACCOUNT, IAM_USER, IDENTITY, Incident, LAPSES, MOST_VALUE, PLAIN, PREFIX,
    RELEASE_NOT_BEFORE, SESSION_NAME, SESSIONS_AFTER, chained_in, decode, encode,
};
use crate::policy::document::{Condition, Document, DocumentError, Effect, Statement, Words};
use crate::policy::{self, MOST_CHARACTERS, TOKEN_ISSUE_TIME, USER_ID, USERID};
use crate::principal::username_of;

/// The policy's description, for people who meet it in the console.
pub const DESCRIPTION: &str = "Made by quell. Denies nobody until `quell contain` writes an incident into it; its tags say which. Take it away with `quell prepare disarm`.";

/// The Sid of the statement that stands in for none.
const PLACEHOLDER: &str = "QuellArmed";

/// Nobody's `aws:userid`: a real one begins with an id or an account.
const NOBODY: &str = "quell:nobody";

/// Tags that a policy may have (aws-facts §4).
pub const MOST_TAGS: usize = 50;

/// Tags of accounts that one incident may have here; what does not fit is counted.
const ACCOUNT_TAGS: usize = 3;

/// Responders who race for the last room must not overflow it, because the union of both would not fit: this many more
/// incidents of the same size must fit beside a new one.
const SPARE: usize = 2;

/// How long a released incident's tag stays: an approval is good for a quarter of it, and whoever writes the document has
/// looked at it a moment before.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(1);

/// How an incident stands in the armed policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is to be denied.
    Open,
    /// It is being released: to be denied no more.
    Leaving,
    /// It was released.
    Released,
}

/// One incident of the armed policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The incident as its tags have it, or the document where they have nothing.
    pub incident: Incident,
    /// How it stands.
    pub standing: Standing,
    /// Whether its tags are there. Without them the writer was interrupted, or is under way.
    pub tagged: bool,
    /// When it was released, of one that was.
    released: Option<Timestamp>,
    /// Its statements as they stand in the document.
    statements: Vec<Statement>,
}

impl Entry {
    /// Whether the document denies it: all of it, while it is open; and any of it, once it is not to be denied any more.
    pub fn is_denied(&self) -> bool {
        let whole = match self.standing {
            Standing::Open => {
                self.wanted() == self.statements
                    || self.is_denied_before()
                    || self.is_denied_alone()
            }
            Standing::Leaving | Standing::Released => true,
        };
        whole && !self.statements.is_empty()
    }

    /// Of somebody who may work again: whether the document denies every session of before the wait for the release, from
    /// whichever moment on it lets others through. Until it has the moment of the tags, nobody is let in whom the proof is
    /// about.
    fn is_denied_before(&self) -> bool {
        if self.incident.sessions_after.is_none() {
            return false;
        }
        let conditions = self.statements.iter().flat_map(|it| &it.conditions);
        let moment = conditions
            .filter(|condition| condition.key == TOKEN_ISSUE_TIME)
            .find_map(|condition| condition.values.first()?.parse().ok());
        let as_it_stands = Incident {
            sessions_after: moment,
            ..self.incident.as_far_as(&self.chained_in_document())
        };
        let deny = as_it_stands.deny();
        let began = self.incident.clock_began();
        deny.is_ok_and(|deny| deny.statements == self.statements)
            && moment.is_none_or(|moment| began.is_some_and(|began| began <= moment))
    }

    /// Whether the document denies the principal, and only some of whom they became. Those were never part of a proof.
    fn is_denied_alone(&self) -> bool {
        let as_it_stands = self.incident.as_far_as(&self.chained_in_document());
        let deny = as_it_stands.deny();
        deny.is_ok_and(|deny| deny.statements == self.statements)
    }

    fn chained_in_document(&self) -> BTreeSet<SessionUserId> {
        policy::session_user_ids_in(&Document::new(self.statements.clone()))
    }

    /// Sessions that the principal became, by the tags, and that the document does not deny.
    pub fn not_denied(&self) -> BTreeSet<SessionUserId> {
        let there = self.chained_in_document();
        match self.standing {
            Standing::Open => self.incident.chained.difference(&there).cloned().collect(),
            Standing::Leaving | Standing::Released => BTreeSet::new(),
        }
    }

    /// Whether anything of it is in the document.
    pub fn is_in_document(&self) -> bool {
        !self.statements.is_empty()
    }

    /// Whether it is open and has exactly these tags.
    pub fn is_tagged_with(&self, tags: &BTreeMap<String, String>) -> bool {
        self.tagged && self.standing == Standing::Open && self.incident.tags() == *tags
    }

    /// Whether the document has exactly this deny for it.
    pub fn is_denied_by(&self, deny: &Document) -> bool {
        self.standing == Standing::Open && self.statements == deny.statements
    }

    /// Its statements as they should be. Fails closed: where the tags do not say whom it denies, the document does.
    fn wanted(&self) -> Vec<Statement> {
        match (self.standing, self.tagged) {
            (Standing::Leaving | Standing::Released, _) => Vec::new(),
            (Standing::Open, false) => self.statements.clone(),
            (Standing::Open, true) => self
                .incident
                .deny()
                .map_or_else(|_| self.statements.clone(), |deny| deny.statements),
        }
    }
}

/// There is no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// One tag cannot say whom the incident denies.
    #[error("its names do not fit into a tag of {MOST_VALUE} characters")]
    Names,
    /// Too many tags.
    #[error("its tags do not fit: the policy has {0} of {MOST_TAGS}")]
    Tags(usize),
    /// Too many characters.
    #[error(
        "the deny does not fit: the document would have {0} of {MOST_CHARACTERS} characters, with room for two who race"
    )]
    Characters(usize),
}

/// The armed policy, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    entries: BTreeMap<IncidentId, Entry>,
    /// Statements that quell did not write: kept as they stand.
    foreign: Vec<Statement>,
    /// The document as it stands.
    document: Document,
    /// Every tag's key.
    keys: BTreeSet<String>,
}

impl Ledger {
    /// Reads the policy.
    ///
    /// # Errors
    /// [`DocumentError`], when the document is not one that quell could have written.
    pub fn read(policy: &ArmedPolicy) -> Result<Self, DocumentError> {
        let document = Document::parse(&policy.content)?;
        let mut statements: BTreeMap<IncidentId, Vec<Statement>> = BTreeMap::new();
        let mut foreign = Vec::new();
        for statement in &document.statements {
            match statement.sid.as_deref().map(incident_of_sid) {
                Some(Some(id)) => statements.entry(id).or_default().push(statement.clone()),
                _ if *statement == placeholder() => {}
                _ => foreign.push(statement.clone()),
            }
        }
        let mut entries: BTreeMap<IncidentId, Entry> = BTreeMap::new();
        for key in policy.tags.keys() {
            let Some(id) = key
                .strip_prefix(PREFIX)
                .and_then(|id| IncidentId::parse(id).ok())
            else {
                continue;
            };
            let own = statements.remove(&id).unwrap_or_default();
            entries.insert(id.clone(), tagged(id, &policy.tags, own));
        }
        for (id, statements) in statements {
            entries.insert(id.clone(), untagged(id, policy, statements));
        }
        Ok(Self {
            entries,
            foreign,
            document,
            keys: policy.tags.keys().cloned().collect(),
        })
    }

    /// Its incidents, but for those that were released and are gone from the document.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let gone =
            |entry: &&Entry| entry.standing == Standing::Released && entry.statements.is_empty();
        self.entries.values().filter(move |entry| !gone(entry))
    }

    /// One incident.
    pub fn entry(&self, id: &IncidentId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// Whether an incident of this id is or was here.
    pub fn knows(&self, id: &IncidentId) -> bool {
        self.entries.contains_key(id)
    }

    /// How many statements somebody else has put into it.
    pub fn foreign(&self) -> usize {
        self.foreign.len()
    }

    /// The ledger with this incident entered.
    pub fn with(&self, incident: &Incident) -> Self {
        let mut ledger = self.clone();
        let statements = ledger
            .entries
            .remove(&incident.id)
            .map(|entry| entry.statements)
            .unwrap_or_default();
        let entry = Entry {
            incident: incident.clone(),
            standing: Standing::Open,
            tagged: true,
            released: None,
            statements,
        };
        ledger.entries.insert(incident.id.clone(), entry);
        ledger.keys.extend(
            tags(incident, Standing::Open)
                .into_iter()
                .flatten()
                .map(|(key, _)| key),
        );
        ledger
    }

    /// The document that the policy should have: each open incident's deny, or the placeholder.
    pub fn render(&self) -> Document {
        let mut statements: Vec<Statement> =
            self.entries.values().flat_map(Entry::wanted).collect();
        statements.extend(self.foreign.iter().cloned());
        if statements.is_empty() {
            statements.push(placeholder());
        }
        Document::new(statements)
    }

    /// Open incidents that were proven and that the document does not deny now: their people are let in, and what was
    /// proven of them is proven no more.
    pub fn let_in(&self) -> Vec<Incident> {
        let let_in = |entry: &&Entry| {
            entry.standing == Standing::Open
                && !entry.is_denied()
                && entry.incident.proven.is_some()
        };
        let found = self.entries().filter(let_in);
        found.map(|entry| entry.incident.clone()).collect()
    }

    /// Open incidents that somebody has noted to deny whom their principal became, and whose document does not, or not any
    /// more.
    pub fn overtaken(&self) -> Vec<Incident> {
        let overtaken = |entry: &&Entry| {
            entry.tagged && entry.incident.chained_at.is_some() && !entry.not_denied().is_empty()
        };
        let found = self.entries().filter(overtaken);
        found.map(|entry| entry.incident.clone()).collect()
    }

    /// Open incidents whose document denies everybody whom their principal became, which nobody has noted yet.
    pub fn unnoted(&self) -> Vec<Incident> {
        let unnoted = |entry: &&Entry| {
            entry.standing == Standing::Open
                && entry.tagged
                && entry.incident.is_chaining_unfinished()
                && entry.not_denied().is_empty()
        };
        let found = self.entries().filter(unnoted);
        found.map(|entry| entry.incident.clone()).collect()
    }

    /// The document as it stands.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Whether the document is what the tags say.
    pub fn agrees(&self) -> bool {
        self.render() == self.document
    }

    /// How many more people can be denied in it, of a usual name and reach.
    pub fn room(&self) -> usize {
        let mut ledger = self.clone();
        let mut room = 0;
        let ids = (0..=u8::MAX).map(|number| IncidentId::from_bytes([u8::MAX, u8::MAX, number]));
        for id in ids.filter(|id| !self.knows(id)) {
            let incident = usual(id);
            if ledger.room_for(&incident).is_err() {
                break;
            }
            ledger = ledger.with(&incident);
            room += 1;
        }
        room
    }

    /// Whether this incident can be entered, and two more like it.
    ///
    /// # Errors
    /// [`Full`].
    pub fn room_for(&self, incident: &Incident) -> Result<(), Full> {
        let own = tags(incident, Standing::Open).ok_or(Full::Names)?.len();
        let with = self.with(incident);
        if with.keys.len() + SPARE * own > MOST_TAGS {
            return Err(Full::Tags(self.keys.len()));
        }
        let (before, after) = (self.render().characters(), with.render().characters());
        let spare = SPARE * after.saturating_sub(before.min(after));
        if after + spare > MOST_CHARACTERS {
            return Err(Full::Characters(after + spare));
        }
        Ok(())
    }

    /// Whether this incident fits as it is.
    ///
    /// # Errors
    /// [`Full`].
    pub fn fits(&self, incident: &Incident) -> Result<(), Full> {
        let with = self.with(incident);
        let characters = with.render().characters();
        if with.keys.len() > MOST_TAGS {
            return Err(Full::Tags(self.keys.len()));
        }
        if characters > MOST_CHARACTERS {
            return Err(Full::Characters(characters));
        }
        Ok(())
    }

    /// Tags that nobody needs any more: the rest of released incidents', and what was released an hour ago.
    pub fn outworn(&self, now: Timestamp) -> Vec<String> {
        let is_outworn = |key: &&String| {
            let Some((id, rest)) = incident_of_key(key) else {
                return false;
            };
            self.entries.get(&id).is_some_and(|entry| {
                let past = entry
                    .released
                    .is_some_and(|moment| now.duration_since(moment) > REMEMBERED_FOR);
                entry.standing == Standing::Released
                    && entry.statements.is_empty()
                    && (rest || past)
            })
        };
        self.keys.iter().filter(is_outworn).cloned().collect()
    }
}

/// Somebody as many are: what most incidents take.
fn usual(id: IncidentId) -> Incident {
    let name = "somebody.else@example.com";
    let account = |number: u64| AccountId::parse(format!("{:012}", 100_000_000_000 + number)).ok();
    Incident {
        user_id: UserId::parse("00000000-0000-0000-0000-000000000000").ok(),
        principal: Some(Username::new(name)),
        session_names: SessionName::parse(name).into_iter().collect(),
        operator: Some("arn:aws:sts::100000000000:assumed-role/Responder/somebody".to_owned()),
        opened: Some(Timestamp::UNIX_EPOCH),
        proven: Some(Timestamp::UNIX_EPOCH),
        accounts: (0..20).filter_map(account).collect(),
        longest_session: Some(SignedDuration::from_hours(12)),
        margin: Some(SignedDuration::from_mins(30)),
        ..Incident::bare(id, Home::Armed)
    }
}

/// An incident's tags; `None` when whom it denies does not fit into the first.
pub fn tags(incident: &Incident, standing: Standing) -> Option<BTreeMap<String, String>> {
    let first = match standing {
        Standing::Open => "open",
        Standing::Leaving => "leaving",
        Standing::Released => "released",
    };
    let names = |key: &str| {
        key.starts_with(SESSION_NAME)
            || [
                "user-id",
                IDENTITY,
                IAM_USER,
                IAM_ACCOUNT,
                SESSIONS_AFTER,
                LAPSES,
            ]
            .contains(&key)
    };
    let (whom, rest): (Vec<_>, Vec<_>) = incident
        .fields(ACCOUNT_TAGS)
        .into_iter()
        // It follows from the others, and room is short here.
        .filter(|(key, _)| key != RELEASE_NOT_BEFORE)
        .map(|(key, value)| (names(&key), word(&key, &value)))
        .partition(|(names, _)| *names);
    let whom = whom.into_iter().map(|(_, word)| word);
    let whom: Vec<String> = std::iter::once(first.to_owned()).chain(whom).collect();
    let mut values = vec![whom.join(" ")];
    if values.iter().any(|value| value.len() > MOST_VALUE) {
        return None;
    }
    let mut last = String::new();
    for (_, word) in rest {
        if !last.is_empty() && last.len() + 1 + word.len() > MOST_VALUE {
            values.push(std::mem::take(&mut last));
        }
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(&word);
    }
    values.push(last);
    let keys = (1..).map(|number| key_of(&incident.id, number));
    let chained = incident.chained_tags(&chained_prefix(&incident.id));
    Some(keys.zip(values).chain(chained).collect())
}

/// The one tag of an incident that was released.
pub fn tombstone(id: &IncidentId, now: Timestamp) -> BTreeMap<String, String> {
    let value = format!("released {}", word("at", &now.to_string()));
    BTreeMap::from([(key_of(id, 1), value)])
}

/// `key:value`, without a space and not longer than a tag.
fn word(key: &str, value: &str) -> String {
    let most = MOST_VALUE - key.len() - 1;
    format!("{key}:{}", encode(value, most, PLAIN.trim()))
}

/// The tag that says how an incident stands and whom it denies.
pub fn first_key(id: &IncidentId) -> String {
    key_of(id, 1)
}

fn key_of(id: &IncidentId, number: usize) -> String {
    match number {
        1 => format!("{PREFIX}{id}"),
        _ => format!("{PREFIX}{id}:{number}"),
    }
}

/// What the tags begin with that have whom the principal became: apart from the others, so that nobody who writes down a
/// proof takes one away.
fn chained_prefix(id: &IncidentId) -> String {
    format!("{PREFIX}{id}:")
}

/// The incident that a tag belongs to, and whether it is one of the further ones.
fn incident_of_key(key: &str) -> Option<(IncidentId, bool)> {
    let id = key.strip_prefix(PREFIX)?;
    let (id, rest) = match id.split_once(':') {
        Some((id, _)) => (id, true),
        None => (id, false),
    };
    Some((IncidentId::parse(id).ok()?, rest))
}

/// The incident that a statement belongs to: `Quell7f3a9cUserId`.
fn incident_of_sid(sid: &str) -> Option<IncidentId> {
    let id = sid.strip_prefix("Quell")?.get(..6)?;
    IncidentId::parse(format!("q-{id}")).ok()
}

/// An incident as its tags have it, whatever the document says.
pub(super) fn of_tags(id: IncidentId, tags: &BTreeMap<String, String>) -> Incident {
    tagged(id, tags, Vec::new()).incident
}

/// An incident as its tags have it.
fn tagged(id: IncidentId, tags: &BTreeMap<String, String>, statements: Vec<Statement>) -> Entry {
    let values = (1..).map_while(|number| tags.get(&key_of(&id, number)));
    let mut words = values.flat_map(|value| value.split(' '));
    let standing = match words.next() {
        Some("leaving") => Standing::Leaving,
        Some("released") => Standing::Released,
        // Whatever a newer quell may write here: nobody is let in for it.
        Some(_) | None => Standing::Open,
    };
    let mut fields: BTreeMap<&str, String> = BTreeMap::new();
    for (key, value) in words.filter_map(|word| word.split_once(':')) {
        // The first counts: a tag that an earlier, longer entry left behind comes later.
        fields.entry(key).or_insert_with(|| decode(value));
    }
    let get = |key: &str| fields.get(key).cloned();
    Entry {
        released: get("at").and_then(|moment| moment.parse().ok()),
        incident: Incident {
            chained: chained_in(tags, &chained_prefix(&id)),
            ..Incident::of_fields(id, Home::Armed, get)
        },
        standing,
        tagged: true,
        statements,
    }
}

/// An incident that the document alone knows.
fn untagged(id: IncidentId, policy: &ArmedPolicy, statements: Vec<Statement>) -> Entry {
    let document = Document::new(statements.clone());
    let names = policy::session_names_in(&document);
    let (iam_user, iam_account) = policy::iam_user_in(&document);
    // What people call an IAM user is made of account and name.
    let name = names.first().map(SessionName::as_str).unwrap_or_default();
    let principal = iam_account.as_ref().and_then(|account| {
        let partition = policy.summary.arn.as_str().split(':').nth(1)?;
        let name = IamUserName::parse(name).ok()?;
        Some(username_of(partition, account, &name))
    });
    let user_id = statements
        .iter()
        .flat_map(|statement| &statement.conditions)
        .filter(|condition| condition.key == USER_ID)
        .flat_map(|condition| &condition.values)
        .find_map(|id| UserId::parse(id.clone()).ok());
    let incident = Incident {
        user_id,
        principal,
        iam_user,
        iam_account,
        session_names: names.into_iter().collect(),
        target: policy.targets.first().cloned(),
        exact: policy::exact_in(&document),
        chained: policy::session_user_ids_in(&document),
        ..Incident::of_fields(id, Home::Armed, |_| None)
    };
    Entry {
        incident,
        standing: Standing::Open,
        tagged: false,
        released: None,
        statements,
    }
}

/// A statement that denies nobody: a policy must have one, and an allow would widen what an organization that lists
/// what it allows has narrowed.
fn placeholder() -> Statement {
    Statement {
        sid: Some(PLACEHOLDER.to_owned()),
        effect: Effect::Deny,
        actions: Words::these(["*"]),
        resources: Words::these(["*"]),
        conditions: vec![Condition {
            operator: "StringEquals".to_owned(),
            key: USERID.to_owned(),
            values: vec![NOBODY.to_owned()],
        }],
        unknown: Vec::new(),
    }
}

/// The tags of an armed policy that no incident is in.
pub fn marks() -> BTreeMap<String, String> {
    BTreeMap::from([(format!("{PREFIX}armed"), FORMAT.to_owned())])
}

/// The document of an armed policy that denies nobody.
pub fn unwritten() -> Document {
    Document::new(vec![placeholder()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::PolicySummary;

    fn incident(id: &str, name: &str) -> Incident {
        Incident {
            user_id: Some(UserId::parse("94482488-3041-7026-18f3-be45837cd0e4").unwrap()),
            principal: Some(Username::new(name)),
            session_names: [SessionName::parse(name).unwrap()].into(),
            operator: Some("arn:aws:sts::111122223333:assumed-role/Responder/bob".to_owned()),
            opened: Some("2026-11-22T03:00:00Z".parse().unwrap()),
            target: Some(TargetId::parse("r-ab12").unwrap()),
            accounts: (0..50)
                .map(|i| AccountId::parse(format!("{:012}", 111_122_223_333_u64 + i)).unwrap())
                .collect(),
            longest_session: Some(SignedDuration::from_hours(8)),
            margin: Some(SignedDuration::from_mins(30)),
            proven: Some("2026-11-22T03:01:00Z".parse().unwrap()),
            ..Incident::of_fields(IncidentId::parse(id).unwrap(), Home::Armed, |_| None)
        }
    }

    fn armed(tags: BTreeMap<String, String>, content: &Document) -> ArmedPolicy {
        ArmedPolicy {
            summary: PolicySummary {
                id: PolicyId::parse("p-abcdefgh").unwrap(),
                arn: PolicyArn::parse("arn:aws:organizations::111122223333:policy/o-x/service_control_policy/p-abcdefgh").unwrap(),
                name: ARMED_POLICY.to_owned(),
                description: DESCRIPTION.to_owned(),
            },
            tags,
            content: content.minified(),
            targets: vec![TargetId::parse("r-ab12").unwrap()],
        }
    }

    fn empty() -> Ledger {
        Ledger::read(&armed(BTreeMap::new(), &unwritten())).unwrap()
    }

    #[test]
    fn nobody_is_denied_by_a_policy_that_nobody_wrote_into() {
        let ledger = empty();
        assert!(ledger.agrees());
        assert_eq!(ledger.entries().count(), 0);
        assert_eq!(ledger.render(), unwritten());
    }

    #[test]
    fn each_incident_takes_of_the_room_and_what_others_wrote_there_does() {
        let room = empty().room();
        assert!(room > 3, "{room}");
        let one = empty().with(&incident("q-000001", "alice"));
        assert_eq!(one.room(), room - 1);
        let mut crowded = empty();
        let long = "x".repeat(MOST_CHARACTERS - 1_000);
        crowded.foreign.push(Statement {
            resources: crate::policy::document::Words::these([&long]),
            ..placeholder()
        });
        assert_eq!(crowded.room(), 0);
    }

    #[test]
    fn what_is_tagged_is_what_another_machine_reads() {
        let one = incident("q-000001", "alice,b=c@example.com");
        let written = tags(&one, Standing::Open).unwrap();
        for (key, value) in &written {
            assert!(key.len() <= 128 && value.len() <= 256, "{key}={value}");
            assert!(
                value
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c)),
                "{key}={value}"
            );
        }
        let document = empty().with(&one).render();
        let ledger = Ledger::read(&armed(written, &document)).unwrap();
        let entry = ledger.entry(&one.id).unwrap();
        assert_eq!(entry.incident, one);
        assert!(ledger.agrees() && entry.is_denied());
    }

    #[test]
    fn an_overwritten_document_is_written_anew_from_the_tags() {
        let (one, two) = (incident("q-000001", "alice"), incident("q-000002", "bob"));
        let mut both = tags(&one, Standing::Open).unwrap();
        both.extend(tags(&two, Standing::Open).unwrap());
        let overwritten = empty().with(&two).render();
        let ledger = Ledger::read(&armed(both.clone(), &overwritten)).unwrap();
        assert!(!ledger.agrees() && !ledger.entry(&one.id).unwrap().is_denied());
        let union = ledger.render();
        assert_eq!(union, empty().with(&one).with(&two).render());
        assert!(Ledger::read(&armed(both, &union)).unwrap().agrees());
    }

    #[test]
    fn whoever_the_document_alone_denies_stays_denied() {
        let (one, two) = (incident("q-000001", "alice"), incident("q-000002", "bob"));
        let document = empty().with(&one).render();
        let ledger = Ledger::read(&armed(tags(&two, Standing::Open).unwrap(), &document)).unwrap();
        let untagged = ledger.entry(&one.id).unwrap();
        assert!(!untagged.tagged && untagged.is_denied());
        assert_eq!(
            (&untagged.incident.user_id, &untagged.incident.session_names),
            (&one.user_id, &one.session_names)
        );
        assert_eq!(ledger.render(), empty().with(&one).with(&two).render());
    }

    #[test]
    fn an_iam_user_is_known_by_the_first_tag_and_by_the_document_alone() {
        let one = Incident {
            user_id: None,
            iam_user: Some(IamUserId::parse("AIDA0123456789ABCDEFG").unwrap()),
            iam_account: Some(AccountId::parse("555566667777").unwrap()),
            principal: Some(Username::new("arn:aws:iam::555566667777:user/deploy")),
            ..incident("q-000001", "deploy")
        };
        let document = empty().with(&one).render();
        let mut first = tags(&one, Standing::Open).unwrap();
        first.retain(|key, _| *key == first_key(&one.id));
        for tags in [first, BTreeMap::new()] {
            let ledger = Ledger::read(&armed(tags, &document)).unwrap();
            let entry = ledger.entry(&one.id).unwrap();
            assert_eq!(entry.incident.identity(), one.identity());
            assert!(ledger.agrees() && entry.is_denied());
            let name = entry.incident.iam_name();
            assert_eq!(name.is_some(), !entry.tagged, "made of what is there");
        }
    }

    #[test]
    fn a_document_from_before_a_release_does_not_bring_it_back() {
        let (one, two) = (incident("q-000001", "alice"), incident("q-000002", "bob"));
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let mut after = tombstone(&one.id, now);
        after.extend(tags(&two, Standing::Open).unwrap());
        let stale = empty().with(&one).with(&two).render();
        let ledger = Ledger::read(&armed(after, &stale)).unwrap();
        assert_eq!(ledger.render(), empty().with(&two).render());
    }

    #[test]
    fn a_released_incidents_tag_stays_an_hour() {
        let one = incident("q-000001", "alice");
        let released: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let mut left = tags(&one, Standing::Open).unwrap();
        let rest: Vec<String> = left.keys().skip(1).cloned().collect();
        assert!(!rest.is_empty());
        left.extend(tombstone(&one.id, released));
        let ledger = Ledger::read(&armed(left.clone(), &unwritten())).unwrap();
        assert_eq!(ledger.outworn(released), rest);
        let all: Vec<String> = left.keys().cloned().collect();
        assert_eq!(
            ledger.outworn(released + SignedDuration::from_hours(2)),
            all
        );
        assert_eq!(ledger.entries().count(), 0);
    }

    #[test]
    fn somebody_elses_statement_is_kept() {
        let theirs = Statement {
            sid: Some("TheirOwn".to_owned()),
            ..placeholder()
        };
        let document = Document::new(vec![theirs.clone()]);
        let ledger = Ledger::read(&armed(BTreeMap::new(), &document)).unwrap();
        assert_eq!((ledger.foreign(), ledger.agrees()), (1, true));
        let with = ledger.with(&incident("q-000001", "alice")).render();
        assert!(with.statements.contains(&theirs));
    }

    #[test]
    fn it_takes_incidents_until_tags_or_characters_run_out_and_room_for_two_is_left() {
        let mut ledger = empty();
        let mut taken = 0;
        let full = loop {
            let next = incident(
                &format!("q-{taken:06x}"),
                &format!("user-{taken:02}@example.com"),
            );
            match ledger.room_for(&next) {
                Ok(()) => ledger = ledger.with(&next),
                Err(full) => break full,
            }
            taken += 1;
        };
        assert!(
            matches!(full, Full::Tags(_) | Full::Characters(_)),
            "{full}"
        );
        assert!(taken >= 7, "{taken}");
        assert!(ledger.render().characters() <= MOST_CHARACTERS);
        assert!(ledger.keys.len() <= MOST_TAGS);
        let long = incident("q-ffffff", &"=".repeat(64));
        assert_eq!(empty().room_for(&long), Ok(()));
        let mut longer = long.clone();
        longer
            .session_names
            .extend([SessionName::parse(",".repeat(64)).unwrap()]);
        assert_eq!(empty().room_for(&longer), Err(Full::Names));
    }
}
