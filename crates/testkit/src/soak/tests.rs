//! What the checker must notice, each told to it once: a hub that does so is wrong.

use std::time::{Duration, Instant};

use super::message::{self, EventKey};
use super::model::{Limits, Model, Order};
use super::position::Position;
use super::sequence::{Ask, Sequence};
use crate::Gap;

const LIMITS: Limits =
    Limits { max_queue_size: 10, max_history: 5, max_history_bytes: 1 << 20, is_short: false };

/// A session `s` whose life `e` has so many acknowledged events, each a publication of its own.
struct World {
    model: Model,
    now: Instant,
}

impl World {
    #[allow(clippy::disallowed_methods, reason = "the checker measures real time")]
    fn with(events: u64) -> World {
        let mut world = World { model: Model::new(LIMITS), now: Instant::now() };
        for sequence in 1..=events {
            let publication = world.sends(1);
            world.model.acknowledged(publication, &[format!("e-{sequence}")]).unwrap();
        }
        world
    }

    fn sends(&mut self, events: usize) -> u32 {
        let ttl = Some(Duration::from_secs(60));
        let number = self.model.order(Order { session: "s".to_owned(), events, bytes: 10, ttl });
        self.model.sends(number);
        number
    }

    /// A reader that asked for all of it and was told where it starts.
    fn reader_at(&mut self, sequence: u64) -> Sequence {
        let mut reader = Sequence::new("s");
        reader.asks(Ask::All, &self.model);
        reader.starts(at(sequence), &mut self.model).unwrap();
        reader
    }

    /// Event `sequence` comes, which is publication `sequence - 1` unless it is said to be another.
    fn event(&mut self, reader: &mut Sequence, sequence: u64, publication: u32) -> Result<(), String> {
        let data = message::text("s", EventKey { publication, index: 0 }, 10);
        reader.event(&format!("e-{sequence}"), message::type_of(publication), &data, &mut self.model)
    }

    fn gap(
        &mut self,
        reader: &mut Sequence,
        from: Option<&str>,
        to: &str,
        missed: Option<u64>,
        reason: &str,
    ) -> Result<(), String> {
        let gap = Gap {
            from: from.map(str::to_owned),
            to: to.to_owned(),
            missed,
            reason: reason.to_owned(),
            id: to.to_owned(),
        };
        reader.gap(&gap, &mut self.model, self.now)
    }
}

fn at(sequence: u64) -> Position {
    Position { epoch: "e".to_owned(), sequence }
}

fn refuses(result: Result<(), String>, what: &str) {
    let told = result.unwrap_err();
    assert!(told.contains(what), "{told:?} does not say {what:?}");
}

#[test]
fn a_sequence_without_a_hole_is_good() {
    let mut world = World::with(20);
    let mut reader = world.reader_at(3);
    world.event(&mut reader, 4, 3).unwrap();
    world.gap(&mut reader, Some("e-5"), "e-6", Some(2), "evicted").unwrap();
    world.gap(&mut reader, Some("e-7"), "e-10", Some(4), "lagged").unwrap();
    world.event(&mut reader, 11, 10).unwrap();
    assert!(reader.has(&at(11)) && !reader.has(&at(12)));
    reader.asks(Ask::After("e-11".to_owned()), &world.model);
    assert!(!reader.has(&at(11)), "not before it is answered");
    reader.starts(at(11), &mut world.model).unwrap();
    world.event(&mut reader, 12, 11).unwrap();
}

#[test]
fn a_lost_a_doubled_and_an_early_event_are_noticed() {
    let mut world = World::with(9);
    let mut reader = world.reader_at(3);
    world.event(&mut reader, 4, 3).unwrap();
    for wrong in [6, 4, 3] {
        let publication = u32::try_from(wrong - 1).unwrap();
        refuses(world.event(&mut reader, wrong, publication), "lost, doubled or out of order");
    }
    reader.asks(Ask::After("e-4".to_owned()), &world.model);
    refuses(reader.starts(at(5), &mut world.model), "without a gap it goes on after e-5");
}

#[test]
fn an_event_under_a_wrong_id_or_of_another_session_is_noticed() {
    let mut world = World::with(3);
    let mut reader = world.reader_at(0);
    refuses(world.event(&mut reader, 1, 1), "both");
    let foreign = message::text("t", EventKey { publication: 0, index: 0 }, 10);
    refuses(reader.event("e-1", "tick", &foreign, &mut world.model), "another session");
    refuses(world.event(&mut reader, 1, 77), "never was");
    let data = message::text("s", EventKey { publication: 0, index: 0 }, 10);
    refuses(reader.event("e-1", "message", &data, &mut world.model), "has type");
}

#[test]
fn a_gap_that_does_not_fit_is_noticed() {
    let mut world = World::with(20);
    let cases = [
        (Some("e-6"), "e-8", Some(3), "evicted", "does not begin after e-4"),
        (Some("e-4"), "e-8", Some(5), "evicted", "does not begin after e-4"),
        (Some("e-5"), "e-8", Some(3), "evicted", "does not add up"),
        (Some("e-5"), "e-4", Some(0), "evicted", "does not add up"),
        (Some("e-5"), "e-30", Some(26), "evicted", "beyond the last event"),
        (Some("e-5"), "e-8", Some(4), "expired", "nothing in it is"),
        (Some("e-5"), "e-15", Some(11), "lagged", "nothing in it is"),
        (Some("e-5"), "e-8", Some(4), "boredom", "no reason"),
        (None, "e-8", Some(4), "evicted", "without `from`"),
        (Some("e-4"), "e-8", None, "unknown_id", "nobody asked"),
        (Some("e-4"), "f-8", None, "epoch", "deleted 0 times"),
    ];
    for (from, to, missed, reason, what) in cases {
        let mut reader = world.reader_at(4);
        refuses(world.gap(&mut reader, from, to, missed, reason), what);
    }
    // Evicted is an event that is further back than the history, and this one is not.
    let mut reader = world.reader_at(17);
    refuses(world.gap(&mut reader, Some("e-18"), "e-18", Some(1), "evicted"), "nothing in it is");
}

#[test]
fn a_good_id_must_not_be_called_unknown_nor_a_bad_one_be_taken() {
    let mut world = World::with(9);
    let mut reader = world.reader_at(4);
    reader.asks(Ask::After("e-4".to_owned()), &world.model);
    refuses(world.gap(&mut reader, Some("e-4"), "e-5", None, "unknown_id"), "e-4 was asked for");
    let mut reader = world.reader_at(4);
    reader.asks(Ask::After("nonsense".to_owned()), &world.model);
    refuses(reader.starts(at(4), &mut world.model), "nonsense was asked for");
    reader.asks(Ask::After("nonsense".to_owned()), &world.model);
    world.gap(&mut reader, None, "e-3", None, "unknown_id").unwrap();
    assert_eq!(reader.last(), Some(&at(3)));
}

#[test]
fn a_newcomer_that_is_given_less_than_it_asked_for_is_noticed() {
    let mut world = World::with(9);
    let mut reader = Sequence::new("s");
    reader.asks(Ask::Live, &world.model);
    refuses(reader.starts(at(8), &mut world.model), "live events only");
    reader.asks(Ask::Last(3), &world.model);
    refuses(reader.starts(at(5), &mut world.model), "3 events were asked for");
}

#[test]
fn what_was_refused_or_not_sent_whole_must_not_be_seen() {
    let mut world = World::with(0);
    let refused = world.sends(1);
    world.model.refused(refused).unwrap();
    let mut reader = world.reader_at(0);
    refuses(world.event(&mut reader, 1, refused), "refused or never sent whole");
    let seen = world.sends(1);
    world.event(&mut reader, 1, seen).unwrap();
    refuses(world.model.refused(seen), "was refused, and yet is e-1");
}

#[test]
fn a_retry_must_give_the_same_ids_and_make_no_second_copy() {
    let mut world = World::with(0);
    let ids = |first: u64| vec![format!("e-{first}"), format!("e-{}", first + 1)];
    let publication = world.sends(2);
    world.model.acknowledged(publication, &ids(1)).unwrap();
    world.model.sends(publication);
    world.model.acknowledged(publication, &ids(1)).unwrap();
    world.model.sends(publication);
    refuses(world.model.acknowledged(publication, &ids(3)), "is both e-1 and e-3");
    let mut world = World::with(1);
    let mut reader = world.reader_at(0);
    world.event(&mut reader, 1, 0).unwrap();
    refuses(world.event(&mut reader, 2, 0), "is both e-1 and e-2");
    assert_eq!(world.model.acknowledged_events, 1);
}

#[test]
fn the_end_of_a_session_comes_after_all_of_its_events_and_is_the_same_for_all() {
    let mut world = World::with(5);
    let [early, late] = [4, 5].map(|sequence| world.reader_at(sequence));
    refuses(late.session_ended(&mut world.model), "nobody deleted it");
    world.model.deletes("s");
    refuses(early.session_ended(&mut world.model), "event 5 was published");
    late.session_ended(&mut world.model).unwrap();
    let publication = world.sends(1);
    refuses(world.model.acknowledged(publication, &["e-6".to_owned()]), "told the end before it");
}

#[test]
fn a_life_begins_only_after_a_deletion_and_takes_no_event_after_it() {
    let mut world = World::with(2);
    let publication = world.sends(1);
    refuses(world.model.acknowledged(publication, &["f-1".to_owned()]), "life 2 of a session");
    world.model.deletes("s");
    world.model.acknowledged(publication, &["f-1".to_owned()]).unwrap();
    world.model.deleted("s", true, world.now);
    let publication = world.sends(1);
    refuses(world.model.acknowledged(publication, &["e-3".to_owned()]), "ended before");
}
