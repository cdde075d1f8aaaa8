//! `[[webhook.source]]`: who else may post webhooks, each with a path, a header and a secret of its own.

use http::HeaderName;
use toml::Table;

use super::problem::Problem;
use super::read::{Given, Reader, unknown_keys};
use super::secrets::{self, Charset};
use super::{WebhookSource, rules};

/// The key.
const SOURCES: &str = "webhook.source";
/// The keys of one source.
const KEYS: [&str; 5] = ["name", "path", "header", "secret", "secret_file"];
/// The longest name, in characters.
const LONGEST_NAME: usize = 64;

/// All sources that are given. One that has a mistake is left out. Each needs a path of its own, and none has `callback`, which is
/// that of the callback URL.
pub(super) fn sources(reader: &mut Reader, callback: &str) -> Vec<WebhookSource> {
    let Some(given) = reader.given(SOURCES) else { return Vec::new() };
    let tables: Option<Vec<Table>> = given.toml().and_then(|value| value.try_into().ok());
    let Some(tables) = tables else {
        // A secret may be in it.
        let rule = "must be a list of tables, each as [[webhook.source]]";
        reader.refuse(SOURCES, Problem::new(given.at, None, rule));
        return Vec::new();
    };
    // Where it is refused, this is its default, which nobody has given.
    let callback = reader.all_good(&["webhook.path"]).then(|| callback.to_owned());
    let mut taken = Taken { callback, ..Taken::default() };
    let one = |(index, table): (usize, &Table)| {
        source(reader, &format!("{}[{index}]", given.at), table, &mut taken)
    };
    tables.iter().enumerate().filter_map(one).collect()
}

/// What the sources before one have, whatever else is wrong with them.
#[derive(Default)]
struct Taken {
    callback: Option<String>,
    names: Vec<String>,
    paths: Vec<String>,
}

fn source(reader: &mut Reader, at: &str, table: &Table, taken: &mut Taken) -> Option<WebhookSource> {
    for problem in unknown_keys(at, table, &KEYS) {
        reader.refuse(SOURCES, problem);
    }
    let name = needed(reader, at, table, "name", |given| {
        let name = name(given)?;
        if taken.names.contains(&name) {
            return Err("is another source's".to_owned());
        }
        taken.names.push(name.clone());
        Ok(name)
    });
    let path = needed(reader, at, table, "path", |given| {
        let path = rules::url_path(given)?;
        if taken.callback.as_ref() == Some(&path) {
            return Err("is webhook.path: each needs a path of its own".to_owned());
        }
        if taken.paths.contains(&path) {
            return Err("is another source's: each needs a path of its own".to_owned());
        }
        taken.paths.push(path.clone());
        Ok(path)
    });
    let header = needed(reader, at, table, "header", header);
    let secret = secret(at, table).map_err(|problem| reader.refuse(SOURCES, problem)).ok();
    Some(WebhookSource { name: name?, path: path?, header: header?, secret: secret? })
}

/// A value that each source needs.
fn needed<T>(
    reader: &mut Reader,
    at: &str,
    table: &Table,
    key: &str,
    convert: impl FnOnce(&Given) -> Result<T, String>,
) -> Option<T> {
    let at = format!("{at}.{key}");
    match table.get(key) {
        Some(value) => reader.converted(SOURCES, &Given::in_list(at, value.clone()), convert),
        None => {
            reader.refuse(SOURCES, Problem::new(at, None, "is missing"));
            None
        }
    }
}

fn secret(at: &str, table: &Table) -> Result<super::Secret, Problem> {
    let refuse = |key: &str, rule: String| Problem::new(format!("{at}.{key}"), None, rule);
    let text = |key: &str| match table.get(key).map(|value| value.as_str()) {
        Some(None) => Err(refuse(key, "must be a string in quotes".to_owned())),
        Some(Some(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        None => Ok(None),
    };
    match (text("secret")?, text("secret_file")?) {
        (Some(secret), None) => Charset::Line.check(secret).map_err(|rule| refuse("secret", rule)),
        (None, Some(file)) => {
            secrets::in_file(file, Charset::Line).map_err(|rule| refuse("secret_file", rule))
        }
        (None, None) => Err(refuse("secret", "is missing: anyone could post".to_owned())),
        (Some(_), Some(_)) => {
            Err(refuse("secret", format!("is given as {at}.secret_file too: use one of them")))
        }
    }
}

fn name(given: &Given) -> Result<String, String> {
    let text = given.text()?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(good) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be 1 to {LONGEST_NAME} letters, digits and -_."))
    }
}

fn header(given: &Given) -> Result<HeaderName, String> {
    given.text()?.parse().map_err(|_| "must be the name of a header, as in \"X-Signature\"".to_owned())
}
