//! The order and the cursors of searched lists, and how much is looked at in one go.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use watertight::{Event, HubConfig};

use super::top::Key;
use super::*;
use crate::searches::Searches;

fn query(text: &str) -> Query {
    Query::from_pairs(text)
}

/// All pages of these items, one behind the other.
fn paged(items: &[(u64, String)], direction: Direction, rows: usize) -> Vec<(u64, String)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let mut top = Top::new(direction, after, rows);
        for (rank, name) in items {
            top.see(*rank, name, || (*rank, name.clone()));
        }
        let (page, next, matched) = top.finish();
        assert_eq!(matched, items.len() as u64);
        assert!(page.len() <= rows && (next.is_none() || page.len() == rows));
        all.extend(page);
        match next {
            Some(key) => after = Some(key),
            None => return all,
        }
    }
}

proptest! {
    #[test]
    fn pages_of_any_size_are_the_sorted_list_each_item_once(
        ranks in proptest::collection::vec(0_u64..5, 0..40),
        rows in 1_usize..12,
        is_descending: bool,
    ) {
        let mut items: Vec<_> =
            ranks.into_iter().enumerate().map(|(at, rank)| (rank, format!("{}é\"{at}", at % 7))).collect();
        let direction = if is_descending { Direction::Descending } else { Direction::Ascending };
        let pages = paged(&items, direction, rows);
        items.sort();
        if is_descending {
            items.reverse();
        }
        prop_assert_eq!(pages, items);
    }

    #[test]
    fn a_cursor_leads_back_to_where_it_was_made_whatever_the_name(rank: u64, name: String) {
        let searches = Searches::default();
        let list = List::of(&searches, "sessions", &query("sort=bytes"), &["sort"]);
        let key = Key { rank, name: name.into() };
        let text = list.cursor(&key);
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.'));
        prop_assert_eq!(list.after(&query(&format!("cursor={text}"))).unwrap(), Some(key));
    }

    #[test]
    fn no_cursor_makes_the_hub_panic(text in "[0-9a-g.%+-]{0,60}") {
        let searches = Searches::default();
        let list = List::of(&searches, "sessions", &query(""), &["sort"]);
        let _ = list.after(&query(&format!("cursor={text}")));
    }
}

#[test]
fn a_cursor_of_another_list_or_of_another_run_is_stale_and_one_that_is_none_is_invalid() {
    let searches = Searches::default();
    let list =
        |searches: &Searches, name: &str, asked: &str| List::of(searches, name, &query(asked), &["sort"]);
    let key = Key { rank: 3, name: "a".into() };
    let text = list(&searches, "sessions", "sort=bytes").cursor(&key);
    let asked = query(&format!("cursor={text}"));
    assert_eq!(list(&searches, "sessions", "sort=bytes").after(&asked).unwrap(), Some(key));
    for other in [
        list(&searches, "sessions", "sort=events"),
        list(&searches, "sessions", ""),
        list(&searches, "connections", "sort=bytes"),
        list(&Searches::default(), "sessions", "sort=bytes"),
    ] {
        assert_eq!(other.after(&asked).unwrap_err().code(), "STALE_CURSOR");
    }
    let list = list(&searches, "sessions", "sort=bytes");
    // Those of a list in no particular order, and what has the form of one alone.
    for other in ["1.2".to_owned(), format!("{text}ff"), format!("{}.{}.", &text[..16], "9".repeat(20))] {
        let refused = list.after(&query(&format!("cursor={other}"))).unwrap_err();
        assert_eq!(refused.code(), "STALE_CURSOR", "{other}");
    }
    assert_eq!(list.after(&query("cursor=")).unwrap(), None, "an empty one counts as absent");
    for none in ["x", "1.", "1.x", &text[1..], &format!("{text}0"), &format!("{text}.00")] {
        assert_eq!(
            list.after(&query(&format!("cursor={none}"))).unwrap_err().code(),
            "INVALID_PARAMETER",
            "{none}"
        );
    }
}

/// A bound in work: however many sessions there are, the thread and every lock are free again after a slice of them.
#[test]
fn a_walk_over_a_hundred_thousand_sessions_lets_publishers_through_after_every_slice() {
    const SESSIONS: usize = 100_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let hub = Hub::new(HubConfig { shards: Some(1), ..HubConfig::default() }).unwrap();
    runtime.block_on(async {
        for number in 0..SESSIONS {
            hub.publish(&format!("s-{number}"), Event::new("x")).await.unwrap();
        }
    });
    let mut seen = std::collections::HashSet::new();
    let (mut steps, mut context) = (0, Context::from_waker(Waker::noop()));
    {
        let largest = std::cell::Cell::new(0);
        let in_step = std::cell::Cell::new(0);
        let mut walk = pin!(walk_sessions(&hub, |session| {
            in_step.set(in_step.get() + 1);
            largest.set(largest.get().max(in_step.get()));
            seen.insert(session.name().as_str().to_owned());
        }));
        loop {
            in_step.set(0);
            // What yields to a runtime is pending here; no lock is held meanwhile, or this thread would wait for itself.
            let polled = walk.as_mut().poll(&mut context);
            steps += 1;
            let name = hub.name(&format!("s-{}", steps * 97 % SESSIONS)).unwrap();
            let event = Event::new("between two slices");
            let appended = hub.append_one(&name, &event, watertight::PublishOptions::default()).unwrap();
            assert!(appended.is_paced(), "nobody holds it up");
            if polled == Poll::Ready(()) {
                break;
            }
        }
        assert!(largest.get() <= SLICE, "{} sessions in one go", largest.get());
    }
    assert_eq!(seen.len(), SESSIONS);
    assert!(steps >= SESSIONS / SLICE, "{steps}");
}

#[test]
fn two_search_at_once_and_whoever_is_refused_holds_nothing() {
    let hub = Hub::new(HubConfig::default()).unwrap();
    let searches = Searches::default();
    let used = || hub.budget().used_by(watertight_core::Owner::Requests);
    let one = searches.begin(&hub, 10, 100).unwrap();
    let two = searches.begin(&hub, 10, 100).unwrap();
    assert_eq!(used(), 2200);
    assert_eq!(searches.begin(&hub, 10, 100).unwrap_err().code(), "TOO_MANY_SEARCHES");
    drop(one);
    let too_large = searches.begin(&hub, 1000, hub.budget().critical_bytes() / 100).unwrap_err();
    assert_eq!(too_large.code(), "OVERLOADED");
    let three = searches.begin(&hub, 10, 100).unwrap();
    drop((two, three));
    assert_eq!(used(), 0);
}
