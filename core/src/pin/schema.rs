//! Reads from an input schema (JSON Schema 2020-12) which arguments a tool declares.
//!
//! Invariant: where a schema leaves open what may stand somewhere, everything may; only what it certainly does not declare is missing.

use serde_json::{Map, Value};

use crate::policy::Path;

/// Keywords by which a schema declares members in other ways than one by one.
const OPEN: [&str; 8] =
    ["patternProperties", "$ref", "allOf", "anyOf", "oneOf", "if", "unevaluatedProperties", "dependentSchemas"];

/// The properties of an object schema, unless it says that it takes others or declares them by other means.
pub(super) fn declared(schema: &Value) -> Option<&Map<String, Value>> {
    let others = &schema["additionalProperties"];
    let is_open = others.as_bool() == Some(true) || others.is_object() || is_open(schema);
    schema["properties"].as_object().filter(|_| !is_open)
}

fn is_open(schema: &Value) -> bool {
    OPEN.iter().any(|keyword| !schema[*keyword].is_null())
}

/// The name in a path that a tool's input schema certainly does not declare, with the names that it declares there.
pub(crate) fn undeclared<'p, 's>(schema: &'s Value, path: &'p Path) -> Option<(&'p str, Vec<&'s str>)> {
    let mut schema = schema;
    for step in path.steps() {
        if !schema["items"].is_null() && schema["properties"].is_null() {
            // A number or `*` leads to an item; a name leads nowhere, but the schema may take objects too.
            schema = &schema["items"];
            continue;
        }
        // What `*` stands for differs in what it declares; nothing certain is said behind it.
        let (properties, name) = (declared(schema)?, step?);
        let Some(next) = properties.get(name) else {
            return Some((name, properties.keys().map(String::as_str).collect()));
        };
        schema = next;
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn missing(schema: &Value, path: &str) -> Option<String> {
        undeclared(schema, &Path::parse(path).unwrap()).map(|(name, _)| name.to_owned())
    }

    #[test]
    fn r91_a_path_that_leads_nowhere_is_told() {
        let row = json!({"type": "object", "properties": {"id": {"type": "integer"}}});
        let schema = json!({"properties": {"sql": {"type": "string"}, "rows": {"type": "array", "items": row}, "any": {}}});
        for (path, name) in [("/sq", Some("sq")), ("/rows/0/ident", Some("ident")), ("/rows/*/ident", Some("ident"))] {
            assert_eq!(missing(&schema, path).as_deref(), name, "{path}");
        }
        for path in ["", "/**", "/*", "/sql", "/rows", "/rows/*/id", "/rows/**", "/any/x/y", "/*/x"] {
            assert_eq!(missing(&schema, path), None, "{path}");
        }
        assert_eq!(undeclared(&schema, &Path::parse("/x").unwrap()).unwrap().1, ["any", "rows", "sql"]);
    }

    #[test]
    fn an_open_schema_has_everything() {
        for open in
            [json!({}), json!({"properties": {"a": {}}, "additionalProperties": true}), json!({"properties": {}, "$ref": "#/x"})]
        {
            assert_eq!(missing(&open, "/b"), None, "{open}");
        }
    }
}
