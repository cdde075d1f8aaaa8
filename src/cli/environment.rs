//! What the client commands take from the process around them, as values.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use secrecy::SecretString;

/// What stands around a client command.
#[derive(Debug, Default)]
pub struct Environment {
    /// `SENDFUSE_ADMIN_URL`
    pub admin_url: Option<String>,
    /// `SENDFUSE_ADMIN_TOKEN`
    pub admin_token: Option<SecretString>,
    /// `SENDFUSE_ADMIN_TOKEN_FILE`
    pub admin_token_file: Option<PathBuf>,
    /// `USER`
    pub user: Option<String>,
    /// Whether output is coloured: stdout is a terminal, and `NO_COLOR` is unset.
    pub colours: bool,
}

impl Environment {
    /// That of this process. A variable that is empty is unset.
    pub fn of_this_process() -> Self {
        Self::from(|name| std::env::var_os(name), std::io::stdout().is_terminal())
    }

    fn from(variable: impl Fn(&str) -> Option<OsString>, terminal: bool) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let text = |name| set(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            admin_url: text("SENDFUSE_ADMIN_URL"),
            admin_token: text("SENDFUSE_ADMIN_TOKEN").map(SecretString::from),
            admin_token_file: set("SENDFUSE_ADMIN_TOKEN_FILE").map(PathBuf::from),
            user: text("USER"),
            colours: terminal && set("NO_COLOR").is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_need_a_terminal_and_no_objection() {
        let with = |no_color: Option<&'static str>, terminal| {
            let variable = |name: &str| no_color.filter(|_| name == "NO_COLOR").map(OsString::from);
            Environment::from(variable, terminal).colours
        };
        assert!(with(None, true) && with(Some(""), true));
        assert!(!with(Some("1"), true) && !with(None, false));
    }

    #[test]
    fn a_token_is_not_printed() {
        let environment = Environment::from(|_| Some(OsString::from("s3cret")), false);
        assert!(environment.admin_token.is_some());
        let shown = format!("{:?}", environment.admin_token);
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
