//! The body of every answer that is not a success: `{"message":"CODE"}`.

use serde::{Deserialize, Serialize};

/// What went wrong, as one word of the protocol (`TOPIC_NOT_FOUND`), sometimes as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    /// The code.
    pub message: String,
}
