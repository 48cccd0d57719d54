//! What a form says about one principal, in CloudTrail's words, and the one step from there to a suspect.

use super::{Accused, Nobody, Sure, Suspect, Unresolved, Whom};
use crate::ids::*;

/// What one block of a signal says about its principal. Texts are empty where it says nothing.
#[derive(Debug, Default)]
pub(super) struct Claim<'a> {
    /// `AssumedRole`, `IAMUser`, …
    pub(super) kind: &'a str,
    /// `AROA…:<session>`, `AIDA…`, the account of a root user, `<account>:<name>` of a federated one.
    pub(super) principal_id: &'a str,
    /// The name of the user or, for a session, of its role.
    pub(super) name: &'a str,
    /// The access key.
    pub(super) key: &'a str,
    /// The account, where there is a proper one.
    pub(super) account: Option<AccountId>,
    /// Where the principal id, the name and the key are.
    pub(super) paths: [String; 3],
}

/// Kinds of principals, as the forms call them.
enum Kind {
    Session,
    IamUser,
    Root,
    Federated,
    SigningIn,
    Service,
    WholeAccount,
    Anonymous,
    /// Nothing is said, or something that no form says: the id tells.
    Unsaid,
}

/// What `CreateSampleFindings` writes in place of a principal.
const GENERATED: &str = "GeneratedFinding";

impl Claim<'_> {
    /// Whether the principal is one that GuardDuty makes up.
    pub(super) fn is_generated(&self) -> bool {
        [self.kind, self.principal_id, self.name, self.key]
            .iter()
            .any(|text| text.starts_with(GENERATED))
    }

    /// Whom it accuses.
    pub(super) fn accused(self) -> Result<Accused, Nobody> {
        let anonymous = |text: &str| {
            text.eq_ignore_ascii_case("anonymous")
                || text.eq_ignore_ascii_case("ANONYMOUS_PRINCIPAL")
        };
        if self.principal_id.is_empty() && anonymous(self.name) || anonymous(self.principal_id) {
            return Err(Nobody::Anonymous);
        }
        match self.kind() {
            Kind::Session => self.session(),
            Kind::IamUser => self.iam_user(),
            Kind::Root => self.root(),
            Kind::Federated => self.federated(),
            Kind::SigningIn => Err(Nobody::SigningIn),
            Kind::Service => Err(Nobody::Service),
            Kind::WholeAccount => Err(Nobody::WholeAccount),
            Kind::Anonymous => Err(Nobody::Anonymous),
            Kind::Unsaid => self.unsaid(),
        }
    }

    fn kind(&self) -> Kind {
        let kind: String = self
            .kind
            .chars()
            .take(40)
            .filter(|c| !"_ ".contains(*c))
            .collect();
        match kind.to_ascii_lowercase().as_str() {
            "assumedrole" | "role" => Kind::Session,
            "iamuser" => Kind::IamUser,
            "root" => Kind::Root,
            "federateduser" => Kind::Federated,
            "samluser" | "webidentityuser" => Kind::SigningIn,
            "awsservice" => Kind::Service,
            "awsaccount" => Kind::WholeAccount,
            "anonymous" => Kind::Anonymous,
            _ => Kind::Unsaid,
        }
    }

    /// By the shape of the id, then of what else there is.
    fn unsaid(self) -> Result<Accused, Nobody> {
        let id = self.principal_id;
        if id.starts_with("AROA") {
            self.session()
        } else if id.starts_with("AIDA") {
            self.iam_user()
        } else if id.contains(':') {
            self.federated()
        } else if !id.is_empty() {
            Err(self.not_real(0, "it is no principal id that AWS gives"))
        } else if AccessKeyId::parse(self.key).is_ok() {
            self.by_key()
        } else {
            // Of a name alone it does not show whether it is a user's or a role's.
            Err(Nobody::Unnamed)
        }
    }

    fn session(self) -> Result<Accused, Nobody> {
        if self.principal_id.is_empty() && AccessKeyId::parse(self.key).is_ok() {
            // The key names the session; the role's name alone would name everybody who uses it.
            return self.by_key();
        }
        let role = match self.name {
            "" => String::new(),
            name => RoleName::parse(name)
                .map_err(|error| self.not_real(1, error))?
                .into(),
        };
        if self.principal_id.is_empty() && !role.is_empty() {
            let account = self.account.clone();
            let whole = Suspect::Role {
                account,
                role,
                role_id: None,
            };
            return Ok(self.named(1, whole, Sure::Name));
        }
        let (role_id, session) = match self.principal_id.split_once(':') {
            Some((role_id, session)) => (role_id, Some(session)),
            None => (self.principal_id, None),
        };
        let role_id = RoleId::parse(role_id).map_err(|error| self.not_real(0, error))?;
        let account = self.account.clone();
        let Some(session) = session else {
            // Whoever signed has a name; the role is everybody's who uses it.
            if AccessKeyId::parse(self.key).is_ok() {
                return self.by_key();
            }
            let role_id = Some(role_id);
            let whole = Suspect::Role {
                account,
                role,
                role_id,
            };
            return Ok(self.named(0, whole, Sure::Id));
        };
        let session = SessionName::parse(session).map_err(|error| self.not_real(0, error))?;
        let suspect = if role.starts_with(RESERVED) {
            Suspect::PermissionSetSession {
                session,
                role_id,
                role,
                account,
            }
        } else {
            Suspect::RoleSession {
                session,
                role_id,
                role,
                account,
            }
        };
        Ok(self.named(0, suspect, Sure::Id))
    }

    fn iam_user(self) -> Result<Accused, Nobody> {
        let principal_id = match self.principal_id {
            "" => None,
            id => Some(IamUserId::parse(id).map_err(|error| self.not_real(0, error))?),
        };
        if self.name.is_empty() && AccessKeyId::parse(self.key).is_ok() {
            return self.by_key();
        }
        let name = IamUserName::parse(self.name).map_err(|error| self.not_real(1, error))?;
        let account = self.account.clone();
        let (field, sure) = match principal_id {
            Some(_) => (0, Sure::Id),
            None => (1, Sure::Name),
        };
        let suspect = Suspect::IamUser {
            principal_id,
            name,
            account,
        };
        Ok(self.named(field, suspect, sure))
    }

    fn root(self) -> Result<Accused, Nobody> {
        let account = AccountId::parse(self.principal_id).ok();
        let account = account.or_else(|| self.account.clone());
        Ok(self.named(0, Suspect::Root { account }, Sure::Id))
    }

    fn federated(self) -> Result<Accused, Nobody> {
        if self.principal_id.is_empty() && AccessKeyId::parse(self.key).is_ok() {
            return self.by_key();
        }
        let id = SessionUserId::parse(self.principal_id)
            .ok()
            .filter(|id| !id.as_str().starts_with("AROA"))
            .ok_or_else(|| self.not_real(0, "a federated user's id is <account>:<name>"))?;
        let principal_id = id.into();
        Ok(self.named(0, Suspect::FederatedUser { principal_id }, Sure::Id))
    }

    fn by_key(self) -> Result<Accused, Nobody> {
        let key = AccessKeyId::parse(self.key).map_err(|error| self.not_real(2, error))?;
        let account = self.account.clone();
        Ok(Accused {
            whom: Whom::Unresolved(Unresolved::AccessKey { key, account }),
            from: self.path_of(2),
            sure: Sure::Id,
        })
    }

    fn named(&self, field: usize, suspect: Suspect, sure: Sure) -> Accused {
        Accused {
            whom: Whom::Suspect(suspect),
            from: self.path_of(field),
            sure,
        }
    }

    fn path_of(&self, field: usize) -> String {
        self.paths.get(field).cloned().unwrap_or_default()
    }

    fn not_real(&self, field: usize, why: impl ToString) -> Nobody {
        Nobody::NotReal {
            path: self.path_of(field),
            why: why.to_string(),
        }
    }
}

/// How the name of a permission set's role begins, which nobody but Identity Center can give.
pub(super) const RESERVED: &str = "AWSReservedSSO_";

/// Everybody whom some claims accuse, each once.
#[derive(Debug, Default)]
pub(super) struct Accusations {
    found: Vec<Accused>,
    nobody: Option<Nobody>,
    /// The keys of those who were found.
    keys: Vec<String>,
    /// Whether any of them was made up.
    pub(super) generated: bool,
}

impl Accusations {
    /// Adds what a claim comes to.
    pub(super) fn add(&mut self, claim: Claim<'_>) {
        self.generated |= claim.is_generated();
        let key = claim.key.to_owned();
        match claim.accused() {
            // Whose key it is was said before.
            Ok(Accused {
                whom: Whom::Unresolved(_),
                ..
            }) if self.keys.contains(&key) => {}
            Ok(accused) if self.found.iter().any(|known| known.whom == accused.whom) => {}
            Ok(accused) => {
                self.found.push(accused);
                self.keys.push(key);
            }
            // The first that says something says it best.
            Err(Nobody::Unnamed) => {}
            Err(nobody) => drop(self.nobody.get_or_insert(nobody)),
        }
    }

    pub(super) fn add_accused(&mut self, accused: Accused) {
        self.found.push(accused);
    }

    /// Whether nothing was claimed.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.nobody.is_none()
    }

    /// What it all comes to, or this if nobody was named.
    pub(super) fn or(self, otherwise: Nobody) -> super::Who {
        if self.found.is_empty() {
            super::Who::Nobody(self.nobody.unwrap_or(otherwise))
        } else {
            super::Who::Suspects(self.found)
        }
    }
}
