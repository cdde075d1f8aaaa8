//! Many samples in, one markdown table out.

use crate::measure::Sample;
use crate::peers::{NGINX, Peer};

/// Every peer measured once, one after the other, in the order of the peers.
pub(crate) struct Round {
    /// One of each peer.
    pub(crate) samples: Vec<Sample>,
    /// False if others used the machine meanwhile.
    pub(crate) clean: bool,
}

/// One line of the table: a peer in a scenario.
pub(crate) struct Row {
    scenario: &'static str,
    peer: &'static str,
    kept: usize,
    tried: usize,
    per_second: Figure,
    p50: Figure,
    p99: Figure,
    cpu: Option<Figure>,
    resident_bytes: Option<u64>,
    /// Requests that failed, in all rounds.
    pub(crate) errors: u64,
}

/// A median, and the median of its ratios to nginx, each taken within one round.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figure {
    value: f64,
    to_nginx: Option<f64>,
}

impl Row {
    /// The row of peer number `index`. If no round was clean, all of them count and the table says so.
    pub(crate) fn of(
        scenario: &'static str,
        peer: &'static str,
        rounds: &[Round],
        index: usize,
        peers: &[Peer],
    ) -> Self {
        let clean = rounds.iter().filter(|round| round.clean).count();
        let nginx = peers.iter().position(|peer| peer.name() == NGINX);
        let pairs: Vec<(&Sample, Option<&Sample>)> = rounds
            .iter()
            .filter(|round| round.clean || clean == 0)
            .filter_map(|round| {
                Some((round.samples.get(index)?, nginx.and_then(|nginx| round.samples.get(nginx))))
            })
            .collect();
        let figure = |of: fn(&Sample) -> Option<f64>| figure(&pairs, of);
        let memory = pairs.iter().filter_map(|(sample, _)| sample.resident_bytes).max();
        let nothing = Figure { value: 0.0, to_nginx: None };
        Self {
            scenario,
            peer,
            kept: clean,
            tried: rounds.len(),
            per_second: figure(|sample| Some(sample.per_second)).unwrap_or(nothing),
            p50: figure(|sample| Some(sample.p50_micros)).unwrap_or(nothing),
            p99: figure(|sample| Some(sample.p99_micros)).unwrap_or(nothing),
            cpu: figure(|sample| sample.cpu_seconds),
            resident_bytes: memory,
            errors: rounds
                .iter()
                .filter_map(|round| round.samples.get(index))
                .map(|sample| sample.errors)
                .sum(),
        }
    }
}

fn figure(pairs: &[(&Sample, Option<&Sample>)], of: fn(&Sample) -> Option<f64>) -> Option<Figure> {
    let value = median(pairs.iter().filter_map(|(sample, _)| of(sample)).collect())?;
    let ratios = pairs.iter().filter_map(|(sample, nginx)| {
        let (mine, other) = (of(sample)?, of((*nginx)?)?);
        (other > 0.0).then(|| mine / other)
    });
    Some(Figure { value, to_nginx: median(ratios.collect()) })
}

/// None of nothing. Of an even number, halfway between the middle two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The table, its columns explained above it.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![
        "Medians of the clean rounds; in brackets the median of the ratios to nginx, round by round. CPU: seconds of \
         the proxy for 100,000 requests."
            .to_owned(),
        String::new(),
        "| scenario | peer | clean rounds | requests/s | p50 µs | p99 µs | CPU s | memory MiB | errors |".to_owned(),
        "|---|---|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for row in rows {
        let disturbed = if row.kept == 0 { " (all disturbed)" } else { "" };
        lines.push(format!(
            "| {} | {} | {} of {}{disturbed} | {} | {} | {} | {} | {} | {} |",
            row.scenario,
            row.peer,
            row.kept,
            row.tried,
            cell(row.per_second, 0),
            cell(row.p50, 0),
            cell(row.p99, 0),
            row.cpu.map_or_else(|| "–".to_owned(), |cpu| cell(cpu, 2)),
            row.resident_bytes.map_or_else(|| "–".to_owned(), |bytes| (bytes >> 20).to_string()),
            row.errors,
        ));
    }
    lines.join("\n")
}

fn cell(figure: Figure, decimals: usize) -> String {
    let value = figure.value;
    match figure.to_nginx {
        Some(ratio) => format!("{value:.decimals$} ({ratio:.2})"),
        None => format!("{value:.decimals$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine doubled its speed between the rounds; each round alone says 0.5.
        let rounds =
            [(sample(10.0), sample(20.0)), (sample(20.0), sample(40.0)), (sample(11.0), sample(22.0))];
        let pairs: Vec<_> = rounds.iter().map(|(mine, nginx)| (mine, Some(nginx))).collect();
        let figure = figure(&pairs, |sample| Some(sample.per_second));
        assert_eq!(figure, Some(Figure { value: 11.0, to_nginx: Some(0.5) }));
    }

    #[test]
    fn disturbed_rounds_count_only_where_there_is_no_other() {
        let peers = [Peer::direct()];
        let disturbed = || Round { samples: vec![sample(1.0)], clean: false };
        let clean = || Round { samples: vec![sample(5.0)], clean: true };
        let row = Row::of("s", "direct", &[disturbed(), clean()], 0, &peers);
        assert_eq!((row.per_second.value, row.kept, row.tried), (5.0, 1, 2));
        let row = Row::of("s", "direct", &[disturbed()], 0, &peers);
        assert_eq!(row.per_second.value, 1.0);
        assert!(table(&[row]).contains("0 of 1 (all disturbed)"));
    }

    fn sample(per_second: f64) -> Sample {
        Sample::of_rate(per_second)
    }
}
