//! A practice organization with quell's command line in front of it, in this process.

use std::cell::RefCell;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use jiff::SignedDuration;
use proptest::test_runner::{Config, TestRng, TestRunner};
use quell::aws::{Aws, retries, wire};
use quell::cli::exit::Exit;
use quell::cli::ui::{NoAnswer, Prompt};
use quell::cli::{self, Outside};
use quell::cloud::ConnectError;
use quell::ids::*;
use quell::range::build::extras::Extras;
use quell::range::build::{self, Blueprint, Built, Hero, OPERATOR_KEY, SECRET};
use quell::range::state::{Assignment, Mishap, Session, Wrong};
use quell::range::{Call, Range, Time};
use serde_json::Value;
use tokio::sync::Notify;

/// The organization, a state directory of its own, and whoever sits at the terminal.
pub(crate) struct Practice {
    pub(crate) range: Range,
    pub(crate) built: BuiltParts,
    pub(crate) state_dir: PathBuf,
    key: RefCell<(String, Option<String>)>,
    typed: RefCell<Vec<String>>,
    chosen: RefCell<Option<String>>,
    death: RefCell<Option<Death>>,
    meanwhile: RefCell<Option<Meanwhile>>,
}

/// What others do while a person sits in front of the prompt.
type Meanwhile = Box<dyn FnOnce(Practice) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// When the process dies: at one of its calls.
#[derive(Debug, Clone)]
pub(crate) struct Death {
    moment: Moment,
    /// How many calls are answered before.
    calls: Arc<AtomicUsize>,
    dead: Arc<Notify>,
}

/// At which side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// AWS never heard of it.
    BeforeTheCall,
    /// AWS did it, and nobody heard the answer.
    AfterTheCall,
}

/// The range until the process dies; then no answer comes any more.
#[derive(Debug, Clone)]
struct Mortal {
    range: Range,
    death: Death,
}

impl HttpClient for Mortal {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Mortal {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let left = self.death.calls.fetch_sub(1, Ordering::Relaxed);
        if left > 1 {
            return HttpConnector::call(&self.range, request);
        }
        if left == 1 && self.death.moment == Moment::AfterTheCall {
            drop(HttpConnector::call(&self.range, request));
        }
        self.death.dead.notify_one();
        // Whatever else is under way hears nothing either.
        self.death.calls.store(0, Ordering::Relaxed);
        HttpConnectorFuture::new(std::future::pending())
    }
}

/// Draws so many cases: the same ones in every run, so that a change is judged by what it changes; others by hand, with
/// `QUELL_CASES`.
pub(crate) fn runner(cases: u32) -> TestRunner {
    let by_hand = std::env::var("QUELL_CASES").ok();
    let config = Config {
        cases: by_hand
            .as_ref()
            .map_or(cases, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Config::default()
    };
    match by_hand {
        Some(_) => TestRunner::new(config),
        None => {
            let dice = TestRng::deterministic_rng(config.rng_algorithm);
            TestRunner::new_with_rng(config, dice)
        }
    }
}

/// A state directory that nobody has.
fn a_directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}", std::process::id()))
}

#[derive(Clone, Default)]
pub(crate) struct BuiltParts {
    pub(crate) hero_sessions: Vec<(AccountId, String, String)>,
    pub(crate) finding: Option<(DetectorId, FindingId)>,
}

/// What a run of quell came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, exit: Exit) -> Self {
        assert_eq!(
            self.exit, exit,
            "stdout:\n{}\nstderr:\n{}",
            self.out, self.err
        );
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.err.contains(text) || self.out.contains(text),
            "no {text:?} in stdout:\n{}\nstderr:\n{}",
            self.out,
            self.err
        );
        self
    }
}

impl Practice {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(arrange: impl FnOnce(&mut Blueprint)) -> Self {
        let mut blueprint = Blueprint {
            seed: 7,
            now: "2026-11-22T03:00:00Z".parse().unwrap(),
            hero: Hero::default(),
            identity_center: Region::parse("eu-west-1").unwrap(),
            alive: false,
            propagation: SignedDuration::from_secs(20),
            extras: Extras::default(),
        };
        arrange(&mut blueprint);
        let Built {
            state,
            hero_sessions,
            finding,
        } = build::build(&blueprint).unwrap();
        Self {
            range: Range::new(state, Time::Virtual),
            built: BuiltParts {
                hero_sessions,
                finding: Some(finding),
            },
            state_dir: a_directory(),
            key: RefCell::new((OPERATOR_KEY.to_owned(), None)),
            typed: RefCell::default(),
            chosen: RefCell::new(None),
            death: RefCell::new(None),
            meanwhile: RefCell::new(None),
        }
    }

    /// The same organization, from a machine that has never heard of it.
    pub(crate) fn on_another_machine(&self) -> Self {
        let state_dir = self.state_dir.with_extension("elsewhere");
        Self::at(self.range.clone(), state_dir)
    }

    /// The groups `developers` and `operators` may enter the first three member accounts and no others: where it is not
    /// tried how many accounts there are, fewer are faster.
    pub(crate) fn few_accounts(&self) {
        self.range.with(|state| {
            let near: Vec<AccountId> = state.accounts.keys().skip(1).take(3).cloned().collect();
            let group = |assignment: &&Assignment| {
                let name = |id: &GroupId| state.directory.groups[id].as_str();
                let id = GroupId::parse(assignment.principal.clone());
                assignment.kind == "GROUP"
                    && ["developers", "operators"].contains(&name(&id.unwrap()))
            };
            let assignments = state.directory.assignments.iter().filter(group);
            let far = assignments.filter(|assignment| !near.contains(&assignment.account));
            for assignment in far.cloned().collect::<Vec<_>>() {
                state.unassign(&assignment);
            }
            // It has been so for long: nobody has a session there that no survey can see.
            let (now, management) = (state.now, state.management.clone());
            let hero = format!(":{}", build::HERO);
            for session in state.sessions.values_mut() {
                let far = !near.contains(&session.account) && session.account != management;
                if far && session.user_id.ends_with(&hero) {
                    session.expires = Some(now);
                }
            }
        });
    }

    /// The same organization and the same machine at this moment, which go their own way from here.
    pub(crate) fn copy(&self) -> Self {
        let state = self.range.with(|state| state.clone());
        let copy = Self::at(Range::new(state, Time::Virtual), a_directory());
        if let Ok(entries) = std::fs::read_dir(&self.state_dir) {
            std::fs::create_dir_all(&copy.state_dir).unwrap();
            for entry in entries {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), copy.state_dir.join(entry.file_name())).unwrap();
            }
        }
        Self {
            built: self.built.clone(),
            ..copy
        }
    }

    fn at(range: Range, state_dir: PathBuf) -> Self {
        Self {
            range,
            built: BuiltParts::default(),
            state_dir,
            key: RefCell::new((OPERATOR_KEY.to_owned(), None)),
            typed: RefCell::default(),
            chosen: RefCell::new(None),
            death: RefCell::new(None),
            meanwhile: RefCell::new(None),
        }
    }

    /// While somebody sits in front of the next prompt, this happens on another machine.
    pub(crate) fn meanwhile(
        &self,
        what: impl FnOnce(Practice) -> Pin<Box<dyn Future<Output = ()>>> + Send + 'static,
    ) {
        *self.meanwhile.borrow_mut() = Some(Box::new(what));
    }

    /// So many policies are attached to the root, whosever they are.
    pub(crate) fn fill_places(&self, many: usize) {
        self.range.with(|state| {
            let root = state.root.clone();
            let attached = state.attachments.entry(root).or_default();
            for i in attached.len()..many {
                attached.push(PolicyId::parse(format!("p-somebodys{i}")).unwrap());
            }
            let full = quell::policy::document::Document::allow_all();
            for id in attached.clone() {
                let policy = state.policies.values().next().unwrap().clone();
                state
                    .policies
                    .entry(id.clone())
                    .or_insert(quell::range::state::Policy {
                        name: format!("somebodys-{id}"),
                        content: full.minified(),
                        document: Arc::new(full.clone()),
                        tags: std::collections::BTreeMap::new(),
                        aws_managed: false,
                        ..policy
                    });
            }
            state.policies_changed();
        });
    }

    /// Runs a command line in a process that dies at its call of this number, from 1; `None` if it did.
    pub(crate) async fn quell_until_death(
        &self,
        line: &str,
        call: usize,
        moment: Moment,
    ) -> Option<Ran> {
        let death = Death {
            moment,
            calls: Arc::new(AtomicUsize::new(call)),
            dead: Arc::default(),
        };
        *self.death.borrow_mut() = Some(death.clone());
        let ran = tokio::select! {
            biased;
            ran = self.quell(line) => Some(ran),
            () = death.dead.notified() => None,
        };
        *self.death.borrow_mut() = None;
        ran
    }

    /// Somebody at the terminal will type this at the next prompts.
    pub(crate) fn types(&self, text: &str) {
        self.types_in_turn(&[text]);
    }

    /// The same with one text after the other; the last of them is typed from then on.
    pub(crate) fn types_in_turn(&self, texts: &[&str]) {
        *self.typed.borrow_mut() = texts.iter().map(|text| (*text).to_owned()).collect();
    }

    /// Somebody at the terminal will choose the item that has this in it.
    pub(crate) fn chooses(&self, text: &str) {
        *self.chosen.borrow_mut() = Some(text.to_owned());
    }

    /// quell runs with this session from now on.
    pub(crate) fn signs_with(&self, key: &str, session: Session) {
        let token = session.token.clone();
        self.range
            .with(|state| state.sessions.insert(key.to_owned(), session));
        *self.key.borrow_mut() = (key.to_owned(), token);
    }

    /// quell runs with a key that AWS does not know.
    pub(crate) fn signs_with_nothing_valid(&self) {
        *self.key.borrow_mut() = ("AKIANOBODYKNOWSTHIS0".to_owned(), None);
    }

    pub(crate) fn operator_session(&self) -> Session {
        self.range
            .with(|state| state.sessions[OPERATOR_KEY].clone())
    }

    /// Runs a command line, as a person would type it.
    pub(crate) async fn quell(&self, line: &str) -> Ran {
        self.run(line.split_whitespace().map(str::to_owned).collect())
            .await
    }

    pub(crate) async fn run(&self, arguments: Vec<String>) -> Ran {
        let all = [
            "quell".to_owned(),
            "--state-dir".to_owned(),
            self.state_dir.display().to_string(),
        ];
        let all = all.into_iter().chain(arguments).map(Into::into);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = cli::run(all, self, self, &mut out, &mut err).await;
        Ran {
            exit,
            out: String::from_utf8(out).unwrap(),
            err: String::from_utf8(err).unwrap(),
        }
    }

    /// Every way to new sessions is closed, so that the wait for the release begins.
    pub(crate) async fn evict(&self, incident: &str) {
        self.quell(&format!("evict {incident} --yes"))
            .await
            .expect(Exit::Done);
    }

    /// The incident that is open; there must be exactly one.
    pub(crate) async fn incident(&self) -> String {
        let status = self
            .quell("status --output json")
            .await
            .expect(Exit::Done)
            .json();
        let incidents = status["incidents"].as_array().unwrap();
        assert_eq!(incidents.len(), 1, "{incidents:?}");
        incidents[0]["incident"].as_str().unwrap().to_owned()
    }

    pub(crate) fn goes_wrong(&self, action: &str, times: u32, what: Wrong) {
        self.range.with(|state| {
            state.mishaps.push(Mishap {
                action: action.to_owned(),
                times,
                what,
            })
        });
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.range.with(|state| state.calls.clone())
    }

    /// The changes that were asked for, in order.
    pub(crate) fn mutations(&self) -> Vec<String> {
        self.calls()
            .into_iter()
            .filter(Call::mutates)
            .map(|call| call.action)
            .collect()
    }

    /// The policies of ours that are there, with what they are attached to.
    pub(crate) fn ours(&self) -> Vec<(String, Vec<TargetId>)> {
        self.range.with(|state| {
            let own = state
                .policies
                .iter()
                .filter(|(_, policy)| policy.name.starts_with("quell-"));
            own.map(|(id, policy)| {
                let targets = state
                    .attachments
                    .iter()
                    .filter(|(_, attached)| attached.contains(id))
                    .map(|(target, _)| target.clone());
                (policy.name.clone(), targets.collect())
            })
            .collect()
        })
    }

    /// Nothing was asked to change, and nothing was written here.
    #[track_caller]
    pub(crate) fn nothing_happened(&self) {
        assert_eq!(self.mutations(), Vec::<String>::new());
        assert!(
            !self.state_dir.exists(),
            "{} was written",
            self.state_dir.display()
        );
    }

    /// Whether a call with this session is answered: by its HTTP status.
    pub(crate) fn call_as(&self, key: &str) -> u16 {
        let token = self.range.with(|state| state.sessions[key].token.clone());
        self.range
            .answer(&quell::range::wire::as_actor(key, token.as_deref()))
            .map_or(0, |answer| answer.status().as_u16())
    }

    /// The sessions whose call is refused, but for the hero's and the canaries'.
    pub(crate) fn refused_bystanders(&self) -> Vec<String> {
        let own: Vec<&str> = self
            .built
            .hero_sessions
            .iter()
            .map(|(_, key, _)| key.as_str())
            .collect();
        let hero = format!(":{}", build::HERO);
        let others: Vec<(String, String)> = self.range.with(|state| {
            let others = state.sessions.iter().filter(|(key, session)| {
                !own.contains(&key.as_str())
                    && !session.user_id.ends_with(&hero)
                    && session.policy.is_none()
            });
            others
                .map(|(key, session)| (key.clone(), session.arn.clone()))
                .collect()
        });
        assert!(others.len() > 10, "too few bystanders to show anything");
        others
            .into_iter()
            .filter(|(key, _)| self.call_as(key) != 200)
            .map(|(_, arn)| arn)
            .collect()
    }
}

impl Outside for Practice {
    type World = Aws<Range>;

    async fn connect(
        &self,
        _: Option<&str>,
        region: Option<&Region>,
    ) -> Result<Self::World, ConnectError> {
        let region = region
            .cloned()
            .unwrap_or_else(|| Region::parse("us-east-1").unwrap());
        let (key, token) = self.key.borrow().clone();
        let config = self
            .range
            .sdk_config(&key, SECRET, token.as_deref(), &region, retries());
        let http = match self.death.borrow().clone() {
            Some(death) => SharedHttpClient::new(Mortal {
                range: self.range.clone(),
                death,
            }),
            None => SharedHttpClient::new(self.range.clone()),
        };
        Ok(Aws::over(
            config,
            http,
            wire::Seen::default(),
            self.range.clone(),
        ))
    }

    async fn interrupted(&self) {
        std::future::pending().await
    }
}

impl Prompt for Practice {
    fn ask(&self, _: &str) -> Result<String, NoAnswer> {
        if let Some(meanwhile) = self.meanwhile.borrow_mut().take() {
            let (range, state_dir) = (
                self.range.clone(),
                self.state_dir.with_extension("elsewhere"),
            );
            // A prompt blocks its thread, so the others need one of their own.
            let others = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime
                    .unwrap()
                    .block_on(meanwhile(Practice::at(range, state_dir)));
            });
            others.join().unwrap();
        }
        let mut typed = self.typed.borrow_mut();
        if let [_, _, ..] = typed.as_slice() {
            return Ok(typed.remove(0));
        }
        typed.first().cloned().ok_or(NoAnswer::NoTerminal)
    }

    fn choose(&self, _: &str, items: &[String]) -> Result<usize, NoAnswer> {
        let chosen = self.chosen.borrow().clone().ok_or(NoAnswer::NoTerminal)?;
        let place = items.iter().position(|item| item.contains(&chosen));
        Ok(place.unwrap_or_else(|| panic!("no {chosen:?} among {items:#?}")))
    }

    fn is_terminal(&self) -> bool {
        self.chosen.borrow().is_some()
    }
}
