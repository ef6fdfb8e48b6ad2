//! Headless Chromium on a page.

use watertight_testkit::Program;

/// Opens `url` in a browser with a profile of its own. Dropping it ends the browser.
pub(crate) fn chromium(url: &str, profile: &std::path::Path) -> Program {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths)
        .flat_map(|dir| names.map(|name| dir.join(name)))
        .find(|path| path.exists())
        .expect("this test needs a browser: install `chromium` (Debian, Ubuntu: apt-get install chromium)");
    let profile = format!("--user-data-dir={}", profile.display());
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--remote-debugging-port=0",
        &profile,
        url,
    ];
    Program::start(found, flags)
}
