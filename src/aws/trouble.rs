//! What an SDK error means, in our words. Pure.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use aws_credential_types::provider::error::CredentialsError;

use crate::cloud::{Trouble, TroubleKind};
use crate::ids::NotAnId;

/// Puts an SDK error into our words.
pub fn of<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Trouble
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let kind = match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            of_code(answer.err().code().unwrap_or_default(), status)
        }
        SdkError::ResponseError(_) => TroubleKind::Unreadable,
        SdkError::TimeoutError(_) => TroubleKind::Unreachable,
        SdkError::DispatchFailure(_) if lacks_credentials(error) => TroubleKind::Credentials,
        SdkError::DispatchFailure(_) => TroubleKind::Unreachable,
        // Never sent.
        SdkError::ConstructionFailure(_) if lacks_credentials(error) => TroubleKind::Credentials,
        SdkError::ConstructionFailure(_) => TroubleKind::Refused,
        _ => TroubleKind::Unreadable,
    };
    Trouble {
        operation,
        kind,
        detail: detail(error),
    }
}

/// An answer that lacks what AWS documents for it, or has it in another shape.
pub fn unreadable(operation: &'static str, why: impl ToString) -> Trouble {
    Trouble {
        operation,
        kind: TroubleKind::Unreadable,
        detail: why.to_string(),
    }
}

/// A change that AWS made, or refuses because it is made already.
pub fn made<T, E>(
    operation: &'static str,
    answer: Result<T, SdkError<E, HttpResponse>>,
    already_so: impl FnOnce(&E) -> bool,
) -> Result<(), Trouble>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(already_so) => Ok(()),
        Err(error) => Err(of(operation, &error)),
    }
}

/// A field of an answer that must be there and be an identifier.
pub fn field<T>(
    operation: &'static str,
    name: &str,
    value: Option<&str>,
    parse: impl Fn(String) -> Result<T, NotAnId>,
) -> Result<T, Trouble> {
    let value = value.ok_or_else(|| unreadable(operation, format!("the answer has no {name}")))?;
    parse(value.to_owned()).map_err(|error| unreadable(operation, format!("{name}: {error}")))
}

/// Error codes by meaning. They differ by service for the same thing (aws-facts §6, §8, §9).
fn of_code(code: &str, status: u16) -> TroubleKind {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => TroubleKind::Denied,
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => TroubleKind::Expired,
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "AuthFailure" => TroubleKind::Credentials,
        "TooManyRequestsException"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "ProvisionedThroughputExceededException"
        | "SlowDown" => TroubleKind::Throttled,
        // Its answer is not known: the request may have arrived late, and whole.
        "RequestTimeout" | "RequestTimeoutException" => TroubleKind::Unreachable,
        "ConcurrentModificationException"
        | "PolicyChangesInProgressException"
        | "ConflictException"
        | "TransactionConflictException" => TroubleKind::Busy,
        // AWS's errors have codes: what has none is somebody else's page, or an answer cut short.
        "" => TroubleKind::Unreadable,
        _ if status >= 500 => TroubleKind::Unreadable,
        _ => TroubleKind::Refused,
    }
}

fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<CredentialsError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// AWS's code, message and request id; the transport's words when there is no message. (`SdkError` itself prints only
/// "service error".)
fn detail<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let Some(answer) = error.as_service_error() else {
        return chain(error);
    };
    let code = answer.code().unwrap_or("an error without a code");
    let mut text = match answer.message() {
        Some(message) => format!("{code}: {message}"),
        None => code.to_owned(),
    };
    if let Some(reason) = answer.meta().extra("aws_request_id") {
        text = format!("{text} (request {reason})");
    }
    text
}

/// An error and its causes, each said once.
pub fn chain(error: &dyn Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if parts.iter().all(|part| !part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_every_service_are_understood_alike() {
        for (code, status, kind) in [
            ("AccessDeniedException", 400, TroubleKind::Denied),
            ("AccessDenied", 403, TroubleKind::Denied),
            ("ExpiredToken", 403, TroubleKind::Expired),
            ("UnrecognizedClientException", 400, TroubleKind::Credentials),
            ("TooManyRequestsException", 400, TroubleKind::Throttled),
            (
                "ProvisionedThroughputExceededException",
                400,
                TroubleKind::Throttled,
            ),
            ("RequestLimitExceeded", 400, TroubleKind::Throttled),
            ("ConcurrentModificationException", 400, TroubleKind::Busy),
            ("ConflictException", 409, TroubleKind::Busy),
            ("ServiceQuotaExceededException", 402, TroubleKind::Refused),
            ("ServiceException", 500, TroubleKind::Unreadable),
            ("", 502, TroubleKind::Unreadable),
            ("", 200, TroubleKind::Unreadable),
            ("ConstraintViolationException", 400, TroubleKind::Refused),
        ] {
            assert_eq!(of_code(code, status), kind, "{code} {status}");
        }
    }
}
