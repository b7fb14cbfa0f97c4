use std::io;

use serde::Serialize;

/// JSON whose bytes depend only on the value: object keys are sorted, and there are no spaces.
///
/// # Errors
/// The value cannot be represented in JSON.
pub fn canonical_json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}
