"""Other people's clients against quell's range: what they know of AWS is what the range must answer."""

import json

import pytest
from botocore.exceptions import ClientError

from conftest import quick_playbook

MANAGEMENT = "111122223333"
DENY = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringLike": {"aws:userid": "*:test-user"}}}],
})


def test_the_aws_cli_creates_attaches_and_sees_a_call_refused(range_world):
    world = range_world
    sessions = world.sessions()
    assert len(sessions) == 13 and MANAGEMENT in sessions
    member = "444455556666"
    assert world.aws("iam", "list-account-aliases", session=sessions[member]).code == 0

    created = world.aws("organizations", "create-policy", "--name", "by-hand", "--description", "", "--type", "SERVICE_CONTROL_POLICY", "--content", DENY)
    policy = created.json()["Policy"]["PolicySummary"]
    root = world.aws("organizations", "list-roots").json()["Roots"][0]
    attached = world.aws("organizations", "attach-policy", "--policy-id", policy["Id"], "--target-id", root["Id"])
    assert attached.code == 0, attached

    refused = world.aws("iam", "list-account-aliases", session=sessions[member])
    assert refused.code != 0, refused
    who = world.aws("sts", "get-caller-identity", session=sessions[member])
    assert who.code == 0, "AWS answers it despite any deny"
    arn = who.json()["Arn"]
    assert who.json()["UserId"].endswith(":test-user")
    expected = (f"An error occurred (AccessDenied) when calling the ListAccountAliases operation: User: {arn} is not authorized to perform: "
                f"iam:ListAccountAliases on resource: * with an explicit deny in a service control policy: {policy['Arn']}")
    assert expected in refused.err, refused
    in_ec2 = world.aws("ec2", "describe-instances", session=sessions[member])
    assert "(UnauthorizedOperation)" in in_ec2.err, in_ec2
    assert "(AccessDenied)" in world.aws("s3", "ls", session=sessions[member]).err
    assert world.aws("iam", "list-account-aliases", session=sessions[MANAGEMENT]).code == 0, "no SCP applies in the management account"

    assert world.aws("organizations", "detach-policy", "--policy-id", policy["Id"], "--target-id", root["Id"]).code == 0
    assert world.aws("iam", "list-account-aliases", session=sessions[member]).code == 0


def test_boto3_sees_the_errors_it_knows(range_world):
    organizations = range_world.client("organizations")
    errors = organizations.exceptions
    root = organizations.list_roots()["Roots"][0]["Id"]
    policy = organizations.create_policy(Name="a", Description="", Type="SERVICE_CONTROL_POLICY", Content=DENY)["Policy"]["PolicySummary"]["Id"]
    with pytest.raises(errors.DuplicatePolicyException):
        organizations.create_policy(Name="a", Description="", Type="SERVICE_CONTROL_POLICY", Content=DENY)
    with pytest.raises(errors.MalformedPolicyDocumentException):
        organizations.create_policy(Name="b", Description="", Type="SERVICE_CONTROL_POLICY", Content="{not json")
    with pytest.raises(errors.PolicyNotAttachedException):
        organizations.detach_policy(PolicyId=policy, TargetId=root)
    organizations.attach_policy(PolicyId=policy, TargetId=root)
    with pytest.raises(errors.DuplicatePolicyAttachmentException):
        organizations.attach_policy(PolicyId=policy, TargetId=root)
    with pytest.raises(errors.PolicyInUseException):
        organizations.delete_policy(PolicyId=policy)
    with pytest.raises(errors.ConstraintViolationException) as least:
        organizations.detach_policy(PolicyId="p-FullAWSAccess", TargetId="444455556666")
    assert least.value.response["Reason"] == "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"
    with pytest.raises(errors.TargetNotFoundException):
        organizations.attach_policy(PolicyId=policy, TargetId="999999999999")
    pages = organizations.get_paginator("list_accounts").paginate(PaginationConfig={"PageSize": 5})
    assert sum(len(page["Accounts"]) for page in pages) == 13


def test_boto3_finds_the_practice_user_and_their_finding(range_world):
    world = range_world
    instance = world.client("sso-admin").list_instances()["Instances"][0]
    store = world.client("identitystore")
    found = store.get_user_id(IdentityStoreId=instance["IdentityStoreId"],
                              AlternateIdentifier={"UniqueAttribute": {"AttributePath": "userName", "AttributeValue": "test-user"}})
    user = store.describe_user(IdentityStoreId=instance["IdentityStoreId"], UserId=found["UserId"])
    assert user["UserName"] == "test-user" and user["UserStatus"] == "ENABLED"
    guardduty = world.client("guardduty")
    [finding] = guardduty.get_findings(DetectorId=world.env["QUELL_PRACTICE_DETECTOR"], FindingIds=[world.env["QUELL_PRACTICE_FINDING"]])["Findings"]
    assert finding["Resource"]["AccessKeyDetails"]["PrincipalId"].endswith(":test-user")


def test_boto3_reads_what_a_check_up_asks(range_world):
    trails = range_world.client("cloudtrail")
    [trail] = trails.describe_trails()["trailList"]
    assert trail["IsMultiRegionTrail"] and trail["IsOrganizationTrail"]
    assert trails.get_trail_status(Name=trail["TrailARN"])["IsLogging"] is True
    with pytest.raises(trails.exceptions.TrailNotFoundException):
        trails.get_trail_status(Name="nobodys")

    iam = range_world.client("iam")
    me = f"arn:aws:iam::{MANAGEMENT}:user/responder"
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=me, ActionNames=["iam:GetUser", "iam:GetRole"], ResourceArns=["*"])
    results = [result for page in pages for result in page["EvaluationResults"]]
    assert [(result["EvalActionName"], result["EvalDecision"]) for result in results] == [
        ("iam:GetUser", "allowed"), ("iam:GetRole", "allowed")]
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName="nobodys")

    sso = range_world.client("sso-admin")
    instance = sso.list_instances()["Instances"][0]["InstanceArn"]
    sets = sso.list_permission_sets_provisioned_to_account(InstanceArn=instance, AccountId="444455556666")
    assert len(sets["PermissionSets"]) == 3


def test_what_the_range_does_not_have_is_named(range_world):
    with pytest.raises(ClientError) as unknown:
        range_world.client("organizations").list_handshakes_for_account()
    assert "organizations:ListHandshakesForAccount" in str(unknown.value)
    with pytest.raises(ClientError) as unknown:
        range_world.client("sso-admin").list_trusted_token_issuers(InstanceArn="arn:aws:sso:::instance/ssoins-7223a1b2c3d4e5f6")
    assert "sso:ListTrustedTokenIssuers" in str(unknown.value)
    with pytest.raises(ClientError) as unknown:
        range_world.client("iam").create_group(GroupName="x")
    assert "iam:CreateGroup" in str(unknown.value)


def test_a_key_that_nobody_has_is_refused(range_world):
    stranger = ("AKIANOBODYKNOWSTHIS0", "x", None)
    for service, call, code in (
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("organizations", "list_roots", "UnrecognizedClientException"),
        ("s3", "list_buckets", "InvalidAccessKeyId"),
    ):
        with pytest.raises(ClientError) as refused:
            getattr(range_world.client(service, session=stranger), call)()
        assert refused.value.response["Error"]["Code"] == code


def test_quell_contains_and_boto3_looks_at_the_result(range_world):
    world = range_world
    playbook = quick_playbook(world.tmp)
    finding = ("--finding", world.env["QUELL_PRACTICE_FINDING"])
    ran = world.quell("contain", *finding, "--yes", "--playbook", playbook, "--output", "json")
    assert ran.code == 0, ran
    report = ran.json()
    assert {account["verdict"] for account in report["accounts"]} == {"refused_by_us"} and len(report["accounts"]) == 12

    for account, session in world.sessions().items():
        s3 = world.client("s3", session=session)
        if account == MANAGEMENT:
            s3.list_buckets()
            continue
        with pytest.raises(ClientError) as refused:
            s3.list_buckets()
        error = refused.value.response
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert f"service_control_policy/{report['policy_id']}" in error["Error"]["Message"]
    operator = world.client("organizations")
    assert operator.list_roots()["Roots"], "the operator is not refused"

    released = world.quell("release", report["incident"], "--force", "--yes", "--playbook", playbook)
    assert released.code == 0, released
    for session in world.sessions().values():
        world.client("s3", session=session).list_buckets()
    names = [policy["Name"] for policy in operator.list_policies(Filter="SERVICE_CONTROL_POLICY")["Policies"]]
    assert names == ["FullAWSAccess"]
