//! The meaning of an unquoted word in Go.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// The meaning of an unquoted word.
pub(super) fn plain(text: Cow<'_, str>) -> Result<Value, String> {
    let number = match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Ok(Value::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Ok(Value::Bool(false));
        }
        word if is_not_finite(word) => {
            return Err(format!("`{word}` cannot be represented in JSON: quote it"));
        }
        word => match word.as_bytes().first() {
            Some(b'0'..=b'9' | b'+' | b'-') if !is_timestamp(word) => {
                let word = word.replace('_', "");
                integer(&word).or_else(|| float(&word))
            }
            Some(b'.') => float(word),
            _ => None,
        },
    };
    Ok(number.unwrap_or_else(|| Value::String(text.into_owned())))
}

fn is_not_finite(word: &str) -> bool {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(word, ".nan" | ".NaN" | ".NAN")
}

/// Go tries dates before numbers and keeps them as strings. Nothing that begins like a date is a number.
fn is_timestamp(word: &str) -> bool {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    digits == 4 && word.as_bytes().get(4) == Some(&b'-')
}

/// Go's `strconv.ParseInt` with base 0.
fn integer(word: &str) -> Option<Value> {
    let (is_negative, unsigned) = match word.as_bytes().first()? {
        b'-' => (true, &word[1..]),
        b'+' => (false, &word[1..]),
        _ => (false, word),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (digits, base) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    if !is_negative {
        // Go's unsigned parser takes no sign.
        let fits = i64::try_from(magnitude).is_ok() || !word.starts_with('+');
        return fits.then(|| Value::from(magnitude));
    }
    let value = i128::from(magnitude).checked_neg()?;
    i64::try_from(value).ok().map(Value::from)
}

/// A decimal number with a point or an exponent. Whole numbers are written without the point, as Go's JSON does.
fn float(word: &str) -> Option<Value> {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_mantissa = match mantissa.split_once('.') {
        Some((whole, part)) => {
            digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty())
        }
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let is_exponent = exponent.is_none_or(|exponent| {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !unsigned.is_empty() && digits(unsigned)
    });
    if !is_mantissa || !is_exponent {
        return None;
    }
    let value: f64 = word.parse().ok()?;
    json_number(value)
}

/// `None` if it is too large; Go keeps it as a string.
fn json_number(value: f64) -> Option<Value> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "only taken when it comes back the same"
    )]
    let whole = value as i64;
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_cmp,
        reason = "only taken when it comes back the same"
    )]
    let is_whole = value.abs() < 9e15 && whole as f64 == value;
    if is_whole {
        return Some(Value::from(whole));
    }
    Number::from_f64(value).map(Value::Number)
}
