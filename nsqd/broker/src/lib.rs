//! What a topic and its channels are.

pub mod storage;
