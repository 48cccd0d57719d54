//! A signal that a stranger wrote: whatever the bytes are, the answer is somebody, nobody, or an error that can be shown.
//!
//! The input is read as a finding's file and, as far as it is text, as what an operator types.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quell::signal::operator::{self, Given};
use quell::signal::{self, Suspect, Who, Whom};

/// Longer than any error that a person would read.
const MOST_ERROR: usize = 4_000;

fuzz_target!(|data: &[u8]| {
    match signal::read(data) {
        Err(error) => assert!(error.to_string().len() < MOST_ERROR, "{error}"),
        Ok(findings) => {
            assert!(!findings.is_empty(), "neither a finding nor an error");
            for finding in findings {
                assert!(finding.id.len() < MOST_ERROR && finding.kind.len() < MOST_ERROR);
                match finding.who {
                    Who::Nobody(nobody) => assert!(nobody.to_string().len() < MOST_ERROR),
                    Who::Suspects(accused) => {
                        assert!(!accused.is_empty(), "accuses nobody, and does not say so");
                        for one in accused {
                            assert!(one.from.starts_with('$'), "{}", one.from);
                            if let Whom::Suspect(suspect) = one.whom {
                                is_harmless(&suspect);
                            }
                        }
                    }
                }
            }
        }
    }
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match operator::of_input(text) {
        Err(error) => assert!(error.to_string().len() < MOST_ERROR, "{error}"),
        // A name that is typed is looked up, and nothing is made of it before the directory knows it.
        Ok(Given::Suspect(Suspect::Named { name })) => assert!(name.chars().count() <= 128),
        Ok(Given::Suspect(suspect)) => is_harmless(&suspect),
        Ok(Given::Unresolved(_) | Given::Finding(_)) => {}
    }
});

/// No wildcard and no variable can get from a signal into a document.
fn is_harmless(suspect: &Suspect) {
    let all = format!("{suspect:?}");
    assert!(!all.contains(['*', '?', '$']), "{all}");
}
