//! Outliers: endpoints that fail much more than their peers do, and how many of them may be left out at once.
//! Never: leaves any out itself.

use crate::estimate::Record;
use crate::moment::nanoseconds;
use crate::settings::BalanceSettings;

/// Whether this record alone calls for a look at the peers'.
pub(crate) fn is_suspect(record: Record, settings: &BalanceSettings) -> bool {
    record.failures > 0.0 && is_telling(record, settings) && record.ratio() >= settings.ejection_margin
}

/// Which of these to eject, by their place: the worst first, and no more than there is room for.
///
/// An endpoint is judged by the rest of those that are still in use, so that a failure of all, whose cause is elsewhere,
/// ejects nobody.
pub(crate) fn outliers(records: &[Record], room: usize, settings: &BalanceSettings) -> Vec<usize> {
    let mut rest = records.iter().fold(Record::default(), |sum, record| sum.and(*record));
    let mut suspects: Vec<usize> = (0..records.len()).filter(|index| is_suspect(records[*index], settings)).collect();
    suspects.sort_by(|a, b| records[*b].ratio().total_cmp(&records[*a].ratio()));
    let mut ejected = Vec::new();
    for index in suspects {
        if ejected.len() == room {
            break;
        }
        let own = records[index];
        let peers = rest.without(own);
        if is_telling(peers, settings) && own.ratio() >= peers.ratio() + settings.ejection_margin {
            ejected.push(index);
            rest = peers;
        }
    }
    ejected
}

/// How many more may be ejected when so many of all are out already, for whatever reason.
pub(crate) fn room(all: usize, out: usize, settings: &BalanceSettings) -> usize {
    ((all as f64 * settings.ejected_share_max.clamp(0.0, 1.0)) as usize).min(all.saturating_sub(1)).saturating_sub(out)
}

// Since counts fade between requests, ten in a row are a little less than ten.
fn is_telling(record: Record, settings: &BalanceSettings) -> bool {
    record.requests >= f64::from(settings.ejection_requests_min) * 0.95
}

/// An endpoint's last ejection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ejections {
    span: u64,
    until: u64,
}

impl Ejections {
    /// Until when the endpoint is ejected, once more.
    pub(crate) fn next(&mut self, now: u64, settings: &BalanceSettings) -> u64 {
        let first = nanoseconds(settings.ejection_min).max(1);
        let soon_again = self.span > 0 && now.saturating_sub(self.until) < self.span;
        self.span = if soon_again {
            self.span.saturating_mul(2).min(nanoseconds(settings.ejection_max)).max(first)
        } else {
            first
        };
        self.until = now.saturating_add(self.span);
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(failures: f64, requests: f64) -> Record {
        Record { failures, requests }
    }

    proptest! {
        #[test]
        fn what_fails_everywhere_ejects_nobody(ratio in 0.0..=1.0f64, counts in prop::collection::vec(0..100u32, 0..10)) {
            let records: Vec<Record> = counts.iter().map(|count| record(ratio * f64::from(*count), f64::from(*count))).collect();
            prop_assert!(outliers(&records, 10, &BalanceSettings::default()).is_empty());
        }

        #[test]
        fn never_more_than_there_is_room_for_and_only_who_is_worse_than_those_who_stay(
            counts in prop::collection::vec((0..=100u32, 0..100u32), 0..10), out in 0..10usize, share in 0.0..=1.0f64,
        ) {
            let settings = BalanceSettings { ejected_share_max: share, ..BalanceSettings::default() };
            let records: Vec<Record> =
                counts.iter().map(|(percent, count)| record(f64::from(percent * count) / 100.0, f64::from(*count))).collect();
            let room = room(records.len(), out, &settings);
            prop_assert!(room == 0 || room + out <= (records.len() as f64 * share) as usize);
            let ejected = outliers(&records, room, &settings);
            prop_assert!(ejected.len() <= room && (records.is_empty() || ejected.len() < records.len()));
            let stay = (0..records.len()).filter(|index| !ejected.contains(index));
            let stay = stay.fold(Record::default(), |sum, index| sum.and(records[index]));
            prop_assert!(ejected.iter().all(|index| records[*index].ratio() >= stay.ratio() + settings.ejection_margin - 1e-6));
        }
    }

    #[test]
    fn one_of_two_may_go_and_a_single_one_never() {
        let settings = BalanceSettings::default();
        assert_eq!([0, 1, 2, 3, 4, 5].map(|all| room(all, 0, &settings)), [0, 0, 1, 1, 2, 2]);
        assert_eq!(outliers(&[record(20.0, 20.0), record(0.0, 20.0)], 1, &settings), [0]);
        assert!(outliers(&[record(20.0, 20.0)], 1, &settings).is_empty());
        assert!(outliers(&[record(20.0, 20.0), record(0.0, 3.0)], 1, &settings).is_empty(), "too few to compare with");
        assert!(outliers(&[record(5.0, 5.0), record(0.0, 50.0)], 1, &settings).is_empty(), "too few to judge");
    }

    #[test]
    fn ejections_grow_while_it_does_not_mend() {
        let (settings, mut ejections) = (BalanceSettings::default(), Ejections::default());
        let second = 1_000_000_000;
        let mut now = 0;
        for seconds in [5, 10, 20, 40, 60, 60] {
            let until = ejections.next(now, &settings);
            assert_eq!(until, now + seconds * second);
            now = until + second;
        }
        assert_eq!(ejections.next(now + 60 * second, &settings), now + 65 * second, "it did well for long enough");
    }
}
