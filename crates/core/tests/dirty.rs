//! The queue between publishers and a pump, one thread at a time; what threads share is in `loom.rs`.

use watertight_core::DirtyQueue;

#[test]
fn only_a_sleeping_reader_is_woken_and_only_once() {
    let queue = DirtyQueue::new();
    assert!(!queue.push(1), "it is awake");
    assert!(!queue.park(), "there is news: no sleep");
    let mut news = Vec::new();
    queue.drain(&mut news);
    assert!(queue.park());
    assert_eq!([queue.push(2), queue.push(3)], [true, false]);
    queue.unpark();
    queue.drain(&mut news);
    assert_eq!(news, [2, 3], "oldest first, and nothing of before");
}

#[test]
fn a_reader_that_woke_by_itself_is_not_woken_again() {
    let queue = DirtyQueue::new();
    assert!(queue.park());
    queue.unpark();
    assert!(!queue.push(1));
}

#[test]
fn leak_class_a_the_queue_lives_on_the_capacity_its_reader_leaves_it() {
    let queue = DirtyQueue::new();
    let mut news = Vec::with_capacity(64);
    for turn in 0..100 {
        (0..64).for_each(|item| assert!(!queue.push(item)));
        queue.drain(&mut news);
        assert_eq!(news.len(), 64);
        assert!(news.capacity() <= 64, "turn {turn}: {}", news.capacity());
    }
}
