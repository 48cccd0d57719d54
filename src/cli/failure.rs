//! Blame, in one place: what was wrong, what was and was not changed, what to type next, and the exit code.

use std::path::Path;

use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cloud::{ConnectError, Trouble, TroubleKind};
use crate::ids::{ARMED_POLICY, IncidentId, NotAnId};
use crate::journal::{JournalError, Purpose, State, Status, WayStatus};
use crate::plan::StepName;
use crate::plan::approval::NotApproved;
use crate::plan::arming::Unready;
use crate::plan::preflight::Refusal;
use crate::playbook::PlaybookError;
use crate::policy::{NoDraft, NothingToDeny};
use crate::principal::NotCovered;
use crate::report::human::{clean, clean_lines};
use crate::respond::{NotPrepared, Stale, Stopped};
use crate::signal::operator::NotUnderstood;
use crate::signal::{Nobody, ReadError};
use crate::survey::SurveyError;
use crate::survey::whose::WhoseError;

/// Why a verb did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// `quell.error/1`.
    pub schema: &'static str,
    /// The exit code.
    pub exit: Exit,
    /// What was wrong, a lower-case fragment.
    pub error: String,
    /// What was and was not changed, full sentences.
    pub changed: String,
    /// What to do, full sentences; the last one has the command to type.
    pub hints: Vec<String>,
}

const NOTHING: &str = "Nothing was changed.";

impl Failure {
    /// A failure before anything was changed.
    pub fn new(exit: Exit, error: impl ToString) -> Self {
        Self {
            schema: "quell.error/1",
            exit,
            error: clean(&error.to_string()),
            changed: NOTHING.to_owned(),
            hints: Vec::new(),
        }
    }

    /// Something is to be done under a deny that does not refuse yet.
    pub fn not_attached(id: &IncidentId) -> Self {
        let not = format!("the deny of {id} is not attached where it belongs, and it comes first");
        Self::new(Exit::Refused, not).hint(format!("Attach it: `quell contain --resume {id}`."))
    }

    /// Something is wrong with what was given.
    pub fn usage(error: impl ToString) -> Self {
        Self::new(Exit::Usage, error)
    }

    /// After others whom the same command has denied already.
    pub fn with_before(mut self, denied: &[String]) -> Self {
        if !denied.is_empty() {
            let before = denied
                .iter()
                .map(|one| format!("Before that: {}.", clean(one)));
            let before: Vec<String> = before.collect();
            self.changed = format!("{} Of this user: {}", before.join(" "), self.changed);
            self = self.hint("Go on: type the same command again; it takes up what is there. What AWS has: `quell status`.");
        }
        self
    }

    /// With one more hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// After changes, or what may be changes.
    fn after(mut self, state: &State, incident: &IncidentId) -> Self {
        self.changed = changed(state);
        if state.changed() {
            self.exit = Exit::Partly;
            if state.released {
                self.exit = Exit::NotProven;
                self.hints = vec!["The deny is gone; that the person is let in again was not shown. Try a call of theirs.".to_owned()];
                return self;
            }
            self.hints
                .push(format!("See what AWS has: `quell status {incident}`."));
            if matches!(
                state.purpose,
                Some(Purpose::Evict | Purpose::Readmit | Purpose::Trace)
            ) {
                self.hints.push(
                    "Go on: type the same command again; it takes up what is there.".to_owned(),
                );
                return self;
            }
            self.hints
                .push(format!("Take it away: `quell release {incident} --force`."));
            self.hints.push(if state.steps.iter().any(|(step, _)| step.releases()) {
                "Go on: type the same command again; it takes up what is there.".to_owned()
            } else {
                format!("Go on: type the same command again, or `quell contain --resume {incident}`; it takes up what is there.")
            });
        }
        self
    }

    /// Why the driver stopped, without what was changed.
    fn of_stopped(stopped: &Stopped) -> Self {
        let failure = match stopped {
            Stopped::Journal(error) | Stopped::Unrecorded { error, .. } => {
                Self::from(error.clone())
            }
            Stopped::Failed { trouble, .. }
            | Stopped::Unsettled { trouble, .. }
            | Stopped::Read(trouble) => Self::from(trouble.clone()),
            Stopped::Armed(_) | Stopped::Restless | Stopped::Held(_) | Stopped::UserDenied(_) => {
                Self::new(Exit::Failed, "")
            }
        };
        Self {
            error: clean(&stopped.to_string()),
            ..failure
        }
    }

    /// The driver stopped.
    pub fn stopped(stopped: &Stopped, state: &State, incident: &IncidentId) -> Self {
        let mut failure = Self::of_stopped(stopped);
        match stopped {
            // What no file tells of is told here, with the very calls that undo it.
            Stopped::Unrecorded { step, policy, .. } => {
                let mut state = state.clone();
                state.policy = Some(policy.clone());
                if let Some((last, status @ Status::Started)) = state.steps.last_mut()
                    && last == step
                {
                    *status = Status::Done;
                }
                failure = failure.after(&state, incident);
                failure.hints.extend(undo_by_hand(&state, incident));
                failure
            }
            Stopped::Journal(_) => {
                failure = failure.after(state, incident);
                failure.hints.extend(undo_by_hand(state, incident));
                failure
            }
            Stopped::Armed(_) if state.steps.iter().any(|(step, _)| step.releases()) => {
                failure.after(state, incident)
            }
            Stopped::Armed(_) => failure.after(state, incident).hint(format!(
                "Deny them in a policy of its own: `quell contain <user> --cold`. The armed policy as it stands: `quell status {incident}`."
            )),
            Stopped::Held(_) => {
                failure.exit = Exit::Partly;
                failure.changed =
                    "The deny stands: only its tags know which inline policies have it, too.".to_owned();
                failure.hint(format!(
                    "Go on: `quell release {incident}`. To leave that policy as it is: `quell release {incident} --force`."
                ))
            }
            Stopped::UserDenied(_) => {
                failure.exit = Exit::Partly;
                failure.changed =
                    "The deny stands: only its tags know of the inline deny on the user.".to_owned();
                let policy = incident.policy_name();
                failure.hint(format!(
                    "Go on: `quell release {incident}` (`--canary-role <role>` for a role that may). By hand, in the user's account: `aws iam delete-user-policy --policy-name {policy} --user-name <name>`. To leave it: `quell release {incident} --force`."
                ))
            }
            Stopped::Failed { .. }
            | Stopped::Unsettled { .. }
            | Stopped::Read(_)
            | Stopped::Restless => {
                failure.after(state, incident)
            }
        }
    }

    /// The driver stopped, or Ctrl-C came, at what is about no incident.
    pub fn of_verb(stopped: Option<&Stopped>, state: &State, verb: &str) -> Self {
        let failure = match stopped {
            Some(stopped) => Self::of_stopped(stopped),
            None => Self::new(Exit::Interrupted, "interrupted"),
        };
        if !state.changed() {
            return failure;
        }
        Self {
            changed: changed(state),
            exit: if stopped.is_some() {
                Exit::Partly
            } else {
                Exit::Interrupted
            },
            ..failure
        }
        .hint(format!("Go on: `quell {verb}`; it takes up what is there."))
    }

    /// Ctrl-C.
    pub fn interrupted(state: &State, incident: &IncidentId) -> Self {
        let mut failure = Self::new(Exit::Interrupted, "interrupted").after(state, incident);
        failure.exit = Exit::Interrupted;
        failure
    }

    /// Preflight said no.
    pub fn refused(refusals: &[Refusal]) -> Self {
        let reasons: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        let mut failure = Self::new(Exit::Refused, reasons.join("; "));
        failure.hints = refusals.iter().map(Refusal::hint).collect();
        failure
    }

    /// A file that cannot be read.
    pub fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::usage(format!("{}: {error}", path.display()))
    }
}

/// The calls that take away what was changed and could not be recorded.
fn undo_by_hand(state: &State, incident: &IncidentId) -> Vec<String> {
    let Some(policy) = state.policy.as_ref().filter(|_| state.changed()) else {
        return Vec::new();
    };
    let did = |which: StepName| {
        let is = |(step, status): &(StepName, Status)| *step == which && *status != Status::Failed;
        state.steps.iter().any(is)
    };
    if did(StepName::UpdatePolicy) || did(StepName::TagPolicy) {
        return vec![format!(
            "Without a record, from any machine with a disk: `quell release {incident} --force --state-dir <directory>`."
        )];
    }
    // Only what this run has made or begun to take away: the policy may be others', too.
    let own = did(StepName::CreatePolicy) || did(StepName::DetachPolicy);
    let attached = did(StepName::AttachPolicy) || did(StepName::DetachPolicy);
    if !own {
        return Vec::new();
    }
    let mut commands = Vec::new();
    if let Some(target) = state.target.as_ref().filter(|_| attached) {
        commands.push(format!(
            "`aws organizations detach-policy --policy-id {policy} --target-id {target}`"
        ));
    }
    commands.push(format!(
        "`aws organizations delete-policy --policy-id {policy}`"
    ));
    vec![format!(
        "To undo it without a record: {}.",
        commands.join(", then ")
    )]
}

/// What the journal says was and was not done.
fn changed(state: &State) -> String {
    if !state.changed() {
        return NOTHING.to_owned();
    }
    let policy = state
        .policy
        .as_ref()
        .map_or("the policy", |policy| policy.as_str());
    let said: Vec<String> = state
        .steps
        .iter()
        .map(|(step, status)| {
            let what = match step {
                StepName::CreatePolicy => format!("{policy} was created"),
                StepName::AttachPolicy => {
                    format!("{policy} was attached: the deny is in force or about to be")
                }
                StepName::RecordProof => "the proof was written on the policy".to_owned(),
                StepName::RecordEviction => {
                    "what eviction came to was written on the policy".to_owned()
                }
                StepName::RecordChained => {
                    "whom the principal became was written on the policy".to_owned()
                }
                StepName::DenyChained => {
                    format!("{policy} was made to deny whom the principal became")
                }
                StepName::NarrowDeny => {
                    format!("the deny of {policy} was narrowed to older sessions")
                }
                StepName::DetachPolicy => format!("{policy} was detached"),
                StepName::DeletePolicy => format!("{policy} was deleted"),
                StepName::UpdatePolicy => {
                    format!("the deny was written into {policy}: it is in force or about to be")
                }
                StepName::TagPolicy => format!("the incident was entered in the tags of {policy}"),
                StepName::AlignPolicy => format!("{policy} was brought in line with its tags"),
                StepName::MarkLeaving => "the incident was marked as leaving".to_owned(),
                StepName::TakeOut => format!("the deny was taken out of {policy}"),
                StepName::ClearTags => "the incident's tags were cleared".to_owned(),
            };
            match status {
                Status::Done => format!("Done: {what}."),
                Status::Failed => format!("NOT done: {what}."),
                Status::Started | Status::Unsettled => format!("UNKNOWN whether {what}."),
            }
        })
        .collect();
    let of = |status: WayStatus| state.ways.values().filter(|way| **way == status).count();
    let ways = [
        (
            of(WayStatus::Closed),
            "Done: closed",
            "ways to new sessions",
        ),
        (
            of(WayStatus::Reopened),
            "Done: opened again",
            "ways to new sessions",
        ),
        (of(WayStatus::Stuck), "NOT done:", "ways to new sessions"),
        (
            of(WayStatus::Begun) + of(WayStatus::Unsettled),
            "UNKNOWN of",
            "ways that were begun (`quell evict` or `--restore` again reads which)",
        ),
    ];
    let told = ways.into_iter().filter(|(many, _, _)| *many > 0);
    let told = told.map(|(many, what, whose)| format!("{what} {many} {whose}."));
    let touched = state
        .touched
        .iter()
        .map(|what| format!("Begun or done: {what}."));
    let all: Vec<String> = said.into_iter().chain(told).chain(touched).collect();
    all.join(" ")
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let failure = Self::new(Exit::Failed, &trouble);
        match trouble.kind {
            TroubleKind::Credentials => failure.hint("Sign in (`aws sso login --profile <profile>`), then run it again with `--profile <profile>`."),
            TroubleKind::Expired => failure.hint("Renew your credentials (`aws sso login --profile <profile>`), then run it again."),
            TroubleKind::Denied => failure.hint("Your identity lacks the right; `quell prepare rights` lists those that quell needs, and `quell prepare check` those that you lack. Use another one with `--profile <profile>`."),
            TroubleKind::Throttled => failure.hint("AWS throttles this account's calls. Wait a moment and run it again."),
            TroubleKind::Busy => failure.hint("Somebody else is changing the organization's policies. Wait a moment and run it again."),
            TroubleKind::Unreachable => failure.hint("Check the network, the proxy (HTTPS_PROXY), the Region and AWS_ENDPOINT_URL, then run it again."),
            TroubleKind::Unreadable => failure.hint("Something between here and AWS answers in its place (a proxy, an endpoint that is not AWS), or AWS has an outage. Run it again."),
            TroubleKind::Refused => failure,
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let failure = Self::usage(&error);
        match error {
            ConnectError::NoRegion | ConnectError::BadRegion(_) => failure
                .hint("Name Identity Center's Region: `--region eu-west-1`, or set AWS_REGION."),
            ConnectError::Http(_) => failure,
        }
    }
}

impl From<NotPrepared> for Failure {
    fn from(error: NotPrepared) -> Self {
        match error {
            NotPrepared::NotCovered(error) => error.into(),
            NotPrepared::Survey(error) => error.into(),
            NotPrepared::NothingToDeny(error) => error.into(),
            NotPrepared::Trouble(trouble) => trouble.into(),
            NotPrepared::Altered { ref incident, .. } => Self::new(Exit::Refused, &error)
                .hint(format!("Take that incident away, then contain again: `quell release {incident} --force`.")),
        }
    }
}

impl From<SurveyError> for Failure {
    fn from(error: SurveyError) -> Self {
        match error {
            SurveyError::Trouble(trouble) => trouble.into(),
            SurveyError::NoOrganization { .. } => {
                Self::new(Exit::Refused, &error).hint("Use credentials of the organization's management account: `--profile <profile>`.")
            }
            SurveyError::NotManagement { .. } => Self::new(Exit::Refused, &error)
                .hint("Use credentials of the management account, or of an account that is delegated the policies: `--profile <profile>`."),
            SurveyError::NoIdentityCenter => Self::new(Exit::Refused, &error).hint("Name its Region: `--region <region>`."),
            SurveyError::NoSuchIamUser { ref account, .. } => Self::new(Exit::Failed, &error)
                .hint(format!("Look the user up with credentials of account {account}: `aws iam list-users`.")),
            SurveyError::AnotherIamUser { ref account, ref name, .. } => Self::new(Exit::Refused, &error)
                .hint(format!("Somebody has made the user anew since. If whoever is there now is to be contained: `quell contain arn:aws:iam::{account}:user/{name}`.")),
            SurveyError::InManagement { ref instead, .. } => {
                let instead = instead.clone();
                Self::new(Exit::Refused, &error).hint(instead)
            }
            SurveyError::NotAMember { .. } => Self::new(Exit::Refused, &error)
                .hint("If it is of another organization of yours, use credentials of that one: `--profile <profile>`. If a user of this one is meant, name them: `quell contain <username>`."),
            SurveyError::ServiceLinked { ref role } => Self::new(Exit::Refused, &error)
                .hint(format!("With credentials of its account: `aws iam delete-service-linked-role --role-name {role}`, or switch the service off.")),
            SurveyError::NoRoleId { ref account, ref name, .. } => Self::new(Exit::Failed, &error)
                .hint(format!("Read it with credentials of account {account}: `aws iam get-role --role-name {name} --query Role.RoleId`, then `quell contain <AROA…>`.")),
            SurveyError::NoSuchUser { .. } => Self::new(Exit::Failed, &error)
                .hint("Look the user up: `aws identitystore list-users --identity-store-id <d-…>`. A finding names its user by itself: `quell contain --finding-file <file>`."),
            SurveyError::SeveralUsers { .. } => {
                Self::new(Exit::Failed, &error).hint("Name one by user id: `quell contain <user id>`.")
            }
        }
    }
}

impl From<NotCovered> for Failure {
    fn from(error: NotCovered) -> Self {
        Self::new(Exit::Refused, &error).hint(error.instead)
    }
}

impl From<NoDraft> for Failure {
    fn from(error: NoDraft) -> Self {
        match error {
            NoDraft::Nothing(nothing) => nothing.into(),
            NoDraft::DoesNotFit(error) => Self::new(Exit::Refused, error).hint(format!(
                "Draft at most {} at a time, each draft with an `--incident` of its own: they are as many policies.",
                error.fit
            )),
        }
    }
}

impl From<NothingToDeny> for Failure {
    fn from(error: NothingToDeny) -> Self {
        Self::new(Exit::Refused, error).hint(
            "Name them by the id that the directory gave them: `--user-id <id>` of `quell policy draft`. Without one, remove their assignments by hand (`quell playbook show` has the checklist).",
        )
    }
}

impl From<Nobody> for Failure {
    fn from(nobody: Nobody) -> Self {
        Self::new(
            Exit::Refused,
            format!("the finding cannot be contained: {nobody}"),
        )
        .hint(nobody.instead())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::usage(error).hint("A finding looks like the output of `aws guardduty get-findings`. To see what is understood: `quell signal read <file>`.")
    }
}

impl From<NotUnderstood> for Failure {
    fn from(error: NotUnderstood) -> Self {
        let hint = match &error {
            NotUnderstood::Nobody { instead, .. } => *instead,
            NotUnderstood::Empty | NotUnderstood::TooLong(_) | NotUnderstood::NotAnId(_) => {
                "Name the user: `quell contain <username>`; every form that is understood: `quell contain --help`."
            }
        };
        Self::usage(&error).hint(hint)
    }
}

impl From<WhoseError> for Failure {
    fn from(error: WhoseError) -> Self {
        match &error {
            WhoseError::NotRecorded { .. } => Self::new(Exit::Failed, &error)
                .hint("Name the Region that it was used in: `--region <region>`; or name the user yourself: `quell contain <username or ARN>`."),
            WhoseError::Trouble { trouble, .. } => {
                let of_trouble = Self::from(trouble.clone());
                let failure = Self::new(of_trouble.exit, &error);
                let failure = of_trouble.hints.into_iter().fold(failure, Self::hint);
                failure.hint("It takes sts:GetAccessKeyInfo, and cloudtrail:LookupEvents in the account. Without: `quell contain <username or ARN>`.")
            }
        }
    }
}

impl From<NotAnId> for Failure {
    fn from(error: NotAnId) -> Self {
        Self::usage(error)
    }
}

impl From<PlaybookError> for Failure {
    fn from(error: PlaybookError) -> Self {
        // The one error of several lines: it shows the line of the file.
        let error = format!(
            "the playbook is not usable: {}",
            clean_lines(&error.to_string())
        );
        Self {
            error,
            ..Self::usage("")
        }
        .hint("See a sound one: `quell playbook show identity-center-user`.")
    }
}

impl From<NotApproved> for Failure {
    fn from(error: NotApproved) -> Self {
        Self::new(Exit::Refused, format!("not approved: {error}"))
            .hint("Run the command again; the survey is made anew.")
    }
}

impl From<Unready> for Failure {
    fn from(error: Unready) -> Self {
        let failure = Self::new(Exit::Refused, &error);
        match error {
            Unready::Refused(_, hint) => failure.hint(hint),
            Unready::Elsewhere(_) => failure.hint("Take it away first: `quell prepare disarm`."),
            Unready::Unread(_) => failure.hint(format!(
                "See what it is: `aws organizations list-policies --filter SERVICE_CONTROL_POLICY`; quell uses one of the name {ARMED_POLICY} only when it can read it."
            )),
            Unready::InUse(incidents) => {
                let first = incidents.first().map_or("", IncidentId::as_str);
                failure.hint(format!(
                    "Release them first: `quell release {first}`; all of them: `quell status`."
                ))
            }
            Unready::Foreign(_) => failure.hint(
                "Look at them (`aws organizations describe-policy`) and move them to a policy of their own.",
            ),
        }
    }
}

impl From<Stale> for Failure {
    fn from(error: Stale) -> Self {
        match error {
            Stale::Trouble(trouble) => trouble.into(),
            Stale::Moved(_) => Self::new(Exit::Refused, format!("not approved: {error}"))
                .hint("Run the command again; the survey is made anew."),
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let unreadable = matches!(
            error,
            JournalError::Unreadable(_) | JournalError::Newer { .. }
        );
        let failure = Self::new(Exit::Failed, error);
        if unreadable {
            failure.hint("Leave it as evidence, and keep a new journal beside it: `--state-dir <directory>`. AWS remembers the incident.")
        } else {
            failure.hint("quell changes nothing that it cannot record. Name a directory that can be written: `--state-dir <directory>`.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PolicyId;
    use crate::journal::{Event, Purpose};

    #[test]
    fn after_a_release_nothing_says_that_nothing_was_changed() {
        let incident = IncidentId::from_bytes([1, 2, 3]);
        let policy = PolicyId::parse("p-abcdefgh").unwrap();
        let mut state = State::default();
        let taken_up = Event::TakenUp {
            incident: incident.clone(),
            purpose: Purpose::Release,
            operator: String::new(),
            forced_past: None,
        };
        state = state.then(&taken_up).unwrap();
        assert_eq!(Failure::interrupted(&state, &incident).changed, NOTHING);
        for step in [StepName::DetachPolicy, StepName::DeletePolicy] {
            let (policy, found) = (policy.clone(), false);
            state = state.then(&Event::Started { step }).unwrap();
            let unknown = Failure::interrupted(&state, &incident).changed;
            assert!(unknown.contains("UNKNOWN whether"), "{unknown}");
            state = state
                .then(&Event::Done {
                    step,
                    policy,
                    found,
                })
                .unwrap();
        }
        state = state.then(&Event::Released).unwrap();
        let failure = Failure::interrupted(&state, &incident);
        assert!(
            failure.changed.contains("p-abcdefgh was deleted"),
            "{}",
            failure.changed
        );
        assert!(
            failure.hints.iter().all(|hint| !hint.contains("--force")),
            "{:?}",
            failure.hints
        );
    }

    #[test]
    fn a_detach_that_was_done_is_not_forgotten_when_the_next_one_fails() {
        let incident = IncidentId::from_bytes([1, 2, 3]);
        let step = StepName::DetachPolicy;
        let done = Event::Done {
            step,
            policy: PolicyId::parse("p-abcdefgh").unwrap(),
            found: false,
        };
        let failed = Event::Failed {
            step,
            why: String::new(),
        };
        let mut state = State {
            incident: Some(incident.clone()),
            ..State::default()
        };
        for event in [
            Event::Started { step },
            done,
            Event::Started { step },
            failed,
        ] {
            state = state.then(&event).unwrap();
        }
        let failure = Failure::interrupted(&state, &incident);
        assert!(
            failure.changed.contains("Done:") && failure.changed.contains("NOT done:"),
            "{}",
            failure.changed
        );
    }
}
