//! Amounts with units: how `"256 KiB"`, `"1.5h"` or a bare `300` become a whole number of the
//! smallest unit, and how that number is shown again so that it reads back the same.
//!
//! All arithmetic is on integers: what was written is what counts, no rounding. Knows nothing of
//! keys, files or defaults.

/// One millisecond, the base unit of every time.
pub(super) const MILLISECOND: u64 = 1;
pub(super) const SECOND: u64 = 1_000 * MILLISECOND;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// 1,024 bytes; a byte is the base unit of every size.
pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// One whole, in the base unit of fractions: a millionth.
pub(super) const ONE: u64 = 1_000_000;

/// What an amount counts. Each variant has a base unit in which the amount is a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things; base unit one.
    Count,
    /// Bytes; base unit one byte.
    Bytes,
    /// Memory in MiB, as the `*_mb` keys have it; base unit one MiB.
    Mebibytes,
    /// Time; base unit one millisecond, a bare number is seconds.
    Time,
    /// A share of one; base unit one millionth.
    Fraction,
}

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misread {
    /// Not a number, or not one of the units.
    Form,
    /// A number finer than the base unit.
    TooFine,
    /// Below zero.
    Negative,
    /// More than 64 bits of the base unit.
    TooLarge,
}

impl Unit {
    /// The suffixes that may follow a number, with their factor, the longest unit first.
    const fn suffixes(self) -> &'static [(&'static str, u64)] {
        match self {
            Unit::Bytes => &[
                ("GiB", GIB),
                ("MiB", MIB),
                ("KiB", KIB),
                ("GB", 1_000_000_000),
                ("MB", 1_000_000),
                ("KB", 1_000),
                ("B", 1),
            ],
            Unit::Time => &[("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", MILLISECOND)],
            Unit::Count | Unit::Mebibytes | Unit::Fraction => &[],
        }
    }

    /// What a number without a suffix is multiplied by.
    const fn bare(self) -> u64 {
        match self {
            Unit::Time => SECOND,
            Unit::Fraction => ONE,
            Unit::Count | Unit::Bytes | Unit::Mebibytes => 1,
        }
    }

    /// What one base unit of this amount is in the base unit it is compared in with others.
    pub(super) const fn scale(self) -> u64 {
        match self {
            Unit::Mebibytes => MIB,
            Unit::Count | Unit::Bytes | Unit::Time | Unit::Fraction => 1,
        }
    }

    /// What "finer than the base unit" means to a reader.
    pub(super) const fn too_fine(self) -> &'static str {
        match self {
            Unit::Count => "not a whole number",
            Unit::Bytes => "not a whole number of bytes",
            Unit::Mebibytes => "not a whole number of MiB",
            Unit::Time => "finer than a millisecond",
            Unit::Fraction => "more than six decimals",
        }
    }

    /// Reads `text` as an amount in the base unit. Case and blanks around the suffix do not matter,
    /// `_` may group digits.
    pub(super) fn read(self, text: &str) -> Result<u64, Misread> {
        let text = text.trim();
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = text.find(|c: char| !matches!(c, '0'..='9' | '_' | '.')).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let suffix = suffix.trim();
        let factor = if suffix.is_empty() {
            self.bare()
        } else {
            let known = self.suffixes().iter().find(|(name, _)| name.eq_ignore_ascii_case(suffix));
            known.ok_or(Misread::Form)?.1
        };
        match scaled(number, factor)? {
            0 => Ok(0),
            _ if negative => Err(Misread::Negative),
            amount => Ok(amount),
        }
    }

    /// Shows an amount in the longest unit that holds it exactly; [`Unit::read`] gives it back.
    pub(super) fn show(self, amount: u64) -> String {
        if self == Unit::Fraction {
            let text = format!("{}.{:06}", amount / ONE, amount % ONE);
            return text.trim_end_matches('0').trim_end_matches('.').to_owned();
        }
        let binary = |name: &str| self != Unit::Bytes || name.ends_with("iB");
        let fits = |factor: u64| amount != 0 && amount.is_multiple_of(factor);
        match self.suffixes().iter().find(|(name, factor)| binary(name) && fits(*factor)) {
            Some((name, factor)) if self == Unit::Bytes => format!("{} {name}", amount / factor),
            Some((name, factor)) => format!("{}{name}", amount / factor),
            None => amount.to_string(),
        }
    }

    /// What lies between two amounts, for people: every size with its unit.
    pub(super) fn range(self, min: u64, max: u64) -> [String; 2] {
        [min, max].map(|amount| match self.show(amount) {
            shown if self == Unit::Bytes && shown == amount.to_string() => format!("{shown} B"),
            shown => shown,
        })
    }
}

/// `number` (digits, `_`, at most one point) times `factor`, exactly.
fn scaled(number: &str, factor: u64) -> Result<u64, Misread> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.chars().filter(|c| *c != '_').collect::<String>();
    let (whole, part) = (digits(whole), digits(part));
    if (whole.is_empty() && part.is_empty()) || part.contains('.') {
        return Err(Misread::Form);
    }
    let part = part.trim_end_matches('0');
    // 10^18 fits 64 bits, and no factor divides a longer fraction.
    let places = u32::try_from(part.len()).ok().filter(|places| *places <= 18).ok_or(Misread::TooFine)?;
    let whole = if whole.is_empty() { Ok(0) } else { whole.parse::<u64>() }.map_err(|_| Misread::TooLarge)?;
    let part = if part.is_empty() { Ok(0) } else { part.parse::<u64>() }.map_err(|_| Misread::TooFine)?;

    let shifted = u128::from(part) * u128::from(factor);
    let tens = 10_u128.pow(places);
    if !shifted.is_multiple_of(tens) {
        return Err(Misread::TooFine);
    }
    let total = u128::from(whole) * u128::from(factor) + shifted / tens;
    u64::try_from(total).map_err(|_| Misread::TooLarge)
}
