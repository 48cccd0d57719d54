//! Asking somebody else's judge about a plan, for whoever has the time.

use futures_util::future::try_join_all;

use crate::cloud::{Inspect, Trouble};
use crate::facts::checkup::Simulated;
use crate::plan::Plan;
use crate::plan::opinion::{self, ACTION, Case, Opinion};

/// What IAM's simulator says of the deny, case by case. Where it cannot be asked, that is the opinion.
pub async fn second(read: &impl Inspect, plan: &Plan, operator: &str) -> Opinion {
    let cases = opinion::cases(plan, operator).into_iter();
    let asked = cases.map(async |case| {
        let levels = opinion::levels(plan, &case);
        let said = read.simulated_under(&levels, &case.keys, ACTION).await?;
        Ok::<(Case, Simulated), Trouble>((case, said))
    });
    match try_join_all(asked).await {
        Ok(said) => opinion::of(&said),
        Err(trouble) => Opinion::Unavailable {
            because: trouble.to_string(),
        },
    }
}
