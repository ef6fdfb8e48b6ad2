//! The documents as a book, by mdBook: they are laid out as in the repository, and what they link to outside of the book
//! becomes a link to the repository. Then every link of the pages that were made is followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::documents;
use crate::step::{self, Outcome, cargo, root, succeeds, target_dir};

/// The version of mdBook that `docs/book.toml` is written for.
const MDBOOK: &str = "0.5.4";

/// Where what is not in the book can be read.
const REPOSITORY: &str = "https://github.com/watertight-sse/watertight/blob/main";

fn program() -> PathBuf {
    target_dir().join("tools/mdbook/bin/mdbook")
}

/// Installs mdBook if that version is missing; that takes some minutes, once.
pub(crate) fn set_up() -> Outcome {
    let installed = target_dir().join("tools/mdbook").join(format!("{MDBOOK}.installed"));
    if !installed.exists() || !succeeds(&program().to_string_lossy(), &["--version"]) {
        install()?;
        fs::write(&installed, "").map_err(|error| format!("{}: {error}", installed.display()))?;
    }
    // What it and others were compiled in.
    let built = step::tools_build();
    match fs::remove_dir_all(&built) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(format!("{}: {error}", built.display())),
        _ => Ok(()),
    }
}

fn install() -> Outcome {
    let mut install = cargo(&["install", "mdbook", "--locked", "--version", MDBOOK, "--force"]);
    // Not optimized: it is compiled once, and makes one small book.
    install.args(["--debug", "--no-default-features", "--features", "search", "--root"]);
    install.arg(target_dir().join("tools/mdbook")).arg("--target-dir").arg(step::tools_build());
    step::run("install mdBook", install)
}

/// Makes the book in `target/book/html`.
pub(crate) fn run() -> Outcome {
    set_up()?;
    let book = target_dir().join("book");
    lay_out(&book).map_err(|error| format!("{}: {error}", book.display()))?;
    let mut build = Command::new(program());
    build.arg("build").arg(&book);
    step::run("book", build)?;
    let html = book.join("html");
    let wrong = dead_links(&html).map_err(|error| format!("{}: {error}", html.display()))?;
    if !wrong.is_empty() {
        return Err(format!("the book has dead links:\n  {}", wrong.join("\n  ")));
    }
    println!("xtask: {} is the first page", html.join("index.html").display());
    Ok(())
}

/// The chapters, as paths in the repository.
fn chapters(summary: &str) -> BTreeSet<PathBuf> {
    documents::links(summary).into_iter().map(|link| normal(&Path::new("docs").join(link))).collect()
}

fn lay_out(book: &Path) -> std::io::Result<()> {
    if book.exists() {
        fs::remove_dir_all(book)?;
    }
    let (source, summary) = (book.join("src"), fs::read_to_string(root().join("docs/SUMMARY.md"))?);
    fs::create_dir_all(&source)?;
    fs::copy(root().join("docs/book.toml"), book.join("book.toml"))?;
    let chapters = chapters(&summary);
    let of_summary = |link: &str| Some(normal(&Path::new("docs").join(link)).display().to_string());
    fs::write(source.join("SUMMARY.md"), with_links(&summary, of_summary))?;
    for chapter in &chapters {
        let text = fs::read_to_string(root().join(chapter))?;
        let folder = chapter.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(source.join(folder))?;
        for picture in documents::links(&text).into_iter().filter(|link| is_picture(link)) {
            let picture = normal(&folder.join(picture));
            fs::create_dir_all(source.join(&picture).parent().unwrap_or(&source))?;
            fs::copy(root().join(&picture), source.join(&picture))?;
        }
        fs::write(source.join(chapter), with_links(&text, |link| in_book(link, folder, &chapters)))?;
    }
    Ok(())
}

fn is_picture(link: &str) -> bool {
    !link.contains("://")
        && Path::new(link).extension().is_some_and(|ending| ending == "svg" || ending == "png")
}

/// What a link of a chapter in `folder` has to be in the book, if it has to change: what is not in the book is read in the
/// repository.
fn in_book(link: &str, folder: &Path, chapters: &BTreeSet<PathBuf>) -> Option<String> {
    let path = link.split('#').next().unwrap_or_default();
    if link.contains("://") || link.starts_with("mailto:") || path.is_empty() || is_picture(link) {
        return None;
    }
    let (to, rest) = (normal(&folder.join(path)), &link[path.len()..]);
    if !chapters.contains(&to) {
        return Some(format!("{REPOSITORY}/{}{rest}", to.display()));
    }
    // mdBook calls the page of a README so.
    path.strip_suffix("README.md").map(|folder| format!("{folder}index.md{rest}"))
}

/// A document whose links are changed to what `to` says.
fn with_links(text: &str, to: impl Fn(&str) -> Option<String>) -> String {
    let mut text = text.to_owned();
    let links: BTreeSet<String> = documents::links(&text).into_iter().map(str::to_owned).collect();
    for (link, new) in links.iter().filter_map(|link| Some((link, to(link)?))) {
        text = text.replace(&format!("]({link})"), &format!("]({new})"));
    }
    text
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// The links and pictures of all pages that lead to no file, or to no element of it.
fn dead_links(html: &Path) -> std::io::Result<Vec<String>> {
    let (mut pages, mut folders) = (BTreeMap::new(), vec![html.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "html") {
                pages.insert(path.clone(), fs::read_to_string(&path)?);
            }
        }
    }
    let mut wrong = Vec::new();
    for (page, text) in &pages {
        for link in attributes(text, "href").chain(attributes(text, "src")) {
            let is_elsewhere =
                link.contains("://") || link.starts_with("mailto:") || link.starts_with("data:");
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = path.split('?').next().unwrap_or_default();
            let to = if path.is_empty() { page.clone() } else { normal(&page.with_file_name("").join(path)) };
            let is_there = match pages.get(&to) {
                Some(text) => anchor.is_empty() || attributes(text, "id").any(|id| id == anchor),
                None => to.exists(),
            };
            if !is_elsewhere && !is_there {
                wrong.push(format!("{}: {link}", page.strip_prefix(html).unwrap_or(page).display()));
            }
        }
    }
    Ok(wrong)
}

/// The values of an attribute in a page.
fn attributes<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let opening = format!(" {name}=\"");
    let values: Vec<&str> = html.split(&opening).skip(1).filter_map(|rest| rest.split('"').next()).collect();
    values.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_book_is_read_in_the_repository() {
        let chapters = chapters("[A](../README.md)\n- [B](guide.md)\n");
        let changed = |text: &str| with_links(text, |link| in_book(link, Path::new("docs"), &chapters));
        for kept in ["[a](guide.md#x)", "[a](#x)", "[a](https://a.example/b)", "![a](a.svg)"] {
            assert_eq!(changed(kept), kept);
        }
        assert_eq!(changed("[a](../README.md#x)"), "[a](../index.md#x)");
        assert_eq!(changed("[a](../deploy/Dockerfile)"), format!("[a]({REPOSITORY}/deploy/Dockerfile)"));
        assert_eq!(changed("[a](x.json#y) b"), format!("[a]({REPOSITORY}/docs/x.json#y) b"));
    }

    #[test]
    fn a_dead_link_of_a_page_is_found() {
        let dir = target_dir().join("book-test");
        let _gone = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("docs")).unwrap();
        let page = r##"<a href="../index.html#here"><a href="#none"><a href="gone.html"><img src="../none.svg"><a href="https://a.example/">"##;
        fs::write(dir.join("docs/page.html"), page).unwrap();
        fs::write(
            dir.join("index.html"),
            r##"<h1 id="here"></h1><a href="docs/page.html"><a href="#here">"##,
        )
        .unwrap();
        let wrong = dead_links(&dir).unwrap();
        let in_page = |link: &str| format!("docs/page.html: {link}");
        assert_eq!(wrong, ["#none", "gone.html", "../none.svg"].map(in_page));
    }
}
