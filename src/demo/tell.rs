//! Lines for people: who did what, in which second, in colours where there is a terminal.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How long a line stands before the next one, on a terminal.
const PACE: Duration = Duration::from_millis(500);
/// Below the text of a line.
const INDENT: &str = "                   ";

/// How the demo looks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether there are colours.
    pub colours: bool,
    /// Whether somebody reads along: then it pauses a little after each line.
    pub terminal: bool,
}

/// Who did something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Actor {
    /// The app.
    App,
    /// The simulated Meta.
    Meta,
    /// sendfuse.
    Sendfuse,
}

impl Actor {
    const fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Meta => "Meta",
            Self::Sendfuse => "sendfuse",
        }
    }

    const fn colour(self) -> u8 {
        match self {
            Self::App => 36,
            Self::Meta => 35,
            Self::Sendfuse => 34,
        }
    }
}

/// The states that have a colour wherever they are named in a line.
const STATES: [(&str, u8); 4] = [("closed", 32), ("half_open", 33), ("open", 31), ("rejected here", 31)];

/// Writes lines.
pub(super) struct Tell<'a> {
    out: &'a mut dyn Write,
    look: Look,
    began: Instant,
}

impl<'a> Tell<'a> {
    pub(super) fn new(out: &'a mut dyn Write, look: Look) -> Self {
        Self { out, look, began: Instant::now() }
    }

    /// A line as it is.
    pub(super) fn plain(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    /// The beginning of something new.
    pub(super) async fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.paint(text, 1);
        self.plain(&format!("\n{text}"))?;
        self.pause().await;
        Ok(())
    }

    /// What has happened.
    pub(super) async fn line(&mut self, actor: Actor, text: &str) -> io::Result<()> {
        let seconds = self.began.elapsed().as_secs_f32();
        // Padded before it is painted: escape codes have no width.
        let name = self.paint(&format!("{:<8}", actor.name()), actor.colour());
        let text = self.paint_states(text);
        self.plain(&format!("{seconds:6.1} s  {name}  {text}"))?;
        self.pause().await;
        Ok(())
    }

    /// More about the line before.
    pub(super) fn detail(&mut self, text: &str) -> io::Result<()> {
        let text = self.paint(text, 2);
        self.plain(&format!("{INDENT}{text}"))
    }

    async fn pause(&self) {
        if self.look.terminal {
            tokio::time::sleep(PACE).await;
        }
    }

    fn paint(&self, text: &str, colour: u8) -> String {
        if self.look.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The first state that is named, in its colour.
    fn paint_states(&self, text: &str) -> String {
        let found = STATES.iter().filter_map(|(state, colour)| Some((text.find(state)?, *state, *colour)));
        match found.min_by_key(|(at, ..)| *at) {
            Some((_, state, colour)) => text.replacen(state, &self.paint(state, colour), 1),
            None => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(colours: bool) -> String {
        let mut out = Vec::new();
        let mut tell = Tell::new(&mut out, Look { colours, terminal: false });
        tell.heading("1. A lock").await.unwrap();
        tell.line(Actor::App, "B is half_open").await.unwrap();
        tell.detail("more").unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn colours_are_there_only_if_wanted() {
        let plain = told(false).await;
        assert!(
            plain.starts_with("\n1. A lock\n") && plain.contains(" s  app       B is half_open\n"),
            "{plain}"
        );
        let coloured = told(true).await;
        assert!(coloured.contains("\x1b[36mapp     \x1b[0m  B is \x1b[33mhalf_open\x1b[0m\n"), "{coloured}");
        let mut stripped = coloured;
        for code in [0, 1, 2, 33, 36] {
            stripped = stripped.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(stripped.lines().count(), plain.lines().count());
        assert!(!stripped.contains('\x1b'), "{stripped}");
    }
}
