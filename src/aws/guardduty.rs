//! GuardDuty: detectors, and one finding as the JSON that [`crate::signal`] reads.

use aws_sdk_guardduty::types::{
    Condition, Finding, FindingCriteria, OrderBy, Resource, Sequence, SortCriteria,
};
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
        let ids = vec![id.as_str().to_owned()];
        let found = self.get_findings(detector, ids).await?;
        let found = found.iter().find(|it| it.id() == Some(id.as_str()));
        Ok(found.map(|finding| as_json(finding).to_string()))
    }

    pub(super) async fn list_recent(&self, detector: &DetectorId) -> Result<Vec<String>, Trouble> {
        const CALL: &str = "guardduty:ListFindings";
        let open = Condition::builder().equals("false").build();
        let open = FindingCriteria::builder().criterion("service.archived", open);
        let newest = SortCriteria::builder()
            .attribute_name("updatedAt")
            .order_by(OrderBy::Desc);
        let request = self
            .guardduty
            .list_findings()
            .detector_id(detector.as_str());
        let request = request.finding_criteria(open.build());
        let request = request
            .sort_criteria(newest.build())
            .max_results(MOST_RECENT);
        let answer = request.send().await;
        let answer = answer.map_err(|error| trouble::of(CALL, &error))?;
        let ids = answer.finding_ids().to_vec();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self.get_findings(detector, ids).await?;
        // AWS gives them in the order of the ids or in another.
        found.sort_by(|one, other| other.updated_at().cmp(&one.updated_at()));
        Ok(found.iter().map(|it| as_json(it).to_string()).collect())
    }

    async fn get_findings(
        &self,
        detector: &DetectorId,
        ids: Vec<String>,
    ) -> Result<Vec<Finding>, Trouble> {
        const CALL: &str = "guardduty:GetFindings";
        let request = self.guardduty.get_findings().detector_id(detector.as_str());
        let answer = request.set_finding_ids(Some(ids)).send().await;
        let answer = answer.map_err(|error| trouble::of(CALL, &error))?;
        Ok(answer.findings.unwrap_or_default())
    }
}

/// The most that `GetFindings` takes.
const MOST_RECENT: i32 = 50;

/// The finding's fields that a signal is read from. One reader for all forms: the SDK's types go through it as JSON.
fn as_json(finding: &Finding) -> Value {
    let resource = finding.resource();
    let key = resource.and_then(|resource| resource.access_key_details());
    let key = key.map(|key| {
        json!({
            "accessKeyId": key.access_key_id(), "principalId": key.principal_id(),
            "userName": key.user_name(), "userType": key.user_type(),
        })
    });
    let has = |has: fn(&Resource) -> bool| resource.is_some_and(has).then(|| json!({}));
    let kubernetes = resource.and_then(|resource| resource.kubernetes_details());
    let kubernetes = kubernetes.map(|it| {
        let user = it.kubernetes_user_details();
        json!({ "kubernetesUserDetails": user.map(|user| json!({ "username": user.username() })) })
    });
    let service = finding.service();
    let info = service.and_then(|service| service.additional_info());
    let action = service.and_then(|service| service.action());
    let call = action.and_then(|action| action.aws_api_call_action());
    let ip = call.and_then(|call| call.remote_ip_details());
    let sequence = service.and_then(|service| service.detection());
    let sequence = sequence.and_then(|detection| detection.sequence());
    json!({
        "id": finding.id(), "type": finding.r#type(), "accountId": finding.account_id(), "region": finding.region(),
        "severity": finding.severity(), "updatedAt": finding.updated_at(), "description": finding.description(),
        "resource": {
            "accessKeyDetails": key,
            "kubernetesDetails": kubernetes,
            "instanceDetails": has(|it| it.instance_details().is_some()),
            "rdsDbUserDetails": has(|it| it.rds_db_user_details().is_some()),
            "ecsClusterDetails": has(|it| it.ecs_cluster_details().is_some()),
            "containerDetails": has(|it| it.container_details().is_some()),
            "lambdaDetails": has(|it| it.lambda_details().is_some()),
        },
        "service": {
            "eventLastSeen": service.and_then(|service| service.event_last_seen()),
            "additionalInfo": info.map(|info| json!({ "value": info.value() })),
            "action": { "awsApiCallAction": {
                "api": call.and_then(|call| call.api()), "serviceName": call.and_then(|call| call.service_name()),
                "remoteIpDetails": ip.map(|ip| json!({ "ipAddressV4": ip.ip_address_v4() })),
            } },
            "detection": sequence.map(|sequence| json!({ "sequence": sequence_as_json(sequence) })),
        },
    })
}

fn sequence_as_json(sequence: &Sequence) -> Value {
    let actors = sequence.actors().iter().map(|actor| {
        let (user, session) = (actor.user(), actor.session());
        json!({
            "user": user.map(|user| json!({
                "name": user.name(), "uid": user.uid(), "type": user.r#type(), "credentialUid": user.credential_uid(),
                "account": user.account().map(|account| json!({ "uid": account.uid() })),
            })),
            "session": session.map(|session| json!({ "issuer": session.issuer() })),
        })
    });
    let keys = sequence.resources().iter().filter_map(|resource| {
        let key = resource.data()?.access_key()?;
        Some(json!({
            "uid": resource.uid(), "accountId": resource.account_id(),
            "data": { "accessKey": {
                "principalId": key.principal_id(), "userName": key.user_name(), "userType": key.user_type(),
            } },
        }))
    });
    let ips = sequence.endpoints().iter();
    let ips = ips.map(|endpoint| json!({ "ip": endpoint.ip() }));
    json!({
        "actors": actors.collect::<Vec<_>>(),
        "resources": keys.collect::<Vec<_>>(),
        "endpoints": ips.collect::<Vec<_>>(),
    })
}
