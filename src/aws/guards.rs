//! What stands guard before an incident: accounts, trails, and what our own identity may do.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_accessanalyzer::types::PolicyType;
use aws_sdk_cloudtrail::types::{AdvancedEventSelector, EventSelector, ReadWriteType};
use aws_sdk_guardduty::types::DetectorStatus;
use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, EvaluationResult, OrderedOrganizationPolicyType,
};
use futures_util::join;

use super::{Reader, trouble};
use crate::cloud::{Inspect, Trouble};
use crate::facts::checkup::{ManagementEvents, MemberAccount, Simulated, Trail};
use crate::facts::{Caller, Instance, Known};
use crate::ids::*;
use crate::policy::document::Document;
use crate::policy::{CURRENT_TIME, TOKEN_ISSUE_TIME};

const SIMULATE: &str = "iam:SimulatePrincipalPolicy";

impl Reader {
    /// The accounts under a root or unit, at any depth.
    pub(super) async fn members_below(
        &self,
        top: &TargetId,
    ) -> Result<Vec<MemberAccount>, Trouble> {
        const UNITS: &str = "organizations:ListOrganizationalUnitsForParent";
        const ACCOUNTS: &str = "organizations:ListAccountsForParent";
        let mut found = Vec::new();
        let mut open = vec![top.clone()];
        while let Some(parent) = open.pop() {
            let asked = self.organizations.list_accounts_for_parent();
            let mut pages = asked.parent_id(parent.as_str()).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| trouble::of(ACCOUNTS, &error))?;
                for account in page.accounts() {
                    let state = account.state().map(|state| state.as_str());
                    found.push(MemberAccount {
                        id: trouble::field(ACCOUNTS, "Id", account.id(), AccountId::parse)?,
                        name: account.name().unwrap_or_default().to_owned(),
                        parent: parent.clone(),
                        state: state.unwrap_or("UNKNOWN").to_owned(),
                    });
                }
            }
            let asked = self.organizations.list_organizational_units_for_parent();
            let mut pages = asked.parent_id(parent.as_str()).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| trouble::of(UNITS, &error))?;
                for unit in page.organizational_units() {
                    open.push(trouble::field(UNITS, "Id", unit.id(), TargetId::parse)?);
                }
            }
        }
        Ok(found)
    }

    /// Whether a trail is switched on, and what went wrong when it last delivered; asked by its ARN: it may be another
    /// Region's.
    async fn trail_status(&self, trail: &str) -> (Known<bool>, Known<Option<String>>) {
        let asked = self.cloudtrail.get_trail_status().name(trail);
        match asked.send().await {
            Ok(answer) => {
                let logging = answer.is_logging().map_or_else(
                    || Known::Unknown("the answer has no IsLogging".to_owned()),
                    Known::Known,
                );
                let error = answer.latest_delivery_error();
                let error = error.filter(|error| !error.is_empty()).map(str::to_owned);
                (logging, Known::Known(error))
            }
            Err(error) => {
                let why = trouble::of("cloudtrail:GetTrailStatus", &error).to_string();
                (Known::Unknown(why.clone()), Known::Unknown(why))
            }
        }
    }

    /// Which management events a trail records.
    async fn trail_records(&self, trail: &str) -> Known<ManagementEvents> {
        let asked = self.cloudtrail.get_event_selectors().trail_name(trail);
        match asked.send().await {
            Ok(answer) => {
                let plain = answer.event_selectors().iter().map(of_selector);
                let advanced = answer.advanced_event_selectors().iter().map(of_advanced);
                Known::Known(plain.chain(advanced).fold(ManagementEvents::None, both))
            }
            Err(error) => {
                Known::Unknown(trouble::of("cloudtrail:GetEventSelectors", &error).to_string())
            }
        }
    }
}

impl Inspect for Reader {
    fn region(&self) -> Option<Region> {
        let region = self.config.region()?;
        Region::parse(region.as_ref()).ok()
    }

    async fn members(&self, root: &TargetId) -> Result<Vec<MemberAccount>, Trouble> {
        self.members_below(root).await
    }

    async fn provisioned(
        &self,
        instance: &Instance,
        account: &AccountId,
    ) -> Result<Vec<PermissionSetArn>, Trouble> {
        const CALL: &str = "sso:ListPermissionSetsProvisionedToAccount";
        let mut sets = Vec::new();
        let mut next = None;
        // Loops by hand: a paginator cannot be sent to another Region than the client's.
        loop {
            let asked = self
                .identity_center
                .sso
                .list_permission_sets_provisioned_to_account();
            let asked = asked.instance_arn(instance.arn.as_str());
            let asked = asked.account_id(account.as_str()).set_next_token(next);
            let there = self.identity_center.sso_in(instance);
            let page = asked.customize().config_override(there).send().await;
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for arn in page.permission_sets() {
                let arn = Some(arn.as_str());
                sets.push(trouble::field(
                    CALL,
                    "PermissionSets",
                    arn,
                    PermissionSetArn::parse,
                )?);
            }
            match page.next_token() {
                Some(token) => next = Some(token.to_owned()),
                None => return Ok(sets),
            }
        }
    }

    async fn trails(&self) -> Result<Vec<Trail>, Trouble> {
        const CALL: &str = "cloudtrail:DescribeTrails";
        // With those whose home is another Region or the management account.
        let asked = self
            .cloudtrail
            .describe_trails()
            .include_shadow_trails(true);
        let answer = asked
            .send()
            .await
            .map_err(|error| trouble::of(CALL, &error))?;
        let mut trails = Vec::new();
        for trail in answer.trail_list() {
            let arn = trail.trail_arn().unwrap_or_default();
            let ((logging, undelivered), records) =
                join!(self.trail_status(arn), self.trail_records(arn));
            trails.push(Trail {
                name: trail.name().unwrap_or(arn).to_owned(),
                organization: trail.is_organization_trail().unwrap_or(false),
                every_region: trail.is_multi_region_trail().unwrap_or(false),
                logging,
                undelivered,
                records,
            });
        }
        Ok(trails)
    }

    async fn is_enabled(&self, detector: &DetectorId) -> Result<bool, Trouble> {
        const CALL: &str = "guardduty:GetDetector";
        let asked = self.guardduty.get_detector().detector_id(detector.as_str());
        let answer = asked
            .send()
            .await
            .map_err(|error| trouble::of(CALL, &error))?;
        Ok(answer.status() == Some(&DetectorStatus::Enabled))
    }

    async fn identity(&self, caller: &Caller) -> Result<Option<String>, Trouble> {
        const CALL: &str = "iam:GetRole";
        match part(&caller.arn, 5)
            .split('/')
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["user", ..] => Ok(Some(caller.arn.clone())),
            // A session's ARN has its role's name, and not the path that the simulator wants.
            ["assumed-role", role, ..] => {
                let answer = self.iam.get_role().role_name(*role).send().await;
                let answer = answer.map_err(|error| trouble::of(CALL, &error))?;
                let role = answer
                    .role()
                    .ok_or_else(|| trouble::unreadable(CALL, "the answer has no Role"))?;
                Ok(Some(role.arn().to_owned()))
            }
            _ => Ok(None),
        }
    }

    async fn simulated(
        &self,
        identity: &str,
        actions: &[&'static str],
        resource: &str,
    ) -> Result<BTreeMap<&'static str, Simulated>, Trouble> {
        let mut asked = self
            .iam
            .simulate_principal_policy()
            .policy_source_arn(identity)
            .resource_arns(resource);
        for action in actions {
            asked = asked.action_names(*action);
        }
        let mut pages = asked.into_paginator().items().send();
        let mut all: BTreeMap<&'static str, Simulated> = BTreeMap::new();
        while let Some(result) = pages.next().await {
            let result = result.map_err(|error| trouble::of(SIMULATE, &error))?;
            let name = result.eval_action_name();
            let action = actions
                .iter()
                .find(|action| action.eq_ignore_ascii_case(name));
            all.extend(action.map(|action| (*action, simulated(&result))));
        }
        Ok(all)
    }

    async fn simulated_under(
        &self,
        levels: &[Vec<String>],
        keys: &[(&'static str, String)],
        action: &'static str,
    ) -> Result<Simulated, Trouble> {
        const CALL: &str = "iam:SimulateCustomPolicy";
        let mut asked = self
            .iam
            .simulate_custom_policy()
            .policy_input_list(Document::allow_all().minified())
            .action_names(action);
        for level in levels {
            let policies = Some(level.clone());
            let level = OrderedOrganizationPolicyType::builder()
                .set_service_control_policy_input_list(policies);
            asked = asked.ordered_organization_policy_input_list(level.build());
        }
        for (key, value) in keys {
            let is_moment = [CURRENT_TIME, TOKEN_ISSUE_TIME].contains(key);
            let kind = match is_moment {
                true => ContextKeyTypeEnum::Date,
                false => ContextKeyTypeEnum::String,
            };
            let entry = ContextEntry::builder()
                .context_key_name(*key)
                .context_key_values(value)
                .context_key_type(kind);
            asked = asked.context_entries(entry.build());
        }
        let answer = asked.send().await;
        let answer = answer.map_err(|error| trouble::of(CALL, &error))?;
        let result = answer.evaluation_results().first();
        let result = result.ok_or_else(|| trouble::unreadable(CALL, "it says nothing"))?;
        Ok(match result.eval_decision().as_str() {
            "allowed" => Simulated::Allowed,
            other => Simulated::Denied(other.to_owned()),
        })
    }

    async fn validated(&self, document: &str) -> Result<Vec<String>, Trouble> {
        const CALL: &str = "access-analyzer:ValidatePolicy";
        let asked = self
            .analyzer
            .validate_policy()
            .policy_document(document)
            .policy_type(PolicyType::ServiceControlPolicy);
        let mut pages = asked.into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(finding) = pages.next().await {
            let finding = finding.map_err(|error| trouble::of(CALL, &error))?;
            let (kind, code) = (finding.finding_type().as_str(), finding.issue_code());
            found.push(format!("{kind} {code}: {}", finding.finding_details()));
        }
        Ok(found)
    }
}

/// What a selector takes.
fn of_selector(selector: &EventSelector) -> ManagementEvents {
    // AWS's default.
    if !selector.include_management_events().unwrap_or(true) {
        return ManagementEvents::None;
    }
    match selector.read_write_type() {
        Some(ReadWriteType::ReadOnly) => ManagementEvents::Reads,
        Some(ReadWriteType::WriteOnly) => ManagementEvents::Writes,
        Some(ReadWriteType::All) | None => ManagementEvents::All,
        Some(_) => ManagementEvents::Some,
    }
}

/// What an advanced selector takes: all of its fields must fit.
fn of_advanced(selector: &AdvancedEventSelector) -> ManagementEvents {
    let fields = selector.field_selectors();
    let category = fields.iter().find(|field| field.field() == "eventCategory");
    if category.is_none_or(|field| !field.equals().iter().any(|value| value == "Management")) {
        return ManagementEvents::None;
    }
    let rest = fields
        .iter()
        .filter(|field| field.field() != "eventCategory");
    let mut found = ManagementEvents::All;
    for field in rest {
        let leaves_out = field.field() == "eventSource" && field.equals().is_empty();
        found = match (field.field(), field.equals()) {
            ("readOnly", [only]) if only == "true" => ManagementEvents::Reads,
            ("readOnly", [only]) if only == "false" => ManagementEvents::Writes,
            _ if leaves_out && !field.not_equals().is_empty() => continue,
            _ => return ManagementEvents::Some,
        };
    }
    found
}

/// What two selectors take together.
fn both(one: ManagementEvents, other: ManagementEvents) -> ManagementEvents {
    use ManagementEvents::{All, None, Reads, Some, Writes};
    match (one, other) {
        (None, events) | (events, None) => events,
        (All, _) | (_, All) | (Reads, Writes) | (Writes, Reads) => All,
        (Reads, Reads) => Reads,
        (Writes, Writes) => Writes,
        (Some, _) | (_, Some) => Some,
    }
}

/// What one result says.
fn simulated(result: &EvaluationResult) -> Simulated {
    let missing: BTreeSet<String> = result.missing_context_values().iter().cloned().collect();
    match result.eval_decision().as_str() {
        "allowed" if missing.is_empty() => Simulated::Allowed,
        // Of an implicit deny: a statement that allows may have been passed over for want of a key.
        "allowed" | "implicitDeny" if !missing.is_empty() => Simulated::DependsOn(missing),
        other => Simulated::Denied(other.to_owned()),
    }
}

/// A part of an ARN, by its place.
fn part(arn: &str, at: usize) -> &str {
    arn.splitn(6, ':').nth(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudtrail::types::AdvancedFieldSelector;

    use super::*;

    #[test]
    fn what_a_trail_records_is_what_its_selectors_take_together() {
        let field = |name: &str, equals: &[&str], not: &[&str]| {
            let mut built = AdvancedFieldSelector::builder().field(name);
            for value in equals {
                built = built.equals(*value);
            }
            for value in not {
                built = built.not_equals(*value);
            }
            built.build().unwrap()
        };
        let advanced = |fields: Vec<AdvancedFieldSelector>| {
            let category = field("eventCategory", &["Management"], &[]);
            let built = AdvancedEventSelector::builder().field_selectors(category);
            let built = fields
                .into_iter()
                .fold(built, |it, f| it.field_selectors(f));
            of_advanced(&built.build().unwrap())
        };
        let reads = advanced(vec![field("readOnly", &["true"], &[])]);
        let writes = advanced(vec![field("readOnly", &["false"], &[])]);
        let without_keys = field("eventSource", &[], &["kms.amazonaws.com"]);
        assert_eq!(advanced(vec![without_keys]), ManagementEvents::All);
        assert_eq!(reads, ManagementEvents::Reads);
        assert_eq!(both(reads, writes), ManagementEvents::All);
        let named = field("eventSource", &["s3.amazonaws.com"], &[]);
        assert_eq!(advanced(vec![named]), ManagementEvents::Some);
        let data = EventSelector::builder().include_management_events(false);
        assert_eq!(of_selector(&data.build()), ManagementEvents::None);
        let plain = EventSelector::builder().read_write_type(ReadWriteType::WriteOnly);
        assert_eq!(of_selector(&plain.build()), ManagementEvents::Writes);
        assert_eq!(
            of_selector(&EventSelector::builder().build()),
            ManagementEvents::All
        );
    }

    #[test]
    fn a_decision_that_hangs_on_an_unknown_key_is_none() {
        let result = |decision: &str, missing: Option<&str>| {
            let built = EvaluationResult::builder()
                .eval_action_name("sts:AssumeRole")
                .eval_decision(decision.into())
                .set_missing_context_values(missing.map(|key| vec![key.to_owned()]));
            simulated(&built.build().unwrap())
        };
        let key = BTreeSet::from(["aws:SourceIp".to_owned()]);
        assert_eq!(result("allowed", None), Simulated::Allowed);
        assert_eq!(
            result("allowed", Some("aws:SourceIp")),
            Simulated::DependsOn(key.clone())
        );
        assert_eq!(
            result("implicitDeny", Some("aws:SourceIp")),
            Simulated::DependsOn(key)
        );
        for decision in ["implicitDeny", "explicitDeny", "somethingNew"] {
            let denied = Simulated::Denied(decision.to_owned());
            assert_eq!(result(decision, None), denied);
        }
    }
}
