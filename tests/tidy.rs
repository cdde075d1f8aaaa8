//! House rules, as tests over the source text.
//!
//! Each rule is a function from a file's text to what is wrong with it. Each is tried on a bad sample too, so that none of
//! them can pass because it sees nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules a module may import: down the stairs of `ARCHITECTURE.md`, or sideways along this table.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // Floor 0: facts and decisions.
    ("time", &[]),
    ("graph", &["time"]),
    ("breaker", &["graph", "time"]),
    ("incident", &["breaker", "graph", "time"]),
    // Floor 1: memory.
    ("registry", &["breaker", "graph", "time"]),
    // Floor 2: one handle, and the stack.
    ("breakers", &["registry", "incident", "breaker", "store", "telemetry", "graph", "clock", "time"]),
    (
        "stack",
        &[
            "breakers",
            "breaker",
            "graph",
            "telemetry",
            "error",
            "upstream",
            "body",
            "clock",
            "time",
            "prober",
            "server",
        ],
    ),
    // Floor 3: outside.
    (
        "webhook",
        &[
            "breakers",
            "breaker",
            "graph",
            "telemetry",
            "error",
            "upstream",
            "body",
            "clock",
            "time",
            "server",
            "config",
        ],
    ),
    (
        "prober",
        &[
            "breakers",
            "breaker",
            "graph",
            "telemetry",
            "error",
            "upstream",
            "body",
            "clock",
            "time",
            "config",
        ],
    ),
    (
        "admin",
        &[
            "breakers",
            "breaker",
            "incident",
            "graph",
            "telemetry",
            "error",
            "upstream",
            "body",
            "clock",
            "time",
            "server",
            "config",
            "prober",
        ],
    ),
    ("upstream", &["error", "body"]),
    ("server", &["error", "body", "telemetry"]),
    ("store", &["time"]),
    // Beside the stairs.
    ("body", &["error"]),
    ("clock", &["time"]),
    ("config", &["graph", "time"]),
    ("error", &[]),
    ("telemetry", &["graph", "breaker", "time"]),
    ("simulator", &["graph", "time", "clock", "server"]),
    // The roof: they put the parts together.
    (
        "app",
        &[
            "admin",
            "body",
            "breaker",
            "breakers",
            "clock",
            "config",
            "error",
            "graph",
            "prober",
            "registry",
            "server",
            "simulator",
            "stack",
            "store",
            "telemetry",
            "time",
            "upstream",
            "webhook",
        ],
    ),
    ("demo", &["app", "config", "simulator"]),
    (
        "cli",
        &[
            "app",
            "admin",
            "clock",
            "config",
            "demo",
            "error",
            "graph",
            "server",
            "simulator",
            "telemetry",
            "time",
            "upstream",
        ],
    ),
];

/// The modules of floor 0.
const FLOOR_0: [&str; 4] = ["time", "graph", "breaker", "incident"];

/// What floor 0 has nothing to do with.
const NOT_ON_FLOOR_0: [&str; 15] = [
    "tokio",
    "hyper",
    "std::sync",
    "Mutex",
    "RwLock",
    "Atomic",
    "SystemTime::now",
    "Instant",
    "getrandom",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::io",
    "dashmap",
];

/// A source file: where it is below the repository's root, and what is in it.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Its text without comments and without its unit tests.
    fn code(&self) -> String {
        code_of(&self.text)
    }

    /// The module directly below the crate's root that it belongs to; none for the roots themselves.
    fn module(&self) -> Option<&str> {
        let name = self.path.strip_prefix("src/")?.split('/').next()?;
        let name = name.strip_suffix(".rs").unwrap_or(name);
        (!["lib", "main"].contains(&name)).then_some(name)
    }
}

/// Every Rust file below these folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut todo: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut found = Vec::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The files below `src/` that are part of the program: not those of modules that exist for tests only.
fn program() -> Vec<Source> {
    let all = sources(&["src"]);
    let tests: BTreeSet<String> = all.iter().flat_map(test_modules).collect();
    let is_test = |path: &str| {
        let path = path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        tests.iter().any(|test| path == test || path.starts_with(&format!("{test}/")))
    };
    all.into_iter().filter(|source| !is_test(&source.path)).collect()
}

/// The modules in files of their own that a file declares for tests only, as paths without `.rs`.
fn test_modules(source: &Source) -> Vec<String> {
    let folder = match source.path.strip_suffix("/mod.rs").or(source.path.strip_suffix("/lib.rs")) {
        Some(folder) => folder,
        None => source.path.trim_end_matches(".rs"),
    };
    let mut lines = source.text.lines().map(str::trim);
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if is_test_only(line)
            && let Some(declared) = lines.next()
            && let Some(name) = declared.strip_suffix(';').and_then(|line| line.rsplit_once("mod "))
        {
            found.push(format!("{folder}/{}", name.1));
        }
    }
    found
}

fn is_test_only(line: &str) -> bool {
    line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test")
}

/// A text without its comments, up to its unit tests.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if is_test_only(line)
            && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'))
        {
            break;
        }
        code.push_str(without_comment(line));
        code.push('\n');
    }
    code
}

/// A line up to its comment. The two slashes of a URL begin none.
fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| !line[..*at].ends_with(':');
    line.match_indices("//").find(begins).map_or(line, |(at, _)| &line[..at])
}

/// The modules below the crate's root that code in the file at `path` names, by `crate::x`, `crate::{x, y}` or, where that
/// leads to the root, `super::x`.
fn named_modules(path: &str, code: &str) -> BTreeSet<String> {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let depth = inside.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
    let mut named = names_after(code, "crate::");
    named.extend(names_after(code, &"super::".repeat(depth)));
    named
}

/// The first names of the paths that begin with `prefix`.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => named.extend(group_names(group)),
            None => named.extend(name(rest)),
        }
    }
    named
}

/// The first names of the paths in a group, which begins after its brace.
fn group_names(group: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let (mut depth, mut at_start) = (1, true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => at_start = true,
            _ if depth == 1 && at_start && !letter.is_whitespace() => {
                named.extend(name(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    named
}

fn name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// What is wrong with a file's imports.
fn forbidden_imports(path: &str, module: &str, code: &str) -> Vec<String> {
    let table: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let Some(allowed) = table.get(module) else {
        return vec![format!("{path}: the module {module} is not in the import table")];
    };
    named_modules(path, code)
        .into_iter()
        .filter(|other| other != module && table.contains_key(&**other) && !allowed.contains(&&**other))
        .map(|other| format!("{path}: {module} may not import {other}"))
        .collect()
}

/// What is wrong with a file of floor 0.
fn foreign_to_floor_0(path: &str, code: &str) -> Vec<String> {
    let named = NOT_ON_FLOOR_0.iter().filter(|word| code.contains(**word));
    named.map(|word| format!("{path}: {word} on floor 0")).collect()
}

/// What is wrong with a file's beginning.
fn without_heading(path: &str, text: &str) -> Vec<String> {
    let says_something = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//!"))
        .is_some_and(|line| !line.trim().is_empty());
    if says_something {
        Vec::new()
    } else {
        vec![format!("{path}: does not begin with a //! that says what it is for")]
    }
}

/// The exemptions from lints in a file that give no reason.
fn without_reason(path: &str, text: &str) -> Vec<String> {
    let text: String = text.lines().flat_map(|line| [without_comment(line), "\n"]).collect();
    let attributes =
        text.match_indices("#[").chain(text.match_indices("#![")).map(|(at, _)| attribute(&text[at..]));
    attributes
        .filter(|attribute| ["allow(", "expect("].iter().any(|lint| attribute.contains(lint)))
        .filter(|attribute| !attribute.contains("reason"))
        .map(|attribute| format!("{path}: no reason in {attribute}"))
        .collect()
}

/// An attribute from its beginning to the bracket that closes it.
fn attribute(text: &str) -> &str {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' if depth == 1 => return &text[..=at],
            ']' => depth -= 1,
            _ => {}
        }
    }
    text
}

#[track_caller]
fn assert_clean(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn imports_follow_the_table() {
    let files = program();
    let mut modules = BTreeSet::new();
    let mut imports = 0;
    let mut problems = Vec::new();
    for file in &files {
        if let Some(module) = file.module() {
            let code = file.code();
            modules.insert(module.to_owned());
            imports += named_modules(&file.path, &code).len();
            problems.extend(forbidden_imports(&file.path, module, &code));
        }
    }
    assert_clean(&problems);
    assert!(
        modules.len() >= 15 && files.len() >= 20 && imports >= 10,
        "saw too little: {modules:?} {imports}"
    );
}

#[test]
fn a_forbidden_import_is_seen() {
    let wrong = |path: &str, module: &str, text: &str| forbidden_imports(path, module, &code_of(text)).len();
    for bad in [
        "use crate::registry::Registry;",
        "use crate::{time::Timestamp, registry};",
        "use crate::{\n    time::{Timestamp, x},\n    graph::ids,\n    registry::{self, Registry},\n};",
        "fn f() { crate::registry::f() }",
        "use super::super::registry::Registry;",
        "pub(in crate::registry) fn f() {}",
        "#[cfg(test)]\nuse crate::registry;",
        "#[cfg(test)]\nmod tests;\nuse crate::registry;",
        "const URL: &str = \"https://x\"; use crate::registry;",
    ] {
        assert_eq!(wrong("src/breaker/machine.rs", "breaker", bad), 1, "{bad}");
    }
    assert_eq!(wrong("src/breaker/mod.rs", "breaker", "use super::registry::Registry;"), 1);
    assert_eq!(wrong("src/time.rs", "time", "use super::graph;"), 1);
    assert_eq!(wrong("src/attic/mod.rs", "attic", ""), 1);
    for good in [
        "use crate::graph::ids::PhoneNumberId;\nuse crate::breaker::Generation;\nuse crate::time::Timestamp;",
        "// crate::registry reads this\n//! crate::registry\n",
        "use super::registry;",
        "use my_crate::registry;",
        "use crate::{graph::{registry, x}};",
        "#[cfg(test)]\nmod tests {\n    use crate::registry;\n}",
    ] {
        assert_eq!(wrong("src/breaker/machine.rs", "breaker", good), 0, "{good}");
    }
}

#[test]
fn the_table_has_no_circle_and_names_only_itself() {
    let mut left: BTreeMap<&str, BTreeSet<&str>> =
        MAY_IMPORT.iter().map(|(module, allowed)| (*module, allowed.iter().copied().collect())).collect();
    assert_eq!(left.len(), MAY_IMPORT.len(), "a module stands in the table twice");
    while let Some(bottom) = left.iter().find(|(_, allowed)| allowed.is_empty()).map(|(module, _)| *module) {
        left.remove(bottom);
        for allowed in left.values_mut() {
            allowed.remove(bottom);
        }
    }
    assert!(left.is_empty(), "these import each other, or what does not exist: {left:?}");
}

#[test]
fn floor_0_is_pure() {
    let files: Vec<_> = program()
        .into_iter()
        .filter(|file| file.module().is_some_and(|module| FLOOR_0.contains(&module)))
        .collect();
    assert_clean(
        &files.iter().flat_map(|file| foreign_to_floor_0(&file.path, &file.code())).collect::<Vec<_>>(),
    );
    for module in FLOOR_0 {
        assert!(files.iter().any(|file| file.module() == Some(module)), "saw nothing of {module}");
    }
    assert!(files.len() >= 10, "saw only {} files", files.len());
}

#[test]
fn impurity_is_seen() {
    for bad in [
        "use tokio::time::sleep;",
        "use std::sync::Arc;",
        "let now = SystemTime::now();",
        "fn f(now: Instant) {}",
        "let state = Mutex::new(0);",
    ] {
        assert!(!foreign_to_floor_0("x", &code_of(bad)).is_empty(), "{bad}");
    }
    let good = "//! No tokio here.\nlet x = 1; // nor a Mutex\n#[cfg(test)]\nmod tests {\n    use std::sync::Arc;\n}";
    assert_clean(&foreign_to_floor_0("x", &code_of(good)));
}

#[test]
fn every_file_says_what_it_is_for() {
    let files = sources(&["src", "tests", "load-tests"]);
    assert_clean(&files.iter().flat_map(|file| without_heading(&file.path, &file.text)).collect::<Vec<_>>());
    for folder in ["src/", "tests/", "load-tests/"] {
        assert!(files.iter().any(|file| file.path.starts_with(folder)), "saw nothing in {folder}");
    }
    assert!(files.len() >= 30, "saw only {} files", files.len());
}

#[test]
fn a_missing_heading_is_seen() {
    for bad in ["", "fn main() {}", "// not this\n", "\n//! late\n", "//!\n", "use x;\n//! late\n"] {
        assert_eq!(without_heading("x", bad).len(), 1, "{bad:?}");
    }
    assert_clean(&without_heading("x", "//! What it is for.\n"));
}

#[test]
fn every_exemption_has_a_reason() {
    let files = sources(&["src", "tests", "load-tests"]);
    assert_clean(&files.iter().flat_map(|file| without_reason(&file.path, &file.text)).collect::<Vec<_>>());
    assert!(files.iter().any(|file| file.text.contains("reason = ")), "saw no exemption at all");
}

#[test]
fn a_missing_reason_is_seen() {
    // Put together here, so that this file has none itself.
    let written = |inside: &str| ["#", inside].concat();
    for bad in [
        "[allow(dead_code)]",
        "![allow(dead_code)]",
        "[expect(dead_code)]",
        "[allow(\n    dead_code,\n)]\nfn reason() {}",
        "[cfg_attr(test, allow(dead_code))]",
    ] {
        assert_eq!(without_reason("x", &written(bad)).len(), 1, "{bad}");
    }
    for good in ["[allow(dead_code, reason = \"x\")]", "[derive(Debug)]", "[cfg(feature = \"allow\")]"] {
        assert_clean(&without_reason("x", &written(good)));
    }
}

#[test]
fn modules_for_tests_only_are_known() {
    let source = |path: &str| {
        Source {
        path: path.into(),
        text: "#[cfg(test)]\nmod hostile;\nmod kept;\n#[cfg(all(test, feature = \"loom\"))]\npub(crate) mod races;\n".into(),
    }
    };
    assert_eq!(test_modules(&source("src/graph/mod.rs")), ["src/graph/hostile", "src/graph/races"]);
    assert_eq!(test_modules(&source("src/lib.rs")), ["src/hostile", "src/races"]);
    assert_eq!(test_modules(&source("src/time.rs")), ["src/time/hostile", "src/time/races"]);
    assert!(program().len() < sources(&["src"]).len(), "saw no module for tests");
}
