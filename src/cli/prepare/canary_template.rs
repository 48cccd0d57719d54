//! `quell prepare canary-template`: the role that quell enters member accounts with.

use std::path::PathBuf;

use clap::Args;

use crate::cli::contain;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::ids::{PrincipalPattern, RoleName};
use crate::report::check::TemplateReport;
use crate::rights::template::template;

/// What `quell prepare canary-template` takes.
#[derive(Debug, Args)]
pub struct CanaryTemplateArgs {
    /// ARN of the role or user that runs quell; `*` stands for any text in its name (default: a parameter of the stack set)
    #[arg(long, value_name = "ARN")]
    trust: Option<PrincipalPattern>,
    /// Name of the role (default: the playbook's first)
    #[arg(long, value_name = "NAME")]
    canary_role: Option<RoleName>,
    /// Let it contain and evict IAM users, too. Whoever holds the role can then write any policy onto any user
    #[arg(long)]
    with_iam_users: bool,
    /// Let it read what `quell audit` judges, too: every user, role and policy of the account
    #[arg(long)]
    with_audit: bool,
    /// Take the role's name from this playbook
    #[arg(long, value_name = "NAME|FILE")]
    playbook: Option<PathBuf>,
}

/// Prints it, and beside it how it is rolled out.
pub(super) fn canary_template(args: &CanaryTemplateArgs, ui: &Ui<'_>) -> Result<Exit, Failure> {
    let roles = contain::playbook(args.playbook.as_ref())?
        .verify
        .canary_roles;
    let first = args.canary_role.as_ref().or(roles.first());
    let Some(role) = first else {
        return Err(Failure::usage("the playbook names no canary role")
            .hint("Name one: `--canary-role <name>`."));
    };
    let report = TemplateReport {
        schema: "quell.canary-template/1",
        role: role.clone(),
        template: template(
            role,
            args.trust.as_ref(),
            args.with_iam_users,
            args.with_audit,
        ),
    };
    ui.result(&report, |report| format!("{}\n", report.template.pretty()));
    if let Some(anybody) = args.trust.as_ref().filter(|trust| trust.is_anybody()) {
        ui.say(&format!(
            "WARNING: {anybody} is everybody of that kind in the account: whoever is there, or is made there, can enter the role in every member account. Name the role that runs quell: `--trust arn:aws:iam::<account>:role/<name>`."
        ));
    }
    let responder = match args.trust {
        Some(_) => "",
        None => {
            " --parameters ParameterKey=ResponderPrincipal,ParameterValue=<ARN of the role that runs quell>"
        }
    };
    ui.say(&format!(
        "Roll it out from the management account (IAM is global: one Region is enough), then look with `quell prepare check --all-accounts`:\n  aws cloudformation create-stack-set --stack-set-name {role} --template-body file://canary.json --permission-model SERVICE_MANAGED --auto-deployment Enabled=true,RetainStacksOnAccountRemoval=false --capabilities CAPABILITY_NAMED_IAM{responder}\n  aws cloudformation create-stack-instances --stack-set-name {role} --deployment-targets OrganizationalUnitIds=<root id> --regions us-east-1"
    ));
    Ok(Exit::Done)
}
