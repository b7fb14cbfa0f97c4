//! Counters in the text format of Prometheus.

/// The sum of all samples of `name` whose labels contain this text, such as `integration="webhook"`.
pub(super) fn sum(metrics: &str, name: &str, label: &str) -> f64 {
    let samples = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None if rest.starts_with(' ') => ("", rest),
            None => return None,
        };
        if !labels.contains(label) {
            return None;
        }
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    samples.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_are_added() {
        let metrics = "# TYPE sent_total counter\nsent_total{integration=\"email\",to=\"a}b\"} 2\n\
                       sent_total{integration=\"webhook\"} 1e+01\nsent_total_other{integration=\"webhook\"} 5\nplain 3\n";
        assert!(
            (sum(metrics, "sent_total", "integration=\"webhook\"") - 10.0).abs() < f64::EPSILON
        );
        assert!((sum(metrics, "sent_total", "") - 12.0).abs() < f64::EPSILON);
        assert!((sum(metrics, "plain", "") - 3.0).abs() < f64::EPSILON);
        assert!(sum(metrics, "missing", "").abs() < f64::EPSILON);
    }
}
