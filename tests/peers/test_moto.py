"""quell against moto: an AWS that somebody else wrote. moto enforces no SCP, so a containment must end in "still getting
through" here: a good proof that verifying is no decoration."""

import json

import pytest

from conftest import quick_playbook


@pytest.fixture
def organization(moto_world):
    """An organization with SCPs, two members, and a user who enters one directly and one through a group."""
    world = moto_world
    organizations = world.client("organizations")
    organizations.create_organization(FeatureSet="ALL")
    root = organizations.list_roots()["Roots"][0]["Id"]
    organizations.enable_policy_type(RootId=root, PolicyType="SERVICE_CONTROL_POLICY")
    members = [organizations.create_account(AccountName=name, Email=f"{name}@example.com")["CreateAccountStatus"]["AccountId"] for name in ("one", "two")]
    sso, store = world.client("sso-admin"), world.client("identitystore")
    instance = sso.list_instances()["Instances"][0]
    directory = instance["IdentityStoreId"]
    user = store.create_user(IdentityStoreId=directory, UserName="Alice@example.com", DisplayName="Alice", Name={"GivenName": "A", "FamilyName": "B"},
                             Emails=[{"Value": "alice.b@example.com", "Primary": True}])["UserId"]
    group = store.create_group(IdentityStoreId=directory, DisplayName="operators")["GroupId"]
    store.create_group_membership(IdentityStoreId=directory, GroupId=group, MemberId={"UserId": user})
    sets = [sso.create_permission_set(InstanceArn=instance["InstanceArn"], Name=name, SessionDuration=duration)["PermissionSet"]["PermissionSetArn"]
            for name, duration in (("ReadOnly", "PT1H"), ("Ops", "PT8H"))]
    for account, permission_set, kind, principal in ((members[0], sets[0], "USER", user), (members[1], sets[1], "GROUP", group)):
        sso.create_account_assignment(InstanceArn=instance["InstanceArn"], TargetId=account, TargetType="AWS_ACCOUNT",
                                      PermissionSetArn=permission_set, PrincipalType=kind, PrincipalId=principal)
    world.organizations, world.root, world.members, world.user = organizations, root, members, user
    world.playbook = quick_playbook(world.tmp)
    return world


def ours(world):
    policies = world.organizations.list_policies(Filter="SERVICE_CONTROL_POLICY")["Policies"]
    return [policy for policy in policies if policy["Name"].startswith("quell-")]


def test_a_plan_understands_somebody_elses_organization_and_changes_nothing(organization):
    plan = organization.quell("plan", "alice.b@example.com", "--output", "json")
    assert plan.code == 0, plan
    plan = plan.json()
    assert plan["principal"] == "Alice@example.com", "the directory's spelling, not what was typed"
    assert sorted(plan["reach"]) == sorted(organization.members)
    assert "8h from permission set Ops" in plan["longest_session"]
    assert ours(organization) == []


def test_attached_to_the_root_with_the_right_document_and_still_getting_through(organization):
    world = organization
    ran = world.quell("contain", "Alice@example.com", "--yes", "--verify-timeout", "1s", "--playbook", world.playbook, "--output", "json")
    assert ran.code == 5, ran
    report = ran.json()
    assert report["state"] == "getting_through" and report["proven_ms"] is None
    assert {account["id"]: account["verdict"] for account in report["accounts"]} == dict.fromkeys(world.members, "allowed")

    [policy] = ours(world)
    assert policy["Id"] == report["policy_id"] and policy["Name"] == f"quell-{report['incident']}"
    targets = world.organizations.list_targets_for_policy(PolicyId=policy["Id"])["Targets"]
    assert [target["TargetId"] for target in targets] == [world.root]
    document = json.loads(world.organizations.describe_policy(PolicyId=policy["Id"])["Policy"]["Content"])
    conditions = [statement["Condition"] for statement in document["Statement"]]
    assert conditions == [
        {"StringEquals": {"identitystore:UserId": world.user}},
        {"StringLike": {"aws:userid": "*:Alice@example.com"}},
        {"StringEquals": {"aws:SourceIdentity": "Alice@example.com"}},
    ]
    assert all(statement["Effect"] == "Deny" and statement["Action"] == "*" and statement["Resource"] == "*" for statement in document["Statement"])
    tags = {tag["Key"]: tag["Value"] for tag in world.organizations.list_tags_for_resource(ResourceId=policy["Id"])["Tags"]}
    assert tags["quell:incident"] == report["incident"] and tags["quell:user-id"] == world.user


def test_the_same_command_again_doubles_nothing_and_another_machine_releases(organization):
    world = organization
    contain = ("contain", "Alice@example.com", "--yes", "--verify-timeout", "0s", "--playbook", world.playbook, "--output", "json")
    first, again = world.quell(*contain), world.quell(*contain)
    assert first.json()["incident"] == again.json()["incident"]
    assert len(ours(world)) == 1
    incident = first.json()["incident"]

    elsewhere = {"QUELL_STATE_DIR": str(world.tmp / "another-machine")}
    status = world.quell("status", "--output", "json", **elsewhere).json()
    assert [known["incident"] for known in status["incidents"]] == [incident]
    refused = world.quell("release", incident, "--yes", **elsewhere)
    assert refused.code == 3 and "never proven" in refused.err, refused
    released = world.quell("release", incident, "--yes", "--force", "--playbook", world.playbook, "--output", "json", **elsewhere)
    assert released.code == 0 and released.json()["released"][0]["allowed_again"], released
    assert ours(world) == []


def test_an_answer_of_another_shape_is_no_panic_and_no_false_success(organization):
    # moto has no GetFindings: HTTP 500 with a page of HTML.
    detector = organization.client("guardduty").create_detector(Enable=True)["DetectorId"]
    ran = organization.quell("plan", "--finding", "0123456789abcdef0123456789abcdef", "--detector", detector)
    assert ran.code == 1 and "Nothing was changed." in ran.err and "panicked" not in ran.err, ran


def test_without_an_organization_or_a_user_nothing_is_changed(moto_world):
    ran = moto_world.quell("contain", "alice", "--yes")
    assert ran.code == 3 and "not part of an organization" in ran.err and "Nothing was changed." in ran.err, ran


def test_an_unknown_user_is_an_error_and_not_a_blank(organization):
    ran = organization.quell("contain", "nobody", "--yes")
    assert ran.code == 1 and "has no user `nobody`" in ran.err, ran
    assert ours(organization) == []


def test_an_armed_organization_takes_the_deny_into_the_policy_that_is_there(organization):
    world = organization
    armed = world.quell("prepare", "arm", "--yes", "--output", "json")
    assert armed.code == 0, armed
    [policy] = ours(world)
    assert policy["Name"] == "quell-armed" and policy["Id"] == armed.json()["policy_id"]

    def statements():
        return json.loads(world.organizations.describe_policy(PolicyId=policy["Id"])["Policy"]["Content"])["Statement"]

    def tags():
        return {tag["Key"]: tag["Value"] for tag in world.organizations.list_tags_for_resource(ResourceId=policy["Id"])["Tags"]}

    [nobody] = statements()
    assert nobody["Condition"] == {"StringEquals": {"aws:userid": "quell:nobody"}}

    contain = ("contain", "Alice@example.com", "--yes", "--verify-timeout", "0s", "--playbook", world.playbook, "--output", "json")
    report = world.quell(*contain).json()
    incident = report["incident"]
    assert report["policy_id"] == policy["Id"] and [policy["Name"] for policy in ours(world)] == ["quell-armed"]
    assert {statement["Sid"][:11] for statement in statements()} == {f"Quell{incident[2:]}"}
    assert statements()[0]["Condition"] == {"StringEquals": {"identitystore:UserId": world.user}}
    assert tags()[f"quell:{incident}"] == f"open user-id:{world.user} session-name:Alice@example.com"
    targets = world.organizations.list_targets_for_policy(PolicyId=policy["Id"])["Targets"]
    assert [target["TargetId"] for target in targets] == [world.root]

    # Somebody overwrites the document, as UpdatePolicy lets anybody; another machine puts it right from the tags.
    world.organizations.update_policy(PolicyId=policy["Id"], Content=json.dumps({"Version": "2012-10-17", "Statement": [nobody]}))
    elsewhere = {"QUELL_STATE_DIR": str(world.tmp / "elsewhere")}
    assert "NOT what its tags say" in world.quell("status", **elsewhere).out
    assert world.quell("contain", "--resume", incident, *contain[2:], **elsewhere).json()["incident"] == incident
    assert {statement["Sid"][:11] for statement in statements()} == {f"Quell{incident[2:]}"}

    refused = world.quell("prepare", "disarm", "--yes")
    assert refused.code == 3 and incident in refused.err, refused
    world.quell("release", incident, "--yes", "--force", "--playbook", world.playbook, **elsewhere)
    assert statements() == [nobody]
    assert [value.split()[0] for key, value in tags().items() if incident in key] == ["released"]
    assert world.quell("prepare", "disarm", "--yes").code == 0
    assert ours(world) == []
