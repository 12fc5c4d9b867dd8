//! The lines of one channel, in the columns that users of `nsq_stat` know. Pure.

use super::counts::{Counts, Rates};
use super::number::compact;

/// What stands above the columns.
pub(super) const HEADER: [&str; 2] = [
    "------rate------+----------------depth----------------+--------------metadata---------------",
    "ingress  egress |   total     mem    disk inflt   def |     req     t-o         msgs clients",
];

/// The same where there is less room.
const NARROW_HEADER: [&str; 2] = [
    "------rate------+-------------depth-------------+---------metadata---------",
    "ingress  egress | total   mem  disk inflt   def |   req   t-o  msgs clients",
];

/// A line. Rates are rounded: `nsq_stat` cuts them, but of a measured time, which is never exact, that leaves too little.
pub(super) fn line(counts: &Counts, rates: Rates) -> String {
    let Counts { depth, disk, in_flight, deferred, requeued, timed_out, messages, clients, .. } = counts;
    let (ingress, egress) = (rates.ingress.round() as i64, rates.egress.round() as i64);
    let memory = (depth - disk).max(0);
    format!(
        "{ingress:7} {egress:7} | {depth:7} {memory:7} {disk:7} {in_flight:5} {deferred:5} | {requeued:7} {timed_out:7} \
         {messages:12} {clients:7}"
    )
}

/// Header and lines for a terminal; large numbers are rounded where it is too narrow for `nsq_stat`'s columns.
pub(super) fn fit<'a>(
    lines: impl Iterator<Item = &'a (Counts, Rates)>,
    width: usize,
) -> impl Iterator<Item = String> {
    let is_wide = width >= HEADER[1].len();
    let header = if is_wide { HEADER } else { NARROW_HEADER };
    let render = move |(counts, rates): &(Counts, Rates)| {
        if is_wide { line(counts, *rates) } else { narrow_line(counts, *rates) }
    };
    header.into_iter().map(str::to_owned).chain(lines.map(render))
}

fn narrow_line(counts: &Counts, rates: Rates) -> String {
    let memory = (counts.depth - counts.disk).max(0);
    let depth = [counts.depth, memory, counts.disk, counts.in_flight, counts.deferred];
    let metadata = [counts.requeued, counts.timed_out, counts.messages];
    let cells =
        |counts: &[i64]| counts.iter().map(|count| format!(" {:>5}", compact(*count))).collect::<String>();
    let (ingress, egress) = (compact(rates.ingress.round() as i64), compact(rates.egress.round() as i64));
    let clients = compact(counts.clients);
    format!("{ingress:>7} {egress:>7} |{} |{} {clients:>7}", cells(&depth), cells(&metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_those_of_nsq_stat() {
        let counts = Counts { depth: 5, disk: 2, in_flight: 1, messages: 8, ..Counts::default() };
        assert_eq!(
            line(&counts, Rates::default()),
            "      0       0 |       5       3       2     1     0 |       0       0            8       0"
        );
        let rates = Rates { ingress: 12.9, egress: 3.1 };
        assert!(line(&counts, rates).starts_with("     13       3 | "));
    }

    #[test]
    fn a_narrow_terminal_has_every_column_too() {
        let counts =
            Counts { depth: 12_345_678, disk: 2, messages: 5_000_000_000, clients: 3, ..Counts::default() };
        let lines: Vec<String> = fit([(counts, Rates { ingress: 12.9, egress: 3.1 })].iter(), 80).collect();
        assert_eq!(lines[..2], NARROW_HEADER);
        assert_eq!(lines[2], "     13       3 | 12.3M 12.3M     2     0     0 |     0     0  5.0G       3");
        assert!(lines.iter().all(|line| line.len() == NARROW_HEADER[0].len()));
        assert_eq!(fit([].iter(), 100).collect::<Vec<_>>(), HEADER);
        assert_eq!(HEADER[0].len(), HEADER[1].len());
    }
}
