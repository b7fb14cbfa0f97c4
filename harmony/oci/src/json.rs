use std::io;

use serde::Serialize;

/// JSON whose bytes depend on the value alone: object keys in order, no spaces.
///
/// # Errors
/// The value has no form in JSON.
pub fn canonical_json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}
