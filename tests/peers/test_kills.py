"""`kill -9` from outside, at any moment; then the same command again. What is left is seen with boto3, not with quell."""

import json
import os
import random
import signal
import subprocess
import time

import pytest
from botocore.exceptions import ClientError

from conftest import QUELL, quick_playbook

# Each kills a containment and its release. By hand: QUELL_KILLS=300.
KILLS = int(os.environ.get("QUELL_KILLS", "8"))


class Observer:
    """The organization as boto3 sees it."""

    def __init__(self, world):
        self.world, self.organizations = world, world.client("organizations")

    def policies(self):
        """Name to (content, targets, tags) of every policy of quell's."""
        found = {}
        pages = self.organizations.get_paginator("list_policies").paginate(Filter="SERVICE_CONTROL_POLICY")
        for policy in (policy for page in pages for policy in page["Policies"] if policy["Name"].startswith("quell-")):
            content = json.loads(self.organizations.describe_policy(PolicyId=policy["Id"])["Policy"]["Content"])
            targets = self.organizations.get_paginator("list_targets_for_policy").paginate(PolicyId=policy["Id"])
            tags = self.organizations.get_paginator("list_tags_for_resource").paginate(ResourceId=policy["Id"])
            found[policy["Name"]] = (
                content,
                [target["TargetId"] for page in targets for target in page["Targets"]],
                {tag["Key"]: tag["Value"] for page in tags for tag in page["Tags"]},
            )
        return found

    def is_refused(self, session):
        try:
            self.world.client("iam", session=session).list_account_aliases()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "AccessDenied", error
            return True
        return False


def killed(world, dice, duration, *arguments):
    """Runs quell and kills it at some moment of the time that it takes; whether it was still alive."""
    process = subprocess.Popen([QUELL, *arguments], env=world.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(dice.uniform(0, duration))
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return alive


def killed_when(world, is_so, *arguments):
    """Runs quell and kills it as soon as something is so; whether it was still alive."""
    process = subprocess.Popen([QUELL, *arguments], env=world.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not is_so():
        pass
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return alive


def timed(world, *arguments):
    began = time.monotonic()
    ran = world.quell(*arguments)
    return ran, time.monotonic() - began


@pytest.mark.parametrize("armed", [False, True], ids=["cold", "armed"])
def test_killed_at_any_moment_and_typed_again(range_world, tmp_path, armed):
    world, observer, dice = range_world, Observer(range_world), random.Random(f"kills {armed}")
    session = world.sessions()["444455556666"]
    contain = ["contain", "test-user", "--yes", "--output", "json", "--playbook", quick_playbook(tmp_path)]
    if armed:
        assert world.quell("prepare", "arm", "--yes").code == 0
    before = observer.policies()
    contained = released = None
    deaths = 0
    for number in range(KILLS + 1):
        if armed and number % 10 == 9:
            # It remembers for an hour what was released, and fifty tags are all there is.
            assert world.quell("prepare", "disarm", "--yes").code == 0
            assert world.quell("prepare", "arm", "--yes").code == 0
        # The first goes undisturbed, and shows how long it takes.
        if number:
            deaths += killed(world, dice, contained, *contain)
        again, took = timed(world, *contain)
        contained = contained or took
        assert again.code == 0, (number, again)
        incident = again.json()["incident"]

        draft = world.quell("policy", "draft", "--incident", incident, "--user", "test-user", "--user-id", user_id(world))
        deny = json.loads(draft.out)
        policies = observer.policies()
        name = "quell-armed" if armed else f"quell-{incident}"
        assert list(policies) == [name], (number, policies)
        content, targets, tags = policies[name]
        assert content == deny, (number, content)
        assert targets == ["r-quel"], (number, targets)
        assert any(incident in part for tag in tags.items() for part in tag), (number, tags)
        assert observer.is_refused(session), number

        release = ["release", incident, "--yes", "--force", "--playbook", quick_playbook(tmp_path)]
        if number:
            deaths += killed(world, dice, released, *release)
        again, took = timed(world, *release)
        released = released or took
        # Killed after its last call, there is nothing left to release, and AWS says so.
        assert again.code == 0 or "has no incident" in again.err, (number, again)
        assert {name: policy[:2] for name, policy in observer.policies().items()} == {name: policy[:2] for name, policy in before.items()}, number
        assert not observer.is_refused(session), number
        status = world.quell("status", "--output", "json").json()
        assert status["incidents"] == [], (number, status)
    print(f"{'armed' if armed else 'cold'}: {deaths} of {2 * KILLS} processes were killed alive")
    assert deaths > KILLS


def user_id(world):
    store = world.client("sso-admin").list_instances()["Instances"][0]["IdentityStoreId"]
    identifier = {"UniqueAttribute": {"AttributePath": "userName", "AttributeValue": "test-user"}}
    return world.client("identitystore").get_user_id(IdentityStoreId=store, AlternateIdentifier=identifier)["UserId"]


class Directory:
    """Identity Center as boto3 sees it: every assignment, everybody's groups, every inline policy."""

    def __init__(self, world):
        self.sso, self.store = world.client("sso-admin"), world.client("identitystore")
        instance = self.sso.list_instances()["Instances"][0]
        self.instance, self.id = instance["InstanceArn"], instance["IdentityStoreId"]
        listed = world.client("organizations").get_paginator("list_accounts").paginate()
        self.accounts = [account["Id"] for page in listed for account in page["Accounts"]]
        self.user = user_id(world)

    def groups(self):
        """How many the user is in."""
        return len(self.store.list_group_memberships_for_member(IdentityStoreId=self.id, MemberId={"UserId": self.user})["GroupMemberships"])

    def seen(self):
        """Of the user, and of everybody else."""
        theirs, others = set(), set()
        for permission_set in self.sso.list_permission_sets(InstanceArn=self.instance)["PermissionSets"]:
            of_set = {"InstanceArn": self.instance, "PermissionSetArn": permission_set}
            others.add((permission_set, self.sso.get_inline_policy_for_permission_set(**of_set)["InlinePolicy"]))
            for account in self.accounts:
                for found in self.sso.list_account_assignments(**of_set, AccountId=account)["AccountAssignments"]:
                    whose = theirs if found["PrincipalId"] == self.user else others
                    whose.add((account, permission_set, found["PrincipalId"]))
        for user in self.store.list_users(IdentityStoreId=self.id)["Users"]:
            whose = theirs if user["UserId"] == self.user else others
            groups = self.store.list_group_memberships_for_member(IdentityStoreId=self.id, MemberId={"UserId": user["UserId"]})
            whose |= {(user["UserId"], found["GroupId"]) for found in groups["GroupMemberships"]}
        return theirs, others


@pytest.mark.parametrize("armed", [False, True], ids=["cold", "armed"])
def test_killed_while_ways_are_closed_and_given_back_and_typed_again(range_world, tmp_path, armed):
    world, observer, directory = range_world, Observer(range_world), Directory(range_world)
    dice = random.Random(f"ways {armed}")
    playbook = ["--playbook", quick_playbook(tmp_path)]
    if armed:
        assert world.quell("prepare", "arm", "--yes").code == 0
    theirs, others = directory.seen()
    assert len(theirs) == 3, theirs
    deaths, evicted, released = 0, None, None
    # Few of them: an assignment takes the range up to twenty seconds each way, and nobody's clock is turned here.
    for number in range(max(1, KILLS // (8 if armed else 4)) + 1):
        contained = world.quell("contain", "test-user", "--yes", "--output", "json", *playbook)
        assert contained.code == 0, (number, contained)
        incident = contained.json()["incident"]

        evict = ["evict", incident, "--yes", "--attest", "portal-sessions", "--attest", "credentials", "--by", "alice", "--output", "json"]
        # Once in the middle for certain, when the first group is gone; then at any moment.
        if number == 1:
            assert killed_when(world, lambda: directory.groups() < 2, *evict)
        elif number:
            deaths += killed(world, dice, evicted, *evict)
        again, took = timed(world, *evict)
        evicted = evicted or took
        assert again.code == 0, (number, again)
        report = again.json()
        assert report["evicted"] and report["left"] == [] and report["stuck"] == [], (number, report)
        assert directory.seen() == (set(), others), number
        [(_, targets, tags)] = observer.policies().values()
        assert targets == ["r-quel"] and any(report["evicted"] in part for part in tags.values()), (number, tags)

        release = ["release", incident, "--restore", "--yes", "--force", *playbook]
        if number == 1:
            assert killed_when(world, lambda: directory.groups() > 0, *release)
        elif number:
            deaths += killed(world, dice, released, *release)
        again, took = timed(world, *release)
        released = released or took
        assert again.code == 0, (number, again)
        assert directory.seen() == (theirs, others), number
        assert set(observer.policies()) == ({"quell-armed"} if armed else set()), number
        status = world.quell("status", "--output", "json").json()
        assert (status["incidents"], status["disagreements"]) == ([], []), (number, status)
    print(f"{'armed' if armed else 'cold'}: 2 of 2 were killed in the middle, and {deaths} of {2 * (number - 1)} at some moment")


def test_two_operators_kill_and_contain_at_once(range_world, tmp_path):
    """Several processes at once on an armed organization, some of them killed: the document is the union."""
    world, observer, dice = range_world, Observer(range_world), random.Random("together")
    users = ["test-user", "alice@example.com", "bob@example.com", "dave"]
    lines = {user: ["contain", user, "--yes", "--output", "json", "--playbook", quick_playbook(tmp_path)] for user in users}
    environments = {user: {**world.env, "QUELL_STATE_DIR": str(tmp_path / user)} for user in users}
    for _ in range(max(2, KILLS // 8)):
        assert world.quell("prepare", "arm", "--yes").code == 0
        start = lambda user: subprocess.Popen([QUELL, *lines[user]], env=environments[user], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        running = {user: start(user) for user in users}
        time.sleep(dice.uniform(0.05, 0.5))
        for user in dice.sample(users, 2):
            running[user].kill()
            running[user].communicate()
            running[user] = start(user)
        reports = {user: json.loads(running[user].communicate(timeout=120)[0]) for user in users}
        policies = observer.policies()
        assert list(policies) == ["quell-armed"], policies
        content, targets, tags = policies["quell-armed"]
        sids = {statement["Sid"][5:11] for statement in content["Statement"]}
        assert sids == {report["incident"][2:] for report in reports.values()}, (reports, content)
        assert targets == ["r-quel"]
        denied = {value[2:] for statement in content["Statement"] for value in names(statement)}
        assert denied == set(users), content
        for report in reports.values():
            assert world.quell("release", report["incident"], "--yes", "--force", "--playbook", quick_playbook(tmp_path)).code == 0
        assert [statement["Sid"] for statement in observer.policies()["quell-armed"][0]["Statement"]] == ["QuellArmed"]
        assert world.quell("prepare", "disarm", "--yes").code == 0


def names(statement):
    value = statement["Condition"].get("StringLike", {}).get("aws:userid", [])
    return [value] if isinstance(value, str) else value
