//! YAML that Go reads as it was meant.

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;
use serde_saphyr::SerializerOptions;

use super::ChartError;

/// Writes `value` as YAML that Helm, `kubectl` and Argo CD read back the same.
///
/// Their parser follows YAML 1.1 in part: an unquoted `yes`, `on`, `NO`, `1_000` or `12:30` is a boolean or a number
/// to it, so such texts are quoted. `apiVersion`, `kind` and `metadata` come first, other keys by name, so that the same
/// value has the same bytes whatever order its map has in memory.
///
/// # Errors
/// [`ChartError::Yaml`]; a JSON value always has a YAML form.
pub fn to_yaml_for_go(value: &Value) -> Result<String, ChartError> {
    let mut options = SerializerOptions::default();
    // a long line folded in two, or a block whose last line break counts, are easy to misread: quoted text is not
    options.prefer_block_scalars = false;
    serde_saphyr::to_string_with_options(&InOrder(value), options).map_err(|error| {
        ChartError::Yaml {
            source: error.into(),
        }
    })
}

const FIRST_KEYS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// A JSON value whose maps are written in one fixed order.
struct InOrder<'a>(&'a Value);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| {
                    let first = FIRST_KEYS.iter().position(|name| name == key);
                    (first.unwrap_or(FIRST_KEYS.len()), *key)
                });
                let mut writer = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    writer.serialize_entry(key, &InOrder(value))?;
                }
                writer.end()
            }
            Value::Array(items) => {
                let mut writer = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    writer.serialize_element(&InOrder(item))?;
                }
                writer.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}
