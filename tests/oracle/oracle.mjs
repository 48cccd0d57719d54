// Somebody else's judge of service control policies: @cloud-copilot/iam-simulate, one JSON line in, one decision out.
//
// It is AGPL-3.0 and runs as a process of its own; nothing of it is linked or shipped. What it leaves to its caller is
// done here: the management account (no levels), service-linked roles and the calls that AWS always answers.
//
//   node oracle.mjs              decide each line of standard input
//   node oracle.mjs --time N     decide all of them N times and print the nanoseconds one decision took
import { createInterface } from 'node:readline'
import { runUnsafeSimulation } from '@cloud-copilot/iam-simulate'

const everything = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
}

const words = {
  Allowed: 'allow',
  ExplicitlyDenied: 'explicit_deny',
  ImplicitlyDenied: 'implicit_deny',
}

function decide({ scps, request }) {
  const linked = request.principal_arn.includes(':role/aws-service-role/')
  const always = ['sts:getcalleridentity', 'sts:getsessiontoken'].includes(request.action.toLowerCase())
  if (scps.length === 0 || linked || always) return 'allow'
  const result = runUnsafeSimulation(
    {
      request: {
        principal: request.principal_arn,
        action: request.action,
        resource: { resource: request.resource, accountId: '111122223333' },
        contextVariables: request.context,
      },
      identityPolicies: [{ name: 'everything', policy: everything }],
      serviceControlPolicies: scps.map((policies, level) => ({
        orgIdentifier: `level-${level}`,
        policies: policies.map((policy, number) => ({ name: `policy-${level}-${number}`, policy })),
      })),
      resourceControlPolicies: [],
    },
    {},
  )
  return words[result] ?? result
}

const lines = []
const [flag, times] = process.argv.slice(2)
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  if (flag === '--time') {
    lines.push(asked)
    continue
  }
  let answer
  try {
    answer = { decision: decide(asked) }
  } catch (error) {
    answer = { error: String(error) }
  }
  console.log(JSON.stringify(answer))
}
if (flag === '--time') {
  // Once before the clock runs, so that the engine has compiled what it will.
  for (const asked of lines) decide(asked)
  const began = process.hrtime.bigint()
  for (let round = 0; round < Number(times); round++) for (const asked of lines) decide(asked)
  const took = process.hrtime.bigint() - began
  console.log(JSON.stringify({ nanoseconds: Number(took) / (Number(times) * lines.length) }))
}
