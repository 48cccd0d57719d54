//! The canary role, as a CloudFormation template for a service-managed StackSet: one role in every member account.
//!
//! A value of types and never pasted text, so that nothing that is given can be anything but itself in it.

use serde::Serialize;

use crate::ids::*;
use crate::rights::{CANARY, CANARY_AUDIT, CANARY_IAM_USERS};

/// The template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Template {
    #[serde(rename = "AWSTemplateFormatVersion")]
    version: &'static str,
    description: String,
    parameters: Parameters,
    resources: Resources,
    outputs: Outputs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters {
    responder_principal: Parameter,
    role_name: Parameter,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    r#type: &'static str,
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<String>,
    allowed_pattern: &'static str,
    constraint_description: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Resources {
    canary_role: Resource,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    r#type: &'static str,
    properties: Role,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Role {
    role_name: Ref,
    description: &'static str,
    max_session_duration: u32,
    assume_role_policy_document: Policy,
    policies: Vec<Inline>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inline {
    policy_name: &'static str,
    policy_document: Policy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Principal>,
    action: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Principal {
    #[serde(rename = "AWS")]
    aws: Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Condition {
    arn_like: PrincipalArn,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct PrincipalArn {
    #[serde(rename = "aws:PrincipalArn")]
    is: Ref,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Outputs {
    canary_role_arn: Output,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    description: &'static str,
    value: Text,
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Ref {
    #[serde(rename = "Ref")]
    name: &'static str,
}

/// A text of the template's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
enum Text {
    /// With `${…}` filled in.
    #[serde(rename = "Fn::Sub")]
    Sub(&'static str, Account),
    #[serde(rename = "Fn::Sub")]
    SubOf(&'static str),
    #[serde(rename = "Fn::GetAtt")]
    GetAtt(&'static str, &'static str),
    // Never read back, so nothing can be taken for another.
    #[serde(untagged)]
    Plain(&'static str),
}

/// The account in the responder's ARN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Account {
    account: Select,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Select {
    #[serde(rename = "Fn::Select")]
    select: (u8, Split),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Split {
    #[serde(rename = "Fn::Split")]
    split: (&'static str, Ref),
}

/// The name of the responder's parameter.
const RESPONDER: &str = "ResponderPrincipal";

/// The template of a role of this name, for whoever runs quell: a default, which the stack set may override, and needs
/// where nobody is named. With the rights on IAM users only if asked for: they let whoever holds the role write any policy
/// onto any user of the account. With those of an audit likewise: they show every policy there.
pub fn template(
    role: &RoleName,
    trust: Option<&PrincipalPattern>,
    iam_users: bool,
    audit: bool,
) -> Template {
    let mut policies = vec![Inline {
        policy_name: "quell-probe",
        policy_document: allow("Probe", CANARY, Text::Plain("*")),
    }];
    if iam_users {
        let users = Text::SubOf("arn:${AWS::Partition}:iam::${AWS::AccountId}:user/*");
        policies.push(Inline {
            policy_name: "quell-iam-users",
            policy_document: allow("IamUsers", CANARY_IAM_USERS, users),
        });
    }
    if audit {
        policies.push(Inline {
            policy_name: "quell-audit",
            policy_document: allow("Audit", CANARY_AUDIT, Text::Plain("*")),
        });
    }
    Template {
        version: "2010-09-09",
        description: "The role that quell enters member accounts with, to show that a deny holds."
            .to_owned(),
        parameters: Parameters {
            responder_principal: Parameter {
                r#type: "String",
                description: "ARN of the role or user that runs quell; * stands for any text in its name.",
                default: trust.map(|trust| trust.as_str().to_owned()),
                allowed_pattern: r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[\w+=,.@*/-]+$",
                constraint_description: "arn:aws:iam::<account>:role/<name>, or user/<name>",
            },
            role_name: Parameter {
                r#type: "String",
                description: "Name of the role; quell looks for it by this name (--canary-role).",
                default: Some(role.to_string()),
                allowed_pattern: r"^[\w+=,.@-]{1,64}$",
                constraint_description: "the name of an IAM role",
            },
        },
        resources: Resources {
            canary_role: Resource {
                r#type: "AWS::IAM::Role",
                properties: Role {
                    role_name: Ref { name: "RoleName" },
                    description: "For quell, in sessions of 15 minutes that may do the one thing each is for.",
                    // The least that IAM takes. quell asks for 900 seconds.
                    max_session_duration: 3600,
                    assume_role_policy_document: trust_policy(),
                    policies,
                },
            },
        },
        outputs: Outputs {
            canary_role_arn: Output {
                description: "What quell assumes in this account.",
                value: Text::GetAtt("CanaryRole", "Arn"),
            },
        },
    }
}

/// The account is trusted and the ARN compared: a principal that is named by itself would be lost when its role is made
/// anew, as those of permission sets are.
fn trust_policy() -> Policy {
    let account = Account {
        account: Select {
            select: (
                4,
                Split {
                    split: (":", Ref { name: RESPONDER }),
                },
            ),
        },
    };
    let principal = Text::Sub("arn:${AWS::Partition}:iam::${Account}:root", account);
    Policy {
        version: "2012-10-17",
        statement: vec![Statement {
            sid: "Responder",
            effect: "Allow",
            principal: Some(Principal { aws: principal }),
            action: vec!["sts:AssumeRole", "sts:SetSourceIdentity"],
            resource: None,
            condition: Some(Condition {
                arn_like: PrincipalArn {
                    is: Ref { name: RESPONDER },
                },
            }),
        }],
    }
}

fn allow(sid: &'static str, actions: &[&'static str], resource: Text) -> Policy {
    Policy {
        version: "2012-10-17",
        statement: vec![Statement {
            sid,
            effect: "Allow",
            principal: None,
            action: actions.to_vec(),
            resource: Some(resource),
            condition: None,
        }],
    }
}

impl Template {
    /// As CloudFormation takes it.
    pub fn pretty(&self) -> String {
        // Serializing a tree of strings into a String has no way to fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
