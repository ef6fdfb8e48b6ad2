//! Every limit of a sample, named, with its unit and its reason.

use std::time::Duration;

/// What one sample of one service may take. The defaults suit an exporter of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a sample may take, from asking to the last byte; at most the interval.
    pub time_max: Duration,
    /// Bytes of an endpoint's answer, before and after it is decompressed.
    pub bytes_max: usize,
    /// Samples that are kept of an endpoint's answer; the rest is counted.
    pub samples_max: usize,
    /// Bytes of JSON that the families of an endpoint may become; samples beyond are counted like those beyond
    /// `samples_max`.
    pub json_bytes_max: usize,
    /// Bytes of one line.
    pub line_bytes_max: usize,
    /// Labels of one sample.
    pub labels_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            time_max: Duration::from_secs(5),
            bytes_max: 8 << 20,
            samples_max: 5_000,
            json_bytes_max: 1 << 20,
            line_bytes_max: 64 << 10,
            labels_max: 64,
        }
    }
}

/// The most names of families that one target chooses: each declared family is compared with each of them.
pub const CHOSEN_MAX: usize = 1_000;

/// The most families whose type and help are remembered while an answer is read. A large exporter has 2,000.
pub const FAMILIES_MAX: usize = 10_000;

/// The most bytes of a file of the kernel that are read. `/proc/stat` of a machine of 512 CPUs has 150 KB.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;

/// The most descriptors that are counted one by one, where the kernel does not say how many there are (before 6.2).
pub(crate) const DESCRIPTORS_MAX: usize = 1 << 20;

/// The most groups between one and the mount, so that no path keeps a reading busy. The kernel's own default is no limit;
/// container runtimes nest 3 to 10.
pub(crate) const GROUP_DEPTH_MAX: usize = 64;

/// How long an unused connection to an endpoint stays open: longer than usual intervals, so that it is used again.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(15);

/// What is charged to the budget at a time while an answer is collected, bytes.
pub(crate) const CHARGE_STEP: usize = 16 << 10;

/// What reading an answer holds beside lines and what is kept, bytes: the connection's buffer, the decompressor's window.
pub(crate) const READING_BYTES: usize = 128 << 10;

const _: () = assert!(READING_BYTES > CHARGE_STEP);
