//! Who may import whom: the table of the design, read off the source.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The modules in story order. Each imports only from those above it; `cloud` (the ports) is above all that ask.
const STORY: &[&str] = &[
    "ids",
    "json",
    "signal",
    "facts",
    "cloud",
    "survey",
    "principal",
    "playbook",
    "policy",
    "incident",
    "trail",
    "plan",
    "rights",
    "readiness",
    "guardrail",
    "audit",
    "profiles",
    "journal",
    "contain",
    "verify",
    "trace",
    "evict",
    "release",
    "respond",
    "report",
    "rates",
    "aws",
    "range",
    "drill",
    "cli",
];

/// No clock, no async, no SDK, no filesystem.
const PURE: &[&str] = &[
    "ids",
    "json",
    "signal",
    "facts",
    "principal",
    "playbook",
    "policy",
    "incident",
    "trail",
    "plan",
    "rights",
    "readiness",
    "guardrail",
    "audit",
    "profiles",
    "journal",
    "report",
    "rates",
];

/// What a pure module may not name.
const IMPURE: &[&str] = &[
    "tokio",
    "aws_",
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::env",
    "std::process",
    "Timestamp::now",
    "async fn",
    ".await",
    "SystemTime",
    "Instant::",
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn module_of(file: &Path, src: &Path) -> String {
    let first = file
        .strip_prefix(src)
        .unwrap()
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code without its comments and tests.
fn code_of(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The modules that some code names as `crate::module`, also inside braces.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(inside) => inside
                .split('}')
                .next()
                .unwrap()
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect(),
            None => vec![rest.to_owned()],
        };
        for name in names {
            found.insert(
                name.chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                    .collect(),
            );
        }
    }
    found
}

#[test]
fn every_module_imports_only_from_those_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let place = |module: &str| {
        STORY
            .iter()
            .position(|known| *known == module)
            .unwrap_or_else(|| panic!("{module} has no place in the story: give it one"))
    };
    let mut read = 0;
    for file in sources(&src) {
        let module = module_of(&file, &src);
        if module == "main" || module == "lib" {
            continue;
        }
        for import in imports(&code_of(&file)) {
            read += 1;
            assert!(
                place(&import) <= place(&module),
                "{} imports {import}, which comes after {module}",
                file.display()
            );
            let world = ["aws", "range"].contains(&import.as_str());
            let may = import == module || module == "drill";
            assert!(
                !world || may,
                "{} imports {import}: only main, drill and tests may",
                file.display()
            );
        }
    }
    assert!(
        read > 100,
        "only {read} imports were read: the reader of this test is broken"
    );
}

#[test]
fn the_pure_part_is_pure() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut read = 0;
    for file in sources(&src) {
        // The journal on a disk is the one part of `journal` that is not pure, and says so.
        if !PURE.contains(&module_of(&file, &src).as_str()) || file.ends_with("journal/file.rs") {
            continue;
        }
        read += 1;
        let code = code_of(&file);
        for word in IMPURE {
            assert!(
                !code.contains(word),
                "{} is pure and names {word}",
                file.display()
            );
        }
    }
    assert!(read >= 15, "only {read} files were read");
}

#[test]
fn the_modules_stand_in_story_order() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let order: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(order, STORY);
}

#[test]
fn only_one_file_writes() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&src) {
        let code = code_of(&file);
        for word in ["println!", "eprintln!", "print!", "eprint!"] {
            assert!(!code.contains(word), "{} writes by itself", file.display());
        }
    }
}

#[test]
fn the_reader_of_imports_reads_them() {
    let found = imports(
        "use crate::{ids, policy::document};\nuse crate::aws::Aws;\nlet x = crate::report::json(y);",
    );
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        ["aws", "ids", "policy", "report"]
    );
}

#[test]
fn no_second_http_and_tls_stack_comes_in() {
    // The SDK's default features bring one, with open advisories; one careless dependency brings the defaults.
    let lock =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    for (name, version) in [("hyper", "0.14."), ("h2", "0.3."), ("rustls", "0.21.")] {
        let old = format!("name = \"{name}\"\nversion = \"{version}");
        assert!(!lock.contains(&old), "{name} {version} is in the lock file");
    }
}
