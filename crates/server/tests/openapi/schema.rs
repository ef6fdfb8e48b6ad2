//! The part of JSON Schema that the description uses, as a checker. Anything else in a schema is a failure,
//! so that nothing is believed checked that is not.

use serde_json::Value;

/// What a schema may say without being about a value.
const NOTES: [&str; 5] = ["description", "default", "example", "examples", "$comment"];

/// Checks `value` against `schema`, whose references resolve in `document`. Says where it does not fit.
pub(crate) fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else { return Err(format!("{at}: not a schema: {schema}")) };
    for (keyword, says) in keywords {
        if !fits(document, keywords, keyword, says, value, at)? {
            return Err(format!("{at}: {value} is not {keyword} {says}"));
        }
    }
    Ok(())
}

fn fits(
    document: &Value,
    schema: &serde_json::Map<String, Value>,
    keyword: &str,
    says: &Value,
    value: &Value,
    at: &str,
) -> Result<bool, String> {
    Ok(match keyword {
        note if NOTES.contains(&note) => true,
        "$ref" => {
            let reference = says.as_str().unwrap_or_default();
            let target = resolve(document, reference).ok_or(format!("{at}: {reference} leads nowhere"))?;
            return check(document, target, value, at).map(|()| true);
        }
        "type" => match says {
            Value::Array(types) => types.iter().any(|one| is_of(value, one)),
            one => is_of(value, one),
        },
        "enum" => says.as_array().is_some_and(|values| values.contains(value)),
        "const" => says == value,
        "minimum" => value.as_f64().is_none_or(|number| says.as_f64().is_some_and(|least| number >= least)),
        "maximum" => value.as_f64().is_none_or(|number| says.as_f64().is_some_and(|most| number <= most)),
        "exclusiveMinimum" => {
            value.as_f64().is_none_or(|number| says.as_f64().is_some_and(|least| number > least))
        }
        "minLength" => value.as_str().is_none_or(|text| Some(text.chars().count() as u64) >= says.as_u64()),
        "maxLength" => value.as_str().is_none_or(|text| Some(text.chars().count() as u64) <= says.as_u64()),
        "required" => {
            let mut keys = says.as_array().into_iter().flatten().filter_map(Value::as_str);
            keys.all(|key| value.get(key).is_some())
        }
        "oneOf" => {
            let schemas = says.as_array().into_iter().flatten();
            schemas.filter(|one| check(document, one, value, at).is_ok()).count() == 1
        }
        "anyOf" => {
            let mut schemas = says.as_array().into_iter().flatten();
            schemas.any(|one| check(document, one, value, at).is_ok())
        }
        "items" => {
            for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                check(document, says, item, &format!("{at}/{index}"))?;
            }
            true
        }
        "properties" => {
            for (key, inner) in says.as_object().into_iter().flatten() {
                if let Some(property) = value.get(key) {
                    check(document, inner, property, &format!("{at}/{key}"))?;
                }
            }
            true
        }
        "additionalProperties" if says == &Value::Bool(false) => {
            let known = |key: &String| schema["properties"].get(key).is_some();
            value.as_object().into_iter().flatten().all(|(key, _)| known(key))
        }
        unknown => return Err(format!("{at}: this checker does not know the keyword {unknown}")),
    })
}

fn is_of(value: &Value, one: &Value) -> bool {
    match one.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    }
}

/// What a reference inside the document means.
pub(crate) fn resolve<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    document.pointer(reference.strip_prefix('#')?)
}

/// All references in the document.
pub(crate) fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(key, inner)| match inner.as_str() {
                Some(reference) if key == "$ref" => vec![reference],
                _ => references(inner),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
