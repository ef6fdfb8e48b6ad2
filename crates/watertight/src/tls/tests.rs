use std::io::Write;

use super::pair::{Pair, VERSIONS, records};
use super::{RECORD_BYTES, TlsError};

#[test]
fn a_handshake_and_what_follows_may_arrive_in_any_pieces() {
    for versions in VERSIONS {
        for piece in [1, 2, 7, 500, usize::MAX] {
            let mut pair = Pair::new(versions);
            while pair.server.is_handshaking() || pair.client.is_handshaking() {
                let answer = pair.give_server(piece).unwrap();
                pair.give_client(&answer);
            }
            let plain: Vec<u8> = (0..40_000u32).map(|at| at as u8).collect();
            pair.client.writer().write_all(&plain).unwrap();
            assert_eq!(pair.give_server(piece).unwrap(), b"");
            assert_eq!(pair.kept.plain, plain, "in pieces of {piece}");
            assert_eq!(pair.server.held(), 0, "nothing waits, so nothing is held");
            let mut sealed = Vec::new();
            for piece in plain.chunks(RECORD_BYTES) {
                pair.server.seal(piece, &mut sealed).unwrap();
            }
            assert_eq!(pair.give_client(&sealed), plain);
        }
    }
}

#[test]
fn what_is_sealed_at_once_is_one_record_up_to_16_kb() {
    let mut pair = Pair::connected(VERSIONS[0]);
    for bytes in [1, 1000, RECORD_BYTES] {
        let mut sealed = Vec::new();
        pair.server.seal(&vec![b'x'; bytes], &mut sealed).unwrap();
        let found = records(&sealed);
        assert_eq!(found.len(), 1, "{bytes} bytes");
        assert!(found[0].1 <= 5 + RECORD_BYTES + 256);
        assert_eq!(pair.give_client(&sealed).len(), bytes);
    }
}

#[test]
fn a_record_that_is_half_there_does_not_hinder_writing() {
    let mut pair = Pair::connected(VERSIONS[0]);
    pair.client.writer().write_all(b"hello").unwrap();
    let mut bytes = pair.take_from_client();
    let (first, second) = bytes.split_at_mut(9);
    let mut out = Vec::new();
    pair.server.receive(first, &mut out, &mut pair.kept).unwrap();
    assert_eq!(pair.server.held(), 9);
    pair.server.seal(b"meanwhile", &mut out).unwrap();
    assert_eq!(pair.give_client(&out), b"meanwhile");
    pair.server.receive(second, &mut Vec::new(), &mut pair.kept).unwrap();
    assert_eq!((pair.kept.plain.as_slice(), pair.server.held()), (&b"hello"[..], 0));
}

#[test]
fn a_key_update_is_answered_before_the_next_record_and_both_directions_go_on() {
    let mut pair = Pair::connected(VERSIONS[0]);
    for round in 0..20u8 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.client.writer().write_all(&[round]).unwrap();
        let mut out = pair.give_server(3).unwrap();
        pair.server.seal(b"event", &mut out).unwrap();
        assert_eq!(records(&out).len(), 2, "the answer, and the event under new keys");
        assert_eq!(pair.give_client(&out), b"event");
    }
    assert_eq!(pair.kept.plain, (0..20).collect::<Vec<u8>>());
}

#[test]
fn key_updates_without_end_are_refused_and_nothing_is_asked_of_the_connection_afterwards() {
    let mut pair = Pair::connected(VERSIONS[0]);
    let refused = (0..100).find_map(|_| {
        pair.client.refresh_traffic_keys().unwrap();
        pair.give_server(usize::MAX).err()
    });
    assert!(refused.is_some());
    let mut out = Vec::new();
    assert!(pair.server.seal(b"event", &mut out).is_err());
    pair.server.close(&mut out).unwrap();
    assert_eq!(out, b"");
}

#[test]
fn what_is_no_tls_is_answered_with_an_alert() {
    for versions in VERSIONS {
        let mut pair = Pair::connected(versions);
        let mut out = Vec::new();
        let mut forged = [&[23, 3, 3, 0, 40][..], &[7; 40]].concat();
        assert!(pair.server.receive(&mut forged, &mut out, &mut pair.kept).is_err());
        assert_eq!(records(&out).len(), 1);
        pair.client.read_tls(&mut out.as_slice()).unwrap();
        let told = pair.client.process_new_packets();
        assert!(matches!(told, Err(rustls::Error::AlertReceived(_))), "{told:?}");
        assert!(pair.server.seal(b"event", &mut out).is_err(), "nothing follows an alert");
    }
}

#[test]
fn an_alert_of_the_peer_is_told_from_a_fault_of_its() {
    let mut pair = Pair::connected(VERSIONS[0]);
    // The client cannot decrypt this, and says so.
    let nonsense = [&[23, 3, 3, 0, 40][..], &[7; 40]].concat();
    pair.client.read_tls(&mut nonsense.as_slice()).unwrap();
    assert!(pair.client.process_new_packets().is_err());
    let error = pair.give_server(usize::MAX).unwrap_err();
    assert!(error.is_of_the_peer(), "{error}");
}

#[test]
fn close_notify_is_said_once_and_heard_and_what_follows_it_is_ignored() {
    let mut pair = Pair::connected(VERSIONS[0]);
    pair.client.send_close_notify();
    let mut bytes = pair.take_from_client();
    bytes.extend_from_slice(b"not even a record");
    let mut out = Vec::new();
    pair.server.receive(&mut bytes, &mut out, &mut pair.kept).unwrap();
    assert!(pair.server.peer_closed());
    assert_eq!(pair.server.held(), 0);
    pair.server.seal(b"still heard", &mut out).unwrap();
    pair.server.close(&mut out).unwrap();
    let said = out.len();
    pair.server.close(&mut out).unwrap();
    assert_eq!(out.len(), said, "once");
    assert_eq!(pair.give_client(&out), b"still heard");
    let state = pair.client.process_new_packets().unwrap();
    assert!(state.peer_has_closed());
}

#[test]
fn bytes_that_are_no_record_yet_are_held_only_if_there_is_room() {
    let mut pair = Pair::connected(VERSIONS[0]);
    pair.kept.room = 1000;
    let mut begun = vec![0; 4000];
    begun[..5].copy_from_slice(&[23, 3, 3, 64, 0]);
    let mut out = Vec::new();
    for (at, piece) in begun.chunks_mut(400).enumerate() {
        let received = pair.server.receive(piece, &mut out, &mut pair.kept);
        match at {
            0 | 1 => assert!(received.is_ok() && pair.server.held() <= 1000),
            _ => {
                assert!(matches!(received, Err(TlsError::NoRoom)), "{received:?}");
                // What was dropped may be half of a message: nothing more is asked of the connection.
                assert!(pair.server.seal(b"more", &mut out).is_err());
                return;
            }
        }
    }
    panic!("more was held than there is room for");
}
