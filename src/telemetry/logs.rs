//! Where log lines go: to standard error, as text or as JSON.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is logged if nobody says otherwise.
const DEFAULT_FILTER: &str = "info";

/// The shape of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// For machines: an object a line.
    Json,
}

/// Why there is no log. One line, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter cannot be read.
    #[error(
        "RUST_LOG is not a log filter ({0}): a level, or target=level, separated by commas; for instance info,sendfuse=debug"
    )]
    Filter(String),
    /// The process has a log already.
    #[error("the log is set up already")]
    Twice,
}

/// Sets up the log of the whole process: only for `main`. `filter` is the value of `RUST_LOG`; none or empty: `info`.
pub fn init(format: Format, filter: Option<&str>) -> Result<(), InitError> {
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    subscriber(format, filter, colours, io::stderr)?.try_init().map_err(|_| InitError::Twice)
}

fn subscriber<W>(
    format: Format,
    filter: Option<&str>,
    colours: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, InitError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter.filter(|filter| !filter.trim().is_empty()).unwrap_or(DEFAULT_FILTER);
    let filter = EnvFilter::try_new(filter).map_err(|error| InitError::Filter(error.to_string()))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    Ok(match format {
        Format::Text => Box::new(lines.with_ansi(colours).finish()),
        Format::Json => Box::new(lines.json().flatten_event(true).with_current_span(false).finish()),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged while `work` runs on this thread.
    pub(in crate::telemetry) fn logged(format: Format, filter: Option<&str>, work: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Buffer(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Buffer {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = subscriber(format, filter, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, work);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn info_is_logged_unless_asked_otherwise() {
        let both = || {
            tracing::info!("heard");
            tracing::debug!("whispered");
        };
        for unset in [None, Some(""), Some(" ")] {
            let text = logged(Format::Text, unset, both);
            assert!(text.contains("heard") && !text.contains("whispered"), "{text}");
        }
        assert!(logged(Format::Text, Some("debug"), both).contains("whispered"));
        assert_eq!(logged(Format::Text, Some("off"), both), "");
    }

    #[test]
    fn a_malformed_filter_is_one_clear_line() {
        for bad in ["sendfuse=loud", "a=b=c", "[", "sendfuse=debug,="] {
            let Err(error) = subscriber(Format::Text, Some(bad), false, io::sink) else {
                panic!("{bad} is no filter");
            };
            let error = error.to_string();
            assert!(error.starts_with("RUST_LOG is not a log filter") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn json_is_an_object_a_line() {
        let text = logged(Format::Json, None, || tracing::info!(n = 1, odd = "two\nlines", "said"));
        let line: serde_json::Value = serde_json::from_str(text.strip_suffix('\n').unwrap()).unwrap();
        assert_eq!(line["message"], "said");
        assert_eq!(line["n"], 1);
        assert_eq!(line["odd"], "two\nlines");
        assert_eq!(line["level"], "INFO");
    }
}
