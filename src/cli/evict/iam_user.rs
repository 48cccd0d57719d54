//! `quell evict` of an IAM user: keys, password and an inline deny, in the user's own account.

use crate::cli::evict::{Asked, approve, attests_no_way_left, exit_of, of_the_directory_alone};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::cli::{Common, Outside, do_or_say, open_journal};
use crate::cloud::{Cloud, Trouble, TroubleKind};
use crate::evict::account::UserInAccount;
use crate::facts::{Caller, IamUser, Way};
use crate::journal::{Event, Purpose};
use crate::plan::eviction::{NO_WAY_LEFT, by_hand};
use crate::report::access::{EvictReport, EvictionReport};
use crate::report::human;
use crate::respond::memory::Remembered;
use crate::respond::{Response, Stopped};

/// What was read of the user: all there is and what is open, nobody, or nothing, because somebody answers for it.
type Found = Option<(IamUser, Vec<Way>)>;

pub(super) async fn evict<O: Outside>(
    asked: &Asked<'_>,
    known: Remembered,
    caller: &Caller,
    world: &O::World,
    common: &Common,
    outside: &O,
    ui: &Ui<'_>,
) -> Result<(EvictReport, Exit), Failure> {
    of_the_directory_alone(asked, &known.incident)?;
    let roles = &asked.shelf.base().verify.canary_roles;
    let mut incident = known.incident;
    let id = incident.id.clone();
    let user = UserInAccount::of(&incident, roles).ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("nobody remembers which IAM user incident {id} denies"),
        )
        .hint("Name them: `quell contain arn:aws:iam::<account>:user/<name>`.")
    })?;
    let found: Found = match user.ways(world.read()).await {
        Err(trouble) if attests_no_way_left(asked) => {
            ui.say(&format!(
                "note: the user cannot be read ({}); that no way is left is taken on your word.",
                human::clean(&trouble.to_string())
            ));
            None
        }
        Err(trouble) if trouble.kind == TroubleKind::Denied => {
            let report = not_let_in(
                EvictReport::of(&incident, world.practice()),
                &user,
                &trouble,
            );
            return Ok((asked.listed(report, &incident), Exit::Partly));
        }
        Ok(None) => {
            ui.say(&format!(
                "WARNING: account {} has no such user any more, or another one of that name (the id is another): nothing gives this one sessions. If the finding named the wrong account, or somebody made the user anew, contain that one: `quell contain arn:aws:iam::<account>:user/{}`.",
                user.account, user.name
            ));
            None
        }
        found => found?,
    };
    if let Some((_, open)) = &found {
        let principal = incident.principal.clone();
        let principal = principal.unwrap_or_else(|| crate::ids::Username::new(user.name.as_str()));
        let practice = world.practice();
        let shown = EvictionReport::of_iam_user(&incident, principal, open, practice);
        ui.say(&human::access::eviction(&shown));
        if !open.is_empty() {
            approve(asked, &incident, world, ui)?;
        }
    }
    ui.commit();
    let mut journal = open_journal(common, &id, ui)?;
    let watch = |event: &Event| ui.event(event, None);
    let policy = known.policy.id;
    let report = do_or_say(outside, &mut journal, &id, async |journal| {
        let mut response = Response::new(world, journal, &watch).entering_by(roles);
        response.take_up(&incident, Purpose::Evict, &caller.arn, None)?;
        let mut recorded = true;
        let mut evicted = None;
        match &found {
            Some((found, open)) => {
                let done = response
                    .evict_iam_user(&mut incident, &policy, &user, found, open)
                    .await?;
                recorded = done.recorded;
                evicted = Some(done);
            }
            None => recorded &= response.evicted_by_word(&mut incident, &policy).await?,
        }
        for item in asked.attest {
            let by = asked.by.unwrap_or_default();
            recorded &= response
                .attest(&mut incident, &policy, item, by, None)
                .await?;
        }
        let report = EvictReport::of(&incident, world.practice());
        let report = match &evicted {
            Some(evicted) => report.with(evicted, None),
            None => report,
        };
        Ok::<_, Stopped>(EvictReport {
            not_recorded: !recorded,
            ..report
        })
    })
    .await?;
    let report = match report.left.is_empty() {
        true => report,
        false => EvictReport {
            commands: commands(&user),
            ..report
        },
    };
    let exit = exit_of(&report);
    Ok((asked.listed(report, &incident), exit))
}

/// No role lets us in, or none lets us look: the deny stands, and the rest is for people.
fn not_let_in(report: EvictReport, user: &UserInAccount, trouble: &Trouble) -> EvictReport {
    let mut commands = commands(user);
    commands.push(format!(
        "quell evict {} --attest {NO_WAY_LEFT} --by <your name>",
        report.incident
    ));
    EvictReport {
        unread: Some(format!(
            "no role lets quell see to the user in account {}: {trouble}",
            user.account
        )),
        commands,
        ..report
    }
}

fn commands(user: &UserInAccount) -> Vec<String> {
    by_hand(&user.name, &user.policy, &user.deny)
}
