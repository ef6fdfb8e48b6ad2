use super::*;

/// Name, labels, value and timestamp.
type Parts = (String, Vec<(String, String)>, f64, Option<f64>);

fn sample(line: &str) -> Result<Parts, Bad> {
    match Line::parse(line.as_bytes(), Dialect::Text, 4)? {
        Line::Sample(raw) => {
            let labels =
                raw.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            Ok((raw.name.to_string(), labels, raw.value, raw.timestamp))
        }
        other => panic!("{line:?} is {other:?}"),
    }
}

/// A sample with the label `l="v"`, value 1, and this timestamp.
fn one(line: &str, name: &str, timestamp: Option<f64>) {
    let labels = vec![("l".to_string(), "v".to_string())];
    assert_eq!(sample(line), Ok((name.to_string(), labels, 1.0, timestamp)), "{line:?}");
}

#[test]
fn blanks_and_tabs_may_stand_wherever_parts_meet() {
    for line in [
        "up{l=\"v\"} 1",
        "up{l=\"v\"}1",
        " \tup{l=\"v\"} 1 \t ",
        "up\t{\tl\t=\t\"v\"\t}\t1\t",
        "up { l = \"v\" , } 1.0e0",
        "up{l=\"v\"} 1\r",
        "{\"up\",l=\"v\"} 1",
        "{ \"up\" , l = \"v\" , } 1",
        "{l=\"v\",\"up\"} 1",
        "up{\"l\"=\"v\"} 1",
    ] {
        one(line, "up", None);
    }
}

#[test]
fn names_may_be_any_text_in_quotation_marks() {
    one("{\"metric.name\",l=\"v\"} 1", "metric.name", None);
    one("{\"a \\\"b\\\" {c} # é\",l=\"v\"} 1", "a \"b\" {c} # é", None);
    assert_eq!(sample("{\"metric.name\"} 1").unwrap().0, "metric.name");
    let (_, labels, ..) = sample("up{\"label.name\"=\"v\"} 1").unwrap();
    assert_eq!(labels, [("label.name".to_string(), "v".to_string())]);
}

#[test]
fn timestamps_and_exemplars_are_read() {
    one("up{l=\"v\"} 1 1395066363000", "up", Some(1_395_066_363_000.0));
    one("up{l=\"v\"} 1 -3982045", "up", Some(-3_982_045.0));
    one("up{l=\"v\"} 1 # {trace_id=\"KOO5S4vxi0o\"} 0.67", "up", None);
    one("up{l=\"v\"} 1 1520879607.789 # {a=\"}#\"} 9.8 1520879607.789", "up", Some(1_520_879_607.789));
    one("up{l=\"v\"} 1 # {} 1", "up", None);
}

#[test]
fn values_of_labels_are_unescaped_and_may_hold_what_separates() {
    let (_, labels, ..) = sample(r#"up{a="},{=#",b="C:\\DIR\n\"x\" \q",c=""} 1"#).unwrap();
    let values: Vec<&str> = labels.iter().map(|(_, value)| &**value).collect();
    assert_eq!(values, ["},{=#", "C:\\DIR\n\"x\" \\q", ""]);
}

#[test]
fn numbers_are_read_as_go_reads_them() {
    for (text, value) in [
        ("+Inf", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("Infinity", f64::INFINITY),
        (".5", 0.5),
        ("1.", 1.0),
        ("-1.458255915e9", -1.458_255_915e9),
        ("1e400", f64::INFINITY),
    ] {
        assert_eq!(sample(&format!("up {text}")).unwrap().2, value, "{text}");
    }
    assert!(sample("up NaN").unwrap().2.is_nan());
}

#[test]
fn a_bad_line_says_what_is_wrong_with_it() {
    for (line, bad) in [
        ("up", Bad::NoValue),
        ("up ", Bad::NoValue),
        ("up{}", Bad::NoValue),
        ("up # {} 1", Bad::NoValue),
        ("up one", Bad::Value),
        ("up 0x1p-2", Bad::Value),
        ("up 1_000", Bad::Value),
        ("up 1 now", Bad::Timestamp),
        ("up 1 NaN", Bad::Timestamp),
        ("up 1 2 3", Bad::Behind),
        ("1up 1", Bad::NoName),
        ("é 1", Bad::NoName),
        ("up.time 1", Bad::NoName),
        ("\"up\" 1", Bad::NoName),
        ("{} 1", Bad::NoName),
        ("{l=\"v\"} 1", Bad::NoName),
        ("{\"\"} 1", Bad::Labels),
        ("up{\"down\"} 1", Bad::TwoNames),
        ("{\"up\",\"down\"} 1", Bad::TwoNames),
        ("up{l} 1", Bad::Labels),
        ("up{l=v} 1", Bad::Labels),
        ("up{,} 1", Bad::Labels),
        ("up{l=\"v\",,} 1", Bad::Labels),
        ("up{l=\"v\" m=\"v\"} 1", Bad::Labels),
        ("up{l:m=\"v\"} 1", Bad::Labels),
        ("up{l=\"v} 1", Bad::Unclosed),
        ("up{l=\"v\\\"} 1", Bad::Unclosed),
        ("up{l=\"v\" 1", Bad::Labels),
        ("up{l=\"v\"", Bad::Unclosed),
        ("up{a=\"1\",b=\"2\",a=\"3\"} 1", Bad::LabelTwice),
        ("up{a=\"\",b=\"\",c=\"\",d=\"\",e=\"\"} 1", Bad::TooManyLabels(4)),
        ("up 1 # trace", Bad::Exemplar),
        ("up 1 # {a=\"b\"}", Bad::Exemplar),
        ("up 1 # {\"a\"} 1", Bad::Exemplar),
        ("up 1 # {a=\"b\"} 1 2 3", Bad::Exemplar),
    ] {
        assert_eq!(sample(line), Err(bad), "{line:?}");
    }
    assert_eq!(Line::parse(b"up{l=\"\xff\"} 1", Dialect::Text, 4), Err(Bad::NotUtf8));
}

#[test]
fn comments_are_types_helps_or_nothing() {
    let parse = |line: &'static str, dialect| Line::parse(line.as_bytes(), dialect, 4);
    let help = |name: &'static str, text: &'static str| Ok(Line::Help(name.into(), text.into()));
    for (line, dialect, expected) in [
        ("# TYPE up gauge", Dialect::Text, Ok(Line::Type("up".into(), FamilyType::Gauge))),
        ("#\tTYPE\tup\tcounter\t", Dialect::Text, Ok(Line::Type("up".into(), FamilyType::Counter))),
        ("# TYPE \"a.b\" unknown", Dialect::Text, Ok(Line::Type("a.b".into(), FamilyType::Untyped))),
        ("# TYPE up sometimes", Dialect::Text, Err(Bad::Type)),
        ("# TYPE up gauge or so", Dialect::Text, Err(Bad::Behind)),
        ("# TYPE up", Dialect::Text, Err(Bad::Type)),
        ("# HELP up It is  up.", Dialect::Text, help("up", "It is  up.")),
        ("# HELP up", Dialect::Text, help("up", "")),
        (r"# HELP up C:\\DIR\n\x\", Dialect::Text, help("up", "C:\\DIR\n\\x\\")),
        (r#"# HELP up say \"x\""#, Dialect::Text, help("up", r#"say \"x\""#)),
        (r#"# HELP up say \"x\""#, Dialect::OpenMetrics, help("up", r#"say "x""#)),
        ("# HELP", Dialect::Text, Err(Bad::NoName)),
        ("# EOF", Dialect::OpenMetrics, Ok(Line::Eof)),
        ("# EOF", Dialect::Text, Ok(Line::Nothing)),
        ("# UNIT up seconds", Dialect::OpenMetrics, Ok(Line::Nothing)),
        ("#HELPless", Dialect::Text, Ok(Line::Nothing)),
        ("#", Dialect::Text, Ok(Line::Nothing)),
        (" \t\r", Dialect::Text, Ok(Line::Nothing)),
    ] {
        assert_eq!(parse(line, dialect), expected, "{line:?}");
    }
}
