//! The rates that AWS publishes (aws-facts §8, §9): so many requests a second, and so many at once after a pause.

use jiff::Timestamp;

/// A row of a published table: operations that share one allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The row, by its first operation.
    pub row: &'static str,
    /// Requests a second.
    pub per_second: u32,
    /// Requests at once.
    pub burst: u32,
    /// Whether each account has it in each Region for itself, and not the organization once.
    pub by_account: bool,
}

/// `x-amz-target` of CloudTrail's `LookupEvents`, as Rust's SDK has it; others write a namespace before it.
pub const LOOKUP_EVENTS: &str = "CloudTrail_20131101.LookupEvents";

impl Rate {
    /// Takes one request out of a bucket of the burst, which the rate flows into; whether there was none. `since` is when
    /// the bucket held what is `left`.
    pub fn is_spent(&self, since: &mut Timestamp, left: &mut f64, now: Timestamp) -> bool {
        let flown = now.duration_since(*since).as_secs_f64() * f64::from(self.per_second);
        *left = (*left + flown).min(f64::from(self.burst));
        *since = now;
        let spent = *left < 1.0;
        if !spent {
            *left -= 1.0;
        }
        spent
    }
}

/// STS's for all of an account's sessions and keys in a Region together, from its page of quotas ("IAM and AWS STS quotas").
pub const STS: Rate = Rate {
    row: "sts",
    per_second: 600,
    burst: 600,
    by_account: false,
};

/// The rate of a call: by its `x-amz-target`, where its protocol has one; `None` where AWS publishes none.
pub fn of_call(target: Option<&str>, is_sts: bool) -> Option<Rate> {
    match target {
        Some(target) => published(target),
        // STS's protocol names the operation in the body.
        None => is_sts.then_some(STS),
    }
}

/// The rate of an operation, as `x-amz-target` names it; `None` where AWS publishes none.
pub fn published(target: &str) -> Option<Rate> {
    if target.ends_with(LOOKUP_EVENTS) {
        return Some(Rate {
            row: "LookupEvents",
            per_second: 2,
            burst: 2,
            by_account: true,
        });
    }
    let (service, operation) = target.split_once('.')?;
    let rate = |row, per_second, burst| {
        Some(Rate {
            row,
            per_second,
            burst,
            by_account: false,
        })
    };
    match (service, operation) {
        ("AWSOrganizationsV20161128", operation) => match operation {
            "DescribeOrganization" => rate("DescribeOrganization", 1, 2),
            "ListRoots" => rate("ListRoots", 1, 2),
            "ListAccounts" => rate("ListAccounts", 8, 12),
            "ListPolicies" | "ListPoliciesForTarget" | "ListTargetsForPolicy" => {
                rate("ListPolicies", 5, 8)
            }
            "DescribePolicy" => rate("DescribePolicy", 2, 2),
            "CreatePolicy" | "DeletePolicy" | "AttachPolicy" | "DetachPolicy" => {
                rate("CreatePolicy", 2, 3)
            }
            "UpdatePolicy" => rate("UpdatePolicy", 2, 3),
            "TagResource" | "UntagResource" => rate("TagResource", 4, 6),
            "ListTagsForResource" => rate("ListTagsForResource", 10, 15),
            _ => None,
        },
        // All of the service together.
        ("SWBExternalService", _) => rate("sso-admin", 20, 20),
        // Each operation for itself.
        ("AWSIdentityStore", "GetUserId") => rate("GetUserId", 20, 20),
        ("AWSIdentityStore", "DescribeUser") => rate("DescribeUser", 20, 20),
        ("AWSIdentityStore", "DescribeGroup") => rate("DescribeGroup", 20, 20),
        ("AWSIdentityStore", "ListUsers") => rate("ListUsers", 20, 20),
        ("AWSIdentityStore", "ListGroupMembershipsForMember") => {
            rate("ListGroupMembershipsForMember", 20, 20)
        }
        ("AWSIdentityStore", "ListGroupMemberships") => rate("ListGroupMemberships", 20, 20),
        ("AWSIdentityStore", "CreateGroupMembership") => rate("CreateGroupMembership", 20, 20),
        ("AWSIdentityStore", "DeleteGroupMembership") => rate("DeleteGroupMembership", 20, 20),
        ("AWSIdentityStore", "DeleteUser") => rate("DeleteUser", 20, 20),
        _ => None,
    }
}
