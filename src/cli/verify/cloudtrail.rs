//! `quell verify --cloudtrail`: what the principal's real calls show, beside the canaries.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::trace::has_a_name;
use crate::cli::ui::Ui;
use crate::cloud::{Clock as _, Cloud, RecordedBy};
use crate::facts::{Caller, Organization};
use crate::ids::{AccountId, PolicyArn, Region};
use crate::incident::Incident;
use crate::playbook::Playbook;
use crate::report::trails::{CloudtrailReport, PortalReport, ReadReport};
use crate::respond::{self, others_that_deny};
use crate::survey;
use crate::trace::{self, Gathered, Places};
use crate::trail::portal;
use crate::verify::Aim;

/// Access keys that are looked up in an account, beside the names.
const MOST_KEYS: usize = 50;

/// Where CloudTrail is asked.
#[derive(Debug, Clone, Args)]
pub struct TrailArgs {
    /// Ask CloudTrail in these Regions (default: every Region that accounts have from the beginning)
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    pub regions: Vec<Region>,
}

impl TrailArgs {
    /// The Regions, ours among the usual ones.
    pub fn regions(&self, operator: &Caller, others: &[&Region]) -> Vec<Region> {
        let partition = operator.arn.split(':').nth(1).unwrap_or("aws");
        match self.regions.as_slice() {
            [] => trace::usual_regions(partition, others),
            given => given.to_vec(),
        }
    }
}

/// The Regions that are asked: Identity Center's among the usual ones.
pub async fn asked_by<C: Cloud>(
    world: &C,
    organization: &Organization,
    operator: &Caller,
    args: &TrailArgs,
) -> Vec<Region> {
    let instance = survey::instance(world.read(), organization).await.ok();
    let home = instance.and_then(|instance| instance.primary_region);
    let home: Vec<&Region> = home.iter().collect();
    args.regions(operator, &home)
}

/// What the records have of the incident's principal since it was opened.
pub(super) async fn evidence<C: Cloud>(
    world: &C,
    incident: &Incident,
    ours: &PolicyArn,
    playbook: &Playbook,
    (args, operator): (&TrailArgs, &Caller),
    ui: &Ui<'_>,
) -> Result<CloudtrailReport, Failure> {
    has_a_name(incident)?;
    let (read, now) = (world.read(), world.clock().now());
    let organization = survey::organization(read).await?;
    let places = Places {
        own: operator.account.clone(),
        regions: asked_by(world, &organization, operator, args).await,
        roles: playbook.verify.canary_roles.clone(),
        session: incident.id.control_name(),
        from: incident.opened.unwrap_or(now),
    };
    ui.say(&format!(
        "asking CloudTrail in {} accounts and {} Regions…",
        incident.accounts.len() + 1,
        places.regions.len()
    ));
    let by = trace::names_of(incident);
    let questions = trace::questions_about(incident, &organization.management, &by);
    let mut gathered = trace::gather(read, &places, questions).await;
    let (keys, all_keys) = keys_in(incident, &gathered)?;
    if !all_keys {
        ui.say(&format!(
            "NOT READ: they called with more than {MOST_KEYS} access keys in an account; the calls by the others are not looked up."
        ));
    }
    gathered.join(trace::gather(read, &places, keys).await);
    let question = respond::question(incident, ours, playbook, Aim::Refused);
    let others = others_that_deny(read, &question).await;
    let mut policies = BTreeSet::from([ours.clone()]);
    policies.extend(others.into_iter().map(|known| known.policy.arn));
    let mut told = ReadReport::of(&gathered, &places, world.clock().now());
    told.whole &= says_what_is_left_out(incident, ui) && all_keys;
    let roles = &playbook.verify.canary_roles;
    let names = trace::as_names(&by);
    let shown = CloudtrailReport::of(incident, &policies, roles, names, &gathered, told)?;
    Ok(CloudtrailReport {
        portal: at_portal(world, &organization, &places, incident).await,
        ..shown
    })
}

/// What the incident's principal did at the portal, or an IAM user at the console's door.
pub async fn at_portal<C: Cloud>(
    world: &C,
    organization: &Organization,
    places: &Places,
    incident: &Incident,
) -> PortalReport {
    let read = world.read();
    let unread = |why: String| PortalReport {
        done: Vec::new(),
        unread: Some(why),
    };
    let (account, regions) = match &incident.iam_account {
        Some(account) => (account.clone(), places.regions.clone()),
        None => match survey::instance(read, organization).await {
            Ok(instance) => {
                let Some(region) = instance.primary_region else {
                    return unread(
                        "AWS does not say in which Region Identity Center is".to_owned(),
                    );
                };
                let owner = instance.owner;
                let owner = owner.unwrap_or_else(|| organization.management.clone());
                (owner, vec![region])
            }
            Err(error) => return unread(error.to_string()),
        },
    };
    let places = Places {
        regions,
        ..places.clone()
    };
    let events = match &incident.iam_account {
        Some(_) => vec![portal::CONSOLE_LOGIN],
        None => [portal::OF_SIGN_INS.as_slice(), &portal::OF_SESSIONS].concat(),
    };
    match trace::at_portal(read, &places, &account, incident, &events).await {
        Ok(done) => PortalReport { done, unread: None },
        Err(why) => unread(why),
    }
}

/// The accounts that the incident cannot name are not asked, and that is no quiet. Whether it names all.
pub fn says_what_is_left_out(incident: &Incident, ui: &Ui<'_>) -> bool {
    if incident.accounts_left_out > 0 {
        ui.say(&format!(
            "NOT READ: {} more accounts that they can enter did not fit on the policy.",
            incident.accounts_left_out
        ));
    }
    incident.accounts_left_out == 0
}

/// The access keys that the principal has called with, by account, and whether those are all: CloudTrail has calls by
/// a key that it has by no name.
fn keys_in(
    incident: &Incident,
    gathered: &Gathered,
) -> Result<(BTreeMap<AccountId, Vec<RecordedBy>>, bool), Failure> {
    let deny = incident.unbounded()?;
    let mut keys: BTreeMap<AccountId, BTreeSet<RecordedBy>> = BTreeMap::new();
    for call in gathered.calls.values() {
        let Some(key) = &call.caller.key else {
            continue;
        };
        let of_account = keys.entry(call.account.clone()).or_default();
        if call.caller.bearer().is_denied_by(&deny, call.at) {
            of_account.insert(RecordedBy::AccessKey(key.clone()));
        }
    }
    let all = keys.values().all(|keys| keys.len() <= MOST_KEYS);
    let keys = keys.into_iter().map(|(account, keys)| {
        let some = keys.into_iter().take(MOST_KEYS);
        (account, some.collect())
    });
    Ok((keys.collect(), all))
}

/// The exit code of both: an alarm counts more than any proof, and what could not be read shows nothing.
pub(super) fn exit(proof: Exit, report: &CloudtrailReport) -> Exit {
    if !report.allowed.is_empty() {
        Exit::GettingThrough
    } else if proof == Exit::Done && !report.is_quiet() {
        Exit::NotProven
    } else {
        proof
    }
}
