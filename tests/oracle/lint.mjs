// Somebody else's linter of service control policies: @cloud-copilot/iam-policy, one policy a line in, its findings out.
import { createInterface } from 'node:readline'
import { validateServiceControlPolicy } from '@cloud-copilot/iam-policy'

for await (const line of createInterface({ input: process.stdin })) {
  const findings = validateServiceControlPolicy(JSON.parse(line))
  console.log(JSON.stringify(findings.map(({ path, message }) => `${path}: ${message}`)))
}
