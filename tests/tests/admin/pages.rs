//! The page: where it is, what it is told, what a browser may do with it.

use crate::access::hash;
use nsq_tests::{Admin, differences, each};

const NODE: &str = "--nsqd-http-address=127.0.0.1:1";

#[test]
fn all_pages_are_one_and_the_same() {
    let admin = Admin::with(&[NODE]);
    let index = admin.get("/");
    assert!(index.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html")), "{index:?}");
    each(["/topics", "/topics/t", "/topics/t/c", "/nodes", "/nodes/n:1", "/counter", "/lookup"], |path| {
        let page = admin.get(path);
        assert_eq!((page.status, &page.body), (200, &index.body));
    });
}

#[test]
fn the_page_runs_no_script_but_its_own() {
    if !differences::admin_has_extensions() {
        return;
    }
    let hostile = "--statsd-prefix='\"><script>alert(1)</script>";
    let admin = Admin::with(&[NODE, hostile, "--base-path=/x"]);
    let page = admin.get("/x");
    let policy = page.header("Content-Security-Policy").expect("there is a policy");
    assert!(policy.contains("script-src 'self';") && policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    for path in ["/x", "/x/ping", "/x/api/settings", "/x/nowhere"] {
        assert_eq!(admin.get(path).header("X-Content-Type-Options"), Some("nosniff"), "{path}");
    }
    assert!(!page.text().contains("<script>"), "{}", page.text());
    assert!(page.text().contains("<base href=\"/x/\">"), "{}", page.text());
}

#[test]
fn the_page_names_what_it_asks_first_to_those_who_may_have_it() {
    if !differences::admin_has_extensions() {
        return;
    }
    let users = tempfile::NamedTempFile::new().expect("the temporary directory is writable");
    std::fs::write(users.path(), format!("ann:viewer:{}\n", hash("secret"))).expect("it can be written");
    let guarded = format!("--auth-file={}", users.path().display());
    let preload = r#"<link rel="preload" as="fetch" crossorigin href="api/overview">"#;
    assert!(Admin::with(&[NODE]).get("/").text().contains(preload));
    for flag in [guarded.as_str(), "--sample-interval=0"] {
        assert!(!Admin::with(&[NODE, flag]).get("/").text().contains(preload), "{flag}");
    }
}

#[test]
fn a_directory_can_stand_in_for_the_built_files() {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    std::fs::write(directory.path().join("main.js"), "let x;").expect("it can be written");
    let admin = Admin::with(&[NODE, &format!("--dev-static-dir={}", directory.path().display())]);
    let file = admin.get("/static/main.js");
    assert_eq!((file.status, file.text()), (200, "let x;"));
    assert!(file.header("Content-Type").is_some_and(|kind| kind.contains("javascript")), "{file:?}");
    for path in ["/static/other.js", "/static/..%2Fmain.js", "/static/a/main.js"] {
        assert_eq!(admin.get(path).status, 404, "{path}");
    }
}
