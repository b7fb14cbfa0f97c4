//! What a chart is made from: objects as a function of values.

use harmony_core::kubernetes::KubeObject;
use harmony_types::ImageRef;

use crate::error::ChartError;
use crate::values::ChartValues;

/// Says which objects a Score deploys, as a function of a few values that may differ from target to target.
///
/// The Score itself applies `objects(&values, image)`; the chart of the same app is derived from the same function, by
/// calling it with marked values and writing a hole wherever a mark comes out (see [`derive`](mod@crate::derive)). So a value may be any
/// text and any number, and must come out as it went in: whole, or within a longer text.
pub trait ChartModel: Send + Sync {
    /// One sentence for people who look for a chart.
    fn description(&self) -> String;

    /// Every value with its default.
    ///
    /// # Errors
    /// [`ChartError::Value`].
    fn values(&self) -> Result<ChartValues, ChartError>;

    /// The objects, in the order in which they are applied. Those in the target namespace say so
    /// ([`ChartValues::namespace`]).
    ///
    /// # Errors
    /// [`ChartError::Object`] or [`ChartError::Builder`].
    fn objects(
        &self,
        values: &ChartValues,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ChartError>;
}
