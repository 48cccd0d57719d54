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
    # moto has no account access manager, so what it may give is not known, and the longest there is counts.
    assert "12h, the most there is: what account access manager lets them into is unknown" in plan["longest_session"]
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


class Directory:
    """Identity Center as boto3 sees it, and a second user who has what the first has."""

    def __init__(self, world):
        self.sso, self.store = world.client("sso-admin"), world.client("identitystore")
        self.instance, self.id = (self.sso.list_instances()["Instances"][0][key] for key in ("InstanceArn", "IdentityStoreId"))
        self.groups = {group["DisplayName"]: group["GroupId"] for group in self.store.list_groups(IdentityStoreId=self.id)["Groups"]}

    def adds(self, name):
        named = {"UserName": name, "DisplayName": name, "Name": {"GivenName": "A", "FamilyName": "B"}}
        # With an address: moto's GetUserId breaks over users who have none.
        return self.store.create_user(IdentityStoreId=self.id, **named, Emails=[{"Value": name, "Primary": True}])["UserId"]

    def puts(self, user, group):
        self.store.create_group_membership(IdentityStoreId=self.id, GroupId=self.groups[group], MemberId={"UserId": user})

    def assigns(self, user, account, permission_set):
        self.sso.create_account_assignment(InstanceArn=self.instance, TargetId=account, TargetType="AWS_ACCOUNT",
                                           PermissionSetArn=permission_set, PrincipalType="USER", PrincipalId=user)

    def sets(self):
        return self.sso.list_permission_sets(InstanceArn=self.instance)["PermissionSets"]

    def of(self, kind, principal):
        """What somebody has: assignments, and groups they are in."""
        found = self.sso.list_account_assignments_for_principal(InstanceArn=self.instance, PrincipalType=kind, PrincipalId=principal)
        assignments = {(it["AccountId"], it["PermissionSetArn"]) for it in found["AccountAssignments"]}
        if kind == "GROUP":
            return assignments, set()
        memberships = self.store.list_group_memberships_for_member(IdentityStoreId=self.id, MemberId={"UserId": principal})
        return assignments, {it["GroupId"] for it in memberships["GroupMemberships"]}

    def all(self):
        """Every assignment and every membership there is."""
        assignments = set()
        for account in self.accounts:
            for permission_set in self.sets():
                found = self.sso.list_account_assignments(InstanceArn=self.instance, AccountId=account, PermissionSetArn=permission_set)
                assignments |= {tuple(sorted(it.items())) for it in found["AccountAssignments"]}
        memberships = set()
        for group in self.groups.values():
            found = self.store.list_group_memberships(IdentityStoreId=self.id, GroupId=group)
            memberships |= {(group, it["MemberId"]["UserId"]) for it in found["GroupMemberships"]}
        return assignments, memberships


@pytest.fixture
def directory(organization):
    """The user has more than one thing, and somebody else has the same."""
    found = Directory(organization)
    found.accounts = organization.members
    sets = found.sets()
    found.bob = found.adds("bob@example.com")
    found.puts(found.bob, "operators")
    found.assigns(organization.user, organization.members[1], sets[0])
    found.assigns(found.bob, organization.members[0], sets[0])
    found.assigns(found.bob, organization.members[1], sets[1])
    return found


def test_an_eviction_takes_what_is_theirs_and_a_release_gives_it_back_as_boto3_sees_it(organization, directory):
    world = organization
    before = directory.all()
    (theirs, groups), bobs = directory.of("USER", world.user), directory.of("USER", directory.bob)
    assert len(theirs) == 2 and len(groups) == 1 and len(before[0]) == 5 and len(before[1]) == 2
    contain = ("contain", "Alice@example.com", "--yes", "--verify-timeout", "0s", "--playbook", world.playbook, "--output", "json")
    ran = world.quell(*contain)
    assert ran.code in (4, 5), ran
    incident = ran.json()["incident"]

    # It closes what it can read, and says what it could not read: nobody is evicted by a guess.
    evict = ("evict", incident, "--yes", "--output", "json")
    ran = world.quell(*evict)
    assert ran.code == 6, ran
    report = ran.json()
    assert report["evicted"] is None and report["left"] == [] and report["stuck"] == []
    assert report["unread"].startswith("account-access:"), report["unread"]
    assert "attests no-way-left" in ran.err
    assert sorted(way["way"] for way in report["closed"]) == ["assignment", "assignment", "membership"]
    assert directory.of("USER", world.user) == (set(), set())
    assert directory.of("USER", directory.bob) == bobs
    refused = world.quell("release", incident, "--yes")
    assert refused.code == 3, refused

    # Somebody has looked there. moto refuses nobody anything, so nothing is proven.
    ran = world.quell(*evict, "--attest", "no-way-left", "--by", "alice")
    assert ran.code == 4, ran
    report = ran.json()
    assert report["evicted"] and report["closed"] == [] and report["unread"] is None and report["proven"] is None
    [policy] = ours(world)
    tags = {tag["Key"]: tag["Value"] for tag in world.organizations.list_tags_for_resource(ResourceId=policy["Id"])["Tags"]}
    assert tags["quell:evicted"] == report["evicted"] and tags["quell:attested"] == "no-way-left"

    # What the first eviction took is in the backup, although the second found nothing.
    release = ("release", incident, "--yes", "--force", "--restore", "--playbook", world.playbook, "--output", "json")
    elsewhere = world.quell(*release, QUELL_STATE_DIR=str(world.tmp / "elsewhere"))
    assert elsewhere.code == 3 and "no backup" in elsewhere.err, elsewhere
    assert [policy["Id"] for policy in ours(world)] == [policy["Id"]]
    ran = world.quell(*release)
    assert ran.code == 0, ran
    restored = ran.json()["released"][0]["restored"]
    assert len(restored["reopened"]) == 3 and restored["stuck"] == []
    assert ours(world) == []
    assert directory.of("USER", world.user) == (theirs, groups)
    assert directory.all() == before


def test_without_giving_back_they_stay_without_anything(organization, directory):
    world = organization
    bobs = directory.of("USER", directory.bob)
    contain = ("contain", "Alice@example.com", "--yes", "--verify-timeout", "0s", "--playbook", world.playbook, "--output", "json")
    ran = world.quell(*contain)
    assert ran.code in (4, 5), ran
    incident = ran.json()["incident"]
    ran = world.quell("evict", incident, "--yes", "--attest", "no-way-left", "--by", "alice")
    assert ran.code == 4, ran
    ran = world.quell("release", incident, "--yes", "--force", "--playbook", world.playbook)
    assert ran.code == 0, ran
    assert directory.of("USER", world.user) == (set(), set())
    assert directory.of("USER", directory.bob) == bobs
    # What was not given back can be, later.
    ran = world.quell("release", incident, "--yes", "--force", "--restore")
    assert ran.code == 0, ran
    assert len(directory.of("USER", world.user)[0]) == 2


def test_an_audit_finds_what_was_planted_in_each_account_and_nothing_else(organization):
    """moto demands neither rights nor trust, and every account of its has AWS's default password policy."""
    world = organization
    own = world.client("sts").get_caller_identity()["Account"]
    accounts = [own, *world.members]
    planted = {("iam-password-policy", account, account) for account in accounts}

    def iam(account):
        if account == own:
            return world.client("iam")
        role = f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole"
        keys = world.client("sts").assume_role(RoleArn=role, RoleSessionName="planting")["Credentials"]
        return world.client("iam", (keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]))

    for account in accounts:
        there = iam(account)
        there.create_group(GroupName="people")
        for name in ("sound", "bare", "keyed"):
            there.create_user(UserName=name)
            there.add_user_to_group(UserName=name, GroupName="people")
    one, two = world.members
    iam(own).create_group(GroupName="empty")
    planted.add(("iam-group-has-users-check", own, "empty"))
    iam(one).put_user_policy(UserName="bare", PolicyName="own", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}))
    planted.add(("iam-user-no-policies-check", one, "bare"))
    iam(two).remove_user_from_group(UserName="bare", GroupName="people")
    planted.add(("iam-user-group-membership-check", two, "bare"))
    iam(two).create_login_profile(UserName="keyed", Password="Correct-Horse-9-Battery")
    iam(two).create_access_key(UserName="keyed")
    planted |= {("mfa-enabled-for-iam-console-access", two, "keyed"), ("console-user-has-access-keys", two, "keyed")}

    ran = world.quell("audit", "--all-accounts", "--output", "json", "--canary-role", "OrganizationAccountAccessRole")
    assert ran.code == 3, ran
    report = ran.json()
    found = {(finding["rule"], finding["account"], finding["resource"]) for finding in report["findings"]}
    assert found == planted
    assert report["accounts"] == 3 and report["missed"] == 0
    weak = dict(MinimumPasswordLength=14, RequireSymbols=True, RequireNumbers=True, RequireUppercaseCharacters=True,
                RequireLowercaseCharacters=True, MaxPasswordAge=90, PasswordReusePrevention=24)
    iam(one).update_account_password_policy(**weak)
    report = world.quell("audit", "--account", one, "--output", "json", "--canary-role", "OrganizationAccountAccessRole").json()
    assert {finding["rule"] for finding in report["findings"]} == {"iam-user-no-policies-check"}


def test_the_guardrail_is_attached_and_told_from_enforced(organization):
    """moto enforces no SCP: the guardrail is attached, with the right document, and said to let people through."""
    world = organization
    jump = world.members[0]
    ran = world.quell("guardrail", "attach", "no-console-users", "--jump-account", jump, "--yes", "--verify-timeout", "1s",
                      "--playbook", world.playbook, "--output", "json")
    # No canary role is refused what it asks, or moto cannot ask it: never proven.
    assert ran.code in (4, 5), ran
    policy = next(policy for policy in ours(world) if policy["Name"] == "quell-guardrail-no-console-users")
    content = json.loads(world.organizations.describe_policy(PolicyId=policy["Id"])["Policy"]["Content"])
    assert content["Statement"][0]["Condition"] == {"ArnNotLike": {"aws:PrincipalArn": ["arn:aws:iam::*:root", f"arn:aws:iam::{jump}:*"]}}
    assert world.quell("guardrail", "check", "no-console-users").code == 0
    assert world.quell("guardrail", "remove", "no-console-users", "--yes").code == 0
    assert ours(world) == []
