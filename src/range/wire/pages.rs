//! Lists, page by page.

use serde_json::{Value, json};

use crate::range::wire::{Asked, Refusal};

/// What a service calls the parts of paging.
#[derive(Debug, Clone, Copy)]
pub struct Paging {
    /// The most items that are asked for.
    pub size: &'static str,
    /// Where the last page ended, when asking.
    pub token: &'static str,
    /// The same, in the answer.
    pub next: &'static str,
}

/// In the JSON services.
const PASCAL: Paging = Paging {
    size: "MaxResults",
    token: "NextToken",
    next: "NextToken",
};

/// In the REST services.
pub const CAMEL: Paging = Paging {
    size: "maxResults",
    token: "nextToken",
    next: "nextToken",
};

/// One page of a list, as the JSON services call its parts.
pub fn page(asked: &Asked, name: &str, items: Vec<Value>, most: usize) -> Result<Value, Refusal> {
    page_as(PASCAL, asked, name, items, most)
}

/// One page of a list. A list longer than a page has an empty page in it, as AWS's may (aws-facts §8): a caller that
/// stops at the first empty page sees too little here, too.
pub fn page_as(
    called: Paging,
    asked: &Asked,
    name: &str,
    items: Vec<Value>,
    most: usize,
) -> Result<Value, Refusal> {
    let size = match asked.parameters.get(called.size) {
        None | Some(Value::Null) => Some(most),
        // In the address of a request a number is text.
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_u64().map(|n| usize::try_from(n).unwrap_or(0)),
    };
    let Some(size) = size.filter(|size| (1..=most).contains(size)) else {
        let message = format!("{} is out of range.", called.size);
        let refusal = Refusal::new(400, "InvalidInputException", &message);
        return Err(refusal.because("INVALID_PAGINATION_TOKEN"));
    };
    let (start, empty) = match asked.text(called.token) {
        "" => (0, false),
        token => {
            let (kind, at) = token.split_once('-').unwrap_or_default();
            let at = at.parse::<usize>().ok().filter(|at| *at <= items.len());
            let at = at.ok_or_else(|| {
                Refusal::new(
                    400,
                    "InvalidInputException",
                    "NextToken is not one of ours.",
                )
                .because("INVALID_NEXT_TOKEN")
            })?;
            (at, kind == "empty")
        }
    };
    if empty {
        return Ok(json!({ name: [], called.next: format!("page-{start}") }));
    }
    let more = start + size < items.len();
    let shown: Vec<Value> = items.into_iter().skip(start).take(size).collect();
    let mut answer = json!({ name: shown });
    if let (true, Some(object)) = (more, answer.as_object_mut()) {
        let kind = if start == 0 { "empty" } else { "page" };
        object.insert(
            called.next.to_owned(),
            json!(format!("{kind}-{}", start + size)),
        );
    }
    Ok(answer)
}
