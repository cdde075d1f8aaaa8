//! What it came to, and what to do next.

use super::story::{Story, Tally};
use super::{Failure, expect};

/// What each row shows of a tally.
type Column = fn(&Tally) -> u64;

const ROWS: [(&str, Column); 6] = [
    ("sends by the app", |tally| tally.sends),
    ("  accepted by Meta", |tally| tally.accepted),
    ("  refused by Meta", |tally| tally.refused),
    ("  rejected here", |tally| tally.rejected),
    ("trials", |tally| tally.trials),
    ("reached Meta after a trip, beside trials", |tally| tally.slipped),
];

const NEXT: &str = "
What to do next:

  1. sendfuse                       a proxy to graph.facebook.com on 127.0.0.1:8080; `sendfuse check` shows the settings
  2. your app's Graph base URL      http://127.0.0.1:8080 instead of https://graph.facebook.com; nothing else changes
  3. Meta's callback URL            to sendfuse's webhook listener (127.0.0.1:8081, /webhook); set webhook.app_secrets,
                                    and webhook.relay_to to where your app takes webhooks today
  4. sendfuse status, explain       what is locked, why, and what would close it

To try your own app against a simulated Meta first: sendfuse simulator --help";

impl Story<'_, '_, '_> {
    /// The table. sendfuse's own counts must agree with it.
    pub(super) async fn sum_up(self) -> Result<(), Failure> {
        let rejected = self.caller.metric("sendfuse_sends_total{admission=\"reject\"}").await?;
        let trials = self.trials().await?;
        let (a, a2, b) = (self.a, self.a2, self.b);
        let told = (a.rejected + a2.rejected + b.rejected, a.trials + a2.trials + b.trials);
        expect((rejected, trials) == told, || {
            format!("sendfuse counts {rejected} rejected sends and {trials} trials; the app saw {told:?}")
        })?;
        self.tell.heading("What it came to").await?;
        self.tell.plain(&format!("{:42}{:>4}{:>5}{:>5}", "", "A", "A2", "B"))?;
        for (title, column) in ROWS {
            self.tell.plain(&format!("{title:42}{:>4}{:>5}{:>5}", column(&a), column(&a2), column(&b)))?;
        }
        self.tell.plain(NEXT)?;
        Ok(())
    }
}
