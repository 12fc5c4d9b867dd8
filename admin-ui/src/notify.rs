//! Each change, told to an HTTP endpoint.
