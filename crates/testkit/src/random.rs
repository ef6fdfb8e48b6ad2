//! Random numbers that can be repeated: a test that fails prints its seed.

/// A generator for the test called `name`. Its seed comes from the name, so a test always does the same;
/// `WATERTIGHT_TEST_SEED=random` explores, `WATERTIGHT_TEST_SEED=123` repeats what was printed.
#[must_use]
pub fn seeded(name: &str) -> fastrand::Rng {
    let of_name = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let seed = match std::env::var("WATERTIGHT_TEST_SEED").as_deref() {
        Ok("random") => fastrand::u64(..),
        Ok(number) => number.parse().expect("WATERTIGHT_TEST_SEED is a number or `random`"),
        Err(_) => of_name,
    };
    println!("{name}: WATERTIGHT_TEST_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}
