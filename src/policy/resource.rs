//! Resources: whether a pattern of `Resource` or `NotResource` matches what a request is about.
//!
//! AWS's page on the Resource element says that wildcards stand within the colon-separated parts of an ARN, that a `*` at
//! the end of a part can reach beyond the colon, and that the service takes none. What follows from the first alone is
//! certain; so is a short ARN with a `*` at its end. Whatever else the second could mean is not judged.

use crate::policy::condition::Holds;
use crate::policy::pattern::{Arn, Context, Glob, NoValue, Pattern, Rules};

/// A pattern of `Resource` or `NotResource`, made ready.
#[derive(Debug)]
pub struct Place {
    /// Part by part, a short ARN filled up.
    arn: Pattern<Arn>,
    /// As one text, in which a `*` reaches everywhere.
    text: Pattern<Glob>,
    /// Whether it is neither an ARN nor `*`.
    malformed: bool,
    /// Whether it is an ARN with a wildcard for the service.
    any_service: bool,
    /// Whether it is an ARN of fewer than six parts under `NotResource`.
    short_exception: bool,
}

impl Place {
    /// Makes a pattern ready. `variables` as in [`Rules::variables`]; `negated` for `NotResource`.
    pub fn of(written: &str, variables: bool, negated: bool) -> Self {
        let rules = Rules {
            variables,
            wildcards: true,
        };
        // Colons inside a variable are not the ARN's; one of them before the ARN's fifth, AWS does not take.
        let skeleton = if variables {
            without_variables(written)
        } else {
            written.to_owned()
        };
        let missing = 5_usize.saturating_sub(skeleton.matches(':').count());
        let filled = if skeleton.ends_with('*') { missing } else { 0 };
        let service = skeleton.split(':').nth(2).unwrap_or_default();
        let too_early = skeleton
            .splitn(6, ':')
            .take(5)
            .any(|part| part.contains(VARIABLE));
        let malformed =
            skeleton != "*" && (!skeleton.starts_with("arn:") || missing != filled || too_early);
        Self {
            arn: Pattern::new(&format!("{written}{}", ":*".repeat(filled)), rules),
            text: Pattern::new(written, rules),
            malformed,
            any_service: service.contains(['*', '?']),
            short_exception: negated && filled > 0 && written != "*",
        }
    }

    /// Whether it matches this resource.
    ///
    /// # Errors
    /// [`NoValue`], when a variable in it has no value in this request.
    pub fn has(&self, resource: &str, context: &Context) -> Result<Holds, NoValue> {
        if self.malformed {
            return Ok(Holds::CannotJudge(
                "AWS takes an ARN or * for a resource".to_owned(),
            ));
        }
        let by_text = self.text.matches(resource, context)?;
        if !by_text && self.short_exception {
            return Ok(Holds::CannotJudge(
                "AWS does not say what a short ARN under NotResource leaves out".to_owned(),
            ));
        }
        if !by_text || !resource.starts_with("arn:") {
            return Ok(by_text.into());
        }
        Ok(if !self.arn.matches(resource, context)? {
            Holds::CannotJudge("AWS does not say how far a * reaches over a colon".to_owned())
        } else if self.any_service {
            Holds::CannotJudge("AWS takes no wildcard for an ARN's service".to_owned())
        } else {
            Holds::Yes
        })
    }
}

/// Stands for a variable where a pattern is only counted.
const VARIABLE: char = '\u{0}';

/// The pattern with one character for each `${…}`.
fn without_variables(written: &str) -> String {
    let mut pieces = written.split("${");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |mut skeleton, piece| {
        match piece.split_once('}') {
            Some((inside, after)) => {
                skeleton.push(if matches!(inside, "*" | "?" | "$") {
                    '_'
                } else {
                    VARIABLE
                });
                skeleton.push_str(after);
            }
            None => {
                skeleton.push_str("${");
                skeleton.push_str(piece);
            }
        }
        skeleton
    })
}
