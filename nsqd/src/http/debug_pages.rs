//! That the debug pages, which all daemons share, are where nsqd has them.

use crate::http::testing::{Server, get, post, put};

#[tokio::test]
async fn pages_that_mean_something_here_are_given() {
    let server = Server::new();
    assert!(server.ask(get("/debug/pprof/")).await.body.contains("\ncmdline "));
    assert_eq!(server.ask(get("/debug/pprof/symbol")).await.body, "num_symbols: 1\n");
    assert_eq!(server.ask(post("/debug/pprof/symbol", "0x1")).await.body, "num_symbols: 1\n");
    let program = std::env::args().next().unwrap();
    assert!(server.ask(get("/debug/pprof/cmdline")).await.body.starts_with(&program));
    assert_eq!(server.ask(get("/debug/pprof")).await.code(), "301 ");
}

#[tokio::test]
async fn go_profiles_are_refused_by_name() {
    let server = Server::new();
    for name in ["profile?seconds=1", "heap", "goroutine?debug=1", "block", "threadcreate"] {
        assert_eq!(server.ask(get(&format!("/debug/pprof/{name}"))).await.code(), "501 NOT_IMPLEMENTED");
    }
    assert_eq!(server.ask(get("/debug/pprof/trace")).await.code(), "404 NOT_FOUND");
}

#[tokio::test]
async fn switches_of_gos_runtime_are_accepted() {
    let server = Server::new();
    assert_eq!(server.ask(put("/debug/setblockrate?rate=1", "")).await.status, 200);
    assert_eq!(server.ask(post("/debug/freememory", "")).await.status, 200);
    let bad = server.ask(put("/debug/setblockrate?rate=x", "")).await;
    assert_eq!(bad.body, "invalid block rate : strconv.Atoi: parsing \"x\": invalid syntax");
    assert_eq!(bad.status, 400);
}
