//! House rules that no linter knows: who may name whom, how files begin, what never enters the repository.
//!
//! No daemon is needed. Each rule names file, line and reason; what the rules are stands in the tables first.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the sources of each crate lie, and how the crate is named in paths.
const CRATES: [(&str, &str); 6] = [
    ("nsqd/broker/src", "nsqd_broker"),
    ("nsqd/src", "nsqd"),
    ("nsqlookupd/src", "nsqlookupd"),
    ("admin-ui/src", "nsqadmin"),
    ("nsq-cli/src", "nsq_cli"),
    ("src", "nsq"),
];

/// Who may name whom. A module may always name itself and what is below it; the longest entry counts.
/// A crate's root (`lib.rs`, `main.rs`) ties everything together and may name all.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("nsq::wire", &[]),
    ("nsq::api", &[]),
    ("nsq::transport", &[]),
    ("nsq::client", &["nsq::wire", "nsq::api", "nsq::transport"]),
    ("nsq::exchange", &["nsq::client", "nsq::transport", "nsq::daemon"]),
    // `options` is a macro of its own, which the language keeps at the crate's root.
    ("nsq::daemon", &["nsq::wire", "nsq::api", "nsq::transport", "nsq::options"]),
    ("nsqd_broker", &["nsq::wire"]),
    ("nsqd::store", &["nsqd_broker::storage", "nsq::wire::name"]),
    // A test: the broker and the store together.
    (
        "nsqd::store::worker::simulation",
        &["nsqd::store", "nsqd_broker", "nsq::wire::name", "nsq::wire::message"],
    ),
    (
        "nsqd::import",
        &[
            "nsqd::store",
            "nsqd_broker::storage",
            "nsqd_broker::BATCH_BYTES_MAX",
            "nsq::wire::name",
            "nsq::wire::message",
            "nsq::api::metadata",
        ],
    ),
    (
        "nsqd::inspect",
        &[
            "nsqd::data_dir",
            "nsqd::import",
            "nsqd::node",
            "nsqd::store",
            "nsqd_broker",
            "nsq::api::metadata",
            "nsq::wire",
        ],
    ),
    (
        "nsqd::node",
        &[
            "nsqd_broker",
            "nsqd::import",
            "nsqd::store",
            "nsqd::metrics::snapshot",
            "nsqd::VERSION",
            "nsq::wire",
            "nsq::api",
            "nsq::daemon",
        ],
    ),
    (
        "nsqd::metrics",
        &["nsqd::node", "nsqd_broker", "nsqd::options", "nsq::wire", "nsq::api", "nsq::daemon"],
    ),
    // The whole: only these two name tcp and http.
    (
        "nsqd::daemon",
        &[
            "nsqd::auth",
            "nsqd::certificates",
            "nsqd::data_dir",
            "nsqd::http",
            "nsqd::lookup",
            "nsqd::metrics",
            "nsqd::node",
            "nsqd::options",
            "nsqd::store",
            "nsqd::tcp",
            "nsqd::topology_file",
            "nsqd::VERSION",
            "nsq::wire",
            "nsq::api",
            "nsq::transport",
            "nsq::daemon",
        ],
    ),
    ("nsqd::certificates", &["nsqd::options", "nsq::daemon", "nsq::transport"]),
    ("nsqd::data_dir", &["nsq::daemon"]),
    ("nsqd::topology_file", &["nsqd::node", "nsq::wire::name", "nsq::daemon"]),
    ("nsqd::lookup", &["nsqd::node", "nsqd::options", "nsq::wire", "nsq::client", "nsq::daemon"]),
    (
        "nsqd::auth",
        &["nsqd::options", "nsq::wire", "nsq::api", "nsq::transport", "nsq::exchange", "nsq::daemon"],
    ),
    ("nsqd::options", &["nsq::wire", "nsq::transport", "nsq::daemon"]),
    ("nsqd::tcp::protocol", &["nsq::wire"]),
    ("nsqd::tcp::negotiate", &["nsq::wire", "nsq::transport", "nsqd::options"]),
    (
        "nsqd::tcp",
        &[
            "nsqd::node",
            "nsqd::auth",
            "nsqd::options",
            "nsqd_broker",
            "nsq::wire",
            "nsq::transport",
            "nsq::daemon",
        ],
    ),
    ("nsqd::http", &["nsqd::node", "nsqd::metrics", "nsqd::options", "nsq::wire", "nsq::api", "nsq::daemon"]),
    ("nsqlookupd::registry", &["nsq::wire"]),
    ("nsqlookupd::options", &["nsqlookupd::registry", "nsq::daemon"]),
    ("nsqlookupd::directory", &["nsqlookupd::registry", "nsq::daemon"]),
    ("nsqlookupd::tcp::protocol", &["nsq::wire"]),
    ("nsqlookupd::tcp", &["nsqlookupd::directory", "nsqlookupd::registry", "nsq::wire", "nsq::daemon"]),
    (
        "nsqlookupd::http",
        &[
            "nsqlookupd::directory",
            "nsqlookupd::registry",
            "nsqlookupd::VERSION",
            "nsq::wire",
            "nsq::api",
            "nsq::daemon",
        ],
    ),
    (
        "nsqlookupd::daemon",
        &[
            "nsqlookupd::directory",
            "nsqlookupd::http",
            "nsqlookupd::options",
            "nsqlookupd::tcp",
            "nsqlookupd::VERSION",
            "nsq::wire",
            "nsq::daemon",
        ],
    ),
    ("nsqadmin::cidr", &[]),
    ("nsqadmin::assets", &[]),
    ("nsqadmin::shown", &[]),
    ("nsqadmin::access", &["nsq::daemon::os_error"]),
    ("nsqadmin::notify", &["nsq::exchange", "nsq::api"]),
    ("nsqadmin::graphite", &["nsqadmin::cluster", "nsq::exchange"]),
    (
        "nsqadmin::options",
        &["nsqadmin::access", "nsqadmin::cidr", "nsq::exchange", "nsq::transport", "nsq::daemon"],
    ),
    // TLS in tests only, which ask for real.
    (
        "nsqadmin::cluster",
        &["nsq::exchange", "nsqadmin::shown", "nsq::api", "nsq::wire", "nsq::transport::tls"],
    ),
    // Pure.
    ("nsqadmin::cluster::merge", &["nsqadmin::cluster::producer", "nsq::api"]),
    ("nsqadmin::actions", &["nsqadmin::cluster", "nsq::api", "nsq::wire"]),
    // Pure, but for the file of the second.
    ("nsqadmin::overview", &["nsqadmin::history", "nsqadmin::shown", "nsq::api"]),
    ("nsqadmin::history", &[]),
    // A test.
    ("nsqadmin::samples", &["nsqadmin::cluster", "nsqadmin::overview", "nsq::api"]),
    ("nsqadmin::sampler", &["nsqadmin::cluster", "nsqadmin::history", "nsqadmin::overview", "nsq::api"]),
    (
        "nsqadmin::http",
        &[
            "nsqadmin::access",
            "nsqadmin::actions",
            "nsqadmin::assets",
            "nsqadmin::cidr",
            "nsqadmin::cluster",
            "nsq::exchange",
            "nsqadmin::graphite",
            "nsqadmin::history",
            "nsqadmin::notify",
            "nsqadmin::options",
            "nsqadmin::overview",
            "nsqadmin::sampler",
            "nsqadmin::VERSION",
            "nsq::api",
            "nsq::wire::name",
            "nsq::daemon",
        ],
    ),
    (
        "nsqadmin::daemon",
        &[
            "nsqadmin::access",
            "nsqadmin::cluster",
            "nsq::exchange",
            "nsqadmin::history",
            "nsqadmin::http",
            "nsqadmin::notify",
            "nsqadmin::options",
            "nsqadmin::sampler",
            "nsq::transport",
            "nsq::daemon",
        ],
    ),
    ("nsq_cli::failure", &["nsq::daemon::os_error", "nsq::client"]),
    ("nsq_cli::values", &["nsq::wire::name", "nsq::daemon::go_duration"]),
    ("nsq_cli::delimiter", &[]),
    ("nsq_cli::look", &["nsq_cli::failure", "nsq_cli::stop", "nsqd::data_dir", "nsqd::inspect"]),
    ("nsq_cli::verify", &["nsq_cli::failure", "nsq_cli::look", "nsqd::inspect", "nsq::wire::name"]),
    (
        "nsq_cli::salvage",
        &["nsq_cli::delimiter", "nsq_cli::failure", "nsq_cli::look", "nsqd::inspect", "nsq::wire"],
    ),
    ("nsq_cli::ping", &["nsq_cli::failure", "nsq_cli::values", "nsq::client"]),
    ("nsq_cli::pipe", &[]),
    ("nsq_cli::stop", &[]),
    (
        "nsq_cli::publish",
        &[
            "nsq_cli::delimiter",
            "nsq_cli::failure",
            "nsq_cli::stop",
            "nsq_cli::user_agent",
            "nsq_cli::values",
            "nsq::client",
            "nsq::wire",
            "nsq::daemon::os_error",
        ],
    ),
    (
        "nsq_cli::tail",
        &[
            "nsq_cli::failure",
            "nsq_cli::pipe",
            "nsq_cli::stop",
            "nsq_cli::user_agent",
            "nsq_cli::values",
            "nsq::client",
            "nsq::wire",
            "nsq::daemon",
        ],
    ),
    (
        "nsq_cli::stat",
        &[
            "nsq_cli::failure",
            "nsq_cli::pipe",
            "nsq_cli::stop",
            "nsq_cli::values",
            "nsq::client",
            "nsq::api",
            "nsq::wire::name",
            "nsq::daemon",
        ],
    ),
    (
        "nsq_cli::bench",
        &[
            "nsq_cli::failure",
            "nsq_cli::stop",
            "nsq_cli::user_agent",
            "nsq_cli::values",
            "nsq::client",
            "nsq::api",
            "nsq::transport",
            "nsq::wire",
            "nsq::daemon::os_error",
        ],
    ),
    // The one place that has all daemons in it.
    ("nsq_cli::up", &["nsq_cli::failure", "nsqd", "nsqlookupd", "nsqadmin", "nsq::daemon"]),
];

/// The crates that the pure core may depend on.
const BROKER_DEPENDENCIES: [&str; 5] = ["bytes", "nsq", "rustc-hash", "slab", "smallvec"];

/// The longest file, in lines.
const LINES_MAX: usize = 700;

/// The only places that lock files may name.
const PUBLIC_REGISTRIES: [&str; 3] = [
    "https://github.com/rust-lang/crates.io-index",
    "https://registry.npmjs.org/",
    "https://registry.yarnpkg.com/",
];

/// Paths of one machine, which say nothing on another. Written apart so that this file may hold them.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/tmp/", "real"), concat!("/wo", "rk/"), concat!("/home/", "user")];

/// Settings that point a package manager elsewhere.
const REGISTRY_SETTINGS: [&str; 4] = [
    concat!("index", "-url"),
    concat!("replace", "-with"),
    concat!("GO", "PROXY="),
    concat!("npm_config_", "registry"),
];

#[test]
fn modules_name_only_what_they_may() {
    check(rust_files(), |path, text| {
        let Some(module) = module_of(path) else { return Vec::new() };
        named_paths(&module, text)
            .into_iter()
            .filter_map(|(line, named)| Some((line, forbidden(&module, &named)?)))
            .collect()
    });
}

#[test]
fn the_core_has_few_dependencies() {
    let manifest = read(Path::new("nsqd/broker/Cargo.toml"));
    let (_, after) = manifest.split_once("[dependencies]\n").expect("the broker has dependencies");
    let names = after.lines().take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty());
    for line in names {
        let name = line.split(['.', ' ', '=']).next().expect("a line has a beginning");
        assert!(BROKER_DEPENDENCIES.contains(&name), "nsqd/broker/Cargo.toml: {name}: the core stays pure");
    }
}

#[test]
fn names_of_tests_are_statements() {
    check(rust_files(), |_, text| {
        let named =
            |line: &str| line.trim_start().trim_start_matches("async ").starts_with(concat!("fn te", "st_"));
        lines_where(text, named, "a test's name is a statement and needs no prefix")
    });
}

#[test]
fn every_module_says_what_it_is_for() {
    check(rust_files(), |_, text| {
        let says = text.starts_with("//! ");
        if says { Vec::new() } else { vec![(1, "a module begins with `//!` and what it is for".to_owned())] }
    });
}

#[test]
fn no_file_is_too_long() {
    check(rust_files(), |_, text| {
        let lines = text.lines().count();
        if lines <= LINES_MAX { Vec::new() } else { vec![(lines, format!("more than {LINES_MAX} lines"))] }
    });
}

#[test]
fn what_is_to_be_done_has_a_number() {
    let word = concat!("TO", "DO");
    check(tracked_files(), |_, text| {
        let unnumbered = |line: &str| {
            line.match_indices(word).any(|(at, _)| {
                let rest = line[at + word.len()..].trim_start_matches(['(', ' ', ':']);
                !rest.strip_prefix('#').is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
            })
        };
        lines_where(text, unnumbered, "what is to be done later has the number of an issue")
    });
}

#[test]
fn nothing_of_this_machine_is_in_the_repository() {
    check(tracked_files(), |path, text| {
        let of_machine = |line: &str| MACHINE_PATHS.iter().any(|part| line.contains(part));
        let mut found = lines_where(text, of_machine, "a path of one machine");
        let elsewhere = |line: &str| REGISTRY_SETTINGS.iter().any(|setting| line.contains(setting));
        found.extend(lines_where(text, elsewhere, "a registry is the user's choice"));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".lock") || name.ends_with("-lock.json") || name.ends_with("-lock.yaml") {
            found.extend(lines_where(text, names_other_registry, "a lock file names public registries only"));
        }
        found
    });
}

#[test]
fn the_scanner_sees_what_is_named() {
    let module = ["nsqd", "tcp", "protocol"].map(str::to_owned);
    let text = "//! crate::not::this\nuse crate::{node::Node, store};\nuse super::execute::run;\n\
                use nsq::wire::{frame, name::{TopicName}};\nfn f() { nsqd_broker::Topic::new(); self::g(); \"nsq::api\" }\n\
                mod tests {\n    use super::*;\n    use super::super::http;\n}\n";
    let named: Vec<(usize, String)> =
        named_paths(&module, text).into_iter().map(|(line, path)| (line, path.join("::"))).collect();
    let expected = [
        (2, "nsqd::node::Node"),
        (2, "nsqd::store"),
        (3, "nsqd::tcp::execute::run"),
        (4, "nsq::wire::frame"),
        (4, "nsq::wire::name::TopicName"),
        (5, "nsqd_broker::Topic::new"),
        (7, "nsqd::tcp::protocol::*"),
        (8, "nsqd::tcp::http"),
    ];
    assert_eq!(named, expected.map(|(line, path)| (line, path.to_owned())));
}

#[test]
fn the_table_is_applied() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    for (module, named, allowed) in [
        ("nsqd::tcp::protocol", "nsq::wire::frame", true),
        ("nsqd::tcp::protocol", "nsqd::tcp::protocol::tests", true),
        ("nsqd::tcp::protocol", "nsqd::tcp::execute", false),
        ("nsqd::tcp::execute", "nsqd::tcp::protocol", true),
        ("nsqd::store::sled", "nsqd_broker::storage::Request", true),
        ("nsqd::store::sled", "nsqd_broker::Topic", false),
        ("nsqd::node", "nsqd::tcp", false),
        ("nsqd::node", "nsqd::VERSION", true),
        ("nsqd", "nsqd::http", true),
        ("nsqd::unheard_of", "nsqd::node", false),
        ("nsq::wire::frame", "nsq::api", false),
        ("nsqd_broker::topic", "nsq::daemon", false),
    ] {
        assert_eq!(forbidden(&path(module), &path(named)).is_none(), allowed, "{module} -> {named}");
    }
}

/// Why the module may not name the path; `None` when it may.
fn forbidden(module: &[String], named: &[String]) -> Option<String> {
    // The root, and what stands in a root itself (`crate::VERSION`).
    let is_item_of_root = named.len() == 2 && named[1].starts_with(|first: char| first.is_ascii_uppercase());
    if module.len() == 1 && module[0] != "nsqd_broker" || module[0] == named[0] && is_item_of_root {
        return None;
    }
    let entry = MAY_NAME
        .iter()
        .filter(|(subject, _)| within(module, subject))
        .max_by_key(|(subject, _)| subject.len());
    let Some((subject, allowed)) = entry else {
        return Some(format!("{} is not in the table of who may name whom", module.join("::")));
    };
    if within(named, subject) || allowed.iter().any(|prefix| within(named, prefix)) {
        return None;
    }
    Some(format!("{subject} may not name {}", named.join("::")))
}

fn within(path: &[String], prefix: &str) -> bool {
    let mut path = path.iter();
    prefix.split("::").all(|segment| path.next().is_some_and(|found| found == segment))
}

/// The module that a file is, by its place; `None` for files outside of the crates' sources.
fn module_of(path: &Path) -> Option<Vec<String>> {
    let (root, name) = CRATES.iter().find(|(root, _)| path.starts_with(root))?;
    let inside = path.strip_prefix(root).ok()?.with_extension("");
    let segments = inside.iter().map(|segment| segment.to_string_lossy().into_owned());
    let segments = segments.filter(|segment| !["lib", "main", "mod"].contains(&segment.as_str()));
    Some(std::iter::once((*name).to_owned()).chain(segments).collect())
}

/// The paths of ours that the text names, with their lines. Comments do not count.
fn named_paths(module: &[String], text: &str) -> Vec<(usize, Vec<String>)> {
    let mut named = Vec::new();
    let code = without_comments_and_quotes(text);
    let heads = ["crate", "super", "nsq", "nsqd", "nsqd_broker", "nsqlookupd", "nsqadmin", "nsq_cli"];
    let mut at = 0;
    while let Some(colons) = code[at..].find("::").map(|found| at + found) {
        at = colons + 2;
        let start = code[..colons].rfind(|c: char| !is_word(c)).map_or(0, |before| before + 1);
        let head = &code[start..colons];
        if !heads.contains(&head) || code[..start].ends_with("::") {
            continue;
        }
        let line = 1 + code[..start].matches('\n').count();
        let in_inline_module = code[..start].rfind("\nmod ").is_some_and(|opened| {
            let inside = &code[opened + 1..start];
            inside.lines().next().is_some_and(|first| first.ends_with('{')) && !inside.contains("\n}")
        });
        let mut base = match head {
            "crate" => vec![module[0].clone()],
            "super" => module[..module.len() - usize::from(!in_inline_module)].to_vec(),
            other => vec![other.to_owned()],
        };
        let mut rest = &code[at..];
        while let Some(after) = rest.strip_prefix("super::") {
            base.pop();
            rest = after;
        }
        named.extend(expand(&base, rest).into_iter().map(|path| (line, path)));
        at = code.len() - rest.len();
    }
    named
}

/// Follows a path, and each branch of a use tree, to its end.
fn expand(base: &[String], rest: &str) -> Vec<Vec<String>> {
    let rest = rest.trim_start();
    let Some(tree) = rest.strip_prefix('{') else {
        let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let segment = if rest.starts_with('*') { "*" } else { &rest[..length] };
        let path = if segment == "self" { base.to_vec() } else { [base, &[segment.to_owned()]].concat() };
        return match rest[length..].strip_prefix("::") {
            Some(further) if !segment.is_empty() && !further.starts_with('<') => expand(&path, further),
            _ => vec![path],
        };
    };
    let mut depth = 0_usize;
    let mut branches = vec![String::new()];
    for character in tree.chars() {
        match character {
            '}' if depth == 0 => break,
            ',' if depth == 0 => {
                branches.push(String::new());
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        branches.last_mut().expect("there is always one").push(character);
    }
    let branches = branches.iter().filter(|branch| !branch.trim().is_empty());
    branches.flat_map(|branch| expand(base, branch)).collect()
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The text with comments and what stands in quotes taken out, and lines where they were.
fn without_comments_and_quotes(text: &str) -> String {
    let code = |line: &str| {
        let line = line.replace("\\\"", "").replace("'\"'", "");
        let unquoted: String = line.split('"').step_by(2).collect();
        unquoted.split("//").next().unwrap_or_default().to_owned()
    };
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}

fn names_other_registry(line: &str) -> bool {
    let is_source =
        ["source = \"", "\"resolved\":", "tarball:"].iter().any(|key| line.trim_start().starts_with(key));
    is_source && !PUBLIC_REGISTRIES.iter().any(|public| line.contains(public))
}

/// Applies a rule to the files and fails with everything that breaks it.
fn check(files: Vec<PathBuf>, rule: impl Fn(&Path, &str) -> Vec<(usize, String)>) {
    assert!(!files.is_empty(), "a rule without files proves nothing");
    let mut broken = String::new();
    for path in files {
        for (line, reason) in rule(&path, &read(&path)) {
            let _ = writeln!(broken, "{}:{line}: {reason}", path.display());
        }
    }
    assert!(broken.is_empty(), "\n{broken}");
}

fn lines_where(text: &str, breaks: impl Fn(&str) -> bool, reason: &str) -> Vec<(usize, String)> {
    let lines = text.lines().zip(1..).filter(|(line, _)| breaks(line));
    lines.map(|(line, number)| (number, format!("{reason}: {}", line.trim()))).collect()
}

fn rust_files() -> Vec<PathBuf> {
    tracked_files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// What is in the repository, or will be when it is added; paths begin at its root.
fn tracked_files() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let output = git.output().expect("git lists the files");
    assert!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("file names are text");
    let names = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    names.filter(|path| root().join(path).is_file()).collect()
}

/// The file's text; nothing for what is not text.
fn read(path: &Path) -> String {
    let bytes = std::fs::read(root().join(path)).expect("a listed file can be read");
    String::from_utf8(bytes).unwrap_or_default()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of the workspace")
}
