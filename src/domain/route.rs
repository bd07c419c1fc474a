//! The two ways in which the service makes covers.

use super::words::words;

words! {
    /// A way to ask for a cover and to read its record: other paths, other bodies, other words for the same.
    Route {
        /// The endpoints for covers alone, which both providers have.
        Legacy = "legacy",
        /// kie.ai's endpoints for jobs of all models.
        Jobs = "jobs",
    }
}
