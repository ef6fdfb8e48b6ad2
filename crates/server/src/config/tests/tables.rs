//! Deployments and services that the file declares.

use super::super::declared::DECLARED_MAX;
use super::super::{Deployment, Mistake};
use super::*;
use crate::resource::ResourceId;

const GOOD: &str = "\
retry = 3

[deployments.42]
owner = \"ada\"

[deployments.\"a b\"]
owner = \"grace\"

[services.api]
owner = \"ada\"
prometheus = \"http://u:hunter2@127.0.0.1:9100/metrics\"
families = [\"http_requests_total\", \"up\"]

[services.db]
pid = 17
[services.web]
owner = \"lin\"
cgroup = \"/sys/fs/cgroup/web\"
[services.this]
host = true
";

fn id(text: &str) -> ResourceId {
    ResourceId::new(text).unwrap()
}

#[test]
fn deployments_and_services_are_declared_in_tables_of_the_file() {
    let declared = load_file(GOOD).unwrap().config.declared;
    let owner = |text: &str| Some(text.to_owned());
    assert_eq!(declared.deployments.len(), 2);
    assert_eq!(declared.deployments[&id("42")], Deployment { owner: owner("ada") });
    assert_eq!(declared.deployments[&id("a b")], Deployment { owner: owner("grace") });
    let api = &declared.services[&id("api")];
    assert_eq!((api.owner.as_deref(), api.families.len(), api.host), (Some("ada"), 2, false));
    assert_eq!(api.prometheus.as_ref().unwrap().expose().password(), Some("hunter2"));
    let [db, web, this] = ["db", "web", "this"].map(|name| &declared.services[&id(name)]);
    assert_eq!((db.owner.as_deref(), db.pid), (None, Some(17)));
    assert_eq!(web.cgroup.as_deref(), Some(std::path::Path::new("/sys/fs/cgroup/web")));
    assert!(this.host && this.pid.is_none());
}

#[test]
fn declared_tables_stand_in_the_report_and_read_back() {
    let file = GOOD.replace("u:hunter2@", "");
    let loaded = load_file(&file).unwrap();
    let report = loaded.report();
    for part in [
        "\n[deployments.42]  # ",
        "hub.toml:3:14\nowner = \"ada\"\n",
        "\n[deployments.\"a b\"]  # ",
        "pid = 17\n",
    ] {
        assert!(report.contains(part), "{part:?}\n\n{report}");
    }
    let again = load_file(&report).unwrap();
    assert_eq!(again.config, loaded.config);
    let json = serde_json::to_value(&loaded).unwrap();
    assert_eq!(json["tables"].as_array().unwrap().len(), 6);
    assert_eq!(json["tables"][0]["values"]["owner"], "ada");
    assert_eq!(json["tables"][0]["origin"]["line"], 3);

    let secret = load_file(GOOD).unwrap();
    let shown = format!("{secret:?}{}{}", secret.report(), serde_json::to_string(&secret).unwrap());
    assert!(
        !shown.contains("hunter2") && shown.contains("http://(secret)@127.0.0.1:9100/metrics"),
        "{shown}"
    );
}

#[test]
fn what_is_wrong_in_a_table_is_named_with_line_key_and_what_would_do() {
    let file = "\
[deployments.1]
[deployments.2]
owner = 5
[deployments.3]
ownr = \"ada\"
[deployments.\"a/b\"]
owner = \"ada\"
[services.a]
pid = 0
prometheus = \"http://hunter2\\n\"
[services.b]
pid = 4
host = true
[services.c]
families = [\"up\"]
[deployment.4]
owner = \"ada\"
";
    assert_eq!(
        refusal(file, &[], &[]),
        "\
the configuration is refused, 9 problems:
hub.toml:1:14: deployments.1: has no owner
    write owner = \"USER\" into it
hub.toml:3:9: deployments.2.owner = 5: not the name of a user
    use a text such as \"ada\", as tokens have it in `sub`
hub.toml:5:1: deployments.3.ownr: no such key
    did you mean owner?
hub.toml:6:14: deployments: \"a/b\": an id must not contain control characters or /
    write a table for each, such as [deployments.42]
hub.toml:9:7: services.a.pid = 0: too small, processes count from 1
    use a whole number, from 1 to 4194304
hub.toml:10:14: services.a.prometheus: has a blank or a control character
    use a URL with http:// or https://, such as \"https://app.example.com/watertight/owns\", or \"none\"
hub.toml:11:11: services.b: has several sources of figures
    keep one of prometheus, pid, cgroup and host
hub.toml:14:11: services.c: has families of figures but no endpoint
    write prometheus = \"URL\" into it
hub.toml:16:2: deployment: no such setting
    did you mean deployments?"
    );
}

#[test]
fn what_is_no_table_is_refused_in_the_place_of_one() {
    for (file, key) in [
        ("deployments = 5", "deployments"),
        ("deployments = []", "deployments"),
        ("[deployments]\n42 = \"ada\"", "deployments.42"),
        ("[[services]]\nowner = \"ada\"", "services"),
        ("services.api = true", "services.api"),
    ] {
        let error = load_file(file).unwrap_err();
        assert_eq!(error.problems().len(), 1, "{file}: {error}");
        assert_eq!(error.problems()[0].mistake, Mistake::Malformed, "{file}");
        assert_eq!(error.problems()[0].key.as_deref(), Some(key), "{file}");
    }
}

#[test]
fn hostile_ids_cannot_forge_what_is_said() {
    for id in [r#""a\nwatertight: all is well""#, r#""\u001b[2J""#, &format!("\"{}\"", "x".repeat(100_000))] {
        let said = refusal(format!("[deployments.{id}]\nowner = 'ada'"), &[], &[]);
        assert!(!said.contains('\u{1b}') && said.lines().count() == 3 && said.len() < 500, "{said:?}");
    }
}

#[test]
fn no_more_tables_are_taken_than_the_limit_says() {
    let file =
        |count: usize| (0..count).map(|n| format!("[deployments.{n}]\nowner = \"u\"\n")).collect::<String>();
    assert_eq!(load_file(&file(DECLARED_MAX)).unwrap().config.declared.deployments.len(), DECLARED_MAX);
    let error = load_file(&file(DECLARED_MAX + 1)).unwrap_err();
    assert_eq!(error.problems().len(), 1);
    assert_eq!(error.problems()[0].mistake, Mistake::TooLarge, "{error}");
}

#[test]
fn deployments_in_the_file_are_refused_where_another_directory_is_asked() {
    let file = "directory = \"redis\"\nredis_url = \"redis://a\"\n[deployments.42]\nowner = \"ada\"\n";
    assert_eq!(
        refusal(file, &[], &[]),
        "\
the configuration is refused, 1 problem:
hub.toml:3:14: deployments.42: does not go with directory = \"redis\": nobody would ask the file
    leave the table out, or set directory = \"config\""
    );
    // A service has figures beside its owner; an owner alone would be ignored.
    let service = file.replace("deployments", "services");
    assert!(refusal(&service, &[], &[]).contains("services.42: does not go with"));
    assert!(load_file(&service.replace("owner = \"ada\"", "host = true")).is_ok());
}
