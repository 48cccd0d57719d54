//! What somebody left behind: calls after which something stays that no deny of theirs takes away.
//!
//! Arrives: the calls of the principal and of whoever they became. Leaves: those that may have left something, worst first,
//! as candidates to be looked at. Which of them is an attacker's is for people to say. Pure.

use serde::Serialize;

use crate::trail::Call;

/// What may stay, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A guardrail, or a record, that is there no more.
    Guardrail,
    /// A way in: users, keys, passwords, roles, trust.
    WayIn,
    /// Rights that were given.
    Rights,
    /// Something that runs, in a role of its own.
    Runs,
    /// Something that others can reach.
    Shared,
}

impl Kind {
    /// For people.
    pub fn says(self) -> &'static str {
        match self {
            Kind::Guardrail => "a guardrail or a record less",
            Kind::WayIn => "a way in",
            Kind::Rights => "rights",
            Kind::Runs => "something that runs",
            Kind::Shared => "something shared",
        }
    }
}

/// Services by the source of their events, and the calls of each that may leave something. What is written with a `*` goes
/// by its beginning: Lambda's events carry the API's date.
const CALLS: &[(Kind, &str, &[&str])] = &[
    (
        Kind::Guardrail,
        "organizations",
        &[
            "DetachPolicy",
            "DeletePolicy",
            "UpdatePolicy",
            "DisablePolicyType",
            "LeaveOrganization",
            "RemoveAccountFromOrganization",
            "MoveAccount",
            "RegisterDelegatedAdministrator",
            "DisableAWSServiceAccess",
        ],
    ),
    (
        Kind::Guardrail,
        "cloudtrail",
        &[
            "StopLogging",
            "DeleteTrail",
            "UpdateTrail",
            "PutEventSelectors",
            "DeleteEventDataStore",
        ],
    ),
    (
        Kind::Guardrail,
        "config",
        &[
            "StopConfigurationRecorder",
            "DeleteConfigurationRecorder",
            "DeleteDeliveryChannel",
        ],
    ),
    (
        Kind::Guardrail,
        "guardduty",
        &[
            "DeleteDetector",
            "UpdateDetector",
            "CreateFilter",
            "StopMonitoringMembers",
            "DisassociateFromAdministratorAccount",
        ],
    ),
    (
        Kind::Guardrail,
        "securityhub",
        &["DisableSecurityHub", "BatchDisableStandards"],
    ),
    (
        Kind::Guardrail,
        "access-analyzer",
        &["DeleteAnalyzer", "CreateArchiveRule"],
    ),
    (
        Kind::Guardrail,
        "logs",
        &["DeleteLogGroup", "DeleteLogStream", "PutRetentionPolicy"],
    ),
    (Kind::Guardrail, "ec2", &["DeleteFlowLogs"]),
    (
        Kind::Guardrail,
        "iam",
        &[
            "DeleteRolePermissionsBoundary",
            "DeleteUserPermissionsBoundary",
        ],
    ),
    (
        Kind::WayIn,
        "iam",
        &[
            "CreateUser",
            "CreateAccessKey",
            "UpdateAccessKey",
            "CreateLoginProfile",
            "UpdateLoginProfile",
            "CreateServiceSpecificCredential",
            "UploadSSHPublicKey",
            "UploadSigningCertificate",
            "CreateVirtualMFADevice",
            "DeactivateMFADevice",
            "CreateRole",
            "UpdateAssumeRolePolicy",
            "CreateOpenIDConnectProvider",
            "AddClientIDToOpenIDConnectProvider",
            "UpdateOpenIDConnectProviderThumbprint",
            "CreateSAMLProvider",
            "UpdateSAMLProvider",
        ],
    ),
    (
        Kind::WayIn,
        "sso",
        &[
            "CreateAccountAssignment",
            "CreatePermissionSet",
            "CreateUser",
            "UpdatePermissionSet",
        ],
    ),
    (
        Kind::WayIn,
        "identitystore",
        &["CreateUser", "UpdateUser", "CreateGroupMembership"],
    ),
    (Kind::WayIn, "account-access", &["CreateEntitlement"]),
    (
        Kind::WayIn,
        "rolesanywhere",
        &["CreateTrustAnchor", "CreateProfile", "UpdateTrustAnchor"],
    ),
    (
        Kind::Rights,
        "iam",
        &[
            "PutUserPolicy",
            "PutRolePolicy",
            "PutGroupPolicy",
            "AttachUserPolicy",
            "AttachRolePolicy",
            "AttachGroupPolicy",
            "AddUserToGroup",
            "CreatePolicy",
            "CreatePolicyVersion",
            "SetDefaultPolicyVersion",
            "CreateInstanceProfile",
            "AddRoleToInstanceProfile",
        ],
    ),
    (
        Kind::Rights,
        "sso",
        &[
            "PutInlinePolicyToPermissionSet",
            "AttachManagedPolicyToPermissionSet",
            "AttachCustomerManagedPolicyReferenceToPermissionSet",
            "ProvisionPermissionSet",
        ],
    ),
    (
        Kind::Runs,
        "lambda",
        &[
            "CreateFunction*",
            "UpdateFunctionCode*",
            "UpdateFunctionConfiguration*",
            "CreateEventSourceMapping*",
            "PublishLayerVersion*",
        ],
    ),
    (
        Kind::Runs,
        "ec2",
        &[
            "RunInstances",
            "RequestSpotInstances",
            "RequestSpotFleet",
            "CreateFleet",
            "CreateKeyPair",
            "ImportKeyPair",
            "ModifyInstanceAttribute",
            "AssociateIamInstanceProfile",
            "ReplaceIamInstanceProfileAssociation",
            "AuthorizeSecurityGroupIngress",
        ],
    ),
    (
        Kind::Runs,
        "ecs",
        &[
            "RunTask",
            "CreateService",
            "UpdateService",
            "RegisterTaskDefinition",
        ],
    ),
    (
        Kind::Runs,
        "eks",
        &["CreateAccessEntry", "AssociateAccessPolicy"],
    ),
    (
        Kind::Runs,
        "codebuild",
        &["CreateProject", "UpdateProject", "StartBuild"],
    ),
    (
        Kind::Runs,
        "cloudformation",
        &[
            "CreateStack",
            "UpdateStack",
            "CreateStackSet",
            "CreateStackInstances",
        ],
    ),
    (Kind::Runs, "events", &["PutRule", "PutTargets"]),
    (Kind::Runs, "scheduler", &["CreateSchedule"]),
    (
        Kind::Runs,
        "states",
        &["CreateStateMachine", "UpdateStateMachine"],
    ),
    (
        Kind::Runs,
        "ssm",
        &[
            "SendCommand",
            "StartSession",
            "CreateAssociation",
            "CreateActivation",
        ],
    ),
    (
        Kind::Runs,
        "sagemaker",
        &[
            "CreateNotebookInstance",
            "CreatePresignedNotebookInstanceUrl",
        ],
    ),
    (
        Kind::Shared,
        "ec2",
        &["ModifySnapshotAttribute", "ModifyImageAttribute"],
    ),
    (
        Kind::Shared,
        "rds",
        &[
            "ModifyDBSnapshotAttribute",
            "ModifyDBClusterSnapshotAttribute",
            "StartExportTask",
        ],
    ),
    (
        Kind::Shared,
        "s3",
        &[
            "PutBucketPolicy",
            "PutBucketAcl",
            "PutBucketReplication",
            "DeleteBucketPublicAccessBlock",
            "PutAccountPublicAccessBlock",
        ],
    ),
    (
        Kind::Shared,
        "kms",
        &["PutKeyPolicy", "CreateGrant", "ScheduleKeyDeletion"],
    ),
    (Kind::Shared, "secretsmanager", &["PutResourcePolicy"]),
    (Kind::Shared, "ecr", &["SetRepositoryPolicy"]),
    (
        Kind::Shared,
        "ram",
        &["CreateResourceShare", "AssociateResourceShare"],
    ),
    (
        Kind::Shared,
        "lambda",
        &["AddPermission*", "CreateFunctionUrlConfig*"],
    ),
    (
        Kind::Shared,
        "sqs",
        &["SetQueueAttributes", "AddPermission"],
    ),
    (
        Kind::Shared,
        "sns",
        &["SetTopicAttributes", "AddPermission"],
    ),
];

/// Parameters that say what a call was about, in the order in which they are told.
const TELLING: [&str; 16] = [
    "userName",
    "roleName",
    "groupName",
    "policyName",
    "policyArn",
    "policyId",
    "targetId",
    "accountId",
    "functionName",
    "name",
    "trailName",
    "detectorId",
    "bucketName",
    "snapshotId",
    "imageId",
    "keyId",
];

/// What a call may have left; `None` for one that was refused or failed, and for all others.
pub fn kind_of(call: &Call) -> Option<Kind> {
    if call.error.is_some() {
        return None;
    }
    let service = call.source.strip_suffix(".amazonaws.com")?;
    let is_it = |name: &&str| match name.strip_suffix('*') {
        Some(beginning) => call.name.starts_with(beginning),
        None => call.name == **name,
    };
    let rows = CALLS.iter().filter(|(_, of, _)| *of == service);
    let mut found = rows.filter(|(_, _, names)| names.iter().any(&is_it));
    found.next().map(|(kind, _, _)| *kind)
}

/// What a call was about: at most three of its parameters.
pub fn about(call: &Call) -> String {
    let told = TELLING
        .iter()
        .filter_map(|name| Some(format!("{name} {}", call.parameters.get(*name)?)));
    told.take(3).collect::<Vec<_>>().join(", ")
}
