//! What somebody meant who wrote a name that does not exist.

use super::limits::SETTINGS;

/// The key nearest to `word`, if one is near enough to be meant. Case does not matter, nor does
/// the choice between `-` and `_`.
pub(super) fn nearest_key(word: &str) -> Option<&'static str> {
    // Longer than any key by far: nobody meant one, and the comparison is quadratic.
    if word.len() > 100 {
        return None;
    }
    let word: Vec<char> = word.to_ascii_lowercase().replace('-', "_").chars().collect();
    let (distance, key) = SETTINGS
        .iter()
        .map(|setting| (distance(&word, &setting.key.chars().collect::<Vec<_>>()), setting.key))
        .min()?;
    if distance <= key.len() / 3 {
        return Some(key);
    }
    // `max_history`, `heartbeat`: the beginning of one key and of no other.
    let word: String = word.into_iter().collect();
    let mut begun = SETTINGS.iter().filter(|setting| word.len() >= 3 && setting.key.starts_with(&word));
    begun.next().filter(|_| begun.next().is_none()).map(|setting| setting.key)
}

/// The one of these names nearest to `word`, if one is near enough to be meant.
pub(crate) fn nearest<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    if word.len() > 100 {
        return None;
    }
    let word: Vec<char> = word.to_ascii_lowercase().replace('-', "_").chars().collect();
    let near = |name: &&'n str| (distance(&word, &name.chars().collect::<Vec<_>>()), *name);
    let (distance, name) = names.iter().map(near).min()?;
    (distance <= (name.len() / 3).max(1)).then_some(name)
}

/// How many letters to insert, remove, change or swap with their neighbour to make `b` of `a`
/// (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = last[j] + usize::from(a[i] != b[j]);
            let mut least = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn counts_the_edits_between_two_words() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("listen", "listen", 0),
            ("lisetn", "listen", 1),
            ("lstn", "listen", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(&letters(a), &letters(b)), edits, "{a} -> {b}");
        }
    }

    #[test]
    fn finds_what_was_meant() {
        for (word, key) in [
            ("max_queue_sise", Some("max_queue_size")),
            ("max-queue-size", Some("max_queue_size")),
            ("MAX_QUEUE_SIZE", Some("max_queue_size")),
            ("heartbeat", Some("heartbeat_interval")),
            ("evnet_ttl", Some("event_ttl")),
            ("max_history", None),
            ("port", None),
            ("", None),
        ] {
            assert_eq!(nearest_key(word), key, "{word}");
        }
    }
}
