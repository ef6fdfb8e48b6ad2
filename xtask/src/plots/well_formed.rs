//! Whether a text is well-formed XML as far as a chart uses it: elements, attributes in double quotes, text. A browser
//! shows nothing of an SVG that is not.

/// Fails with the first thing that is wrong.
pub(super) fn check(xml: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    let mut has_root = false;
    while let Some(start) = rest.find('<') {
        check_text(&rest[..start], !open.is_empty())?;
        let (tag, after) = rest[start + 1..].split_once('>').ok_or("a tag without its end")?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            match open.pop() {
                Some(opened) if opened == name => {}
                opened => return Err(format!("</{name}> where {opened:?} is open")),
            }
            continue;
        }
        if open.is_empty() && std::mem::replace(&mut has_root, true) {
            return Err(format!("<{tag}> beside the root"));
        }
        let (content, is_empty) = match tag.strip_suffix('/') {
            Some(content) => (content, true),
            None => (tag, false),
        };
        let (name, attributes) = content.split_once(' ').unwrap_or((content, ""));
        if name.is_empty() || !name.chars().all(|it| it.is_ascii_alphanumeric()) {
            return Err(format!("<{tag}> has no name"));
        }
        check_attributes(attributes)?;
        if !is_empty {
            open.push(name);
        }
    }
    check_text(rest, false)?;
    match open.pop() {
        None if has_root => Ok(()),
        None => Err("no element".to_owned()),
        Some(name) => Err(format!("<{name}> is not closed")),
    }
}

fn check_attributes(attributes: &str) -> Result<(), String> {
    let mut rest = attributes.trim();
    while !rest.is_empty() {
        let wrong = || format!("attributes that are none: {rest}");
        let (name, value) = rest.split_once("=\"").ok_or_else(wrong)?;
        let (value, after) = value.split_once('"').ok_or_else(wrong)?;
        if name.is_empty() || name.contains(['"', '=']) || !(after.is_empty() || after.starts_with(' ')) {
            return Err(wrong());
        }
        check_text(value, true)?;
        rest = after.trim_start();
    }
    Ok(())
}

/// Every `&` begins an entity, and outside of elements there is white space alone.
fn check_text(text: &str, is_inside: bool) -> Result<(), String> {
    let entities = ["amp;", "lt;", "gt;", "quot;"];
    let is_entity = |after: &str| entities.iter().any(|entity| after.starts_with(entity));
    if !text.split('&').skip(1).all(is_entity) || text.contains('>') {
        return Err(format!("text that is not escaped: {text}"));
    }
    if is_inside || text.trim().is_empty() { Ok(()) } else { Err(format!("text outside: {text}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_would_not_show_is_found() {
        check("<a><b c=\"1\" d=\"x &amp; y\"/><e>text &lt;</e></a>\n").unwrap();
        for wrong in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a b=c/>",
            "<a b=\"1/>",
            "<a>&</a>",
            "<a b=\"&\"/>",
            "</a>",
            "<a>x > y</a>",
            "<a/>text",
            "<a b=\"1\"c=\"2\"/>",
            "< a/>",
            "<a",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
