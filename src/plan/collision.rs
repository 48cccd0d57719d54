//! Who else the deny would refuse by name.
//!
//! Arrives: the facts and the session names that the deny is about. Leaves: [`Collision`]s: other users of the
//! directory whose sessions AWS might name alike, and names that are an instance's. A deny by user id or by a whole
//! `aws:userid` names one identity and collides with nobody. AWS documents no rule for how a username outside the
//! session alphabet is spelled (aws-facts §3), so every spelling that drops a foreign character, replaces it by one
//! other, or cuts at 64 is thought possible.

use std::fmt;

use crate::facts::User;
use crate::ids::*;
use crate::policy::pattern::{Glob, Matcher, Token};

/// The longest session name.
const LONGEST: usize = 64;

/// Somebody else whom the deny might refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// The session name that both have.
    pub name: SessionName,
    /// Who else.
    pub with: With,
}

/// Who else has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// Another user, whose sessions may be named so.
    User(User),
    /// EC2 names the sessions of an instance's role after the instance.
    Instance,
}

impl fmt::Display for Collision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.with {
            With::User(user) => write!(
                f,
                "Name collision: the sessions of user `{}` ({}) may be named {} too, and would be refused.",
                user.username, user.id, self.name
            ),
            With::Instance => write!(
                f,
                "Name collision: {} is how EC2 names the sessions of an instance, which would be refused too.",
                self.name
            ),
        }
    }
}

/// Everybody else among these users, and every instance, that these session names could hit.
pub fn collisions<'a>(
    names: impl IntoIterator<Item = &'a SessionName>,
    own: Option<&UserId>,
    users: &[User],
) -> Vec<Collision> {
    let mut found = Vec::new();
    for name in names {
        let others = users
            .iter()
            .filter(|user| Some(&user.id) != own && may_be_spelled(&user.username, name));
        found.extend(others.map(|user| Collision {
            name: name.clone(),
            with: With::User(user.clone()),
        }));
        if name.is_of_instance() {
            found.push(Collision {
                name: name.clone(),
                with: With::Instance,
            });
        }
    }
    found
}

/// Whether AWS might name this user's sessions so.
pub fn may_be_spelled(username: &Username, name: &SessionName) -> bool {
    // One character is one that no session name has, exactly when it makes a long enough text none.
    let foreign = |c: char| SessionName::parse(format!("aa{c}")).is_err();
    let spelled = |of_foreign: Option<Token>| {
        let tokens: Vec<Token> = username
            .as_str()
            .chars()
            .filter_map(|c| {
                if foreign(c) {
                    of_foreign
                } else {
                    Some(Token::Literal(c))
                }
            })
            .take(LONGEST)
            .collect();
        Glob::of(&tokens).matches(name.as_str())
    };
    spelled(Some(Token::AnyOne)) || spelled(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u8, username: &str) -> User {
        User {
            id: UserId::parse(format!("94482488-3041-7026-18f3-be45837cd0{number:02x}")).unwrap(),
            username: Username::new(username),
            status: None,
            external: false,
            email: None,
        }
    }

    #[test]
    fn other_users_whose_sessions_may_be_named_alike_are_found() {
        let long = "x".repeat(64);
        for (suspect, other, collides) in [
            ("alice.smith", "alice smith", true),
            ("alicesmith", "alice smith", true),
            ("alice-smith", "alice/smith", true),
            ("alice", "Alice", false),
            ("alice", "bob", false),
            ("alice", "alice2", false),
            ("al", "李小", true),
            ("alice", "李小", false),
            (&long, &format!("{long}y"), true),
            (&long, &"x".repeat(63), false),
        ] {
            let name = SessionName::parse(suspect).unwrap();
            let found = collisions(
                [&name],
                Some(&user(1, "").id),
                &[user(1, suspect), user(2, other)],
            );
            let expected = collides.then(|| Collision {
                name,
                with: With::User(user(2, other)),
            });
            assert_eq!(found, Vec::from_iter(expected), "{suspect} {other}");
        }
    }

    #[test]
    fn a_name_like_an_instances_is_one() {
        for (name, is) in [
            ("i-0123456789abcdef0", true),
            ("i-12345678", true),
            ("i-123456789", false),
            ("i-alice123", false),
        ] {
            let name = SessionName::parse(name).unwrap();
            assert_eq!(
                collisions([&name], None, &[]).len(),
                usize::from(is),
                "{name}"
            );
        }
    }
}
