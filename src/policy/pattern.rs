//! Patterns of the policy language: `*`, `?`, the escapes `${*}` `${?}` `${$}`, and policy variables.
//!
//! A pattern is turned into tokens first, so that a wildcard that came out of a variable's value can never act as
//! one. Matching is the two-pointer walk: time grows with pattern length times text length at worst, never worse, so
//! a hostile pattern cannot stall a decision.

use std::collections::BTreeMap;

/// One piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// This character.
    Literal(char),
    /// Any one character.
    AnyOne,
    /// Any run of characters, also none.
    AnyMany,
}

/// Request keys, lower-cased, with their values.
pub type Context = BTreeMap<String, Vec<String>>;

/// A pattern with its variables filled in, or the reason why that could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// Ready to match.
    Tokens(Vec<Token>),
    /// A variable without a value: the comparison does not match, as AWS documents for missing keys.
    NoValue,
}

/// Tokens of a pattern. With `variables`, `${…}` is resolved (documents of version 2012-10-17); without, it is text.
/// With `wildcards`, `*` and `?` are (`StringLike` and its kin); without, they are text.
pub fn resolve(pattern: &str, context: &Context, variables: bool, wildcards: bool) -> Resolved {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if variables
            && let Some((inside, after)) = rest
                .strip_prefix("${")
                .and_then(|tail| tail.split_once('}'))
        {
            match value_of(inside, context) {
                Some(value) => tokens.extend(value.chars().map(Token::Literal)),
                None => return Resolved::NoValue,
            }
            rest = after;
            continue;
        }
        tokens.push(match c {
            '*' if wildcards => Token::AnyMany,
            '?' if wildcards => Token::AnyOne,
            literal => Token::Literal(literal),
        });
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    Resolved::Tokens(tokens)
}

/// The value of `${inside}`: an escape, a single-valued key, or the default in `${key, 'default'}`.
fn value_of<'a>(inside: &'a str, context: &'a Context) -> Option<&'a str> {
    if matches!(inside, "*" | "?" | "$") {
        return Some(inside);
    }
    let (key, default) = match inside.split_once(',') {
        Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\''))),
        None => (inside.trim(), None),
    };
    match context.get(&key.to_ascii_lowercase()).map(Vec::as_slice) {
        Some([one]) => Some(one),
        Some(_) | None => default,
    }
}

/// Whether the whole text matches. `fold` compares without case.
pub fn matches(tokens: &[Token], text: &str, fold: bool) -> bool {
    let text: Vec<char> = text.chars().collect();
    let same = |a: char, b: char| a == b || (fold && a.to_lowercase().eq(b.to_lowercase()));
    let (mut t, mut p) = (0, 0);
    // Where to come back to: the last AnyMany seen, and how much of the text it has swallowed.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(&c) = text.get(t) {
        match tokens.get(p) {
            Some(Token::AnyMany) => {
                retry = Some((p, t));
                p += 1;
            }
            Some(Token::AnyOne) => {
                t += 1;
                p += 1;
            }
            Some(Token::Literal(l)) if same(*l, c) => {
                t += 1;
                p += 1;
            }
            Some(Token::Literal(_)) | None => match retry {
                Some((star, swallowed)) => {
                    retry = Some((star, swallowed + 1));
                    p = star + 1;
                    t = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    tokens
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|token| *token == Token::AnyMany)
}

/// Whether an ARN matches, each of the six parts by itself: a `*` in one part does not reach over a colon.
pub fn arn_matches(tokens: &[Token], arn: &str) -> bool {
    let parts: Vec<&[Token]> = tokens
        .splitn(6, |token| *token == Token::Literal(':'))
        .collect();
    let texts: Vec<&str> = arn.splitn(6, ':').collect();
    if let ([Token::AnyMany], true) = (tokens, !arn.is_empty()) {
        return true;
    }
    parts.len() == 6
        && texts.len() == 6
        && parts
            .iter()
            .zip(&texts)
            .all(|(part, text)| matches(part, text, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(pattern: &str, text: &str) -> bool {
        match resolve(pattern, &Context::new(), true, true) {
            Resolved::Tokens(tokens) => matches(&tokens, text, false),
            Resolved::NoValue => false,
        }
    }

    #[test]
    fn truth_table() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("*:alice", "AROA:alice", true),
            ("*:alice", "AROA:alice2", false),
            ("*:alice", "AROA:malice", false),
            ("*:alice", "AROA:Alice", false),
            ("*:alice", ":alice:alice", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("${*}", "*", true),
            ("${*}", "x", false),
            ("${?}", "x", false),
            ("${$}{a}", "${a}", true),
            ("$", "$", true),
            ("${", "${", true),
            ("ä*", "äö", true),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_wildcard_in_a_variables_value_is_only_a_character() {
        let context = Context::from([("aws:username".to_owned(), vec!["*".to_owned()])]);
        let Resolved::Tokens(tokens) = resolve("x${aws:UserName}", &context, true, true) else {
            panic!("it has a value")
        };
        assert!(matches(&tokens, "x*", false));
        assert!(!matches(&tokens, "xyz", false));
        assert_eq!(
            resolve("${aws:missing}", &context, true, true),
            Resolved::NoValue
        );
    }

    #[test]
    fn a_star_in_an_arn_stays_in_its_part() {
        let arn = |pattern: &str, text: &str| match resolve(pattern, &Context::new(), true, true) {
            Resolved::Tokens(tokens) => arn_matches(&tokens, text),
            Resolved::NoValue => false,
        };
        assert!(arn(
            "arn:aws:iam::*:role/x",
            "arn:aws:iam::111122223333:role/x"
        ));
        assert!(!arn("arn:*:role/x", "arn:aws:iam::111122223333:role/x"));
        assert!(arn(
            "arn:aws:iam::*:*",
            "arn:aws:iam::111122223333:role/a:b"
        ));
        assert!(arn("*", "arn:aws:iam::111122223333:role/x"));
    }
}
