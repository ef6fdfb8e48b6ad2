//! A process. All its files are read below one open folder: the kernel answers for that process or not at all, never for
//! another that got its id meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use procfs_core::FromRead;
use procfs_core::process::{Io, Stat};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, PROC_SUPER_MAGIC, fstatfs, openat, statat};

use super::{Identity, Reading, cgroup, machine, pseudo};
use crate::error::{Code, SampleError};
use crate::limits::{DESCRIPTORS_MAX, FILE_BYTES_MAX};
use crate::number::{Known, Missing};
use crate::target::{Clock, ProcessId, Roots};

/// A process's folder.
struct Folder(OwnedFd);

impl Folder {
    fn open(&self, name: &str) -> io::Result<File> {
        Ok(File::from(openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?))
    }
}

pub(super) fn read(roots: &Roots, process: ProcessId, clock: &Clock) -> Result<Reading, SampleError> {
    let gone = || SampleError::new(Code::NoSuchProcess, format!("no process has the id {}", process.id));
    let path = roots.proc.join(process.id.to_string());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = Folder(openat(CWD, &path, flags, Mode::empty()).map_err(|_| gone())?);

    let at = clock();
    let stat = folder.open("stat").map_err(|error| match pseudo::missing(&error) {
        Missing::NoPermission => {
            SampleError::new(Code::Unreadable, "the hub may not read what the process does")
        }
        _ => gone(),
    })?;
    let mut text = Vec::new();
    stat.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(|_| gone())?;
    let stat = Stat::from_read(&*text)
        .map_err(|_| SampleError::new(Code::Unreadable, "the kernel's files are not what they should be"))?;
    // It has ended, and its parent has not asked for how.
    if matches!(stat.state, 'Z' | 'X') {
        return Err(gone());
    }
    if process.started.is_some_and(|started| started != stat.starttime) {
        let detail = format!("the process with the id {} has ended, and another has its id", process.id);
        return Err(SampleError::new(Code::NoSuchProcess, detail));
    }

    let group = folder.open("cgroup").and_then(pseudo::text_of);
    let bounds = cgroup::bounds(roots, &cgroup::of_process(roots, &group.unwrap_or_default()));
    let io = io(&folder);
    Ok(Reading {
        at,
        identity: Identity::Process(stat.starttime),
        of: bounds.of,
        cpu_seconds: Ok(figure(stat.utime.saturating_add(stat.stime)) / machine::ticks_per_second()),
        cpu_limit_cores: bounds.cores,
        memory_bytes: Ok(figure(stat.rss) * figure(rustix::param::page_size() as u64)),
        memory_limit_bytes: bounds.memory_bytes,
        threads: Ok(figure(u64::try_from(stat.num_threads).unwrap_or_default())),
        fds: descriptors(&folder),
        read_bytes: io.map(|(read, _)| read),
        write_bytes: io.map(|(_, write)| write),
    })
}

/// Bytes that went from and to devices.
fn io(folder: &Folder) -> Result<(f64, f64), Missing> {
    let text = folder.open("io").and_then(pseudo::text_of).map_err(|error| pseudo::missing(&error))?;
    let io = Io::from_read(text.as_bytes()).map_err(|_| Missing::NotAvailable)?;
    Ok((figure(io.read_bytes), figure(io.write_bytes)))
}

/// How many descriptors are open. Since Linux 6.2 it is the folder's size; before, they are counted.
fn descriptors(folder: &Folder) -> Known {
    let fds = openat(&folder.0, "fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let fds = fds.map_err(|error| pseudo::missing(&error.into()))?;
    let is_kernel = fstatfs(&fds).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC);
    let size =
        statat(&fds, "", AtFlags::EMPTY_PATH).map(|stat| u64::try_from(stat.st_size).unwrap_or_default());
    if let Some(count) = size.ok().filter(|size| is_kernel && *size > 0) {
        return Ok(figure(count));
    }
    let entries = Dir::new(fds).map_err(|error| pseudo::missing(&error.into()))?;
    let mut count = 0_u64;
    for entry in entries.take(DESCRIPTORS_MAX) {
        let entry = entry.map_err(|error| pseudo::missing(&error.into()))?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            count += 1;
        }
    }
    Ok(figure(count))
}

#[expect(clippy::cast_precision_loss, reason = "figures are shown, not counted with")]
fn figure(count: u64) -> f64 {
    count as f64
}
