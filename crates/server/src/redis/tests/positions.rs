//! Where a feed stands in a stream that changes, compared with a model that knows every entry.

use super::super::streams::testing::{Position, StreamInfo, Verdict};
use super::*;

fn id(milliseconds: u64) -> EntryId {
    EntryId { milliseconds, number: 0 }
}

/// A stream as Redis keeps it, and all that was ever in it.
#[derive(Default)]
struct Model {
    there: Vec<u64>,
    added: u64,
    last: u64,
    deleted: u64,
}

impl Model {
    fn add(&mut self) {
        self.last += 1;
        self.added += 1;
        self.there.push(self.last);
    }

    fn info(&self) -> StreamInfo {
        StreamInfo {
            length: self.there.len() as u64,
            first: self.there.first().map_or(EntryId::START, |first| id(*first)),
            last: if self.last == 0 { EntryId::START } else { id(self.last) },
            added: Some(self.added),
            deleted: id(self.deleted),
        }
    }
}

#[test]
fn what_is_given_and_what_is_missing_are_together_all_that_was_ever_added() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2_000 {
        let mut model = Model::default();
        let mut position = Position::START;
        let (mut given, mut missing) = (0, 0);
        for _ in 0..60 {
            match random.u8(..10) {
                0..=4 => (0..random.u8(1..6)).for_each(|_| model.add()),
                5 => drop(model.there.drain(..random.usize(..=model.there.len()))),
                _ => {
                    match position.look(&model.info()) {
                        Verdict::Whole => {}
                        Verdict::Trimmed(count) => missing += count.expect("nothing was deleted one by one"),
                        Verdict::Anew => panic!("it is the same stream"),
                    }
                    let most = random.usize(1..8);
                    let next: Vec<u64> =
                        model.there.iter().copied().filter(|n| id(*n) > position.after).collect();
                    for n in next.into_iter().take(most) {
                        position.given(id(n));
                        given += 1;
                    }
                    position.settled(&model.info());
                    if position.after == model.info().last {
                        assert_eq!(given + missing, model.added);
                    }
                }
            }
        }
    }
}

#[test]
fn an_entry_that_was_deleted_makes_the_number_unknown_and_never_wrong() {
    let mut model = Model::default();
    (0..10).for_each(|_| model.add());
    let mut position = Position::after(id(2));
    // 7 is deleted, and 1 to 4 are trimmed.
    model.there.retain(|n| *n > 4 && *n != 7);
    model.deleted = 7;
    assert_eq!(position.look(&model.info()), Verdict::Trimmed(None));
    assert_eq!(position.after, EntryId { milliseconds: 4, number: u64::MAX });
    let mut known = Position::before(id(1), 10, &StreamInfo { deleted: EntryId::START, ..model.info() });
    assert_eq!(known.count, Some(0));
    assert_eq!(known.look(&model.info()), Verdict::Trimmed(None));
}

#[test]
fn an_entry_that_was_trimmed_exactly_up_to_the_reader_is_no_gap() {
    let mut model = Model::default();
    (0..10).for_each(|_| model.add());
    let mut position = Position::end(&model.info());
    model.there.clear();
    assert_eq!(position.look(&model.info()), Verdict::Whole);
    model.add();
    assert_eq!(position.look(&model.info()), Verdict::Whole);
}

#[test]
fn a_master_that_had_less_takes_over_without_a_second_time_for_what_was_given() {
    let mut model = Model::default();
    (0..10).for_each(|_| model.add());
    let mut position = Position::end(&model.info());
    // It never got 9 and 10, and has a later one of its own.
    model.there.truncate(8);
    (model.added, model.last) = (8, 10);
    model.add();
    assert_eq!(position.look(&model.info()), Verdict::Trimmed(None));
    assert_eq!(position.after, id(10));
}

#[test]
fn ids_are_read_as_redis_writes_them_and_nothing_else() {
    for text in ["0-0", "1526919030474-55", "18446744073709551615-18446744073709551615"] {
        assert_eq!(text.parse::<EntryId>().unwrap().to_string(), text);
    }
    for text in ["", "1", "1-", "-1", "1-+1", "+1-1", "1-1-1", "a-1", "1-18446744073709551616", " 1-1"] {
        assert!(text.parse::<EntryId>().is_err(), "{text:?}");
    }
}
