//! The bytes that nsqd v1.3.0 was seen to send, from its start to its end: nsqd-operation.md §10.

use nsq_tests::Lookupd;
use nsq_tests::raw::with_body;
use nsq_tests::stats::eventually;

#[test]
fn an_nsqd_comes_works_and_goes() {
    let lookupd = Lookupd::start();
    let mut nsqd = lookupd.connect_silently();
    nsqd.send("  V1");
    nsqd.send(with_body(
        "IDENTIFY",
        r#"{"broadcast_address":"bh","hostname":"host1","http_port":24151,"tcp_port":24150,"topology_region":"rr","topology_zone":"zz","version":"1.3.0"}"#,
    ));
    let answer: serde_json::Value = serde_json::from_slice(&nsqd.response()).expect("it is JSON");
    assert_eq!(answer["http_port"], lookupd.http.port());

    // Full registration: channels where there are some, topics where there are none.
    for line in ["REGISTER old_1 c1", "REGISTER old_1 c2", "REGISTER old_2"] {
        nsqd.command(line);
    }
    nsqd.command("PING");
    // What is new.
    nsqd.command("REGISTER new");
    nsqd.command("REGISTER new c");
    nsqd.command("REGISTER fleeting#ephemeral");
    nsqd.command("REGISTER fleeting#ephemeral x#ephemeral");
    let shown = format!(
        "{{\"channels\":[\"c\"],\"producers\":[{{\"remote_address\":\"{}\",\"hostname\":\"host1\",\"broadcast_address\":\"bh\",\
         \"tcp_port\":24150,\"http_port\":24151,\"version\":\"1.3.0\",\"topology_zone\":\"zz\",\"topology_region\":\"rr\"}}]}}",
        nsqd.address()
    );
    assert_eq!(lookupd.get("/lookup?topic=new").expect_json(), shown);
    // What is deleted: the topic comes first.
    nsqd.command("UNREGISTER new");
    nsqd.command("UNREGISTER new c");
    nsqd.command("UNREGISTER fleeting#ephemeral x#ephemeral");
    nsqd.command("UNREGISTER fleeting#ephemeral");
    nsqd.command("PING");
    assert!(lookupd.found("new").is_empty());
    assert_eq!(lookupd.topics(), ["new", "old_1", "old_2"].map(str::to_owned).into());

    drop(nsqd);
    eventually("nobody", || lookupd.nodes(), |nodes| nodes.is_empty());
    assert_eq!(lookupd.channels("old_1"), ["c1", "c2"].map(str::to_owned).into());
}
