//! Takes values out of the environment and the file, by key, and remembers what was wrong and what was never asked for.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::problem::{Problem, Problems, did_you_mean, shorten};

/// How the variables that set a key begin. `SENDFUSE_` with one underscore is the command line's.
const PREFIX: &str = "SENDFUSE__";

/// The two layers over the defaults, and what was found out about them.
pub(super) struct Reader {
    file: Table,
    env: BTreeMap<String, String>,
    /// Every key that was asked for: by the end, every key that there is.
    known: BTreeSet<&'static str>,
    /// The keys that have a mistake: what depends on them is not judged.
    bad: BTreeSet<&'static str>,
    problems: Vec<Problem>,
}

/// A value that somebody gave.
pub(super) struct Given {
    /// Where: its key's path or its variable's name.
    pub(super) at: String,
    value: Value,
    /// From a variable: the text stands for whatever the key wants.
    pub(super) from_env: bool,
}

/// The name of the variable that sets `path`.
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.to_uppercase().replace('.', "__"))
}

impl Given {
    /// A value in a list's element. What a list in a variable holds is TOML, too.
    pub(super) const fn in_list(at: String, value: Value) -> Self {
        Self { at, value, from_env: false }
    }

    /// A string.
    pub(super) fn text(&self) -> Result<&str, String> {
        self.value.as_str().ok_or_else(|| "must be a string in quotes".to_owned())
    }

    /// The text of a variable, `None` for a value from the file.
    fn variable_text(&self) -> Option<&str> {
        if self.from_env { self.value.as_str() } else { None }
    }

    /// A whole number.
    pub(super) fn integer(&self) -> Option<i64> {
        match self.variable_text() {
            Some(text) => text.parse().ok(),
            None => self.value.as_integer(),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.variable_text() {
            Some(text) => text.parse().ok(),
            None => self.value.as_bool(),
        }
    }

    /// The value itself; what a variable holds is read as TOML. `None` if it is not TOML.
    pub(super) fn toml(&self) -> Option<Value> {
        match self.variable_text() {
            Some(text) => text.parse().ok(),
            None => Some(self.value.clone()),
        }
    }

    /// The value as it was written; `None` if it may hold a password or a query.
    pub(super) fn shown(&self) -> Option<String> {
        let shown = self.value.as_str().map_or_else(|| self.value.to_string(), |text| format!("{text:?}"));
        (!shown.contains(['@', '?'])).then_some(shown)
    }
}

impl Reader {
    pub(super) fn new(file: Table, env: BTreeMap<String, String>) -> Self {
        Self { file, env, known: BTreeSet::new(), bad: BTreeSet::new(), problems: Vec::new() }
    }

    /// What was given for `path`: the environment's word before the file's.
    pub(super) fn given(&mut self, path: &'static str) -> Option<Given> {
        self.known.insert(path);
        let at = variable(path);
        if let Some(text) = self.env.get(&at) {
            return Some(Given { at, value: Value::String(text.clone()), from_env: true });
        }
        let mut names = path.split('.');
        let mut value = self.file.get(names.next()?)?;
        for name in names {
            value = value.as_table()?.get(name)?;
        }
        Some(Given { at: path.to_owned(), value: value.clone(), from_env: false })
    }

    /// The value of `path`, converted; `default` if there is none, or if it is refused, which is remembered.
    pub(super) fn value<T>(
        &mut self,
        path: &'static str,
        default: T,
        convert: impl FnOnce(&Given) -> Result<T, String>,
    ) -> T {
        let Some(given) = self.given(path) else { return default };
        self.converted(path, &given, convert).unwrap_or(default)
    }

    /// A value that was given for `path` or within it, converted; `None` if it is refused, which is remembered.
    pub(super) fn converted<T>(
        &mut self,
        path: &'static str,
        given: &Given,
        convert: impl FnOnce(&Given) -> Result<T, String>,
    ) -> Option<T> {
        let refused = |rule| self.refuse(path, Problem::new(given.at.clone(), given.shown(), rule));
        convert(given).map_err(refused).ok()
    }

    /// Remembers a mistake in `path`.
    pub(super) fn refuse(&mut self, path: &'static str, problem: Problem) {
        self.bad.insert(path);
        self.problems.push(problem);
    }

    /// Whether none of these keys has a mistake, so that they can be judged together.
    pub(super) fn all_good(&self, paths: &[&str]) -> bool {
        !paths.iter().any(|path| self.bad.contains(path))
    }

    /// The value of a variable that is not a key's.
    pub(super) fn environment(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    /// The variables that set something inside the table `path`: what follows in their names, and their values.
    pub(super) fn variables_inside(&self, path: &str) -> Vec<(String, String)> {
        let prefix = format!("{}__", variable(path));
        self.env
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?.to_owned(), value.clone())))
            .collect()
    }

    /// If the table `path` is given by a variable, takes that for what the file says about it. A mistake in it does
    /// not show its value.
    pub(super) fn lay_table_over(&mut self, path: &'static str) {
        let Some(text) = self.env.remove(&variable(path)) else { return };
        let Some(table) = text.parse::<Value>().ok().filter(Value::is_table) else {
            let rule = "must be a TOML inline table, as in { … = \"…\" }";
            return self.refuse(path, Problem::new(variable(path), None, rule));
        };
        if let Some((section, key)) = path.split_once('.')
            && let Value::Table(section) =
                self.file.entry(section).or_insert_with(|| Value::Table(Table::new()))
        {
            section.insert(key.to_owned(), table);
        }
    }

    /// The keys that were asked for.
    #[cfg(test)]
    pub(super) fn known(&self) -> impl Iterator<Item = &'static str> {
        self.known.iter().copied()
    }

    /// Every mistake, those in names included. `open` are the tables whose keys are data; they are not looked into.
    pub(super) fn finish(mut self, open: &[&'static str]) -> Result<(), Problems> {
        let file = std::mem::take(&mut self.file);
        self.refuse_unknown_keys(&file, "", open);
        self.refuse_unknown_variables(open);
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems.into_iter().collect()) }
    }

    fn refuse_unknown_keys(&mut self, table: &Table, above: &str, open: &[&str]) {
        for (key, value) in table {
            let path = if above.is_empty() { shown_key(key) } else { format!("{above}.{}", shown_key(key)) };
            if open.contains(&path.as_str()) || self.known.contains(path.as_str()) {
                continue;
            }
            let inside = format!("{path}.");
            if !self.known.iter().any(|known| known.starts_with(&inside)) {
                let sections =
                    self.known.iter().filter_map(|known| known.split_once('.')).map(|(name, _)| name);
                let hint =
                    did_you_mean(&path.to_lowercase(), ".", self.known.iter().copied().chain(sections));
                let rule = format!("there is no such key{}", hint.unwrap_or_default());
                self.problems.push(Problem::new(path, None, rule));
            } else if let Some(table) = value.as_table() {
                self.refuse_unknown_keys(table, &path, open);
            } else {
                self.problems.push(Problem::new(path, None, "must be a table"));
            }
        }
    }

    fn refuse_unknown_variables(&mut self, open: &[&str]) {
        let names: Vec<String> = self.known.iter().map(|path| variable(path)).collect();
        let inside: Vec<String> = open.iter().map(|path| variable(path)).collect();
        for name in self.env.keys().filter(|name| name.starts_with(PREFIX)) {
            let is_inside = inside
                .iter()
                .any(|table| name.strip_prefix(table).is_some_and(|rest| rest.starts_with("__")));
            if is_inside || names.contains(name) {
                continue;
            }
            let hint = did_you_mean(&name.to_uppercase(), "__", names.iter().map(String::as_str));
            let rule = format!("there is no such variable{}", hint.unwrap_or_default());
            self.problems.push(Problem::new(shorten(name), None, rule));
        }
    }
}

/// What is wrong with the keys of a table in a list that are none of `known`. `at`: where the table is.
pub(super) fn unknown_keys(at: &str, table: &Table, known: &[&str]) -> Vec<Problem> {
    let unknown = table.keys().filter(|key| !known.contains(&key.as_str()));
    let problems = unknown.map(|key| {
        let hint = did_you_mean(&key.to_lowercase(), ".", known.iter().copied()).unwrap_or_default();
        Problem::new(format!("{at}.{}", shown_key(key)), None, format!("there is no such key{hint}"))
    });
    problems.collect()
}

/// A key as it stands in a path: quoted if TOML would have it so.
pub(super) fn shown_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    shorten(&if bare { key.to_owned() } else { format!("{key:?}") })
}
