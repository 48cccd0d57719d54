//! Whether an organization is ready for an incident, judged before there is one.
//!
//! Arrives: a [`Checkup`]. Leaves: [`Finding`]s, each with a severity, one sentence of what was seen and, unless it is
//! green, what to do about it. Pure. What could not be learned is amber and says why: unknown is never green (R4).

mod canaries;

mod people;

mod rights;

pub use rights::to_simulate;

use jiff::SignedDuration;
use serde::Serialize;

use crate::facts::checkup::*;
use crate::facts::*;
use crate::ids::*;
use crate::incident::armed::Ledger;
use crate::plan::preflight::{MOST_ATTACHED, Refusal};

/// Credentials that live shorter than this end within an incident.
const SHORT: SignedDuration = SignedDuration::from_hours(1);

/// Credentials that live shorter than this may end before a deny is proven.
const TOO_SHORT: SignedDuration = SignedDuration::from_mins(15);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Green,
    /// Not known, or quell does less than it could.
    Amber,
    /// Somebody could not be cut off, or it could not be shown.
    Red,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// The organization, and where in it we are.
    Organization,
    /// Whether SCPs are enabled.
    ScpType,
    /// Places for SCPs on the root.
    Places,
    /// Whether a containment is one call.
    Armed,
    /// Identity Center.
    IdentityCenter,
    /// Account access manager.
    AccessManager,
    /// What people hold in the management account.
    ManagementAccount,
    /// The states of the member accounts.
    Accounts,
    /// The canary roles.
    Canaries,
    /// CloudTrail.
    Trail,
    /// GuardDuty.
    Detector,
    /// How long our credentials live.
    Credentials,
    /// What our identity may do.
    Rights,
    /// Names that no session can have.
    Usernames,
    /// Names that several people may have.
    NamesInCommon,
}

impl Item {
    /// Its name, for people.
    pub fn says(self) -> &'static str {
        match self {
            Item::Organization => "organization",
            Item::ScpType => "SCP type",
            Item::Places => "places on the root",
            Item::Armed => "armed",
            Item::IdentityCenter => "Identity Center",
            Item::AccessManager => "account access manager",
            Item::ManagementAccount => "management account",
            Item::Accounts => "member accounts",
            Item::Canaries => "canaries",
            Item::Trail => "CloudTrail",
            Item::Detector => "GuardDuty",
            Item::Credentials => "credentials",
            Item::Rights => "rights",
            Item::Usernames => "usernames",
            Item::NamesInCommon => "names in common",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Of what.
    pub item: Item,
    /// How bad.
    pub severity: Severity,
    /// What was seen, one sentence.
    pub seen: String,
    /// What to do; `null` for green.
    pub fix: Option<String>,
    /// All that it is about (accounts, names, rights), where it is about several.
    pub about: Vec<String>,
}

impl Finding {
    fn green(item: Item, seen: impl Into<String>) -> Self {
        Self {
            item,
            severity: Severity::Green,
            seen: seen.into(),
            fix: None,
            about: Vec::new(),
        }
    }

    fn amber(item: Item, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            severity: Severity::Amber,
            fix: Some(fix.into()),
            ..Self::green(item, seen)
        }
    }

    fn red(item: Item, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            severity: Severity::Red,
            ..Self::amber(item, seen, fix)
        }
    }

    fn unknown(item: Item, why: &str) -> Self {
        Self::amber(
            item,
            format!("Not known: {why}."),
            "Run it again when that answers; if it is a right that you lack, `quell prepare rights --read` has it.",
        )
    }

    fn about(self, about: Vec<String>) -> Self {
        Self { about, ..self }
    }
}

/// Judges, worst first and otherwise in the order of [`Item`]. The roles are those of the canaries, in the order they are
/// tried. Where AWS does not even say who we are there is one finding: nothing else was asked, for the same reason.
pub fn judge(facts: &Checkup, roles: &[RoleName]) -> Vec<Finding> {
    if facts.caller.known().is_none() {
        return vec![credentials(facts)];
    }
    let mut findings = vec![
        organization(facts),
        scp_type(facts),
        places(facts),
        armed(facts),
        identity_center(facts),
        access_manager(facts),
        management_account(facts),
        accounts(facts),
        trail(facts),
        detector(facts),
        credentials(facts),
    ];
    findings.extend(canaries::judge(facts, roles));
    findings.extend(rights::judge(facts));
    findings.extend(people::judge(facts));
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.item));
    findings
}

/// Some of a list, for a sentence that must end.
fn some(list: &[String]) -> String {
    const MOST: usize = 5;
    let shown: Vec<&str> = list.iter().take(MOST).map(String::as_str).collect();
    match list.len().checked_sub(MOST) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}

fn organization(facts: &Checkup) -> Finding {
    let item = Item::Organization;
    let organization = match &facts.organization {
        Known::Known(Some(organization)) => organization,
        Known::Known(None) => {
            return Finding::red(
                item,
                "This account is in no organization, so there is no SCP to attach.",
                "Use credentials of the organization's management account: `--profile <profile>`.",
            );
        }
        Known::Unknown(why) => return Finding::unknown(item, why),
    };
    let (id, management) = (&organization.id, &organization.management);
    let account = facts.caller.known().map(|caller| &caller.account);
    if !organization.all_features {
        let refusal = Refusal::NoFeatures;
        return Finding::red(item, format!("{id}: {refusal}."), refusal.hint());
    }
    match (account, &facts.root) {
        (Some(account), _) if account == management => Finding::green(
            item,
            format!("{id} has all features, and you are in its management account {management}."),
        ),
        (Some(account), Known::Known(_)) => Finding::green(
            item,
            format!(
                "{id} has all features, and lets account {account}, where you are, see its policies."
            ),
        ),
        (Some(account), Known::Unknown(_))
            if matches!(
                facts.rights.get("organizations:ListRoots"),
                Some(Evidence::Denied(_))
            ) =>
        {
            Finding::red(
                item,
                format!(
                    "You are in account {account}, which is neither {id}'s management account ({management}) nor a delegated administrator for policies."
                ),
                "Use credentials of the management account, or of an account that is delegated the policies: `--profile <profile>`.",
            )
        }
        (_, Known::Unknown(why)) => Finding::unknown(item, why),
        (None, Known::Known(_)) => Finding::unknown(item, "nobody said who you are"),
    }
}

fn scp_type(facts: &Checkup) -> Finding {
    let item = Item::ScpType;
    let root = match &facts.root {
        Known::Known(root) => root,
        Known::Unknown(why) => return Finding::unknown(item, why),
    };
    let id = &root.id;
    match root.scps {
        ScpType::Enabled => Finding::green(
            item,
            format!("Service control policies are enabled on root {id}."),
        ),
        ScpType::Pending => Finding::red(
            item,
            format!("Service control policies are being switched on or off on root {id}."),
            "Wait for it, then run this again.",
        ),
        ScpType::Disabled => Finding::red(
            item,
            format!(
                "Service control policies are switched off on root {id}: no deny can be attached."
            ),
            format!(
                "From the management account: `aws organizations enable-policy-type --root-id {id} --policy-type SERVICE_CONTROL_POLICY`."
            ),
        ),
    }
}

/// Whether the armed policy is on the root.
fn is_armed(facts: &Checkup) -> bool {
    let root = facts.root.known();
    let armed = facts.armed.known().and_then(Option::as_ref);
    root.zip(armed)
        .is_some_and(|(root, armed)| armed.targets.contains(&root.id))
}

fn places(facts: &Checkup) -> Finding {
    let item = Item::Places;
    let (root, attached) = match (&facts.root, &facts.attached) {
        (Known::Known(root), Known::Known(attached)) => (root, attached.len()),
        (Known::Unknown(why), _) | (_, Known::Unknown(why)) => return Finding::unknown(item, why),
    };
    let free = MOST_ATTACHED.saturating_sub(attached);
    let seen = format!(
        "{attached} of {MOST_ATTACHED} service control policies are attached to root {}",
        root.id
    );
    match free {
        _ if is_armed(facts) => Finding::green(item, format!("{seen}, the armed one among them.")),
        0 => {
            let target = root.id.clone();
            let refusal = Refusal::NoSlot { attached, target };
            Finding::red(
                item,
                format!("{seen}: there is no place for a deny."),
                refusal.hint(),
            )
        }
        1 => Finding::amber(
            item,
            format!("{seen}: there is place for one incident, and none for a second."),
            "Keep the place for all of them: `quell prepare arm`.",
        ),
        _ => Finding::green(item, format!("{seen}.")),
    }
}

fn armed(facts: &Checkup) -> Finding {
    let (item, arm) = (Item::Armed, "`quell prepare arm`.");
    match &facts.armed {
        Known::Unknown(why) => Finding::unknown(item, why),
        Known::Known(None) => Finding::amber(
            item,
            "Not armed: a containment is two calls and needs a free place.",
            arm,
        ),
        Known::Known(Some(armed)) if is_armed(facts) => waiting(armed),
        Known::Known(Some(armed)) if armed.targets.is_empty() => Finding::amber(
            item,
            format!("{} is there and attached nowhere.", armed.summary.id),
            arm,
        ),
        Known::Known(Some(armed)) => {
            let targets: Vec<String> = armed.targets.iter().map(TargetId::to_string).collect();
            Finding::amber(
                item,
                format!(
                    "{} is attached to {}, and not to the root: a containment there is two calls.",
                    armed.summary.id,
                    some(&targets)
                ),
                "`quell prepare disarm`, then `quell prepare arm`.",
            )
            .about(targets)
        }
    }
}

/// The armed policy where it belongs: whether it says what its tags say, and how many more it has room for.
fn waiting(armed: &ArmedPolicy) -> Finding {
    let (item, id) = (Item::Armed, &armed.summary.id);
    let ledger = match Ledger::read(armed) {
        Ok(ledger) => ledger,
        Err(error) => {
            return Finding::red(
                item,
                format!("{id} is attached, and its document cannot be read: {error}."),
                "Somebody else has written it. Where `quell status` shows no incident in it: `quell prepare disarm`, then `quell prepare arm`.",
            );
        }
    };
    if !ledger.agrees() {
        return Finding::red(
            item,
            format!(
                "The document of {id} is NOT what its tags say: somebody may be let in who is to be denied, or denied who was released."
            ),
            "`quell status` shows whom; `quell contain --resume <incident>` or `quell release <incident>` puts it right.",
        );
    }
    let seen = format!("{id} is attached and waits: a containment is one call");
    match ledger.room() {
        0 => Finding::amber(
            item,
            format!(
                "{id} is attached and full: the next incident is two calls and needs a free place."
            ),
            "Release what is over: `quell status`. What somebody else has written into it takes room, too.",
        ),
        room => Finding::green(item, format!("{seen}, with room for {room} more people.")),
    }
}

fn identity_center(facts: &Checkup) -> Finding {
    let item = Item::IdentityCenter;
    match &facts.instance {
        Known::Unknown(why) => Finding::unknown(item, why),
        Known::Known(None) => Finding::red(
            item,
            "No Identity Center instance of this organization can be seen from here.",
            "Name its Region: `--region <region>`. Where there is none, quell contains IAM users only.",
        ),
        Known::Known(Some(instance)) => {
            let region = instance.primary_region.as_ref().or(facts.region.as_ref());
            let region = region.map_or("a Region that AWS does not name", Region::as_str);
            Finding::green(
                item,
                format!("Directory {} answers in {region}.", instance.store),
            )
        }
    }
}

fn access_manager(facts: &Checkup) -> Finding {
    let item = Item::AccessManager;
    match &facts.access_manager {
        Known::Known(true) => Finding::green(item, "It answers."),
        Known::Known(false) => {
            Finding::green(item, "AWS does not offer it in Identity Center's Region.")
        }
        Known::Unknown(why) => Finding::amber(
            item,
            format!("Not known: {why}."),
            "Without it a release waits 12 hours, and somebody answers for the ways that it may give: `quell prepare rights --read` has its rights.",
        ),
    }
}

fn management_account(facts: &Checkup) -> Finding {
    let item = Item::ManagementAccount;
    let held = match &facts.in_management {
        Known::Known(held) => held,
        Known::Unknown(why) => return Finding::unknown(item, why),
    };
    let told: Vec<String> = held
        .iter()
        .map(|one| {
            let kind = if one.group { "group" } else { "user" };
            format!("{kind} {} has {}", one.who, one.set)
        })
        .collect();
    if told.is_empty() {
        return Finding::green(item, "Nobody holds a permission set there.");
    }
    Finding::amber(
        item,
        format!("No SCP applies there, and people can enter: {}.", some(&told)),
        "Take away what nobody needs there day by day (Identity Center, AWS accounts). Whoever keeps it is contained there by `quell evict --management` alone.",
    )
    .about(told)
}

fn accounts(facts: &Checkup) -> Finding {
    let item = Item::Accounts;
    let accounts = match &facts.accounts {
        Known::Known(accounts) => accounts,
        Known::Unknown(why) => return Finding::unknown(item, why),
    };
    let quiet = accounts.iter().filter(|account| !account.is_active());
    let quiet: Vec<String> = quiet
        .map(|account| format!("{} ({}, {})", account.id, account.name, account.state))
        .collect();
    if quiet.is_empty() {
        let many = members(facts).len();
        return Finding::green(item, format!("All {many} are active."));
    }
    Finding::amber(
        item,
        format!("No canary can ask in accounts that are not active: {}.", some(&quiet)),
        "Take the assignments there away: a user who has one is proven everywhere but there, and so never proven.",
    )
    .about(quiet)
}

/// The member accounts.
fn members(facts: &Checkup) -> Vec<&MemberAccount> {
    let organization = facts.organization.known().and_then(Option::as_ref);
    let is_member = |account: &&MemberAccount| {
        organization.is_some_and(|organization| organization.management != account.id)
    };
    let accounts = facts.accounts.known().into_iter().flatten();
    accounts.filter(is_member).collect()
}

fn trail(facts: &Checkup) -> Finding {
    let item = Item::Trail;
    let trails = match &facts.trails {
        Known::Known(trails) => trails,
        Known::Unknown(why) => return Finding::unknown(item, why),
    };
    let whole = |trail: &&Trail| trail.organization && trail.every_region;
    let on = |trail: &&Trail| trail.logging == Known::Known(true);
    let unread = trails.iter().find_map(|trail| match &trail.logging {
        Known::Unknown(why) => Some(why),
        Known::Known(_) => None,
    });
    let names: Vec<String> = trails.iter().map(|trail| trail.name.clone()).collect();
    let start = |name: &str| {
        format!("Switch it on: `aws cloudtrail start-logging --name {name}`, in its home Region.")
    };
    let watching = trails.iter().filter(whole).filter(on).map(recording);
    if let Some(found) = watching.min_by_key(|found| found.severity) {
        return found;
    }
    if let Some(why) = unread {
        return Finding::unknown(item, why);
    }
    if let Some(trail) = trails.iter().find(on) {
        return Finding::amber(
            item,
            format!(
                "Trail {} logs, and not every account and Region: what an attacker does elsewhere leaves no trace.",
                trail.name
            ),
            "Make it a multi-Region trail of the organization, from the management account (CloudTrail, Trails).",
        )
        .about(names);
    }
    match trails.first() {
        Some(trail) => Finding::red(
            item,
            format!(
                "No trail is logging ({}): what an attacker does leaves no trace.",
                some(&names)
            ),
            start(
                trails
                    .iter()
                    .find(whole)
                    .map_or(&trail.name, |whole| &whole.name),
            ),
        )
        .about(names),
        None => Finding::red(
            item,
            "There is no trail that can be seen from here: what an attacker does leaves no trace.",
            "Make a multi-Region trail of the organization, from the management account (CloudTrail, Trails).",
        ),
    }
}

/// Whether a trail of everywhere that is switched on has anything to show for it.
fn recording(trail: &Trail) -> Finding {
    let (item, name) = (Item::Trail, &trail.name);
    let only = |which: &str| {
        Finding::amber(
            item,
            format!(
                "Trail {name} logs every account and Region, and of management events only {which}."
            ),
            format!(
                "Let it take all of them, read and write (CloudTrail, Trails, {name}, Management events): `aws cloudtrail get-event-selectors --trail-name {name}` shows what it takes."
            ),
        )
    };
    match (&trail.undelivered, &trail.records) {
        (Known::Known(Some(error)), _) => Finding::red(
            item,
            format!(
                "Trail {name} cannot put its files into its bucket ({error}): what an attacker does leaves no trace there."
            ),
            format!(
                "Let CloudTrail write there: the bucket must exist and its policy allow cloudtrail.amazonaws.com to s3:PutObject. `aws cloudtrail get-trail-status --name {name}` shows when it last worked."
            ),
        ),
        (_, Known::Known(ManagementEvents::None)) => Finding::red(
            item,
            format!(
                "Trail {name} logs no management events: what an attacker does to accounts leaves no trace there."
            ),
            format!(
                "Let it take them, read and write: CloudTrail, Trails, {name}, Management events."
            ),
        ),
        (_, Known::Known(ManagementEvents::Reads)) => only("those that read: no change is in it"),
        (_, Known::Known(ManagementEvents::Writes)) => {
            only("those that write: what an attacker looked at is not in it")
        }
        (_, Known::Known(ManagementEvents::Some)) => only("some, by its selectors"),
        (Known::Unknown(why), _) | (_, Known::Unknown(why)) => Finding::unknown(item, why),
        (Known::Known(None), Known::Known(ManagementEvents::All)) => {
            Finding::green(item, format!("Trail {name} logs every account and Region."))
        }
    }
}

fn detector(facts: &Checkup) -> Finding {
    let item = Item::Detector;
    let region = facts.region.as_ref().map_or("this Region", Region::as_str);
    let detectors = match &facts.detectors {
        Known::Known(detectors) => detectors,
        Known::Unknown(why) => return Finding::unknown(item, why),
    };
    let Some(first) = detectors.first() else {
        return Finding::amber(
            item,
            format!("This account has no detector in {region}, so no finding comes from there."),
            format!(
                "`aws guardduty create-detector --enable --region {region}`; if GuardDuty is another account's or Region's, check with `--profile` or `--region`."
            ),
        );
    };
    let is = |wanted: bool| move |one: &&Detector| one.enabled == Known::Known(wanted);
    if let Some(on) = detectors.iter().find(is(true)) {
        return Finding::green(item, format!("Detector {} is on in {region}.", on.id));
    }
    match &first.enabled {
        Known::Unknown(why) => Finding::unknown(item, why),
        Known::Known(_) => Finding::amber(
            item,
            format!(
                "Detector {} of {region} is suspended: no finding comes from there.",
                first.id
            ),
            format!(
                "`aws guardduty update-detector --detector-id {} --enable --region {region}`.",
                first.id
            ),
        ),
    }
}

fn credentials(facts: &Checkup) -> Finding {
    let item = Item::Credentials;
    let renew = "Renew them: `aws sso login --profile <profile>`, or assume the role for longer.";
    let caller = match &facts.caller {
        Known::Known(caller) => caller,
        Known::Unknown(why) => {
            return Finding::red(
                item,
                format!("AWS does not say who you are, so nothing else was asked: {why}."),
                "Sign in (`aws sso login --profile <profile>`), and check the network, the proxy (HTTPS_PROXY) and the Region; then run it again.",
            );
        }
    };
    let Some(expires) = caller.expires else {
        // A session ends, also where nobody says when: an access key in the environment tells nothing of it.
        if caller.arn.contains(":assumed-role/") || caller.arn.contains(":federated-user/") {
            return Finding::amber(
                item,
                format!("{}, a session that does not tell when it ends.", caller.arn),
                "Look when it was given out, or sign in so that it is known: `aws sso login --profile <profile>`.".to_owned(),
            );
        }
        return Finding::green(
            item,
            format!("{}, with credentials that do not end.", caller.arn),
        );
    };
    let left = expires.duration_since(facts.asked_at);
    let seen = format!("{}, until {expires}", caller.arn);
    if left < TOO_SHORT {
        let why = "they may end before a deny is proven";
        Finding::red(
            item,
            format!("{seen}: less than 15 minutes from now; {why}."),
            renew,
        )
    } else if left < SHORT {
        Finding::amber(item, format!("{seen}: less than an hour from now."), renew)
    } else {
        Finding::green(item, format!("{seen}."))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rights::RIGHTS;

    fn id<T, E: std::fmt::Debug>(parsed: Result<T, E>) -> T {
        parsed.unwrap()
    }

    fn policy(name: &str) -> PolicySummary {
        PolicySummary {
            id: id(PolicyId::parse("p-abcdefgh")),
            arn: id(PolicyArn::parse(
                "arn:aws:organizations::111122223333:policy/x",
            )),
            name: name.to_owned(),
            description: String::new(),
        }
    }

    /// An organization of which nothing can be learned but who we are in it.
    fn in_the_dark() -> Checkup {
        fn dark<T>() -> Known<T> {
            Known::Unknown("denied".to_owned())
        }
        let caller = Caller {
            account: id(AccountId::parse("111122223333")),
            arn: "arn:aws:iam::111122223333:user/responder".to_owned(),
            user_id: "AIDAQUELLRESPONDER000".to_owned(),
            expires: None,
        };
        Checkup {
            asked_at: id("2026-11-22T03:00:00Z".parse()),
            region: None,
            caller: Known::Known(caller),
            organization: dark(),
            root: dark(),
            attached: dark(),
            armed: dark(),
            instance: dark(),
            access_manager: dark(),
            in_management: dark(),
            users: dark(),
            accounts: dark(),
            canaries: BTreeMap::new(),
            trails: dark(),
            detectors: dark(),
            rights: BTreeMap::new(),
            not_simulated: None,
        }
    }

    fn with_root(attached: usize) -> Checkup {
        Checkup {
            root: Known::Known(Root {
                id: id(TargetId::parse("r-ab12")),
                scps: ScpType::Enabled,
            }),
            attached: Known::Known(vec![policy("x"); attached]),
            armed: Known::Known(None),
            ..in_the_dark()
        }
    }

    #[test]
    fn unknown_is_never_green() {
        let findings = judge(&in_the_dark(), &[]);
        let (known, unknown): (Vec<&Finding>, Vec<&Finding>) = findings
            .iter()
            .partition(|one| one.item == Item::Credentials);
        assert_eq!(known.len(), 1);
        assert!(unknown.len() >= 14, "{unknown:?}");
        for finding in unknown {
            assert_eq!(finding.severity, Severity::Amber, "{finding:?}");
            assert!(finding.fix.is_some(), "{finding:?}");
        }
    }

    #[test]
    fn places_are_enough_for_a_second_incident_or_said_not_to_be() {
        for (attached, severity) in [
            (1, Severity::Green),
            (8, Severity::Green),
            (9, Severity::Amber),
            (10, Severity::Red),
        ] {
            let finding = places(&with_root(attached));
            assert_eq!(finding.severity, severity, "{attached}: {}", finding.seen);
        }
    }

    #[test]
    fn an_armed_policy_helps_where_it_is_attached() {
        for (target, severity) in [
            (Some("r-ab12"), Severity::Green),
            (Some("ou-ab12-11111111"), Severity::Amber),
            (None, Severity::Amber),
        ] {
            let mut facts = with_root(10);
            facts.armed = Known::Known(Some(ArmedPolicy {
                summary: policy(ARMED_POLICY),
                tags: BTreeMap::new(),
                content: crate::incident::armed::unwritten().minified(),
                targets: target
                    .map(|target| id(TargetId::parse(target)))
                    .into_iter()
                    .collect(),
            }));
            assert_eq!(armed(&facts).severity, severity, "{target:?}");
            // A full root is no trouble where it is armed, and is anywhere else.
            let full = places(&facts).severity;
            assert_eq!(
                full == Severity::Green,
                severity == Severity::Green,
                "{target:?}"
            );
        }
    }

    #[test]
    fn a_trail_of_which_nobody_knows_whether_it_logs_is_not_taken_for_one_that_does() {
        let trail = |whole: bool, logging: Known<bool>| Trail {
            name: "t".to_owned(),
            organization: whole,
            every_region: whole,
            logging,
            undelivered: Known::Known(None),
            records: Known::Known(ManagementEvents::All),
        };
        let unread = || Known::Unknown("denied".to_owned());
        for (trails, severity) in [
            (vec![trail(true, unread())], Severity::Amber),
            (
                vec![trail(false, Known::Known(true)), trail(true, unread())],
                Severity::Amber,
            ),
            (
                vec![
                    trail(true, Known::Known(false)),
                    trail(false, Known::Known(true)),
                ],
                Severity::Amber,
            ),
            (vec![trail(true, Known::Known(false))], Severity::Red),
            (
                vec![trail(false, unread()), trail(true, Known::Known(true))],
                Severity::Green,
            ),
        ] {
            let facts = Checkup {
                trails: Known::Known(trails),
                ..in_the_dark()
            };
            assert_eq!(
                super::trail(&facts).severity,
                severity,
                "{:?}",
                facts.trails
            );
        }
    }

    #[test]
    fn what_is_simulated_for_a_delegate_is_not_certain() {
        let mut facts = in_the_dark();
        facts.rights = RIGHTS
            .iter()
            .map(|right| (right.action, Evidence::Simulated))
            .collect();
        let organization = |management: &str| {
            Known::Known(Some(Organization {
                id: id(OrganizationId::parse("o-abcdefghij")),
                management: id(AccountId::parse(management)),
                all_features: true,
            }))
        };
        facts.organization = organization("111122223333");
        let of = |facts: &Checkup| super::rights::judge(facts);
        assert_eq!(of(&facts)[0].severity, Severity::Green);
        facts.organization = organization("999988887777");
        let found = of(&facts);
        assert_eq!(found[0].severity, Severity::Amber);
        let unclear = &found[0].about;
        assert!(
            unclear
                .iter()
                .any(|action| action == "organizations:AttachPolicy")
        );
        assert!(
            !unclear
                .iter()
                .any(|action| action == "cloudtrail:DescribeTrails")
        );
    }
}
