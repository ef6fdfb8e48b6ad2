//! What a directory is asked. Structured: two questions are the same only if each part is.

use crate::resource::{Action, Resource};

/// What an allocation costs beside its bytes.
const ALLOCATION_BYTES: usize = 16;
/// What a question costs beside its texts: itself, its counts and three allocations.
const QUESTION_BYTES: usize = size_of::<Question>() + 2 * size_of::<usize>() + 3 * ALLOCATION_BYTES;
/// What one under way costs beside that: its task, its channel, its place in a table and in the set of tasks.
const UNDER_WAY_BYTES: usize = 4 * 1024;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) user: Box<str>,
    pub(super) resource: Resource,
    pub(super) action: Action,
}

impl Question {
    /// What it holds, bytes.
    pub(super) fn bytes(&self) -> usize {
        QUESTION_BYTES + self.user.len() + self.resource.id.as_str().len()
    }

    /// What it is charged while it is under way, bytes.
    pub(super) fn under_way_bytes(&self) -> usize {
        self.bytes() + UNDER_WAY_BYTES
    }
}
