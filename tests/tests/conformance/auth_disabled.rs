//! AUTH where no authorization server is configured.

use nsq_tests::raw::be;
use nsq_tests::{each, shared};

#[test]
fn auth_is_checked_and_then_refused() {
    let daemon = shared();
    let secret = [be(6).to_vec(), b"s3cret".to_vec()].concat();
    each(
        [
            ("AUTH with parameters\n", Vec::new(), "E_INVALID AUTH invalid number of parameters"),
            ("AUTH\n", be(0).to_vec(), "E_BAD_BODY AUTH invalid body size 0"),
            ("AUTH\n", vec![0xff; 4], "E_BAD_BODY AUTH invalid body size -1"),
            ("AUTH\n", be(5_242_881).to_vec(), "E_BAD_BODY AUTH body too big 5242881 > 5242880"),
            ("AUTH\n", secret, "E_AUTH_DISABLED AUTH disabled"),
        ],
        |(line, body, error)| {
            let mut client = daemon.connect();
            client.send([line.as_bytes(), body].concat());
            client.expect_fatal(error);
        },
    );
}

#[test]
fn a_subscribed_client_may_not_authorize() {
    let daemon = shared();
    let mut client = daemon.subscribe("auth_disabled", "c");
    client.send("AUTH\n");
    client.expect_fatal("E_INVALID cannot AUTH in current state");
}
