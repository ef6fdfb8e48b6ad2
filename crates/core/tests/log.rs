//! What a log promises, one promise each.

mod support;

use std::time::Duration;

use watertight_core::log::{Freed, cost};
use watertight_core::{
    Cursor, Epoch, Expiry, Gap, GapReason, Log, LogLimits, LogState, Position, Resume, SessionEnd, Tick,
};

use crate::support::{AMPLE, Told, append, append_until, epoch, frame_with, limits, log_of, read, read_all};

const NOW: Tick = Tick(1000);

fn gap(log: &Log, from: u64, to: u64, reason: GapReason) -> Gap {
    Gap { from: Some(log.position(from)), to: log.position(to), missed: Some(to - from + 1), reason }
}

fn events(numbers: impl IntoIterator<Item = u64>) -> Vec<Told> {
    numbers.into_iter().map(Told::Event).collect()
}

/// Everything that a subscriber is told who comes with `resume`: the gap first.
fn told(log: &Log, resume: Resume) -> Vec<Told> {
    let (mut cursor, gaps) = log.locate(resume, true, NOW);
    let mut told: Vec<Told> = gaps.into_iter().map(Told::Gap).collect();
    told.extend(read_all(log, &mut cursor, NOW));
    told
}

#[test]
fn a_history_too_short_gives_a_gap_that_names_how_many_were_missed() {
    let log = log_of(20, limits(5, 5));
    let missed = gap(&log, 4, 15, GapReason::Evicted);
    assert_eq!(missed.missed, Some(12));
    let mut expected = vec![Told::Gap(missed)];
    expected.extend(events(16..=20));
    assert_eq!(told(&log, Resume::After(log.position(3))), expected);
}

#[test]
fn whoever_comes_back_in_time_gets_what_it_missed_and_nothing_else() {
    let log = log_of(20, limits(5, 5));
    for seen in 15..=20 {
        assert_eq!(told(&log, Resume::After(log.position(seen))), events(seen + 1..=20));
    }
}

#[test]
fn a_newcomer_can_replay_as_far_back_as_the_history_and_no_further() {
    let log = log_of(20, limits(10, 4));
    assert_eq!(told(&log, Resume::Live), []);
    assert_eq!(told(&log, Resume::Last(2)), events(19..=20));
    assert_eq!(told(&log, Resume::Last(4)), events(17..=20));
    let mut expected = vec![Told::Gap(gap(&log, 13, 16, GapReason::Evicted))];
    expected.extend(events(17..=20));
    assert_eq!(told(&log, Resume::After(log.position(12))), expected);
}

#[test]
fn whoever_asks_for_history_is_told_what_is_gone_of_it_with_an_id_or_without() {
    let mut log = log_of(700, limits(1000, 500));
    let mut expected = vec![Told::Gap(gap(&log, 1, 200, GapReason::Evicted))];
    expected.extend(events(201..=700));
    for resume in [Resume::All, Resume::Last(700), Resume::Last(u64::MAX), Resume::After(log.position(0))] {
        assert_eq!(told(&log, resume), expected, "{resume:?}");
    }
    expected[0] = Told::Gap(gap(&log, 200, 200, GapReason::Evicted));
    assert_eq!(told(&log, Resume::Last(501)), expected, "the number that it asked for, and no more");
    assert_eq!(told(&log, Resume::Last(500)), events(201..=700));
    log.shed_before(701);
    let all_gone = [Told::Gap(gap(&log, 1, 700, GapReason::Evicted))];
    assert_eq!(told(&log, Resume::All), all_gone);
    assert_eq!(told(&log_of(0, limits(10, 10)), Resume::All), [], "nothing was published");
}

#[test]
fn what_a_newcomer_can_replay_comes_after_the_position_that_is_told_and_without_a_gap() {
    let mut log = log_of(700, limits(1000, 500));
    let (events, before) = log.replayable(NOW);
    assert_eq!((log.events(), events, before), (700, 500, log.position(200)));
    assert_eq!(told(&log, Resume::After(before)).len(), 500);
    append_until(&mut log, Tick(500));
    append(&mut log);
    let (events, before) = log.replayable(NOW);
    assert_eq!((events, before), (499, log.position(202)), "an expired one counts for nobody");
    assert_eq!(log_of(0, limits(10, 10)).replayable(NOW), (0, log.position(0)));
}

#[test]
fn a_live_reader_may_lag_as_far_as_the_queue_and_no_further() {
    let mut log = log_of(0, limits(5, 100));
    let (mut on_time, _) = log.locate(Resume::Live, true, NOW);
    let (mut late, _) = log.locate(Resume::Live, true, NOW);
    (0..5).for_each(|_| append(&mut log));
    assert_eq!(read_all(&log, &mut on_time, NOW), events(1..=5));
    (0..3).for_each(|_| append(&mut log));
    let mut expected = vec![Told::Gap(gap(&log, 1, 3, GapReason::Lagged))];
    expected.extend(events(4..=8));
    assert_eq!(read_all(&log, &mut late, NOW), expected);
}

#[test]
fn a_replaying_reader_has_not_lagged_however_far_back_it_reads() {
    let log = log_of(50, limits(5, 50));
    assert_eq!(told(&log, Resume::All), events(1..=50));
}

#[test]
fn what_expired_is_a_gap_that_says_so_whether_cleanup_came_by_or_not() {
    for cleaned in [false, true] {
        let mut log = log_of(2, limits(10, 10));
        (0..3).for_each(|_| append_until(&mut log, Tick(500)));
        append(&mut log);
        if cleaned {
            assert_eq!(log.expire(NOW, u64::MAX).events, 3);
        }
        let mut expected = events(1..=2);
        expected.push(Told::Gap(gap(&log, 3, 5, GapReason::Expired)));
        expected.extend(events(6..=6));
        assert_eq!(told(&log, Resume::After(log.position(0))), expected, "cleaned: {cleaned}");
    }
}

#[test]
fn an_event_lives_until_its_time_to_live_ends_and_not_a_millisecond_longer() {
    let mut log = log_of(0, limits(10, 10));
    append_until(&mut log, Tick(500));
    let at_the_start = Cursor { next: 1, live: false };
    assert_eq!(read_all(&log, &mut at_the_start.clone(), Tick(499)), events([1]));
    let expired = [Told::Gap(gap(&log, 1, 1, GapReason::Expired))];
    assert_eq!(read_all(&log, &mut at_the_start.clone(), Tick(500)), expired);
    assert_eq!(log.expire(Tick(499), u64::MAX), Freed::default());
    assert_eq!(log.expire(Tick(500), u64::MAX).events, 1);
}

#[test]
fn a_read_of_one_piece_tells_one_gap_or_one_event() {
    let mut log = log_of(0, limits(10, 10));
    for number in 1..=8 {
        append_until(&mut log, if number % 2 == 1 { Tick(500) } else { Tick::NEVER });
    }
    let (mut cursor, _) = log.locate(Resume::After(log.position(0)), true, Tick::ZERO);
    for number in [2, 4, 6, 8] {
        let missed = Told::Gap(gap(&log, number - 1, number - 1, GapReason::Expired));
        assert_eq!(read(&log, &mut cursor, NOW, 1, AMPLE), [missed]);
        assert_eq!(read(&log, &mut cursor, NOW, 1, AMPLE), [Told::Event(number)]);
    }
    assert_eq!(read(&log, &mut cursor, NOW, 1, AMPLE), []);
}

#[test]
fn a_gap_tells_the_reason_of_what_it_tells_and_two_reasons_are_two_gaps() {
    // Three are kept: 1 to 3 are pushed out, 4 expires, 5 and 6 stay.
    let mut log = log_of(3, limits(3, 3));
    append_until(&mut log, Tick(500));
    (0..2).for_each(|_| append(&mut log));
    for cleaned in [false, true] {
        if cleaned {
            assert_eq!(log.expire(NOW, u64::MAX).events, 1);
        }
        let missed = [gap(&log, 1, 3, GapReason::Evicted), gap(&log, 4, 4, GapReason::Expired)];
        let mut expected: Vec<_> = missed.into_iter().map(Told::Gap).collect();
        expected.extend(events(5..=6));
        let after = |sequence| Resume::After(log.position(sequence));
        assert_eq!(told(&log, after(0)), expected, "who comes back; cleaned: {cleaned}");
        expected.remove(0);
        assert_eq!(told(&log, after(3)), expected, "who knows of the first gap; cleaned: {cleaned}");
        let replaying = &mut Cursor { next: 1, live: false };
        assert_eq!(read_all(&log, replaying, NOW)[..2], missed.map(Told::Gap), "who is there already");
    }
}

#[test]
fn what_a_live_reader_lagged_behind_and_what_was_shed_since_are_two_gaps() {
    let mut log = log_of(8, limits(5, 100));
    log.shed_before(7);
    let mut late = Cursor { next: 1, live: true };
    let mut expected =
        vec![Told::Gap(gap(&log, 1, 3, GapReason::Lagged)), Told::Gap(gap(&log, 4, 6, GapReason::Evicted))];
    expected.extend(events(7..=8));
    assert_eq!(read_all(&log, &mut late, NOW), expected);
}

#[test]
fn however_often_reasons_alternate_few_are_remembered_and_nothing_is_left_untold() {
    let mut log = log_of(0, limits(4, 4));
    for turn in 0..500 {
        append_until(&mut log, if turn % 2 == 0 { Tick(500) } else { Tick::NEVER });
        log.expire(NOW, u64::MAX);
    }
    let (cursor, gaps) = log.locate(Resume::After(log.position(0)), true, NOW);
    assert_eq!(gaps.len(), 8, "{gaps:?}");
    assert_eq!(gaps[0].from, Some(log.position(1)));
    assert_eq!(gaps.iter().map(|gap| gap.missed.unwrap()).sum::<u64>(), cursor.next - 1);
}

#[test]
fn who_is_live_gets_every_event_that_is_held_expired_or_not_and_cleanup_leaves_it_to_him() {
    let mut log = log_of(0, limits(10, 10));
    let (mut live, _) = log.locate(Resume::Live, true, NOW);
    (0..4).for_each(|_| append_until(&mut log, Tick(500)));
    assert_eq!(read(&log, &mut live, NOW, 1, AMPLE), events([1]));
    assert_eq!(log.expire(NOW, live.next).events, 1, "the one that was read");
    assert_eq!(told(&log, Resume::After(log.position(0))).len(), 1, "history is over for everybody else");
    assert_eq!(read_all(&log, &mut live, NOW), events(2..=4));
    assert_eq!(log.expire(NOW, live.next).events, 3, "and goes when nobody needs it");
}

#[test]
fn there_is_room_for_more_while_nothing_that_a_reader_needs_would_be_pushed_out() {
    let log = log_of(6, limits(10, 4));
    assert!(log.has_room_behind(7, 10, 0) && !log.has_room_behind(7, 11, 0), "who has caught up");
    assert!(log.has_room_behind(4, 7, 0) && !log.has_room_behind(4, 8, 0), "who is three behind");
    let each = log.bytes() / 6;
    let mut log = Log::new(epoch(), LogLimits { max_queue_size: 10, max_history: 4, max_bytes: 7 * each });
    (0..6).for_each(|_| append(&mut log));
    assert!(log.has_room_behind(7, 7, 7 * each), "what has been read may go");
    assert!(log.has_room_behind(5, 5, 5 * each) && !log.has_room_behind(5, 5, 5 * each + 1));
}

#[test]
fn a_read_stays_within_its_bytes_but_always_gives_one_event() {
    let log = log_of(3, limits(10, 10));
    let mut cursor = Cursor { next: 1, live: false };
    assert_eq!(read(&log, &mut cursor, NOW, 10, 1), events([1]));
    assert_eq!(read(&log, &mut cursor, NOW, 10, log.bytes() * 2 / 3), events([2, 3]));
    assert!(cursor.live, "caught up");
}

#[test]
fn under_memory_pressure_a_newcomer_gets_live_events_only_and_a_gap_for_what_it_asked() {
    let log = log_of(6, limits(10, 4));
    let pressed = |resume| log.locate(resume, false, NOW);
    let live = Cursor { next: 7, live: true };
    assert_eq!(pressed(Resume::Live), (live, Vec::new()));
    assert_eq!(pressed(Resume::All), (live, vec![gap(&log, 1, 6, GapReason::Evicted)]));
    assert_eq!(pressed(Resume::Last(2)), (live, vec![gap(&log, 5, 6, GapReason::Evicted)]));
    assert_eq!(pressed(Resume::Last(0)), (live, Vec::new()));
    let after = |sequence| pressed(Resume::After(log.position(sequence)));
    assert_eq!(after(1), (live, vec![gap(&log, 2, 6, GapReason::Evicted)]));
    assert_eq!(after(6), (live, Vec::new()));
}

#[test]
fn threat_15_an_id_that_is_not_of_this_log_gives_a_gap_and_never_a_foreign_event() {
    let log = log_of(6, limits(10, 4));
    let foreign = Position { epoch: Epoch::from_bits(7), sequence: 3 };
    let future = log.position(7);
    let far_future = log.position((1 << 53) - 1);
    let cases = [
        (Resume::After(foreign), Some(foreign), GapReason::Epoch),
        (Resume::After(future), Some(future), GapReason::UnknownId),
        (Resume::After(far_future), Some(far_future), GapReason::UnknownId),
        (Resume::Unknown, None, GapReason::UnknownId),
    ];
    for (resume, from, reason) in cases {
        let mut expected = vec![Told::Gap(Gap { from, to: log.position(2), missed: None, reason })];
        expected.extend(events(3..=6));
        assert_eq!(told(&log, resume), expected, "{resume:?}");
    }
}

#[test]
fn threat_15_an_ancient_id_gives_a_gap_of_all_that_came_since() {
    let log = log_of(1000, limits(4, 4));
    let mut expected = vec![Told::Gap(gap(&log, 1, 996, GapReason::Evicted))];
    expected.extend(events(997..=1000));
    assert_eq!(told(&log, Resume::After(log.position(0))), expected);
}

#[test]
fn threat_15_an_id_asked_of_an_empty_log_is_a_gap_and_not_a_fault() {
    let log = log_of(0, limits(4, 4));
    assert_eq!(told(&log, Resume::After(log.position(0))), []);
    for resume in [Resume::Unknown, Resume::After(log.position(1)), Resume::After(foreign())] {
        let told = told(&log, resume);
        assert!(matches!(told[..], [Told::Gap(Gap { to: Position { sequence: 0, .. }, .. })]), "{told:?}");
    }
}

fn foreign() -> Position {
    Position { epoch: Epoch::from_bits(7), sequence: 0 }
}

#[test]
fn leak_class_f_a_log_published_to_once_and_never_again_is_empty_after_its_ttl() {
    let mut log = log_of(0, limits(1000, 500));
    (0..1000).for_each(|_| append_until(&mut log, Tick(300)));
    assert_eq!(log.expire(Tick(300), u64::MAX).events, 1000);
    assert_eq!((log.events(), log.bytes(), log.first()), (0, 0, log.next()));
    assert_eq!(told(&log, Resume::All), [Told::Gap(gap(&log, 1, 1000, GapReason::Expired))]);
}

#[test]
fn leak_class_f_a_log_never_holds_more_than_its_bytes_but_always_its_newest_event() {
    let mut log = Log::new(epoch(), LogLimits { max_queue_size: 100, max_history: 100, max_bytes: 2000 });
    for turn in 0..200 {
        let frame = frame_with(&log, &"x".repeat(turn % 7 * 50));
        log.append(frame, Tick::NEVER);
        assert!(log.bytes() <= 2000);
    }
    let huge = frame_with(&log, &"x".repeat(5000));
    let bytes = cost(&huge);
    log.append(huge, Tick::NEVER);
    assert_eq!((log.events(), log.bytes()), (1, bytes));
}

#[test]
fn a_retired_log_can_be_read_to_its_end_and_lets_nothing_go() {
    let mut log = log_of(0, limits(10, 10));
    (0..3).for_each(|_| append_until(&mut log, Tick(2000)));
    assert_eq!(log.retire(), 3);
    assert_eq!(log.retire(), 0, "it is retired once");
    assert_eq!(log.expire(Tick(3000), u64::MAX), Freed::default());
    assert_eq!(log.shed_before(u64::MAX), Freed::default());
    assert_eq!(log.shed_before(u64::MAX), Freed::default());
    assert_eq!(told(&log, Resume::All), events(1..=3));
}

fn end_at(at: u64) -> SessionEnd {
    SessionEnd { at: Tick(at), ended_at: Duration::ZERO, keep: Duration::from_millis(5000) }
}

#[test]
fn what_an_ended_log_holds_is_kept_beyond_the_usual_time_to_live_but_not_beyond_an_events_own() {
    let mut log = log_of(0, limits(10, 10));
    for (number, expires) in
        (1..).zip([Expiry::default_at(Tick(400)), Expiry::default_at(Tick(600)), Expiry::own(Tick(600))])
    {
        let frame = frame_with(&log, &format!("event {number}"));
        log.append(frame, expires);
    }
    assert!(log.end(end_at(500)));
    assert!(!log.end(end_at(900)), "the first end stands");
    assert_eq!(log.session_end(), Some(&end_at(500)));
    let expected = [
        Told::Gap(gap(&log, 1, 1, GapReason::Expired)),
        Told::Event(2),
        Told::Gap(gap(&log, 3, 3, GapReason::Expired)),
    ];
    for cleaned in [false, true] {
        if cleaned {
            assert_eq!(log.expire(NOW, u64::MAX).events, 2);
        }
        assert_eq!(told(&log, Resume::All), expected, "cleaned: {cleaned}");
    }
    assert_eq!(log.shed_before(u64::MAX).events, 1, "under pressure it goes like any other history");
    assert_eq!(told(&log, Resume::All)[1], Told::Gap(gap(&log, 2, 2, GapReason::Evicted)), "and is a gap");
}

#[test]
fn an_ended_log_is_over_when_it_was_kept_for_long_enough_or_is_retired() {
    let mut log = log_of(1, limits(10, 10));
    assert_eq!((log.state(NOW), log.ended()), (LogState::Open, false));
    log.end(end_at(500));
    assert_eq!((log.state(Tick(5499)), log.state(Tick(5500))), (LogState::Ended, LogState::Over));
    assert_eq!((log.retire(), log.state(NOW), log.session_end()), (1, LogState::Over, Some(&end_at(500))));
    let mut not_kept = log_of(1, limits(10, 10));
    not_kept.end(SessionEnd { keep: Duration::ZERO, ..end_at(500) });
    assert_eq!(not_kept.state(Tick(499)), LogState::Over, "for those, too, who looked at the clock before");
    let mut idle = log_of(1, limits(10, 10));
    idle.retire();
    assert_eq!((idle.state(NOW), idle.session_end()), (LogState::Over, None), "nobody ended it");
}

#[test]
fn of_a_log_that_is_past_its_readers_are_told_what_they_missed_of_it() {
    let last = log_of(7, limits(10, 10)).position(7);
    let past = Log::past(last, limits(10, 10));
    assert!(past.ended());
    assert_eq!(told(&past, Resume::After(last)), []);
    let missed = [Told::Gap(gap(&past, 5, 7, GapReason::Evicted))];
    assert_eq!(told(&past, Resume::After(past.position(4))), missed);
    let never_given = Resume::After(past.position(8));
    assert!(matches!(told(&past, never_given)[..], [Told::Gap(Gap { reason: GapReason::UnknownId, .. })]));
    let empty = Log::past(past.position(0), limits(10, 10));
    assert_eq!(told(&empty, Resume::After(past.position(0))), []);
}

#[test]
fn what_is_let_go_is_told_to_the_byte() {
    let mut log = log_of(10, limits(10, 10));
    let (events, each) = (log.events(), log.bytes() / 10);
    let shed = log.shed_before(4);
    assert_eq!(shed.events, 3);
    let more = log.shed(1, u64::MAX);
    assert_eq!(more.events, 1, "no more than asked for");
    assert_eq!(shed.bytes, 3 * more.bytes, "what they are charged");
    assert_eq!(log.events(), events - 4);
    assert!((6 * each..6 * each + 10).contains(&log.bytes()), "one id is a digit longer");
    assert_eq!(log.shed_before(u64::MAX).events, 6);
    assert_eq!((log.events(), log.bytes(), log.first()), (0, 0, 11));
    append(&mut log);
    assert_eq!(log.first(), 11, "numbers go on");
    assert_eq!(told(&log, Resume::Last(1)), [Told::Event(11)]);
}

#[test]
fn a_mark_of_missing_events_is_read_in_its_order_as_a_gap_with_an_id_of_its_own() {
    let mut log = log_of(2, limits(10, 10));
    log.append(watertight_core::Frame::gap(Some(7), None), Tick::NEVER);
    append(&mut log);
    let position = log.position(3);
    let mark = Gap { from: Some(position), to: position, missed: Some(7), reason: GapReason::Source };
    let after = |sequence| Resume::After(log.position(sequence));
    assert_eq!(told(&log, after(1)), [Told::Event(2), Told::Gap(mark), Told::Event(4)]);
    assert_eq!(told(&log, after(3)), events(4..=4), "whoever was told it is not told again");
    assert_eq!(log.last_missed(), None);
    log.append(watertight_core::Frame::gap(None, None), Tick::NEVER);
    assert_eq!(log.last_missed(), Some(None));
}
