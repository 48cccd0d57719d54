"""Somebody else's linter of CloudFormation templates: cfn-lint, one template a line in, its findings out."""

import json
import sys

from cfnlint.api import ManualArgs, lint

# IAM is global, so one Region is where a template of it is rolled out. Informational findings count.
CONFIG = ManualArgs(regions=["us-east-1"], include_checks=["I"])

for line in sys.stdin:
    print(json.dumps([str(finding) for finding in lint(line, config=CONFIG)]))
