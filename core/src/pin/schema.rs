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

/// The argument that a path begins at and a tool's input schema certainly does not declare, with those that it declares. What stands
/// within an argument is not judged: calls are held against the names of their arguments only.
pub(crate) fn undeclared<'p, 's>(schema: &'s Value, path: &'p Path) -> Option<(&'p str, Vec<&'s str>)> {
    let (properties, name) = (declared(schema)?, path.steps().next()??);
    let is_declared = properties.contains_key(name);
    (!is_declared).then(|| (name, properties.keys().map(String::as_str).collect()))
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
        assert_eq!(missing(&schema, "/sq").as_deref(), Some("sq"));
        for path in ["", "/**", "/*", "/sql", "/rows", "/rows/*/ident", "/rows/**", "/any/x/y", "/*/x"] {
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
