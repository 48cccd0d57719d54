//! TEAM, the open-source just-in-time access for Identity Center, by its table of requests (aws-facts §14).
//!
//! Its own API takes no machine that TEAM's owner did not let in beforehand; the DynamoDB table behind it takes whoever
//! IAM does, and TEAM's workflow listens to the table.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;
use jiff::{SignedDuration, Timestamp};

use super::{Changer, Reader, trouble};
use crate::cloud::{Trouble, TroubleKind};
use crate::facts::{Instance, TeamEligibility, TeamRequest};

/// Amplify's id of an API, which is in the names of its tables.
const API_ID: usize = 26;

/// The status that TEAM's router answers by deleting the assignment.
const REVOKED: &str = "revoked";

const QUERY: &str = "dynamodb:Query";

const GET: &str = "dynamodb:GetItem";

impl Reader {
    pub(super) async fn list_team_tables(
        &self,
        instance: &Instance,
    ) -> Result<Vec<String>, Trouble> {
        let team = self.identity_center.team_in(instance, "");
        let mut pages = team.list_tables().into_paginator().send();
        let mut tables = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| trouble::of("dynamodb:ListTables", &error))?;
            let ours = page.table_names().iter().filter(|name| is_teams(name));
            tables.extend(ours.cloned());
        }
        Ok(tables)
    }

    pub(super) async fn query_team_requests(
        &self,
        instance: &Instance,
        table: &str,
        email: &str,
    ) -> Result<Vec<TeamRequest>, Trouble> {
        let request = self
            .identity_center
            .team_in(instance, table)
            .query()
            .table_name(table)
            .index_name("byEmailAndStatus")
            .key_condition_expression("email = :email")
            .expression_attribute_values(":email", AttributeValue::S(email.to_owned()));
        let mut pages = request.into_paginator().send();
        let mut requests = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| trouble::of(QUERY, &error))?;
            for item in page.items() {
                requests.push(team_request(item)?);
            }
        }
        Ok(requests)
    }

    pub(super) async fn get_team_eligibility(
        &self,
        instance: &Instance,
        table: &str,
        ids: &[String],
    ) -> Result<Vec<TeamEligibility>, Trouble> {
        let table = eligibility_beside(table).ok_or_else(|| Trouble {
            operation: GET,
            kind: TroubleKind::Refused,
            detail: "TEAM's table of eligibilities is found by the name of its requests', which is requests-<API id>-<environment>".to_owned(),
        })?;
        let team = self.identity_center.team_in(instance, &table);
        let mut found = Vec::new();
        for id in ids {
            let answer = team
                .get_item()
                .table_name(&table)
                .key("id", AttributeValue::S(id.clone()))
                .send()
                .await
                .map_err(|error| trouble::of(GET, &error))?;
            found.extend(answer.item().map(|item| eligibility(id, item)));
        }
        Ok(found)
    }
}

impl Changer {
    pub(super) async fn update_team_request(
        &self,
        instance: &Instance,
        table: &str,
        request: &str,
        by: &str,
    ) -> Result<(), Trouble> {
        // `revoker` is not for the record only: without it TEAM's router looks for the revoker among its own users, by
        // a `revokerId` that we have none of, and breaks on it before it revokes anything.
        let mut asked = self
            .identity_center
            .team_in(instance, table)
            .update_item()
            .table_name(table)
            .key("id", AttributeValue::S(request.to_owned()))
            .condition_expression("#status IN (:s0, :s1, :s2, :s3, :revoked)")
            .update_expression("SET #status = :revoked, revoker = :by, revokeComment = :comment")
            // A reserved word of DynamoDB's.
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":revoked", AttributeValue::S(REVOKED.to_owned()))
            .expression_attribute_values(":by", AttributeValue::S(by.to_owned()))
            .expression_attribute_values(
                ":comment",
                AttributeValue::S("Revoked by quell".to_owned()),
            );
        for (number, status) in TeamRequest::OPEN.iter().enumerate() {
            let status = AttributeValue::S((*status).to_owned());
            asked = asked.expression_attribute_values(format!(":s{number}"), status);
        }
        match asked.send().await {
            Ok(_) => Ok(()),
            // It is over, and what TEAM wrote of its end stays.
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(trouble::of("dynamodb:UpdateItem", &error)),
        }
    }
}

/// Whether a table is one of TEAM's tables of requests: `requests-<API id>-<environment>`.
fn is_teams(table: &str) -> bool {
    let rest = table.strip_prefix("requests-");
    rest.and_then(|rest| rest.split_once('-'))
        .is_some_and(|(api, environment)| {
            api.len() == API_ID
                && api
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && !environment.is_empty()
        })
}

/// Amplify ends the names of all tables of an API alike.
fn eligibility_beside(table: &str) -> Option<String> {
    let (before, name) = match table.rsplit_once('/') {
        Some((before, name)) => (format!("{before}/"), name),
        None => (String::new(), table),
    };
    let end = name.strip_prefix("requests-")?;
    Some(format!("{before}Eligibility-{end}"))
}

/// What is said of somebody; what is not said is left empty, because it is for people to look at.
fn eligibility(id: &str, item: &HashMap<String, AttributeValue>) -> TeamEligibility {
    let text = |name: &str| item.get(name).and_then(|it| it.as_s().ok()).cloned();
    let names = |list: &str| {
        let things = item.get(list).and_then(|it| it.as_l().ok());
        let maps = things.into_iter().flatten();
        let names = maps.filter_map(|it| it.as_m().ok()?.get("name")?.as_s().ok());
        names.cloned().collect::<Vec<String>>()
    };
    let approval = item.get("approvalRequired");
    TeamEligibility {
        id: id.to_owned(),
        name: text("name").unwrap_or_else(|| id.to_owned()),
        kind: text("type").unwrap_or_default(),
        accounts: [names("accounts"), names("ous")].concat(),
        permissions: names("permissions"),
        approval_required: approval.and_then(|it| it.as_bool().ok()).copied(),
    }
}

fn team_request(item: &HashMap<String, AttributeValue>) -> Result<TeamRequest, Trouble> {
    let text = |name: &str| item.get(name)?.as_s().ok().map(String::as_str);
    let needed = |name: &str| {
        let lacks = || trouble::unreadable(QUERY, format!("a request of TEAM's has no {name}"));
        text(name).ok_or_else(lacks)
    };
    let time = |name: &str| text(name)?.parse::<Timestamp>().ok();
    let account = needed("accountId")?;
    Ok(TeamRequest {
        id: needed("id")?.to_owned(),
        account: match text("accountName") {
            Some(name) => format!("{account} ({name})"),
            None => account.to_owned(),
        },
        role: needed("role")?.to_owned(),
        status: needed("status")?.to_owned(),
        start: time("startTime"),
        duration: item.get("duration").and_then(hours),
        ended: time("endTime"),
    })
}

/// TEAM writes whole hours, as text.
fn hours(value: &AttributeValue) -> Option<SignedDuration> {
    let text = value.as_s().or_else(AttributeValue::as_n).ok()?;
    let hours: u32 = text.parse().ok()?;
    Some(SignedDuration::from_hours(hours.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_tables_are_told_from_all_others() {
        for (table, is) in [
            ("requests-abcdefghij0123456789abcdef-main", true),
            ("requests-abcdefghij0123456789abcdef-team-prod", true),
            ("requests-abcdefghij0123456789abcdef-", false),
            ("requests-abcdefghij0123456789abcdef", false),
            ("requests-abcdefghij0123456789abcde-main", false),
            ("requests-ABCDEFGHIJ0123456789ABCDEF-main", false),
            ("sessions-abcdefghij0123456789abcdef-main", false),
            ("my-requests-abcdefghij0123456789abcdef-main", false),
            ("requests", false),
        ] {
            assert_eq!(is_teams(table), is, "{table}");
        }
    }

    #[test]
    fn the_table_of_eligibilities_is_beside_that_of_the_requests() {
        for (requests, expected) in [
            ("requests-abc-main", Some("Eligibility-abc-main")),
            (
                "arn:aws:dynamodb:us-east-1:111122223333:table/requests-abc-main",
                Some("arn:aws:dynamodb:us-east-1:111122223333:table/Eligibility-abc-main"),
            ),
            ("my-requests", None),
        ] {
            assert_eq!(eligibility_beside(requests).as_deref(), expected);
        }
    }

    fn item(fields: &[(&str, AttributeValue)]) -> HashMap<String, AttributeValue> {
        let pairs = fields.iter().cloned();
        pairs
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn text(value: &str) -> AttributeValue {
        AttributeValue::S(value.to_owned())
    }

    #[test]
    fn a_request_is_read_as_team_writes_it() {
        let mut request = item(&[
            ("id", text("r-1")),
            ("email", text("alice@example.com")),
            ("accountId", text("111122223333")),
            ("accountName", text("prod")),
            ("role", text("AdministratorAccess")),
            ("status", text("in progress")),
            ("startTime", text("2026-11-22T10:00:00.000Z")),
            ("duration", text("8")),
            ("approvers", AttributeValue::L(Vec::new())),
        ]);
        let expected = TeamRequest {
            id: "r-1".to_owned(),
            account: "111122223333 (prod)".to_owned(),
            role: "AdministratorAccess".to_owned(),
            status: "in progress".to_owned(),
            start: "2026-11-22T10:00:00Z".parse().ok(),
            duration: Some(SignedDuration::from_hours(8)),
            ended: None,
        };
        assert_eq!(team_request(&request), Ok(expected.clone()));

        request.remove("accountName");
        request.insert("duration".to_owned(), AttributeValue::N("8".to_owned()));
        request.insert("endTime".to_owned(), text("2026-11-22T12:30Z"));
        let ended = TeamRequest {
            account: "111122223333".to_owned(),
            ended: "2026-11-22T12:30:00Z".parse().ok(),
            ..expected
        };
        assert_eq!(team_request(&request), Ok(ended));
    }

    #[test]
    fn what_team_does_not_say_is_not_made_up() {
        let mut request = item(&[
            ("id", text("r-1")),
            ("accountId", text("111122223333")),
            ("role", text("AdministratorAccess")),
            ("status", text("pending")),
            ("startTime", text("tomorrow")),
            ("duration", text("-1")),
        ]);
        let read = team_request(&request).unwrap();
        assert_eq!((read.start, read.duration, read.ended), (None, None, None));
        for name in ["id", "accountId", "role", "status"] {
            let taken = request.remove(name).unwrap();
            assert!(team_request(&request).is_err(), "{name}");
            request.insert(name.to_owned(), taken);
        }
    }
}
