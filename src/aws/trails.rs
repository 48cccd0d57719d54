//! CloudTrail: what it has recorded in an account and Region, entered with a role there where the account is not our own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_config::{Region as SdkRegion, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::config::Builder;
use aws_sdk_cloudtrail::operation::lookup_events::LookupEventsOutput;
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use aws_smithy_types::DateTime;
use jiff::Timestamp;

use super::sessions::{enter, partition_of};
use super::trouble;
use crate::cloud::{Door, Recorded, RecordedBy, Trouble, TroubleKind};
use crate::ids::*;

const CALL: &str = "cloudtrail:LookupEvents";

/// All that our sessions may do, whatever the role may.
const ONLY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudtrail:LookupEvents","Resource":"*"}]}"#;

/// The most of a page.
const PAGE: i32 = 50;

/// Every account's records, with the sessions by which the accounts were entered.
pub(super) struct Trails {
    sts: aws_sdk_sts::Client,
    cloudtrail: Client,
    partition: &'static str,
    /// One session for each door: AWS counts requests by account, and we by session.
    entered: Mutex<BTreeMap<(AccountId, RoleName), Credentials>>,
}

impl Trails {
    pub(super) fn new(config: &SdkConfig) -> Self {
        Self {
            sts: aws_sdk_sts::Client::new(config),
            cloudtrail: Client::new(config),
            partition: partition_of(config),
            entered: Mutex::default(),
        }
    }

    /// Everything by an attribute since a moment, newest first, at most so many pages.
    pub(super) async fn look_up(
        &self,
        door: Option<&Door>,
        region: &Region,
        by: &RecordedBy,
        from: Timestamp,
        pages: usize,
    ) -> Result<Recorded, Trouble> {
        let found = self.all(door, region, by, from, pages).await;
        match found {
            // A session of an earlier question was over.
            Err(trouble) if trouble.kind == TroubleKind::Expired && door.is_some() => {
                self.entered_now(|entered| entered.retain(|place, _| !is_of(place, door)));
                self.all(door, region, by, from, pages).await
            }
            found => found,
        }
    }

    async fn all(
        &self,
        door: Option<&Door>,
        region: &Region,
        by: &RecordedBy,
        from: Timestamp,
        pages: usize,
    ) -> Result<Recorded, Trouble> {
        let mut there = Builder::new().region(SdkRegion::new(region.as_str().to_owned()));
        if let Some(door) = door {
            there = there.credentials_provider(self.session(door).await?);
        }
        let mut found = Recorded::default();
        let mut token = None;
        for _ in 0..pages {
            let request = self.cloudtrail.lookup_events();
            let request = request
                .lookup_attributes(attribute(by)?)
                .start_time(DateTime::from_secs(from.as_second()))
                .max_results(PAGE)
                .set_next_token(token)
                .customize()
                .config_override(there.clone());
            let answer = request.send().await;
            let answer = answer.map_err(|error| trouble::of(CALL, &error))?;
            found.events.extend(texts(&answer));
            token = answer.next_token().map(str::to_owned);
            if token.is_none() {
                found.whole = true;
                break;
            }
        }
        Ok(found)
    }

    async fn session(&self, door: &Door) -> Result<Credentials, Trouble> {
        let place = (door.account.clone(), door.role.clone());
        if let Some(known) = self.entered_now(|entered| entered.get(&place).cloned()) {
            return Ok(known);
        }
        let fresh = enter(&self.sts, self.partition, door, ONLY).await?;
        self.entered_now(|entered| entered.insert(place, fresh.clone()));
        Ok(fresh)
    }

    fn entered_now<T>(
        &self,
        look: impl FnOnce(&mut BTreeMap<(AccountId, RoleName), Credentials>) -> T,
    ) -> T {
        look(&mut self.entered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_of((account, role): &(AccountId, RoleName), door: Option<&Door>) -> bool {
    door.is_some_and(|door| door.account == *account && door.role == *role)
}

fn attribute(by: &RecordedBy) -> Result<LookupAttribute, Trouble> {
    let (key, value) = match by {
        RecordedBy::AccessKey(key) => (LookupAttributeKey::AccessKeyId, key.as_str()),
        RecordedBy::Username(name) => (LookupAttributeKey::Username, name.as_str()),
        RecordedBy::Event(name) => (LookupAttributeKey::EventName, *name),
    };
    let built = LookupAttribute::builder().attribute_key(key);
    let built = built.attribute_value(value).build();
    built.map_err(|error| Trouble {
        operation: CALL,
        kind: TroubleKind::Refused,
        detail: error.to_string(),
    })
}

/// The records' texts; of an event without one, an empty text, which whoever reads it counts.
fn texts(answer: &LookupEventsOutput) -> impl Iterator<Item = String> {
    let events = answer.events().iter();
    events.map(|event| event.cloud_trail_event().unwrap_or_default().to_owned())
}
