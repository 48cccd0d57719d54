"""Somebody else's linter of policies: parliament, one policy a line in, its findings out."""

import json
import sys

import parliament

for line in sys.stdin:
    analyzed = parliament.analyze_policy_string(line)
    print(json.dumps([str(finding) for finding in analyzed.findings]))
