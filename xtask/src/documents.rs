//! What Markdown says: its links, and the anchors they may lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The lines of a document that are not inside a block of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Where the links and pictures of a document lead.
pub(crate) fn links(text: &str) -> Vec<&str> {
    prose(text).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchors of a document's headings, as GitHub and mdBook make them.
pub(crate) fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let names = headings.map(|line| anchor(line.trim_start_matches('#').trim()));
    names
        .map(|name| {
            let before = seen.entry(name.clone()).or_default();
            *before += 1;
            if *before == 1 { name } else { format!("{name}-{}", *before - 1) }
        })
        .collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Every relative link in a document leads to a file, and to a heading in it if it names one.
pub(crate) fn check_links(file: &Path, name: &str, text: &str, wrong: &mut Vec<String>) {
    for target in links(text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = target.split_once('#').map_or((target, None), |(path, at)| (path, Some(at)));
        let to =
            if path.is_empty() { Some(file.to_path_buf()) } else { file.parent().map(|it| it.join(path)) };
        let Some(to) = to.filter(|to| to.exists()) else {
            wrong.push(format!("{name}: the link to {target} leads nowhere"));
            continue;
        };
        let Some(anchor) = anchor else { continue };
        let has_it = fs::read_to_string(&to).is_ok_and(|text| anchors(&text).contains(anchor));
        if !has_it {
            wrong.push(format!("{name}: the link to {target} leads to no heading"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::root;

    fn wrong_links(text: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        check_links(&root().join("docs/new.md"), "new.md", text, &mut wrong);
        wrong
    }

    #[test]
    fn a_link_to_a_file_or_a_heading_that_is_not_there_is_found() {
        for good in [
            "[a](guide.md)",
            "[a](../README.md#run-it)",
            "[a](https://example.com/x#y)",
            "```sh\necho '[a](nothing.md)'\n```",
        ] {
            assert_eq!(wrong_links(good), Vec::<String>::new(), "{good}");
        }
        for bad in ["[a](gide.md)", "[a](guide.md#no-such-heading)", "![a](flows/none.svg)"] {
            assert_eq!(wrong_links(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn anchors_are_made_as_the_readers_of_markdown_make_them() {
        let text = "# `watertight run`\n## Twice\n## Twice\n```sh\n# no heading\n```\n### What is wrong?\n";
        let made: Vec<_> = anchors(text).into_iter().collect();
        assert_eq!(made, ["twice", "twice-1", "watertight-run", "what-is-wrong"]);
    }
}
