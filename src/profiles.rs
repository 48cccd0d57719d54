//! An AWS CLI configuration for responders: one profile for each account and permission set. It holds no secret.
//!
//! Arrives: Identity Center, the accounts, what is provisioned in each, and the file that is there. Leaves: the file as it is
//! to be. Goes wrong: [`NotMerged`]; the file is then left as it is. Pure.
//!
//! What is ours stands between two lines of comment, and is replaced whole; every other byte stays as it is. A name that the
//! file gives somebody else's profile is left to them.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::ids::*;

/// Where what is ours begins.
const BEGIN: &str = "# quell: begin. Written by `quell prepare profiles`, which replaces it whole; write below its end";

/// Where it ends.
const END: &str = "# quell: end";

/// The way to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsoSession {
    /// Its name in the file.
    pub name: String,
    /// The access portal's address.
    pub start_url: String,
    /// Identity Center's Region.
    pub region: Region,
}

/// A permission set in an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Profile {
    /// Its name in the file.
    pub name: String,
    /// The account.
    pub account: AccountId,
    /// The permission set, by name.
    pub permission_set: String,
}

/// Why the file is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMerged {
    /// One of our two lines is missing, or stands there twice.
    #[error("the file has `{BEGIN}` or `{END}` without the other, or more than once")]
    Torn,
    /// Somebody else's way to sign in has the name.
    #[error("the file has an sso-session {0} that quell did not write")]
    SessionTaken(String),
}

/// A file that was merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The whole text.
    pub text: String,
    /// The profiles in it that are ours.
    pub written: Vec<Profile>,
    /// Those that are not, because the file has somebody else's of that name.
    pub taken: Vec<Profile>,
}

impl Profile {
    /// The profile of a set in an account, named after both: `shop-production-444455556666-ReadOnly`. `None` for a set whose
    /// name is none that AWS gives, because it would be another line of the file.
    pub fn of(account: &AccountId, account_name: &str, set: &str) -> Option<Self> {
        let whole = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if set.is_empty() || !set.chars().all(whole) {
            return None;
        }
        // Account names are free text: of them only what cannot end a section's name.
        let words = account_name.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let name = match words.as_slice() {
            [] => format!("{account}-{set}"),
            some => format!("{}-{account}-{set}", some.join("-").to_ascii_lowercase()),
        };
        Some(Self {
            name,
            account: account.clone(),
            permission_set: set.to_owned(),
        })
    }
}

/// The file with these profiles in it, and what else it has as it is.
///
/// # Errors
/// [`NotMerged`].
pub fn merged(
    file: &str,
    session: &SsoSession,
    profiles: BTreeSet<Profile>,
) -> Result<Merged, NotMerged> {
    let (before, after) = outside(file)?;
    let theirs: BTreeSet<&str> = sections(before).chain(sections(after)).collect();
    if theirs.contains(format!("sso-session {}", session.name).as_str()) {
        return Err(NotMerged::SessionTaken(session.name.clone()));
    }
    let is_theirs = |one: &Profile| theirs.contains(format!("profile {}", one.name).as_str());
    let (taken, written): (Vec<Profile>, Vec<Profile>) = profiles.into_iter().partition(is_theirs);
    let mut ours = format!(
        "{BEGIN}\n[sso-session {0}]\nsso_start_url = {1}\nsso_region = {2}\nsso_registration_scopes = sso:account:access\n",
        session.name, session.start_url, session.region
    );
    for profile in &written {
        ours.push_str(&format!(
            "\n[profile {}]\nsso_session = {}\nsso_account_id = {}\nsso_role_name = {}\nregion = {}\n",
            profile.name, session.name, profile.account, profile.permission_set, session.region
        ));
    }
    ours.push_str(END);
    ours.push('\n');
    let gap = match before {
        "" => "",
        text if text.ends_with("\n\n") => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    Ok(Merged {
        text: format!("{before}{gap}{ours}{after}"),
        written,
        taken,
    })
}

/// What stands before and after what is ours; all of a file in which nothing is.
fn outside(file: &str) -> Result<(&str, &str), NotMerged> {
    let count = |mark: &str| file.lines().filter(|line| line.trim_end() == mark).count();
    match (count(BEGIN), count(END)) {
        (0, 0) => return Ok((file, "")),
        (1, 1) => {}
        _ => return Err(NotMerged::Torn),
    }
    let (before, rest) = file.split_once(BEGIN).ok_or(NotMerged::Torn)?;
    let (_, after) = rest.split_once(END).ok_or(NotMerged::Torn)?;
    let after = after.strip_prefix('\r').unwrap_or(after);
    Ok((before, after.strip_prefix('\n').unwrap_or(after)))
}

/// The names of a file's sections.
fn sections(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let name = line.trim_start().strip_prefix('[')?;
        Some(name.split_once(']')?.0.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SsoSession {
        SsoSession {
            name: "quell".to_owned(),
            start_url: "https://d-9067a1b2c3.awsapps.com/start".to_owned(),
            region: Region::parse("eu-west-1").unwrap(),
        }
    }

    fn profiles(sets: &[&str]) -> BTreeSet<Profile> {
        let account = AccountId::parse("444455556666").unwrap();
        let of = |set: &&str| Profile::of(&account, "Shop / production", set).unwrap();
        sets.iter().map(of).collect()
    }

    #[test]
    fn every_byte_that_is_not_ours_stays_as_it_is() {
        for theirs in [
            "",
            "[default]\nregion=eu-west-1",
            "[default]\r\nregion = eu-west-1\r\n",
            "# mine\n[profile shop]\nregion=x\n\n",
        ] {
            let first = merged(theirs, &session(), profiles(&["ReadOnly", "Ops"])).unwrap();
            assert!(first.text.starts_with(theirs), "{}", first.text);
            let more = format!("{}\n[profile below]\nregion = y", first.text);
            let again = merged(&more, &session(), profiles(&["Ops"])).unwrap();
            assert!(again.text.starts_with(theirs));
            assert!(again.text.ends_with("\n[profile below]\nregion = y"));
            assert!(!again.text.contains("ReadOnly"), "{}", again.text);
            let same = merged(&again.text, &session(), profiles(&["Ops"])).unwrap();
            assert_eq!(same.text, again.text, "writing again changes nothing");
        }
    }

    #[test]
    fn what_somebody_else_has_named_so_is_theirs() {
        let theirs = "[profile shop-production-444455556666-Ops]\nregion = x\n";
        let merged_ = merged(theirs, &session(), profiles(&["Ops", "ReadOnly"])).unwrap();
        assert_eq!(merged_.taken.len(), 1);
        assert_eq!(merged_.text.matches("-Ops]").count(), 1);
        assert_eq!(
            merged("[sso-session quell]\n", &session(), profiles(&[])),
            Err(NotMerged::SessionTaken("quell".to_owned()))
        );
    }

    #[test]
    fn a_file_that_was_torn_is_left_alone() {
        let whole = merged("", &session(), profiles(&["Ops"])).unwrap().text;
        for torn in [
            whole.replace(END, ""),
            whole.replace(BEGIN, ""),
            format!("{whole}{whole}"),
        ] {
            let left = merged(&torn, &session(), profiles(&["Ops"]));
            assert_eq!(left, Err(NotMerged::Torn));
        }
    }

    #[test]
    fn no_name_is_another_line() {
        let account = AccountId::parse("444455556666").unwrap();
        let odd = Profile::of(&account, "x]\n[default]\naws_access_key_id = 1", "Ops").unwrap();
        assert_eq!(odd.name, "x-default-aws-access-key-id-1-444455556666-Ops");
        for set in ["", "a b", "a\nb", "a]"] {
            assert_eq!(Profile::of(&account, "x", set), None);
        }
    }
}
