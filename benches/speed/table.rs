//! The tables, as Markdown.

use super::contestant::{Contestant, Kind};
use super::sample::{Sample, Spread, Unit};

/// The rounds of one contestant.
pub struct Row {
    pub contestant: Contestant,
    pub samples: Vec<Sample>,
}

/// The heading of a case.
pub fn title(name: &str, title: &str, rounds: usize) {
    let plural = if rounds == 1 { "" } else { "s" };
    println!("## {name}: {title} ({rounds} round{plural})\n");
}

/// Prints a table of figures: the values of each round, spread.
pub fn figures(heads: &[&str], rows: &[(String, Vec<Vec<f64>>)]) {
    let cells = rows.iter().map(|(label, rounds)| {
        let mut cells = vec![label.clone()];
        for column in 0..heads.len() - 1 {
            cells.push(spread(rounds.iter().map(|values| values[column])));
        }
        cells
    });
    print(heads, &cells.collect::<Vec<_>>());
}

/// A number with three digits that count.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "-".to_owned(),
        size if size >= 10_000.0 => {
            let thousands = value / 1000.0;
            format!("{thousands:.1}k")
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The median, and between what it lies.
pub fn spread(values: impl Iterator<Item = f64>) -> String {
    let spread = Spread::of(values);
    let [median, least, most] = [spread.median, spread.least, spread.most].map(number);
    match least == most {
        true => median,
        false => format!("{median} ({least}…{most})"),
    }
}

/// Prints rows of cells, the columns as wide as they need be.
pub fn print(heads: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(heads[column].chars().count())
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).map(|(cell, width)| {
            let blank = " ".repeat(width - cell.chars().count());
            format!(" {cell}{blank} ")
        });
        println!("|{}|", cells.collect::<Vec<_>>().join("|"));
    };
    line(&mut heads.iter().copied());
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    line(&mut rules.iter().map(String::as_str));
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    println!();
}

/// The two tables of a case: the result of each, and wharf beside each other.
pub fn case(unit: Unit, rows: &[Row]) {
    let many = rows.iter().flat_map(|row| &row.samples);
    let many = many.map(|sample| sample.requests).max() >= Some(32);
    let mut heads = vec!["", unit.name(), "CPU s/GiB", "peak MiB", "anonymous MiB"];
    if many {
        heads.extend(["p50 ms", "p99 ms"]);
    }
    heads.extend(["× limit", "× its CPU"]);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let millis = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let cells = rows.iter().map(|row| {
        let of = |value: &dyn Fn(&Sample) -> f64| spread(row.samples.iter().map(value));
        let mut cells = vec![
            row.contestant.label.clone(),
            of(&|s| s.rate),
            of(&|s| s.cpu),
            of(&|s| mib(s.memory.peak)),
            of(&|s| mib(s.memory.anonymous)),
        ];
        if many {
            cells.push(of(&|s| millis(s.median)));
            cells.push(of(&|s| millis(s.p99)));
        }
        match limit(row, rows) {
            Some(limit) => {
                cells.push(number(Spread::ratio(&row.samples, &limit.samples, |s| {
                    s.rate
                })));
                cells.push(number(Spread::ratio(&row.samples, &limit.samples, |s| {
                    s.cpu
                })));
            }
            None => cells.extend(["-".to_owned(), "-".to_owned()]),
        }
        cells
    });
    print(&heads, &cells.collect::<Vec<_>>());
    beside(rows);
}

/// The limit that a row is compared with: the first that is as durable.
fn limit<'a>(row: &Row, rows: &'a [Row]) -> Option<&'a Row> {
    let mut limits = rows.iter().filter(|row| row.contestant.is_limit());
    limits.find(|limit| match limit.contestant.kind {
        Kind::Sink { fsync } => row.contestant.is_synced() == fsync,
        _ => true,
    })
}

/// wharf's rate as a multiple of each other's, and its processor time. Another build of wharf is
/// held against in the same mode.
fn beside(rows: &[Row]) {
    let wharfs = || rows.iter().filter(|row| row.contestant.is_wharf());
    let mut builds: Vec<&str> = wharfs().map(|row| build(row).0).collect();
    builds.dedup();
    builds.truncate(if builds.len() > 1 { builds.len() } else { 0 });
    let peers = rows.iter().filter(|row| {
        let contestant = &row.contestant;
        !contestant.is_wharf() && !contestant.is_limit()
    });
    let peers: Vec<&Row> = peers.collect();
    let labels = peers.iter().map(|row| row.contestant.label.as_str());
    let heads = ["rate × (CPU ×)"].into_iter();
    let heads: Vec<&str> = heads.chain(builds.iter().copied()).chain(labels).collect();
    if heads.len() == 1 {
        return;
    }
    let cells = wharfs().map(|row| {
        let same = builds.iter().map(|other| {
            let wanted = (*other, build(row).1);
            wharfs().find(|row| build(row) == wanted)
        });
        let others = same.chain(peers.iter().map(|peer| Some(*peer)));
        let cells = others.map(|other| {
            let Some(other) = other else {
                return "-".to_owned();
            };
            let rate = Spread::ratio(&row.samples, &other.samples, |s| s.rate);
            let cpu = Spread::ratio(&row.samples, &other.samples, |s| s.cpu);
            format!("{} ({})", number(rate), number(cpu))
        });
        std::iter::once(row.contestant.label.clone())
            .chain(cells)
            .collect()
    });
    print(&heads, &cells.collect::<Vec<_>>());
}

/// The label of a build of wharf, and its mode.
fn build(row: &Row) -> (&str, &str) {
    let label = &row.contestant.label;
    label.split_once(", ").unwrap_or((label, ""))
}
