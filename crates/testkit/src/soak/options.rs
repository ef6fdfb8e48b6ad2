//! How long the checker runs, and from which seed.

/// What a run is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// From which all random choices follow.
    pub seed: u64,
    /// Stop after so long; the round that runs is settled.
    pub seconds: Option<u64>,
    /// Stop after so many rounds, each with a hub of its own.
    pub rounds: Option<u64>,
    /// Actions of a round.
    pub steps: u64,
    /// Lose one event in so many on purpose, in the reader: the run must fail.
    pub lose_one_in: Option<u64>,
}

impl Options {
    /// Rounds of this many actions each, from a seed that is new every time.
    #[must_use]
    pub fn short(rounds: u64, steps: u64) -> Options {
        Options { seed: fastrand::u64(..), seconds: None, rounds: Some(rounds), steps, lose_one_in: None }
    }

    /// From the words of a command line, `--seconds 300` if they say nothing of length.
    ///
    /// # Errors
    /// What cannot be understood.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Options, String> {
        let mut options = Options { seconds: None, rounds: None, ..Options::short(0, 6000) };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word, words.next()),
            };
            let value = value.ok_or_else(|| format!("{name} needs a number"))?;
            let number: u64 = value.parse().map_err(|_| format!("{name}: {value:?} is no number"))?;
            match name.as_str() {
                "--seed" => options.seed = number,
                "--seconds" => options.seconds = Some(number),
                "--rounds" => options.rounds = Some(number),
                "--steps" => options.steps = number.max(1),
                "--lose-one-in" => options.lose_one_in = Some(number.max(1)),
                other => return Err(format!("{other} is not known")),
            }
        }
        if options.seconds.is_none() && options.rounds.is_none() {
            options.seconds = Some(300);
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        Options::parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn a_run_lasts_five_minutes_unless_told_otherwise() {
        assert_eq!(parse(&[]).unwrap().seconds, Some(300));
        let told = parse(&["--seed=7", "--rounds", "2", "--lose-one-in", "10000"]).unwrap();
        assert_eq!(
            (told.seed, told.seconds, told.rounds, told.lose_one_in),
            (7, None, Some(2), Some(10_000))
        );
        assert!(parse(&["--seconds"]).unwrap_err().contains("needs a number"));
        assert!(parse(&["--seconds", "x"]).unwrap_err().contains("no number"));
        assert!(parse(&["--secs", "1"]).unwrap_err().contains("not known"));
    }
}
