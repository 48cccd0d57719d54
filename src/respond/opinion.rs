//! Asking somebody else's judge about a plan, for whoever has the time.

use futures_util::future::try_join_all;
use futures_util::join;

use crate::cloud::{Inspect, Trouble};
use crate::facts::checkup::Simulated;
use crate::plan::Plan;
use crate::plan::opinion::{self, ACTION, Case, Opinion, SecondOpinion};

/// What IAM's simulator and Access Analyzer say of the deny. Where one cannot be asked, that is its opinion.
pub async fn second(read: &impl Inspect, plan: &Plan, operator: &str) -> SecondOpinion {
    let document = plan.whole.minified();
    let (said, found) = join!(simulated(read, plan, operator), read.validated(&document));
    let found = found.map(|found| match found.is_empty() {
        true => Opinion::Agrees { cases: 1 },
        false => Opinion::Differs { of: found },
    });
    let told = |opinion: Result<Opinion, Trouble>| {
        opinion.unwrap_or_else(|trouble| Opinion::Unavailable {
            because: trouble.to_string(),
        })
    };
    SecondOpinion {
        simulator: told(said.map(|said| opinion::of(&said))),
        analyzer: told(found),
    }
}

/// What IAM's simulator says, case by case.
async fn simulated(
    read: &impl Inspect,
    plan: &Plan,
    operator: &str,
) -> Result<Vec<(Case, Simulated)>, Trouble> {
    let cases = opinion::cases(plan, operator).into_iter();
    let asked = cases.map(async |case| {
        let levels = opinion::levels(plan, &case);
        let said = read.simulated_under(&levels, &case.keys, ACTION).await?;
        Ok((case, said))
    });
    try_join_all(asked).await
}
