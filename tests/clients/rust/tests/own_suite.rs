//! The tests that tokio-nsq ships, as they are: compiled from its package, run where they find the hosts they name.

include!(concat!(env!("TOKIO_NSQ"), "/tests/test_live.rs"));
