//! What a canary asks, and where.
//!
//! A closed list: each reads no more than names, costs nothing, and is a call that a policy can refuse. So
//! `sts:GetCallerIdentity` is none of them: AWS answers it despite any deny.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::Region;

/// A call that canaries make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Probe {
    /// The account's alias: IAM's, the same from every Region. What canaries ask unless told otherwise.
    AccountAliases,
    /// GuardDuty's detectors in a Region.
    Detectors,
    /// CloudTrail's trails in a Region.
    Trails,
    /// DynamoDB's tables in a Region.
    Tables,
}

/// A text that names no probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is no probe: expected one of {}", words(&Probe::ALL))]
pub struct NotAProbe {
    given: String,
}

/// One question of a canary's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ask {
    /// The call.
    #[serde(rename = "action")]
    pub probe: Probe,
    /// Where; `None` for one that is the same from every Region.
    pub region: Option<Region>,
}

impl Probe {
    /// All of them.
    pub const ALL: [Probe; 4] = [
        Probe::AccountAliases,
        Probe::Detectors,
        Probe::Trails,
        Probe::Tables,
    ];

    /// The IAM action, which is also what it is called: `iam:ListAccountAliases`.
    pub const fn action(self) -> &'static str {
        match self {
            Probe::AccountAliases => "iam:ListAccountAliases",
            Probe::Detectors => "guardduty:ListDetectors",
            Probe::Trails => "cloudtrail:DescribeTrails",
            Probe::Tables => "dynamodb:ListTables",
        }
    }

    /// Whether every Region has an answer of its own.
    pub fn is_regional(self) -> bool {
        match self {
            Probe::AccountAliases => false,
            Probe::Detectors | Probe::Trails | Probe::Tables => true,
        }
    }
}

impl Ask {
    /// Each of these probes in each of these Regions, where it has any: without a probe [`Probe::AccountAliases`], without
    /// a Region the one that we are at home in.
    pub fn all(
        probes: &BTreeSet<Probe>,
        regions: &BTreeSet<Region>,
        home: Option<Region>,
    ) -> Vec<Self> {
        let default = BTreeSet::from([Probe::AccountAliases]);
        let probes = if probes.is_empty() { &default } else { probes };
        let home: BTreeSet<Region> = home.into_iter().collect();
        let regions = if regions.is_empty() { &home } else { regions };
        let one = |(probe, region): (Probe, Option<&Region>)| Ask {
            probe,
            region: region.cloned(),
        };
        let (regional, everywhere): (Vec<Probe>, Vec<Probe>) =
            probes.iter().partition(|probe| probe.is_regional());
        let everywhere = everywhere.into_iter().map(|probe| (probe, None));
        let regional = regional
            .iter()
            .flat_map(|probe| regions.iter().map(|region| (*probe, Some(region))));
        everywhere.chain(regional).map(one).collect()
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.probe.action())?;
        match &self.region {
            Some(region) => write!(f, " in {region}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action())
    }
}

impl FromStr for Probe {
    type Err = NotAProbe;
    /// As IAM compares actions: without regard to case.
    fn from_str(text: &str) -> Result<Self, NotAProbe> {
        let mut all = Self::ALL.into_iter();
        all.find(|probe| probe.action().eq_ignore_ascii_case(text))
            .ok_or_else(|| NotAProbe {
                given: text.to_owned(),
            })
    }
}

impl TryFrom<String> for Probe {
    type Error = NotAProbe;
    fn try_from(text: String) -> Result<Self, NotAProbe> {
        text.parse()
    }
}

impl From<Probe> for &'static str {
    fn from(probe: Probe) -> Self {
        probe.action()
    }
}

/// What they are called, in one line.
fn words(probes: &[Probe]) -> String {
    let words: Vec<&str> = probes.iter().map(|probe| probe.action()).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_answers_despite_any_deny_is_no_probe() {
        let error = "sts:GetCallerIdentity".parse::<Probe>().unwrap_err();
        let error = error.to_string();
        assert!(error.contains("sts:GetCallerIdentity"), "{error}");
        assert!(error.contains("dynamodb:ListTables"), "{error}");
    }

    #[test]
    fn a_probe_without_regions_is_asked_once_and_the_others_in_each() {
        let region = |name: &str| Region::parse(name).unwrap();
        let home = Some(region("us-east-1"));
        let told = |probes: &[Probe], regions: &[&str]| -> Vec<String> {
            let probes = probes.iter().copied().collect();
            let regions = regions.iter().map(|name| region(name)).collect();
            let asks = Ask::all(&probes, &regions, home.clone());
            asks.iter().map(Ask::to_string).collect()
        };
        assert_eq!(told(&[], &["eu-west-1"]), ["iam:ListAccountAliases"]);
        assert_eq!(
            told(&[Probe::Tables], &[]),
            ["dynamodb:ListTables in us-east-1"]
        );
        assert_eq!(
            told(
                &[Probe::Detectors, Probe::AccountAliases],
                &["us-east-1", "eu-west-1"]
            ),
            [
                "iam:ListAccountAliases",
                "guardduty:ListDetectors in eu-west-1",
                "guardduty:ListDetectors in us-east-1"
            ]
        );
    }
}
