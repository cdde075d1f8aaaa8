//! The keys whose values are secrets: given in place, by a file, or (probe tokens) by a variable. No mistake shows one.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;

use crate::graph::ids::PhoneNumberId;

use super::Secret;
use super::problem::Problem;
use super::read::{Given, Reader, shown_key, variable};
use super::rules;

/// The table of probe tokens.
pub(super) const TOKENS: &str = "probe.tokens";

/// What a secret may consist of.
#[derive(Clone, Copy)]
pub(super) enum Charset {
    /// It travels in an `Authorization` header.
    Header,
    /// Any text in one line.
    Line,
}

impl Charset {
    pub(super) fn check(self, text: &str) -> Result<Secret, String> {
        let (good, rule) = match self {
            Self::Header => {
                (text.bytes().all(|b| b.is_ascii_graphic()), "must be visible ASCII without spaces")
            }
            Self::Line => (
                !text.contains(char::is_control) && text.trim() == text,
                "must be one line without spaces around it",
            ),
        };
        if text.is_empty() {
            Err("must not be empty".to_owned())
        } else if good {
            Ok(Secret::new(text))
        } else {
            Err(rule.to_owned())
        }
    }
}

/// One secret, from `path` or the file named by `file_path`; `None` if neither is given, or both are empty.
pub(super) fn one(
    reader: &mut Reader,
    path: &'static str,
    file_path: &'static str,
    charset: Charset,
) -> Option<Secret> {
    let (at, result) = match source(reader, path, file_path, |given| Ok(given.text()?.is_empty()))? {
        Source::Here(given) => {
            let result = given.text().and_then(|text| charset.check(text));
            (given.at, result)
        }
        Source::File(at, file) => (at, in_file(&file, charset)),
    };
    result.map_err(|rule| reader.refuse(path, Problem::new(at, None, rule))).ok()
}

/// The secret that a file holds.
pub(super) fn in_file(file: &str, charset: Charset) -> Result<Secret, String> {
    charset.check(read_text(file)?.trim_end_matches(['\r', '\n']))
}

/// A list of secrets, from `path` or from the lines of the file named by `file_path`.
pub(super) fn several(reader: &mut Reader, path: &'static str, file_path: &'static str) -> Vec<Secret> {
    let is_empty = |given: &Given| list(given).map(|list| list.is_empty());
    let (at, texts) = match source(reader, path, file_path, is_empty) {
        None => return Vec::new(),
        Some(Source::Here(given)) => {
            let texts = list(&given);
            (given.at, texts)
        }
        Some(Source::File(at, file)) => {
            let lines = read_text(&file).and_then(|text| {
                let lines: Vec<_> =
                    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect();
                if lines.is_empty() { Err("must not be empty".to_owned()) } else { Ok(lines) }
            });
            (at, lines)
        }
    };
    let secrets = texts.and_then(|texts| texts.iter().map(|text| Charset::Line.check(text)).collect());
    secrets.map_err(|rule| reader.refuse(path, Problem::new(at, None, rule))).unwrap_or_default()
}

/// The probe tokens by id: `"…"`, `{ env = "…" }` or `{ file = "…" }` each; variables lie over the file.
pub(super) fn tokens(reader: &mut Reader) -> BTreeMap<String, Secret> {
    reader.lay_table_over(TOKENS);
    let mut entries = BTreeMap::new();
    match reader.given(TOKENS).filter(|given| !given.from_env).and_then(|given| given.toml()) {
        Some(Value::Table(table)) => {
            entries.extend(table.into_iter().map(|(id, value)| {
                let at = format!("{TOKENS}.{}", if is_id(&id) { format!("\"{id}\"") } else { masked(&id) });
                (id, (at, value))
            }));
        }
        Some(_) => reader.refuse(TOKENS, Problem::new(TOKENS, None, "must be a table of ids and tokens")),
        None => {}
    }
    for (id, text) in reader.variables_inside(TOKENS) {
        let at = format!("{}__{}", variable(TOKENS), if is_id(&id) { id.clone() } else { masked(&id) });
        let value = text.parse().ok().filter(Value::is_table).unwrap_or(Value::String(text));
        entries.insert(id, (at, value));
    }
    let mut tokens = BTreeMap::new();
    for (id, (at, value)) in entries {
        let token = if is_id(&id) {
            token(reader, &value)
        } else {
            Err("the key must be a phone's or WABA's id, 1 to 20 digits".to_owned())
        };
        match token {
            Ok(token) => drop(tokens.insert(id, token)),
            Err(rule) => reader.refuse(TOKENS, Problem::new(at, None, rule)),
        }
    }
    tokens
}

fn token(reader: &Reader, value: &Value) -> Result<Secret, String> {
    let form = || "must be \"…\", { env = \"…\" } or { file = \"…\" }".to_owned();
    if let Some(text) = value.as_str() {
        return Charset::Header.check(text);
    }
    let mut entries = value.as_table().ok_or_else(form)?.iter();
    let (Some((key, name)), None) = (entries.next(), entries.next()) else { return Err(form()) };
    let name = name.as_str().ok_or_else(form)?;
    match key.as_str() {
        "env" => {
            let text = reader
                .environment(name)
                .ok_or_else(|| format!("the variable {} is not set", shown_key(name)))?;
            Charset::Header.check(text).map_err(|rule| format!("the variable {} {rule}", shown_key(name)))
        }
        "file" => {
            let file = shown_key(name);
            in_file(name, Charset::Header).map_err(|rule| format!("the file {file} {rule}"))
        }
        _ => Err(form()),
    }
}

fn is_id(text: &str) -> bool {
    PhoneNumberId::parse(text).is_ok()
}

/// A key that is no id: short enough to be a slip, or it may be a token in the wrong place.
fn masked(key: &str) -> String {
    if key.len() > 24 { "\"***\"".to_owned() } else { shown_key(key) }
}

/// Where a secret is.
enum Source {
    Here(Given),
    /// Where the file's name was given, and the name.
    File(String, String),
}

/// The one of the two ways that was used. A variable outranks the file's other way; two ways at the same level are a mistake.
fn source(
    reader: &mut Reader,
    path: &'static str,
    file_path: &'static str,
    is_empty: impl Fn(&Given) -> Result<bool, String>,
) -> Option<Source> {
    // What is malformed is not empty: it is refused where it is read.
    let here = reader.given(path).filter(|given| !is_empty(given).unwrap_or(false));
    let file = reader.given(file_path).filter(|given| given.text() != Ok(""));
    let file = match file.map(|given| (given.text().map(str::to_owned), given)) {
        Some((Ok(name), given)) => Some((name, given)),
        Some((Err(rule), given)) => {
            reader.refuse(path, Problem::new(given.at, None, rule));
            return None;
        }
        None => None,
    };
    match (here, file) {
        (Some(here), Some((_, file))) if here.from_env == file.from_env => {
            let rule = format!("is given as {} too: use one of them", file.at);
            reader.refuse(path, Problem::new(here.at, None, rule));
            None
        }
        (Some(here), Some((_, file))) if !file.from_env => Some(Source::Here(here)),
        (_, Some((name, file))) => Some(Source::File(file.at, name)),
        (Some(here), None) => Some(Source::Here(here)),
        (None, None) => None,
    }
}

fn list(given: &Given) -> Result<Vec<String>, String> {
    given
        .toml()
        .as_ref()
        .and_then(Value::as_array)
        .and_then(|list| list.iter().map(|item| item.as_str().map(str::to_owned)).collect())
        .ok_or_else(|| "must be a list of strings, as in [\"…\"]".to_owned())
}

fn read_text(file: impl AsRef<Path>) -> Result<String, String> {
    String::from_utf8(rules::read_file(file.as_ref())?).map_err(|_| "must be UTF-8".to_owned())
}
