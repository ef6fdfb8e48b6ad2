//! What the project depends on: licences, sources, duplicates (`deny.toml`) and known vulnerabilities; and the list of it
//! that goes beside a release.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::clients::packages;
use crate::step::{self, Outcome, cargo, root, succeeds};

/// The version of cargo-deny that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// Installs cargo-deny if it is missing; that takes some minutes, once.
pub(crate) fn set_up() -> Outcome {
    if succeeds("cargo", &["deny", "--version"]) {
        return Ok(());
    }
    // Not optimized: it is compiled once, and runs for seconds.
    let mut install = cargo(&["install", "cargo-deny", "--locked", "--version", CARGO_DENY, "--debug"]);
    install.arg("--target-dir").arg(step::tools_build());
    step::run("install cargo-deny", install)
}

/// Checks the dependencies of all packages. What needs an answer from elsewhere is left out where none comes, and that is
/// said.
pub(crate) fn check() -> Outcome {
    set_up()?;
    step::run(
        "licences, bans and sources",
        cargo(&["deny", "--locked", "check", "licenses", "bans", "sources"]),
    )?;
    if succeeds("cargo", &["deny", "--locked", "fetch", "db"]) {
        step::run("advisories", cargo(&["deny", "--locked", "check", "--disable-fetch", "advisories"]))?;
    } else {
        println!("xtask: advisories are NOT checked: their data base cannot be fetched");
    }
    packages().try_for_each(audit)
}

/// `npm audit`, whose answer comes from the registry.
fn audit(package: &str) -> Outcome {
    println!("xtask: audit of {package}");
    let mut audit = Command::new("npm");
    audit.args(["audit", "--json", "--audit-level=high", "--prefix"]).arg(root().join(package));
    let output = audit.output().map_err(|error| format!("npm audit: {error}"))?;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if answer["metadata"]["vulnerabilities"].is_null() {
        println!("xtask: {package} is NOT audited: the registry gives no answer");
        return Ok(());
    }
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{package} has vulnerable dependencies: {}", answer["metadata"]["vulnerabilities"]))
}

/// Writes the list of everything that the binary is made of to `target/watertight.cdx.json` (CycloneDX 1.5).
pub(crate) fn list() -> Outcome {
    list_into(&root().join("target/watertight.cdx.json"))
}

/// Writes it to a file.
pub(crate) fn list_into(file: &Path) -> Outcome {
    let mut command = cargo(&["metadata", "--format-version=1", "--locked"]);
    let output = command.current_dir(root()).output().map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let bill = bill_of(&metadata, "watertight-cli").ok_or("cargo metadata has no watertight-cli")?;
    write(file, &bill).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("xtask: {} components in {}", bill["components"].as_array().map_or(0, Vec::len), file.display());
    Ok(())
}

fn write(file: &Path, bill: &Value) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, format!("{bill:#}\n"))
}

/// The bill of materials of a package: all that it is linked to, and what links to what. Nothing that only tests and
/// builds need.
fn bill_of(metadata: &Value, name: &str) -> Option<Value> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let packages: BTreeMap<String, &Value> =
        metadata["packages"].as_array()?.iter().filter_map(|it| Some((text(&it["id"])?, it))).collect();
    let is_linked = |dep: &Value| {
        dep["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    let linked = |node: &Value| -> Vec<String> {
        let deps = node["deps"].as_array().into_iter().flatten();
        deps.filter(|dep| is_linked(dep)).filter_map(|dep| text(&dep["pkg"])).collect()
    };
    let nodes = metadata["resolve"]["nodes"].as_array()?;
    let links: BTreeMap<String, Vec<String>> =
        nodes.iter().filter_map(|node| Some((text(&node["id"])?, linked(node)))).collect();
    let own = packages.iter().find(|(_, package)| package["name"] == name).map(|(id, _)| id.clone())?;

    let (mut found, mut open) = (BTreeSet::new(), vec![own.clone()]);
    while let Some(id) = open.pop() {
        if found.insert(id.clone()) {
            open.extend(links.get(&id).into_iter().flatten().cloned());
        }
    }
    // Cargo's own ids hold paths of this machine.
    let reference = |id: &String| {
        let package = packages.get(id)?;
        Some(format!("pkg:cargo/{}@{}", package["name"].as_str()?, package["version"].as_str()?))
    };
    let component = |id: &String| {
        let package = packages.get(id)?;
        let mut component = json!({
            "type": if *id == own { "application" } else { "library" },
            "bom-ref": reference(id)?,
            "name": package["name"],
            "version": package["version"],
            "purl": reference(id)?,
        });
        if let Some(licence) = package["license"].as_str() {
            // Older packages write a slash for "or".
            let expression = licence.replace(" / ", " OR ").replace('/', " OR ");
            component["licenses"] = json!([{ "expression": expression }]);
        }
        Some(component)
    };
    let components: Vec<Value> = found.iter().filter(|id| **id != own).filter_map(component).collect();
    let dependency = |id: &String| {
        let on: Vec<String> = links.get(id).into_iter().flatten().filter_map(reference).collect();
        Some(json!({ "ref": reference(id)?, "dependsOn": on }))
    };
    let dependencies: Vec<Value> = found.iter().filter_map(dependency).collect();
    Some(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(&own)? },
        "components": components,
        "dependencies": dependencies,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_has_what_is_linked_with_its_licence_and_nothing_that_only_tests_and_builds_need() {
        let package = |name: &str, licence: &str| json!({ "id": format!("id-{name}"), "name": name, "version": "1.0.0", "license": licence });
        let dep =
            |name: &str, kind: Value| json!({ "pkg": format!("id-{name}"), "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [
                package("hub", "MIT"), package("direct", "MIT/Apache-2.0"), package("far", "ISC"),
                package("tested", "MIT"), package("built", "MIT"), package("other", "MIT"),
            ],
            "resolve": { "nodes": [
                { "id": "id-hub", "deps": [
                    dep("direct", Value::Null), dep("tested", json!("dev")), dep("built", json!("build")),
                ] },
                { "id": "id-direct", "deps": [dep("far", Value::Null)] },
                { "id": "id-far", "deps": [] },
                { "id": "id-tested", "deps": [dep("other", Value::Null)] },
            ] },
        });
        let bill = bill_of(&metadata, "hub").unwrap();
        assert_eq!(bill["metadata"]["component"]["name"], "hub");
        let components = bill["components"].as_array().unwrap();
        let names: Vec<_> = components.iter().map(|it| it["purl"].as_str().unwrap()).collect();
        assert_eq!(names, ["pkg:cargo/direct@1.0.0", "pkg:cargo/far@1.0.0"]);
        assert_eq!(components[0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["dependencies"].as_array().unwrap().len(), 3);
        let own = json!({ "ref": "pkg:cargo/hub@1.0.0", "dependsOn": ["pkg:cargo/direct@1.0.0"] });
        assert!(bill["dependencies"].as_array().unwrap().contains(&own));
        assert!(!bill.to_string().contains("id-"), "no id of cargo's");
        assert!(bill_of(&metadata, "nobody").is_none());
    }
}
