//! `quell prepare profiles`: an AWS CLI configuration for the responders.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside};
use crate::cloud::{Cloud as _, ConnectError, Inspect, OrganizationError, Read, Trouble};
use crate::facts::Instance;
use crate::facts::checkup::MemberAccount;
use crate::ids::*;
use crate::profiles::{NotMerged, Profile, SsoSession, merged};
use crate::report::human::{clean, practice};
use crate::survey;

/// What `quell prepare profiles` takes.
#[derive(Debug, Args)]
pub struct ProfilesArgs {
    /// Merge them into this file (default: AWS_CONFIG_FILE, or ~/.aws/config)
    #[arg(long, value_name = "FILE", env = "AWS_CONFIG_FILE")]
    file: Option<PathBuf>,
    /// Print the file as it would be, and write nothing
    #[arg(long)]
    print: bool,
    /// Only for this permission set, repeatable
    #[arg(long, value_name = "NAME")]
    permission_set: Vec<String>,
    /// Only for this account, repeatable
    #[arg(long, value_name = "ID")]
    account: Vec<AccountId>,
    /// The access portal's address (default: the one that AWS gives, of the identity store's id)
    #[arg(long, value_name = "URL", value_parser = address)]
    start_url: Option<String>,
    /// The name of the way to sign in: `aws sso login --sso-session NAME`
    #[arg(long, value_name = "NAME", default_value = "quell", value_parser = word)]
    sso_session: String,
}

/// What it came to.
#[derive(Debug, Serialize)]
struct ProfilesReport {
    /// `quell.profiles/1`.
    schema: &'static str,
    /// The host that answered, when it is not AWS.
    practice: Option<String>,
    /// The file; none where it was only printed.
    file: Option<PathBuf>,
    /// The way to sign in.
    sso_session: String,
    /// Whether the file was so already.
    already: bool,
    /// What is ours in it.
    profiles: Vec<Profile>,
    /// What is not, because the file has somebody else's of that name.
    taken: Vec<Profile>,
    /// Permission sets whose names would be another line of the file.
    unnameable: BTreeSet<String>,
    /// The file as it would be, if it was only printed.
    text: Option<String>,
}

/// Accounts asked at the same time; Identity Center's rate is what limits it.
const AT_ONCE: usize = 16;

/// Writes them.
pub(super) async fn profiles<O: Outside>(
    args: &ProfilesArgs,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<Exit, Failure> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => etcetera::home_dir()
            .map_err(|_| {
                Failure::usage("there is no home directory to find the AWS configuration in")
                    .hint("Name the file: `--file <file>`.")
            })?
            .join(".aws/config"),
    };
    let there = match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::file(&path, &error)),
    };
    let world = common.connect(outside).await?;
    let read = world.read();
    let (root, organization) = futures_util::join!(read.root(), read.organization());
    let organization = organization.map_err(|error| match error {
        OrganizationError::NotInUse => {
            Failure::new(Exit::Refused, "this account is not part of an organization")
        }
        OrganizationError::Trouble(trouble) => trouble.into(),
    })?;
    let instance = survey::instance(read, &organization).await?;
    let members = read.members(&root?.id).await?;
    let (wanted, unnameable) = wanted(read, &instance, members, args).await?;
    if wanted.is_empty() && unnameable.is_empty() {
        // Whoever mistypes a name must not lose the profiles that are there.
        return Err(Failure::new(
            Exit::Refused,
            "nobody has such a permission set in such an account: no profile would be left in the file",
        )
        .hint("See all of them, and change nothing: `quell prepare profiles --print`."));
    }
    // Where AWS does not say, it is the Region that was asked.
    let region = instance.primary_region.clone().or_else(|| read.region());
    let region = region.ok_or(ConnectError::NoRegion)?;
    let session = SsoSession {
        name: args.sso_session.clone(),
        start_url: args
            .start_url
            .clone()
            .unwrap_or_else(|| format!("https://{}.awsapps.com/start", instance.store)),
        region: region.clone(),
    };
    let new = merged(there.as_deref().unwrap_or_default(), &session, wanted)
        .map_err(|error| blame(&error, &path))?;
    let already = there.as_deref() == Some(new.text.as_str());
    if !already && !args.print {
        write(&path, &new.text).map_err(|error| Failure::file(&path, &error))?;
    }
    let report = ProfilesReport {
        schema: "quell.profiles/1",
        practice: world.practice(),
        file: (!args.print).then_some(path),
        sso_session: session.name,
        already,
        profiles: new.written,
        taken: new.taken,
        unnameable,
        text: args.print.then_some(new.text),
    };
    ui.result(&report, human);
    Ok(Exit::Done)
}

/// A profile for each set that somebody has in an account, and the sets that cannot be named in a file.
async fn wanted(
    read: &(impl Read + Inspect),
    instance: &Instance,
    members: Vec<MemberAccount>,
    args: &ProfilesArgs,
) -> Result<(BTreeSet<Profile>, BTreeSet<String>), Trouble> {
    let chosen = |member: &MemberAccount| {
        member.is_active() && (args.account.is_empty() || args.account.contains(&member.id))
    };
    let members: Vec<MemberAccount> = members.into_iter().filter(chosen).collect();
    let provisioned: Vec<(MemberAccount, Vec<PermissionSetArn>)> = stream::iter(members)
        .map(|member| async {
            let sets = read.provisioned(instance, &member.id).await?;
            Ok::<_, Trouble>((member, sets))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let all = provisioned.iter().flat_map(|(_, sets)| sets);
    let names: BTreeMap<_, _> = survey::permission_sets(read, instance, all).await;
    let (mut profiles, mut unnameable) = (BTreeSet::new(), BTreeSet::new());
    for (member, sets) in &provisioned {
        for set in sets.iter().filter_map(|set| names.get(set)) {
            if !args.permission_set.is_empty() && !args.permission_set.contains(&set.name) {
                continue;
            }
            match Profile::of(&member.id, &member.name, &set.name) {
                Some(profile) => profiles.insert(profile),
                None => unnameable.insert(set.name.clone()),
            };
        }
    }
    Ok((profiles, unnameable))
}

/// Whole or not at all: beside it first, then in its place. Where it is a link, what it leads to is replaced.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut beside = path.clone().into_os_string();
    beside.push(".quell");
    let beside = PathBuf::from(beside);
    let mut file = std::fs::File::create(&beside)?;
    if let Ok(there) = std::fs::metadata(&path) {
        file.set_permissions(there.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, &path)
}

fn blame(error: &NotMerged, path: &Path) -> Failure {
    let failure = Failure::new(Exit::Refused, format!("{}: {error}", path.display()));
    match error {
        NotMerged::Torn => failure
            .hint("Take both lines and what is between them out of the file, then run it again."),
        NotMerged::SessionTaken(_) => {
            failure.hint("Name ours otherwise: `quell prepare profiles --sso-session <name>`.")
        }
    }
}

fn human(report: &ProfilesReport) -> String {
    if let Some(text) = &report.text {
        return text.clone();
    }
    let mut text = practice(report.practice.as_ref());
    let file = report.file.as_deref().unwrap_or(Path::new(""));
    let already = if report.already { " already" } else { "" };
    text.push_str(&format!(
        "{} has {} profiles of quell's{already}, without a secret. Sign in: `aws sso login --sso-session {}`.\n",
        clean(&file.display().to_string()),
        report.profiles.len(),
        report.sso_session
    ));
    if let Some(first) = report.profiles.first() {
        text.push_str(&format!(
            "Then, for one: `quell --profile {} status`.\n",
            first.name
        ));
    }
    for taken in &report.taken {
        text.push_str(&format!(
            "Left out: the file has a profile {} of yours.\n",
            taken.name
        ));
    }
    for name in &report.unnameable {
        text.push_str(&format!(
            "Left out: no profile can be of permission set {}.\n",
            clean(name)
        ));
    }
    text
}

/// An address that is one line of a file.
fn address(given: &str) -> Result<String, String> {
    let plain = given.bytes().all(|b| b.is_ascii_graphic());
    match given.starts_with("https://") && plain {
        true => Ok(given.to_owned()),
        false => Err("expected https://…".to_owned()),
    }
}

/// A word that can name a section of a file.
fn word(given: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    match !given.is_empty() && given.bytes().all(plain) {
        true => Ok(given.to_owned()),
        false => Err("expected letters, digits, dots, dashes or underscores".to_owned()),
    }
}
