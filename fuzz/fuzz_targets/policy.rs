//! A policy, a pattern and a request that a stranger wrote: nothing panics, nothing is lost, every question is answered.
//!
//! The input is cut at zero bytes: the policy, a key, its value, the resource, a pattern.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quell::policy::document::Document;
use quell::policy::evaluate::{Level, Request, Scps};
use quell::policy::lint::mistakes;
use quell::policy::pattern::{Arn, Context, Folded, Glob, Pattern, Rules};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let mut parts = text.split('\0');
    let mut part = || parts.next().unwrap_or_default();
    let (policy, key, value, resource, pattern) = (part(), part(), part(), part(), part());

    let mut context = Context::new();
    context.insert(key.to_ascii_lowercase(), vec![value.to_owned()]);
    for rules in [true, false].map(|variables| Rules {
        variables,
        wildcards: true,
    }) {
        let _ = Pattern::<Glob>::new(pattern, rules).matches(value, &context);
        let _ = Pattern::<Folded>::new(pattern, rules).matches(value, &context);
        let _ = Pattern::<Arn>::new(pattern, rules).matches(resource, &context);
    }

    let Ok(document) = Document::parse(policy) else {
        return;
    };
    let again = Document::parse(&document.minified()).expect("what was written can be read");
    assert_eq!(again, document);
    let _ = mistakes(&document);
    let levels = [Level {
        name: "root".to_owned(),
        policies: vec![("policy", &document)],
    }];
    let scps = Scps::of(&levels);
    let request = Request::new("s3:GetObject", resource, [(key, value.to_owned())]);
    let verdict = scps.evaluate(&request);
    assert_eq!(verdict.decision, scps.decide(&request));
    assert!(!verdict.because.is_empty());
});
