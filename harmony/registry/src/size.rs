//! Sizes as people read them.

/// `34.2 MB`
pub(crate) fn shown_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (size, unit) in UNITS {
        if bytes >= size {
            let tenths = bytes / (size / 10);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_decimal_units() {
        let shown = [0, 999, 1_000, 34_249_999, 2_000_000_000].map(shown_size);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "34.2 MB", "2.0 GB"]);
    }
}
