//! What applications can match and take apart may grow: a new kind of item or a new field must break nobody.

use std::path::Path;

/// The sources below `dir`, with what is public in them.
fn sources(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
    found
}

#[test]
fn every_public_enum_and_every_struct_with_public_fields_may_grow() {
    let mut checked = Vec::new();
    for source in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let lines: Vec<_> = source.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let is_enum = line.starts_with("pub enum ");
            let body = lines[number + 1..].iter().take_while(|line| **line != "}");
            let has_fields = line.starts_with("pub struct ")
                && line.ends_with('{')
                && body.clone().any(|line| line.starts_with("    pub ") && line.ends_with(','));
            if is_enum || has_fields {
                let attributes: Vec<_> =
                    lines[..number].iter().rev().take_while(|line| line.starts_with("#[")).collect();
                assert!(
                    attributes.iter().any(|line| **line == "#[non_exhaustive]"),
                    "{line}: {attributes:?}"
                );
                checked.push(line.split(' ').nth(2).unwrap().split('<').next().unwrap().to_owned());
            }
        }
    }
    for known in ["Error", "Event", "Gap", "Item", "Problem", "Published", "Replay", "Status", "Stopped"] {
        assert!(checked.iter().any(|name| name == known), "{known} is not among {checked:?}");
    }
}
