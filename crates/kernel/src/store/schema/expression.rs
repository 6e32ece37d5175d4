//! SQL expressions brought to what they mention, for both databases' spellings.
//!
//! Postgres prints `state IN ('a')` as `(state = ANY (ARRAY['a'::text]))` and `BETWEEN` as two comparisons; here both
//! give the same words.

use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Number(String),
    Sign(String),
}

/// The sorted words of an expression: columns, literals, operators, functions.
pub(super) fn mentions(sql: &str) -> String {
    words(&tokens(sql))
}

/// The checks of a CREATE TABLE text, each as [`mentions`] gives it.
pub(super) fn checks_of(create: &str) -> BTreeSet<String> {
    let tokens = tokens(create);
    let mut checks = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        if is_word(token, "check") {
            let body = &tokens[at + 1..];
            checks.insert(words(&body[..closing(body)]));
        }
    }
    checks
}

/// The WHERE of a CREATE INDEX text.
pub(super) fn predicate_of(create: &str) -> Option<String> {
    let tokens = tokens(create);
    let at = tokens.iter().position(|token| is_word(token, "where"))?;
    Some(words(&tokens[at + 1..]))
}

/// A column's default as both databases would write it.
pub(super) fn default_of(sql: &str) -> Option<String> {
    let tokens = tokens(sql);
    match tokens.as_slice() {
        tokens if tokens.iter().any(|token| is_word(token, "nextval")) => Some("auto".into()),
        [Token::Word(word)] if word == "null" => None,
        _ => Some(words(&tokens)),
    }
}

fn is_word(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Word(word) if word == wanted)
}

fn is_sign(token: Option<&Token>, wanted: &str) -> bool {
    matches!(token, Some(Token::Sign(sign)) if sign == wanted)
}

/// How many tokens a parenthesised group at the start has.
fn closing(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        if is_sign(Some(token), "(") {
            depth += 1;
        } else if is_sign(Some(token), ")") {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
    }
    tokens.len()
}

fn words(tokens: &[Token]) -> String {
    let mut all = BTreeSet::new();
    let mut negated = false;
    for token in tokens {
        match token {
            Token::Text(text) => {
                all.insert(format!("'{text}'"));
            }
            Token::Number(number) => {
                all.insert(number.clone());
            }
            Token::Sign(sign) => {
                let sign = match sign.as_str() {
                    "(" | ")" | "[" | "]" | "," => continue,
                    "!=" => "<>",
                    "==" => "=",
                    "~~" => "like",
                    other => other,
                };
                all.insert(sign.to_owned());
            }
            Token::Word(word) => match word.as_str() {
                "and" | "any" | "all" | "array" | "collate" => {}
                "true" => {
                    all.insert("1".into());
                }
                "false" => {
                    all.insert("0".into());
                }
                "not" => {
                    negated = true;
                    continue;
                }
                "in" => {
                    all.insert(if negated { "<>" } else { "=" }.into());
                }
                "between" => all.extend([">=".to_owned(), "<=".to_owned()]),
                other => {
                    all.insert(if negated { format!("not {other}") } else { other.to_owned() });
                }
            },
        }
        negated = false;
    }
    all.into_iter().collect::<Vec<_>>().join(" ")
}

fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length;
        if first.is_whitespace() {
            length = first.len_utf8();
        } else if rest.starts_with("--") {
            length = rest.find('\n').unwrap_or(rest.len());
        } else if first == '\'' || first == '"' {
            let (text, used) = quoted(rest, first);
            length = used;
            tokens.push(if first == '"' { Token::Word(text) } else { Token::Text(text) });
        } else if let Some(kind) = rest.strip_prefix("::") {
            let (used, number) = cast(kind);
            length = used + 2;
            if number && let Some(Token::Text(text)) = tokens.last().cloned() {
                tokens.pop();
                tokens.push(Token::Number(text));
            }
        } else if first.is_ascii_digit() {
            length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
            let sign = if takes_sign(&tokens) { "-" } else { "" };
            if !sign.is_empty() {
                tokens.pop();
            }
            tokens.push(Token::Number(format!("{sign}{}", &rest[..length])));
        } else if first.is_alphabetic() || first == '_' {
            length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..length].to_lowercase()));
        } else {
            let both = rest.get(..2).filter(|sign| ["<>", "<=", ">=", "!=", "==", "~~", "||"].contains(sign));
            length = both.map_or(first.len_utf8(), str::len);
            tokens.push(Token::Sign(rest[..length].to_owned()));
        }
        rest = &rest[length..];
    }
    tokens
}

/// True when a minus stands before that belongs to the number.
fn takes_sign(tokens: &[Token]) -> bool {
    let before = tokens.len().checked_sub(2).map(|at| &tokens[at]);
    is_sign(tokens.last(), "-")
        && before.is_none_or(|token| matches!(token, Token::Sign(sign) if sign != ")"))
}

/// The text between quotes and how much of `sql` it took.
fn quoted(sql: &str, quote: char) -> (String, usize) {
    let mut text = String::new();
    let mut characters = sql.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character != quote {
            text.push(character);
        } else if characters.next_if(|(_, next)| *next == quote).is_some() {
            text.push(quote);
        } else {
            return (text, at + 1);
        }
    }
    (text, sql.len())
}

/// The length of a cast's type, and whether it makes a number.
fn cast(sql: &str) -> (usize, bool) {
    const NUMBERS: [&str; 6] = ["bigint", "integer", "smallint", "numeric", "double precision", "real"];
    let number = NUMBERS.into_iter().find(|name| sql.starts_with(name));
    let long =
        ["character varying", "timestamp with time zone"].into_iter().find(|name| sql.starts_with(name));
    let end = match number.or(long) {
        Some(name) => name.len(),
        None => sql.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(sql.len()),
    };
    let array = sql[end..].starts_with("[]");
    (end + if array { 2 } else { 0 }, number.is_some() && !array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_mention_the_same() {
        for (sqlite, postgres) in [
            ("state IN ('a', 'b')", "(state = ANY (ARRAY['a'::text, 'b'::text]))"),
            ("state NOT IN ('a','b')", "(state <> ALL (ARRAY['a'::text, 'b'::text]))"),
            ("n BETWEEN 1 AND 5", "((n >= 1) AND (n <= 5))"),
            ("n != -1", "(n <> '-1'::integer)"),
            ("a IS NOT NULL OR length(b) = 3", "((a IS NOT NULL) OR (length(b) = 3))"),
        ] {
            assert_eq!(mentions(sqlite), mentions(postgres), "{sqlite}");
        }
        assert_ne!(mentions("s IN ('a')"), mentions("s IN ('a','b')"));
        assert_ne!(mentions("n < 1"), mentions("n <= 1"));
        assert_ne!(mentions("s IN ('a')"), mentions("s NOT IN ('a')"));
    }

    #[test]
    fn checks_and_defaults_are_found() {
        let create =
            "CREATE TABLE t (a TEXT CHECK (a IN ('check', 'y')), -- CHECK (no)\n b INTEGER, CHECK (b < (2)))";
        assert_eq!(checks_of(create).len(), 2);
        assert_eq!(default_of("'x'::text"), default_of("'x'"));
        assert_eq!(default_of("false"), default_of("0"));
        assert_eq!(default_of("nextval('s'::regclass)").as_deref(), Some("auto"));
        assert_eq!(default_of("NULL"), None);
    }
}
