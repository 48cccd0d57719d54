//! The responders' AWS CLI profiles.

use std::collections::BTreeSet;
use std::path::PathBuf;

use quell::cli::exit::Exit;

use crate::practice::Practice;

const THEIRS: &str =
    "[default]\nregion=eu-west-1\n# mine\n[profile mine]\naws_access_key_id=AKIAEXAMPLE\n";

fn file(practice: &Practice) -> PathBuf {
    std::fs::create_dir_all(&practice.state_dir).unwrap();
    practice.state_dir.join("config")
}

#[tokio::test]
async fn responders_get_a_profile_for_each_account_and_permission_set_beside_their_own() {
    let practice = Practice::new();
    let file = file(&practice);
    std::fs::write(&file, THEIRS).unwrap();
    let line = format!(
        "prepare profiles --region eu-west-1 --file {}",
        file.display()
    );
    let report = practice
        .quell(&format!("{line} --output json"))
        .await
        .expect(Exit::Done)
        .json();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(THEIRS));
    let written = report["profiles"].as_array().unwrap();
    let provisioned: BTreeSet<_> = practice.range.with(|state| {
        let assigned = state.directory.assignments.iter();
        assigned
            .map(|one| (one.account.clone(), one.set.clone()))
            .collect()
    });
    assert_eq!(written.len(), provisioned.len());
    for profile in written {
        let name = profile["name"].as_str().unwrap();
        assert!(text.contains(&format!("[profile {name}]\nsso_session = quell\n")));
    }
    assert!(text.contains("sso_start_url = https://d-"));
    for secret in ["secret", "token", "password"] {
        assert!(!text.contains(secret), "{text}");
    }
    // Again, and nothing changes; narrowed, and what is ours goes; but not by a slip of the keyboard.
    practice
        .quell(&line)
        .await
        .expect(Exit::Done)
        .says("already");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    practice
        .quell(&format!("{line} --permission-set NobodyHasThis"))
        .await
        .expect(Exit::Refused)
        .says("no profile would be left");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    practice
        .quell(&format!("{line} --permission-set ReadOnlyAccess"))
        .await
        .expect(Exit::Done);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with(THEIRS)
            && text.contains("sso_role_name = ReadOnlyAccess")
            && !text.contains("sso_role_name = PowerUserAccess"),
        "{text}"
    );
    assert_eq!(practice.mutations(), Vec::<String>::new());
}

#[tokio::test]
async fn printing_writes_nothing_and_a_torn_file_is_left_alone() {
    let practice = Practice::new();
    let file = file(&practice);
    let line = format!(
        "prepare profiles --region eu-west-1 --file {}",
        file.display()
    );
    practice
        .quell(&format!("{line} --print"))
        .await
        .expect(Exit::Done)
        .says("[sso-session quell]");
    assert!(!file.exists());
    practice.quell(&line).await.expect(Exit::Done);
    let whole = std::fs::read_to_string(&file).unwrap();
    let torn = whole.replace("# quell: end", "");
    std::fs::write(&file, &torn).unwrap();
    practice.quell(&line).await.expect(Exit::Refused);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), torn);
    std::fs::write(&file, "[sso-session quell]\n").unwrap();
    practice
        .quell(&line)
        .await
        .expect(Exit::Refused)
        .says("--sso-session");
    practice
        .quell(&format!("{line} --sso-session responders"))
        .await
        .expect(Exit::Done);
    practice
        .quell(&format!("{line} --start-url http://example.com"))
        .await
        .expect(Exit::Usage);
}
