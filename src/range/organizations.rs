//! AWS Organizations on the range, with its quotas and errors (aws-facts §4, §8).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::ids::*;
use crate::policy::MOST_CHARACTERS;
use crate::policy::document::Document;
use crate::range::gate::arn_of;
use crate::range::state::{Policy, Session, State};
use crate::range::wire::{Asked, Refusal, page, unsupported};

/// SCPs that may be attached to one target.
const MOST_ATTACHED: usize = 10;

/// Items on a page.
const PAGE: usize = 20;

/// Answers one operation.
pub(super) fn perform(
    state: &mut State,
    session: &Session,
    asked: &Asked,
) -> Result<Value, Refusal> {
    if !state.exists {
        return Err(refuse(
            "AWSOrganizationsNotInUseException",
            "Your account is not a member of an organization.",
        ));
    }
    if asked.operation == "DescribeOrganization" {
        return Ok(json!({ "Organization": describe(state) }));
    }
    if session.account != state.management && !state.delegated.contains(&session.account) {
        return Err(refuse(
            "AccessDeniedException",
            "You don't have permissions to access this resource.",
        ));
    }
    match asked.operation.as_str() {
        "ListRoots" => page(asked, "Roots", vec![root(state)], PAGE),
        "ListAccounts" => page(
            asked,
            "Accounts",
            state.accounts.keys().map(|id| account(state, id)).collect(),
            PAGE,
        ),
        "DescribeAccount" => {
            let id = AccountId::parse(asked.text("AccountId"))
                .ok()
                .filter(|id| state.accounts.contains_key(id));
            let id = id.ok_or_else(|| {
                refuse(
                    "AccountNotFoundException",
                    "There is no such account in this organization.",
                )
            })?;
            Ok(json!({ "Account": account(state, &id) }))
        }
        "ListAccountsForParent" => {
            let parent = parent(state, asked)?;
            let children = state
                .accounts
                .iter()
                .filter(|(_, account)| account.parent == parent)
                .map(|(id, _)| id);
            page(
                asked,
                "Accounts",
                children.map(|id| account(state, id)).collect(),
                PAGE,
            )
        }
        "ListOrganizationalUnitsForParent" => {
            let parent = parent(state, asked)?;
            let children = state.units.iter().filter(|(_, unit)| unit.parent == parent);
            let units = children.map(|(id, unit)| {
                let arn = format!(
                    "arn:aws:organizations::{}:ou/{}/{id}",
                    state.management, state.organization
                );
                json!({ "Id": id, "Arn": arn, "Name": unit.name })
            });
            page(asked, "OrganizationalUnits", units.collect(), PAGE)
        }
        "ListParents" => list_parents(state, asked),
        "EnablePolicyType" | "DisablePolicyType" => switch(state, asked),
        "ListPolicies" => {
            scp_filter(asked)?;
            page(
                asked,
                "Policies",
                state
                    .policies
                    .iter()
                    .map(|(id, policy)| summary(state, id, policy))
                    .collect(),
                PAGE,
            )
        }
        "ListPoliciesForTarget" => {
            scp_filter(asked)?;
            let target = target(state, asked)?;
            let attached = state
                .attachments
                .get(&target)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let found = attached.iter().filter_map(|id| {
                state
                    .policies
                    .get(id)
                    .map(|policy| summary(state, id, policy))
            });
            page(asked, "Policies", found.collect(), PAGE)
        }
        "ListTargetsForPolicy" => {
            let policy = policy_id(state, asked.text("PolicyId"))?;
            let targets = state
                .attachments
                .iter()
                .filter(|(_, attached)| attached.contains(&policy))
                .map(|(target, _)| target);
            page(
                asked,
                "Targets",
                targets
                    .map(|target| describe_target(state, target))
                    .collect(),
                PAGE,
            )
        }
        "DescribePolicy" => {
            let id = policy_id(state, asked.text("PolicyId"))?;
            Ok(json!({ "Policy": described(state, &id) }))
        }
        "CreatePolicy" => create(state, asked),
        "UpdatePolicy" => update(state, asked),
        "AttachPolicy" => attach(state, asked),
        "DetachPolicy" => detach(state, asked),
        "DeletePolicy" => delete(state, asked),
        "TagResource" => {
            let id = policy_id(state, asked.text("ResourceId"))?;
            let new = tags(asked)?;
            let all = state
                .policies
                .get(&id)
                .map(|policy| policy.tags.clone())
                .unwrap_or_default();
            let all: BTreeMap<String, String> = all.into_iter().chain(new).collect();
            if all.len() > 50 {
                return Err(refuse(
                    "ConstraintViolationException",
                    "You have exceeded the number of tags.",
                )
                .because("MAX_TAG_LIMIT_EXCEEDED"));
            }
            if let Some(policy) = state.policies.get_mut(&id) {
                policy.tags = all;
            }
            Ok(json!({}))
        }
        "UntagResource" => {
            let id = policy_id(state, asked.text("ResourceId"))?;
            let keys: Vec<&str> = asked
                .parameters
                .get("TagKeys")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            if let Some(policy) = state.policies.get_mut(&id) {
                policy.tags.retain(|key, _| !keys.contains(&key.as_str()));
            }
            Ok(json!({}))
        }
        "ListTagsForResource" => {
            let id = policy_id(state, asked.text("ResourceId"))?;
            let tags = state
                .policies
                .get(&id)
                .map(|policy| policy.tags.clone())
                .unwrap_or_default();
            page(
                asked,
                "Tags",
                tags.iter()
                    .map(|(key, value)| json!({ "Key": key, "Value": value }))
                    .collect(),
                50,
            )
        }
        _ => Err(unsupported(asked)),
    }
}

fn refuse(code: &str, message: &str) -> Refusal {
    Refusal::new(400, code, message)
}

fn describe(state: &State) -> Value {
    json!({
        "Id": state.organization,
        "Arn": format!("arn:aws:organizations::{}:organization/{}", state.management, state.organization),
        "FeatureSet": if state.all_features { "ALL" } else { "CONSOLIDATED_BILLING" },
        "MasterAccountArn": format!("arn:aws:organizations::{}:account/{}/{}", state.management, state.organization, state.management),
        "MasterAccountId": state.management,
        "MasterAccountEmail": "management@example.com",
    })
}

fn root(state: &State) -> Value {
    let types = if state.scps_enabled {
        json!([{ "Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED" }])
    } else {
        json!([])
    };
    let arn = format!(
        "arn:aws:organizations::{}:root/{}/{}",
        state.management, state.organization, state.root
    );
    json!({ "Id": state.root, "Arn": arn, "Name": "Root", "PolicyTypes": types })
}

fn account(state: &State, id: &AccountId) -> Value {
    let name = state
        .accounts
        .get(id)
        .map_or("", |account| account.name.as_str());
    let suspended = state.suspended.contains(id);
    let now = if suspended { "SUSPENDED" } else { "ACTIVE" };
    json!({
        "Id": id,
        "Arn": format!("arn:aws:organizations::{}:account/{}/{id}", state.management, state.organization),
        "Email": format!("{name}@example.com"),
        "Name": name,
        "Status": now,
        "State": now,
        "JoinedMethod": "CREATED",
    })
}

fn summary(state: &State, id: &PolicyId, policy: &Policy) -> Value {
    json!({
        "Id": id,
        "Arn": arn_of(state, id.as_str()),
        "Name": policy.name,
        "Description": policy.description,
        "Type": "SERVICE_CONTROL_POLICY",
        "AwsManaged": policy.aws_managed,
    })
}

fn described(state: &State, id: &PolicyId) -> Value {
    let Some(policy) = state.policies.get(id) else {
        return Value::Null;
    };
    json!({ "PolicySummary": summary(state, id, policy), "Content": policy.content })
}

fn describe_target(state: &State, target: &TargetId) -> Value {
    let (kind, name, what) = if *target == state.root {
        ("ROOT", "Root".to_owned(), "root")
    } else if let Some(unit) = state.units.get(target) {
        ("ORGANIZATIONAL_UNIT", unit.name.clone(), "ou")
    } else {
        let name = target
            .account()
            .and_then(|id| state.accounts.get(&id).map(|account| account.name.clone()));
        ("ACCOUNT", name.unwrap_or_default(), "account")
    };
    let arn = format!(
        "arn:aws:organizations::{}:{what}/{}/{target}",
        state.management, state.organization
    );
    json!({ "TargetId": target, "Arn": arn, "Name": name, "Type": kind })
}

fn scp_filter(asked: &Asked) -> Result<(), Refusal> {
    match asked.text("Filter") {
        "SERVICE_CONTROL_POLICY" => Ok(()),
        "" => Err(refuse("InvalidInputException", "Filter is required.").because("INPUT_REQUIRED")),
        _ => Err(refuse(
            "InvalidInputException",
            "The practice range has service control policies only.",
        )
        .because("INVALID_ENUM_POLICY_TYPE")),
    }
}

fn target(state: &State, asked: &Asked) -> Result<TargetId, Refusal> {
    let target = TargetId::parse(asked.text("TargetId")).map_err(|error| {
        refuse("InvalidInputException", &error.to_string()).because("INVALID_PATTERN_TARGET_ID")
    })?;
    if state.has_target(&target) {
        Ok(target)
    } else {
        Err(refuse(
            "TargetNotFoundException",
            "There is no such root, organizational unit or account.",
        ))
    }
}

fn parent(state: &State, asked: &Asked) -> Result<TargetId, Refusal> {
    let parent = TargetId::parse(asked.text("ParentId"))
        .ok()
        .filter(|parent| state.has_target(parent) && parent.account().is_none());
    parent.ok_or_else(|| {
        refuse(
            "ParentNotFoundException",
            "There is no such root or organizational unit.",
        )
    })
}

fn list_parents(state: &State, asked: &Asked) -> Result<Value, Refusal> {
    let child = TargetId::parse(asked.text("ChildId")).ok();
    let parent = child.and_then(|child| match child.account() {
        Some(id) => state
            .accounts
            .get(&id)
            .map(|account| account.parent.clone()),
        None => state.units.get(&child).map(|unit| unit.parent.clone()),
    });
    let parent = parent.ok_or_else(|| {
        refuse(
            "ChildNotFoundException",
            "There is no such organizational unit or account.",
        )
    })?;
    let kind = if parent == state.root {
        "ROOT"
    } else {
        "ORGANIZATIONAL_UNIT"
    };
    page(
        asked,
        "Parents",
        vec![json!({ "Id": parent, "Type": kind })],
        PAGE,
    )
}

fn switch(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    if asked.text("PolicyType") != "SERVICE_CONTROL_POLICY" {
        return Err(refuse(
            "InvalidInputException",
            "The practice range has service control policies only.",
        )
        .because("INVALID_ENUM_POLICY_TYPE"));
    }
    if asked.text("RootId") != state.root.as_str() {
        return Err(refuse("RootNotFoundException", "There is no such root."));
    }
    let on = asked.operation == "EnablePolicyType";
    if on == state.scps_enabled {
        return Err(if on {
            refuse(
                "PolicyTypeAlreadyEnabledException",
                "The policy type is already enabled.",
            )
        } else {
            refuse(
                "PolicyTypeNotEnabledException",
                "The policy type is not enabled.",
            )
        });
    }
    state.scps_enabled = on;
    // Switching the type off drops every attachment for good; switching it on gives everybody FullAWSAccess.
    let full = state
        .policies
        .iter()
        .find(|(_, policy)| policy.aws_managed)
        .map(|(id, _)| id.clone());
    for attached in state.attachments.values_mut() {
        *attached = full.iter().filter(|_| on).cloned().collect();
    }
    state.policies_changed();
    Ok(json!({ "Root": root(state) }))
}

fn policy_id(state: &State, id: &str) -> Result<PolicyId, Refusal> {
    let id = PolicyId::parse(id).map_err(|error| {
        refuse("InvalidInputException", &error.to_string()).because("INVALID_PATTERN_POLICY_ID")
    })?;
    if state.policies.contains_key(&id) {
        Ok(id)
    } else {
        Err(refuse(
            "PolicyNotFoundException",
            "There is no such policy.",
        ))
    }
}

fn own_policy_id(state: &State, id: &str) -> Result<PolicyId, Refusal> {
    let id = policy_id(state, id)?;
    match state.policies.get(&id) {
        Some(policy) if policy.aws_managed => Err(refuse(
            "InvalidInputException",
            "AWS's own policies cannot be changed.",
        )
        .because("IMMUTABLE_POLICY")),
        Some(_) | None => Ok(id),
    }
}

fn content(text: &str) -> Result<Arc<Document>, Refusal> {
    let malformed = |message: &str| refuse("MalformedPolicyDocumentException", message);
    let document = Document::parse(text).map_err(|error| malformed(&error.to_string()))?;
    let mut statements = document.statements.iter();
    let unknown = document
        .unknown
        .first()
        .or(statements.find_map(|statement| statement.unknown.first()));
    if let Some(element) = unknown {
        return Err(malformed(&format!(
            "The element {} is not supported.",
            element.name
        )));
    }
    let characters = text.chars().count();
    if characters > MOST_CHARACTERS {
        let message =
            format!("The policy has {characters} characters; {MOST_CHARACTERS} are allowed.");
        return Err(refuse("ConstraintViolationException", &message)
            .because("POLICY_CONTENT_LIMIT_EXCEEDED"));
    }
    Ok(Arc::new(document))
}

fn free_name(state: &State, name: &str, of: Option<&PolicyId>) -> Result<(), Refusal> {
    let length = name.chars().count();
    if !(1..=128).contains(&length) {
        return Err(refuse(
            "InvalidInputException",
            "A policy's name has 1 to 128 characters.",
        )
        .because("MAX_LENGTH_EXCEEDED"));
    }
    if state
        .policies
        .iter()
        .any(|(id, policy)| policy.name == name && Some(id) != of)
    {
        return Err(refuse(
            "DuplicatePolicyException",
            "A policy with the same name already exists.",
        ));
    }
    Ok(())
}

fn tags(asked: &Asked) -> Result<BTreeMap<String, String>, Refusal> {
    let mut tags = BTreeMap::new();
    let fits = |text: &str, most: usize| {
        text.chars().count() <= most
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c))
    };
    for tag in asked
        .parameters
        .get("Tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let field = |name: &str| tag.get(name).and_then(Value::as_str).unwrap_or_default();
        let (key, value) = (field("Key"), field("Value"));
        if key.is_empty() || !fits(key, 128) || !fits(value, 256) {
            return Err(refuse(
                "InvalidInputException",
                "A tag has characters or a length that tags cannot have.",
            )
            .because("INVALID_PATTERN"));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    if tags.len() > 50 {
        return Err(refuse(
            "ConstraintViolationException",
            "You have exceeded the number of tags.",
        )
        .because("MAX_TAG_LIMIT_EXCEEDED"));
    }
    Ok(tags)
}

fn create(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    if asked.text("Type") != "SERVICE_CONTROL_POLICY" {
        return Err(refuse(
            "PolicyTypeNotAvailableForOrganizationException",
            "The practice range has service control policies only.",
        ));
    }
    if !state.all_features {
        return Err(refuse(
            "PolicyTypeNotAvailableForOrganizationException",
            "The organization does not have all features.",
        ));
    }
    // AWS's API insists on a description, if only an empty one (aws-facts §8).
    let description = asked.parameters.get("Description").and_then(Value::as_str);
    let description = description.ok_or_else(|| {
        refuse("InvalidInputException", "Description is required.").because("INPUT_REQUIRED")
    })?;
    if description.chars().count() > 512 {
        return Err(refuse(
            "InvalidInputException",
            "A description has at most 512 characters.",
        )
        .because("MAX_LENGTH_EXCEEDED"));
    }
    free_name(state, asked.text("Name"), None)?;
    let tags = tags(asked)?;
    let text = asked.text("Content");
    let document = content(text)?;
    let Ok(id) = PolicyId::parse(format!(
        "p-{}",
        state.draw(10, b"abcdefghijklmnopqrstuvwxyz0123456789")
    )) else {
        return Err(refuse(
            "ServiceException",
            "The practice range could not draw an id.",
        ));
    };
    let policy = Policy {
        name: asked.text("Name").to_owned(),
        description: description.to_owned(),
        content: text.to_owned(),
        document,
        tags,
        aws_managed: false,
    };
    state.policies.insert(id.clone(), policy);
    state.policies_changed();
    Ok(json!({ "Policy": described(state, &id) }))
}

fn update(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let id = own_policy_id(state, asked.text("PolicyId"))?;
    let given = |name: &str| {
        asked
            .parameters
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    if let Some(name) = given("Name") {
        free_name(state, &name, Some(&id))?;
    }
    let document = given("Content").map(|text| content(&text)).transpose()?;
    if let Some(policy) = state.policies.get_mut(&id) {
        if let Some(name) = given("Name") {
            policy.name = name;
        }
        if let Some(description) = given("Description") {
            policy.description = description;
        }
        if let (Some(document), Some(text)) = (document, given("Content")) {
            policy.document = document;
            policy.content = text;
        }
    }
    state.policies_changed();
    Ok(json!({ "Policy": described(state, &id) }))
}

fn attach(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let policy = policy_id(state, asked.text("PolicyId"))?;
    let target = target(state, asked)?;
    if !state.scps_enabled {
        return Err(refuse(
            "PolicyTypeNotEnabledException",
            "The policy type is not enabled on the root.",
        ));
    }
    let attached = state.attachments.entry(target).or_default();
    if attached.contains(&policy) {
        return Err(refuse(
            "DuplicatePolicyAttachmentException",
            "The policy is already attached to the target.",
        ));
    }
    if attached.len() >= MOST_ATTACHED {
        let message = "You have reached the limit of policies of this type for the target.";
        return Err(refuse("ConstraintViolationException", message)
            .because("MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"));
    }
    attached.push(policy);
    state.policies_changed();
    Ok(json!({}))
}

fn detach(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let policy = policy_id(state, asked.text("PolicyId"))?;
    let target = target(state, asked)?;
    let attached = state.attachments.entry(target).or_default();
    if !attached.contains(&policy) {
        return Err(refuse(
            "PolicyNotAttachedException",
            "The policy is not attached to the target.",
        ));
    }
    if attached.len() == 1 {
        let message = "At least one policy of this type must stay attached.";
        return Err(refuse("ConstraintViolationException", message)
            .because("MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"));
    }
    attached.retain(|id| *id != policy);
    state.policies_changed();
    Ok(json!({}))
}

fn delete(state: &mut State, asked: &Asked) -> Result<Value, Refusal> {
    let policy = own_policy_id(state, asked.text("PolicyId"))?;
    if state
        .attachments
        .values()
        .any(|attached| attached.contains(&policy))
    {
        return Err(refuse(
            "PolicyInUseException",
            "The policy is attached to one or more targets.",
        ));
    }
    state.policies.remove(&policy);
    state.policies_changed();
    Ok(json!({}))
}
