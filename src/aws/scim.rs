//! SCIM: the one documented way to disable a user by machine. It is meant for identity providers, whose next
//! synchronization may undo it (aws-facts §9).
//!
//! AWS's SDK has no client for it, so this is one request by hand, through the very HTTP client and clock that the others
//! use. The token goes into its header and nowhere else.

use std::convert::Infallible;

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use serde_json::json;

use super::{Changer, trouble};
use crate::cloud::{Scim, Trouble, TroubleKind};
use crate::ids::*;

const CALL: &str = "scim:PatchUser";

impl Changer {
    pub(super) async fn patch_inactive(&self, scim: &Scim, user: &UserId) -> Result<(), Trouble> {
        let trouble = |kind, detail: String| Trouble {
            operation: CALL,
            kind,
            detail,
        };
        let config = self.identity_center.config();
        let Some(http) = config.http_client() else {
            return Err(trouble(
                TroubleKind::Unreachable,
                "no HTTP client".to_owned(),
            ));
        };
        // As the developer guide has it: the value is text.
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": "active", "value": "false" }],
        });
        let (path, token) = (format!("/Users/{user}"), scim.token.reveal().to_owned());
        let request = move |(): ()| {
            let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
            request.set_method("PATCH")?;
            request.set_uri(path.as_str())?;
            let headers = request.headers_mut();
            headers.try_insert("content-type", "application/scim+json")?;
            headers.try_insert("authorization", format!("Bearer {token}"))?;
            Ok(request)
        };
        let mut operation = Operation::builder()
            .service_name("scim")
            .operation_name("PatchUser")
            .http_client(http)
            .endpoint_url(scim.endpoint.trim_end_matches('/'))
            .no_auth()
            // Whoever asks settles it.
            .no_retry()
            .timeout_config(
                config
                    .timeout_config()
                    .cloned()
                    .unwrap_or_else(TimeoutConfig::disabled),
            );
        if let Some(sleep) = config.sleep_impl() {
            operation = operation.sleep_impl(sleep);
        }
        if let Some(time) = config.time_source() {
            operation = operation.time_source(time);
        }
        let operation = operation
            .serializer(request)
            .deserializer::<u16, Infallible>(|response: &HttpResponse| {
                Ok(response.status().as_u16())
            })
            .build();
        let status = operation
            .invoke(())
            .await
            .map_err(|error| trouble(TroubleKind::Unreachable, trouble::chain(&error)))?;
        match kind_of(status) {
            None => Ok(()),
            Some(kind) => Err(trouble(kind, format!("it answers with status {status}"))),
        }
    }
}

/// What a status means; `None` for success.
fn kind_of(status: u16) -> Option<TroubleKind> {
    match status {
        200..300 => None,
        401 => Some(TroubleKind::Credentials),
        403 => Some(TroubleKind::Denied),
        429 => Some(TroubleKind::Throttled),
        500.. => Some(TroubleKind::Unreadable),
        _ => Some(TroubleKind::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_to_make_of_it() {
        assert_eq!(kind_of(200), None);
        assert_eq!(kind_of(204), None);
        for (status, kind) in [
            (401, TroubleKind::Credentials),
            (403, TroubleKind::Denied),
            (404, TroubleKind::Refused),
            (429, TroubleKind::Throttled),
            (503, TroubleKind::Unreadable),
        ] {
            assert_eq!(kind_of(status), Some(kind), "{status}");
        }
    }
}
