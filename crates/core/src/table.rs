//! Values by small numbers, kept close together, whose memory follows how many there are.
//!
//! A newcomer gets the lowest vacant number. When fewer than half of the numbers up to the highest are in use,
//! whoever owns the table moves the highest value to the lowest vacancy ([`Table::compact_one`]), one for each
//! removal: so the table never spans more than about twice its values, and no removal costs more than a move.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::prefetch::prefetch;

/// A table this small is kept as it is.
const SPARE: usize = 64;

/// Values by number.
#[derive(Debug)]
pub struct Table<T> {
    entries: Vec<Option<T>>,
    /// Vacant numbers, lowest first. Numbers beyond the end are passed over.
    vacant: BinaryHeap<Reverse<u32>>,
    live: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { entries: Vec::new(), vacant: BinaryHeap::new(), live: 0 }
    }
}

impl<T> Table<T> {
    /// Values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// One more than the highest number in use.
    #[must_use]
    pub fn end(&self) -> usize {
        self.entries.len()
    }

    /// Numbers it has memory for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// The number that the next value gets.
    #[must_use]
    pub fn next_key(&mut self) -> u32 {
        let end = self.entries.len();
        while let Some(Reverse(key)) = self.vacant.peek() {
            if (*key as usize) < end {
                return *key;
            }
            self.vacant.pop();
        }
        u32::try_from(end).unwrap_or(u32::MAX)
    }

    /// Puts a value in and returns its number.
    pub fn insert(&mut self, value: T) -> u32 {
        let key = self.next_key();
        if (key as usize) < self.entries.len() {
            self.vacant.pop();
            self.entries[key as usize] = Some(value);
        } else {
            self.entries.push(Some(value));
        }
        self.live += 1;
        key
    }

    /// Asks for the memory in which the value of that number stands.
    pub fn prefetch(&self, key: u32) {
        if let Some(entry) = self.entries.get(key as usize) {
            prefetch(entry);
        }
    }

    /// The value of that number.
    #[must_use]
    pub fn get(&self, key: u32) -> Option<&T> {
        self.entries.get(key as usize)?.as_ref()
    }

    /// The value of that number.
    #[must_use]
    pub fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        self.entries.get_mut(key as usize)?.as_mut()
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: u32) -> Option<T> {
        let value = self.entries.get_mut(key as usize)?.take()?;
        self.live -= 1;
        self.vacant.push(Reverse(key));
        self.give_back();
        Some(value)
    }

    /// Moves the highest value to the lowest vacancy, if fewer than half of the numbers are in use, and says
    /// from where to where. Call it after each removal, and tell whoever knows the value by its number.
    pub fn compact_one(&mut self) -> Option<(u32, u32)> {
        if self.entries.len() <= SPARE || self.live >= self.entries.len() / 2 {
            return None;
        }
        let to = self.next_key();
        let from = self.entries.len() - 1;
        if to as usize >= from {
            return None;
        }
        self.vacant.pop();
        self.entries[to as usize] = self.entries[from].take();
        self.give_back();
        Some((u32::try_from(from).unwrap_or(u32::MAX), to))
    }

    /// Values with their numbers, from a number on.
    pub fn iter_from(&self, first: u32) -> impl Iterator<Item = (u32, &T)> {
        let entries = self.entries.iter().enumerate().skip(first as usize);
        entries.filter_map(|(key, entry)| Some((u32::try_from(key).ok()?, entry.as_ref()?)))
    }

    /// Vacancies at the end go, and memory above twice what is needed.
    fn give_back(&mut self) {
        while self.entries.last().is_some_and(Option::is_none) {
            self.entries.pop();
        }
        let end = self.entries.len();
        if self.entries.capacity() > 2 * end.max(SPARE) {
            self.entries.shrink_to(end + end / 4);
        }
        if self.vacant.len() > 2 * end.max(SPARE) {
            self.vacant = self.vacant.drain().filter(|Reverse(key)| (*key as usize) < end).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_table_holds_what_a_map_holds_and_spans_no_more_than_twice_its_values(
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..600)
        ) {
            let mut table = Table::default();
            let mut model: HashMap<u32, usize> = HashMap::new();
            for (number, (insert, which)) in steps.iter().enumerate() {
                if *insert || model.is_empty() {
                    let key = table.insert(number);
                    prop_assert!(model.insert(key, number).is_none());
                } else {
                    let mut keys: Vec<u32> = model.keys().copied().collect();
                    keys.sort_unstable();
                    let key = keys[which.index(keys.len())];
                    prop_assert_eq!(table.remove(key), model.remove(&key));
                    if let Some((from, to)) = table.compact_one() {
                        let moved = model.remove(&from).unwrap();
                        prop_assert!(model.insert(to, moved).is_none());
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                let all: HashMap<u32, usize> = table.iter_from(0).map(|(key, value)| (key, *value)).collect();
                prop_assert_eq!(&all, &model);
                prop_assert!(table.end() <= 2 * table.len() + SPARE + 1);
            }
        }
    }

    #[test]
    fn memory_of_a_past_crowd_is_given_back_whoever_stays() {
        let mut table = Table::default();
        for number in 0..100_000 {
            table.insert(number);
        }
        while table.len() > 1 {
            let other = table.iter_from(0).find(|(_, number)| **number != 99_999).map(|(key, _)| key);
            table.remove(other.unwrap());
            table.compact_one();
        }
        assert_eq!((table.len(), table.iter_from(0).next().map(|(_, value)| *value)), (1, Some(99_999)));
        assert!(table.capacity() <= 2 * SPARE && table.vacant.len() <= 2 * SPARE, "{}", table.capacity());
    }
}
