//! Patterns of the policy language: `*`, `?`, the escapes `${*}` `${?}` `${$}`, and policy variables.
//!
//! A pattern is cut at its stars once, when its policy is made ready. Then the piece before the first star must begin
//! the text, the piece after the last must end it, and the others must be found between in their order, each as far
//! left as possible. No choice is ever taken back, so time grows with the text, not with the number of stars; a piece
//! with a `?` in it is looked for place by place, which costs its length at each, and patterns are bounded by the
//! size of a policy. A wildcard that came out of a variable's value is only a character.

use std::collections::BTreeMap;

/// Request keys, lower-cased, with their values.
pub type Context = BTreeMap<String, Vec<String>>;

/// What a `$` and a `*` mean where a pattern stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// `${…}` is resolved: documents of version 2012-10-17, in `Resource` and in some conditions.
    pub variables: bool,
    /// `*` and `?` are wildcards: everywhere but in the `Equals` operators.
    pub wildcards: bool,
}

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

/// One piece of a pattern as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Written {
    /// The same for every request.
    Fixed(Token),
    /// The value of this key, as text.
    Variable {
        /// Lower-cased.
        key: String,
        /// What stands for it when the request has no value.
        default: Option<String>,
    },
}

/// How tokens are matched: as one text ([`Glob`]), without case ([`Folded`]), part by part ([`Arn`]).
pub trait Matcher {
    /// Made once for a pattern.
    fn of(tokens: &[Token]) -> Self;
    /// Whether the whole text matches.
    fn matches(&self, text: &str) -> bool;
}

/// A pattern, made ready.
#[derive(Debug, Clone)]
pub struct Pattern<M>(Form<M>);

#[derive(Debug, Clone)]
enum Form<M> {
    /// The same for every request.
    Ready(M),
    /// It has variables, so it differs from request to request.
    Template(Vec<Written>),
}

/// A variable that the request has no single value for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoValue(pub String);

impl<M: Matcher> Pattern<M> {
    /// Makes a pattern ready.
    pub fn new(text: &str, rules: Rules) -> Self {
        let written = written(text, rules);
        let fixed = |piece: &Written| match piece {
            Written::Fixed(token) => Some(*token),
            Written::Variable { .. } => None,
        };
        let tokens: Option<Vec<Token>> = written.iter().map(fixed).collect();
        Self(match tokens {
            Some(tokens) => Form::Ready(M::of(&tokens)),
            None => Form::Template(written),
        })
    }

    /// Whether the whole text matches.
    ///
    /// # Errors
    /// [`NoValue`], when a variable in the pattern has none in this request.
    pub fn matches(&self, text: &str, context: &Context) -> Result<bool, NoValue> {
        match &self.0 {
            Form::Ready(ready) => Ok(ready.matches(text)),
            Form::Template(written) => Ok(M::of(&filled(written, context)?).matches(text)),
        }
    }
}

/// The pattern with every variable's value in its place.
fn filled(written: &[Written], context: &Context) -> Result<Vec<Token>, NoValue> {
    let mut tokens = Vec::with_capacity(written.len());
    for piece in written {
        match piece {
            Written::Fixed(token) => tokens.push(*token),
            Written::Variable { key, default } => {
                // A key with several values cannot be a variable.
                let value = match context.get(key).map(Vec::as_slice) {
                    Some([one]) => Some(one),
                    Some(_) | None => default.as_ref(),
                };
                let value = value.ok_or_else(|| NoValue(key.clone()))?;
                tokens.extend(value.chars().map(Token::Literal));
            }
        }
    }
    Ok(tokens)
}

fn written(text: &str, rules: Rules) -> Vec<Written> {
    let mut pieces = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '$'
            && rules.variables
            && let Some((inside, after)) = rest
                .as_str()
                .strip_prefix('{')
                .and_then(|tail| tail.split_once('}'))
        {
            pieces.push(match inside {
                "*" => Written::Fixed(Token::Literal('*')),
                "?" => Written::Fixed(Token::Literal('?')),
                "$" => Written::Fixed(Token::Literal('$')),
                variable => of_variable(variable),
            });
            rest = after.chars();
            continue;
        }
        pieces.push(Written::Fixed(match c {
            '*' if rules.wildcards => Token::AnyMany,
            '?' if rules.wildcards => Token::AnyOne,
            literal => Token::Literal(literal),
        }));
    }
    pieces
}

/// `key`, or `key, 'default'`: a comma, a space and the default in single quotes.
fn of_variable(inside: &str) -> Written {
    let with_default = inside
        .split_once(", '")
        .and_then(|(key, rest)| Some((key, rest.strip_suffix('\'')?)));
    let (key, default) = match with_default {
        Some((key, default)) => (key, Some(default.to_owned())),
        None => (inside, None),
    };
    Written::Variable {
        key: key.to_ascii_lowercase(),
        default,
    }
}

/// Matches one text as a whole, with case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    /// Between the stars: one more than there are stars, so never none.
    pieces: Vec<Piece>,
    /// Whether there is nothing but stars, as in most policies' actions and resources.
    everything: bool,
}

/// What stands between two stars.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Text alone.
    Plain(String),
    /// Text with holes (`None`) that any character fills.
    Holes(Vec<Option<char>>),
}

impl Matcher for Glob {
    fn of(tokens: &[Token]) -> Self {
        let pieces = tokens.split(|token| *token == Token::AnyMany);
        Self {
            pieces: pieces.map(Piece::of).collect(),
            everything: is_everything(tokens),
        }
    }

    fn matches(&self, text: &str) -> bool {
        if self.everything {
            return true;
        }
        let Some((first, rest)) = self.pieces.split_first() else {
            return false;
        };
        let Some(text) = first.after_start(text) else {
            return false;
        };
        let Some((last, between)) = rest.split_last() else {
            return text.is_empty();
        };
        let Some(mut text) = last.before_end(text) else {
            return false;
        };
        for piece in between {
            match piece.after_first(text) {
                Some(after) => text = after,
                None => return false,
            }
        }
        true
    }
}

impl Piece {
    fn of(tokens: &[Token]) -> Self {
        let letters: Vec<Option<char>> = tokens
            .iter()
            .map(|token| match token {
                Token::Literal(c) => Some(*c),
                // INVARIANT: the stars were cut out.
                Token::AnyOne | Token::AnyMany => None,
            })
            .collect();
        let plain: Option<String> = letters.iter().copied().collect();
        plain.map_or(Self::Holes(letters), Self::Plain)
    }

    /// The rest of a text that begins with this.
    fn after_start<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Plain(plain) => text.strip_prefix(plain.as_str()),
            Self::Holes(holes) => {
                let mut rest = text.chars();
                let fits = |hole: &Option<char>| {
                    let c = rest.next();
                    c.is_some() && hole.is_none_or(|literal| c == Some(literal))
                };
                holes.iter().all(fits).then_some(rest.as_str())
            }
        }
    }

    /// The rest of a text that ends with this.
    fn before_end<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Plain(plain) => text.strip_suffix(plain.as_str()),
            Self::Holes(holes) => {
                let mut rest = text.chars();
                let fits = |hole: &Option<char>| {
                    let c = rest.next_back();
                    c.is_some() && hole.is_none_or(|literal| c == Some(literal))
                };
                holes.iter().rev().all(fits).then_some(rest.as_str())
            }
        }
    }

    /// The rest of a text after the first place where this stands in it.
    fn after_first<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Plain(plain) => text.split_once(plain.as_str()).map(|(_, after)| after),
            Self::Holes(_) => {
                let mut rest = text.chars();
                loop {
                    if let Some(after) = self.after_start(rest.as_str()) {
                        return Some(after);
                    }
                    rest.next()?;
                }
            }
        }
    }
}

fn is_everything(tokens: &[Token]) -> bool {
    !tokens.is_empty() && tokens.iter().all(|token| *token == Token::AnyMany)
}

/// Matches one text as a whole, without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded(Glob);

impl Matcher for Folded {
    fn of(tokens: &[Token]) -> Self {
        let mut folded = Vec::with_capacity(tokens.len());
        for token in tokens {
            match token {
                Token::Literal(c) => folded.extend(c.to_lowercase().map(Token::Literal)),
                wildcard @ (Token::AnyOne | Token::AnyMany) => folded.push(*wildcard),
            }
        }
        Self(Glob::of(&folded))
    }

    fn matches(&self, text: &str) -> bool {
        self.0.matches(&folded(text))
    }
}

/// A text in lower case, letter by letter.
pub fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Matches an ARN, each of its six parts by itself: a `*` in one part does not reach over a colon. Only a lone `*`
/// matches every ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arn {
    /// `*`.
    Any,
    /// Six parts.
    Parts(Box<[Glob; 6]>),
    /// It is no ARN, and AWS does not say what it makes of it.
    None,
}

impl Matcher for Arn {
    fn of(tokens: &[Token]) -> Self {
        if is_everything(tokens) {
            return Self::Any;
        }
        let parts: Vec<Glob> = tokens
            .splitn(6, |token| *token == Token::Literal(':'))
            .map(Glob::of)
            .collect();
        parts
            .try_into()
            .map_or(Self::None, |parts| Self::Parts(Box::new(parts)))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Parts(patterns) => {
                let mut parts = text.splitn(6, ':');
                patterns
                    .iter()
                    .all(|pattern| parts.next().is_some_and(|part| pattern.matches(part)))
            }
            Self::None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIKE: Rules = Rules {
        variables: true,
        wildcards: true,
    };

    fn like<M: Matcher>(pattern: &str, text: &str) -> bool {
        Pattern::<M>::new(pattern, LIKE)
            .matches(text, &Context::new())
            .unwrap()
    }

    #[test]
    fn truth_table() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "", true),
            ("*", "anything", true),
            ("*:alice", "AROA:alice", true),
            ("*:alice", ":alice", true),
            ("*:alice", "alice", false),
            ("*:alice", "AROA:alice2", false),
            ("*:alice", "AROA:malice", false),
            ("*:alice", "AROA:Alice", false),
            ("*:alice", ":alice:alice", true),
            ("AROA:*", "AROA:alice", true),
            ("AROA:*", "AROB:alice", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "abbc", false),
            ("a?", "a", false),
            ("?a", "a", false),
            ("?", "ä", true),
            ("?", "", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            // The ends must not overlap.
            ("ab*ba", "aba", false),
            ("ab*ba", "abba", true),
            ("a*?b*c", "ab-b-c", true),
            ("a*?b*c", "ab-c", false),
            ("*?-?*", "a-", false),
            ("*?-?*", "xa-bx", true),
            ("*a?*", "a", false),
            ("*??*", "ab", true),
            ("${*}", "*", true),
            ("${*}", "x", false),
            ("${?}", "x", false),
            ("${$}{a}", "${a}", true),
            ("$", "$", true),
            ("${", "${", true),
            ("ä*", "äö", true),
        ] {
            assert_eq!(like::<Glob>(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn where_wildcards_and_variables_mean_nothing_they_are_text() {
        let text = |text: &str| {
            Pattern::<Glob>::new(
                text,
                Rules {
                    variables: false,
                    wildcards: false,
                },
            )
        };
        for same in ["*", "a?c", "${*}", "${aws:username}"] {
            assert_eq!(
                text(same).matches(same, &Context::new()),
                Ok(true),
                "{same}"
            );
        }
        for wild in ["*", "?", "a?", "a*"] {
            assert_eq!(
                text(wild).matches("ax", &Context::new()),
                Ok(false),
                "{wild}"
            );
            assert_eq!(
                text(wild).matches("x", &Context::new()),
                Ok(false),
                "{wild}"
            );
        }
    }

    #[test]
    fn a_wildcard_in_a_variables_value_is_only_a_character() {
        let context = Context::from([
            ("aws:username".to_owned(), vec!["*".to_owned()]),
            (
                "aws:tagkeys".to_owned(),
                vec!["a".to_owned(), "b".to_owned()],
            ),
        ]);
        let matches =
            |pattern: &str, text: &str| Pattern::<Glob>::new(pattern, LIKE).matches(text, &context);
        assert_eq!(matches("x${aws:UserName}", "x*"), Ok(true));
        assert_eq!(matches("x${aws:UserName}", "xyz"), Ok(false));
        assert_eq!(
            matches("${aws:missing}", ""),
            Err(NoValue("aws:missing".to_owned()))
        );
        assert_eq!(
            matches("${aws:TagKeys}", "a"),
            Err(NoValue("aws:tagkeys".to_owned()))
        );
        assert_eq!(matches("${aws:missing, 'a*'}-b", "a*-b"), Ok(true));
        assert_eq!(matches("${aws:missing, 'a*'}-b", "axx-b"), Ok(false));
        assert_eq!(matches("${aws:username, 'a'}", "*"), Ok(true));
        // Not the form that AWS documents for a default: then it is a key that no request has.
        assert!(matches("${aws:missing,a}", "a").is_err());
    }

    #[test]
    fn folding_is_of_the_pattern_and_of_the_text() {
        for (pattern, text, expected) in [
            ("S3:Get*", "s3:getobject", true),
            ("s3:get*", "S3:GETOBJECT", true),
            ("s3:get*", "s3:putobject", false),
            ("Ä?", "äx", true),
            ("ä?", "ÄX", true),
        ] {
            assert_eq!(like::<Folded>(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_star_in_an_arn_stays_in_its_part() {
        let role = "arn:aws:iam::111122223333:role/x";
        for (pattern, text, expected) in [
            ("arn:aws:iam::*:role/x", role, true),
            ("arn:*:role/x", role, false),
            (
                "arn:aws:iam::*:*",
                "arn:aws:iam::111122223333:role/a:b",
                true,
            ),
            ("*", role, true),
            ("**", role, true),
            ("*", "", true),
            ("", "", false),
            ("arn:*:*:*:*:*", role, true),
            ("arn:*:*:*:*:*", "arn:aws:iam", false),
            ("arn:aws:iam::111122223333:role/y", role, false),
        ] {
            assert_eq!(like::<Arn>(pattern, text), expected, "{pattern} {text}");
        }
    }
}
