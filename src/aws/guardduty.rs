//! GuardDuty: detectors, and one finding as the JSON that [`crate::signal`] reads.

use aws_sdk_guardduty::types::Finding;
use serde_json::{Value, json};

use super::{Reader, trouble};
use crate::cloud::Trouble;
use crate::ids::*;

impl Reader {
    pub(super) async fn list_detectors(&self) -> Result<Vec<DetectorId>, Trouble> {
        const CALL: &str = "guardduty:ListDetectors";
        let mut pages = self.guardduty.list_detectors().into_paginator().send();
        let mut detectors = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| trouble::of(CALL, &error))?;
            for id in page.detector_ids() {
                detectors.push(trouble::field(
                    CALL,
                    "DetectorIds",
                    Some(id),
                    DetectorId::parse,
                )?);
            }
        }
        Ok(detectors)
    }

    pub(super) async fn get_finding(
        &self,
        detector: &DetectorId,
        id: &FindingId,
    ) -> Result<Option<String>, Trouble> {
        const CALL: &str = "guardduty:GetFindings";
        let request = self
            .guardduty
            .get_findings()
            .detector_id(detector.as_str())
            .finding_ids(id.as_str());
        let answer = request
            .send()
            .await
            .map_err(|error| trouble::of(CALL, &error))?;
        let found = answer
            .findings()
            .iter()
            .find(|finding| finding.id() == Some(id.as_str()));
        Ok(found.map(|finding| as_json(finding).to_string()))
    }
}

/// The finding's fields that a signal is read from. One reader for all forms: the SDK's types go through it as JSON.
fn as_json(finding: &Finding) -> Value {
    let resource = finding.resource();
    let key = resource
        .and_then(|resource| resource.access_key_details())
        .map(|key| {
            json!({
                "accessKeyId": key.access_key_id(), "principalId": key.principal_id(),
                "userName": key.user_name(), "userType": key.user_type(),
            })
        });
    let has = |present: bool| present.then(|| json!({}));
    let service = finding.service();
    let remote = service
        .and_then(|service| service.action())
        .and_then(|action| action.aws_api_call_action());
    let ip = remote
        .and_then(|action| action.remote_ip_details())
        .and_then(|details| details.ip_address_v4());
    let sequence = service
        .and_then(|service| service.detection())
        .and_then(|detection| detection.sequence());
    let actors: Option<Vec<Value>> = sequence.map(|sequence| {
        sequence
            .actors()
            .iter()
            .map(|actor| {
                let (user, session) = (actor.user(), actor.session());
                json!({
                    "user": user.map(|user| json!({ "name": user.name(), "uid": user.uid(), "type": user.r#type() })),
                    "session": session.map(|session| json!({ "issuer": session.issuer() })),
                })
            })
            .collect()
    });
    json!({
        "id": finding.id(), "type": finding.r#type(), "accountId": finding.account_id(), "region": finding.region(),
        "severity": finding.severity(),
        "resource": {
            "accessKeyDetails": key,
            "instanceDetails": has(resource.is_some_and(|resource| resource.instance_details().is_some())),
            "rdsDbUserDetails": has(resource.is_some_and(|resource| resource.rds_db_user_details().is_some())),
            "kubernetesDetails": has(resource.is_some_and(|resource| resource.kubernetes_details().is_some())),
        },
        "service": {
            "eventLastSeen": service.and_then(|service| service.event_last_seen()),
            "action": { "awsApiCallAction": { "remoteIpDetails": { "ipAddressV4": ip } } },
            "detection": actors.map(|actors| json!({ "sequence": { "actors": actors } })),
        },
    })
}
