//! Several operators at once: every call of each can come before or after every call of the others, and any of them can
//! die at any call and come back. Whatever the order: who is denied is the union of what is open, nobody else is, and
//! nothing is left over. The reference is a list of who contained and released what, and when.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use proptest::prelude::*;
use quell::aws::{Aws, retries, wire};
use quell::cloud::Cloud as _;
use quell::facts::{PolicySummary, TaggedPolicy};
use quell::ids::*;
use quell::incident::Incident;
use quell::incident::armed::Ledger;
use quell::journal::{Journal, Purpose, Store};
use quell::plan::Begun;
use quell::plan::approval::Approval;
use quell::plan::arming::{Arming, Disarming};
use quell::playbook::shelf::Shelf;
use quell::policy::session_user_ids_in;
use quell::range::Range;
use quell::range::build::{OPERATOR_KEY, SECRET};
use quell::respond::{self, Asked, Response, memory};
use quell::signal::Suspect;
use quell::survey;
use tokio::sync::oneshot;

use crate::arming::{armed, is_refused};
use crate::practice::{Practice, runner};

/// Whom they contain; each has sessions in the practice organization.
const USERS: [&str; 3] = ["test-user", "alice@example.com", "dave"];

/// Whom they became, under other names.
const BECAME: [&str; 2] = [
    "AROAAAAAAAAAAAAAAAAAA:nightly-report",
    "AROABBBBBBBBBBBBBBBBB:build-agent",
];

/// What an operator is told to do.
#[derive(Debug, Clone, PartialEq)]
enum Action {
    Contain {
        user: usize,
        cold: bool,
    },
    Release {
        user: usize,
    },
    /// Denies one of [`BECAME`] beside somebody whose incident is open.
    Chain {
        user: usize,
        became: usize,
    },
    Arm,
    Disarm,
}

/// What happens next: somebody's call is let through, or somebody dies at it.
#[derive(Debug, Clone, Copy)]
struct Turn {
    who: u8,
    dies: Option<Side>,
}

/// On which side of a call.
#[derive(Debug, Clone, Copy)]
enum Side {
    Before,
    After,
}

/// The calls that wait for their turn.
#[derive(Debug, Clone, Default)]
struct Turnstile(Arc<Mutex<Vec<Waiting>>>);

#[derive(Debug)]
struct Waiting {
    operator: usize,
    go: oneshot::Sender<Option<Side>>,
}

/// One operator's way to the range, through the turnstile.
#[derive(Debug, Clone)]
struct Gate {
    range: Range,
    operator: usize,
    turnstile: Turnstile,
}

impl HttpClient for Gate {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Gate {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (go, turn) = oneshot::channel();
        let operator = self.operator;
        self.turnstile
            .0
            .lock()
            .unwrap()
            .push(Waiting { operator, go });
        let range = self.range.clone();
        HttpConnectorFuture::new(async move {
            if let Ok(Some(Side::After)) = turn.await {
                // It happens, and whoever asked does not live to hear of it.
                drop(HttpConnector::call(&range, request).await);
                return std::future::pending().await;
            }
            HttpConnector::call(&range, request).await
        })
    }
}

/// A journal that outlives its process.
#[derive(Debug, Clone, Default)]
struct Disk(Rc<Mutex<BTreeMap<IncidentId, Vec<String>>>>);

struct OnDisk {
    disk: Disk,
    incident: IncidentId,
}

impl Store for OnDisk {
    fn append(&mut self, line: &str) -> Result<(), String> {
        let mut disk = self.disk.0.lock().unwrap();
        disk.entry(self.incident.clone())
            .or_default()
            .push(line.to_owned());
        Ok(())
    }
}

impl Disk {
    fn open(&self, incident: &IncidentId) -> Journal<OnDisk> {
        let lines = self
            .0
            .lock()
            .unwrap()
            .get(incident)
            .cloned()
            .unwrap_or_default();
        let disk = self.clone();
        let incident = incident.clone();
        Journal::after(&lines, OnDisk { disk, incident }).unwrap()
    }

    fn begun(&self) -> Vec<Begun> {
        let incidents: Vec<IncidentId> = self.0.lock().unwrap().keys().cloned().collect();
        let of = |incident: &IncidentId| {
            let journal = self.open(incident);
            let state = journal.state();
            let open = !state.released && !state.proven;
            open.then_some(())?;
            Some(Begun {
                incident: incident.clone(),
                principal: state.principal.clone()?,
                organization: state.organization.clone()?,
                target: state.target.clone()?,
                contained: state.contained,
            })
        };
        incidents.iter().filter_map(of).collect()
    }
}

/// What an action came to.
#[derive(Debug, Clone, PartialEq)]
enum Came {
    Contained(IncidentId),
    Released(IncidentId),
    Chained(IncidentId, usize),
    ToNothing,
}

/// The incident that a release has chosen, so that the same is gone on with.
type Chosen = Rc<Mutex<Option<IncidentId>>>;

type Working = Pin<Box<dyn Future<Output = Result<Came, String>>>>;

/// Does one action, as the verbs do it.
async fn act(
    world: Rc<Aws<Range>>,
    disk: Disk,
    action: Action,
    chosen: Chosen,
) -> Result<Came, String> {
    let shelf = Shelf::embedded().map_err(|error| error.to_string())?;
    let nobody_watches = |_: &quell::journal::Event| {};
    let (read, clock) = (world.read(), world.clock());
    let armed_id = IncidentId::from_bytes([0, 0, 0]);
    match action {
        Action::Contain { user, cold } => {
            let suspect = Suspect::Named {
                name: USERS[user].to_owned(),
            };
            let begun = disk.begun();
            let asked = Asked {
                cold,
                begun: &begun,
                ..Asked::default()
            };
            let prepared = respond::prepare(read, clock, &[suspect], &shelf, &asked)
                .await
                .map_err(|error| error.to_string())?;
            let prepared = prepared.first().ok_or("nobody")?;
            if let Some(refusal) = prepared.preflight.refusals.first() {
                return Err(refusal.to_string());
            }
            let approval = Approval::flag(&prepared.plan, clock.now());
            let plan = respond::look_again(read, clock, prepared)
                .await
                .map_err(|error| error.to_string())?;
            let approved = approval
                .of(plan, clock.now())
                .map_err(|error| error.to_string())?;
            let id = approved.plan.incident.id.clone();
            let mut journal = disk.open(&id);
            Response::new(&*world, &mut journal, &nobody_watches)
                .contain(&approved, "arn:operator")
                .await
                .map_err(|stopped| stopped.to_string())?;
            Ok(Came::Contained(id))
        }
        Action::Release { user } => {
            let all = memory::remembered(read)
                .await
                .map_err(|error| error.to_string())?;
            let wanted = chosen.lock().unwrap().clone();
            let found = all.into_iter().find(|known| match &wanted {
                Some(id) => known.incident.id == *id,
                None => known
                    .incident
                    .session_names
                    .iter()
                    .any(|name| name.as_str() == USERS[user]),
            });
            let Some(known) = found else {
                return Ok(wanted.map_or(Came::ToNothing, Came::Released));
            };
            let id = known.incident.id.clone();
            *chosen.lock().unwrap() = Some(id.clone());
            let mut journal = disk.open(&id);
            Response::new(&*world, &mut journal, &nobody_watches)
                .release(
                    &known.incident,
                    &known.policy.id,
                    "arn:operator",
                    Some("forced".to_owned()),
                    true,
                )
                .await
                .map_err(|stopped| stopped.to_string())?;
            Ok(Came::Released(id))
        }
        Action::Chain { user, became } => {
            let all = memory::remembered(read)
                .await
                .map_err(|error| error.to_string())?;
            let is_theirs = |known: &memory::Remembered| {
                let mut names = known.incident.session_names.iter();
                names.any(|name| name.as_str() == USERS[user])
            };
            // Somebody has released them meanwhile.
            let Some(known) = all.into_iter().find(is_theirs) else {
                return Ok(Came::ToNothing);
            };
            let (mut incident, id) = (known.incident.clone(), known.incident.id.clone());
            let sessions = [SessionUserId::parse(BECAME[became]).unwrap()].into();
            let mut journal = disk.open(&id);
            let mut response = Response::new(&*world, &mut journal, &nobody_watches);
            response
                .take_up(&incident, Purpose::Trace, "arn:operator", None)
                .map_err(|stopped| stopped.to_string())?;
            response
                .deny_chained(&mut incident, &known.policy.id, &sessions)
                .await
                .map_err(|stopped| stopped.to_string())?;
            Ok(Came::Chained(id, became))
        }
        Action::Arm => {
            let ground = survey::ground(read, None)
                .await
                .map_err(|error| error.to_string())?;
            let arming = Arming::of(&ground).map_err(|error| error.to_string())?;
            let mut journal = disk.open(&armed_id);
            Response::new(&*world, &mut journal, &nobody_watches)
                .arm(&arming, "arn:operator")
                .await
                .map_err(|stopped| stopped.to_string())?;
            Ok(Came::ToNothing)
        }
        Action::Disarm => {
            let ground = survey::ground(read, None)
                .await
                .map_err(|error| error.to_string())?;
            // Refused while somebody is in it: then that is what it comes to.
            let Ok(Some(disarming)) = Disarming::of(&ground) else {
                return Ok(Came::ToNothing);
            };
            let mut journal = disk.open(&armed_id);
            Response::new(&*world, &mut journal, &nobody_watches)
                .disarm(&disarming, "arn:operator")
                .await
                .map_err(|stopped| stopped.to_string())?;
            Ok(Came::ToNothing)
        }
    }
}

/// One operator: what is still to be done, and what is being done.
struct Operator {
    todo: VecDeque<Action>,
    disk: Disk,
    doing: Option<(Action, Working, Chosen)>,
    began: usize,
    tries: usize,
}

/// When something was done, in turns.
#[derive(Debug, Clone, PartialEq)]
struct Done {
    came: Came,
    user: Option<usize>,
    from: usize,
    to: usize,
}

/// Of the calls that wait, given by whose they are: which comes next, and whether its process dies at it.
type Order<'a> = dyn FnMut(&[usize]) -> (usize, Option<Side>) + 'a;

/// Runs everybody to the end and returns what was done; panics when somebody never gets there.
fn run(
    practice: &Practice,
    todo: &[Vec<Action>],
    next: &mut Order<'_>,
) -> (Vec<Done>, usize, usize) {
    let turnstile = Turnstile::default();
    let mut operators: Vec<Operator> = todo
        .iter()
        .map(|todo| Operator {
            todo: todo.iter().cloned().collect(),
            disk: Disk::default(),
            doing: None,
            began: 0,
            tries: 0,
        })
        .collect();
    let (mut done, mut turn, mut deaths, mut idle) = (Vec::new(), 0, 0, 0);
    loop {
        for (number, operator) in operators.iter_mut().enumerate() {
            step(practice, &turnstile, number, operator, turn, &mut done);
        }
        let mut waiting = turnstile.0.lock().unwrap();
        // Whose process has died does not wait any more.
        waiting.retain(|waiting| !waiting.go.is_closed());
        if waiting.is_empty() {
            let open: Vec<usize> = (0..operators.len())
                .filter(|i| operators[*i].doing.is_some())
                .collect();
            if open.is_empty() {
                return (done, turn, deaths);
            }
            // Somebody gave way to nobody in particular.
            idle += 1;
            assert!(idle < 1_000, "operators {open:?} wait for nothing");
            continue;
        }
        idle = 0;
        turn += 1;
        let whose: Vec<usize> = waiting.iter().map(|waiting| waiting.operator).collect();
        let (at, dies) = next(&whose);
        let chosen = waiting.remove(at);
        drop(waiting);
        let number = chosen.operator;
        match dies {
            None => {
                let _ = chosen.go.send(None);
            }
            Some(side) => {
                deaths += 1;
                if matches!(side, Side::After) {
                    let _ = chosen.go.send(Some(side));
                    step(
                        practice,
                        &turnstile,
                        number,
                        &mut operators[number],
                        turn,
                        &mut done,
                    );
                }
                // Whoever died does the same again.
                let operator = &mut operators[number];
                if let Some((action, working, chosen)) = operator.doing.take() {
                    drop(working);
                    begin(practice, &turnstile, number, operator, action, chosen);
                }
            }
        }
    }
}

/// Calls in the order of these turns, and then in any.
fn in_turn(turns: &[Turn]) -> impl FnMut(&[usize]) -> (usize, Option<Side>) {
    let mut turns = turns.iter().copied();
    let mut so_far = 0_usize;
    move |waiting| {
        so_far += 1;
        let next = turns.next().unwrap_or(Turn {
            who: u8::try_from(so_far % 251).unwrap(),
            dies: None,
        });
        (usize::from(next.who) % waiting.len(), next.dies)
    }
}

/// The first operator makes so many calls, dies there or does not, and the second does everything before the first goes on.
fn broken_in_two(
    after: usize,
    dies: Option<Side>,
) -> impl FnMut(&[usize]) -> (usize, Option<Side>) {
    let mut made = 0;
    move |waiting| {
        let of = |operator| waiting.iter().position(|one| *one == operator);
        if let (true, Some(at), Some(_)) = (made == after, of(0), dies) {
            made += 1;
            return (at, dies);
        }
        match (of(0), of(1)) {
            (Some(at), _) if made < after => {
                made += 1;
                (at, None)
            }
            (_, Some(at)) => (at, None),
            (at, None) => (at.unwrap_or(0), None),
        }
    }
}

/// Begins an action, as the process of this operator.
fn begin(
    practice: &Practice,
    turnstile: &Turnstile,
    number: usize,
    operator: &mut Operator,
    action: Action,
    chosen: Chosen,
) {
    let region = Region::parse("us-east-1").unwrap();
    let config = practice
        .range
        .sdk_config(OPERATOR_KEY, SECRET, None, &region, retries());
    let http = SharedHttpClient::new(Gate {
        range: practice.range.clone(),
        operator: number,
        turnstile: turnstile.clone(),
    });
    let seen = wire::Seen::default();
    let world = Rc::new(Aws::over(config, http, seen, practice.range.clone()));
    let working = Box::pin(act(
        world,
        operator.disk.clone(),
        action.clone(),
        chosen.clone(),
    ));
    operator.doing = Some((action, working, chosen));
}

/// Lets an operator go on until a call waits, and gives them the next thing to do.
fn step(
    practice: &Practice,
    turnstile: &Turnstile,
    number: usize,
    operator: &mut Operator,
    turn: usize,
    done: &mut Vec<Done>,
) {
    loop {
        if operator.doing.is_none() {
            let Some(action) = operator.todo.pop_front() else {
                return;
            };
            operator.began = turn;
            operator.tries = 0;
            begin(practice, turnstile, number, operator, action, Rc::default());
        }
        let Some((action, working, chosen)) = &mut operator.doing else {
            return;
        };
        match working
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Pending => return,
            Poll::Ready(Ok(came)) => {
                done.push(Done {
                    came,
                    user: match action {
                        Action::Contain { user, .. } | Action::Release { user } => Some(*user),
                        Action::Chain { .. } | Action::Arm | Action::Disarm => None,
                    },
                    from: operator.began,
                    to: turn,
                });
                operator.doing = None;
            }
            // It says to type the same command again.
            Poll::Ready(Err(why)) => {
                operator.tries += 1;
                assert!(
                    operator.tries < 12,
                    "{action:?} does not come to an end: {why}"
                );
                let (action, chosen) = (action.clone(), chosen.clone());
                begin(practice, turnstile, number, operator, action, chosen);
            }
        }
    }
}

/// Holds the end against what was done.
fn judge(practice: &Practice, done: &[Done]) {
    let there = armed(practice);
    let ledger = there.as_ref().map(|armed| Ledger::read(armed).unwrap());
    if let (Some(armed), Some(ledger)) = (&there, &ledger) {
        assert!(ledger.agrees(), "document and tags disagree: {armed:?}");
        let in_it = ledger.entries().count();
        let attached = armed
            .targets
            .iter()
            .any(|target| target.as_str() == "r-quel");
        assert!(
            attached || in_it == 0,
            "{in_it} incidents in a policy that is not attached"
        );
    }
    let mut open: BTreeSet<String> = BTreeSet::new();
    for (name, targets) in practice.ours() {
        if name == ARMED_POLICY {
            continue;
        }
        assert_eq!(targets.len(), 1, "{name} is attached to {targets:?}");
        open.insert(name.strip_prefix("quell-").unwrap().to_owned());
    }
    for entry in ledger.iter().flat_map(Ledger::entries) {
        assert!(entry.tagged && entry.is_denied(), "{entry:?}");
        open.insert(entry.incident.id.to_string());
    }
    // The reference: what nobody released after it was contained is there, and what nobody contained again is not.
    let mut ids: BTreeSet<&IncidentId> = BTreeSet::new();
    for done in done {
        if let Came::Contained(id) | Came::Released(id) = &done.came {
            ids.insert(id);
        }
    }
    for id in ids {
        let when = |came: &Came| {
            done.iter()
                .filter(|done| done.came == *came)
                .collect::<Vec<_>>()
        };
        let contained = when(&Came::Contained(id.clone()));
        let released = when(&Came::Released(id.clone()));
        let must = contained
            .iter()
            .any(|one| released.iter().all(|other| other.to <= one.from));
        let must_not = released
            .iter()
            .any(|one| contained.iter().all(|other| other.to <= one.from));
        let is = open.contains(id.as_str());
        assert!(is || !must, "{id} is lost: {done:#?}");
        assert!(
            !is || !must_not,
            "{id} was released and is there: {done:#?}"
        );
    }
    judge_chained(practice, ledger.as_ref(), done);
    // The union: whoever has an open incident is denied, and nobody else is.
    let users: BTreeMap<String, usize> = done
        .iter()
        .filter_map(|done| match &done.came {
            Came::Contained(id) => Some((id.to_string(), done.user?)),
            Came::Released(_) | Came::Chained(..) | Came::ToNothing => None,
        })
        .collect();
    let denied: BTreeSet<usize> = open
        .iter()
        .map(|id| {
            *users
                .get(id)
                .unwrap_or_else(|| panic!("nobody has contained {id}: {done:#?}"))
        })
        .collect();
    practice.range.advance(jiff::SignedDuration::from_mins(10));
    for (number, user) in USERS.iter().enumerate() {
        assert_eq!(
            is_refused(practice, user),
            Some(denied.contains(&number)),
            "{user}, open: {open:?}"
        );
    }
}

/// Whom somebody became is denied where their incident is open: all whom anybody has denied, and tags, document and moment
/// agree on it.
fn judge_chained(practice: &Practice, ledger: Option<&Ledger>, done: &[Done]) {
    let mut known: BTreeMap<IncidentId, (Incident, BTreeSet<SessionUserId>)> = BTreeMap::new();
    for entry in ledger.iter().flat_map(|ledger| ledger.entries()) {
        assert!(entry.not_denied().is_empty(), "{entry:?}");
        let there = entry.incident.chained.clone();
        known.insert(entry.incident.id.clone(), (entry.incident.clone(), there));
    }
    practice.range.with(|state| {
        for policy in state.policies.values() {
            let summary = PolicySummary {
                id: PolicyId::parse("p-abcdefgh").unwrap(),
                arn: PolicyArn::parse("arn:aws:organizations::111122223333:policy/o-abcdefghij/service_control_policy/p-abcdefgh").unwrap(),
                name: policy.name.clone(),
                description: String::new(),
            };
            let tags = policy.tags.clone();
            if let Some(incident) = Incident::recall(&TaggedPolicy { summary, tags }) {
                let there = session_user_ids_in(&policy.document);
                known.insert(incident.id.clone(), (incident, there));
            }
        }
    });
    for (incident, there) in known.values() {
        assert_eq!(
            incident.chained, *there,
            "tags and document of {incident:?}"
        );
        assert!(!incident.is_chaining_unfinished(), "{incident:?}");
    }
    for one in done {
        if let Came::Chained(id, became) = &one.came
            && let Some((incident, there)) = known.get(id)
        {
            let session = SessionUserId::parse(BECAME[*became]).unwrap();
            assert!(there.contains(&session), "{session} is lost: {incident:?}");
            assert!(incident.chained_at.is_some());
        }
    }
}

/// Two deny different people whom one suspect became, the second at every moment of the first; or somebody else is
/// contained there, or the suspect is released.
#[test]
fn whomever_two_operators_deny_at_once_beside_one_suspect_both_are_denied() {
    let chain = |became| Action::Chain { user: 0, became };
    let contain = |user, cold| Action::Contain { user, cold };
    let mut cases = 0;
    for cold in [true, false] {
        let before = match cold {
            true => vec![contain(0, true)],
            false => vec![Action::Arm, contain(0, false)],
        };
        let begun = Practice::new();
        let (mut first_done, ..) = run(&begun, &[before], &mut in_turn(&[]));
        for one in &mut first_done {
            (one.from, one.to) = (0, 0);
        }
        let alone = begun.copy();
        let calls = alone.calls().len();
        run(&alone, &[vec![chain(0)]], &mut in_turn(&[]));
        let its = alone.calls().split_off(calls);
        let change = its.iter().position(quell::range::Call::mutates);
        for second in [chain(1), contain(1, false), Action::Release { user: 0 }] {
            for dies in [None, Some(Side::After)] {
                // While the first only reads, one moment is as another.
                for after in change.unwrap_or(0).saturating_sub(2)..=its.len() {
                    let practice = begun.copy();
                    let both = [vec![chain(0)], vec![second.clone()]];
                    let (these, ..) = run(&practice, &both, &mut broken_in_two(after, dies));
                    let mut done = first_done.clone();
                    done.extend(these.into_iter().map(|one| Done {
                        from: one.from + 1,
                        to: one.to + 1,
                        ..one
                    }));
                    judge(&practice, &done);
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} moments");
    assert!(cases > 100, "{cases}");
}

/// Every pair of actions, the second at every moment of the first; and the first dies there, or does not.
#[test]
fn whatever_one_does_in_the_middle_of_what_another_does_nobody_is_lost() {
    let contain = |user, cold| Action::Contain { user, cold };
    let release = Action::Release { user: 0 };
    let pairs = [
        (contain(0, false), contain(0, false)),
        (contain(0, false), contain(1, false)),
        (contain(0, false), contain(1, true)),
        (contain(0, false), release.clone()),
        (contain(0, false), Action::Disarm),
        (contain(1, false), release.clone()),
        (release.clone(), contain(0, false)),
        (release.clone(), contain(1, false)),
        (release.clone(), release.clone()),
        (Action::Disarm, contain(0, false)),
        (Action::Arm, contain(0, false)),
    ];
    let mut cases = 0;
    for (first, second) in &pairs {
        // For a release there must be somebody to be released.
        let there = [first, second].contains(&&release);
        let before = match (first, there) {
            (Action::Arm, _) => vec![],
            (_, true) => vec![Action::Arm, contain(0, false)],
            (_, false) => vec![Action::Arm],
        };
        let after_these = |practice: &Practice| {
            let (mut done, ..) = run(practice, std::slice::from_ref(&before), &mut in_turn(&[]));
            for one in &mut done {
                (one.from, one.to) = (0, 0);
            }
            done
        };
        // While the first only reads, one moment is much like another.
        let alone = Practice::new();
        after_these(&alone);
        let begun = alone.calls().len();
        run(&alone, &[vec![first.clone()]], &mut in_turn(&[]));
        let its = alone.calls().split_off(begun);
        let change = its
            .iter()
            .position(quell::range::Call::mutates)
            .unwrap_or(its.len());
        for dies in [None, Some(Side::Before), Some(Side::After)] {
            for after in 0..=its.len() {
                if after + 3 < change && after % 8 != 0 {
                    continue;
                }
                let practice = Practice::new();
                let mut done = after_these(&practice);
                let both = [vec![first.clone()], vec![second.clone()]];
                let (these, ..) = run(&practice, &both, &mut broken_in_two(after, dies));
                done.extend(these.into_iter().map(|one| Done {
                    from: one.from + 1,
                    to: one.to + 1,
                    ..one
                }));
                judge(&practice, &done);
                cases += 1;
            }
        }
    }
    println!("{cases} moments");
    assert!(cases > 200, "{cases}");
}

fn actions() -> impl Strategy<Value = Vec<Vec<Action>>> {
    let action = prop_oneof![
        5 => (0..USERS.len(), prop::bool::weighted(0.3)).prop_map(|(user, cold)| Action::Contain { user, cold }),
        3 => (0..USERS.len()).prop_map(|user| Action::Release { user }),
        2 => Just(Action::Arm),
        1 => Just(Action::Disarm),
    ];
    prop::collection::vec(prop::collection::vec(action, 1..3), 2..4)
}

/// Whether the organization is armed before anybody begins.
fn armed_before() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.6)
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let dies = prop_oneof![
        60 => Just(None),
        1 => Just(Some(Side::Before)),
        1 => Just(Some(Side::After)),
    ];
    prop::collection::vec(
        (any::<u8>(), dies).prop_map(|(who, dies)| Turn { who, dies }),
        0..200,
    )
}

#[test]
fn whatever_several_operators_do_at_once_the_denials_are_the_union() {
    let mut runner = runner(60);
    let cases = runner.config().cases;
    let totals = std::cell::Cell::new((0, 0, 0));
    runner
        .run(
            &(armed_before(), actions(), turns()),
            |(armed, todo, turns)| {
                let practice = Practice::new();
                if armed {
                    run(&practice, &[vec![Action::Arm]], &mut in_turn(&[]));
                }
                let (done, calls, deaths) = run(&practice, &todo, &mut in_turn(&turns));
                judge(&practice, &done);
                let (all, every, died) = totals.get();
                totals.set((all + done.len(), every + calls, died + deaths));
                Ok(())
            },
        )
        .unwrap();
    let (actions, calls, deaths) = totals.get();
    println!(
        "{cases} sequences: {actions} actions, interleaved at each of {calls} calls, {deaths} deaths"
    );
    assert!(deaths > 0 && actions > 0);
}
