//! SCIM on the range: an identity provider's way to write into the directory, with a bearer token and no signature
//! (aws-facts §9). As much of it as it takes to disable somebody.

use serde_json::{Value, json};

use crate::ids::*;
use crate::range::state::State;
use crate::range::wire::{Asked, Refusal, unsupported};

/// The token that it takes.
pub const TOKEN: &str = "practice-scim-token";

/// The path of a user, whatever the tenant is.
pub(super) fn user_of(path: &str) -> Option<&str> {
    let (_, user) = path.split_once("/scim/v2/Users/")?;
    Some(user)
}

/// Answers for whoever has this token.
pub(super) fn perform(state: &mut State, token: &str, asked: &Asked) -> Result<Value, Refusal> {
    if token != TOKEN {
        return Err(Refusal::new(401, "UnauthorizedException", "Unauthorized"));
    }
    if asked.operation != "PatchUser" {
        return Err(unsupported(asked));
    }
    let missing = || Refusal::new(404, "ResourceNotFoundException", "User not found");
    let id = UserId::parse(asked.text("UserId")).map_err(|_| missing())?;
    let user = state.directory.users.get_mut(&id).ok_or_else(missing)?;
    let operations = asked.parameters.get("Operations").and_then(Value::as_array);
    for operation in operations.into_iter().flatten() {
        let text = |name: &str| operation.get(name).and_then(Value::as_str);
        if text("op") == Some("replace") && text("path") == Some("active") {
            user.disabled = text("value") == Some("false");
        }
    }
    Ok(json!({ "id": id, "userName": user.username, "active": !user.disabled }))
}
