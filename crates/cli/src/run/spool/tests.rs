//! What the spool promises: nothing goes but the oldest, and nothing uncounted.

use super::*;

fn record(line: u64) -> Vec<u8> {
    format!("{{\"line\":{line},\"text\":\"{}\"}}\n", "x".repeat(line as usize % 7)).into_bytes()
}

fn numbers(records: &[u8]) -> Vec<u64> {
    let lines = records.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap()["line"].as_u64().unwrap())
        .collect()
}

fn spool(capacity: u64) -> (tempfile::TempDir, Spool) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::create(dir.path(), "http://hub", "a/b ü", capacity).unwrap();
    (dir, spool)
}

/// Everything that waits, in batches of so many.
fn drain(spool: &mut Spool, records_max: usize) -> (Vec<u64>, u64) {
    let (mut seen, mut lost) = (Vec::new(), 0);
    while spool.has_work() {
        let batch = spool.batch(records_max, 1000).unwrap();
        seen.extend(numbers(&batch.records));
        lost += batch.lost;
        spool.sent(&batch, Some("epoch"));
    }
    (seen, lost)
}

#[test]
fn what_fits_is_sent_in_order_and_once_and_all_of_it_again_to_a_new_log() {
    let (_dir, mut spool) = spool(10_000);
    (1..=100).for_each(|line| spool.append(&record(line)));
    assert_eq!(drain(&mut spool, 7), ((1..=100).collect(), 0));
    (101..=150).for_each(|line| spool.append(&record(line)));
    assert_eq!(drain(&mut spool, 1000), ((101..=150).collect(), 0));
    spool.again();
    assert_eq!(drain(&mut spool, 1), ((1..=150).collect(), 0));
}

#[test]
fn the_oldest_go_and_are_counted_if_they_were_not_sent() {
    for capacity in 150..300 {
        let (dir, mut spool) = spool(capacity);
        (1..=5).for_each(|line| spool.append(&record(line)));
        let sent = spool.batch(3, 1000).unwrap();
        assert_eq!(numbers(&sent.records), [1, 2, 3]);
        spool.sent(&sent, None);
        (6..=1000).for_each(|line| spool.append(&record(line)));
        let (seen, lost) = drain(&mut spool, 4);
        assert_eq!(seen, ((4 + lost)..=1000).collect::<Vec<_>>(), "{capacity}");
        assert!(seen.len() > 4 && lost > 900);
        assert_eq!(drain(&mut spool, 4), (Vec::new(), 0));
        spool.again();
        let (again, missing) = drain(&mut spool, 1000);
        assert_eq!((again, missing), (seen, lost + 3), "with those that were sent");
        let file = dir.path().read_dir().unwrap().next().unwrap().unwrap();
        assert!(file.metadata().unwrap().len() <= HEADER_BYTES as u64 + capacity);
    }
}

#[test]
fn what_is_under_way_is_not_lost_if_its_room_is_needed() {
    let (_dir, mut spool) = spool(200);
    (1..=5).for_each(|line| spool.append(&record(line)));
    let under_way = spool.batch(3, 1000).unwrap();
    (6..=100).for_each(|line| spool.append(&record(line)));
    spool.sent(&under_way, None);
    let (seen, lost) = drain(&mut spool, 4);
    assert_eq!(seen.first(), Some(&(4 + lost)), "the three count as sent");
}

#[test]
fn a_file_that_was_left_says_what_to_send() {
    let (_dir, mut spool) = spool(10_000);
    (1..=10).for_each(|line| spool.append(&record(line)));
    let batch = spool.batch(4, 1000).unwrap();
    spool.sent(&batch, Some("epoch"));
    spool.end(End { exit_code: Some(3) });
    let (path, state) = (spool.path().to_owned(), spool.state().clone());
    drop(spool);
    let mut left = Spool::open(&path).unwrap();
    assert_eq!(left.state(), &state);
    assert_eq!((left.unsent_lines().unwrap(), drain(&mut left, 100).0), (6, (5..=10).collect()));
    left.again();
    assert_eq!(drain(&mut left, 100).0, (1..=10).collect::<Vec<_>>());
    left.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn other_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for content in [Vec::new(), b"text".to_vec(), vec![b' '; 5000], vec![0; 5000]] {
        fs::write(&path, content).unwrap();
        assert!(Spool::open(&path).is_err());
    }
    let (_dir, spool) = spool(1000);
    let sound = serde_json::to_string(spool.state()).unwrap();
    for (from, to) in [("\"next\":0", "\"next\":5000"), ("\"sent\":0", "\"sent\":5"), ("spool 1", "spool 9")]
    {
        let mut header = sound.replace(from, to).into_bytes();
        assert_ne!(header, sound.as_bytes());
        header.resize(5096, b' ');
        fs::write(&path, header).unwrap();
        assert!(Spool::open(&path).is_err(), "{to}");
    }
}

#[test]
fn what_cannot_be_written_is_counted_and_what_can_be_is_kept() {
    let (_dir, mut spool) = spool(10_000);
    spool.append(&record(1));
    spool.commit();
    let file = std::mem::replace(&mut spool.file, OpenOptions::new().write(true).open("/dev/full").unwrap());
    (2..=5).for_each(|line| spool.append(&record(line)));
    spool.commit();
    spool.file = file;
    assert_eq!(spool.take_failure().unwrap().kind(), io::ErrorKind::StorageFull);
    spool.append(&record(6));
    assert_eq!(drain(&mut spool, 100), (vec![1, 6], 4));
}
