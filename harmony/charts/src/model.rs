//! The source of a generated chart: objects as a function of values.

use harmony_core::kubernetes::KubeObject;
use harmony_types::ImageRef;

use crate::error::ChartError;
use crate::values::ChartValues;

/// Returns the objects that a Score deploys, as a function of a few values that can differ between targets.
///
/// The Score itself applies `objects(&values, image)`. The chart of the same app is generated from the same function,
/// by calling it with marked values and writing a placeholder wherever a mark appears (see
/// [`derive`](mod@crate::derive)). So a value can be any string or number, and must appear unchanged in the output:
/// alone, or within a longer string.
pub trait ChartModel: Send + Sync {
    /// One sentence for users who search for a chart.
    fn description(&self) -> String;

    /// All values with their defaults.
    ///
    /// # Errors
    /// [`ChartError::Value`].
    fn values(&self) -> Result<ChartValues, ChartError>;

    /// The objects, in the order in which they are applied. Objects in the target namespace use
    /// [`ChartValues::namespace`].
    ///
    /// # Errors
    /// [`ChartError::Object`] or [`ChartError::Builder`].
    fn objects(
        &self,
        values: &ChartValues,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ChartError>;
}
